"""What leaves is what was approved, and only while it is: edited, changed in a template, revoked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from release_world import NOW, ReleaseWorld, world_of_four

from caravan.assembly import releases, sending, shelf
from caravan.assembly.shelf import read_shelf
from caravan.core.errors import Rejected


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    yield from world_of_four(tmp_path, monkeypatch)


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


def test_an_approval_that_is_dated_ahead_is_revoked_too(world):
    world.approve()
    path = world.folder / "approvals.yml"
    path.write_text(path.read_text().replace("2026-11-25T08:30", "2026-11-25T10:00"))
    assert "T10:00" in path.read_text()
    releases.revoke("autumn", "Li", "wrong price")
    world.now += timedelta(hours=1)
    assert world.plan() == {"state": "in_review", "reasons": ["its approval was revoked by Li: wrong price"]}


def test_nothing_is_revoked_that_nobody_has_approved(world):
    with pytest.raises(Rejected, match="NOT_APPROVED"):
        releases.revoke("autumn", "Li", "wrong price")
