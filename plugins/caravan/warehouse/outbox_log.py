"""The outbox's log: chained, so that nobody can take an entry out, or put one in, and leave no trace.

Each entry holds the hash of the one before, and each message the number of its last. It proves when something left,
for instance that nothing did before its embargo.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from caravan.core.outbox import State
from caravan.warehouse.ledger import Ledger, Transaction, as_text

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS outbox_event (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, message_id TEXT, from_state TEXT, to_state TEXT NOT NULL,
    attempt INTEGER NOT NULL, actor TEXT NOT NULL, detail TEXT, hash TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS outbox_event_of ON outbox_event (message_id)",
)
COLUMNS = ("seq", "at", "message_id", "from_state", "to_state", "attempt", "actor", "detail", "hash")
_NAMES = ", ".join(COLUMNS)
_BATCH = 1000
_GENESIS = "0" * 64

Tail = tuple[int, str]
"""Number and hash of the last entry."""


@dataclass(frozen=True)
class Event:
    """An entry. `message_id`: None where many were planned at once; `detail` counts them then."""

    seq: int
    at: str
    message_id: str | None
    from_state: str | None
    to_state: str
    attempt: int
    actor: str
    detail: str | None
    hash: str

    def expected_hash(self, before: str) -> str:
        content = (self.seq, self.at, self.message_id, self.from_state, self.to_state, self.attempt, self.actor)
        return hashlib.sha256(json.dumps([before, *content, self.detail]).encode()).hexdigest()


def tail_of(transaction: Transaction) -> Tail:
    found = transaction.row("SELECT seq, hash FROM outbox_event ORDER BY seq DESC LIMIT 1")
    return (int(found[0]), found[1]) if found else (0, _GENESIS)


def write(
    transaction: Transaction,
    tail: Tail,
    now: datetime,
    message_id: str | None,
    from_state: State | None,
    to_state: State,
    attempt: int,
    by: str,
    detail: str | None,
) -> None:
    event = Event(tail[0] + 1, str(as_text(now)), message_id, from_state, to_state, attempt, by, detail, "")
    transaction.rows(
        f"INSERT INTO outbox_event ({_NAMES}) VALUES ({', '.join(f':{name}' for name in COLUMNS)})",
        {**vars(event), "hash": event.expected_hash(tail[1])},
    )


def events_of(ledger: Ledger, message_id: str) -> list[Event]:
    with ledger.read() as transaction:
        rows = transaction.rows(
            f"SELECT {_NAMES} FROM outbox_event WHERE message_id = :id ORDER BY seq", {"id": message_id}
        )
    return [Event(*row) for row in rows]


def first_wrong(ledger: Ledger) -> int | None:
    """The first number that does not follow from the one before, or is missing at the end; None when all is whole."""
    last, before = 0, _GENESIS
    for event in _all(ledger):
        if event.seq != last + 1 or event.hash != event.expected_hash(before):
            return event.seq
        last, before = event.seq, event.hash
    with ledger.read() as transaction:
        cut = transaction.row("SELECT MAX(changed_seq) FROM outbox_message WHERE changed_seq > :last", {"last": last})
        grown = transaction.row("SELECT MAX(seq) FROM outbox_event")
    is_cut = cut is not None and cut[0] is not None and (grown is None or (grown[0] or 0) <= last)
    return last + 1 if is_cut else None


def _all(ledger: Ledger) -> Iterator[Event]:
    after = 0
    while True:
        with ledger.read() as transaction:
            rows = transaction.rows(
                f"SELECT {_NAMES} FROM outbox_event WHERE seq > :after ORDER BY seq LIMIT {_BATCH}", {"after": after}
            )
        if not rows:
            return
        yield from (Event(*row) for row in rows)
        after = int(rows[-1][0])
