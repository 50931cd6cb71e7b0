"""Upkeep of a warehouse, whatever its engine: its chores one after another, and what is kept of its evidence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from caravan.config.types import Upkeep
from caravan.core.errors import Retryable
from caravan.warehouse import evidence
from caravan.warehouse.port import Chore, Extent, Session, Warehouse

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Done:
    """One chore: what there was of it before and after. Times are UTC."""

    chore: str
    before: Extent
    after: Extent
    started_at: datetime
    ended_at: datetime

    def __str__(self) -> str:
        parts = [
            f"{name} {was:,} -> {now:,}"
            for name, was, now in (
                ("files", self.before.files, self.after.files),
                ("bytes", self.before.bytes, self.after.bytes),
                ("rows", self.before.rows, self.after.rows),
            )
            if was or now
        ]
        seconds = (self.ended_at - self.started_at).total_seconds()
        return f"{self.chore}: {', '.join(parts) or 'nothing there'}; {seconds:.1f} s"


def do(chores: Sequence[Chore], clock: Clock, done: list[Done] | None = None) -> list[Done]:
    """One after another, whatever became of the others; each is told in the log.

    `done` is filled also when this raises: at the end, with the first failure, which names the others. A warehouse
    that another holds, or that does not answer, ends it: every other chore would wait for it as long.
    """
    done = [] if done is None else done
    failures: list[tuple[str, Exception]] = []
    for number, chore in enumerate(chores, 1):
        try:
            started, before = clock(), chore.extent()
            chore.do()
            done.append(Done(chore.name, before, chore.extent(), started, clock()))
        except Exception as error:
            log.error("%s failed: %s", chore.name, error)
            failures.append((chore.name, error))
            # Only what has waited in vain names a time to come back after.
            if isinstance(error, Retryable) and error.after:
                if left := [each.name for each in chores[number:]]:
                    failures[0][1].add_note(f"left for the next run: {', '.join(left)}")
                break
        else:
            log.info("%s", done[-1])
    if failures:
        _, first = failures[0]
        for name, other in failures[1:]:
            first.add_note(f"{name} failed as well: {other}")
        raise first
    return done


def engine_chores(warehouse: Warehouse, upkeep: Upkeep, now: datetime) -> Sequence[Chore]:
    """`now`: UTC."""
    return warehouse.chores(now, timedelta(days=upkeep.snapshot_days), timedelta(hours=upkeep.reader_hours))


def record(session: Session, run_id: str, dag_id: str, done: Sequence[Done]) -> None:
    """A row of ops.upkeep for each."""
    rows = [
        {
            "run_id": run_id,
            "dag_id": dag_id,
            "chore": each.chore,
            "started_at": each.started_at,
            "ended_at": each.ended_at,
            "files_before": each.before.files,
            "files_after": each.after.files,
            "bytes_before": each.before.bytes,
            "bytes_after": each.after.bytes,
            "rows_before": each.before.rows,
            "rows_after": each.after.rows,
        }
        for each in done
    ]
    evidence.insert_many(session, "ops.upkeep", rows)


_NOT_READ = "state NOT IN ('loaded', 'empty')"
"""Loads whose content is not known for it: what was read must stay known, or it would be read again."""

OLD_EVIDENCE = (
    ("ops.run", "started_at < $evidence"),
    ("ops.load", f"started_at < $evidence AND {_NOT_READ}"),
    ("ops.quality_result", "checked_at < $evidence"),
    ("ops.quarantine", "quarantined_at < $evidence"),
    ("ops.upkeep", "started_at < $evidence"),
    ("ops.incident", "closed_at < $evidence"),
)
"""Tables and which of their rows nobody asks for any more."""
_OWNED = (("ops.load_rule", "load_id", "ops.load"), ("ops.incident_message", "incident_id", "ops.incident"))
"""Tables whose rows go with those of another one."""
_HAS_TEXT = "(raw_row IS NOT NULL OR message IS NOT NULL)"
"""The message quotes from the row."""
_OLD_TEXTS = f"quarantined_at < $quarantine AND {_HAS_TEXT}"
_OLD_VERSIONS = (
    "version < (SELECT MAX(newer.version) FROM ops.table_version AS newer "
    "WHERE newer.table_name = ops.table_version.table_name)"
)


LOST = timedelta(days=2)
"""No run takes longer: one that has not ended by then never will. One that does after all is closed by itself."""
_LOST = "state = 'running' AND started_at < $lost"
"""When it was killed nobody knows: such a run has no end."""


def evidence_chores(warehouse: Warehouse, upkeep: Upkeep, now: datetime) -> list[Chore]:
    """What ops tables forget. Loads that were read stay for good: their hashes keep files from being read twice.

    A quarantined row keeps file, row, field and reason when its text and the message that quotes it go: they may hold
    personal data.
    """
    values = {
        "evidence": now - timedelta(days=upkeep.evidence_days),
        "quarantine": now - timedelta(days=upkeep.quarantine_days),
    }

    def count(tables: Sequence[tuple[str, str]]) -> Extent:
        with warehouse.read() as session:
            return Extent(0, 0, sum(int(session.row(f"SELECT COUNT(*) FROM {table}")[0]) for table, _ in tables))

    def trim() -> None:
        with warehouse.write() as session:
            for table, old in OLD_EVIDENCE:
                session.execute(f"DELETE FROM {table} WHERE {old}", _used(values, old))
            for table, column, owner in _OWNED:
                session.execute(f"DELETE FROM {table} WHERE {column} NOT IN (SELECT {column} FROM {owner})")

    def count_texts() -> Extent:
        size = "COALESCE(LENGTH(raw_row), 0) + COALESCE(LENGTH(message), 0)"
        with warehouse.read() as session:
            size, rows = session.row(f"SELECT COALESCE(SUM({size}), 0), COUNT(*) FROM ops.quarantine WHERE {_HAS_TEXT}")
            return Extent(0, int(size), int(rows))

    def blank_texts() -> None:
        with warehouse.write() as session:
            blank = "UPDATE ops.quarantine SET raw_row = NULL, message = NULL"
            session.execute(f"{blank} WHERE {_OLD_TEXTS}", _used(values, _OLD_TEXTS))

    def forget_versions() -> None:
        with warehouse.write() as session:
            session.execute(f"DELETE FROM ops.table_version WHERE {_OLD_VERSIONS}")

    def close_lost() -> None:
        with warehouse.write() as session:
            session.execute(
                f"UPDATE ops.run SET state = 'failed', message = $message WHERE {_LOST}",
                {"message": "was never ended: its process was killed", "lost": now - LOST},
            )

    def count_open() -> Extent:
        with warehouse.read() as session:
            return Extent(0, 0, int(session.row("SELECT COUNT(*) FROM ops.run WHERE state = 'running'")[0]))

    return [
        Chore("close_lost_runs", count_open, close_lost),
        Chore("trim_evidence", lambda: count(OLD_EVIDENCE), trim),
        Chore("blank_quarantine", count_texts, blank_texts),
        Chore("forget_versions", lambda: count([("ops.table_version", "")]), forget_versions),
    ]


def _used(values: dict[str, datetime], condition: str) -> dict[str, datetime]:
    return {name: value for name, value in values.items() if f"${name}" in condition}
