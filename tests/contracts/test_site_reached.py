"""A page that is missing is an issue where something leads to it, and only there."""

from __future__ import annotations

import pytest
from fixture_site import ORIGIN, tables_of

from caravan.clients.crawl.facts import CrawlFacts
from caravan.config.site_checks import load_site_checks
from caravan.functions.site.audit import audit

CATALOGUE = load_site_checks()
GOOD = "<p>text</p>"


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
