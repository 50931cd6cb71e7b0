"""The warehouse as everything else sees it: one snapshot to read, one lock to write.

SQL is written in DuckDB's dialect within the portable rules (docs/decisions/0003-portable-sql.md);
an engine translates it. Values travel as `$name` parameters, never inside the text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb

LOCK_WAIT_SECONDS = 1800.0
"""Writers queue behind one another; one that waits this long meets a writer that hangs."""

Row = tuple[Any, ...]
Phase = Literal["before_lock", "in_transaction", "after_commit"]
Observer = Callable[[Phase], None]
"""Told where a write stands. For progress and for tests that kill a writer at a known point."""


class Session(ABC):
    """One transaction. Valid inside the `with` that made it."""

    @abstractmethod
    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> None:
        """Run one statement."""

    @abstractmethod
    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        """All rows of a query; for results that fit in memory."""

    def row(self, sql: str, params: Mapping[str, Any] | None = None) -> Row:
        """The one row of a query."""
        found = self.rows(sql, params)
        if len(found) != 1:
            raise ValueError(f"expected one row, got {len(found)}: {sql}")
        return found[0]

    @abstractmethod
    def names(self, sql: str) -> list[str]:
        """Column names a query would return."""

    @abstractmethod
    def columns(self, table: str) -> dict[str, str]:
        """Name to type (DuckDB's names, upper case) of a table's columns; empty if there is no table."""

    @abstractmethod
    def settle_table(self, table: str, lookups: Sequence[Sequence[str]]) -> None:
        """After CREATE TABLE, in its transaction: make reading it fast, above all by these columns."""

    @abstractmethod
    def stage(self, sql: str) -> str:
        """Compute a query and keep its rows for this session and the next `write` of this warehouse.

        Returns a relation name to use after FROM.
        """

    @abstractmethod
    def stage_parquet(self, paths: Sequence[Path], columns: Mapping[str, str]) -> str:
        """Rows of Parquet files (with these columns and DuckDB types) as a relation to use after FROM."""

    @abstractmethod
    def append_staged(self, table: str, columns: Sequence[str], relation: str) -> None:
        """Append all rows of a staged relation that has these columns. The relation may be gone after it."""

    @abstractmethod
    def export_parquet(self, sql: str, target: Path) -> None:
        """Write a query's rows to one Parquet file, with the types of the warehouse."""


@dataclass(frozen=True)
class Extent:
    """How much there is of what a chore tends: files, bytes, and rows (of a lake: snapshots)."""

    files: int
    bytes: int
    rows: int


@dataclass(frozen=True)
class Chore:
    """One kind of upkeep. Done again, or cut off anywhere and done again, it ends the same."""

    name: str
    extent: Callable[[], Extent]
    do: Callable[[], None]


class Warehouse(ABC):
    """A place that keeps tables in the schemas raw, stg, int, mart and ops."""

    engine: Literal["lake", "postgresql"]

    @abstractmethod
    def read(self) -> AbstractContextManager[Session]:
        """One consistent snapshot. Never waits for a writer; refuses to write."""

    @abstractmethod
    def write(self) -> AbstractContextManager[Session]:
        """The write lock and a transaction: commits at the end, rolls back on any error.

        One writer at a time for the whole warehouse, on every engine. Raises Retryable when the
        lock or the catalog stays taken, or there is no room on the disk.
        """

    @abstractmethod
    def forget_staged(self) -> None:
        """Drop what was staged so far; outside of sessions, between two pieces of work."""

    @abstractmethod
    def chores(self, now: datetime, keep_snapshots: timedelta, spare_readers: timedelta) -> Sequence[Chore]:
        """What keeps this engine small and quick, in the order to do it; outside of sessions. `now`: UTC.

        States older than `keep_snapshots` may go; files that a reader may have been using for less than
        `spare_readers` stay. Tables keep their rows.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and staged rows."""

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def refuse_writes(sql: str) -> None:
    """A reader's session runs one query at a time: writers go through `Warehouse.write` and its lock."""
    # DuckDB's own parser says what its dialect means; it also knows no query that writes on the way.
    kinds = [statement.type for statement in duckdb.extract_statements(sql)]
    if kinds != [duckdb.StatementType.SELECT]:
        raise PermissionError(f"a reading session does not write: it runs one query, not: {sql.strip()[:80]}")
