"""A page or a sitemap that fails for a night stands as it was last read: what it has a share in goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pyarrow.parquet as pq
import pytest
from crawl_world import sitemap
from fixture_site import ORIGIN
from paper_nights import FAILED, REFUSED, PaperNights

from caravan.assembly.site_audit import Before
from caravan.clients.crawl.runs import AWAY, LITTLE
from caravan.config.site_checks import adjusted, load_site_checks

CATALOGUE = load_site_checks()
GOOD = "<p>text</p>"
GONE = {"status": 404}
MOVED = {"status": 301, "headers": {"Location": "/new"}}
HIDDEN = {"head": "<meta name=robots content=noindex>"}


def links(*paths: str) -> str:
    return "".join(f"<a href={path}>about {path}</a> " for path in paths)


LEAVES = {f"/leaf/{number}": GOOD for number in range(30)}
"""So many pages that a crawl is complete without one of them."""
HOME = links("/b", *LEAVES)
WHOLE: Mapping[str, Any] = {
    **LEAVES, "/": HOME, "/b": links("/r", "/m", "/n", "/only"), "/r": MOVED, "/new": GOOD, "/m": GONE, "/n": HIDDEN,
    "/only": GOOD,
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

Of = Callable[..., PaperNights]


@pytest.fixture
def nights(tmp_path: Path) -> Of:
    """Of some checks."""

    def of(*checks: str) -> PaperNights:
        return PaperNights(tmp_path, CATALOGUE.only(checks))

    return of


def of_hub(nights: PaperNights) -> dict[tuple[str, str], str | None]:
    return {which: change for which, (_, change) in nights.issues().items() if which in FOUND}


@pytest.mark.parametrize("failed", [*FAILED.values(), *REFUSED.values()], ids=[*FAILED, *REFUSED])
def test_what_only_a_failed_page_led_to_is_asked_and_judged_as_ever(nights: Of, failed: Mapping[str, Any]) -> None:
    several = nights(*CHECKS)
    several.night(WHOLE)
    assert set(of_hub(several)) == FOUND
    asked = set(several.asked)
    for _ in range(3):
        assert several.night({**WHOLE, "/b": failed}).certificate.is_complete
        assert of_hub(several) == dict.fromkeys(FOUND, "still")
        assert {where for _, _, where in several.changed("new", "fixed", "gone", "regressed")} <= {"/b"}
        assert set(several.asked) == asked and several.pages() == {}
    several.night(WHOLE)
    assert of_hub(several) == dict.fromkeys(FOUND, "still")
    assert several.changed("new", "regressed", "gone") == set() and several.pages() == {}


@pytest.mark.parametrize("count", [0, 2])
def test_it_is_over_when_that_page_was_read_and_leads_there_no_more(nights: Of, count: int) -> None:
    several = nights(*CHECKS)
    several.night(WHOLE)
    for _ in range(count):
        several.night({**WHOLE, "/b": FAILED["503"]})
    several.night({**WHOLE, "/b": GOOD})
    over = {("response-internal-redirect", "/r"): "fixed"}  # it still redirects, and nobody is sent there
    assert of_hub(several) == {which: over.get(which, "gone" if which[1] == "/m" else "fixed") for which in FOUND}


def test_what_answers_otherwise_itself_waits_for_nobody(nights: Of) -> None:
    several = nights(*CHECKS)
    site = {**WHOLE, "/": links("/b", *LEAVES)}
    several.night(site)
    several.night({**site, "/b": FAILED["503"], "/r": GOOD, "/m": GOOD})
    found = of_hub(several)
    assert found["response-internal-redirect", "/r"] == "gone"
    assert found["response-4xx", "/m"] == found["link-broken-internal", "/m"] == "fixed"


def test_a_page_that_is_taken_down_while_it_fails_is_told(nights: Of) -> None:
    several = nights(*CHECKS)
    several.night(WHOLE)
    several.night({**WHOLE, "/": links(*LEAVES), "/b": FAILED["503"]})
    assert "/b" in several.asked, "nothing leads to it any more, and it was there"
    several.night({**WHOLE, "/": links(*LEAVES), "/b": GONE})
    assert several.pages() == {"/b": "removed"}
    assert of_hub(several)["index-noindex", "/n"] == "fixed", "what it said stands no longer"
    several.night({**WHOLE, "/": links(*LEAVES), "/b": GONE})
    assert "/b" not in several.asked and several.pages() == {}


def test_an_outage_in_between_loses_nothing(nights: Of) -> None:
    several = nights(*CHECKS)
    several.night(WHOLE)
    several.night({**WHOLE, "/b": FAILED["503"]})
    # Not 503: that asks for slower requests, and gets them.
    assert not several.night({path: {"status": 500} for path in WHOLE}).certificate.is_complete
    several.night({**WHOLE, "/b": FAILED["breaks off"]})
    assert of_hub(several) == dict.fromkeys(FOUND, "still")


@pytest.mark.parametrize("failing", ["/", "/b", "/r"])
@pytest.mark.parametrize(
    ("failed", "told"),
    [
        (FAILED["503"], "response-5xx"),
        (FAILED["breaks off"], "response-timeout"),
        (REFUSED["403"], "response-4xx"),
    ],
    ids=["503", "breaks off", "403"],
)
def test_no_check_tells_anything_but_the_failure(
    tmp_path: Path, failing: str, failed: Mapping[str, Any], told: str
) -> None:
    of_answers = {told, "link-broken-internal"}
    site = {**WHOLE, "/b": links("/r", "/m", "/n", "/only"), "/r": {**MOVED, "headers": {"Location": "/b/deep"}}}
    site["/b/deep"] = links("/b")
    every = PaperNights(tmp_path, CATALOGUE)
    every.night(site)
    known = set(every.issues())
    every.night({**site, failing: failed})
    assert every.changed("new", "regressed", "fixed", "gone") <= {("new", check, failing) for check in of_answers}
    assert ("new", told, failing) in every.changed("new")
    every.night(site)
    assert every.changed("new", "regressed", "fixed", "gone") <= {("fixed", check, failing) for check in of_answers}
    assert {which for which, (state, _) in every.issues().items() if state == "open"} == known


NEXT = "<a rel=next href=/b>next</a>"
PART = "<a href='/b#part'>b</a>"
BOTH = {"alternates": {"en": "/a", "de": "/b"}}
CANONICAL = "<!doctype html><html><head><link rel=canonical href=/b></head><body>a</body></html>"


def titled(title: str) -> dict[str, str]:
    return {"html": f"<!doctype html><html lang=en><head><title>{title}</title></head><body>text</body></html>"}


@pytest.mark.parametrize(
    ("check", "site", "failing", "where"),
    [
        ("link-fragment-missing", {"/a": PART, "/b": GOOD}, "/b", "/a"),
        ("link-nofollow-internal", {"/a": "<a rel=nofollow href=/b>b</a>", "/b": GOOD}, "/b", "/a"),
        ("response-redirect-chain", {"/a": {**MOVED, "headers": {"Location": "/r"}}, "/r": MOVED}, "/r", "/a"),
        ("response-redirect-loop", {"/new": {**MOVED, "headers": {"Location": "/r"}}, "/r": MOVED}, "/r", "/new"),
        (
            "hreflang-unlinked-target",
            {"/a": BOTH, "/b": {"alternates": {"de": "/b"}}, "/": links(*LEAVES, "/a")},
            "/a",
            "/b",
        ),
        ("hreflang-missing-return", {"/a": BOTH, "/b": GOOD}, "/b", "/a"),
        ("hreflang-to-noindex", {"/a": BOTH, "/b": HIDDEN}, "/b", "/a"),
        ("title-duplicate", {"/a": titled("Same"), "/b": titled("Same")}, "/b", "/a"),
        ("canonical-to-noindex", {"/a": {"html": CANONICAL}, "/b": HIDDEN}, "/b", "/a"),
        ("link-pagination-broken", {"/a": NEXT, "/b": HIDDEN}, "/b", "/a"),
        ("link-score-drop", {}, "/", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("failed", [FAILED["503"], FAILED["429"], REFUSED["403"]], ids=["503", "429", "403"])
def test_it_stands_for_whatever_is_told_of_another_page(
    nights: Of, check: str, site: Mapping[str, Any], failing: str, where: str | None, failed: Mapping[str, Any]
) -> None:
    several = nights(check)
    site = {**LEAVES, "/": links(*LEAVES, "/a", "/b", "/new"), "/new": GOOD, **site}
    several.night(site)
    expected = {(check, where)} if where else set()
    assert {which for which in several.issues() if which[1] in (where, failing)} >= expected
    known = set(several.issues())
    for _ in range(2):
        assert several.night({**site, failing: failed}).certificate.is_complete
        assert set(several.issues()) == known
        changes = {which: change for which, (_, change) in several.issues().items()}
        assert changes == {which: "unverified" if which[1] == failing else "still" for which in known}
    several.night(site)
    assert {change for _, change in several.issues().values()} <= {"still"}


def test_a_link_that_was_taken_away_is_fixed_whatever_its_target_does(nights: Of) -> None:
    several = nights("link-fragment-missing")
    site = {**LEAVES, "/": links(*LEAVES, "/a", "/b"), "/a": PART, "/b": GOOD}
    several.night(site)
    several.night({**site, "/a": GOOD, "/b": FAILED["503"]})
    assert several.issues()["link-fragment-missing", "/a"] == ("fixed", "fixed")


def worded(text: str) -> str:
    return f"<p>{text}</p>"


@pytest.mark.parametrize(
    "failed", [FAILED["503"], FAILED["breaks off"], REFUSED["403"]], ids=["503", "breaks off", "403"]
)
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (worded("as ever"), worded("as ever"), {}),
        (worded("as ever"), worded("another"), {"/b": "changed"}),
        (worded("as ever"), GONE, {"/b": "removed"}),
        (worded("as ever"), MOVED, {"/b": "moved"}),
        (HIDDEN, HIDDEN, {}),
        (GONE, GONE, {}),
    ],
    ids=["as ever", "reworded", "taken down", "moved", "noindex", "never there"],
)
def test_a_page_that_answers_again_is_held_against_what_was_known_of_it(
    nights: Of, before: Any, failed: Mapping[str, Any], after: Any, expected: Mapping[str, str]
) -> None:
    several = nights("response-4xx")
    rest = {**LEAVES, "/": links(*LEAVES, "/b", "/new"), "/new": GOOD}
    several.night({**rest, "/b": before})
    for _ in range(2):
        several.night({**rest, "/b": failed})
        assert several.pages() == {}
    several.night({**rest, "/b": after})
    assert several.pages() == expected


def test_a_page_that_nobody_has_read_yet_is_neither_added_nor_judged(nights: Of) -> None:
    several = nights("response-5xx", "title-missing")
    site = {**LEAVES, "/": links(*LEAVES, "/b"), "/b": {"html": "<!doctype html><p>text</p>"}}
    several.night({**site, "/b": FAILED["503"]})
    several.night(site)
    assert several.pages() == {}
    assert several.issues() == {("response-5xx", "/b"): ("fixed", "fixed"), ("title-missing", "/b"): ("open", "new")}


def test_what_browsers_may_well_unpack_was_not_judged(nights: Of) -> None:
    several = nights("title-missing", "response-timeout")
    site = {**LEAVES, "/": links(*LEAVES, "/b"), "/b": {"html": "<!doctype html><p>text</p>"}}
    several.night(site)
    several.night({**site, "/b": {"cut": "encoding", "headers": {"Content-Encoding": "br"}}})
    assert several.issues() == {("title-missing", "/b"): ("open", "unverified")}


def test_of_itself_only_what_it_answered_is_judged(nights: Of) -> None:
    several = nights("title-missing", "response-5xx")
    site = {**LEAVES, "/": links(*LEAVES, "/b"), "/b": {"html": "<!doctype html><p>text</p>"}}
    several.night(site)
    several.night({**site, "/b": FAILED["503"]})
    assert several.issues() == {
        ("title-missing", "/b"): ("open", "unverified"),
        ("response-5xx", "/b"): ("open", "new"),
    }
    checks = pq.read_table(several.folder / "check.parquet").to_pylist()
    assert {row["check_id"]: row["judged_count"] for row in checks} == {"title-missing": 31, "response-5xx": 32}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_to_who_could_read_it_before_is_told_the_same_night(
    nights: Of, refused: Mapping[str, Any]
) -> None:
    several = nights("title-missing", "response-4xx", "link-broken-internal")
    site = {**LEAVES, "/": links(*LEAVES, "/b"), "/b": {"html": "<!doctype html><p>text</p>"}}
    of_itself = ("response-4xx", "/b"), ("link-broken-internal", "/b")
    several.night(site)
    for change in ("new", "still"):
        assert several.night({**site, "/b": refused}).certificate.is_complete
        told = {("title-missing", "/b"): ("open", "unverified"), **dict.fromkeys(of_itself, ("open", change))}
        assert several.issues() == told
        rows = pq.read_table(several.folder / "page", filters=[("url", "=", f"{ORIGIN}/b")]).to_pylist()
        assert [(row["status_code"], row["kept_status_code"]) for row in rows] == [(refused["status"], 200)]
    several.night(site)
    assert several.issues() == {("title-missing", "/b"): ("open", "still"), **dict.fromkeys(of_itself, ("fixed",) * 2)}


@pytest.mark.parametrize("status", [400, 404, 405, 410, 418])
def test_another_4xx_is_an_answer_of_the_page(nights: Of, status: int) -> None:
    several = nights(*CHECKS)
    several.night(WHOLE)
    several.night({**WHOLE, "/b": {"status": status}})
    assert of_hub(several)["index-noindex", "/n"] == "fixed"
    rows = pq.read_table(several.folder / "page", filters=[("url", "=", f"{ORIGIN}/b")]).to_pylist()
    assert [(row["status_code"], row["kept_status_code"]) for row in rows] == [(status, None)]


def test_what_was_never_to_be_read_stands_for_nothing(nights: Of) -> None:
    several = nights("response-4xx", "title-missing")
    site = {**LEAVES, "/": links(*LEAVES, "/b"), "/b": REFUSED["403"]}
    for change in (None, "still"):
        several.night(site)
        assert several.issues() == {("response-4xx", "/b"): ("open", change)}
        rows = pq.read_table(several.folder / "page", filters=[("url", "=", f"{ORIGIN}/b")]).to_pylist()
        assert [(row["status_code"], row["kept_status_code"]) for row in rows] == [(403, None)]


def test_a_site_that_shows_little_to_anybody_can_be_compared(nights: Of) -> None:
    several = nights("response-4xx")
    members = {f"/account/{number}": REFUSED["401"] for number in range(60)}
    for _ in range(2):
        assert several.night({**LEAVES, "/": links(*LEAVES, *members), **members}).certificate.is_complete
    assert set(several.issues().values()) == {("open", "still")}


def test_a_night_in_which_most_is_refused_ends_nothing_and_is_no_night_to_compare_with(nights: Of) -> None:
    several = nights(*CHECKS)
    several.night(WHOLE)
    baseline = several.folder
    record = several.night({**WHOLE, **dict.fromkeys(WHOLE, REFUSED["403"]), "/": HOME})
    assert (record.certificate.stopped, record.certificate.is_complete) == (LITTLE, False)
    assert several.before.crawl == baseline
    assert several.changed("fixed", "gone") == set()
    several.night(WHOLE)
    assert of_hub(several) == dict.fromkeys(FOUND, "still")


def sent(to: str, status: int = 302) -> dict[str, Any]:
    return {"status": status, "headers": {"Location": to}}


THERE = [path for path in WHOLE if path not in ("/r", "/m")]


@pytest.mark.parametrize("status", [302, 303, 307])
@pytest.mark.parametrize("to", ["/away", "/away?from={path}"])
def test_a_site_that_is_elsewhere_for_a_night_ends_nothing(nights: Of, status: int, to: str) -> None:
    several = nights(*CHECKS)
    several.night(WHOLE)
    baseline = several.folder
    away = {path: sent(to.format(path=path), status) for path in THERE}
    places = dict.fromkeys((to.format(path=path) for path in THERE), GOOD)
    for _ in range(2):
        record = several.night({**WHOLE, **places, **away})
        assert (record.certificate.stopped, record.certificate.is_complete) == (AWAY, False)
        assert several.before.crawl == baseline and several.changed("fixed", "gone") == set()
    several.night(WHOLE)
    assert of_hub(several) == dict.fromkeys(FOUND, "still")


@pytest.mark.parametrize(
    ("tonight", "stopped"),
    [
        ({path: sent("/away") for path in list(LEAVES)[:17]}, None),
        ({path: sent("/away") for path in list(LEAVES)[:18]}, AWAY),
        ({path: sent("/away") for path in list(LEAVES)[:17]} | {"/m": sent("/away"), "/r": sent("/away")}, None),
        ({path: sent(f"/moved{path}") for path in LEAVES}, None),
        ({path: sent("/de" if int(path[6:]) % 2 else "/en") for path in LEAVES}, AWAY),
        ({path: sent("/away", 301) for path in LEAVES}, None),
        ({path: sent("/away", 308) for path in LEAVES}, None),
        ({"/": links("/b", *LEAVES, *(f"/new/{number}" for number in range(60)))}, None),
    ],
    ids=["half", "more", "not 200 before", "page by page", "by market", "for good", "for good, 308", "new ones"],
)
def test_when_a_site_is_elsewhere(nights: Of, tonight: Mapping[str, Any], stopped: str | None) -> None:
    several = nights("response-4xx")
    several.night(WHOLE)  # of which 35 answer 200
    places = dict.fromkeys(["/away", "/de", "/en", *(f"/moved{path}" for path in LEAVES)], GOOD)
    new = {f"/new/{number}": sent("/away") for number in range(60)}
    assert several.night({**WHOLE, **places, **new, **tonight}).certificate.stopped == stopped


def test_what_a_trap_leaves_out_is_expected_for_one_night(nights: Of) -> None:
    several = nights("response-4xx")
    several.plan = replace(several.plan, limits=replace(several.plan.limits, pages_of_pattern=10))
    shelf = {f"/{letter}": GOOD for letter in ascii_lowercase}
    for number in range(8):
        days = {f"/day/{day}": GOOD for day in range(number, number + 10)}
        certificate = several.night({**shelf, **days, "/": links(*shelf, *days)}).certificate
        assert certificate.skipped == ({"trap": 1} if number else {})
        assert certificate.is_complete, f"night {number}: {certificate.seen_count} of {certificate.expected_count}"


def test_what_was_only_shown_by_pages_was_not_read(nights: Of) -> None:
    several = nights("response-5xx")
    image = "<img src=/b alt=b>"
    several.night({**LEAVES, "/": links(*LEAVES) + image, "/b": GOOD})
    several.night({**LEAVES, "/": links(*LEAVES, "/b") + image, "/b": FAILED["503"]})
    rows = pq.read_table(several.folder / "page", filters=[("url", "=", f"{ORIGIN}/b")]).to_pylist()
    assert [(row["kind"], row["status_code"], row["kept_status_code"]) for row in rows] == [("page", 503, None)]


def test_what_the_last_crawl_saw_is_asked_for_however_deep_the_site_is(nights: Of) -> None:
    several = nights("response-5xx")
    several.plan = replace(several.plan, limits=replace(several.plan.limits, depth=2))
    site = {**LEAVES, "/": links(*LEAVES, "/1"), "/1": links("/2"), "/2": links("/3"), "/3": GOOD, "/b": GOOD}
    several.night({**site, "/": links(*LEAVES, "/1", "/b")})
    several.night({**site, "/b": GONE})
    assert "/b" in several.asked and several.pages()["/b"] == "removed"


def test_pages_that_another_configuration_left_out_are_not_new(nights: Of) -> None:
    several = nights("response-5xx")
    site, whole = {**LEAVES, "/": links(*LEAVES, "/b"), "/b": GOOD}, several.plan
    several.night(site)
    first = several.folder
    several.plan = replace(whole, scope=replace(whole.scope, excluded=("/b$",)))
    several.before = Before(None, first)
    several.night(site)
    several.plan, several.before = whole, Before(first, several.folder)
    several.night(site)
    assert several.pages() == {}


def test_robots_txt_is_no_failure(nights: Of) -> None:
    several = nights(*CHECKS)
    several.night(WHOLE)
    several.night({**WHOLE, "/robots.txt": b"User-agent: *\nDisallow: /b\n"})
    assert of_hub(several)["index-noindex", "/n"] == "fixed", "nobody is led there any more"


# --- sitemaps ---

LISTING = {"response-4xx": "/m", "sitemap-url-noindex": "/n", "sitemap-url-error": "/m"}


def listed(*paths: str) -> bytes:
    return sitemap([ORIGIN + path for path in paths]).body


INDEX = (
    b'<?xml version="1.0"?><sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    + f"<sitemap><loc>{ORIGIN}/1.xml</loc></sitemap></sitemapindex>".encode()
)


@pytest.mark.parametrize("failing", ["/sitemap.xml", "/1.xml"])
@pytest.mark.parametrize("failed", [*FAILED.values(), REFUSED["403"]], ids=[*FAILED, "403"])
def test_a_sitemap_that_fails_lists_what_it_listed(nights: Of, failing: str, failed: Mapping[str, Any]) -> None:
    several = nights(*LISTING, "sitemap-missing-page", "sitemap-unreachable")
    site = {**LEAVES, "/": links(*LEAVES, "/b"), "/b": GOOD, "/n": HIDDEN}
    files = {"/sitemap.xml": INDEX, "/1.xml": listed("/", *LEAVES, "/m", "/n")}
    several.night({**site, **files})
    expected = set(LISTING.items())
    assert set(several.issues()) == expected | {("sitemap-missing-page", "/b")}
    for _ in range(2):
        several.night({**site, **files, failing: failed, "/new": GOOD, "/": links(*LEAVES, "/b", "/new")})
        found = several.issues()
        assert {which: found[which] for which in expected} == dict.fromkeys(expected, ("open", "still"))
        assert found["sitemap-missing-page", "/b"] == ("open", "unverified")
        assert ("sitemap-missing-page", "/new") not in found, "nobody knows what it lists by now"
    several.night({**site, **files, "/new": GOOD, "/": links(*LEAVES, "/b", "/new")})
    assert several.issues()["sitemap-missing-page", "/new"] == ("open", "new"), "since it was last asked"
    several.night({**site, **files, failing: GONE})
    assert several.issues()["response-4xx", "/m"] == ("gone", "gone")


@pytest.mark.parametrize("failed", [*FAILED.values(), REFUSED["403"]], ids=[*FAILED, "403"])
def test_what_is_wrong_with_a_sitemap_itself_is_over_only_when_it_was_read(
    nights: Of, failed: Mapping[str, Any]
) -> None:
    several = nights("sitemap-too-many-urls")
    several.catalogue = adjusted(several.catalogue, {"sitemap-too-many-urls": {"urls": Decimal(10)}})
    robots = f"User-agent: *\nDisallow:\nSitemap: {ORIGIN}/1.xml\n".encode()
    site = {**LEAVES, "/": HOME, "/b": GOOD, "/robots.txt": robots, "/1.xml": listed("/", *LEAVES)}
    several.night(site)
    several.night({**site, "/1.xml": failed})
    assert several.issues() == {("sitemap-too-many-urls", "/1.xml"): ("open", "unverified")}
    several.night({**site, "/1.xml": listed("/", *list(LEAVES)[:9])})
    assert several.issues() == {("sitemap-too-many-urls", "/1.xml"): ("fixed", "fixed")}


def test_a_template_of_which_nothing_was_sent_is_as_slow_as_it_was(nights: Of) -> None:
    several = nights("perf-ttfb-slow")
    several.catalogue = adjusted(several.catalogue, {"perf-ttfb-slow": {"milliseconds": Decimal(1)}})
    tagged = {"body": GOOD, "headers": {"ETag": '"1"'}}
    several.night({"/": HOME, "/b": GOOD, **dict.fromkeys(LEAVES, tagged)})
    slow = ("perf-ttfb-slow", "/leaf/*")
    assert slow in several.issues()
    unchanged = {"status": 304, "headers": {"ETag": '"1"'}}
    several.night({"/": HOME, "/b": GOOD, **dict.fromkeys(LEAVES, unchanged)})
    assert several.issues()[slow] == ("open", "unverified")
    several.night({"/": links("/b"), "/b": GOOD, **dict.fromkeys(LEAVES, GONE)})
    assert several.issues()[slow] == ("gone", "gone")


def test_a_sitemap_that_nobody_has_read_yet_lists_nothing(nights: Of) -> None:
    several = nights("sitemap-missing-page")
    several.night({**LEAVES, "/": HOME, "/b": GOOD, "/sitemap.xml": FAILED["503"]})
    several.night({**LEAVES, "/": HOME, "/b": GOOD, "/sitemap.xml": FAILED["503"]})
    assert several.issues() == {}
