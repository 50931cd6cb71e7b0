"""What keeps a lake small and quick: fewer and larger files, no states that nobody asks for, no leftovers.

Each chore takes the write lock for one table, or one call, at a time, so that loads get in between. What a chore
was doing when it was killed rolls back; a file it wrote by then is an orphan and goes with the next removal.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from caravan.core.errors import CaravanError, Retryable
from caravan.warehouse.disk import measure
from caravan.warehouse.locks import hold_lock
from caravan.warehouse.port import Chore, Extent, Session, Warehouse

SMALL_TABLE_BYTES = 256 << 20
"""A table up to this size is freed of every deleted row: a file with a deletion is never merged with others."""
LARGE_TABLE_THRESHOLD = 0.2
"""In a larger table a file is written again when this share of its rows is deleted."""
MOST_FREE_SHARE = 0.5
LEAST_FREE_PAGES = 2048
"""8 MiB. A catalog with so many empty pages, and more of them than full ones, is packed; fewer are soon used again."""

_CATALOG = "__ducklake_metadata_wh"
_LIVE = f"""
    SELECT s.schema_name, t.table_name, COUNT(*) AS file_count, SUM(f.file_size_bytes) AS file_bytes,
           COUNT(d.delete_file_id) AS delete_count, COALESCE(SUM(d.file_size_bytes), 0) AS delete_bytes
    FROM {_CATALOG}.ducklake_data_file AS f
    JOIN {_CATALOG}.ducklake_table AS t ON f.table_id = t.table_id AND t.end_snapshot IS NULL
    JOIN {_CATALOG}.ducklake_schema AS s ON t.schema_id = s.schema_id AND s.end_snapshot IS NULL
    LEFT JOIN {_CATALOG}.ducklake_delete_file AS d ON f.data_file_id = d.data_file_id AND d.end_snapshot IS NULL
    WHERE f.end_snapshot IS NULL GROUP BY s.schema_name, t.table_name ORDER BY 1, 2"""
_SNAPSHOTS = "SELECT COUNT(*) FROM ducklake_snapshots('wh')"

Lock = Callable[[], AbstractContextManager[None]]


def removal_lock(root: Path, wait_seconds: float) -> AbstractContextManager[None]:
    """While it is held no file of the lake is removed: a backup copies in peace, and loads go on."""
    return hold_lock(root / "removal.lock", wait_seconds, f"has been copying or removing files of {root}")


def lake_chores(
    lake: Warehouse,
    root: Path,
    lock: Lock,
    removal: Lock,
    now: datetime,
    keep_snapshots: timedelta,
    spare_readers: timedelta,
) -> list[Chore]:
    """In this order: what one frees, the next can take away. `lock`: the write lock; `removal`: the other one."""
    live, disk = partial(_live, lake), partial(_on_disk, lake, root)
    unread, unused = _before(now - keep_snapshots), _before(now - spare_readers)
    return [
        Chore("flush_inlined", live, partial(_call, lake, "ducklake_flush_inlined_data('wh')")),
        Chore("rewrite_files", live, partial(_rewrite, lake)),
        Chore("merge_files", live, partial(_merge, lake)),
        Chore("expire_snapshots", live, partial(_call, lake, f"ducklake_expire_snapshots('wh', {unread})")),
        Chore("remove_files", disk, partial(_remove, lake, removal, unused)),
        Chore("pack_catalog", partial(_catalog, lake, root), partial(_pack, root, lock)),
    ]


def _before(at: datetime) -> str:
    return f"older_than => TIMESTAMPTZ '{at.replace(tzinfo=UTC).isoformat(sep=' ')}'"


def _call(lake: Warehouse, call: str) -> None:
    with lake.write() as session:
        session.rows(f"CALL {call}")


def _live_tables(lake: Warehouse) -> list[tuple[Any, ...]]:
    with lake.read() as session:
        return session.rows(_LIVE)


def _live(lake: Warehouse) -> Extent:
    with lake.read() as session:
        tables, snapshots = session.rows(_LIVE), _snapshots(session)
    files = sum(int(row[2]) + int(row[4]) for row in tables)
    return Extent(files, sum(int(row[3]) + int(row[5]) for row in tables), snapshots)


def _snapshots(session: Session) -> int:
    return int(session.row(_SNAPSHOTS)[0])


def _on_disk(lake: Warehouse, root: Path) -> Extent:
    with lake.read() as session:
        return Extent(*measure(root / "files"), _snapshots(session))


def _catalog(lake: Warehouse, root: Path) -> Extent:
    files, size = measure(*root.glob("catalog.sqlite*"))
    with lake.read() as session:
        return Extent(files, size, _snapshots(session))


def _rewrite(lake: Warehouse) -> None:
    for schema, table, _, size, deletes, _ in _live_tables(lake):
        if deletes:
            threshold = 0 if size <= SMALL_TABLE_BYTES else LARGE_TABLE_THRESHOLD
            options = f"schema => '{schema}', delete_threshold => {threshold}"
            _call(lake, f"ducklake_rewrite_data_files('wh', '{table}', {options})")


def _merge(lake: Warehouse) -> None:
    for schema, table, files, *_ in _live_tables(lake):
        if files > 1:
            _call(lake, f"ducklake_merge_adjacent_files('wh', '{table}', schema => '{schema}')")


def _remove(lake: Warehouse, removal: Lock, unused: str) -> None:
    """Files that no snapshot names: those replaced before `unused`, and at once those that no commit ever named.

    A load registers or writes its files inside the write lock, so none of them looks like an orphan here.
    """
    with removal():
        _call(lake, f"ducklake_cleanup_old_files('wh', {unused})")
        _call(lake, "ducklake_delete_orphaned_files('wh', cleanup_all => true)")


def _pack(root: Path, lock: Lock) -> None:
    with lock():
        sqlite_apart(_PACK, root / "catalog.sqlite", LEAST_FREE_PAGES, MOST_FREE_SHARE)


_PACK = """
import sqlite3, sys
catalog = sqlite3.connect(sys.argv[1], timeout=1, isolation_level=None)  # no writer is there, and a reader may stay
[free] = catalog.execute("PRAGMA freelist_count").fetchone()
[pages] = catalog.execute("PRAGMA page_count").fetchone()
if free >= int(sys.argv[2]) and free > pages * float(sys.argv[3]):
    catalog.execute("VACUUM")
catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)")
catalog.close()
"""


def sqlite_apart(script: str, *arguments: object) -> None:
    """Work on a lake's catalog with SQLite in a process of its own.

    DuckDB brings a SQLite of its own. Were both in one process, closing the file here would drop the locks that a
    session holds on it there (sqlite.org/howtocorrupt.html, section 2.2).
    """
    command = [sys.executable, "-I", "-c", script, *map(str, arguments)]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if ended.returncode:
        told = (ended.stderr.strip().splitlines() or [f"ended with code {ended.returncode}"])[-1]
        kind = Retryable if "locked" in told or "full" in told else CaravanError
        raise kind(f"the catalog {arguments[0]} could not be worked on: {told}")
