"""From a sign-up to the first mail: asked once, confirmed by a button, and nothing for who says nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from release_world import NOW, ReleaseWorld

from caravan.assembly import confirming, feedback, sending
from caravan.core.contacts import Suppression
from caravan.core.errors import Misconfigured
from caravan.warehouse import ledger_copy
from caravan.warehouse.ledger import FILE, SqliteLedger

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def signed_up(name: str, on: str = "2026-11-24", market: str = "DE") -> str:
    return f"{name}@example.com,{market},pending,{on}T08:00:00Z,form 7,v1,{name}"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    world = ReleaseWorld(tmp_path, monkeypatch)
    for module in (confirming, feedback):
        monkeypatch.setattr(module, "utc_now", lambda: world.now)
    append(world.config / "outlets" / "letter.yml", "confirm_url: https://www.example.com/confirm\n")
    append(world.config / "lists" / "letters.yml", "confirm: letter\n")
    world.people(signed_up("anna"), signed_up("ben", market="GB"))
    yield world
    world.controller.stop()


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def links(world: ReleaseWorld) -> dict[str, str]:
    """By address, the path of the link in each mail."""
    found = {}
    for to, mail in world.box.mails:
        text = mail.get_body(("plain",)).get_content()
        found[to] = text.partition("https://www.example.com/confirm/")[2].split()[0]
    return found


def test_who_confirms_gets_the_next_mail_and_who_does_not_gets_none(world):
    assert confirming.ask("test") == {"letters": 2}
    assert world.send() == {"letter": {"accepted": 2}}
    mails = dict(world.box.mails)
    assert mails["anna@example.com"]["Subject"] == "Bitte bestätigen: Neuigkeiten von Teapots"
    assert mails["ben@example.com"]["Subject"] == "Please confirm: news of Teapots"
    assert mails["ben@example.com"]["List-Unsubscribe"] is None
    html = mails["ben@example.com"].get_body(("html",)).get_content()
    assert "Confirm</a>" in html and "contract" not in html
    token = links(world)["anna@example.com"]
    with feedback.served(0) as address, world.desk() as desk:
        anna = desk.subject_of("anna@example.com")
        page = requests.get(f"{address}/confirm/{token}", timeout=5)
        assert (page.status_code, "Bestätigen</button>" in page.text) == (200, True)
        assert [each.state for each in desk.contacts.consent(anna)] == ["pending"], "to look is no yes"
        assert requests.post(f"{address}/confirm/{token[:-2]}xx", timeout=5).status_code == 404
        for _ in range(2):
            assert requests.post(f"{address}/confirm/{token}", timeout=5).status_code == 200
            assert [each.state for each in desk.contacts.consent(anna)] == ["pending", "given"]
            world.now += timedelta(minutes=1)
    world.box.mails.clear()
    world.approve()
    world.plan()
    assert world.send() == {"site": {"accepted": 2}, "letter": {"accepted": 1, "skipped": 1}}
    assert world.received() == ["anna@example.com"]
    for _ in range(2):
        assert confirming.ask("test") == {"letters": 0}
        world.now += DAY
    assert len(world.box.mails) == 1


def test_a_link_to_unsubscribe_confirms_nothing_and_the_other_way_round(world):
    confirming.ask("test")
    world.send()
    confirm = links(world)["anna@example.com"]
    key_id, facts, signature = confirm.split(".")[1:]
    assert key_id == "c1"
    with feedback.served(0) as address:
        answer = requests.post(f"{address}/1.k1.{facts}.{signature}", timeout=5)
    assert answer.status_code == 404


def test_a_language_that_is_none_keeps_nobody_back(world):
    rows = ["address,market,locale,consent_state,consent_at,consent_evidence,consent_text,first_name"]
    said = "pending,2026-11-24T08:00:00Z,form 7,v1"
    rows += [f"anna@example.com,DE,en-@@@,{said},Anna", f"ben@example.com,DE,en-US,{said},Ben"]
    (world.home / "lists" / "letters.csv").write_text("\n".join(rows) + "\n")
    assert confirming.ask("test") == {"letters": 2}
    world.send()
    subjects = {to: mail["Subject"] for to, mail in world.box.mails}
    assert subjects == {
        "anna@example.com": "Bitte bestätigen: Neuigkeiten von Teapots",
        "ben@example.com": "Please confirm: news of Teapots",
    }


def test_a_link_holds_so_many_days(world):
    confirming.ask("test")
    world.send()
    world.now += 7 * DAY + timedelta(minutes=1)
    with feedback.served(0) as address, world.desk() as desk:
        answer = requests.post(f"{address}/{links(world)['ben@example.com']}", timeout=5)
        assert (answer.status_code, "no longer valid" in answer.text) == (410, True)
        assert [each.state for each in desk.contacts.consent(desk.subject_of("ben@example.com"))] == ["pending"]


def test_who_is_not_asked(world):
    world.people(
        signed_up("old", "2026-11-01"),
        signed_up("daily", "2026-11-23"),
        signed_up("daily", "2026-11-24"),
        signed_up("twice"),
        signed_up("twice"),
        signed_up("complained"),
        "info@example.com,DE,pending,2026-11-24T08:00:00Z,form 7,v1,Info",
        signed_up("confirmed"),
        *(signed_up(f"filler{number}", "2026-01-01") for number in range(5)),
        "confirmed@example.com,DE,given,2026-11-24T09:00:00Z,form 7,v1,x",
    )
    with world.desk() as desk:
        gone = Suppression(desk.subject_of("complained@example.com"), "email", "complaint", NOW - DAY, "event")
        desk.contacts.suppress([gone], NOW)
    assert confirming.ask("test") == {"letters": 2}
    world.send()
    assert world.received() == ["daily@example.com", "twice@example.com"]


def test_what_was_promised_for_an_instant_does_not_wait_for_them(world):
    world.approve()
    world.now -= timedelta(seconds=20)
    world.plan()
    confirming.ask("test")
    with world.desk() as desk:
        (asking,) = desk.outbox.claim("loyalty", "letter", "w", world.now, world.now + DAY, DAY, 1)
        desk.outbox.wait(asking, NOW + timedelta(seconds=40), "quiet hours", world.now)
    assert sending.send("site") == {"accepted": 2}
    assert world.now == NOW
    world.now -= timedelta(seconds=20)
    sending.send("letter")
    assert world.now == NOW, "it did not wait until the mail that was put off was due"


def test_an_outlet_that_cannot_ask_is_told(world):
    path = world.config / "outlets" / "letter.yml"
    path.write_text(path.read_text().replace("confirm_url", "# confirm_url"))
    with pytest.raises(Misconfigured, match=r"'letter' is no outlet for mail with a `confirm_url`"):
        confirming.ask("test")
    assert sending.list_outlets() == []


def test_a_list_that_breaks_holds_back_no_other_one(world, monkeypatch):
    text = (world.config / "lists" / "letters.yml").read_text()
    (world.config / "lists" / "a.yml").write_text(text.replace("code: letters", "code: a"))
    take_in = confirming.lists.take_in
    monkeypatch.setattr(confirming.lists, "take_in", lambda *of: take_in(*of) if of[1].code == "letters" else 1 / 0)
    with pytest.raises(Misconfigured, match="list a: ZeroDivisionError: see the log"):
        confirming.ask("test")
    assert world.send() == {"letter": {"accepted": 2}}


def test_who_was_asked_after_the_backup_is_not_asked_again_after_its_restore(world, tmp_path):
    world.people(signed_up("anna"))
    with world.desk():
        made_at = world.now
    backup = tmp_path / "backup.sqlite"
    shutil.copy(world.home / FILE, backup)
    world.now += timedelta(minutes=10)
    confirming.ask("test")
    world.send()
    for each in world.home.glob(f"{FILE}*"):
        each.unlink()
    with SqliteLedger(backup) as source, SqliteLedger(world.home / FILE) as target:
        ledger_copy.restore(source, target, made_at, world.now)
    world.now += HOUR
    confirming.ask("test")
    world.send()
    assert world.received() == ["anna@example.com"]
    assert world.states() == {"anna@example.com": "unknown"}
    world.people(signed_up("anna"), f"ben@example.com,GB,pending,{world.now:%Y-%m-%dT%H:%M:%SZ},form 7,v1,ben")
    confirming.ask("test")
    world.send()
    assert world.received() == ["anna@example.com", "ben@example.com"], "who signs up since then is"
