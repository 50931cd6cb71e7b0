"""A bucket that answers wrongly, late or not at all: nobody is told that a page is there unless it can be read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import site_case as case
from object_store import Answer, ObjectStore

from caravan.clients.site.bucket import BucketStore
from caravan.clients.site.consistency import PageFacts, read_back
from caravan.clients.site.listing import put_sitemap
from caravan.clients.site.outlet import SiteOutlet
from caravan.clients.site.sitemaps import Listed
from caravan.clients.site.store import FolderStore
from caravan.core.errors import Rejected, Retryable
from caravan.core.outbox import Accepted, Outcome, Refused, Unknown

PAGE = "de-DE/r-1/index.html"
KEY = f"press/{PAGE}"


@pytest.fixture
def outlet(object_store: ObjectStore, bucket: str) -> SiteOutlet:
    return case.outlet(BucketStore(object_store.connection(), bucket, "press"))


def publish(outlet: SiteOutlet) -> Outcome:
    content = case.content()
    return outlet.hand_over(case.message(content), outlet.render(content))


def is_put(answer: Answer) -> bool:
    return answer.method == "PUT" and answer.path.endswith(KEY)


def answers(status: str, code: str) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        answer.status, answer.body = status, f"<Error><Code>{code}</Code></Error>".encode()
        answer.headers.pop("content-length", None)

    return change


def rename_etag(answer: Answer) -> None:
    answer.headers["e-tag"] = answer.headers.pop("etag")


def cut(answer: Answer) -> None:
    answer.body = answer.body[: len(answer.body) // 2]


@pytest.mark.parametrize(
    ("when", "change", "expected"),
    [
        (is_put, answers("500 Internal Server Error", "InternalError"), Unknown),
        (is_put, answers("503 Slow Down", "SlowDown"), Refused),
        (is_put, answers("403 Forbidden", "AccessDenied"), Refused),
        (is_put, rename_etag, Unknown),
        (lambda answer: answer.method == "GET" and answer.path.endswith(KEY), cut, Refused),
        (lambda answer: answer.method == "HEAD", answers("500 Internal Server Error", ""), Refused),
        (lambda answer: answer.is_listing, answers("200 OK", "InternalError"), Unknown),
    ],
)
def test_an_answer_that_is_no_yes_is_never_taken_for_one(
    outlet: SiteOutlet,
    object_store: ObjectStore,
    bucket: str,
    when: Callable[[Answer], bool],
    change: Callable[[Answer], None],
    expected: type[Outcome],
) -> None:
    object_store.put(bucket, KEY, b"<html>an older page, not ours</html>")
    changed: list[str] = []

    def fault(answer: Answer) -> None:
        if when(answer):
            changed.append(answer.path)
            change(answer)

    object_store.faults.append(fault)
    said = publish(outlet)
    assert isinstance(said, expected), said
    assert len(changed) == 1, "it is tried once"
    if isinstance(said, Refused):
        assert said.after is not None and said.after >= timedelta(minutes=1), "and may be tried again"
    object_store.faults.clear()
    assert publish(outlet) == Accepted("https://news.example.com/press/de-DE/r-1/")


def test_a_put_that_is_answered_well_and_not_done_is_unknown(
    outlet: SiteOutlet, object_store: ObjectStore, bucket: str
) -> None:
    def lose(answer: Answer) -> None:
        if is_put(answer):
            object_store.forget(bucket, KEY)

    object_store.faults.append(lose)
    said = publish(outlet)
    assert isinstance(said, Unknown) and "is not there as it was put" in said.reason


def test_an_answer_repeated_from_before_the_put_is_unknown(
    outlet: SiteOutlet, object_store: ObjectStore, bucket: str
) -> None:
    object_store.put(bucket, KEY, b"<html>an older page, not ours</html>")
    first: dict[str, Any] = {}

    def repeat(answer: Answer) -> None:
        if answer.path.endswith(KEY) and answer.method in ("HEAD", "GET"):
            kept = first.setdefault(answer.method, (answer.status, dict(answer.headers), answer.body))
            answer.status, answer.headers, answer.body = kept[0], dict(kept[1]), kept[2]

    object_store.faults.append(repeat)
    assert isinstance(publish(outlet), Unknown)


def test_a_listing_without_its_end_makes_no_lists(outlet: SiteOutlet, object_store: ObjectStore) -> None:
    publish(outlet)

    def shorten(answer: Answer) -> None:
        if answer.is_listing:
            answer.body = answer.body.replace(b"IsTruncated", b"WasTruncated")
            answer.headers["content-length"] = str(len(answer.body))

    object_store.faults.append(shorten)
    with pytest.raises(Retryable, match="is no listing"):
        outlet.publish_lists()


def test_a_site_of_several_pages_of_listing_is_seen_whole(outlet: SiteOutlet, object_store: ObjectStore) -> None:
    object_store.page_size = 2
    publish(outlet)
    content = case.content("en-GB")
    outlet.hand_over(case.message(content), outlet.render(content))
    assert outlet.publish_lists().pages == 2
    assert outlet.publish_lists().written == ()


def test_what_a_bucket_serves_says_what_it_is_and_how_long_it_lasts(
    outlet: SiteOutlet, object_store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    content = case.content(images=(case.picture(tmp_path),))
    outlet.hand_over(case.message(content), outlet.render(content))
    outlet.publish_lists()
    heads = {key: object_store.client.head_object(Bucket=bucket, Key=key) for key in object_store.keys(bucket)}
    assert len(heads) > 10
    found = {key.rpartition("/")[2]: (head["ContentType"], head["CacheControl"]) for key, head in heads.items()}
    assert found["index.html"] == ("text/html; charset=utf-8", "max-age=60")
    assert found[content.images[0].name] == ("image/png", "max-age=31536000, immutable")
    assert found["feed.atom"] == ("application/atom+xml; charset=utf-8", "max-age=300")


def test_a_store_that_is_not_there_is_refused_for_now_and_names_no_secret(object_store: ObjectStore) -> None:
    nowhere = object_store.connection(endpoint_url="http://127.0.0.1:9")
    said = publish(case.outlet(BucketStore(nowhere, "site", "")))
    assert isinstance(said, Refused) and said.after == timedelta(minutes=1)
    absent = publish(case.outlet(BucketStore(object_store.connection(), "no-such-bucket", "")))
    assert isinstance(absent, Refused) and absent.after == timedelta(minutes=15) and "bucket" in absent.reason
    for told in (said.reason, absent.reason, repr(case.outlet(BucketStore(nowhere, "site", "")))):
        assert "sec/ret" not in told and "AKIATEST" not in told


class Handler(SimpleHTTPRequestHandler):
    faults: dict[str, tuple[int, bytes, int]] = {}

    def do_GET(self) -> None:
        if self.path not in self.faults:
            super().do_GET()
            return
        status, body, length = self.faults[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[SiteOutlet, str]]:
    outlet = case.outlet(FolderStore(tmp_path / "site"))
    publish(outlet)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "site")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield outlet, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_page_says_the_same_over_http_as_in_its_store(served: tuple[SiteOutlet, str]) -> None:
    outlet, root = served
    found = read_back(f"{root}/de-DE/r-1/")
    stored = read_back(PAGE, outlet.store)
    assert (found.revision, found.content_hash) == (1, case.content().content_hash)
    assert found.prices == stored.prices == ("1.299,00 €",)
    assert (found.canonical, found.alternates) == (stored.canonical, stored.alternates)
    assert read_back(f"{root}/de-DE/r-2/") == read_back("de-DE/r-2/index.html", outlet.store) == PageFacts(404)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((200, b"<html><p>cut", 5000), Retryable),
        ((500, b"<html>", 6), Retryable),
        ((429, b"<html>", 6), Retryable),
        ((200, b'{"error": "maintenance"}', 24), Rejected),
        ((200, b"<html>\xff\xfe", 8), Rejected),
        ((200, b"", 0), Rejected),
    ],
)
def test_an_answer_that_is_no_page_is_no_fact(
    served: tuple[SiteOutlet, str], answer: tuple[int, bytes, int], error: type[Exception], monkeypatch: Any
) -> None:
    monkeypatch.setattr(Handler, "faults", {"/x/": answer})
    with pytest.raises(error):
        read_back(f"{served[1]}/x/")


def test_a_site_that_does_not_answer_is_no_fact() -> None:
    with pytest.raises(Retryable, match="does not answer"):
        read_back("http://127.0.0.1:9/x/")


def test_a_crawled_sites_sitemap_in_a_bucket(object_store, bucket):
    store, url = BucketStore(object_store.connection(), bucket, "web"), "https://www.example.com/pages.xml"

    def put(count: int) -> int:
        listed = (Listed(f"https://www.example.com/{number}", "2026-03-01", {}) for number in range(count))
        return put_sitemap(store, url, listed, most_urls=2)

    assert (put(5), put(5)) == (5, 5)
    assert set(store.list()) == {"pages-1.xml", "pages-2.xml", "pages-3.xml", "pages.xml"}
    assert put(2) == 2
    assert set(store.list()) == {"pages.xml"}
    assert b"<loc>https://www.example.com/1</loc>" in (store.get("pages.xml") or b"")
