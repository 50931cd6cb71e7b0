"""What of DuckDB's dialect PostgreSQL is given in other words."""

from __future__ import annotations

import pytest

from caravan.warehouse.postgres import translate


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("SELECT CAST(a AS INT128) FROM t", 'SELECT CAST("a" AS DECIMAL(38, 0)) FROM "t"'),
        ("SELECT 'INT128' AS a", "SELECT 'INT128' AS \"a\""),
        ("SELECT 'it''s INT128', CAST(a AS INT128)", "SELECT 'it''s INT128', CAST(\"a\" AS DECIMAL(38, 0))"),
    ],
)
def test_a_type_is_replaced_and_what_is_quoted_is_not(ours: str, theirs: str) -> None:
    assert translate(ours) == theirs
