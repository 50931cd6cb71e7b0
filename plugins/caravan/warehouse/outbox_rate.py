"""How fast outlets are sent to, whoever sends: when each was handed something last, in the ledger."""

from __future__ import annotations

from datetime import datetime, timedelta

from caravan.core.outbox import Spacing
from caravan.warehouse.ledger import Transaction, as_moment, as_text

SCHEMA = ("CREATE TABLE IF NOT EXISTS outbox_rate (name TEXT PRIMARY KEY, last_at TEXT NOT NULL)",)
KEPT = timedelta(days=1)
CLOCKS = timedelta(minutes=2)
"""Whoever waited for the lock has read the clock before: what is this much later is not of another time."""
_TAKE = "INSERT INTO outbox_rate (name, last_at) VALUES (:name, :now) ON CONFLICT (name) DO UPDATE SET last_at = :now"


def free_at(transaction: Transaction, spacing: Spacing, now: datetime) -> datetime:
    """When the next may be handed over under all these names; `now`, or a later moment."""
    found = now
    for name, apart in spacing.items():
        row = transaction.row("SELECT last_at FROM outbox_rate WHERE name = :name", {"name": name})
        last_at = as_moment(row[0]) if row else None
        # One further ahead is of a clock that has gone back: nobody waits for that to come again.
        if last_at is not None and last_at <= now + CLOCKS:
            found = max(found, last_at + apart)
    return found


def take(transaction: Transaction, spacing: Spacing, now: datetime) -> None:
    transaction.many(_TAKE, [{"name": name, "now": as_text(now)} for name in spacing])


def forget(transaction: Transaction, now: datetime) -> None:
    """Domains that nobody has written to for long."""
    transaction.rows("DELETE FROM outbox_rate WHERE last_at < :before", {"before": as_text(now - KEPT)})
