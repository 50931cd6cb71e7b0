"""Who may be written to now: suppression, the law and the clock, each by itself and in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from caravan import INCLUDE_DIR
from caravan.config.calendars import contact_spine
from caravan.config.loader import load
from caravan.core.contacts import Suppression, subject_of
from caravan.core.outbox import Intention, Key, Message, Skip, Wait
from caravan.core.privacy import ConsentEvent
from caravan.functions.outbox.gate import ContactGate
from caravan.warehouse.contacts import StoredContacts
from caravan.warehouse.ledger import FILE, SqliteLedger

NOW = datetime(2026, 11, 25, 9, 30)
DAY = timedelta(days=1)
ANNA = subject_of("anna@example.com", b"key")


@pytest.fixture(scope="module")
def configuration():
    return load(INCLUDE_DIR / "config")


@pytest.fixture
def contacts(tmp_path: Path) -> Iterator[StoredContacts]:
    with SqliteLedger(tmp_path / FILE) as ledger:
        yield StoredContacts(ledger)


@pytest.fixture
def gate(contacts: StoredContacts, configuration) -> ContactGate:
    markets = configuration.markets

    def hours(market: str, zone: str | None):
        return contact_spine(markets[market], "email", date(2027, 6, 1), zone)

    unasked = frozenset({"transactional", "service_message"})
    return ContactGate("email", contacts, configuration.privacy, {"DE": "GDPR", "US": "NONE"}, unasked, hours)


def message(purpose: str | None = "marketing_email", subject: str | None = ANNA, **payload: object) -> Message:
    intention = Intention(
        Key("release", "autumn", 1, "newsletter", "anna@example.com"),
        planned_for=NOW,
        not_after=NOW + DAY,
        content_hash="c",
        market_code="DE",
        purpose=purpose,
        subject=subject,
        payload=payload,
    )
    return Message(intention, "claimed", 1, NOW)


def consent(state: str, at: datetime, evidence: str = "form 7") -> ConsentEvent:
    return ConsentEvent(ANNA, "marketing_email", "email", state, at, evidence, "v1")


def opt_in(contacts: StoredContacts) -> None:
    events = [consent("pending", NOW - 3 * DAY), consent("given", NOW - 2 * DAY)]
    assert contacts.add_consent(events, NOW, "test") == 2
    assert contacts.add_consent(events, NOW, "test") == 0


def test_without_a_word_nobody_is_written_to(gate):
    assert gate.ask(message(), NOW) == Skip("not allowed: no_consent")


def test_a_customer_is_written_to_until_they_refuse(gate, contacts):
    assert gate.ask(message(is_customer=True), NOW) is None, "the soft opt-in of the GDPR's markets"
    assert gate.ask(message(is_customer=False), NOW) == Skip("not allowed: no_consent")
    contacts.add_consent([consent("objected", NOW)], NOW, "form")
    assert gate.ask(message(is_customer=True), NOW) == Skip("not allowed: objected")


def test_a_consent_opens_and_a_withdrawal_closes_at_once(gate, contacts):
    opt_in(contacts)
    assert gate.ask(message(), NOW) is None
    contacts.add_consent([consent("withdrawn", NOW)], NOW, "unsubscribe")
    assert gate.ask(message(), NOW) == Skip("not allowed: withdrawn")
    assert gate.ask(message(), NOW - timedelta(seconds=1)) is None, "a moment before it was said"


@pytest.mark.parametrize(
    ("reason", "marketing", "transactional"),
    [
        ("hard_bounce", "suppressed: hard_bounce", "suppressed: hard_bounce"),
        ("complaint", "suppressed: complaint", None),
        ("soft_bounces", "suppressed: soft_bounces", "suppressed: soft_bounces"),
    ],
)
def test_who_is_suppressed(gate, contacts, reason, marketing, transactional):
    opt_in(contacts)
    suppressed = Suppression(ANNA, "email", reason, NOW - DAY, "event 1")
    assert contacts.suppress([suppressed, suppressed], NOW) == 1
    assert gate.ask(message(), NOW) == Skip(marketing)
    assert gate.ask(message("transactional"), NOW) == (Skip(transactional) if transactional else None)
    assert contacts.suppressions(ANNA, "sms") == []


def test_at_night_it_waits_for_the_morning_of_where_the_person_is(gate, contacts):
    opt_in(contacts)
    night = datetime(2026, 11, 25, 22, 30)  # 23:30 in Berlin
    assert gate.ask(message(), night) == Wait(datetime(2026, 11, 26, 7, 0), "quiet hours")
    assert gate.ask(message(zone="America/Los_Angeles"), night) is None
    hasty = replace(message().intention, not_after=night + timedelta(hours=2))
    assert gate.ask(replace(message(), intention=hasty), night) == Wait(
        night + timedelta(hours=2, seconds=1), "quiet hours"
    )


def test_what_goes_to_nobody_in_particular_asks_nobody(gate):
    assert gate.ask(message(None, None), NOW) is None
    assert gate.ask(message(None), NOW) == Skip("nothing says what it is for")


def test_a_market_without_a_regime_is_a_no(gate, contacts):
    opt_in(contacts)
    object.__setattr__(gate, "regimes", {})
    assert gate.ask(message(), NOW) == Skip("not allowed: unknown_regime")


def test_soft_bounces_count_once_each(contacts):
    for evidence in ("a", "b", "a"):
        contacts.note_soft_bounce(ANNA, "email", NOW, evidence)
    assert contacts.soft_bounces(ANNA, "email", NOW - DAY) == 2
    assert contacts.soft_bounces(ANNA, "email", NOW + DAY) == 0


def test_a_subject_shows_no_address_and_depends_on_the_key():
    assert len(ANNA) == 32 and "anna" not in ANNA
    assert subject_of("anna@example.com", b"other") != ANNA == subject_of("anna@example.com", b"key")
