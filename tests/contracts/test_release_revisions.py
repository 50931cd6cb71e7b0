"""A revision is one content, once: what is edited, or missed, has to be another one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from release_world import LETTER, ReleaseWorld, agreed

from caravan.assembly import releases
from caravan.assembly.shelf import read_shelf
from caravan.core.errors import Rejected
from caravan.core.outbox import SUPERSEDED

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
USED = "revision 1 was planned with other content: put its files back as they were then, or give it a new revision"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    world = ReleaseWorld(tmp_path, monkeypatch)
    world.people(*agreed("anna"))
    yield world
    world.controller.stop()


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def other_words(world: ReleaseWorld) -> None:
    edit(world.folder / "de-DE.md", "Hier sind", "Preis 5 EUR:")


def other_outlet(world: ReleaseWorld) -> None:
    (world.config / "outlets" / "second.yml").write_text(LETTER.replace("code: letter", "code: second"))
    edit(world.folder / "release.yml", "[site, letter]", "[site, second]")


@pytest.mark.parametrize("change", [other_words, other_outlet])
@pytest.mark.parametrize("has_left", [True, False])
def test_a_revision_is_not_planned_again_with_other_content(world, change, has_left):
    world.approve()
    world.plan()
    if has_left:
        world.send()
    change(world)
    with pytest.raises(Rejected, match="RELEASE_FAULTY") as refused:
        releases.review("autumn")
    assert USED in refused.value.message, "said before anybody approves"
    world.approve()
    world.people(*agreed("anna"), *agreed("ben"))
    found = releases.standings(world.settings, read_shelf(world.config))["autumn"]
    assert (found.state, found.reasons) == ("draft", (USED,))
    with pytest.raises(Rejected, match=f"REVISION_USED: autumn: {USED}"):
        world.plan()
    world.send()
    assert world.received() == ["anna@example.com"] * has_left
    edit(world.folder / "release.yml", "list: letters", "list: letters\nrevision: 2")
    world.approve()
    assert world.plan()["state"] == "planned"


def ben_misses_it(world: ReleaseWorld) -> None:
    """Anna gets it; ben's mail waits until it is too late for him."""
    world.people(*agreed("anna"), *agreed("ben"))
    world.approve()
    world.plan()
    with world.desk() as desk:
        for each in desk.outbox.claim("release", "letter", "w", world.now, world.now + DAY, DAY, 9):
            until = world.now + 3 * HOUR * each.key.target.startswith("ben")
            desk.outbox.wait(each, until, "throttled", world.now)
    world.send()
    world.now += 3 * HOUR
    world.send()
    assert (world.received(), world.states()["ben@example.com"]) == (["anna@example.com"], "missed")


def once_more(world: ReleaseWorld) -> None:
    edit(world.folder / "release.yml", "list: letters", "list: letters\nrevision: 2\nonly_missed: true")
    edit(world.folder / "release.yml", "09:30:00Z", "12:40:00Z")
    world.approve()


@pytest.mark.parametrize("change", [lambda world: None, other_outlet])
def test_a_later_revision_reaches_only_those_who_missed_it(world, change):
    ben_misses_it(world)
    change(world)
    once_more(world)
    assert "only whom no earlier revision has reached" in releases.review("autumn")["body"]
    assert sum(counts["new"] for counts in world.plan().values() if isinstance(counts, dict)) == 1
    world.now += 15 * timedelta(minutes=1)
    world.send()
    assert world.received() == ["anna@example.com", "ben@example.com"]


@pytest.mark.parametrize(
    ("outlets", "told"),
    [
        ("[site]", "(letter: 1): this one has no outlet for mail, so nobody gets it. "),
        ("[site, letter]", "(letter: 1): mail of this revision is planned instead"),
    ],
)
def test_what_a_correction_takes_back_is_told_before_it_is_approved_and_when(world, caplog, outlets, told):
    world.now -= 2 * HOUR
    world.approve()
    assert "taken_back" not in world.plan()
    edit(world.folder / "release.yml", "[site, letter]", outlets)
    edit(world.folder / "release.yml", "list: letters", "list: letters\nrevision: 2")
    body = releases.review("autumn")["body"]
    assert "mail of an older revision waits and is taken back" in body and told in body
    world.approve()
    assert world.plan()["taken_back"] == 3, "a mail and two pages"
    assert told in caplog.text
    assert "taken_back" not in world.plan() and "older revision" not in releases.review("autumn")["body"]
    with world.desk() as desk:
        assert {each.reason for each in desk.outbox.find(state="cancelled")} == {SUPERSEDED}


@pytest.mark.parametrize(("becomes", "mails"), [("accepted", []), ("rejected", ["anna@example.com"])])
def test_of_whom_nobody_knows_is_left_out_until_there_is_evidence(world, becomes, mails):
    world.approve()
    world.plan()
    world.box.lose = 1
    world.send()
    world.box.mails.clear()
    world.now += 3 * HOUR
    once_more(world)
    assert world.plan()["letter"]["elsewhere"] == {"reached before": 2}, "both of her rows"
    with world.desk() as desk:
        (lost,) = desk.outbox.find(state="unknown")
        desk.outbox.settle(lost, becomes, "the server's log", world.now, "Li")
    world.plan()
    world.now += 15 * timedelta(minutes=1)
    world.send()
    assert world.received() == mails
