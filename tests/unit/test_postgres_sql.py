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


@pytest.mark.parametrize(
    ("first", "end", "staged"), [("2026-03-02", "2026-03-03", 7), ("2026-03-03", "2026-03-02 10:11:12.5", 12)]
)
def test_dates_and_staged_names_stand_where_they_stood(first: str, end: str, staged: int) -> None:
    ours = f"SELECT '{end}', a FROM pg_temp.staged_{staged} AS q WHERE a >= CAST('{first}' AS DATE) AND a < '{end}'"
    assert translate(ours) == (
        f"""SELECT '{end}', "a" FROM "pg_temp"."staged_{staged}" AS "q" """
        f"""WHERE "a" >= CAST('{first}' AS DATE) AND "a" < '{end}'"""
    )


def test_a_date_inside_a_text_is_left_there() -> None:
    text = "SELECT 'it''s ''2026-03-02'' or', 'staged_3' AS a"
    assert translate(text) == text.replace("AS a", 'AS "a"')
