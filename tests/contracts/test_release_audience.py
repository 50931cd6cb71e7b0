"""Whom a release reaches: those who are on its list when it leaves, while that is switched on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from release_world import NOW, ReleaseWorld, agreed

from caravan.assembly import lists
from caravan.warehouse.ledger import as_text

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    """Planned for three a day before it leaves."""
    world = ReleaseWorld(tmp_path, monkeypatch)
    world.now -= DAY
    world.people(*agreed("anna"), *agreed("ben"), *agreed("cara"))
    world.approve()
    world.plan()
    yield world
    world.controller.stop()


def sent(world: ReleaseWorld) -> list[str]:
    world.now = max(world.now, NOW)
    world.send()
    return [address.partition("@")[0] for address in world.received()]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("market: DE", "market: DE\nenabled: false", "the list letters is switched off"),
        ("purpose: marketing_email", "purpose: survey", "the list letters is for survey, the release for "),
        ("provenance: ", "provenance: bought # ", "there is no list 'letters' "),
    ],
)
def test_mail_waits_while_its_list_would_be_refused(world, caplog, old, new, why):
    path = world.config / "lists" / "letters.yml"
    approved = path.read_text()
    assert old in approved
    path.write_text(approved.replace(old, new))
    assert sent(world) == []
    assert why in caplog.text
    path.write_text(approved)
    world.now += HOUR / 2
    assert sent(world) == ["anna", "ben", "cara"]


def test_who_is_taken_off_the_list_gets_nothing_and_who_comes_back_does(world):
    world.people(*agreed("ben"), *agreed("cara"))
    assert world.plan()["letter"]["taken_back"] == 1
    assert world.states()["anna@example.com"] == "cancelled"
    world.people(*agreed("ben"), *agreed("anna"))
    counts = world.plan()["letter"]
    assert (counts["new"], counts["taken_back"], counts["again"]) == (0, 1, 1)
    assert sent(world) == ["anna", "ben"]
    with world.desk() as desk:
        assert desk.outbox.verify() is None


def test_nobody_is_taken_back_for_a_file_that_was_cut_off(world):
    world.people(*agreed("ben"))
    assert "taken_back" not in world.plan()["letter"]
    world.people(*agreed("anna"), *agreed("ben"), *agreed("dan"))
    assert (world.plan()["letter"]["new"], world.plan()["letter"]["new"]) == (1, 0)
    assert sent(world) == ["anna", "ben", "dan"]


def test_nobody_is_taken_back_for_a_file_that_is_written_while_it_is_read(world, monkeypatch):
    read = lists.people

    @contextmanager
    def cut_off(*given: object) -> Iterator[object]:
        world.people(*agreed("ben"))
        with read(*given) as rows:
            yield rows

    world.people(*agreed("anna"), *agreed("ben"), *agreed("dan"))
    with world.desk() as desk:
        lists.take_in(desk, desk.shelf.lists["letters"], world.now)
    with monkeypatch.context() as patched:
        patched.setattr(lists, "people", cut_off)
        assert "taken_back" not in world.plan()["letter"]
    world.people(*agreed("anna"), *agreed("ben"), *agreed("dan"))
    world.plan()
    assert sent(world) == ["anna", "ben", "dan"]


def test_who_was_on_the_way_while_the_list_was_read_is_taken_back_by_the_next_run(world):
    world.people(*agreed("ben"), *agreed("cara"))
    with world.desk() as desk:
        held = desk.outbox.claim("release", "letter", "w", world.now, NOW + HOUR, HOUR, 9)
        world.plan()
        for each in held:
            desk.outbox.wait(each, NOW, "quiet hours", world.now)
    assert world.plan()["letter"]["taken_back"] == 1
    assert sent(world) == ["ben", "cara"]


def test_after_a_restore_nobody_is_planned_again_who_may_have_got_it(world):
    world.people(*agreed("ben"), *agreed("cara"))
    world.plan()
    world.now = NOW
    with world.desk() as desk, desk.outbox._ledger.write() as ledger:
        ledger.rows("INSERT INTO outbox_restored VALUES (:at, :at)", {"at": as_text(NOW)})
    world.people(*agreed("anna"), *agreed("ben"), *agreed("cara"))
    assert "again" not in world.plan()["letter"]
    assert sent(world) == ["ben", "cara"]


def test_a_list_that_was_planned_as_it_is_is_not_read_again(world, monkeypatch):
    def read(*_: object) -> None:
        raise AssertionError("it was read")

    with monkeypatch.context() as patched:
        patched.setattr(lists, "people", read)
        assert world.plan()["letter"] == {"new": 0}


def test_who_gets_it_because_an_outlet_serves_more_is_planned(world):
    outlet, release = world.config / "outlets" / "letter.yml", world.folder / "release.yml"
    sound = outlet.read_text()
    outlet.write_text(f"{sound}markets: [GB]\n")
    release.write_text(f"{release.read_text()}revision: 2\n")
    world.approve()
    assert world.plan()["letter"]["new"] == 0
    world.now += HOUR
    outlet.write_text(sound)
    assert [world.plan()["letter"]["new"] for _ in range(2)] == [3, 0]
