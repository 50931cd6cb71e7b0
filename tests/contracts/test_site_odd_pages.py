"""No check breaks on what pages may say, on inputs with holes, or on a crawl that found nothing."""

from __future__ import annotations

import json

import pytest
from fixture_site import tables_of

from caravan.clients.crawl.facts import CrawlFacts
from caravan.config.site_checks import load_site_checks
from caravan.functions.site.audit import audit

CATALOGUE = load_site_checks()
OFFER = {
    "@type": "Offer",
    "price": "9" * 40,
    "priceCurrency": 5,
    "availability": ["InStock"],
    "url": "[x",
    "image": [None, 1, {"a": 1}],
    "priceValidUntil": "0000-00-00",
}
NODES = [
    {
        "@type": "Product",
        "name": "\0",
        "offers": [OFFER, "x", 5, None],
        "sku": ["a", "b"],
        "x.y": "",
        "$": "",
        'a"b\\': "",
    },
    {"@type": ["Product", 5, None], "offers": {"@type": "AggregateOffer", "offers": [{"@type": "Offer", "price": {}}]}},
    {"@type": "Article", "datePublished": {"@value": "x"}, "image": "{x", "url": "{", "logo": "[]", "sameAs": "[{"},
    [[{"@type": "Review"}]],
    {"@type": {"a": 1}},
    {"@graph": [{"@graph": [{"x": 1}]}]},
    {},
]
PAGE = {
    "head": '<link rel="alternate" hreflang="en" href="http://["><link rel="alternate" hreflang="de" href>',
    "body": f'<script type="application/ld+json">{json.dumps(NODES)}</script><p>€ 5 $5</p><img><img src=""><a>x</a>',
    "alternates": {"": "/", "en": "/", "x-default": "/", "e'n-": "//", "-": "/"},
}
CASE = {
    "site": {
        "/": PAGE,
        "/de/": PAGE,
        "/failed": {"status": None, "outcome": "failed"},
        "/moved": {"status": 302, "headers": {"Location": "/de/"}},
    },
    "inputs": {
        "market": [
            {"market_code": "DE", "prefix": None, "locales": None, "currency_code": None},
            {"market_code": "US", "prefix": "/us/", "locales": [], "currency_code": "USD"},
        ],
        "price": [{"market_code": "DE", "sku": "a", "price": None}],
        "stock": [{"market_code": "DE", "sku": "a", "availability": None}],
    },
}


@pytest.mark.parametrize("has_pages", [True, False])
@pytest.mark.parametrize("has_inputs", [True, False])
def test_no_check_breaks(has_pages, has_inputs, tmp_path):
    tables, inputs = tables_of(CASE)
    crawled = tables if has_pages else {name: table.slice(0, 0) for name, table in tables.items()}
    with CrawlFacts(crawled, CATALOGUE.script(), tmp_path, inputs if has_inputs else {}, threads=1) as facts:
        verdicts = audit(facts, CATALOGUE.checks)
    assert [verdict.reason for verdict in verdicts if verdict.is_broken] == []
    # An empty crawl is never a clean one.
    assert {verdict.outcome for verdict in verdicts} == (
        {"fired", "passed", "not_evaluated"} if has_pages else {"not_evaluated"}
    )
