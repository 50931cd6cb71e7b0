"""Who is asked to confirm that it was they who signed up, and what their answer is worth."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from caravan.core.outbox import Intention, Key, Message
from caravan.core.privacy import ConsentEvent
from caravan.functions.outbox.confirming import confirm, confirms, is_to_be_asked
from caravan.warehouse.contacts import StoredContacts
from caravan.warehouse.ledger import FILE, SqliteLedger

NOW = datetime(2026, 11, 25, 9, 30)
DAY = timedelta(days=1)
WEEK = 7 * DAY
ASKED = NOW - DAY


def said(state: str, at: datetime, purpose: str = "marketing_email", channel: str = "email") -> ConsentEvent:
    return ConsentEvent("anna", purpose, channel, state, at, "form 7", "v1")


@pytest.mark.parametrize(
    ("events", "asked_at", "expected"),
    [
        ([], ASKED, True),
        ([said("pending", ASKED)], ASKED, True),
        ([], NOW - WEEK - DAY, False),
        ([], NOW + DAY, False),
        ([said("given", NOW)], ASKED, False),
        ([said("withdrawn", NOW)], ASKED, False),
        ([said("objected", NOW, channel="all")], ASKED, False),
        ([said("withdrawn", NOW - 2 * DAY)], ASKED, True),
        ([said("withdrawn", NOW, purpose="survey")], ASKED, True),
        ([said("withdrawn", NOW, channel="sms")], ASKED, True),
        ([said("pending", NOW - 2 * DAY)], ASKED, False),
        ([said("pending", NOW - WEEK - DAY)], ASKED, True),
    ],
)
def test_who_is_asked(events, asked_at, expected):
    assert is_to_be_asked(events, "marketing_email", "email", asked_at, NOW, WEEK) is expected


@pytest.fixture
def contacts(tmp_path: Path) -> Iterator[StoredContacts]:
    with SqliteLedger(tmp_path / FILE) as ledger:
        yield StoredContacts(ledger)


def message(**payload: object) -> Message:
    key = Key("loyalty", "letters", 1, "letter", "anna@example.com")
    intention = Intention(key, NOW, NOW + WEEK, "hash", purpose="service_message", subject="anna", payload=payload)
    return Message(intention, "accepted", 1, NOW)


ASKING = message(confirms=confirms("marketing_email", ASKED, NOW + WEEK, "v1"))


def test_a_yes_is_taken_down_once_with_the_mail_as_evidence(contacts):
    contacts.add_consent([said("pending", ASKED)], NOW, "list")
    assert [confirm(ASKING, contacts, "email", NOW + number * DAY) for number in range(2)] == [True, True]
    (word,) = [each for each in contacts.consent("anna") if each.state == "given"]
    evidence = f"link in message {ASKING.message_id}"
    assert word == ConsentEvent("anna", "marketing_email", "email", "given", NOW, evidence, "v1")


@pytest.mark.parametrize(
    ("asking", "events", "now"),
    [
        (ASKING, [], NOW + WEEK + DAY),
        (ASKING, [said("withdrawn", NOW)], NOW + DAY),
        (ASKING, [said("given", ASKED), said("withdrawn", NOW)], NOW + DAY),
        (message(), [], NOW),
    ],
)
def test_a_link_that_is_too_old_or_was_answered_with_a_no_gives_nothing(contacts, asking, events, now):
    contacts.add_consent(events, NOW, "list")
    assert not confirm(asking, contacts, "email", now)
    assert contacts.consent("anna") == events
