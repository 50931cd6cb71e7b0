"""What people said goes on counting, whatever becomes of keys, clocks, files and servers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from release_world import ReleaseWorld, agreed

from caravan.assembly.outbox import KEY_VARIABLE
from caravan.core.contacts import Suppression
from caravan.core.errors import Misconfigured

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    world = ReleaseWorld(tmp_path, monkeypatch)
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
