"""`caravan query`: one reading statement, answered from a snapshot as table, csv or json."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Literal, TextIO

import sqlglot
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlglot import exp

from caravan.core.errors import Rejected, nearest
from caravan.warehouse.migrations import SCHEMAS
from caravan.warehouse.port import Row, Session, Warehouse

Format = Literal["table", "csv", "json"]

_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.Command, exp.Into)
_OWN_SCHEMAS = ", ".join(f"'{schema}'" for schema in SCHEMAS)


_READABLE = frozenset((*SCHEMAS, "information_schema"))
_MAKE_ROWS = (exp.GenerateSeries, exp.Unnest, exp.Explode)
"""Table functions that reach for nothing: all others may read files, settings or the network."""


@dataclass(frozen=True)
class Reading:
    """`sql` to run; `described`: the table it asks the columns of, as schema and name."""

    sql: str
    described: tuple[str, str] | None = None


def reading_sql(sql: str) -> Reading:
    """What to run for `sql`: one SELECT, WITH, SHOW TABLES or DESCRIBE of the warehouse; Rejected for anything else.

    SHOW and DESCRIBE become queries of the information schema, which both engines answer alike.
    """
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # what it does not know is refused below
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="duckdb") if not isinstance(tree, exp.Semicolon | None)]
    except sqlglot.errors.SqlglotError as error:
        raise Rejected("BAD_SQL", f"not understood as SQL: {_plain(error)}") from error
    if len(trees) != 1:
        raise Rejected("BAD_SQL", f"one statement is wanted, not {len(trees)}")
    tree = trees[0]
    match tree:
        case exp.Query() if not tree.find(*_WRITES):
            _refuse_outside(tree)
            return Reading(tree.sql(dialect="duckdb", comments=False))
        case exp.Show() if tree.name.upper() in ("TABLES", "ALL TABLES"):
            return Reading(
                "SELECT table_schema, table_name FROM information_schema.tables "
                f"WHERE table_schema IN ({_OWN_SCHEMAS}) ORDER BY table_schema, table_name"
            )
        case exp.Describe(this=exp.Table() as table) if table.db and table.name:
            return Reading(
                "SELECT column_name, data_type FROM information_schema.columns "
                f"WHERE table_schema = {exp.Literal.string(table.db).sql()} "
                f"AND table_name = {exp.Literal.string(table.name).sql()} ORDER BY ordinal_position",
                (table.db, table.name),
            )
    raise Rejected(
        "NOT_A_QUERY", "`query` reads: one SELECT, WITH, SHOW TABLES or DESCRIBE schema.table; writing is for DAGs"
    )


def _refuse_outside(tree: exp.Query) -> None:
    """Rejected for rows from outside the warehouse: DuckDB takes a path for a table, and has functions for more."""
    # A word is no path: only such names may stand for a table of the query's own.
    named = {cte.alias.lower() for cte in tree.find_all(exp.CTE) if cte.alias.isidentifier()}
    for source in tree.find_all(exp.Table, exp.Lateral):
        made_by = source.this
        if isinstance(made_by, exp.Identifier):
            schema = source.text("db").lower()
            if schema in _READABLE or (not schema and source.name.lower() in named):
                continue
            raise Rejected(
                "NOT_IN_WAREHOUSE",
                f"'{source.name}' is no table of the warehouse: write schema.table; SHOW TABLES names all",
            )
        if isinstance(made_by, exp.Func) and not isinstance(made_by, _MAKE_ROWS):
            name = made_by.name if isinstance(made_by, exp.Anonymous) else made_by.sql_name().lower()
            raise Rejected("NOT_IN_WAREHOUSE", f"{name}(...) reads outside the warehouse; `query` asks its tables only")


def ask(warehouse: Warehouse, sql: str) -> tuple[list[str], list[Row]]:
    """Column names and rows, of one snapshot. Rejected when the warehouse does not accept the query."""
    import duckdb
    import psycopg

    wanted = reading_sql(sql)
    try:
        with warehouse.read() as session:
            names, rows = session.names(wanted.sql), session.rows(wanted.sql)
            if wanted.described and not rows:
                _refuse_missing(session, *wanted.described)
            return names, rows
    except (duckdb.Error, psycopg.Error, sqlglot.errors.SqlglotError) as error:
        raise Rejected("BAD_SQL", str(error).strip()) from error


def _refuse_missing(session: Session, schema: str, name: str) -> None:
    there = [f"{row[0]}.{row[1]}" for row in session.rows(reading_sql("SHOW TABLES").sql)]
    near = [table for table in there if table.startswith(f"{schema}.")] or there
    raise Rejected("NO_TABLE", f"there is no table {schema}.{name}{nearest(f'{schema}.{name}', near)}")


def write(names: Sequence[str], rows: Sequence[Row], form: Format, out: TextIO) -> None:
    """Decimals keep every digit. NULL: `NULL` in a table, null in json, nothing in csv."""
    match form:
        case "csv":
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(names)
            writer.writerows([_text(value) for value in row] for row in rows)
        case "json":
            if twice := sorted({name for name in names if list(names).count(name) > 1}):
                raise Rejected("BAD_SQL", f"several columns are called {', '.join(twice)}: give them names with AS")
            records = [dict(zip(names, map(_json_value, row), strict=True)) for row in rows]
            json.dump(records, out, ensure_ascii=False, indent=1, allow_nan=False)
            out.write("\n")
        case "table":
            table = Table()
            for name in names:
                table.add_column(Text(name))
            for row in rows:
                table.add_row(*(Text("NULL", style="dim") if value is None else Text(_text(value)) for value in row))
            # Into a file or a pipe a table is as wide as it is; on a terminal it folds.
            console = Console(file=out, width=None if out.isatty() else 10_000)
            console.print(table)
            console.print(f"{len(rows)} row{'' if len(rows) == 1 else 's'}", style="dim")


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.isoformat(" ")
        case bytes():
            return value.hex()
        case list() | tuple() | dict():
            return json.dumps(_json_value(value), ensure_ascii=False)
    return str(value)


def _json_value(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            # JSON has no word for infinity and not-a-number.
            return value if math.isfinite(value) else str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case list() | tuple():
            return [_json_value(item) for item in value]
        case dict():
            return {str(key): _json_value(item) for key, item in value.items()}
    return _text(value)


def _plain(error: Exception) -> str:
    # sqlglot underlines with terminal codes.
    return str(error).replace("\x1b[4m", "").replace("\x1b[0m", "").splitlines()[0]
