"""The own site in a folder and in a bucket: put once, twice or in pieces, the same files are there in the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from copy import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import site_case as case
from object_store import ObjectStore
from site_places import Dying, Killed, Place

from caravan.clients.site.bucket import BucketStore
from caravan.clients.site.lists import CATALOGUE
from caravan.clients.site.outlet import SiteOutlet
from caravan.clients.site.store import Conflict, FolderStore, Store
from caravan.config.places import S3Place
from caravan.core.errors import Rejected
from caravan.core.outbox import Accepted, Refused, Unknown

PAGE, MANIFEST = "de-DE/r-1/index.html", "de-DE/r-1/release.json"
URL = "https://news.example.com/press/de-DE/r-1/"
WORKER = Path(__file__).with_name("site_worker.py")


@pytest.fixture(scope="module")
def any_bucket(_object_store: ObjectStore) -> BucketStore:
    """One client for all: to make one takes longer than a test."""
    return BucketStore(_object_store.connection(), "any")


@pytest.fixture(params=["folder", "bucket"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Place]:
    def make() -> Place:
        if request.param == "folder":
            folder = tmp_path / f"site{len(list(tmp_path.glob('site*')))}"
            folder.mkdir()
            return Place(FolderStore(folder), {"folder": str(folder)})
        server: ObjectStore = request.getfixturevalue("object_store")
        name = f"site-{os.urandom(5).hex()}"
        server.client.create_bucket(Bucket=name)
        store = copy(request.getfixturevalue("any_bucket"))
        connection = store.connection
        store.place = S3Place(name, "press")
        return Place(store, {"bucket": name, "connection": {**vars(connection), "extra": dict(connection.extra)}})

    return make


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    return new_place()


@pytest.fixture
def outlet(place: Place) -> SiteOutlet:
    return case.outlet(place.store)


def publish(outlet: SiteOutlet, *arguments: Any, **given: Any) -> Any:
    content = case.content(*arguments, **given)
    return outlet.hand_over(case.message(content), outlet.render(content))


def withdraw(outlet: SiteOutlet, **given: Any) -> Any:
    content = case.content(**given)
    return outlet.hand_over(case.message(content, "withdraw"), outlet.render(content))


def test_a_store_keeps_what_it_is_given_and_replaces_only_what_was_seen(place: Place) -> None:
    store: Store = place.store
    assert (store.get("a/b.txt"), store.head("a/b.txt"), store.list()) == (None, None, {})
    assert store.put("a/b.txt", b"one", "text/plain", None)
    seen = store.list()
    first = store.head("a/b.txt")
    assert first and seen == {"a/b.txt": first.version}
    assert first.sha256 == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    assert not store.put("a/b.txt", b"one", "text/plain", first.version), "the same again"
    with pytest.raises(Conflict):
        store.put("a/b.txt", b"two", "text/plain", None)
    assert store.put("a/b.txt", b"two", "text/plain", first.version)
    with pytest.raises(Conflict):
        store.put("a/b.txt", b"three", "text/plain", first.version)
    assert store.get("a/b.txt") == b"two"
    assert store.list("a") == store.list() and store.list("b") == {}
    store.delete("a/b.txt")
    store.delete("a/b.txt")
    assert store.list() == {}
    with pytest.raises(Conflict):
        store.put("a/b.txt", b"four", "text/plain", first.version)


@pytest.mark.parametrize(
    "path", ["", "/etc/x", "../x", "a/../../x", "a//x", ".lock", "a/.x", "a\\x", "a/x\0", "a/b/", "ä"]
)
def test_no_path_leads_out_of_the_store(place: Place, path: str) -> None:
    for call in (place.store.get, place.store.head, place.store.delete):
        with pytest.raises(Rejected) as caught:
            call(path)
        assert caught.value.code == "PATH_REFUSED"
    with pytest.raises(Rejected):
        place.store.put(path, b"", "text/plain", None)
    refused = publish(case.outlet(place.store), "de-DE", f"{path}/..")
    assert isinstance(refused, Refused) and "PATH_REFUSED" in refused.reason


def test_put_twice_nothing_changes(place: Place, outlet: SiteOutlet, tmp_path: Path) -> None:
    image = case.picture(tmp_path)
    assert publish(outlet, images=(image,)) == Accepted(URL)
    first = outlet.publish_lists()
    assert (first.pages, "feed.atom" in first.written) == (1, True)
    versions, files = place.store.list(), place.files()
    assert files[f"de-DE/r-1/{image.name}"] == Path(image.path).read_bytes()
    assert publish(outlet, images=(image,)) == Accepted(URL)
    again = outlet.publish_lists()
    assert (again.pages, again.written, again.removed) == (1, (), ())
    assert place.store.list() == versions
    assert files["feed.atom"].count(b"<entry") == 1


def test_a_correction_takes_the_page_and_an_older_revision_never_does(
    place: Place, outlet: SiteOutlet, tmp_path: Path
) -> None:
    old, new = case.picture(tmp_path, "old"), case.picture(tmp_path, "new")
    assert publish(outlet, images=(old,)) == Accepted(URL)
    assert publish(outlet, revision=2, title="Zwei", images=(new,)) == Accepted(URL)
    late = publish(outlet, title="Eins")
    assert late == Refused(f"{URL} shows revision 2 by now, this is 1")
    files = place.files()
    assert b"<h1>Zwei</h1>" in files[PAGE]
    assert sorted(files) == [PAGE, f"de-DE/r-1/{new.name}", MANIFEST]
    assert json.loads(files[MANIFEST])["entry_id"] == "tag:news.example.com,2026:release/r-1/de-DE"


def test_other_content_of_the_same_revision_is_refused(outlet: SiteOutlet) -> None:
    assert isinstance(publish(outlet), Accepted)
    assert publish(outlet, content_hash="f" * 64) == Refused(
        f"{URL} shows other content as revision 1; a change is a new revision"
    )
    other_market = publish(outlet, market_code="AT", summary="Für Österreich")
    assert other_market == Refused(f"{URL} shows the text for DE; give AT a locale of its own")


def test_a_moved_site_keeps_the_ids_of_its_entries(place: Place, outlet: SiteOutlet) -> None:
    assert isinstance(publish(outlet), Accepted)
    moved = case.outlet(place.store, site=case.Site("https://example.org", "Example"))
    content = case.content(revision=2)
    assert moved.hand_over(case.message(content), moved.render(content)) == Accepted("https://example.org/de-DE/r-1/")
    moved.publish_lists()
    assert b"<id>tag:news.example.com,2026:release/r-1/de-DE</id>" in place.files()["feed.atom"]


def test_withdrawn_only_a_tombstone_stays(place: Place, outlet: SiteOutlet, tmp_path: Path) -> None:
    publish(outlet, images=(case.picture(tmp_path),))
    publish(outlet, "en-GB")
    outlet.publish_lists()
    assert withdraw(outlet) == withdraw(outlet) == Accepted(URL)
    found = outlet.publish_lists()
    assert (found.pages, found.withdrawn) == (1, 1)
    files = place.files()
    assert [path for path in sorted(files) if path.startswith("de-DE/r-1/")] == [PAGE, MANIFEST]
    assert "Zurückgezogen".encode() in files[PAGE] and b'content="noindex"' in files[PAGE]
    assert files["withdrawn.txt"] == b"/de-DE/r-1/\n"
    assert "schöner".encode() not in files[PAGE] + files[MANIFEST] + files["de-DE/feed.rss"]
    assert b"/de-DE/r-1/" not in files["sitemap.xml"] + files["feed.atom"] + files["de-DE/index.html"]
    assert publish(outlet) == Refused(f"{URL} shows revision 1, withdrawn, by now, this is 1")
    assert publish(outlet, revision=2) == Accepted(URL), "a newer revision brings it back"


def test_a_release_withdrawn_before_it_came_never_comes(outlet: SiteOutlet) -> None:
    assert withdraw(outlet, revision=2) == Accepted(URL)
    assert isinstance(publish(outlet, revision=2), Refused)


def test_what_became_of_a_message_is_found(place: Place, outlet: SiteOutlet, tmp_path: Path) -> None:
    content = case.content(images=(case.picture(tmp_path),))
    message, payload = case.message(content), outlet.render(content)
    assert outlet.find(message, payload) is None
    assert outlet.hand_over(message, payload) == outlet.find(message, payload) == Accepted(URL)
    files = place.files()
    for path in files:
        place.store.delete(path)
        assert outlet.find(message, payload) is None, f"without {path}"
        assert outlet.hand_over(message, payload) == Accepted(URL)
        assert place.files() == files
    head = place.store.head(PAGE)
    place.store.put(PAGE, b"<html>defaced</html>", "text/html", head.version)
    assert outlet.find(message, payload) is None
    publish(outlet, revision=2)
    assert outlet.find(message, payload) == Refused(f"{URL} shows revision 2 by now, this is 1")
    gone = case.message(case.content(revision=3), "withdraw")
    assert outlet.find(gone, payload) is None
    assert outlet.hand_over(gone, payload) == outlet.find(gone, payload) == Accepted(URL)


def test_nothing_is_put_before_its_embargo_ends(place: Place, outlet: SiteOutlet) -> None:
    content = case.content()
    until = case.NOW + timedelta(seconds=1)
    message = case.message(content, embargo_until=until)
    assert outlet.hand_over(message, outlet.render(content)) == Refused(
        "its embargo has not ended", timedelta(seconds=1)
    )
    assert place.store.list() == {}
    assert isinstance(case.outlet(place.store, until).hand_over(message, outlet.render(content)), Accepted)


@pytest.mark.parametrize(
    ("given", "reason"), [({"release_id": "r-2"}, "the message of r-1"), ({"revision": 2}, "the message of 1")]
)
def test_a_payload_of_another_message_is_refused(
    place: Place, outlet: SiteOutlet, given: dict[str, Any], reason: str
) -> None:
    said = outlet.hand_over(case.message(case.content()), outlet.render(case.content(**given)))
    assert isinstance(said, Refused) and reason in said.reason
    assert place.store.list() == {}


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"other", "is not what was approved: put it back, or approve it under a new revision"),
    ],
)
def test_a_picture_that_is_gone_or_another_stops_its_page(
    place: Place, outlet: SiteOutlet, tmp_path: Path, now: bytes | None, told: str
) -> None:
    image = case.picture(tmp_path)
    path = Path(image.path)
    path.unlink()
    if now:
        path.write_bytes(now)
    said = publish(outlet, images=(image,))
    assert said == Refused(f"picture {path.name} {told}", timedelta(minutes=1))
    assert place.store.list() == {}


def work(store: Any, folder: Path) -> None:
    """A publication, a correction with another picture, a withdrawal; lists after the first and the last."""
    outlet = case.outlet(store)
    first, second = case.picture(folder, "first"), case.picture(folder, "second")
    assert isinstance(publish(outlet, images=(first,)), Accepted | Refused)
    outlet.publish_lists()
    assert isinstance(publish(outlet, revision=2, images=(second,)), Accepted | Refused)
    assert isinstance(withdraw(outlet, revision=3), Accepted)
    outlet.publish_lists()


def test_killed_before_any_change_the_next_call_heals(new_place: Callable[[], Place], tmp_path: Path) -> None:
    whole = new_place()
    counting = Dying(whole.store, 10**6)
    work(counting, tmp_path)
    changes = 10**6 - counting.left
    assert changes > 25
    # The bucket's requests are slow, and its order of changes is the folder's.
    for died_before in range(0, changes, 9 if "bucket" in whole.told else 1):
        place = new_place()
        with pytest.raises(Killed):
            work(Dying(place.store, died_before), tmp_path)
        work(place.store, tmp_path)
        assert place.files() == whole.files(), f"died before change {died_before}"


def test_a_page_whose_worker_died_before_the_lists_is_listed_by_the_next(
    new_place: Callable[[], Place], place: Place
) -> None:
    publish(case.outlet(place.store))  # and dies
    publish(case.outlet(place.store), "en-GB", "r-2")
    case.outlet(place.store).publish_lists()
    assert place.files()["feed.atom"].count(b"<entry") == 2


def test_two_workers_at_once_end_in_the_same_lists(new_place: Callable[[], Place], place: Place) -> None:
    shares = [[str(number) for number in range(start, 4, 2)] for start in (0, 1)]
    paths = {"PYTHONPATH": str(Path(__file__).parents[2] / "plugins")}
    workers = [
        subprocess.Popen([sys.executable, str(WORKER), json.dumps(place.told), *share], env={**os.environ, **paths})
        for share in shares
    ]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    alone = new_place()
    outlet = case.outlet(alone.store)
    for number in range(4):
        for locale in case.LOCALES:
            publish(outlet, locale, f"r-{number}")
    outlet.publish_lists()
    found = place.files()
    assert found["feed.atom"].count(b"<entry") == 8
    assert found == alone.files()
    assert case.outlet(place.store).publish_lists().written == ()


def test_a_slow_worker_does_not_write_old_lists_over_new_ones(place: Place) -> None:
    outlet = case.outlet(place.store)
    publish(outlet)
    outlet.publish_lists()

    class Slow(Dying):
        """Between its look and its first put another worker publishes everything."""

        def __getattr__(self, name: str) -> Any:
            if name == "put" and self.left:
                self.left = 0
                publish(outlet, "en-GB", "r-2")
                outlet.publish_lists()
            return getattr(self._store, name)

    publish(outlet, "de-DE", "r-3")
    case.outlet(Slow(place.store, 1)).publish_lists()
    assert place.files()["feed.atom"].count(b"<entry") == 3
    assert case.outlet(place.store).publish_lists().written == ()


def test_a_listing_that_is_older_at_its_begin_than_at_its_end_is_taken_again(place: Place) -> None:
    outlet = case.outlet(place.store)
    publish(outlet)
    outlet.publish_lists()

    class Paged(Dying):
        """While the listing is read, page by page, another worker publishes everything."""

        is_first = True

        def list(self, folder: str = "") -> dict[str, str]:
            found: dict[str, str] = self._store.list(folder)
            if self.is_first:
                self.is_first = False
                publish(outlet, "en-GB", "r-2")
                outlet.publish_lists()
                found |= {path: version for path, version in self._store.list().items() if path in found}
            return found

    case.outlet(Paged(place.store, 10**6)).publish_lists()
    assert place.files()["feed.atom"].count(b"<entry") == 2


def test_fewer_pages_leave_no_index_page_and_no_other_file_is_touched(place: Place) -> None:
    outlet = case.outlet(place.store)
    for number in range(21):
        publish(outlet, "de-DE", f"r-{number}")
    for path in ("about/index.html", "about/page-2.html", "robots.txt"):
        place.store.put(path, b"ours no more", "text/html", None)
    assert "de-DE/page-2.html" in outlet.publish_lists().written
    withdraw(outlet)
    assert outlet.publish_lists().removed == ("de-DE/page-2.html",)
    assert {"about/index.html", "about/page-2.html", "robots.txt", "de-DE/index.html"} <= place.store.list().keys()


def test_a_manifest_that_cannot_be_read_hides_its_page_only(place: Place, outlet: SiteOutlet) -> None:
    publish(outlet)
    publish(outlet, "en-GB")
    place.store.put(MANIFEST, b"{", "application/json", place.store.head(MANIFEST).version)
    place.store.put("x/y/release.json", place.store.get("en-GB/r-1/release.json"), "application/json", None)
    found = outlet.publish_lists()
    assert (found.pages, found.unreadable) == (1, (MANIFEST, "x/y/release.json"))
    assert publish(outlet) == Accepted(URL), "handing over again mends it"
    assert outlet.publish_lists().pages == 2


def test_only_what_changed_is_read_to_make_the_lists(place: Place, outlet: SiteOutlet) -> None:
    for number in range(5):
        publish(outlet, "de-DE", f"r-{number}")
    outlet.publish_lists()
    publish(outlet, "en-GB")
    read: list[str] = []

    class Watched(Dying):
        def get(self, path: str) -> Any:
            read.append(path)
            return self._store.get(path)

    case.outlet(Watched(place.store, 10**6)).publish_lists()
    assert read == [CATALOGUE, "en-GB/r-1/release.json"]
    place.store.put(CATALOGUE, b"[1]", "application/json", place.store.head(CATALOGUE).version)
    assert outlet.publish_lists().written == (CATALOGUE,)


def test_another_worker_that_never_stops_is_unknown_not_accepted(place: Place, outlet: SiteOutlet) -> None:
    class Busy(Dying):
        def put(self, *_: Any) -> bool:
            raise Conflict("again")

    assert isinstance(publish(case.outlet(Busy(place.store, 0))), Unknown)
