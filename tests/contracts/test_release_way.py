"""A release from its files to site and mail over real SMTP: once each, as approved, and to nobody who must not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from release_world import NOW, ReleaseWorld, agreed

from caravan.assembly import feedback, releases, sending, shelf
from caravan.core.contacts import Suppression
from caravan.core.errors import Misconfigured, Rejected, Retryable
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
    assert mail["Caravan-Message-Id"] in mail["Message-ID"]
    assert mail.get_content_type() == "multipart/alternative"
    page = (world.home / "site" / "de-DE" / "autumn" / "index.html").read_text()
    assert "Teekannen im Herbst" in page and 'hreflang="en-GB"' in page
    assert "autumn" in (world.home / "site" / "sitemap.xml").read_text()


def test_its_author_does_not_approve_it(world):
    world.approve("maria")
    assert world.plan()["reasons"] == ["approved by its author alone: somebody else has to"]


def test_what_was_edited_after_the_approval_does_not_leave(world):
    world.approve()
    world.plan()
    text = world.folder / "de-DE.md"
    approved = text.read_text()
    text.write_text(approved.replace("unsere", "andere"))
    assert world.plan()["reasons"] == ["changed since it was approved"]
    assert world.send() == {"site": {"waiting": 2}, "letter": {"waiting": 4}}
    assert world.box.mails == [] and not (world.home / "site").exists()
    text.write_text(approved)
    world.now += timedelta(minutes=5)
    assert world.send()["letter"] == {"accepted": 3, "skipped": 1}


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
    assert world.plan()["reasons"] == ["changed since it was approved"]
    assert world.send() == {"site": {"waiting": 2}, "letter": {"waiting": 4}}
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
    assert world.send()["letter"] == {"accepted": 2, "skipped": 1, "unknown": 1}
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
