"""To whom a release goes: who is not there, who says no, who has had enough, and lists that do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from release_world import NOW, Box, ReleaseWorld, a_release_more, agreed, world_of_four

from caravan.assembly import feedback, releases
from caravan.core.contacts import Suppression
from caravan.core.errors import Rejected
from caravan.core.outbox import Accepted, Intention, Key
from caravan.core.privacy import ConsentEvent

HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    yield from world_of_four(tmp_path, monkeypatch)


def test_who_is_not_there_is_not_written_to_again(world, monkeypatch):
    async def refuse(self, server, session, envelope, address, options) -> str:
        if address.startswith("anna"):
            return "550 5.1.1 User unknown"
        envelope.rcpt_tos.append(address)
        return "550 5.7.1 Not today" if address.startswith("ben") else "250 OK"

    monkeypatch.setattr(Box, "handle_RCPT", refuse, raising=False)
    world.approve()
    world.plan()
    assert world.send()["letter"] == {"accepted": 1, "rejected": 2, "skipped": 1}
    with world.desk() as desk:
        subjects = {each.key.target: each.intention.subject for each in desk.outbox.find() if each.intention.subject}
        ended = {name: desk.contacts.suppressions(subject, "email") for name, subject in subjects.items()}
    (found,) = ended.pop("anna@example.com")
    assert found.reason == "hard_bounce" and NOW <= found.at < NOW + timedelta(seconds=1)
    assert not any(ended.values()), "what is refused to ben says nothing of his address"


def test_who_says_no_between_planning_and_sending_gets_nothing(world):
    world.approve()
    world.plan()
    with world.desk() as desk:
        anna, ben = desk.subject_of("anna@example.com"), desk.subject_of("ben@example.com")
        no = ConsentEvent(anna, "marketing_email", "email", "withdrawn", NOW - HOUR, "click", "v1")
        desk.contacts.add_consent([no], NOW, "unsubscribe")
        desk.contacts.suppress([Suppression(ben, "email", "complaint", NOW - HOUR, "event")], NOW)
    assert world.send()["letter"] == {"accepted": 1, "skipped": 3}
    assert world.received() == ["chloe@example.com"]


@pytest.mark.parametrize(("purpose", "is_left_out"), [("service_message", False), ("marketing_email", True)])
def test_what_has_to_be_sent_leaves_room_for_what_may(world, purpose, is_left_out):
    world.approve()
    world.plan()
    with world.desk() as desk:
        anna = desk.subject_of("anna@example.com")
        for number in range(5):
            key, until = Key("loyalty", str(number), 1, "letter", "anna@example.com"), NOW + HOUR
            intention = Intention(key, NOW, until, "c", subject=anna, purpose=purpose)
            desk.outbox.plan([intention], NOW, "test")
            (claimed,) = desk.outbox.claim("loyalty", "letter", "one", NOW, until, HOUR, 1)
            begun = desk.outbox.begin(claimed, NOW)
            assert begun and desk.outbox.record(begun, Accepted(), NOW)
    world.send()
    assert ("anna@example.com" not in world.received()) == is_left_out
    with world.desk() as desk:
        reasons = {each.key.target: each.reason for each in desk.outbox.find(object_id="autumn")}
    assert reasons["anna@example.com"] == ("over the cap of 2 in 1 days" if is_left_out else None)


def test_one_click_and_nothing_more_comes(world):
    world.approve()
    world.plan()
    world.send()
    mails = dict(world.box.mails)
    token = mails["anna@example.com"]["List-Unsubscribe"].strip("<>").rpartition("/")[2]
    with feedback.served(0) as address:
        assert requests.get(f"{address}/{token}", timeout=5).status_code == 200
        with world.desk() as desk:
            assert "withdrawn" not in [e.state for e in desk.contacts.consent(desk.subject_of("anna@example.com"))]
        answer = requests.post(f"{address}/{token}", data={"List-Unsubscribe": "One-Click"}, timeout=5)
        assert answer.status_code == 200
        assert requests.post(f"{address}/{token[:-2]}xx", timeout=5).status_code == 404
    text = (world.folder / "release.yml").read_text().replace("max_lateness", "revision: 2\nmax_lateness")
    (world.folder / "release.yml").write_text(text)
    world.now += timedelta(minutes=1)
    world.approve()
    world.plan()
    world.box.mails.clear()
    assert world.send()["letter"] == {"accepted": 2, "skipped": 2}
    assert world.received() == ["ben@example.com", "chloe@example.com"]


@pytest.mark.parametrize(
    ("file", "old", "new", "why"),
    [
        ("lists/letters.yml", "purpose: marketing_email", "purpose: survey", "the list letters is for survey"),
        ("lists/letters.yml", "audience: customer", "audience: press", "the list letters is of press"),
        ("lists/letters.yml", "provenance: ", "provenance: bought # ", "there is no list 'letters'"),
        ("lists/letters.yml", "lists/letters.csv", "lists/gone.csv", "lists/gone.csv is not in CARAVAN_HOME"),
    ],
)  # fmt: skip
def test_a_list_that_does_not_fit_is_refused(world, file, old, new, why):
    path = world.config / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    world.approve()
    with pytest.raises(Rejected, match=why):
        world.plan()
    assert world.box.mails == []


def test_a_list_that_has_lost_most_of_its_people_stops_mail_alone_until_somebody_says_that_it_may(world):
    world.approve()
    world.plan()
    world.people(*agreed("anna"))
    assert world.plan()["letter"]["new"] == 0, "what is planned once goes on"
    a_release_more(world)
    world.approve()
    with pytest.raises(Rejected, match=r"AUDIENCE_FELL: letter: the list letters held 4 people for DE, GB .* holds 1"):
        releases.plan("winter", "test")
    with world.desk() as desk:
        planned = [each.key.outlet for each in desk.outbox.find(object_id="winter")]
    assert planned == ["site", "site"], "everything else is"
    a_release_more(world, audience_may_fall="true", revision="2")
    assert releases.plan("winter", "test")["state"] == "in_review", "it is part of what is approved"
    world.approve()
    assert releases.plan("winter", "test")["letter"]["new"] == 1


def test_a_revision_is_compared_with_the_one_before_and_a_new_list_with_nothing(world):
    world.people(*agreed("anna"), *agreed("ben", "GB"), *agreed("chloe"))
    world.approve()
    assert world.plan()["letter"]["new"] == 3
    world.people(*agreed("anna"))
    text = (world.folder / "release.yml").read_text()
    (world.folder / "release.yml").write_text(f"{text}revision: 2\n")
    world.approve()
    with pytest.raises(Rejected, match=r"when autumn, revision 1, was planned on 2026-11-25, and holds 1: put lists/"):
        world.plan()
    world.people(*agreed("anna"), *agreed("ben", "GB"))
    assert world.plan()["letter"]["new"] == 2, "mended, it goes on"
