"""Which messages a worker takes where each domain has a rate of its own: no more to one than have room."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

from caravan.core.outbox import Domains, Message
from caravan.warehouse import outbox_rate
from caravan.warehouse.ledger import Transaction, Values
from caravan.warehouse.outbox_questions import read


def earliest(
    transaction: Transaction, where: str, values: Values, limit: int, domains: Domains, now: datetime
) -> list[Message]:
    """Those with room in the time of a batch; where there are none, those with room as long as a worker waits."""
    for within in (domains.batch, domains.longest):
        if found := _within(transaction, where, values, limit, domains, now, within):
            return [each for id_ in found for each in read(transaction, "message_id = :id", {"id": id_}, "", 1)]
    return []


def _within(
    transaction: Transaction,
    where: str,
    values: Values,
    limit: int,
    domains: Domains,
    now: datetime,
    within: timedelta,
) -> list[str]:
    """Ids. Whose domain is full is passed over, however many there are: a row of two columns each."""
    room: dict[str, int] = {}
    found: list[str] = []
    due = f"SELECT message_id, target FROM outbox_message WHERE {where} ORDER BY due_at"
    with contextlib.closing(transaction.stream(due, values)) as rows:
        for message_id, target in rows:
            name = domains.name(target)
            if name not in room:
                room[name] = _room(transaction, name, domains.apart, now, within)
            if room[name]:
                room[name] -= 1
                found.append(message_id)
                if len(found) == limit:
                    break
    return found


def _room(transaction: Transaction, name: str, apart: timedelta, now: datetime, within: timedelta) -> int:
    """How many may be handed over before that time is over."""
    left = now + within - outbox_rate.free_at(transaction, name, apart, now)
    return max(0, -(-left // apart))
