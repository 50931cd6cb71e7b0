"""A revision is one content, once: what is edited, or missed, has to be another one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from release_world import LETTER, ReleaseWorld, agreed

from caravan.assembly import releases
from caravan.assembly.shelf import read_shelf
from caravan.core.errors import Rejected

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
