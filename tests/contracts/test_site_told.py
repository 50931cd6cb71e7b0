"""What of a crawl search engines are told: which pages have changed for them, and what the sitemap says of each."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixture_site import ORIGIN, tables_of

from caravan.clients.crawl import announcing, comparing
from caravan.clients.crawl.comparing import Standing
from caravan.clients.crawl.contents import PAGE_TEXTS
from caravan.clients.crawl.facts import CrawlFacts
from caravan.config.site_checks import FOLDER, load_site_checks

CATALOGUE = load_site_checks()
COMPARISON = (FOLDER / "after" / "comparison.sql").read_text(encoding="utf-8")
ANNOUNCEMENT = (FOLDER / "after" / "announcement.sql").read_text(encoding="utf-8")
FIRST = datetime(2026, 3, 1, 2, 0)
SECOND = (FIRST + timedelta(days=1)).date().isoformat()

A, B = "<p>one text</p>", "<p>another text</p>"
HIDDEN = {"body": B, "head": '<meta name="robots" content="noindex">'}
GONE, BROKEN, BLOCKED = {"status": 404}, {"status": 503}, {"outcome": "blocked", "status": None}
TIMEOUT = {"outcome": "failed", "status": None, "reason": "timeout"}


def to(path: str, status: int = 301) -> dict[str, Any]:
    return {"status": status, "headers": {"Location": path}}


class Nights:
    """A crawl each night, held against the last complete one; what is known of texts goes on from the last."""

    def __init__(self, folder: Path) -> None:
        self.root, self.number = folder, 0
        self.complete: Path | None = None
        self.known: pa.Table | None = None

    def crawl(
        self, site: dict[str, Any], *, comparable: bool = True, complete: bool = True
    ) -> tuple[dict[str, str], dict[str, str | None]]:
        """Path to change, and path to the day in the sitemap."""
        folder = self.root / str(self.number)
        folder.mkdir()
        before = self.complete if comparable else None
        tables, _ = tables_of({"site": site})
        with CrawlFacts(tables, CATALOGUE.script(COMPARISON, ANNOUNCEMENT), folder, threads=1) as facts:
            standing = Standing(FIRST + timedelta(days=self.number), before is not None, complete)
            comparing.compare(facts, COMPARISON, (), {}, comparing.Known(texts=self.known), standing)
            comparing.write(facts, folder)
            announcing.write(facts, ANNOUNCEMENT, before, folder)
        self.number += 1
        self.complete = folder if complete else self.complete
        self.known = pq.read_table(folder / PAGE_TEXTS)
        changes = pq.read_table(folder / "told_change.parquet").to_pylist()
        assert [row["url"] for row in changes] == announcing.changed(folder)
        listed = {url.removeprefix(ORIGIN): day for url, day, _ in announcing.pages(folder, f"{ORIGIN}/")}
        return {row["url"].removeprefix(ORIGIN): row["change"] for row in changes}, listed


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def test_what_was_there_before_anybody_looked_is_told_to_nobody(nights):
    assert nights.crawl({"/": A, "/a": A, "/h": HIDDEN, "/old": to("/a"), "/lost": GONE}) == (
        {},
        {"/": None, "/a": None},
    )


# path: (the first night, the second, what is told, the day in the sitemap; `...` where it is not listed)
CASES: dict[str, tuple[Any, Any, str | None, Any]] = {
    "/new": (None, A, "added", SECOND),
    "/still": (A, A, None, None),
    "/changed": (A, B, "changed", SECOND),
    "/linked-no-more": (A, None, "removed", ...),
    "/gone": (A, GONE, "removed", ...),
    "/hidden-now": (A, HIDDEN, "removed", ...),
    "/blocked-now": (A, BLOCKED, "removed", ...),
    "/moved": (A, to("/"), "moved", ...),
    "/back-tomorrow": (A, to("/", 302), None, ...),
    "/broken": (A, BROKEN, None, ...),
    "/slow": (A, TIMEOUT, None, ...),
    "/hidden-no-more": (HIDDEN, A, "added", SECOND),
    "/hidden-still": (HIDDEN, {**HIDDEN, "body": A}, None, ...),
    "/hidden-and-gone": (HIDDEN, GONE, None, ...),
    "/new-and-hidden": (None, HIDDEN, None, ...),
    "/there-again": (GONE, A, "added", SECOND),
}


def test_what_has_changed_for_search_engines(nights):
    nights.crawl({"/": A} | {path: case[0] for path, case in CASES.items() if case[0] is not None})
    told, listed = nights.crawl({"/": A} | {path: case[1] for path, case in CASES.items() if case[1] is not None})
    assert told == {path: change for path, (_, _, change, _) in CASES.items() if change}
    assert listed == {"/": None} | {path: day for path, (_, _, _, day) in CASES.items() if day is not ...}


def test_a_page_that_was_down_for_a_night_has_not_changed(nights):
    nights.crawl({"/": A, "/a": A})
    nights.crawl({"/": A, "/a": BROKEN})
    assert nights.crawl({"/": A, "/a": A}) == ({}, {"/": None, "/a": None})
    nights.crawl({"/": A, "/a": BROKEN})
    assert nights.crawl({"/": A, "/a": B})[0] == {"/a": "changed"}


def test_half_a_crawl_tells_nothing_and_the_next_whole_one_all(nights):
    nights.crawl({"/": A, "/a": A, "/b": A})
    told, listed = nights.crawl({"/": A, "/a": B}, complete=False)
    assert (told, listed) == ({}, {"/": None, "/a": SECOND})
    told, listed = nights.crawl({"/": A, "/a": B, "/b": A})
    assert told == {"/a": "changed"}, "/b was not looked for"
    assert listed == {"/": None, "/a": SECOND, "/b": None}, "the text of /a is known since the night before"


def test_what_no_crawl_can_be_compared_with_is_told_to_nobody(nights):
    nights.crawl({"/": A, "/a": A})
    nights.crawl({"/": A, "/a": B})
    told, listed = nights.crawl({"/": B, "/a": B, "/b": A}, comparable=False)
    assert told == {}
    assert listed == {"/": None, "/a": SECOND, "/b": None}, "only a text that is known has a day"


def test_a_crawl_of_which_no_texts_are_known_makes_nothing_new(nights):
    nights.crawl({"/": A, "/a": A})
    (nights.root / "0" / PAGE_TEXTS).unlink()
    nights.known = None
    assert nights.crawl({"/": A, "/a": A, "/b": A})[0] == {}
    assert nights.crawl({"/": A, "/a": A, "/b": B})[0] == {"/b": "changed"}


def test_alternates_are_those_that_pages_name_and_that_may_be_shown(nights):
    site = {
        "/": {
            "body": A,
            "alternates": {"en": "/", "de-de": "/de", "en-uk": "/uk", "es-419": "/uk", "fr": "/fr", "x-default": "/"},
        },
        "/de": {"body": A, "headers": {"Link": f'<{ORIGIN}/>; rel="alternate"; hreflang="en"'}},
        "/fr": HIDDEN,
        "/uk": A,
    }
    nights.crawl(site)
    listed = {url.removeprefix(ORIGIN): named for url, _, named in announcing.pages(nights.root / "0", ORIGIN)}
    assert list(listed["/"].items()) == [("de-de", f"{ORIGIN}/de"), ("en", f"{ORIGIN}/"), ("x-default", f"{ORIGIN}/")]
    assert listed["/de"] == {"en": f"{ORIGIN}/"} and listed["/uk"] == {}


def test_what_is_too_long_for_a_sitemap_is_told_all_the_same(nights):
    long = "/" + "a" * (2047 - len(ORIGIN) - 1)
    nights.crawl({"/": A})
    told, listed = nights.crawl({"/": A, long: A, f"{long}b": A})
    assert (set(told), set(listed)) == ({long, f"{long}b"}, {"/", long})
