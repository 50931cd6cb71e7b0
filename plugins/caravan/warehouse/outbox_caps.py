"""How often people are written to, whoever sends: counted in the ledger, in the transaction that commits the next."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from caravan.core.outbox import LEFT, Cap, Caps, Intention
from caravan.warehouse.ledger import Transaction, as_text

_STATES = ", ".join(f"'{state}'" for state in LEFT)


def reached(transaction: Transaction, intention: Intention, caps: Caps, now: datetime) -> Cap | None:
    """One that this message would go beyond; None where it may go."""
    if intention.subject is None or intention.purpose in caps.uncounted:
        return None
    for cap in caps.each:
        since = now - timedelta(days=cap.days)
        if contacts(transaction, intention.subject, since, caps.uncounted) >= cap.count:
            return cap
    return None


def contacts(transaction: Transaction, subject: str, since: datetime, uncounted: Collection[str] = ()) -> int:
    """How often somebody was written to since then, or may have been, by all functions; not for these purposes."""
    where = f"subject = :subject AND handed_over_at >= :since AND state IN ({_STATES})"
    values = {"subject": subject, "since": as_text(since)}
    if uncounted:
        purposes = {f"purpose{place}": purpose for place, purpose in enumerate(uncounted)}
        where += f" AND COALESCE(purpose, '') NOT IN ({', '.join(f':{name}' for name in purposes)})"
        values |= purposes
    found = transaction.row(f"SELECT COUNT(*) FROM outbox_message WHERE {where}", values)
    return int(found[0]) if found else 0
