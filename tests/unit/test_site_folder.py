"""A site in a folder of this machine: whole files only, and none outside of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import site_case as case

from caravan.clients.site.outlet import SiteOutlet
from caravan.clients.site.store import FolderStore
from caravan.core.errors import Misconfigured, Rejected, Retryable
from caravan.core.outbox import Accepted, Outcome, Refused

PAGE, MANIFEST = "de-DE/r-1/index.html", "de-DE/r-1/release.json"


class Killed(BaseException):
    """As by SIGKILL: nothing catches it, nothing is tidied."""


def publish(outlet: SiteOutlet, revision: int = 1) -> Outcome:
    content = case.content(revision=revision)
    return outlet.hand_over(case.message(content), outlet.render(content))


@pytest.mark.parametrize(("code", "kind"), [(errno.EIO, Retryable), (errno.EACCES, Misconfigured)])
def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(tmp_path: Path, monkeypatch, code, kind) -> None:
    store = FolderStore(tmp_path / "site")
    assert store.list() == {}
    store.put(PAGE, b"x", "text/html", None)
    listed = os.scandir

    def fail(path: Any) -> Any:
        if Path(path).name == "de-DE":
            raise OSError(code, os.strerror(code))
        return listed(path)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(kind, match=os.strerror(code)):
        store.list()


def test_no_link_in_a_folder_leads_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/de-DE").symlink_to(tmp_path / "outside")
    (tmp_path / "site/sitemap.xml").symlink_to(tmp_path / "outside/x")
    store = FolderStore(tmp_path / "site")
    for path in (PAGE, "sitemap.xml"):
        with pytest.raises(Rejected, match="link"):
            store.put(path, b"x", "text/html", None)
    assert not any((tmp_path / "outside").iterdir())


def test_killed_while_writing_the_old_page_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path / "site")
    publish(case.outlet(store))
    before = store.get(PAGE)

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", die)
        with pytest.raises(Killed):
            publish(case.outlet(store), revision=2)
    assert store.get(PAGE) == before
    assert sorted(store.list()) == [PAGE, MANIFEST], "what was begun is no file of the site"
    assert isinstance(publish(case.outlet(store), revision=2), Accepted)
    assert not list((tmp_path / "site").rglob("*.part"))


def test_a_folder_that_may_not_be_written_is_for_a_person_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    store = FolderStore(tmp_path / "file")
    with pytest.raises(Misconfigured, match="file"):
        store.put(PAGE, b"x", "text/html", None)
    assert isinstance(publish(case.outlet(store)), Refused)


def test_a_reader_may_read_what_was_put(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        publish(case.outlet(FolderStore(tmp_path / "site")))
    finally:
        os.umask(before)
    assert (tmp_path / "site" / PAGE).stat().st_mode & 0o777 == 0o644
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "site", tmp_path / "site/de-DE/r-1")] == [0o755] * 2
