"""`caravan query`: what it accepts, and what it prints."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from caravan.cli.query import ask, reading_sql, write
from caravan.core.errors import Rejected
from caravan.warehouse.lake import Lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with Lake(tmp_path_factory.mktemp("lake") / "lake") as lake:
        with lake.write() as session:
            session.execute("CREATE SCHEMA mart")
            session.execute("CREATE TABLE mart.sale (day DATE, name VARCHAR, amount DECIMAL(18,4))")
            session.execute("INSERT INTO mart.sale VALUES ('2026-10-01', 'a', 1.5), ('2026-10-02', NULL, 0.1)")
        yield lake


@pytest.mark.parametrize(
    ("sql", "names", "rows"),
    [
        (
            "SELECT name, amount FROM mart.sale ORDER BY day",
            ["name", "amount"],
            [("a", Decimal("1.5")), (None, Decimal("0.1"))],
        ),
        ("select 1 as x; -- with a comment", ["x"], [(1,)]),
        ("WITH s AS (SELECT 2 AS y) SELECT y FROM s", ["y"], [(2,)]),
        ("FROM mart.sale SELECT count(*) AS n", ["n"], [(2,)]),
        ("SELECT 1 AS x UNION ALL SELECT 2 ORDER BY x", ["x"], [(1,), (2,)]),
        ("SELECT 'DROP TABLE x; DELETE' AS text", ["text"], [("DROP TABLE x; DELETE",)]),
        ("SELECT sum(i) AS n FROM range(3) AS r(i)", ["n"], [(3,)]),
        ("SELECT x FROM unnest([1, 2]) AS u(x) ORDER BY x", ["x"], [(1,), (2,)]),
        ("SELECT v.a FROM (VALUES (1)) AS v(a)", ["a"], [(1,)]),
        ("WITH S AS (SELECT 2 AS y), t AS (FROM s) SELECT (SELECT max(y) FROM T) AS y", ["y"], [(2,)]),
        ("SHOW TABLES", ["table_schema", "table_name"], [("mart", "sale")]),
        (
            "DESCRIBE mart.sale",
            ["column_name", "data_type"],
            [("day", "DATE"), ("name", "VARCHAR"), ("amount", "DECIMAL(18,4)")],
        ),
    ],
)
def test_reads(lake: Lake, sql: str, names: list[str], rows: list[tuple[object, ...]]) -> None:
    assert ask(lake, sql) == (names, rows)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("", "BAD_SQL"),
        ("-- nothing", "BAD_SQL"),
        ("SELECT 1; SELECT 2", "BAD_SQL"),
        ("SELECT 1; DROP TABLE mart.sale", "BAD_SQL"),
        ("SELECT (1", "BAD_SQL"),
        ("DELETE FROM mart.sale", "NOT_A_QUERY"),
        ("INSERT INTO mart.sale VALUES (NULL, NULL, NULL)", "NOT_A_QUERY"),
        ("UPDATE mart.sale SET name = 'b'", "NOT_A_QUERY"),
        ("CREATE TABLE mart.x AS SELECT 1", "NOT_A_QUERY"),
        ("DROP TABLE mart.sale", "NOT_A_QUERY"),
        ("TRUNCATE mart.sale", "NOT_A_QUERY"),
        ("COPY mart.sale TO 'x.csv'", "NOT_A_QUERY"),
        ("ATTACH 'x.db'", "NOT_A_QUERY"),
        ("SET memory_limit = '1GB'", "NOT_A_QUERY"),
        ("CALL pragma_version()", "NOT_A_QUERY"),
        ("PRAGMA version", "NOT_A_QUERY"),
        ("EXPLAIN ANALYZE DELETE FROM mart.sale", "NOT_A_QUERY"),
        ("WITH gone AS (DELETE FROM mart.sale RETURNING *) SELECT * FROM gone", "NOT_A_QUERY"),
        ("WITH s AS (SELECT 1) DELETE FROM mart.sale", "NOT_A_QUERY"),
        ("SELECT * INTO mart.copy FROM mart.sale", "NOT_A_QUERY"),
        ("DESCRIBE sale", "NOT_A_QUERY"),
        ("SELECT * FROM read_text('/etc/hostname')", "NOT_IN_WAREHOUSE"),
        ("SELECT (SELECT content FROM read_blob('/etc/hostname'))", "NOT_IN_WAREHOUSE"),
        ("FROM read_csv('/etc/hostname')", "NOT_IN_WAREHOUSE"),
        ("SELECT * FROM read_parquet(['a.parquet'])", "NOT_IN_WAREHOUSE"),
        ("SELECT * FROM mart.sale, LATERAL read_text('/etc/hostname')", "NOT_IN_WAREHOUSE"),
        ("WITH s AS (FROM glob('/*')) SELECT * FROM s", "NOT_IN_WAREHOUSE"),
        ("SELECT * FROM sqlite_scan('catalog.sqlite', 'ducklake_table')", "NOT_IN_WAREHOUSE"),
        ("SELECT * FROM query('SELECT 1')", "NOT_IN_WAREHOUSE"),
        ("SELECT * FROM '/etc/hosts.csv'", "NOT_IN_WAREHOUSE"),
        ('SELECT * FROM "hosts.csv"', "NOT_IN_WAREHOUSE"),
        ("SELECT * FROM sale", "NOT_IN_WAREHOUSE"),
    ],
)
def test_refuses_all_but_one_reading_statement(sql: str, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        reading_sql(sql)
    assert refused.value.code == code


@pytest.mark.parametrize(("sql", "part"), [("SELECT nam FROM mart.sale", "nam"), ("SELECT * FROM mart.sales", "sales")])
def test_errors_of_the_engine_are_shown(lake: Lake, sql: str, part: str) -> None:
    with pytest.raises(Rejected, match=part):
        ask(lake, sql)


@pytest.mark.parametrize(
    ("table", "hint"), [("mart.sales", "did you mean 'mart.sale'?"), ("ops.nope", "known are mart.sale")]
)
def test_a_table_that_is_not_there_cannot_be_described(lake: Lake, table: str, hint: str) -> None:
    with pytest.raises(Rejected, match=f"there is no table {table}.*{re.escape(hint)}"):
        ask(lake, f"DESCRIBE {table}")


VALUES = (
    ("text", 'Zoë, "said"\nso'),
    ("empty", ""),
    ("nothing", None),
    ("amount", Decimal("12345678901234.5000")),
    ("tiny", Decimal("0.0000001")),
    ("whole", 7),
    ("ratio", 0.5),
    ("endless", float("inf")),
    ("yes", True),
    ("day", date(2026, 10, 1)),
    ("moment", datetime(2026, 10, 1, 12, 30)),
    ("id", UUID(int=1)),
    ("many", [Decimal("1.10"), None]),
)


def printed(form: str, names: list[str], rows: list[tuple[object, ...]]) -> str:
    out = io.StringIO()
    write(names, rows, form, out)  # type: ignore[arg-type]
    return out.getvalue()


def test_json_keeps_digits_and_tells_null_from_empty() -> None:
    text = printed("json", [name for name, _ in VALUES], [tuple(value for _, value in VALUES)])
    assert json.loads(text) == [
        {
            "text": 'Zoë, "said"\nso',
            "empty": "",
            "nothing": None,
            "amount": "12345678901234.5000",
            "tiny": "0.0000001",
            "whole": 7,
            "ratio": 0.5,
            "endless": "inf",
            "yes": True,
            "day": "2026-10-01",
            "moment": "2026-10-01T12:30:00",
            "id": "00000000-0000-0000-0000-000000000001",
            "many": ["1.10", None],
        }
    ]


def test_csv_is_read_back_as_it_was() -> None:
    text = printed("csv", [name for name, _ in VALUES], [tuple(value for _, value in VALUES)])
    header, row = csv.reader(io.StringIO(text))
    assert dict(zip(header, row, strict=True)) == {
        "text": 'Zoë, "said"\nso',
        "empty": "",
        "nothing": "",
        "amount": "12345678901234.5000",
        "tiny": "0.0000001",
        "whole": "7",
        "ratio": "0.5",
        "endless": "inf",
        "yes": "true",
        "day": "2026-10-01",
        "moment": "2026-10-01 12:30:00",
        "id": "00000000-0000-0000-0000-000000000001",
        "many": '["1.10", null]',
    }


def test_table_shows_null_markup_and_long_rows_whole() -> None:
    wide = "x" * 300
    text = printed("table", ["[b]name", "other"], [("[red]no colour[/red]", None), (wide, "")])
    assert "[b]name" in text
    assert "[red]no colour[/red]" in text
    assert "NULL" in text
    assert wide in text
    assert "2 rows" in text


def test_json_refuses_two_columns_of_one_name() -> None:
    with pytest.raises(Rejected, match="several columns are called x"):
        printed("json", ["x", "x"], [(1, 2)])


def test_no_rows() -> None:
    assert printed("csv", ["a"], []) == "a\n"
    assert json.loads(printed("json", ["a"], [])) == []
    assert "0 rows" in printed("table", ["a"], [])


def test_a_lake_that_is_read_is_not_written(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        ask(lake, f"COPY mart.sale TO '{tmp_path}/x.csv'")
    assert list(tmp_path.iterdir()) == []
    assert ask(lake, "SELECT count(*) AS n FROM mart.sale") == (["n"], [(2,)])
