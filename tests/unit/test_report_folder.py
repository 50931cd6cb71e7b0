"""The report's folder: all pages of one state or all of another, and the old ones after any failure."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from caravan.reporting import folder
from caravan.reporting.folder import swap

PAGES = {"index.html": "one", "quality.html": "one", "market/DE.html": "one"}


def state(target: Path) -> dict[str, str]:
    return {path: (target / path).read_text(encoding="utf-8") for path in PAGES if (target / path).exists()}


def of(text: str) -> dict[str, str]:
    return dict.fromkeys(PAGES, text)


def seen(target: Path) -> set[str]:
    return {path.name for path in target.iterdir() if not path.name.startswith(".")}


def test_pages_are_swapped_and_the_state_before_stays_for_its_readers(tmp_path: Path) -> None:
    assert swap(tmp_path, of("one"), "v1") == tmp_path / "index.html"
    for text in ("two", "three", "four"):
        swap(tmp_path, of(text), f"v-{text}")
        assert state(tmp_path) == of(text)
    assert {path.name for path in (tmp_path / ".versions").iterdir()} == {"v-three", "v-four"}
    assert seen(tmp_path) == {"index.html", "quality.html", "market"}


def test_two_builds_of_one_moment_are_two_states(tmp_path: Path) -> None:
    swap(tmp_path, of("one"), "v1")
    swap(tmp_path, of("two"), "v1")
    assert state(tmp_path) == of("two")
    assert {path.name for path in (tmp_path / ".versions").iterdir()} == {"v1", "v1-2"}


def test_a_page_that_is_no_more_is_gone_and_foreign_files_stay(tmp_path: Path) -> None:
    swap(tmp_path, {**PAGES, "old.html": "x"}, "v1")
    (tmp_path / "robots.txt").write_text("Disallow: /")
    (tmp_path / "mine").symlink_to("robots.txt")
    swap(tmp_path, PAGES, "v2")
    assert seen(tmp_path) == {"index.html", "quality.html", "market", "robots.txt", "mine"}


def test_the_single_page_of_an_earlier_caravan_gives_way(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("of an earlier version")
    swap(tmp_path, of("one"), "v1")
    assert state(tmp_path) == of("one")


def test_the_folder_may_be_moved(tmp_path: Path) -> None:
    swap(tmp_path / "a", of("one"), "v1")
    (tmp_path / "a").rename(tmp_path / "b")
    assert state(tmp_path / "b") == of("one")
    assert not [path for path in (tmp_path / "b").rglob("*") if path.is_symlink() and os.path.isabs(os.readlink(path))]


def _fail(*_: object) -> None:
    raise OSError("no room")


@pytest.mark.parametrize("broken", ["os.replace", "pathlib.Path.rename", "caravan.reporting.folder._sync"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_failure_leaves_the_old_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, is_first: bool
) -> None:
    if is_first:
        (tmp_path / "index.html").write_text("old", encoding="utf-8")
    else:
        swap(tmp_path, of("old"), "v1")
    before, versions = state(tmp_path), set((tmp_path / ".versions").glob("*"))
    assert set(before.values()) == {"old"}
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no room"):
        patch.setattr(broken, _fail)
        swap(tmp_path, of("new"), "v2")
    assert state(tmp_path) == before
    assert set((tmp_path / ".versions").glob("*")) == versions, "nothing half made is left"
    assert not list(tmp_path.glob(".*.part"))
    swap(tmp_path, of("new"), "v2")
    assert state(tmp_path) == of("new")


def test_what_a_killed_writer_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".versions" / "v0.part").mkdir(parents=True)
    (tmp_path / ".current.part").symlink_to(".versions/v0")
    swap(tmp_path, of("one"), "v1")
    assert state(tmp_path) == of("one")
    assert not list(tmp_path.rglob("*.part"))


def test_readers_never_find_a_page_missing_or_half(tmp_path: Path) -> None:
    texts = [letter * 50_000 for letter in "ab"]
    swap(tmp_path, of(texts[0]), "v")
    faults: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for path in PAGES:
                try:
                    if (tmp_path / path).read_text() not in texts:
                        faults.append("half")
                except OSError as error:
                    faults.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(100):
            swap(tmp_path, of(texts[number % 2]), "v")
    finally:
        done.set()
        reader.join()
    assert faults == []
    assert folder.FIRST_PAGE in PAGES
