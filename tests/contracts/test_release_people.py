"""Whom a release reaches: those who are on its list when it leaves, while that is switched on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from release_world import NOW, ReleaseWorld, agreed

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
def test_mail_waits_while_its_list_would_be_refused(world, old, new, why):
    path = world.config / "lists" / "letters.yml"
    approved = path.read_text()
    assert old in approved
    path.write_text(approved.replace(old, new))
    assert sent(world) == []
    with world.desk() as desk:
        (said,) = {each.reason for each in desk.outbox.find(state="planned")}
    assert said.startswith(why)
    path.write_text(approved)
    world.now += HOUR / 2
    assert sent(world) == ["anna", "ben", "cara"]
