"""Servers that say no: not now is asked again while there is time, no for good is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from release_world import NOW, ReleaseWorld, agreed

from caravan.assembly import sending
from caravan.core.errors import Rejected
from caravan.core.outbox import Intention, Key, Refused

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    world = ReleaseWorld(tmp_path, monkeypatch)
    yield world
    world.controller.stop()


def answers(world: ReleaseWorld, monkeypatch: pytest.MonkeyPatch, *said: str) -> None:
    """One after the other, the last again and again; what is not there is taken."""
    left, take = list(said), type(world.box).handle_DATA

    async def handle_data(server, session, envelope) -> str:
        answer = left.pop(0) if len(left) > 1 else left[0]
        return answer or await take(world.box, server, session, envelope)

    monkeypatch.setattr(world.box, "handle_DATA", handle_data, raising=False)


def test_a_mail_server_that_is_ill_for_long_loses_no_mail_that_is_in_time(world, monkeypatch):
    answers(world, monkeypatch, *["451 4.3.0 try later"] * 7, "")
    world.people(*agreed("anna"))
    world.approve()
    world.plan()
    for _ in range(8):
        sending.send("letter")
        sending.verdict()
        world.now += 15 * MINUTE
    assert world.received() == ["anna@example.com"]


def test_that_a_list_is_refused_is_told_for_a_while(world, monkeypatch):
    answers(world, monkeypatch, "554 5.7.1 your server is on a list", "554 5.7.1 your server is on a list", "")
    world.people(*[row for number in range(20) for row in agreed(f"p{number}")])
    world.approve()
    world.plan()
    assert world.send()["letter"] == {"rejected": 2, "accepted": 18}
    with pytest.raises(Rejected, match=r"MESSAGES_REFUSED: refused for good \(letter: 2\)"):
        sending.verdict()
    world.now += sending.TOLD_FOR + MINUTE
    sending.verdict()


def test_that_some_addresses_of_a_list_are_refused_is_not_told(world, monkeypatch):
    answers(world, monkeypatch, "554 5.7.1 no", "")
    world.people(*[row for number in range(20) for row in agreed(f"p{number}")])
    world.approve()
    world.plan()
    assert world.send()["letter"] == {"rejected": 1, "accepted": 19}
    sending.verdict()


def test_that_one_page_or_post_is_refused_is_told(world):
    with world.desk() as desk:
        key = Key("release", "autumn", 1, "toots", "en-GB")
        desk.outbox.plan([Intention(key, NOW, NOW + 5 * MINUTE, "c")], NOW, "test")
        (claimed,) = desk.outbox.claim("release", "toots", "one", NOW, NOW + MINUTE, MINUTE, 1)
        begun = desk.outbox.begin(claimed, NOW)
        assert begun and desk.outbox.record(begun, Refused("422 too long"), NOW)
    with pytest.raises(Rejected, match=r"MESSAGES_REFUSED: refused for good \(toots: 1\)"):
        sending.verdict()
