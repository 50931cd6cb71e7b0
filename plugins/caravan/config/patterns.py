"""Patterns of the configuration that DuckDB applies later: not all that Python takes it takes too."""

from __future__ import annotations

from functools import cache

import duckdb


@cache
def duckdb_problem(function: str, pattern: str) -> str | None:
    """What DuckDB, which applies the pattern, finds wrong with it; None where it takes it."""
    try:
        with duckdb.connect() as connection:
            connection.execute(f"SELECT {function}($text, $pattern)", {"text": "", "pattern": pattern})
    except duckdb.Error as error:
        return str(error).removeprefix("Invalid Input Error: ").splitlines()[0]
    return None
