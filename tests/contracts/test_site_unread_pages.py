"""A page that fails for a night stands as it was last read: what it has a share in goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pyarrow.parquet as pq
import pytest
from fixture_site import ORIGIN
from paper_nights import (
    CATALOGUE,
    CHECKS,
    FAILED,
    FOUND,
    GONE,
    GOOD,
    HIDDEN,
    LEAVES,
    MOVED,
    REFUSED,
    WHOLE,
    Of,
    PaperNights,
    links,
    of_hub,
)

from caravan.assembly.site_audit import Before


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
