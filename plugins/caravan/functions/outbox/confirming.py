"""Confirmed opt-in: who is asked once whether it was they who signed up, and what their yes is worth.

| what they said | what happens |
|---|---|
| pending, lately | one mail, with a link |
| the button behind the link, in time | given, with the mail as evidence |
| nothing | nothing, ever |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from caravan.core.contacts import Contacts
from caravan.core.outbox import Message
from caravan.core.privacy import ALL_CHANNELS, REFUSALS, ConsentEvent, standing

FUNCTION = "loyalty"
"""Whose messages these are: consent is the customer relationship's."""
PURPOSE = "service_message"
"""An answer to what somebody asked: it needs no consent of its own."""


def is_to_be_asked(
    said: Iterable[ConsentEvent], purpose: str, channel: str, asked_at: datetime, now: datetime, within: timedelta
) -> bool:
    """Whether a sign-up at `asked_at` gets the mail: it is not old, nothing was said since, and no other one of these
    days had it. Whoever fills a form with somebody else's address every day sends them one mail."""
    own = list(_of(said, purpose, channel))
    is_new = now - within <= asked_at <= now
    is_open = not any(each.state != "pending" and each.at >= asked_at for each in own)
    is_first = not any(each.state == "pending" and now - within <= each.at < asked_at for each in own)
    return is_new and is_open and is_first


def confirms(purpose: str, asked_at: datetime, until: datetime, text_version: str) -> dict[str, str]:
    """What the message knows of what its link does."""
    times = {"asked_at": asked_at.isoformat(), "until": until.isoformat()}
    return {"purpose": purpose, "text_version": text_version, **times}


def confirm(message: Message, contacts: Contacts, channel: str, now: datetime) -> bool:
    """Take down that they want it; once. False when the link is too old, or they have said no since they were asked."""
    meant, subject = message.intention.payload.get("confirms"), message.intention.subject
    if not meant or not subject or now > datetime.fromisoformat(meant["until"]):
        return False
    purpose, asked_at = meant["purpose"], datetime.fromisoformat(meant["asked_at"])
    since = [each for each in _of(contacts.consent(subject), purpose, channel) if each.at >= asked_at]
    if any(standing(each.state) in REFUSALS for each in since):
        return False
    if not any(each.state == "given" for each in since):
        evidence = f"link in message {message.message_id}"
        word = ConsentEvent(subject, purpose, channel, "given", now, evidence, meant["text_version"])
        contacts.add_consent([word], now, "confirmation")
    return True


def _of(said: Iterable[ConsentEvent], purpose: str, channel: str) -> Iterator[ConsentEvent]:
    return (each for each in said if each.purpose == purpose and each.channel in (channel, ALL_CHANNELS))
