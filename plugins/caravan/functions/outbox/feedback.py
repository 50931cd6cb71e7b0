"""What comes back: evidence of what nobody knew, addresses that are gone, and people who do not want any more."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from caravan.core.contacts import REFUSED, Contacts, Suppression, SuppressionReason
from caravan.core.feedback import Feedback, Received, Unreadable
from caravan.core.outbox import UNSETTLED, Message, State
from caravan.core.privacy import ConsentEvent

log = logging.getLogger(__name__)

MOST_COMPLAINTS = Decimal("0.002")
"""Gmail refuses senders from 0.3 % on; whoever waits for that has lost."""
MOST_BOUNCES = Decimal("0.025")
"""Half of the share from which Amazon SES looks at an account."""
FEW = 100
"""Of fewer mails a share says nothing."""
CHANCE = Decimal(1)
"""So many are no reason to stop, whatever share of a small list they are."""
SOFT_BOUNCES = 3
SOFT_DAYS = 14
"""So many soft bounces in so many days are a hard one."""


class Sent(Protocol):
    """The outbox, as it is asked by what comes back."""

    def get(self, message_id: str) -> Message | None: ...

    def by_provider(self, outlet: str, provider_id: str) -> Message | None: ...

    def settle(
        self, message: Message, state: State, reason: str, now: datetime, by: str, provider_id: str | None = None
    ) -> bool: ...


class Notes(Protocol):
    """What came back, each piece once."""

    def add(self, outlet: str, found: Feedback | Unreadable, now: datetime) -> bool:
        """False for what was there."""
        ...


@dataclass(frozen=True)
class Desk:
    """`outlet`: whose mails are told of; what is told of another's is nobody's. `channel`: as privacy names it."""

    outlet: str
    channel: str
    sent: Sent
    contacts: Contacts
    notes: Notes
    clock: Callable[[], datetime]


def take_in(received: Iterable[Received], desk: Desk, until: datetime) -> Counter[str]:
    """Counts by kind. Each is acknowledged when all that it says is on disk; told again, it changes nothing. What has
    not been begun by `until` stays where it is."""
    counts: Counter[str] = Counter()
    for each in received:
        if desk.clock() >= until:
            log.warning("%s: there is more than could be taken in: the next run goes on", desk.outlet)
            break
        for found in each.found:
            counts[_take(found, desk)] += 1
        each.ack()
    return counts


def _take(found: Feedback | Unreadable, desk: Desk) -> str:
    now = desk.clock()
    message = None if isinstance(found, Unreadable) else _message(found, desk)
    # What it leads to comes first: it is the same however often it is done, and the note says that it was.
    if isinstance(found, Feedback) and message is not None:
        _act(found, message, desk, now)
        return found.kind if desk.notes.add(desk.outlet, found, now) else "told before"
    # Not as what it says: others' mails may leave through the same account, and their complaints are not about ours.
    note = found if isinstance(found, Unreadable) else _about_nobody(found)
    desk.notes.add(desk.outlet, note, now)
    log.warning("%s: %s: %s", desk.outlet, note.raw_id, note.reason)
    return "unreadable" if note is found else "unknown message"


def _about_nobody(found: Feedback) -> Unreadable:
    whose = found.message_id or found.provider_id
    return Unreadable(f"{found.kind}, about no message of ours: {whose}", found.raw_id)


def _message(found: Feedback, desk: Desk) -> Message | None:
    message = desk.sent.get(found.message_id) if found.message_id else None
    if message is None and found.provider_id:
        message = desk.sent.by_provider(desk.outlet, found.provider_id)
    return message if message is not None and message.key.outlet == desk.outlet else None


def _act(found: Feedback, message: Message, desk: Desk, now: datetime) -> None:
    _settle(found, message, desk, now)
    subject = message.intention.subject
    if subject is None:
        return
    if found.kind == "hard_bounce":
        _suppress(desk, subject, "hard_bounce", found, now)
    elif found.kind == "complaint":
        _suppress(desk, subject, "complaint", found, now)
    elif found.kind == "soft_bounce":
        desk.contacts.note_soft_bounce(subject, desk.channel, found.at, found.raw_id)
        if desk.contacts.soft_bounces(subject, desk.channel, now - timedelta(days=SOFT_DAYS)) >= SOFT_BOUNCES:
            _suppress(desk, subject, "soft_bounces", found, now)
    elif found.kind == "unsubscribe":
        unsubscribe(message, desk.contacts, desk.channel, found.at, now)


def _settle(found: Feedback, message: Message, desk: Desk, now: datetime) -> None:
    """Whatever comes back of a mail, but for one that was never sent on, shows that it had left. The worker that has it
    in hand may have died: its lease would end only after this has been acknowledged. Or it lives, and moves it on just
    now: then it is looked at again, for this comes once."""
    state: State = "rejected" if found.kind == "reject" else "accepted"
    there: Message | None = message
    while there is not None and there.state in UNSETTLED:
        if desk.sent.settle(there, state, f"evidence: {found.kind}", now, found.raw_id, found.provider_id):
            return
        there = desk.sent.get(message.message_id)


def _suppress(desk: Desk, subject: str, reason: SuppressionReason, found: Feedback, now: datetime) -> None:
    desk.contacts.suppress([Suppression(subject, desk.channel, reason, min(found.at, now), found.raw_id)], now)


def too_much(sent: int, came: Mapping[str, int]) -> str | None:
    """Why an outlet is to stop, in numbers; None where it may go on. `sent`: its mails that were accepted, or refused
    because there is no such address, which is a hard bounce. `came`: by kind, of how many of these."""
    if sent < FEW:
        return None
    for kind, most, words in (
        ("complaint", MOST_COMPLAINTS, "were called spam"),
        ("hard_bounce", MOST_BOUNCES, "went to addresses that there are not"),
    ):
        if came.get(kind, 0) > max(CHANCE, most * sent):
            return f"{came[kind]:,} of {sent:,} mails {words}, and {most:.1%} is the limit"
    return None


def note_gone(message: Message, contacts: Contacts, channel: str, now: datetime) -> None:
    """The mail server said at once what others say by a hard bounce."""
    if subject := message.intention.subject:
        evidence = f"{REFUSED}{message.message_id}"
        contacts.suppress([Suppression(subject, channel, "hard_bounce", now, evidence)], now)


def unsubscribe(message: Message, contacts: Contacts, channel: str, at: datetime, now: datetime) -> None:
    """From what the message was for; what a contract or the law asks to be told still comes."""
    subject, purpose = message.intention.subject, message.intention.purpose
    if subject and purpose:
        evidence = f"link in message {message.message_id}"
        said = ConsentEvent(subject, purpose, channel, "withdrawn", min(at, now), evidence, "")
        contacts.add_consent([said], now, "unsubscribe")
