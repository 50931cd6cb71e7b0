"""A transactional store beside the warehouse: what must be on disk, row by row, before anything leaves the machine.

SQLite in WAL mode beside a lake; the database itself where the warehouse is PostgreSQL. One writer at a time, each
write transaction on disk (fsync) when it ends. The SQL is what both take; times are ISO text, which sorts.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from caravan.core.errors import Retryable
from caravan.warehouse.postgres import named_errors, server_name

FILE = "outbox.sqlite"
SCHEMA = "outbox"
"""In PostgreSQL."""
WAIT_SECONDS = 60.0
_CACHE_KIB = 32_000
_PAGES_IN_WAL = 16_000
"""64 MB beside the store."""
_LOCK = 7_236_402
"""Key of the advisory lock; beside that of the warehouse's writers (postgres.py)."""
_NAMED = re.compile(r"(?<![:\w]):([a-z_][a-z_0-9]*)")

Row = tuple[Any, ...]
Values = Mapping[str, Any]


class Transaction(ABC):
    """Inside a `with`. `:name` stands for a value."""

    @abstractmethod
    def rows(self, sql: str, values: Values | None = None) -> list[Row]: ...

    @abstractmethod
    def stream(self, sql: str, values: Values | None = None) -> Generator[Row]:
        """Rows as they are asked for, however many."""

    @abstractmethod
    def many(self, sql: str, values: Iterable[Values | Row]) -> None:
        """One statement for each. Of a row its marks are `?`, in their order."""

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Row], *, if_new: bool = False) -> None:
        """Rows as wide as `columns`. `if_new`: one whose key is there stays as it is."""
        marks, rest = ", ".join("?" * len(columns)), " ON CONFLICT DO NOTHING" if if_new else ""
        self.many(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}){rest}", rows)

    def row(self, sql: str, values: Values | None = None) -> Row | None:
        found = self.rows(sql, values)
        return found[0] if found else None


class Ledger(ABC):
    """One connection: for one thread, of one process. A fork does not inherit it."""

    @abstractmethod
    def write(self) -> contextlib.AbstractContextManager[Transaction]:
        """Alone among writers. Commits at the end, rolls back on any error. Raises Retryable when it is not had."""

    @abstractmethod
    def read(self) -> contextlib.AbstractContextManager[Transaction]:
        """One snapshot; waits for no writer."""

    @abstractmethod
    def close(self) -> None: ...

    def make(self, statements: Sequence[str]) -> None:
        """Tables and indexes that are not there yet."""
        with self.write() as transaction:
            for statement in statements:
                transaction.rows(statement)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _SqliteTransaction(Transaction):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Values | None = None) -> list[Row]:
        return self._connection.execute(sql, values or {}).fetchall()

    def stream(self, sql: str, values: Values | None = None) -> Generator[Row]:
        yield from self._connection.execute(sql, values or {})

    def many(self, sql: str, values: Iterable[Values | Row]) -> None:
        self._connection.executemany(sql, values)


class SqliteLedger(Ledger):
    def __init__(self, path: Path, wait_seconds: float = WAIT_SECONDS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        if not path.exists():
            # It holds addresses: for its owner alone. What SQLite puts beside it gets the same mode.
            path.touch(mode=0o600)
        self._connection = sqlite3.connect(path, timeout=wait_seconds, isolation_level=None)
        with self._named_errors():
            self._connection.execute("PRAGMA journal_mode = WAL")
            # What is committed survives a power cut: forgotten, it would be sent again.
            self._connection.execute("PRAGMA synchronous = FULL")
            # Ids are hashes: whoever plans a million touches every page of their index over and over.
            self._connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            # And writes each of them over and over: into the database once for many transactions.
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_IN_WAL}")

    def write(self) -> contextlib.AbstractContextManager[Transaction]:
        return self._transaction("BEGIN IMMEDIATE")

    def read(self) -> contextlib.AbstractContextManager[Transaction]:
        return self._transaction("BEGIN")

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[Transaction]:
        with self._named_errors():
            self._connection.execute(begin)
            try:
                yield _SqliteTransaction(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_BUSY:
                raise Retryable(f"another process has been writing into {self._path} for long; try again") from error
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise Retryable(f"no room for {self._path}: free some disk, then run again ({error})") from error
            raise

    def close(self) -> None:
        self._connection.close()


class _PostgresTransaction(Transaction):
    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Values | None = None) -> list[Row]:
        cursor = self._connection.execute(_percent(sql), dict(values or {}))
        return cursor.fetchall() if cursor.description else []

    def stream(self, sql: str, values: Values | None = None) -> Generator[Row]:
        with self._connection.cursor(name="stream") as cursor:
            yield from cursor.execute(_percent(sql), dict(values or {}))

    def many(self, sql: str, values: Iterable[Values | Row]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_percent(sql).replace("?", "%s"), values)


class PostgresLedger(Ledger):
    def __init__(self, dsn: str, wait_seconds: float = WAIT_SECONDS) -> None:
        self._where = f"PostgreSQL at {server_name(dsn)}"
        with named_errors(self._where):
            self._connection = psycopg.connect(dsn, autocommit=True)
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            self._connection.execute(f"SET search_path TO {SCHEMA}")
            self._connection.execute(f"SET lock_timeout = {int(wait_seconds * 1000)}")
            self._connection.execute("SET synchronous_commit = on")

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        with named_errors(self._where), self._connection.transaction():
            self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            yield _PostgresTransaction(self._connection)

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        with named_errors(self._where), self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield _PostgresTransaction(self._connection)

    def close(self) -> None:
        self._connection.close()


def as_text(moment: datetime | None) -> str | None:
    """Always with microseconds: as long as any other, so that text sorts as time does."""
    return None if moment is None else moment.isoformat(timespec="microseconds")


def as_moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _percent(sql: str) -> str:
    return _NAMED.sub(r"%(\1)s", sql.replace("%", "%%"))
