"""A sitemap that fails for a night stands as it was last read, and so does what else could not be read of a site."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from crawl_world import sitemap
from fixture_site import ORIGIN
from paper_nights import (
    FAILED,
    GONE,
    GOOD,
    HIDDEN,
    HOME,
    LEAVES,
    REFUSED,
    Of,
    links,
)

from caravan.config.site_checks import adjusted

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
