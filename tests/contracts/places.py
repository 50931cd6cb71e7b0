"""Databases of both engines for tests: fresh, migrated or empty, opened as often as a test needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from lake_template import copy_lake, migrated_lake

from caravan.warehouse.lake import Lake
from caravan.warehouse.migrations import migrate
from caravan.warehouse.port import Row, Warehouse
from caravan.warehouse.postgres import Postgres

TEMPLATE = "caravan_template"


class Place:
    """One database. `open` gives another connection to it, as another process would have."""

    engine: str

    def __init__(self) -> None:
        self._opened: list[Warehouse] = []

    def open(self, **options: Any) -> Warehouse:
        self._opened.append(self._open(**options))
        return self._opened[-1]

    def _open(self, **options: Any) -> Warehouse:
        raise NotImplementedError

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()


class LakePlace(Place):
    engine = "lake"

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def _open(self, **options: Any) -> Warehouse:
        return Lake(self.root, **options)


class PostgresPlace(Place):
    engine = "postgresql"

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self.dsn = dsn

    def _open(self, **options: Any) -> Warehouse:
        return Postgres(self.dsn, **options)


class Lakes:
    """The migrated ones are copies of one."""

    def migrated(self, root: Path) -> LakePlace:
        return LakePlace(migrated_lake(root))

    def copy(self, original: LakePlace, root: Path) -> LakePlace:
        original.close()
        copy_lake(original.root, root)
        return LakePlace(root)

    def empty(self, root: Path) -> LakePlace:
        return LakePlace(root)


class Servers:
    """Databases on one PostgreSQL server."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._count = 0
        # These databases live for a test: what a power cut would cost them is nobody's concern.
        self._run("ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()")
        self._run(f"CREATE DATABASE {TEMPLATE}")
        with Postgres(self._dsn(TEMPLATE)) as server:
            migrate(server)

    def _dsn(self, database: str) -> str:
        return urlsplit(self._uri)._replace(path=f"/{database}").geturl()

    def _run(self, *statements: str) -> None:
        with psycopg.connect(self._uri, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _new(self, options: str) -> PostgresPlace:
        self._count += 1
        name = f"caravan_{self._count}"
        self._run(f"CREATE DATABASE {name} {options}")
        return PostgresPlace(self._dsn(name))

    def migrated(self) -> PostgresPlace:
        return self._new(f"TEMPLATE {TEMPLATE}")

    def copy(self, original: PostgresPlace) -> PostgresPlace:
        original.close()
        return self._new(f"TEMPLATE {urlsplit(original.dsn).path[1:]}")

    def empty(self) -> PostgresPlace:
        return self._new("")


def row_order(row: Row) -> tuple[tuple[bool, str], ...]:
    return tuple((value is not None, str(value)) for value in row)


def table_rows(warehouse: Warehouse, table: str, columns: Sequence[str] = ("*",)) -> list[Row]:
    """All rows of a table, in one order."""
    with warehouse.read() as session:
        return sorted(session.rows(f"SELECT {', '.join(columns)} FROM {table}"), key=row_order)
