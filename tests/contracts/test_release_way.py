"""A release from its files to site and mail over real SMTP: once each, as approved, and to nobody who must not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests
from release_world import NOW, Box, ReleaseWorld, agreed

from caravan.assembly import feedback, releases, sending, shelf
from caravan.assembly.shelf import read_shelf
from caravan.clients.mail.tokens import mark_of
from caravan.core.contacts import Suppression
from caravan.core.errors import Misconfigured, Rejected, Retryable
from caravan.core.outbox import Accepted, Intention, Key
from caravan.core.privacy import ConsentEvent

HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    world = ReleaseWorld(tmp_path, monkeypatch)
    world.people(
        *agreed("anna"), *agreed("ben", "GB"), *agreed("chloe"), "dora@example.com,DE,,,,,Dora", "bad,DE,,,,,x"
    )
    yield world
    world.controller.stop()


def test_approved_planned_and_sent_once(world):
    assert world.plan() == {"state": "in_review", "reasons": ["approved by 0 of 1"]}
    assert world.states() == {}
    world.approve()
    counts = world.plan()
    assert counts == {
        "state": "planned",
        "new": 2,
        "letter": {"received": 8, "planned": 7, "new": 4, "bad": 1, "elsewhere": {}},
    }
    assert world.send() == {"site": {"accepted": 2}, "letter": {"accepted": 3, "skipped": 1}}
    assert world.received() == ["anna@example.com", "ben@example.com", "chloe@example.com"]
    assert world.states()["dora@example.com"] == "skipped", "never asked"
    for _ in range(2):
        world.plan()
        assert world.send() == {}
        world.now += timedelta(minutes=1)
    assert len(world.box.mails) == 3
    with world.desk() as desk:
        assert desk.outbox.verify() is None


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


def test_each_in_the_language_of_its_market_with_what_bulk_mail_needs(world):
    world.approve()
    world.plan()
    world.send()
    mails = dict(world.box.mails)
    assert mails["ben@example.com"]["Subject"] == "Autumn teapots"
    assert mails["anna@example.com"]["Subject"] == "Teekannen im Herbst"
    mail = mails["anna@example.com"]
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["List-Unsubscribe"].startswith("<https://www.example.com/unsubscribe/1.k1.")
    assert re.fullmatch(r"[0-9a-f]{32}\.[0-9a-f]{10}", mail["Caravan-Message-Id"])
    with world.desk() as desk:
        assert mail["Caravan-Message-Id"] == mark_of(desk.key)(mail["Caravan-Message-Id"][:32]), "for its bounces"
    assert mail["Message-ID"] == f"<{mail['Caravan-Message-Id']}@example.com>"
    assert mail.get_content_type() == "multipart/alternative"
    page = (world.home / "site" / "de-DE" / "autumn" / "index.html").read_text()
    assert "Teekannen im Herbst" in page and 'hreflang="en-GB"' in page
    assert "autumn" in (world.home / "site" / "sitemap.xml").read_text()


def test_mails_leave_at_the_rates_of_their_outlet(world):
    path = world.config / "outlets" / "letter.yml"
    path.write_text(path.read_text().replace("per_second: 1000", "per_second: 0.1\nper_domain_per_second: 0.05"))
    elsa = [row.replace("@example.com", "@example.org") for row in agreed("elsa")]
    world.people(*agreed("anna"), *agreed("chloe"), *elsa)
    world.approve()
    world.plan()
    assert world.send()["letter"]["accepted"] == 3
    with world.desk() as desk:
        rows = [each for each in desk.outbox.changes((0, ""), 9) if each["outlet"] == "letter"]
    at = {each["target"]: datetime.fromisoformat(each["handed_over_at"]) for each in rows}
    assert abs(at["anna@example.com"] - at["chloe@example.com"]) == timedelta(seconds=20)
    assert min(abs(at["elsa@example.org"] - at[f"{name}@example.com"]).seconds for name in ("anna", "chloe")) == 10


def test_first_those_outlets_that_no_other_run_sends_to(world):
    world.approve()
    world.plan()
    world.now -= timedelta(seconds=1)
    assert sending.list_outlets() == ["letter", "site"]
    with world.desk() as desk:
        until, lease = world.now + sending.TICK, timedelta(minutes=10)
        desk.outbox.claim("release", "letter", "another", world.now, until, lease, 1)
    assert sending.list_outlets() == ["site", "letter"]
    world.now += lease
    assert sending.list_outlets() == ["letter", "site"], "it has died"


def test_its_author_does_not_approve_it(world):
    world.approve("maria")
    assert world.plan()["reasons"] == ["approved by its author alone: somebody else has to"]


def test_what_was_edited_after_the_approval_does_not_leave(world):
    world.approve()
    world.plan()
    text = world.folder / "de-DE.md"
    approved = text.read_text()
    text.write_text(approved.replace("unsere", "andere"))
    with pytest.raises(Rejected, match="REVISION_USED"):
        world.plan()
    assert world.send() == {"site": {"held": 2}, "letter": {"held": 4}}
    assert world.box.mails == [] and not (world.home / "site").exists()
    text.write_text(approved)
    assert world.send()["letter"] == {"accepted": 3, "skipped": 1}


def test_a_picture_that_is_replaced_while_a_run_waits_for_its_instant_does_not_leave(world, monkeypatch):
    picture, text = world.folder / "pots.gif", world.folder / "en-GB.md"
    approved, other = b"GIF89a\3\0\2\0;", b"GIF89a\2\0\3\0;"
    picture.write_bytes(approved)
    text.write_text(f"{text.read_text()}\n![Six pots](pots.gif)\n")
    world.approve()
    world.plan()

    def replaced(seconds: float) -> None:
        picture.write_bytes(other)
        world.now += timedelta(seconds=seconds)

    monkeypatch.setattr(sending, "sleep", replaced)
    world.now = NOW - timedelta(seconds=30)
    assert sending.send("site") == {"accepted": 1, "rejected": 1}, "the German page has none"
    assert not (world.home / "site" / "en-GB" / "autumn").exists()
    world.now += timedelta(minutes=1)
    assert sending.send("site") == {"held": 1}
    picture.write_bytes(approved)
    assert sending.send("site") == {"accepted": 1}
    (sent,) = (world.home / "site" / "en-GB" / "autumn").glob("*.gif")
    assert sent.read_bytes() == approved


@pytest.mark.parametrize("path", ["site/page.html.j2", "mail/words.yml", "de-DE/site/page.html.j2"])
def test_a_template_that_was_changed_after_the_approval_voids_it(world, monkeypatch, path):
    templates = world.home / "templates"
    shutil.copytree(shelf.TEMPLATES, templates)
    monkeypatch.setattr(shelf, "TEMPLATES", templates)
    world.approve()
    world.plan()
    (templates / path).parent.mkdir(parents=True, exist_ok=True)
    with (templates / path).open("a") as file:
        file.write("\n")
    with pytest.raises(Rejected, match="REVISION_USED"):
        world.plan()
    assert world.send() == {"site": {"held": 2}, "letter": {"held": 4}}
    text = (world.folder / "release.yml").read_text()
    (world.folder / "release.yml").write_text(f"{text}revision: 2\n")
    assert world.plan()["reasons"] == ["changed since it was approved"]
    shown = releases.review("autumn")["body"]
    assert f"`{path}` {shelf.read_templates(templates)[path][:8]}" in shown


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


def test_too_late_is_missed_and_told(world):
    world.approve()
    world.plan()
    world.now += 3 * HOUR
    assert world.send() == {}
    assert set(world.states().values()) == {"missed"}
    assert world.box.mails == []
    with pytest.raises(Rejected, match=r"MESSAGES_MISSED: too late, and not sent \(letter: 4, site: 2\)"):
        sending.verdict()
    world.now += timedelta(minutes=16)
    sending.verdict()


def test_a_release_of_long_ago_sends_nothing_however_often_it_is_run(world):
    world.approve()
    world.now += timedelta(days=30)
    assert releases.list_releases() == []
    assert world.plan()["state"] == "over"
    assert world.send() == {} and world.box.mails == []


def test_a_lost_answer_is_not_sent_again(world):
    world.box.lose = 1
    world.approve()
    world.plan()
    assert world.send()["letter"] == {"accepted": 2, "skipped": 1, "unknown": 1, "unsettled": 1}
    for _ in range(3):
        world.now += timedelta(minutes=10)
        world.send()
    assert len(world.box.mails) == 3
    assert sorted(world.states().values()).count("unknown") == 1


def test_the_embargo_holds_whoever_sends(world):
    text = (world.folder / "release.yml").read_text()
    (world.folder / "release.yml").write_text(text + "embargo_until: 2026-11-25T10:00:00Z\n")
    world.approve()
    world.plan()
    assert world.send() == {"site": {"waiting": 2}, "letter": {"waiting": 4}}
    world.now = NOW + HOUR / 2
    assert world.send()["letter"] == {"accepted": 3, "skipped": 1}


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


def test_a_mail_server_that_is_down_costs_nobody_a_mail(world):
    world.approve()
    world.plan()
    world.controller.stop()
    with pytest.raises(Retryable):
        world.send()
    assert {state for target, state in world.states().items() if "@" in target} == {"planned"}
    world.start_mail()
    world.now += timedelta(minutes=3)
    assert world.send()["letter"] == {"accepted": 3, "skipped": 1}


def test_an_outlet_that_cannot_be_opened_keeps_no_other_back(world, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_SMTP_LETTER")
    world.approve()
    with pytest.raises(Misconfigured, match="smtp_letter"):
        world.plan()
    assert world.send() == {"site": {"accepted": 2}}


def test_an_outlet_with_a_fault_in_its_file_is_told_and_keeps_no_other_back(world):
    world.approve()
    path = world.config / "outlets" / "letter.yml"
    path.write_text(path.read_text().replace("sender:", "sendr:"))
    with pytest.raises(Misconfigured, match=r"letter\.yml"):
        world.plan()
    assert world.send() == {"site": {"accepted": 2}}


def test_a_newer_revision_takes_back_what_waits_of_the_older(world):
    text = (world.folder / "release.yml").read_text()
    (world.folder / "release.yml").write_text(text.replace("T09:30:00Z", "T12:30:00Z"))
    world.approve()
    world.plan()
    (world.folder / "release.yml").write_text(text + "revision: 2\n")
    world.approve()
    world.plan()
    assert world.send() == {"site": {"accepted": 2}, "letter": {"accepted": 3, "skipped": 1}}
    world.now += 4 * HOUR
    assert world.send() == {}
    with world.desk() as desk:
        old = {each.state for each in desk.outbox.find() if each.key.revision == 1}
    assert old == {"cancelled"} and len(world.box.mails) == 3


def test_lists_of_a_site_heal_when_a_worker_died_before_it_came_to_them(world):
    world.approve()
    world.plan()
    world.send()
    (world.home / "site" / "sitemap.xml").unlink()
    assert sending.refresh_lists() == ["site"]
    assert "autumn" in (world.home / "site" / "sitemap.xml").read_text()


def test_nobody_is_asked_before_anything_is_due(world):
    world.approve()
    world.now -= 3 * HOUR
    world.approve()
    world.plan()
    assert sending.list_outlets() == []
    world.now = NOW - timedelta(seconds=30)
    assert sending.list_outlets() == ["letter", "site"]


def a_release_more(world, **changes: str) -> None:
    """Another one to the same list, in a folder of its own."""
    folder = world.folder.with_name("winter")
    shutil.copytree(world.folder, folder, dirs_exist_ok=True)
    (folder / "approvals.yml").unlink(missing_ok=True)
    lines = "".join(f"{key}: {value}\n" for key, value in {"id": "winter", **changes}.items())
    text = (world.folder / "release.yml").read_text().replace("id: autumn\n", "")
    (folder / "release.yml").write_text(lines + text)


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


def test_what_is_revoked_is_held_until_it_is_approved_again(world, caplog):
    world.approve()
    world.plan()
    assert releases.revoke("autumn", "Li", "wrong price") == 1
    assert world.plan() == {"state": "in_review", "reasons": ["its approval was revoked by Li: wrong price"]}
    assert world.send() == {"site": {"held": 2}, "letter": {"held": 4}}
    assert world.box.mails == []
    assert "letter: autumn revision 1, 4 held: it is approved no longer: `caravan release list` says why" in caplog.text
    world.now += timedelta(minutes=6)
    world.approve()  # as of an hour ago
    assert world.send() == {"site": {"held": 2}, "letter": {"held": 4}}
    world.now += timedelta(minutes=65)
    world.approve()
    assert world.plan()["state"] == "planned"
    assert world.send() == {"site": {"accepted": 2}, "letter": {"accepted": 3, "skipped": 1}}


def test_a_file_revokes_while_mail_is_on_its_way_and_one_with_a_fault_holds_it_too(world):
    world.approve()
    world.plan()
    path = world.folder / "approvals.yml"
    signed = path.read_text()
    path.write_text(signed + "revokd: []\n")
    assert world.send() == {"site": {"held": 2}, "letter": {"held": 4}}
    world.now += timedelta(minutes=5)
    (content,) = releases.hashes(read_shelf(world.config)).values()
    said = f"{{by: Li, at: '2026-11-25T09:32:00Z', hash: '{content}', why: wrong price}}"
    path.write_text(f"{signed}revoked:\n  - {said}\n")
    assert world.send() == {"site": {"held": 2}, "letter": {"held": 4}}
    path.unlink()
    world.now += timedelta(minutes=2)
    assert world.send() == {"site": {"held": 2}, "letter": {"held": 4}}, "what was said stays said"


def test_a_revocation_stops_a_list_in_the_middle(world):
    world.approve()
    world.plan()
    take = world.box.handle_DATA

    async def revoked_after_one(server, session, envelope) -> str:
        releases.revoke("autumn", "Li", "wrong price")
        return await take(server, session, envelope)

    world.box.handle_DATA = revoked_after_one
    counts = sending.send("letter")
    assert (counts["accepted"], len(world.box.mails)) == (1, 1)
    assert counts["held"] >= 2


def test_nothing_is_revoked_that_nobody_has_approved(world):
    with pytest.raises(Rejected, match="NOT_APPROVED"):
        releases.revoke("autumn", "Li", "wrong price")
