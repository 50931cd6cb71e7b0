"""ops.outbox: what the outbox says, brought into the warehouse without anybody's address.

The copy itself says how far it is: the last change in it. Whatever is cut off goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from caravan.warehouse import slices
from caravan.warehouse.catalog import Catalog
from caravan.warehouse.ledger import as_moment, as_text
from caravan.warehouse.outbox import StoredOutbox
from caravan.warehouse.port import Session, Warehouse
from caravan.warehouse.raw_tables import OUTBOX

BATCH = 10_000
"""Messages to a transaction: a lake keeps a file for each."""
_KINDS = {
    "VARCHAR": pa.string(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "TIMESTAMP": pa.timestamp("us"),
    "DATE": pa.date32(),
}
_ADDRESS = re.compile(r"[^\s<>()\[\]{}\"',;:]+@[^\s<>()\[\]{}\"',;:]+")
_HIDDEN = "(address)"


class _Position(NamedTuple):
    """The last change in the copy."""

    seq: int
    message_id: str
    changed_at: datetime


@dataclass(frozen=True)
class OutboxMirror:
    """`folder`: of the caller's own, for files on their way. `clock`: UTC now, without zone."""

    warehouse: Warehouse
    catalog: Catalog
    outbox: StoredOutbox
    folder: Path
    clock: Callable[[], datetime]
    batch: int = BATCH

    def bring_up(self) -> int:
        """Copy what changed since, and mark what stands on it as stale; how many messages that were.

        Nothing is written where nothing changed.
        """
        copied = 0
        while True:
            with self.warehouse.read() as session:
                position = _position(session)
            if position and self.outbox.logged_at(position.seq) != as_text(position.changed_at):
                self._empty(position)
                continue
            rows = self.outbox.changes(position[:2] if position else (0, ""), self.batch)
            if not rows:
                return copied
            copied += self._put([_copied(row) for row in rows], position)

    def _put(self, rows: Sequence[dict[str, Any]], position: _Position | None) -> int:
        schema = pa.schema([(name, _KINDS[kind]) for name, kind in OUTBOX.columns.items()])
        path = self.folder / f"{rows[-1]['changed_seq']}-{rows[-1]['message_id']}.parquet"
        pq.write_table(pa.Table.from_pylist(list(rows), schema), path)
        days = sorted({row["planned_date"] for row in rows})
        with self.warehouse.write() as session:
            is_next = _position(session) == position
            if is_next:  # else another process was faster
                self._replace(session, path, days)
        self.warehouse.forget_staged()
        path.unlink()
        return len(rows) if is_next else 0

    def _replace(self, session: Session, path: Path, days: Sequence[date]) -> None:
        names = ", ".join(OUTBOX.columns)
        rows = session.stage_parquet([path], OUTBOX.columns)
        # A message never leaves its day: the others need not be read.
        session.execute(
            f"DELETE FROM {OUTBOX.name} WHERE {slices.on_days('planned_date', days)} "
            f"AND message_id IN (SELECT r.message_id FROM {rows} AS r)"
        )
        session.execute(f"INSERT INTO {OUTBOX.name} ({names}) SELECT {names} FROM {rows} AS r")
        self._mark(session, days)

    def _empty(self, position: _Position) -> None:
        """The outbox came from a backup older than the copy: its log goes on with numbers that the copy knows."""
        with self.warehouse.write() as session:
            if _position(session) == position:
                days = [row[0] for row in session.rows(f"SELECT DISTINCT planned_date FROM {OUTBOX.name}")]
                session.execute(f"DELETE FROM {OUTBOX.name}")
                self._mark(session, days)

    def _mark(self, session: Session, days: Sequence[date]) -> None:
        slices.bump_version(session, OUTBOX.name)
        slices.mark_consumers(session, self.catalog, OUTBOX.name, days, "the outbox changed", self.clock())


def _position(session: Session) -> _Position | None:
    found = session.rows(
        f"SELECT changed_seq, message_id, changed_at FROM {OUTBOX.name} "
        f"WHERE changed_seq = (SELECT MAX(changed_seq) FROM {OUTBOX.name}) ORDER BY message_id DESC LIMIT 1"
    )
    return _Position(*found[0]) if found else None


def _copied(row: dict[str, Any]) -> dict[str, Any]:
    """What of the outbox's row goes into the warehouse."""
    copied: dict[str, Any] = {
        name: as_moment(row[name]) if kind == "TIMESTAMP" else row.get(name) for name, kind in OUTBOX.columns.items()
    }
    return copied | {"planned_date": copied["planned_for"].date(), "reason": _without_address(row)}


def _without_address(row: dict[str, Any]) -> str | None:
    """Some reasons come from other people's programs, or from a person: they may quote whom it went to."""
    reason: str | None = row["reason"]
    if reason and row["subject"]:
        for whom in (row["target"], row["subject"]):
            reason = re.sub(re.escape(whom), _HIDDEN, reason, flags=re.IGNORECASE)
    return _ADDRESS.sub(_HIDDEN, reason) if reason else reason
