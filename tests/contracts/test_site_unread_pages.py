"""A page that fails for a night: what only it led to is neither over, nor back when it answers again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fixture_site import ORIGIN, tables_of
from test_site_comparison import GOOD, MOVED, Nights, says

from caravan.clients.crawl.facts import CrawlFacts
from caravan.config.site_checks import load_site_checks
from caravan.functions.site.audit import audit

CATALOGUE = load_site_checks()
FAILED = {
    "503": {"status": 503},
    "429": {"status": 429},
    "no answer": {"outcome": "failed", "status": None, "reason": "connect"},
    "left alone": {"outcome": "skipped", "status": None, "reason": "host_unavailable"},
    "breaks off": {"reason": "broken", "is_truncated": True},
}
HUB = says("hub", "<a href=/r>r</a><a href=/m>m</a><a href=/n>n</a><a href=/only>o</a>")
HOME = says("home", "<a href=/b>b</a>")
HIDDEN = {"head": "<meta name=robots content=noindex>"}
WHOLE: dict[str, Any] = {
    "/": HOME, "/b": HUB, "/r": MOVED, "/new": GOOD, "/m": {"status": 404}, "/n": HIDDEN, "/only": GOOD,
    "/moved": MOVED,
}  # fmt: skip
CHECKS = (
    "response-internal-redirect", "response-4xx", "link-broken-internal", "index-noindex", "link-single-inlink",
)  # fmt: skip
FOUND = {
    ("response-internal-redirect", "/r"),
    ("response-4xx", "/m"),
    ("link-broken-internal", "/m"),
    ("index-noindex", "/n"),
    ("link-single-inlink", "/only"),
}


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def without(*paths: str) -> dict[str, Any]:
    """What nothing leads to while the hub fails is asked for again where it was a page, and not where it was none."""
    return {path: page for path, page in WHOLE.items() if path not in paths}


def of_hub(issues: dict[tuple[str, str], tuple[str, str | None]]) -> dict[tuple[str, str], str | None]:
    return {which: change for which, (_, change) in issues.items() if which in FOUND}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("failed", FAILED.values(), ids=FAILED)
def test_what_only_a_failed_page_led_to_waits_for_it(nights, failed, count):
    issues, _ = nights.crawl(WHOLE, checks=CHECKS)
    assert set(of_hub(issues)) == FOUND
    for _ in range(count):
        issues, _ = nights.crawl(without("/r", "/m") | {"/b": failed}, checks=CHECKS)
        assert of_hub(issues) == dict.fromkeys(FOUND, "unverified")
    issues, _ = nights.crawl(WHOLE, checks=CHECKS)
    assert of_hub(issues) == dict.fromkeys(FOUND, "still")


@pytest.mark.parametrize("count", [0, 2])
def test_it_is_over_when_that_page_was_read_and_leads_there_no_more(nights, count):
    nights.crawl(WHOLE, checks=CHECKS)
    for _ in range(count):
        nights.crawl(without("/r", "/m") | {"/b": {"status": 503}}, checks=CHECKS)
    issues, _ = nights.crawl(without("/r", "/m") | {"/b": GOOD}, checks=CHECKS)
    assert of_hub(issues) == {which: "gone" if which[1] in ("/r", "/m") else "fixed" for which in FOUND}


def test_what_answers_otherwise_itself_waits_for_nobody(nights):
    nights.crawl(WHOLE, checks=CHECKS)
    mended = {"/": says("home", "<a href=/b>b</a><a href=/m>m</a>"), "/b": {"status": 503}, "/r": GOOD, "/m": GOOD}
    issues, _ = nights.crawl(WHOLE | mended, checks=CHECKS)
    assert issues["response-internal-redirect", "/r"] == ("gone", "gone")
    assert issues["response-4xx", "/m"] == issues["link-broken-internal", "/m"] == ("fixed", "fixed")


def test_what_is_behind_what_was_not_asked_waits_too(nights):
    site = {"/": HOME, "/b": says("b", "<a href=/r>r</a>"), "/r": MOVED, "/new": {"status": 404}}
    nights.crawl(site, checks=("response-4xx",))
    for _ in range(2):
        issues, _ = nights.crawl({"/": HOME, "/b": {"status": 503}}, checks=("response-4xx",))
        assert issues == {("response-4xx", "/new"): ("open", "unverified")}
    issues, _ = nights.crawl({"/": HOME, "/b": GOOD}, checks=("response-4xx",))
    assert issues == {("response-4xx", "/new"): ("gone", "gone")}


def test_what_only_an_unread_sitemap_listed_waits_for_it(nights):
    def listed(status: int) -> dict[str, list[dict[str, Any]]]:
        rows = [{"sitemap_url": "/1.xml", "url": "/m", "position": 0}] if status == 200 else []
        read = {"url": "/1.xml", "declared_in": "robots", "outcome": "fetched", "status_code": status}
        return {"sitemap": [read], "sitemap_url": rows}

    issue, site = ("response-4xx", "/m"), {"/": HOME, "/b": GOOD}
    nights.crawl(site | {"/m": {"status": 404}}, checks=("response-4xx",), sitemaps=listed(200))
    for _ in range(2):
        issues, _ = nights.crawl(site, checks=("response-4xx",), sitemaps=listed(503))
        assert issues == {issue: ("open", "unverified")}
    issues, _ = nights.crawl(site, checks=("response-4xx",), sitemaps=listed(404))
    assert issues == {issue: ("gone", "gone")}


PART = says("a", "<a href='/b#part'>b</a>")


@pytest.mark.parametrize(
    ("check", "first", "failing", "where"),
    [
        ("link-fragment-missing", {"/a": PART, "/b": GOOD}, "/b", "/a"),
        ("link-nofollow-internal", {"/a": says("a", "<a rel=nofollow href=/b>b</a>"), "/b": GOOD}, "/b", "/a"),
        ("response-redirect-chain", {"/a": {**MOVED, "headers": {"Location": "/r"}}, "/r": MOVED}, "/r", "/a"),
        ("response-redirect-loop", {"/new": {**MOVED, "headers": {"Location": "/r"}}, "/r": MOVED}, "/r", "/new"),
        (
            "hreflang-unlinked-target",
            {"/a": {"alternates": {"en": "/a", "de": "/b"}}, "/b": {"alternates": {"de": "/b"}}},
            "/a",
            "/b",
        ),
    ],
)
def test_what_rests_on_a_page_that_it_leads_to_waits_for_that(nights, check, first, failing, where):
    issues, _ = nights.crawl(first, checks=(check,))
    assert issues[check, where] == ("open", None)
    for _ in range(2):
        issues, _ = nights.crawl(first | {failing: {"status": 503}}, checks=(check,))
        assert issues[check, where] == ("open", "unverified")
    issues, _ = nights.crawl(first, checks=(check,))
    assert issues[check, where] == ("open", "still")


def test_a_link_that_was_taken_away_is_fixed_whatever_its_target_does(nights):
    nights.crawl({"/a": PART, "/b": GOOD}, checks=("link-fragment-missing",))
    issues, _ = nights.crawl({"/a": says("a"), "/b": {"status": 503}}, checks=("link-fragment-missing",))
    assert issues["link-fragment-missing", "/a"] == ("fixed", "fixed")


def worded(text: str) -> dict[str, Any]:
    return {"body": f"<p>{text}</p>"}


@pytest.mark.parametrize("failed", [FAILED["503"], FAILED["breaks off"]], ids=["503", "breaks off"])
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (worded("as ever"), worded("as ever"), {}),
        (worded("as ever"), worded("another"), {"/b": "changed"}),
        (worded("as ever"), {"status": 404}, {"/b": "removed"}),
        (worded("as ever"), MOVED, {"/b": "moved"}),
        (HIDDEN, HIDDEN, {}),
        ({"status": 404}, {"status": 404}, {}),
        (None, worded("new"), {}),
    ],
    ids=["as ever", "reworded", "taken down", "moved", "noindex", "never there", "never seen"],
)
def test_a_page_that_answers_again_is_held_against_what_was_known_of_it(nights, before, failed, after, expected):
    rest = {"/": GOOD, "/new": GOOD}
    nights.crawl(rest | ({"/b": before} if before else {}))
    for _ in range(2):
        _, changes = nights.crawl(rest | {"/b": failed})
        assert changes == {}
    _, changes = nights.crawl(rest | {"/b": after})
    assert changes == expected


def test_a_page_that_was_missing_before_is_added(nights):
    nights.crawl({"/": GOOD, "/b": {"status": 404}})
    _, changes = nights.crawl({"/": GOOD, "/b": GOOD, "/c": GOOD})
    assert changes == {"/b": "added", "/c": "added"}


@pytest.mark.parametrize(
    ("leading", "more"),
    [
        ({"/": "<a href=/x>x</a>"}, {}),
        ({"/": "<img src=/x alt=x>"}, {}),
        ({"/old": {"status": 301, "headers": {"Location": "/x"}}}, {}),
        ({"/": {"alternates": {"de": "/x"}}}, {}),
        ({"/": {"html": "<html><head><link rel=canonical href=/x></head><body>a</body></html>"}}, {}),
        ({}, {"sitemap_url": [{"sitemap_url": "/1.xml", "url": "/x", "position": 0}]}),
        ({}, {"hreflang": [{"url": "/", "source": "sitemap", "code": "de", "href": "/x", "target_url": "/x"}]}),
        ({}, {"seed": [{"url": "/x", "source": "start"}]}),
        ({}, {"inputs": {"search_page": [{"url": "/x", "impression_count": 3}]}}),
        ({}, {"inputs": {"logged_page": [{"url": "/x", "request_count": 3}]}}),
        ({}, {"seed": [{"url": "/x", "source": "last_run"}]}),
        ({"/x": {"status": 404, "body": "<a href=/x>x</a>"}}, {}),
    ],
    ids=[
        *("link", "image", "redirect", "alternate", "canonical", "sitemap", "alternate in a sitemap", "start"),
        *("search", "log", "nothing but the last crawl", "nothing"),
    ],
)
def test_a_missing_page_is_wrong_where_something_leads_to_it(tmp_path, request, leading, more):
    tables, inputs = tables_of({"site": {"/": GOOD, "/x": {"status": 404}} | leading} | more)
    with CrawlFacts(tables, CATALOGUE.only(["response-4xx"]).script(), tmp_path, inputs) as facts:
        audit(facts, [CATALOGUE["response-4xx"]])
        issues = facts.issues().to_pylist()
    assert [issue["url"] for issue in issues] == ([] if "nothing" in request.node.callspec.id else [f"{ORIGIN}/x"])


BY_ITSELF = {
    "hreflang-missing-self": "what it names itself",
    "hreflang-missing-x-default": "what it names itself",
    "hreflang-sources-disagree": "what it names itself",
    "link-dead-end": "what it links to itself",
    "link-orphan-page": "a link to it ends it, wherever that is",
    "link-score-drop": "held against the crawl before, and told once",
    "market-without-pages": "a page of the market ends it",
}
"""Checks that look at other pages, and end without them."""
_OF_OTHERS = re.compile(
    r"\b(inlink|internal_link|link_pair|redirect_path|alternate\w*|edge|click_depth|link_score|translation|named_\w+"
    r"|clustered_\w+|market_in_search|target_state|indexable AS|html_page AS|address AS)\b"
)


def test_what_looks_at_other_pages_says_on_which_it_rests():
    looking = {check.id for check in CATALOGUE.checks if check.sql and _OF_OTHERS.search(f"{check.sql} {check.over}")}
    resting = {check.id for check in CATALOGUE.checks if check.rests_on}
    assert looking - resting == set(BY_ITSELF)
