"""PostgreSQL: the same SQL through sqlglot, one advisory lock for all writers."""

from __future__ import annotations

import contextlib
import functools
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb
import psycopg
import sqlglot
from psycopg.conninfo import conninfo_to_dict
from sqlglot import ErrorLevel, exp

from caravan.core.errors import Fault, Misconfigured, Retryable
from caravan.warehouse.duck import connect_duckdb, quoted
from caravan.warehouse.migrations import SCHEMAS
from caravan.warehouse.port import LOCK_WAIT_SECONDS, Chore, Extent, Observer, Row, Session, Warehouse, refuse_writes
from caravan.warehouse.scratch import Scratch

WRITE_LOCK = 7_236_401
"""Key of the advisory lock: any constant that nobody else in the database uses."""
COPY_CHUNK = 1 << 20

_TYPES = {
    "varchar": "VARCHAR",
    "text": "VARCHAR",
    "int8": "BIGINT",
    "int4": "INTEGER",
    "float8": "DOUBLE",
    "bool": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "uuid": "UUID",
}


_STAGED = "staged_"
_VARYING = re.compile(rf"'\d{{4}}-\d\d-\d\d(?: [\d:.]+)?'|\b{_STAGED}\d+\b")
"""A date, a time, the name of a staged relation: what differs between statements that are the same otherwise."""
_PLACE = re.compile(rf"'\x1f(\d+)'|\b{_STAGED}place_(\d+)\b")
"""Where one of them goes: a text that nobody types, a name that nobody gives."""


def translate(sql: str) -> str:
    """DuckDB's dialect to PostgreSQL's; raises where sqlglot knows it cannot.

    What differs from an earlier statement in dates and staged relations alone is not parsed again: for a model and
    another slice that takes longer than the statement itself.
    """
    varying: list[str] = []

    def place(match: re.Match[str]) -> str:
        varying.append(match[0])
        number = len(varying) - 1
        return f"'\x1f{number}'" if match[0].startswith("'") else f"{_STAGED}place_{number}"

    translated = _translated(_VARYING.sub(place, sql))
    return _PLACE.sub(lambda match: varying[int(match[1] or match[2])], translated)


@functools.lru_cache(maxsize=2048)
def _translated(sql: str) -> str:
    trees = [tree for tree in sqlglot.parse(sql, read="duckdb") if tree is not None]
    # Nobody else has the trees: what changes them need not copy them, which takes as long as parsing.
    ours = [tree.transform(_without_huge, copy=False) for tree in trees]
    text = ";\n".join(
        tree.sql("postgres", identify=True, copy=False, unsupported_level=ErrorLevel.RAISE) for tree in ours
    )
    # Text compares and sorts by code point, as in DuckDB, whatever the database's locale.
    return re.sub(r"\bVARCHAR\b", 'VARCHAR COLLATE "C"', text) if _CREATES.match(text) else text


def _without_huge(node: exp.Expression) -> exp.Expression:
    """PostgreSQL has no 128-bit integers; its numeric holds them exactly."""
    is_huge = isinstance(node, exp.DataType) and node.this == exp.DType.INT128
    return exp.DataType.build("DECIMAL(38, 0)") if is_huge else node


_CREATES = re.compile(r"CREATE (TEMPORARY )?TABLE [^(]*\(", re.IGNORECASE)


def server_name(dsn: str) -> str:
    """Host and database without the password, for messages. Raises Misconfigured for what is no address."""
    try:
        given = conninfo_to_dict(dsn)
        for port in filter(None, str(given.get("port", "")).split(",")):
            int(port)
    except (psycopg.ProgrammingError, ValueError):
        # Without the cause: the library quotes the address, and with it the password.
        wanted = "postgresql://user:password@host:5432/database, with special characters in percent-encoding"
        raise Misconfigured(
            [Fault("CARAVAN_WAREHOUSE", f"is no address of a PostgreSQL database; use {wanted}")]
        ) from None
    host = str(given.get("host") or "localhost")
    return f"{'localhost' if host.startswith('/') else host}/{given.get('dbname', '')}"


_NO_ROOM = "53"
"""The class of errors "insufficient resources": a full disk, no memory, a limit set by the server's owner."""


@contextlib.contextmanager
def named_errors(where: str) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise Retryable(
            f"another process has held the write lock of {where} for long: let it finish or stop it, then run again",
            after=timedelta(minutes=5),
        ) from error
    except psycopg.OperationalError as error:
        if (error.sqlstate or "").startswith(_NO_ROOM):
            raise Retryable(
                f"no room on {where}: free disk or memory there, or raise the limit it names, then run again ({error})"
            ) from error
        raise Retryable(f"{where} does not answer: {error}", after=timedelta(minutes=1)) from error


class Postgres(Warehouse):
    """`dsn`: postgresql://user@host/database. `scratch_root`: where rows pass through files of this machine.
    One connection; sessions do not nest."""

    engine: Literal["lake", "postgresql"] = "postgresql"

    def __init__(
        self,
        dsn: str,
        *,
        scratch_root: Path | None = None,
        observer: Observer | None = None,
        lock_wait_seconds: float = LOCK_WAIT_SECONDS,
    ) -> None:
        self._observe = observer or (lambda phase: None)
        self._lock_wait_seconds = lock_wait_seconds
        self._where = f"PostgreSQL at {server_name(dsn)}"
        self._staged_count = 0
        self._in_session = False
        with contextlib.ExitStack() as opened, named_errors(self._where):
            self.scratch = opened.enter_context(Scratch(scratch_root or Path(tempfile.gettempdir())))
            # Values are bound on this side: CREATE TABLE AS and COPY take no server-side parameters.
            self._connection = psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor)
            opened.callback(self._connection.close)
            self._connection.execute("SET TIME ZONE 'UTC'")
            self._connection.execute("SET client_min_messages = warning")
            self._connection.execute("SET work_mem = '64MB'")
            self._connection.execute("SET temp_buffers = '64MB'")
            self._opened = opened.pop_all()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if self._in_session:
            raise RuntimeError("a session of this warehouse is already open")
        self._in_session = True
        try:
            yield
        finally:
            self._in_session = False

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        with self._alone(), named_errors(self._where), self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self._connection.execute("SELECT 1")  # the snapshot is taken at the first query
            yield _PostgresSession(self, self._connection, writes=False)

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        with self._alone(), named_errors(self._where):
            self._observe("before_lock")
            with self._connection.transaction():
                self._connection.execute(f"SET LOCAL lock_timeout = {int(self._lock_wait_seconds * 1000)}")
                self._connection.execute(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
                self._observe("in_transaction")
                yield _PostgresSession(self, self._connection, writes=True)
            self._observe("after_commit")

    def chores(self, now: datetime, keep_snapshots: timedelta, spare_readers: timedelta) -> list[Chore]:
        # Autovacuum does the rest; a slice that is replaced whole leaves more behind than it waits for.
        return [Chore("vacuum", self._extent, self._vacuum)]

    def _tables(self) -> list[Row]:
        return self._connection.execute(
            "SELECT schemaname, relname, n_dead_tup FROM pg_stat_user_tables WHERE schemaname = ANY(%s) ORDER BY 1, 2",
            [list(SCHEMAS)],
        ).fetchall()

    def _extent(self) -> Extent:
        tables = self._tables()
        size = self._connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return Extent(files=len(tables), bytes=int(size[0]) if size else 0, rows=sum(int(row[2]) for row in tables))

    def _vacuum(self) -> None:
        with self._alone(), named_errors(self._where):
            for schema, name, _ in self._tables():
                self._connection.execute(f'VACUUM (ANALYZE) "{schema}"."{name}"'.encode())

    def close(self) -> None:
        self._opened.close()

    @functools.cached_property
    def duck(self) -> duckdb.DuckDBPyConnection:
        """What reads and writes files of this machine; opened when the first comes."""
        return self._opened.enter_context(connect_duckdb(self.scratch))

    def new_staged_name(self) -> str:
        self._staged_count += 1
        return f"{_STAGED}{self._staged_count}"

    def forget_staged(self) -> None:
        self._connection.execute("DISCARD TEMPORARY")


class _PostgresSession(Session):
    def __init__(self, server: Postgres, connection: psycopg.Connection[Row], writes: bool) -> None:
        self._server = server
        self._connection = connection
        self._writes = writes

    def _run(self, sql: str, params: Mapping[str, Any] | None = None) -> psycopg.Cursor[Row]:
        return self._connection.execute(translate(sql).encode(), dict(params) if params else None)

    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> None:
        if not self._writes:
            refuse_writes(sql)
        self._run(sql, params)

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        if not self._writes:
            refuse_writes(sql)
        return self._run(sql, params).fetchall()

    def names(self, sql: str) -> list[str]:
        return list(self._described(sql))

    def columns(self, table: str) -> dict[str, str]:
        schema, name = table.split(".")
        found = self._connection.execute(
            "SELECT column_name, udt_name, numeric_precision, numeric_scale FROM information_schema.columns "
            "WHERE table_schema = %(schema)s AND table_name = %(name)s ORDER BY ordinal_position",
            {"schema": schema, "name": name},
        ).fetchall()
        return {column: _type_name(kind, precision, scale) for column, kind, precision, scale in found}

    def _described(self, sql: str) -> dict[str, str]:
        cursor = self._connection.execute(f"SELECT * FROM ({translate(sql)}) AS q LIMIT 0".encode())
        kinds = {}
        for column in cursor.description or ():
            known = psycopg.adapters.types.get(column.type_code)
            kinds[column.name] = _type_name(known.name if known else "text", column.precision, column.scale)
        return kinds

    def settle_table(self, table: str, lookups: Sequence[Sequence[str]]) -> None:
        for columns in lookups:
            self._connection.execute(f"CREATE INDEX ON {table} ({', '.join(columns)})".encode())

    def stage(self, sql: str) -> str:
        name = self._server.new_staged_name()
        self._connection.execute(f"CREATE TEMPORARY TABLE {name} AS {translate(sql)}".encode())
        self._connection.execute(f"ANALYZE {name}".encode())
        return f"pg_temp.{name}"

    def stage_parquet(self, paths: Sequence[Path], columns: Mapping[str, str]) -> str:
        name = self._server.new_staged_name()
        declared = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        self._connection.execute(translate(f"CREATE TEMPORARY TABLE {name} ({declared})").encode())
        for path in paths:
            spool = self._server.scratch / "copy.csv"
            wanted = ", ".join(columns)
            source = f"SELECT {wanted} FROM read_parquet({quoted(path)})"
            self._server.duck.execute(f"COPY ({source}) TO {quoted(spool)} (FORMAT csv, HEADER)")
            command = f"COPY {name} ({wanted}) FROM STDIN (FORMAT csv, HEADER)".encode()
            with self._connection.cursor() as cursor, cursor.copy(command) as copy, spool.open("rb") as lines:
                while chunk := lines.read(COPY_CHUNK):
                    copy.write(chunk)
            spool.unlink()
        self._connection.execute(f"ANALYZE {name}".encode())
        return f"pg_temp.{name}"

    def append_staged(self, table: str, columns: Sequence[str], relation: str) -> None:
        names = ", ".join(columns)
        self.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {relation} AS q")

    def export_parquet(self, sql: str, target: Path) -> None:
        kinds = self._described(sql)
        spool = self._server.scratch / "export.csv"
        command = f"COPY ({translate(sql)}) TO STDOUT (FORMAT csv, HEADER)".encode()
        with self._connection.cursor() as cursor, cursor.copy(command) as copy, spool.open("wb") as sink:
            for chunk in copy:
                sink.write(chunk)
        declared = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in kinds.items()) + "}"
        source = (
            f"read_csv({quoted(spool)}, header = true, delim = ',', quote = '\"', escape = '\"', "
            f"columns = {declared}, allow_quoted_nulls = false, auto_detect = false)"
        )
        self._server.duck.execute(f"COPY (SELECT * FROM {source}) TO {quoted(target)} (FORMAT parquet)")
        spool.unlink()


def _type_name(kind: str, precision: int | None, scale: int | None) -> str:
    if kind == "numeric":
        return f"DECIMAL({precision},{scale})" if precision else "DECIMAL(38,10)"
    return _TYPES.get(kind, kind.upper())
