"""What models write in short."""

from __future__ import annotations

import duckdb
import pytest

from caravan.warehouse.macros import expand
from caravan.warehouse.portable import parse_query, query_findings

# amount, units of the base currency for one euro, units of the amount's currency for one euro, in the base currency
CONVERSIONS = [
    ("10", "1", "0.8", "12.5000"),
    ("10", "1.08", "0.8", "13.5000"),
    ("0.0001", "1", "2", "0.0001"),  # half a unit, away from zero
    ("-0.0001", "1", "2", "-0.0001"),
    ("0.0001", "1", "2.00000001", "0.0000"),
    ("0", "1", "0.8", "0.0000"),
    ("10", "1", None, None),
    (None, "1", "0.8", None),
    ("99999999999999.9999", "1", "1", "99999999999999.9999"),
]


@pytest.mark.parametrize(("amount", "base_rate", "rate", "expected"), CONVERSIONS)
def test_an_amount_in_the_base_currency(
    amount: str | None, base_rate: str, rate: str | None, expected: str | None
) -> None:
    sql = expand(
        "SELECT CAST(IN_BASE(q.a, q.b, q.r) AS VARCHAR) FROM (SELECT CAST($a AS DECIMAL(18, 4)) AS a, "
        "CAST($b AS DECIMAL(18, 8)) AS b, CAST($r AS DECIMAL(18, 8)) AS r) AS q"
    )
    with duckdb.connect() as connection:
        assert connection.execute(sql, {"a": amount, "b": base_rate, "r": rate}).fetchone() == (expected,)


def test_lines_stay_where_they_are_and_the_result_is_portable() -> None:
    sql = "SELECT\n    IN_BASE(t.a, t.b, t.r) AS x,\n    IN_BASE(a, b, r) AS y\nFROM t"
    written = expand(sql)
    tree, _ = parse_query(written)
    assert tree is not None
    assert query_findings(written, tree) == []
    assert written.count("\n") == sql.count("\n")
    assert "IN_BASE" not in written


def test_arguments_are_columns() -> None:
    sql = expand("SELECT IN_BASE(t.a + 1, t.b, t.r) AS x FROM t")
    tree, _ = parse_query(sql)
    assert tree is not None
    assert [finding.message for finding in query_findings(sql, tree)] == [
        "IN_BASE(): sqlglot knows no such function, so PostgreSQL gets it as it stands"
    ]
