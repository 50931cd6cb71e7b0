"""Outlets that hand nothing over until a person has looked: too many of those written to complain, or are not there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from caravan.warehouse.ledger import Ledger, as_moment, as_text

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS outbox_stop (
    outlet TEXT NOT NULL, at TEXT NOT NULL, reason TEXT NOT NULL, lifted_at TEXT, lifted_by TEXT, why TEXT,
    PRIMARY KEY (outlet, at))""",
)
STOP = ("outlet", "at", "reason", "lifted_at", "lifted_by", "why")


@dataclass(frozen=True)
class Stop:
    """Of an outlet, since `at` (UTC)."""

    outlet: str
    at: datetime
    reason: str


class StoredStops:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        ledger.make(SCHEMA)

    def stop(self, outlet: str, reason: str, now: datetime) -> None:
        """From now on, unless it stands still already."""
        insert = (
            "INSERT INTO outbox_stop (outlet, at, reason) SELECT :outlet, :at, :reason WHERE NOT EXISTS "
            "(SELECT 1 FROM outbox_stop WHERE outlet = :outlet AND lifted_at IS NULL) ON CONFLICT DO NOTHING"
        )
        with self._ledger.write() as transaction:
            transaction.rows(insert, {"outlet": outlet, "at": as_text(now), "reason": reason})

    def standing(self) -> dict[str, Stop]:
        """By outlet, those that nobody has lifted."""
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                "SELECT outlet, at, reason FROM outbox_stop WHERE lifted_at IS NULL ORDER BY outlet"
            )
        return {row[0]: Stop(row[0], datetime.fromisoformat(row[1]), row[2]) for row in rows}

    def lift(self, outlet: str, now: datetime, by: str, why: str) -> bool:
        """False where none stands."""
        lifted = {"outlet": outlet, "now": as_text(now), "by": by, "why": why}
        with self._ledger.write() as transaction:
            return bool(
                transaction.rows(
                    "UPDATE outbox_stop SET lifted_at = :now, lifted_by = :by, why = :why "
                    "WHERE outlet = :outlet AND lifted_at IS NULL RETURNING 1",
                    lifted,
                )
            )

    def lifted_at(self, outlet: str) -> datetime | None:
        """When the last one was lifted: what came before has been looked at."""
        with self._ledger.read() as transaction:
            found = transaction.row("SELECT MAX(lifted_at) FROM outbox_stop WHERE outlet = :outlet", {"outlet": outlet})
        return as_moment(found[0]) if found else None
