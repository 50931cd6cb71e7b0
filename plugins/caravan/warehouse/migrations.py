"""Forward-only SQL files for raw and ops tables, each applied once, each in one transaction."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import duckdb
import psycopg
import sqlglot
from sqlglot import exp

from caravan import SQL_DIR
from caravan.core.errors import CaravanError, Fault, Misconfigured
from caravan.warehouse.port import Session, Warehouse

MIGRATIONS_DIR = SQL_DIR / "migrations"
SCHEMAS = ("raw", "stg", "int", "mart", "ops")


@dataclass(frozen=True)
class Migration:
    name: str
    checksum: str
    """SHA-256 of the file."""
    statements: tuple[str, ...]
    tables: Mapping[str, tuple[tuple[str, ...], ...]]
    """The tables it creates, with the columns of their `-- index: schema.table (a, b)` lines."""


_INDEX = re.compile(r"^-- index: ([a-z_.]+) \(([a-z_, ]+)\)$", re.MULTILINE)


def read_migrations(folder: Path = MIGRATIONS_DIR) -> list[Migration]:
    """The files NNNN_name.sql in order; Misconfigured when a number is missing or taken twice."""
    found, faults = [], []
    for number, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        if not path.name.startswith(f"{number:04d}_"):
            faults.append(
                Fault(path.name, f"the next migration is number {number:04d}: none may be missing or doubled")
            )
        text = path.read_text(encoding="utf-8")
        found.append(Migration(path.stem, hashlib.sha256(text.encode()).hexdigest(), *_parse(text)))
    if faults or not found:
        raise Misconfigured(faults or [Fault(str(folder), "holds no migration")])
    return found


@cache
def _parse(text: str) -> tuple[tuple[str, ...], dict[str, tuple[tuple[str, ...], ...]]]:
    """Statements and tables of a migration; every opening of the warehouse asks for them."""
    trees = [tree for tree in sqlglot.parse(text, read="duckdb") if tree and not isinstance(tree, exp.Semicolon)]
    created = [next(tree.find_all(exp.Table)) for tree in trees if isinstance(tree, exp.Create)]
    tables = {
        f"{table.db}.{table.name}": tuple(
            tuple(columns.split(", ")) for name, columns in _INDEX.findall(text) if name == f"{table.db}.{table.name}"
        )
        for table in created
    }
    return tuple(tree.sql(dialect="duckdb") for tree in trees), tables


def pending(session: Session, migrations: list[Migration]) -> list[Migration]:
    """What is still to apply; Misconfigured when an applied file was edited or is gone."""
    if not session.columns("ops.schema_migration"):
        return migrations
    applied: dict[str, str] = dict(session.rows("SELECT migration, checksum FROM ops.schema_migration"))
    known = {migration.name: migration.checksum for migration in migrations}
    faults = [
        Fault(f"migrations/{name}.sql", "was edited after it was applied: restore it and write a new one instead")
        for name, checksum in applied.items()
        if name in known and known[name] != checksum
    ] + [
        Fault(f"migrations/{name}.sql", "was applied to this warehouse but is not in this code: use the newer code")
        for name in applied
        if name not in known
    ]
    if faults:
        raise Misconfigured(faults)
    return [migration for migration in migrations if migration.name not in applied]


def migrate(warehouse: Warehouse, folder: Path = MIGRATIONS_DIR) -> list[str]:
    """Apply what is pending; returns the names applied, none on a second call."""
    migrations = read_migrations(folder)
    with warehouse.read() as session:
        if not pending(session, migrations):
            return []
    with warehouse.write() as session:
        for schema in SCHEMAS:
            session.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        session.execute(
            "CREATE TABLE IF NOT EXISTS ops.schema_migration "
            "(migration VARCHAR, checksum VARCHAR, applied_at TIMESTAMP)"
        )
    applied: list[str] = []
    for migration in migrations:
        try:
            with warehouse.write() as session:
                # Asked again under the lock: another process may have been faster.
                if migration.name in {waiting.name for waiting in pending(session, migrations)}:
                    _apply(session, migration)
                    applied.append(migration.name)
        except (duckdb.Error, psycopg.Error, sqlglot.errors.SqlglotError) as error:
            raise CaravanError(
                f"migrations/{migration.name}.sql failed and was rolled back; those before it stand: {error}"
            ) from error
    return applied


def require_migrated(warehouse: Warehouse) -> None:
    """Raises CaravanError when something is still to apply."""
    with warehouse.read() as session:
        waiting = [migration.name for migration in pending(session, read_migrations())]
    if waiting:
        raise CaravanError(
            f"a dry run changes nothing, and {', '.join(waiting)} is still to apply: run `./caravan migrate` first"
        )


def _apply(session: Session, migration: Migration) -> None:
    for statement in migration.statements:
        session.execute(statement)
    for table, lookups in migration.tables.items():
        session.settle_table(table, lookups)
    session.execute(
        "INSERT INTO ops.schema_migration VALUES ($name, $checksum, $applied_at)",
        {
            "name": migration.name,
            "checksum": migration.checksum,
            "applied_at": datetime.now(UTC).replace(tzinfo=None),
        },
    )
