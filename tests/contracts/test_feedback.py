"""What comes back: once each, about the right message, and acted on before it is acknowledged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from caravan.core.feedback import Feedback, Kind, Received, Unreadable
from caravan.core.outbox import Accepted, Intention, Key, Message, Unknown
from caravan.functions.outbox.feedback import Desk, take_in, too_much
from caravan.warehouse.contacts import StoredContacts
from caravan.warehouse.feedback import StoredFeedback
from caravan.warehouse.ledger import FILE, SqliteLedger
from caravan.warehouse.outbox import StoredOutbox

NOW = datetime(2026, 11, 25, 12)
DAY = timedelta(days=1)


@dataclass
class World:
    """To anna a mail was accepted as `4711`, of ben's nobody knows; `acks` counts."""

    outbox: StoredOutbox
    contacts: StoredContacts
    notes: StoredFeedback
    acks: int = 0

    def message(self, name: str, object_id: str = "autumn") -> Message:
        found = self.outbox.get(Key("release", object_id, 1, "letter", name).message_id)
        assert found
        return found

    def come(self, *found: Feedback | Unreadable, outlet: str = "letter") -> Counter[str]:
        def ack() -> None:
            self.acks += 1

        desk = Desk(outlet, "email", self.outbox, self.contacts, self.notes, lambda: NOW)
        return take_in([Received(found, ack)], desk, NOW + DAY)

    def tell(self, kind: Kind, name: str = "anna", raw_id: str = "raw-1", **change: object) -> Feedback:
        given = {"message_id": self.message(name).message_id, "provider_id": None, "at": NOW, "detail": "550"}
        return Feedback(kind=kind, raw_id=raw_id, **(given | change))  # type: ignore[arg-type]

    def reasons(self, name: str = "anna") -> list[str]:
        return [each.reason for each in self.contacts.suppressions(name, "email")]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with SqliteLedger(tmp_path / FILE) as ledger:
        outbox = StoredOutbox(ledger)
        outbox.plan(
            [
                Intention(
                    Key("release", "autumn", 1, "letter", name),
                    NOW,
                    NOW + DAY,
                    "c",
                    purpose="marketing_email",
                    subject=name,
                )
                for name in ("anna", "ben")
            ],
            NOW,
            "me",
        )
        for each in outbox.claim("release", "letter", "one", NOW, NOW + DAY, DAY, 9):
            begun = outbox.begin(each, NOW)
            assert begun
            outbox.record(begun, Accepted("4711") if each.key.target == "anna" else Unknown("no answer"), NOW)
        yield World(outbox, StoredContacts(ledger), StoredFeedback(ledger))


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("accepted", "accepted"),
        ("delivered", "accepted"),
        ("hard_bounce", "accepted"),
        ("complaint", "accepted"),
        ("reject", "rejected"),
    ],
)
def test_it_is_evidence_of_what_nobody_knew(world, kind, state):
    assert world.come(world.tell(kind, "ben", provider_id="4712")) == Counter({kind: 1})
    found = world.message("ben")
    assert (found.state, found.provider_id, found.reason) == (state, "4712", f"evidence: {kind}")
    assert world.message("anna").state == "accepted"


def test_it_is_evidence_of_what_a_dead_worker_has_in_hand(world):
    key = Key("release", "autumn", 1, "letter", "cara")
    world.outbox.plan([Intention(key, NOW, NOW + DAY, "c", subject="cara")], NOW, "me")
    (message,) = world.outbox.claim("release", "letter", "one", NOW, NOW + DAY, timedelta(minutes=10), 9)
    begun = world.outbox.begin(message, NOW)
    assert world.come(world.tell("accepted", "cara", provider_id="4713")) == Counter(accepted=1)
    world.outbox.recover(NOW + timedelta(hours=1))
    assert (world.message("cara").state, world.message("cara").provider_id) == ("accepted", "4713")
    assert not world.outbox.record(begun, Unknown("no answer"), NOW), "and if it lives it comes too late"
    assert world.message("cara").state == "accepted"


def test_it_is_evidence_also_when_its_worker_gives_up_just_then(world, monkeypatch):
    key = Key("release", "autumn", 1, "letter", "cara")
    world.outbox.plan([Intention(key, NOW, NOW + DAY, "c", subject="cara")], NOW, "me")
    (claimed,) = world.outbox.claim("release", "letter", "one", NOW, NOW + DAY, timedelta(minutes=10), 9)
    begun = world.outbox.begin(claimed, NOW)
    settle = world.outbox.settle

    def after_the_worker(*what: object) -> bool:
        world.outbox.record(begun, Unknown("no answer"), NOW)
        return settle(*what)

    monkeypatch.setattr(world.outbox, "settle", after_the_worker)
    world.come(world.tell("delivered", "cara"))
    assert (world.acks, world.message("cara").state) == (1, "accepted")


@pytest.mark.parametrize(
    ("kind", "reasons"),
    [("hard_bounce", ["hard_bounce"]), ("complaint", ["complaint"]), ("delivered", []), ("soft_bounce", [])],
)
def test_who_is_not_written_to_any_more(world, kind, reasons):
    world.come(world.tell(kind))
    assert world.reasons() == reasons
    assert world.reasons("ben") == []


def test_who_blocks_us_is_not_struck_off(world):
    for number in range(9):
        world.come(world.tell("blocked", raw_id=f"raw-{number}"))
    assert world.reasons() == []


def test_three_soft_bounces_in_two_weeks_are_a_hard_one(world):
    for number, days in enumerate((20, 10, 5)):
        world.come(world.tell("soft_bounce", raw_id=f"raw-{number}", at=NOW - days * DAY))
        world.come(world.tell("soft_bounce", raw_id=f"raw-{number}", at=NOW - days * DAY))
        assert world.reasons() == []
    world.come(world.tell("soft_bounce", raw_id="raw-9"))
    assert world.reasons() == ["soft_bounces"]


def test_whoever_unsubscribes_is_asked_no_more_for_that_purpose(world):
    world.come(world.tell("unsubscribe"))
    (said,) = world.contacts.consent("anna")
    assert (said.purpose, said.channel, said.state, said.at) == ("marketing_email", "email", "withdrawn", NOW)
    assert world.reasons() == [], "what a contract asks to be told still comes"


@pytest.mark.parametrize("at", [NOW + DAY, NOW - DAY])
def test_an_unsubscription_counts_from_when_it_was_said_and_at_once(world, at):
    world.come(world.tell("unsubscribe", at=at))
    assert [each.at for each in world.contacts.consent("anna")] == [min(at, NOW)]


def test_told_again_it_changes_nothing(world):
    told = world.tell("hard_bounce", "ben")
    assert world.come(told) == Counter(hard_bounce=1)
    before = world.outbox.events(world.message("ben").message_id)
    assert world.come(told, told) == Counter({"told before": 2})
    assert world.outbox.events(world.message("ben").message_id) == before
    assert world.notes.counts("letter", NOW - DAY) == {"hard_bounce": 1}


def test_the_other_side_s_id_tells_which_mail_it_is(world):
    world.come(world.tell("complaint", message_id=None, provider_id="4711"))
    assert world.reasons() == ["complaint"]


@pytest.mark.parametrize(
    ("change", "outlet"),
    [
        ({"message_id": "0" * 32}, "letter"),
        ({"message_id": None, "provider_id": "9999"}, "letter"),
        ({"message_id": None, "provider_id": None}, "letter"),
        ({}, "other"),
    ],
)
def test_what_is_about_no_message_of_ours_changes_none(world, change, outlet):
    assert world.come(world.tell("complaint", **change), outlet=outlet) == Counter({"unknown message": 1})
    assert world.reasons() == [] and world.acks == 1
    assert world.notes.counts(outlet, NOW - DAY) == {"unreadable": 1}, "no complaint about mails of ours"


@pytest.mark.parametrize(
    ("sent", "came", "words"),
    [
        (99, {"complaint": 99}, None),
        (1000, {"complaint": 2, "hard_bounce": 25}, None),
        (1000, {"complaint": 3}, "3 of 1,000 mails were called spam, and 0.2% is the limit"),
        (1000, {"hard_bounce": 26, "soft_bounce": 500}, "26 of 1,000 mails went to addresses that there are not, and"),
        (100, {"complaint": 1}, None),
        (100, {"complaint": 2}, "2 of 100 mails were called spam"),
        (1000, {"unsubscribe": 500, "soft_bounce": 500}, None),
    ],
)
def test_too_much_stops_an_outlet(sent, came, words):
    found = too_much(sent, came)
    assert found.startswith(words) if words else found is None


def test_what_came_is_counted_by_mails_that_left_since(world):
    for raw_id in ("raw-1", "raw-2"):
        world.come(world.tell("complaint", raw_id=raw_id), world.tell("hard_bounce", "ben", raw_id=raw_id))
    world.come(world.tell("complaint", message_id=None, provider_id="4711", raw_id="raw-3"))
    assert world.notes.of_mails_since("letter", NOW) == {"complaint": 1, "hard_bounce": 1}
    assert world.notes.of_mails_since("letter", NOW + timedelta(seconds=1)) == {}
    assert world.notes.of_mails_since("other", NOW) == {}


def test_all_that_has_come_is_taken_in_until_the_turn_is_over(world):
    times = iter(NOW + timedelta(seconds=second) for second in range(10_000))
    desk = Desk("letter", "email", world.outbox, world.contacts, world.notes, lambda: next(times))
    come = [Received((Unreadable("is no JSON", f"raw-{number}"),), lambda: None) for number in range(1500)]
    assert take_in(come, desk, NOW + DAY) == Counter(unreadable=1500)
    acked: list[str] = []
    more = [Received((world.tell("delivered", raw_id=name),), lambda name=name: acked.append(name)) for name in "abc"]
    left = iter(more)
    assert take_in(left, desk, next(times) + timedelta(seconds=2)) == Counter(delivered=1)
    assert acked == ["a"]


def test_what_cannot_be_read_is_noted_and_acknowledged(world):
    assert world.come(Unreadable("is forged", "raw-7")) == Counter(unreadable=1)
    assert world.notes.counts("letter", NOW - DAY) == {"unreadable": 1}
    assert world.acks == 1


def test_what_could_not_be_stored_is_not_acknowledged(world, monkeypatch):
    monkeypatch.setattr(StoredContacts, "suppress", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        world.come(world.tell("complaint"))
    assert world.acks == 0
    assert world.notes.counts("letter", NOW - DAY) == {}
    monkeypatch.undo()
    assert world.come(world.tell("complaint")) == Counter(complaint=1)
    assert world.reasons() == ["complaint"]


def test_a_complaint_from_the_future_counts_from_now(world):
    world.come(world.tell("complaint", at=NOW + DAY))
    (found,) = world.contacts.suppressions("anna", "email")
    assert found.at == NOW
