"""Two or three nights of one small site: what is new, over, back or not known."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixture_site import ORIGIN, tables_of

from caravan.clients.crawl import comparing
from caravan.clients.crawl.comparing import Asked, Known, Standing, read_known
from caravan.clients.crawl.facts import CrawlFacts
from caravan.config.site_checks import FOLDER, load_site_checks
from caravan.functions.site.audit import audit

CATALOGUE = load_site_checks()
COMPARISON = (FOLDER / "after" / "comparison.sql").read_text(encoding="utf-8")
CHECKS = ("response-4xx", "url-underscore", "title-same-as-h1")
REDIRECTS = ("response-internal-redirect",)
BEFORE = ("page", "sitemap_url", "robots", "host")
FIRST = datetime(2026, 3, 1, 2, 0)

GOOD, GONE, MOVED = (
    "<p>text <a href=/lost>more</a></p>",
    {"status": 404},
    {"status": 301, "headers": {"Location": "/new"}},
)


class Nights:
    """Each crawl is compared with the one before. `versions`: of checks, where they are others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0
        self.known = Known()
        self.tables: dict[str, pa.Table] = {}
        self.asked: dict[str, int] = {}

    def crawl(
        self,
        site: dict[str, Any],
        *,
        comparable: bool = True,
        complete: bool = True,
        checks: tuple[str, ...] = CHECKS,
        versions: dict[str, int] | None = None,
    ) -> tuple[dict[tuple[str, str], tuple[str, str | None]], dict[str, str]]:
        """(check, path) to (state, change); path to what became of the page."""
        self.number += 1
        at = FIRST + timedelta(days=self.number)
        tables, _ = tables_of({"site": site})
        inputs = {f"previous_{name}": self.tables[name] for name in BEFORE} if self.tables else {}
        asked = [
            CATALOGUE[name].model_copy(update={"version": (versions or {}).get(name, CATALOGUE[name].version)})
            for name in checks
        ]
        script = CATALOGUE.only(checks).script(COMPARISON)
        with CrawlFacts(tables, script, self.folder, inputs, threads=1) as facts:
            verdicts = [each for each in audit(facts, asked) if each.was_asked]
            tonight = [Asked(each.check.id, each.check.version, each.check.judges) for each in verdicts]
            standing = Standing(at, comparable and bool(self.tables), complete)
            comparing.compare(facts, COMPARISON, tonight, self.asked, self.known, standing)
            comparing.write(facts, self.folder)
        self.known = read_known(self.folder, [check.id for check in CATALOGUE.checks])
        changes = pq.read_table(self.folder / "page_change.parquet").to_pylist()
        self.tables, self.asked = tables, {each.check_id: each.version for each in tonight}
        issues = {
            (row["check_id"], row["url"].removeprefix(ORIGIN)): (row["state"], row["change"])
            for row in pq.read_table(self.folder / "ledger.parquet").to_pylist()
        }
        return issues, {row["url"].removeprefix(ORIGIN): row["change"] for row in changes}


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


ISSUE = ("url-underscore", "/a_b")
BROKEN = ("response-4xx", "/lost")


def test_the_first_crawl_opens_issues_and_says_nothing_of_changes(nights):
    issues, pages = nights.crawl({"/": GOOD, "/a_b": GOOD, "/lost": GONE})
    assert issues == {ISSUE: ("open", None), BROKEN: ("open", None)}
    assert pages == {}


def test_new_still_fixed_and_back(nights):
    nights.crawl({"/": GOOD, "/lost": GOOD})
    issues, _ = nights.crawl({"/": GOOD, "/lost": GONE})
    assert issues == {BROKEN: ("open", "new")}
    issues, _ = nights.crawl({"/": GOOD, "/lost": GONE})
    assert issues == {BROKEN: ("open", "still")}
    issues, _ = nights.crawl({"/": GOOD, "/lost": GOOD})
    assert issues == {BROKEN: ("fixed", "fixed")}
    issues, _ = nights.crawl({"/": GOOD, "/lost": GOOD})
    assert issues == {BROKEN: ("fixed", None)}, "it was told once"
    issues, _ = nights.crawl({"/": GOOD, "/lost": GONE})
    assert issues == {BROKEN: ("open", "regressed")}
    (row,) = pq.read_table(nights.folder / "ledger.parquet").to_pylist()
    assert row["first_seen_at"] == FIRST + timedelta(days=2), "it is the same issue"
    assert row["state_since"] == row["last_seen_at"] == FIRST + timedelta(days=6)
    assert row["regressed_count"] == 1


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ({"/": GOOD}, ("gone", "gone")),
        ({"/": GOOD, "/a_b": GONE}, ("gone", "gone")),
        ({"/": GOOD, "/a_b": {"status": 301, "headers": {"Location": "/"}}}, ("gone", "gone")),
        ({"/": GOOD, "/a_b": {"status": 503}}, ("open", "unverified")),
        ({"/": GOOD, "/a_b": {"status": 403}}, ("open", "unverified")),
        ({"/": GOOD, "/a_b": {"outcome": "failed", "status": None, "reason": "timeout"}}, ("open", "unverified")),
        ({"/": GOOD, "/a_b": {"outcome": "blocked", "status": None}}, ("open", "unverified")),
        ({"/": GOOD, "/a_b": GOOD}, ("open", "still")),
    ],
    ids=[
        "no longer linked",
        "answers 404",
        "redirects",
        "fails",
        "is locked",
        "times out",
        "is blocked",
        "has it still",
    ],
)
def test_only_what_was_seen_closes_an_issue(nights, site, expected):
    # An address with an underscore keeps its issue for as long as it answers: `fixed` needs another check.
    nights.crawl({"/": GOOD, "/a_b": GOOD}, checks=("url-underscore",))
    issues, _ = nights.crawl(site, checks=("url-underscore",))
    assert issues == {ISSUE: expected}


@pytest.mark.parametrize(
    "crawled",
    [
        {"complete": False},
        {"comparable": False},
        {"versions": {"response-4xx": 9}},
        {"checks": ("url-underscore",)},
    ],
    ids=["half a crawl", "another configuration", "another version of the check", "not evaluated"],
)
def test_what_cannot_be_compared_closes_nothing(nights, crawled):
    nights.crawl({"/": GOOD, "/lost": GONE})
    issues, _ = nights.crawl({"/": GOOD, "/lost": GOOD}, **crawled)
    assert issues == {BROKEN: ("open", "unverified")}


@pytest.mark.parametrize("crawled", [{"comparable": False}, {"versions": {"response-4xx": 9}}])
def test_what_cannot_be_compared_is_not_new(nights, crawled):
    nights.crawl({"/": GOOD})
    issues, _ = nights.crawl({"/": GOOD, "/lost": GONE}, **crawled)
    assert issues == {BROKEN: ("open", None)}
    issues, _ = nights.crawl({"/": GOOD, "/lost": GONE}, versions=crawled.get("versions"))
    assert issues == {BROKEN: ("open", "still")}


def test_a_check_that_was_not_asked_before_finds_nothing_new(nights):
    nights.crawl({"/": GOOD, "/lost": GONE}, checks=("url-underscore",))
    issues, _ = nights.crawl({"/": GOOD, "/lost": GONE})
    assert issues == {BROKEN: ("open", None)}


def test_a_check_that_had_nothing_to_judge_was_asked_all_the_same(nights):
    nights.crawl({"/": GOOD, "/lost": GOOD}, checks=REDIRECTS)
    issues, _ = nights.crawl({"/": GOOD, "/lost": MOVED, "/new": GOOD}, checks=REDIRECTS)
    assert issues == {(REDIRECTS[0], "/lost"): ("open", "new")}, "the site's first"
    issues, _ = nights.crawl({"/": GOOD, "/lost": GOOD}, checks=REDIRECTS, complete=False)
    assert issues == {(REDIRECTS[0], "/lost"): ("open", "unverified")}
    issues, _ = nights.crawl({"/": GOOD, "/lost": GOOD}, checks=REDIRECTS)
    assert issues == {(REDIRECTS[0], "/lost"): ("gone", "gone")}, "and its last"


def test_pages_come_go_move_and_change(nights):
    _, pages = nights.crawl({"/": GOOD, "/kept": GOOD, "/edited": {"body": "a", "text_hash": 1}, "/old": GOOD})
    assert pages == {}
    before = {"/": GOOD, "/kept": GOOD, "/edited": {"body": "b", "text_hash": 2}, "/old": MOVED, "/new": GOOD}
    _, pages = nights.crawl(before)
    assert pages == {"/edited": "changed", "/old": "moved", "/new": "added"}
    _, pages = nights.crawl({"/": GOOD, "/kept": GONE, "/edited": {"body": "b", "text_hash": 2}})
    assert pages == {"/kept": "removed", "/new": "removed"}
    moved = pq.read_table(nights.folder / "page_change.parquet").to_pylist()
    assert {row["status_code"] for row in moved} == {404, None}


def test_where_a_page_moved_to_is_told(nights):
    nights.crawl({"/": GOOD, "/old": GOOD})
    nights.crawl({"/": GOOD, "/old": MOVED, "/new": GOOD})
    rows = pq.read_table(nights.folder / "page_change.parquet").to_pylist()
    assert {row["url"]: row["other_url"] for row in rows} == {f"{ORIGIN}/old": f"{ORIGIN}/new", f"{ORIGIN}/new": None}


def test_half_a_crawl_misses_pages_and_removes_only_what_answers_so(nights):
    nights.crawl({"/": GOOD, "/a": GOOD, "/b": GOOD})
    _, pages = nights.crawl({"/": GOOD, "/a": GONE}, complete=False)
    assert pages == {"/a": "removed"}


def test_another_configuration_changes_no_pages(nights):
    nights.crawl({"/": GOOD, "/a": GOOD})
    _, pages = nights.crawl({"/": GOOD, "/b": GOOD}, comparable=False)
    assert pages == {}


FORBIDDEN, ELSEWHERE, FAILS = (
    {"status": 403},
    {"status": 302, "headers": {"Location": "/later"}},
    {"status": 500},
)


@pytest.mark.parametrize("answer", [FORBIDDEN, ELSEWHERE, FAILS], ids=["403", "302", "500"])
def test_a_page_that_answers_otherwise_for_a_night_neither_goes_nor_comes(nights, answer):
    site = {"/": GOOD, "/later": GOOD, "/a": {"body": "a", "text_hash": 1}}
    nights.crawl(site)
    assert nights.crawl({**site, "/a": answer})[1] == {}
    assert nights.crawl(site)[1] == {}
    nights.crawl({**site, "/a": answer})
    assert nights.crawl({**site, "/a": {"body": "b", "text_hash": 2}})[1] == {"/a": "changed"}
    nights.crawl({**site, "/a": answer})
    assert nights.crawl({**site, "/a": GONE})[1] == {"/a": "removed"}


def test_what_fails_in_between_loses_no_word(nights):
    nights.crawl({"/": GOOD, "/old": GOOD})
    assert nights.crawl({"/": GOOD, "/old": MOVED, "/new": FAILS})[1] == {}
    assert nights.crawl({"/": GOOD, "/old": MOVED, "/new": GOOD})[1] == {"/old": "moved", "/new": "added"}
    assert nights.crawl({"/": GOOD, "/new": GONE})[1] == {"/new": "removed"}
    assert nights.crawl({"/": GOOD, "/new": FAILS})[1] == {}
    assert nights.crawl({"/": GOOD, "/new": GOOD})[1] == {"/new": "added"}


def test_half_a_crawl_tells_each_page_once(nights):
    nights.crawl({"/": GOOD})
    assert nights.crawl({"/": GOOD, "/a": GOOD}, complete=False)[1] == {"/a": "added"}
    assert nights.crawl({"/": GOOD, "/a": GOOD})[1] == {}


def test_another_spelling_of_an_address_is_the_same_issue(nights):
    nights.crawl({"/": GOOD, "/a_b%c3%a9": GOOD})
    issues, pages = nights.crawl({"/": GOOD, "/a_b%C3%A9": GOOD})
    assert (issues, pages) == ({("url-underscore", "/a_b%C3%A9"): ("open", "still")}, {})
    issues, pages = nights.crawl({"/": GOOD, "/a_b%c3%a9": GONE})
    assert (issues["url-underscore", "/a_b%C3%A9"], pages) == (("gone", "gone"), {"/a_b%c3%a9": "removed"})
