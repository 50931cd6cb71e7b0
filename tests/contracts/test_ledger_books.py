"""What releases keep beside the outbox, on both engines of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from places import LakePlace

from caravan.core.approval import Approval, Revocation
from caravan.core.contacts import Suppression
from caravan.core.privacy import ConsentEvent
from caravan.warehouse.contacts import StoredContacts
from caravan.warehouse.ledger import FILE, Ledger, PostgresLedger, SqliteLedger
from caravan.warehouse.lists import ListFault, ListUse, StoredLists, StoredReading
from caravan.warehouse.releases import StoredReleases

NOW = datetime(2026, 11, 25, 8, 30)
HOUR = timedelta(hours=1)


@pytest.fixture
def ledger(engine: str, new_place, tmp_path: Path) -> Iterator[Ledger]:
    place = new_place(engine, migrated=False)
    with SqliteLedger(tmp_path / FILE) if isinstance(place, LakePlace) else PostgresLedger(place.dsn) as ledger:
        yield ledger


def by(approver: str, at: datetime = NOW) -> Approval:
    return Approval("autumn", "hash", approver, at, "file")


def test_who_approves_again_after_a_revocation_is_taken_down(ledger):
    releases = StoredReleases(ledger)
    assert releases.approve([by("Omar"), by("Ann", NOW + 3 * HOUR)]) == 2
    revoked = Revocation("autumn", "hash", "Li", NOW + HOUR, "wrong price", "command")
    assert [releases.revoke([revoked]) for _ in range(2)] == [1, 0]
    assert releases.revocations("autumn") == [revoked]
    assert releases.revocations("winter") == []
    assert releases.approve([by("Omar", NOW + HOUR)]) == 0, "not after it"
    again = by("Omar", NOW + 2 * HOUR)
    assert releases.approve([again, by("Omar"), by("Omar", NOW + 3 * HOUR), by("Ann", NOW + 4 * HOUR)]) == 1
    assert releases.approvals("autumn") == [again, by("Ann", NOW + 3 * HOUR)]


def reading(reading_id: str, read_at: datetime = NOW) -> StoredReading:
    people = {"": 1, "DE": 2}
    return StoredReading(reading_id, "letters", "lists/letters.csv", "hash", NOW, read_at, 6, 3, 1, 2, people)


def test_what_was_read_of_a_list_comes_back_and_old_faults_go(ledger):
    lists = StoredLists(ledger)
    faults = [ListFault(number, "address", "BAD_ADDRESS", "the address is not valid") for number in range(2, 1503)]
    lists.keep_faults("one", faults[1:])
    assert lists.reading("one") is None, "it is not over"
    lists.keep_faults("one", faults[:3])
    lists.keep_faults("one", [])
    lists.keep(reading("one"))
    assert lists.reading("one") == reading("one")
    assert [each for some in lists.faults("one") for each in some] == faults
    lists.keep(reading("two", NOW + timedelta(days=90)))
    assert list(lists.faults("one")) != []
    lists.keep(reading("three", NOW + timedelta(days=91)))
    assert list(lists.faults("one")) == []
    assert [each.reading_id for each in lists.readings()] == ["one", "two", "three"]


def test_the_newest_use_of_a_list_comes_first(ledger):
    lists = StoredLists(ledger)
    first = ListUse("letters", "autumn", 1, "letter", "one", NOW)
    second = ListUse("letters", "winter", 1, "letter", "two", NOW + HOUR)
    for use in (first, second):
        lists.keep_use(use)
    assert lists.uses("letters") == [second, first]
    later = replace(first, reading_id="three", at=NOW + 2 * HOUR)
    lists.keep_use(later)
    assert lists.uses("letters") == [later, second]
    assert lists.uses("press") == []


def test_a_proof_is_put_in_once_and_a_suppression_lifted(ledger):
    contacts = StoredContacts(ledger)
    proofs = ("", "form 7", "form 8")
    said = [ConsentEvent("x", "marketing_email", "email", "given", NOW, proof, "v1") for proof in proofs]
    assert [contacts.add_consent([each], NOW, "list") for each in said] == [1, 1, 0]
    assert contacts.consent("x") == [said[1]]
    ended = Suppression("x", "email", "hard_bounce", NOW, "event")
    for subject in "xy":
        contacts.note_soft_bounce(subject, "email", NOW, "event")
    for at in (NOW, NOW + HOUR):
        contacts.suppress([ended], at)
        contacts.lift(ended, at, "li", "she wrote to us")
    assert contacts.suppressions("x", "email") == []
    assert [contacts.soft_bounces(subject, "email", NOW) for subject in "xy"] == [0, 1], "hers are counted anew"
    with ledger.read() as transaction:
        assert transaction.rows("SELECT COUNT(*) FROM suppression_lift") == [(2,)]
    assert contacts.key_print() is None
    assert [contacts.note_key_print(each) for each in ("a", "b")] == ["a", "a"]
