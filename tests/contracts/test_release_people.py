"""What people said goes on counting, whatever becomes of keys, clocks, files and servers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from release_world import ReleaseWorld, agreed

from caravan.assembly import feedback, lists, releases
from caravan.assembly.outbox import KEY_VARIABLE
from caravan.assembly.shelf import read_shelf
from caravan.clients.mail import mailbox
from caravan.clients.mail.bounces import Reports
from caravan.core.contacts import Suppression
from caravan.core.errors import Misconfigured
from caravan.core.feedback import Received
from caravan.core.outbox import Key
from caravan.warehouse import ledger_copy
from caravan.warehouse.ledger import FILE, SqliteLedger

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    world = ReleaseWorld(tmp_path, monkeypatch)
    monkeypatch.setattr(feedback, "utc_now", lambda: world.now)
    yield world
    world.controller.stop()


def test_a_shell_with_another_key_plans_nothing(world, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "a" * 40)
    world.people(*agreed("anna"))
    with world.desk() as desk:
        ended = Suppression(desk.subject_of("anna@example.com"), "email", "complaint", world.now, "x")
        desk.contacts.suppress([ended], world.now)
    world.approve()
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(Misconfigured, match=KEY_VARIABLE):
        world.plan()
    monkeypatch.setenv(KEY_VARIABLE, "a" * 40)
    world.plan()
    world.send()
    assert world.received() == []


def said(world: ReleaseWorld, name: str) -> list[str]:
    with world.desk() as desk:
        return [each.state for each in desk.contacts.consent(desk.subject_of(f"{name}@example.com"))]


def revise(world: ReleaseWorld, when: str) -> None:
    """Revision 2 of the release, at another time of the day, approved and planned."""
    path = world.folder / "release.yml"
    text = path.read_text().replace("list: letters", "list: letters\nrevision: 2")
    path.write_text(text.replace("T09:30:00Z", f"T{when}:00Z"))
    world.approve()
    world.plan()


def unsubscribe(world: ReleaseWorld) -> requests.Response:
    """With the link in the first mail that came."""
    token = world.box.mails[0][1]["List-Unsubscribe"].strip("<>").rpartition("/")[2]
    with feedback.served(0) as address:
        return requests.post(f"{address}/unsubscribe/{token}", timeout=5)


def test_a_yes_of_later_is_not_taken_for_one_of_each_reading(world):
    # The shop writes Tokyo's clock without a zone.
    later = "anna@example.com,GB,given,2026-11-25T17:00:00,form 7,v1,anna"
    world.people(*agreed("anna", "GB"), later)
    world.approve()
    assert world.plan()["letter"]["bad"] == 1
    world.send()
    world.now += 10 * MINUTE
    assert unsubscribe(world).status_code == 200
    world.box.mails.clear()
    world.now += 30 * MINUTE
    world.people(*agreed("anna", "GB"), later, *agreed("new", "GB"))
    revise(world, "10:15")
    world.now += 10 * MINUTE
    world.send()
    assert world.received() == ["new@example.com"]
    assert said(world, "anna") == ["pending", "given", "withdrawn"]


def test_what_was_not_yet_said_counts_from_its_moment_on(world):
    world.people("anna@example.com,DE,given,2026-11-25T10:00:00Z,form 7,v1,anna")
    with world.desk() as desk:
        of_list, readings = desk.shelf.lists["letters"], []
        for minutes in (0, 29, 31, 32, 60 * 26, 60 * 27):
            readings.append(lists.take_in(desk, of_list, world.now + minutes * MINUTE))
    assert [each.bad for each in readings] == [1, 1, 0, 0, 0, 0]
    assert len({each.reading_id for each in readings}) == 3, "as seldom as it can be"
    assert said(world, "anna") == ["given"]


def test_an_approval_of_no_time_holds_back_its_own_release_alone(world):
    other = shutil.copytree(world.folder, world.folder.with_name("aaa"))
    release = (other / "release.yml").read_text().replace("id: autumn", "id: aaa")
    (other / "release.yml").write_text(release.replace("T09:30:00Z", "T09:29:00Z"))
    world.people(*agreed("anna"))
    world.approve()
    world.plan()
    releases.plan("aaa", "test")
    signed = other / "approvals.yml"
    signed.write_text(signed.read_text().replace("2026-11-25T08:30:00Z", "9999-12-31T23:59:59-01:00"))
    world.send()
    assert world.received() == ["anna@example.com"]
    with world.desk() as desk:
        found = [each for each in desk.outbox.find(state="planned") if each.key.outlet == "letter"]
        assert [each.key.object_id for each in found] == ["aaa"]
    (reason,) = releases.standings(world.settings, read_shelf(world.config))["aaa"].reasons
    assert "is no time" in reason


def test_a_proof_that_was_put_in_later_counts(world):
    world.people(*[row.replace("form 7", "") for row in agreed("anna")])
    world.approve()
    world.plan()
    assert world.send()["letter"] == {"skipped": 1}
    world.people(*agreed("anna"))
    revise(world, "09:31")
    world.now += MINUTE
    world.send()
    assert world.received() == ["anna@example.com"]
    world.people(*[row.replace("form 7", "form 8") for row in agreed("anna")])
    with world.desk() as desk:
        lists.take_in(desk, desk.shelf.lists["letters"], world.now)
        proofs = {each.evidence for each in desk.contacts.consent(desk.subject_of("anna@example.com"))}
    assert proofs == {"form 7"}, "one that is there stays"


def test_nobody_is_told_unsubscribed_whose_mail_the_restored_outbox_does_not_know(world):
    with world.desk():
        pass
    made_at, backup = world.now, world.home / "backup.sqlite"
    shutil.copy(world.home / FILE, backup)
    world.people(*agreed("anna"))
    world.approve()
    world.plan()
    world.send()
    for path in world.home.glob(f"{FILE}*"):
        path.unlink()
    world.now += 60 * MINUTE
    with SqliteLedger(backup) as source, SqliteLedger(world.home / FILE) as target:
        ledger_copy.restore(source, target, made_at, world.now)
    assert unsubscribe(world).status_code == 503
    world.plan()
    assert unsubscribe(world).status_code == 200
    assert "withdrawn" in said(world, "anna")
    world.send()
    assert world.received() == ["anna@example.com"], "once"


def test_a_forged_bounce_ends_nothing(world, monkeypatch):
    outlet = world.config / "outlets" / "letter.yml"
    outlet.write_text(outlet.read_text() + "bounces: {connection: imap_bounces}\n")
    monkeypatch.setenv("AIRFLOW_CONN_IMAP_BOUNCES", json.dumps({"conn_type": "imap", "host": "127.0.0.1"}))
    world.people(*agreed("anna"), *agreed("victim"))
    world.approve()
    world.plan()
    world.send()
    content = (Path(__file__).parents[1] / "fixtures" / "mail" / "unknown_user.eml").read_text()
    content = content.replace("shop.example", "example.com")

    def bounced(mark: str) -> dict[str, int]:
        """What comes of a bounce that brings this back."""
        report = content.replace("0123456789abcdef" * 2, mark).encode()

        def receive(connection: object, reports: Reports, *more: object) -> list[Received]:
            return [Received(reports.parse(report, world.now), lambda: None)]

        monkeypatch.setattr(mailbox, "receive", receive)
        return feedback.collect("letter")

    own = dict(world.box.mails)["anna@example.com"]["Caravan-Message-Id"]
    victim = Key("release", "autumn", 1, "letter", "victim@example.com").message_id
    assert bounced(victim) == bounced(victim + own[32:]) == {"unreadable": 1}
    assert bounced(own) == {"hard_bounce": 1}
    with world.desk() as desk:
        subjects = [desk.subject_of(f"{name}@example.com") for name in ("anna", "victim")]
        assert [len(desk.contacts.suppressions(each, "email")) for each in subjects] == [1, 0]


def test_who_reads_a_market_s_second_language_gets_it_whatever_country_their_tag_names(world):
    text = (world.folder / "release.yml").read_text()
    for old, new in (("[DE, GB]", "[AE]"), ("source_locale: en-GB", "source_locale: en")):
        text = text.replace(old, new)
    (world.folder / "release.yml").write_text(text)
    (world.folder / "en-GB.md").rename(world.folder / "en.md")
    (world.folder / "de-DE.md").rename(world.folder / "ar.md")
    wanted = {"a": "en-AE", "b": "en", "c": "ar-AE", "d": ""}
    rows = ["address,market,locale,first_name", *(f"{name}@example.com,AE,{tag},x" for name, tag in wanted.items())]
    (world.home / "lists" / "letters.csv").write_text("\n".join(rows) + "\n")
    world.approve()
    world.plan()
    with world.desk() as desk:
        found = {each.key.target[0]: each.intention.locale for each in desk.outbox.find() if each.intention.subject}
    assert found == {"a": "en", "b": "en", "c": "ar", "d": "ar"}
