"""What tests of the outbox plan and claim."""

from __future__ import annotations

from datetime import datetime, timedelta

from caravan.core.outbox import Intention, Key, Message
from caravan.warehouse.outbox import StoredOutbox

NOW = datetime(2026, 11, 25, 8, 30)
MINUTE = timedelta(minutes=1)
LEASE = timedelta(minutes=10)


def intention(target: str = "a@example.com", **change: object) -> Intention:
    key = Key("release", "autumn", 1, "newsletter", target)
    given = {"planned_for": NOW, "not_after": NOW + 4 * 60 * MINUTE, "content_hash": "c0ffee", "subject": target}
    return Intention(**({"key": key} | given | change))  # type: ignore[arg-type]


def claim(outbox: StoredOutbox, worker: str = "one", now: datetime = NOW, limit: int = 10, held=()) -> list[Message]:
    found = outbox.claim("release", "newsletter", worker, now, now + MINUTE, LEASE, limit, held)
    return sorted(found, key=lambda each: each.key.target)


def states(outbox: StoredOutbox) -> dict[str, str]:
    return {each.key.target: each.state for each in outbox.find()}
