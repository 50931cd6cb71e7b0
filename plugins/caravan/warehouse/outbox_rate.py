"""How fast outlets are sent to, whoever sends: when each was handed something last, in the ledger."""

from __future__ import annotations

from datetime import datetime, timedelta

from caravan.core.outbox import Spacing, Wait
from caravan.warehouse.ledger import Transaction, as_moment, as_text

SCHEMA = ("CREATE TABLE IF NOT EXISTS outbox_rate (name TEXT PRIMARY KEY, last_at TEXT NOT NULL)",)
KEPT = timedelta(days=1)
CLOCKS = timedelta(minutes=2)
"""Whoever waited for the lock has read the clock before: what is no more than this later is not of another time."""
_TAKE = "INSERT INTO outbox_rate (name, last_at) VALUES (:name, :now) ON CONFLICT (name) DO UPDATE SET last_at = :now"


def wait(transaction: Transaction, spacing: Spacing, now: datetime) -> Wait | None:
    """Until the next may be handed over under all these names; None for at once."""
    free = {name: free_at(transaction, name, apart, now) for name, apart in spacing.items()}
    last = max(free, key=free.__getitem__, default=None)
    return Wait(free[last], "its rate", last) if last is not None and free[last] > now else None


def free_at(transaction: Transaction, name: str, apart: timedelta, now: datetime) -> datetime:
    """When the next may be handed over under this name; `now`, or a later moment."""
    row = transaction.row("SELECT last_at FROM outbox_rate WHERE name = :name", {"name": name})
    last_at = as_moment(row[0]) if row else None
    # One further ahead is of a clock that has gone back: nobody waits for that to come again.
    return max(now, last_at + apart) if last_at is not None and last_at <= now + CLOCKS else now


def take(transaction: Transaction, spacing: Spacing, now: datetime) -> None:
    transaction.many(_TAKE, [{"name": name, "now": as_text(now)} for name in spacing])


def forget(transaction: Transaction, now: datetime) -> None:
    """Domains that nobody has written to for long."""
    transaction.rows("DELETE FROM outbox_rate WHERE last_at < :before", {"before": as_text(now - KEPT)})
