"""How often people are written to, whoever sends: counted in the ledger, in the transaction that commits the next.

One message of a revision to a person, whichever outlet: a market may be moved from one to another meanwhile, and a
person be on a list under two.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from caravan.core.outbox import LEFT, Cap, Caps, Intention
from caravan.warehouse.ledger import Transaction, as_text

_STATES = ", ".join(f"'{state}'" for state in LEFT)
_DOUBTED = f"handed_over_at IS NULL AND state IN ({_STATES})"
"""Of a restored store: it may have left after the backup was made, and nobody knows when."""
SCHEMA = (
    "CREATE INDEX IF NOT EXISTS outbox_contact ON outbox_message (subject, handed_over_at) "
    "WHERE handed_over_at IS NOT NULL",
    f"CREATE INDEX IF NOT EXISTS outbox_doubted ON outbox_message (subject) WHERE {_DOUBTED}",
)


def reached(transaction: Transaction, intention: Intention, caps: Caps, now: datetime) -> Cap | None:
    """One that this message would go beyond; None where it may go."""
    if intention.subject is None or intention.purpose in caps.uncounted:
        return None
    for cap in caps.each:
        since = now - timedelta(days=cap.days)
        if contacts(transaction, intention.subject, since, caps.uncounted) >= cap.count:
            return cap
    return None


def sent_by(transaction: Transaction, intention: Intention) -> str | None:
    """Another outlet by which this very revision has left for the same address, or may have; None where none has."""
    if intention.subject is None:
        return None
    # Joined to nothing: by function and object an index has a whole list, by subject one person's.
    same = (
        "subject = :subject AND function || '' = :function AND object_id = :object_id AND revision = :revision "
        "AND target = :target AND outlet <> :outlet"
    )
    of = f"SELECT outlet FROM outbox_message WHERE {same} AND"
    found = transaction.row(
        f"{of} handed_over_at IS NOT NULL AND state IN ({_STATES}) UNION ALL {of} {_DOUBTED} LIMIT 1",
        {**vars(intention.key), "subject": intention.subject},
    )
    return str(found[0]) if found else None


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
