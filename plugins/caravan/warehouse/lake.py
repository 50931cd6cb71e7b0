"""The lake: DuckLake with a SQLite catalog and Parquet files, on a local disk of one machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow.parquet as pq

from caravan.core.errors import CaravanError, Retryable
from caravan.warehouse.duck import EXTENSIONS, connect_duckdb, extension_file, quoted
from caravan.warehouse.lake_upkeep import lake_chores, removal_lock
from caravan.warehouse.locks import hold_lock
from caravan.warehouse.port import LOCK_WAIT_SECONDS, Chore, Observer, Row, Session, Warehouse, refuse_writes
from caravan.warehouse.scratch import Scratch

CATALOG_WAIT_MS = 30_000
"""Only strangers make a writer wait here, a shell or a backup that locks the catalog: writers queue before it."""
ADOPTED_ROWS = 100_000
"""From here on a staged file becomes part of its table as it is; fewer rows are written in the usual way."""
BULK_BYTES = 4 << 20
"""From here on reading staged files is worth starting threads for."""
STAGED_FORMAT = "FORMAT parquet, COMPRESSION snappy, WRITE_BLOOM_FILTER false"
"""DuckDB holds the Bloom filters of all row groups in memory until the file ends: memory that grows with the rows."""

_NO_ROOM = ("No space left", "File too large", "failed to offload", "disk is full")
"""What the operating system, DuckDB's spilling and SQLite say of a full disk."""


@contextlib.contextmanager
def named_errors(where: str) -> Iterator[None]:
    """Turn the engine's passing troubles into Retryable; leave the rest as it is."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        text = str(error)
        if any(sign in text for sign in _NO_ROOM):
            raise Retryable(f"no room to write {where}: free some disk, then run again ({text})") from error
        if "disk I/O error" in text:
            # So SQLite says, among others, when there is no room for the index of its log.
            raise Retryable(
                f"the disk of {where} can be neither written nor read: it is full, or fails ({text})"
            ) from error
        if "catalog version mismatch" in text:
            # Of the lines around it the first says which version is which.
            raise CaravanError(
                f"{where} is in the format of an older DuckDB: back it up, then run `./caravan migrate` "
                f"(docs/upgrade.md; {text.splitlines()[0]})"
            ) from error
        if "DATA_PATH" in text:
            raise CaravanError(
                f"{where} was made at another place, and its catalog names the files there: move it back, "
                f"or restore a backup here ({text})"
            ) from error
        if "database is locked" in text:
            raise Retryable(
                f"the catalog of {where} is locked by another process: close what holds catalog.sqlite open",
                after=timedelta(minutes=1),
            ) from error
        raise
    except RuntimeError as error:
        # DuckDB says so when Ctrl-C meets a running query; taken for a failure, the step would be tried again.
        if "interrupted" in str(error).lower():
            raise KeyboardInterrupt from error
        raise


class Lake(Warehouse):
    """`root` holds catalog.sqlite, files/ and write.lock. One connection; sessions do not nest.

    `upgrade`: bring a catalog of an older DuckLake into this one's format; there is no way back.
    """

    engine: Literal["lake", "postgresql"] = "lake"

    def __init__(
        self,
        root: Path,
        *,
        read_only: bool = False,
        memory_limit: str = "1GB",
        observer: Observer | None = None,
        lock_wait_seconds: float = LOCK_WAIT_SECONDS,
        upgrade: bool = False,
    ) -> None:
        root = root.resolve()  # the catalog remembers the path: by whatever link the lake is reached
        self.root = root
        self._observe = observer or (lambda phase: None)
        self._lock_wait_seconds = lock_wait_seconds
        if read_only and not (root / "catalog.sqlite").exists():
            raise CaravanError(f"there is no warehouse at {root} yet: the first run makes it, or `./caravan migrate`")
        self._staged_count = 0
        self.staged_files: dict[str, tuple[Path, ...]] = {}
        """Relation to its files."""
        self._in_session = False
        with contextlib.ExitStack() as opened:
            self._staging = opened.enter_context(Scratch(root / "staging"))
            with named_errors(f"the lake at {root}"):
                self._connection = opened.enter_context(connect_duckdb(self._staging, memory_limit))
                for name in EXTENSIONS:
                    self._connection.execute(f"LOAD {quoted(extension_file(name))}")
                if read_only:
                    self._attach("READ_ONLY")
                else:
                    with self.lock():
                        self._attach(*(["AUTOMATIC_MIGRATION TRUE"] if upgrade else []))
            self._opened = opened.pop_all()

    def _attach(self, *more: str) -> None:
        options = ", ".join(
            [
                f"DATA_PATH {quoted(self.root / 'files')}",
                "META_JOURNAL_MODE 'WAL'",
                f"META_BUSY_TIMEOUT {CATALOG_WAIT_MS}",
                *more,
            ]
        )
        catalog = quoted(f"ducklake:sqlite:{self.root}/catalog.sqlite")
        self._connection.execute(f"ATTACH {catalog} AS wh ({options})")
        self._connection.execute("USE wh")
        self._connection.execute("SET threads = 1")

    def lock(self) -> AbstractContextManager[None]:
        """The write lock. `write` takes it by itself; by hand, where no session is open."""
        work = f"has held the write lock of {self.root}"
        return hold_lock(self.root / "write.lock", self._lock_wait_seconds, work)

    def _await_catalog(self) -> None:
        """Wait, at most CATALOG_WAIT_MS, until nobody else has the catalog locked.

        DuckLake reads before it writes, and SQLite does not let a transaction that has read wait for a lock: it
        fails at once (duckdb/ducklake#1309). A transaction that begins with a change waits; this one changes nothing.
        """
        change = "UPDATE ducklake_metadata SET value = value WHERE FALSE RETURNING 1 AS n"
        self._connection.execute(f"SELECT n FROM sqlite_query('__ducklake_metadata_wh', {quoted(change)})")

    @contextlib.contextmanager
    def _session(self, begin: str, writes: bool) -> Iterator[Session]:
        self._in_session = True
        try:
            self._connection.execute(begin)
            try:
                yield _LakeSession(self, self._connection, writes)
                self._connection.execute("COMMIT")
            except BaseException:
                # A failed COMMIT has rolled back already.
                with contextlib.suppress(duckdb.TransactionException):
                    self._connection.execute("ROLLBACK")
                raise
        finally:
            self._in_session = False

    def _refuse_nesting(self) -> None:
        if self._in_session:
            raise RuntimeError("a session of this warehouse is already open")

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        self._refuse_nesting()
        begin = "BEGIN TRANSACTION READ ONLY"
        with named_errors(f"the lake at {self.root}"), self._session(begin, writes=False) as session:
            # DuckLake takes its snapshot at the first look.
            self._connection.execute("SELECT id FROM wh.current_snapshot()")
            yield session

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        self._refuse_nesting()
        self._observe("before_lock")
        with named_errors(f"the lake at {self.root}"), self.lock():
            self._await_catalog()
            with self._session("BEGIN TRANSACTION", writes=True) as session:
                self._observe("in_transaction")
                yield session
            self._observe("after_commit")

    def chores(self, now: datetime, keep_snapshots: timedelta, spare_readers: timedelta) -> list[Chore]:
        removal = partial(removal_lock, self.root, self._lock_wait_seconds)
        return lake_chores(self, self.root, self.lock, removal, now, keep_snapshots, spare_readers)

    def close(self) -> None:
        self._opened.close()

    def new_staged_file(self) -> Path:
        self._staged_count += 1
        return self._staging / f"{self._staged_count:06d}.parquet"

    def forget_staged(self) -> None:
        """Delete what was staged so far; a long run would otherwise fill the disk."""
        for path in self._staging.glob("*.parquet"):
            path.unlink(missing_ok=True)
        self.staged_files.clear()


class _LakeSession(Session):
    def __init__(self, lake: Lake, connection: duckdb.DuckDBPyConnection, writes: bool) -> None:
        self._lake = lake
        self._connection = connection
        self._writes = writes

    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> None:
        self.rows(sql, params)

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        if not self._writes:
            refuse_writes(sql)
        with self._all_threads() if self._is_bulk(sql) else contextlib.nullcontext():
            return self._connection.execute(sql, dict(params) if params else None).fetchall()

    def _is_bulk(self, sql: str) -> bool:
        """Many rows come from staged files; all else is bookkeeping, which waiting threads make twice as dear."""
        staged = self._lake.staged_files.items()
        read = [path for relation, paths in staged if relation in sql for path in paths]
        return sum(path.stat().st_size for path in read) > BULK_BYTES

    @contextlib.contextmanager
    def _all_threads(self) -> Iterator[None]:
        self._connection.execute(f"SET threads = {os.cpu_count() or 1}")
        try:
            yield
        finally:
            # After a failure the transaction takes no statement any more: the failure itself is what counts.
            with contextlib.suppress(duckdb.TransactionException):
                self._connection.execute("SET threads = 1")

    def names(self, sql: str) -> list[str]:
        self._connection.execute(f"SELECT * FROM ({sql}) AS q LIMIT 0")
        return [column[0] for column in self._connection.description or ()]

    def columns(self, table: str) -> dict[str, str]:
        try:
            self._connection.execute(f"SELECT * FROM {table} LIMIT 0")
        except duckdb.CatalogException:
            return {}
        return {column[0]: str(column[1]) for column in self._connection.description or ()}

    def settle_table(self, table: str, lookups: Sequence[Sequence[str]]) -> None:
        # A lake has no indexes: Parquet's statistics serve. But DuckLake 1.5.5 looks for the statistics of a table
        # that never had a row again for every column of every query: ten times slower. A row that comes and
        # goes leaves some.
        if self.rows(f"SELECT 1 FROM {table} LIMIT 1"):
            return
        column = next(iter(self.columns(table)))
        self.execute(f"INSERT INTO {table} ({column}) VALUES (NULL)")
        self.execute(f"DELETE FROM {table}")

    def stage(self, sql: str) -> str:
        path = self._lake.new_staged_file()
        with self._all_threads():
            self._connection.execute(f"COPY ({sql}) TO {quoted(path)} ({STAGED_FORMAT})")
        relation = f"read_parquet({quoted(path)})"
        self._lake.staged_files[relation] = (path,)
        return relation

    def stage_parquet(self, paths: Sequence[Path], columns: Mapping[str, str]) -> str:
        if not paths:
            nothing = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns.items())
            return f"(SELECT {nothing} WHERE FALSE)"
        files = ", ".join(map(quoted, paths))
        typed = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in columns.items())
        relation = f"(SELECT {typed} FROM read_parquet([{files}]))"
        self._lake.staged_files[relation] = tuple(paths)
        return relation

    def append_staged(self, table: str, columns: Sequence[str], relation: str) -> None:
        paths = self._lake.staged_files.get(relation, ())
        if paths and all(self._is_part_of(table, path) for path in paths):
            for path in paths:
                self._adopt(table, path)
            return
        names = ", ".join(columns)
        self.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {relation} AS q")

    def _is_part_of(self, table: str, path: Path) -> bool:
        """Whether the file is large, and has the table's columns and types, so that it can become part of it."""
        if pq.read_metadata(path).num_rows < ADOPTED_ROWS:
            return False
        self._connection.execute(f"SELECT * FROM read_parquet({quoted(path)}) LIMIT 0")
        found = {column[0]: str(column[1]) for column in self._connection.description or ()}
        return found == self.columns(table)

    def _adopt(self, table: str, path: Path) -> None:
        """Register the file instead of writing its rows again. Left behind by a rollback it is an orphan like
        any other file of a transaction that did not commit."""
        schema, name = table.split(".")
        home = self._lake.root / "files" / schema / name
        home.mkdir(parents=True, exist_ok=True)
        target = home / f"adopted-{uuid.uuid4().hex}.parquet"
        shutil.move(path, target)
        self._connection.execute(
            f"CALL ducklake_add_data_files('wh', '{name}', {quoted(target)}, schema => '{schema}')"
        )

    def export_parquet(self, sql: str, target: Path) -> None:
        with self._all_threads():
            self._connection.execute(f"COPY ({sql}) TO {quoted(target)} (FORMAT parquet)")
