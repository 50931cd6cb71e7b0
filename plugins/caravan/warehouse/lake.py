"""The lake: DuckLake with a SQLite catalog and Parquet files, on a local disk of one machine."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow.parquet as pq

from caravan.core.errors import CaravanError, Retryable
from caravan.warehouse.port import Observer, Row, Session, Warehouse, refuse_writes

LOCK_WAIT_SECONDS = 1800.0
"""Writers queue behind one another; one that waits this long meets a writer that hangs."""
CATALOG_WAIT_MS = 30_000
ADOPTED_ROWS = 100_000
"""From here on a staged file becomes part of its table as it is; fewer rows are written in the usual way."""


def extension_file(name: str) -> str:
    """The signed extension inside its installed wheel: nothing is downloaded at run time."""
    module = importlib.import_module(f"duckdb_extension_{name}")
    folder = os.path.dirname(str(module.__file__))
    return f"{folder}/extensions/v{duckdb.__version__}/{name}.duckdb_extension"


def connect_duckdb(temp_dir: Path, memory_limit: str = "1GB") -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that reaches for nothing outside and spills into `temp_dir`."""
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "extension_directory": str(temp_dir / "extensions"),
            "temp_directory": str(temp_dir / "spill"),
            "memory_limit": memory_limit,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    # Rows carry their own order; keeping the file's would cost memory and leave cores idle.
    connection.execute("SET preserve_insertion_order = false")
    return connection


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
    """`root` holds catalog.sqlite, files/ and write.lock. One connection; sessions do not nest."""

    engine: Literal["lake", "postgresql"] = "lake"

    def __init__(
        self,
        root: Path,
        *,
        read_only: bool = False,
        memory_limit: str = "1GB",
        observer: Observer | None = None,
        lock_wait_seconds: float = LOCK_WAIT_SECONDS,
    ) -> None:
        self.root = root
        self._observe = observer or (lambda phase: None)
        self._lock_wait_seconds = lock_wait_seconds
        if read_only and not (root / "catalog.sqlite").exists():
            raise CaravanError(f"there is no warehouse at {root} yet: run `./caravan migrate` or `./caravan demo`")
        try:
            self._staging = Path(tempfile.mkdtemp(prefix="staged-", dir=self._staging_root()))
        except OSError as error:
            raise CaravanError(
                f"the lake at {root} cannot be written: {error.strerror}; see CARAVAN_WAREHOUSE"
            ) from error
        self._staged_count = 0
        self.staged_files: dict[str, tuple[Path, ...]] = {}
        """Relation to its files."""
        self._in_session = False
        try:
            with named_errors(f"the lake at {root}"):
                self._connection = connect_duckdb(self._staging, memory_limit)
                for name in ("ducklake", "sqlite_scanner"):
                    self._connection.execute(f"LOAD '{extension_file(name)}'")
                options = f"DATA_PATH '{root}/files', META_JOURNAL_MODE 'WAL', META_BUSY_TIMEOUT {CATALOG_WAIT_MS}"
                if read_only:
                    options += ", READ_ONLY"
                    self._attach(options)
                else:
                    with self._lock():
                        self._attach(options)
        except BaseException:
            shutil.rmtree(self._staging, ignore_errors=True)
            raise

    def _staging_root(self) -> Path:
        folder = self.root / "staging"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _attach(self, options: str) -> None:
        self._connection.execute(f"ATTACH 'ducklake:sqlite:{self.root}/catalog.sqlite' AS wh ({options})")
        self._connection.execute("USE wh")
        self._connection.execute("SET threads = 1")

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """The write lock; the kernel frees it when its holder dies."""
        deadline = time.monotonic() + self._lock_wait_seconds
        with open(self.root / "write.lock", "w") as handle:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Retryable(
                            f"another process has held the write lock of {self.root} for "
                            f"{self._lock_wait_seconds:.0f} s: let it finish or stop it, then run again",
                            after=timedelta(minutes=5),
                        ) from None
                    time.sleep(0.02)
            yield

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
        with named_errors(f"the lake at {self.root}"), self._lock():
            with self._session("BEGIN TRANSACTION", writes=True) as session:
                self._observe("in_transaction")
                yield session
            self._observe("after_commit")

    def close(self) -> None:
        self._connection.close()
        shutil.rmtree(self._staging, ignore_errors=True)

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
        # Bulk rows come from staged files; everything else is bookkeeping, which waiting threads make twice as dear.
        with self._all_threads() if "read_parquet(" in sql else contextlib.nullcontext():
            return self._connection.execute(sql, dict(params) if params else None).fetchall()

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
            self._connection.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet, COMPRESSION snappy)")
        relation = f"read_parquet('{path}')"
        self._lake.staged_files[relation] = (path,)
        return relation

    def stage_parquet(self, paths: Sequence[Path], columns: Mapping[str, str]) -> str:
        if not paths:
            nothing = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns.items())
            return f"(SELECT {nothing} WHERE FALSE)"
        files = ", ".join(f"'{_quoted(path)}'" for path in paths)
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
        self._connection.execute(f"SELECT * FROM read_parquet('{_quoted(path)}') LIMIT 0")
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
            f"CALL ducklake_add_data_files('wh', '{name}', '{_quoted(target)}', schema => '{schema}')"
        )

    def export_parquet(self, sql: str, target: Path) -> None:
        with self._all_threads():
            self._connection.execute(f"COPY ({sql}) TO '{_quoted(target)}' (FORMAT parquet)")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
