"""A release from its files to site and mail over real SMTP: once each, as approved, and to nobody who must not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from release_world import NOW, ReleaseWorld, agreed, world_of_four

from caravan.assembly import releases, sending
from caravan.clients.mail.tokens import mark_of
from caravan.core.errors import Misconfigured, Rejected, Retryable

HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    yield from world_of_four(tmp_path, monkeypatch)


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


def test_a_release_of_mail_alone_says_so_too_though_its_text_names_the_reader(world):
    text = (world.folder / "release.yml").read_text()
    (world.folder / "release.yml").write_text(text.replace("[site, letter]", "[letter]"))
    page = world.folder / "de-DE.md"
    page.write_text(page.read_text().replace("Hier", "{{ first_name }}, hier"))
    world.approve()
    path = world.config / "outlets" / "letter.yml"
    path.write_text(path.read_text().replace("kind: smtp", "kind: smpt"))
    with pytest.raises(Misconfigured, match=r"letter\.yml"):
        world.plan()


def test_a_release_whose_folder_is_gone_is_held_and_says_so(world, caplog):
    world.approve()
    world.plan()
    shutil.rmtree(world.folder)
    assert world.send() == {"letter": {"held": 4}, "site": {"held": 2}}
    assert "held: its folder releases/autumn is gone: put it back" in caplog.text


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


def test_a_site_that_does_not_answer_keeps_no_other_one_s_lists_back(world):
    site = (world.config / "outlets" / "site.yml").read_text()
    (world.config / "outlets" / "another.yml").write_text(
        site.replace(": site\n", ": another\n", 1).replace("folder: site", "folder: another")
    )
    text = (world.folder / "release.yml").read_text()
    (world.folder / "release.yml").write_text(text.replace("[site, letter]", "[another, site]"))
    world.approve()
    world.plan()
    world.send()
    for folder in ("another", "site"):
        (world.home / folder / "sitemap.xml").unlink()
    (world.home / "another" / "sitemap.xml").mkdir()
    with pytest.raises(Misconfigured, match=r"another: sitemap\.xml"):
        sending.refresh_lists()
    assert "autumn" in (world.home / "site" / "sitemap.xml").read_text()


def test_nobody_is_asked_before_anything_is_due(world):
    world.approve()
    world.now -= 3 * HOUR
    world.approve()
    world.plan()
    assert sending.list_outlets() == []
    world.now = NOW - timedelta(seconds=30)
    assert sending.list_outlets() == ["letter", "site"]
