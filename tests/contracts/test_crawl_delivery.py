"""What of a crawl and its audit goes into the warehouse: every page and open issue, with who leaves it so and what it
puts at risk."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixture_site import ORIGIN, tables_of

from caravan.clients.crawl import comparing, delivery, findings
from caravan.clients.crawl.comparing import Standing
from caravan.clients.crawl.delivery import Stamp
from caravan.clients.crawl.facts import CrawlFacts
from caravan.config.site_checks import FOLDER, load_site_checks
from caravan.core.crawl import Scope
from caravan.core.urls import frontier_key, key_of
from caravan.functions.site.audit import audit
from caravan.warehouse.crawls import PREFIX
from caravan.warehouse.raw_tables import CRAWLS

NIGHT = datetime(2026, 3, 2, 2, 0)
TEXTS = {
    name: (FOLDER / "after" / f"{name}.sql").read_text(encoding="utf-8")
    for name in ("comparison", "suppression", "delivery")
}
COLUMNS = {name.removeprefix(PREFIX): table.columns for name, table in CRAWLS.items()}
CHECKS = ("response-4xx", "url-underscore")


def product(*skus: str) -> str:
    nodes = ",".join(f'{{"@type": "Product", "sku": "{sku}"}}' for sku in skus)
    return f'<script type="application/ld+json">[{nodes}]</script>'


def variants(*skus: str) -> str:
    """Of a product that itself has no number."""
    offers = ",".join(f'{{"@type": "Offer", "sku": "{sku}"}}' for sku in skus)
    return f'<script type="application/ld+json">{{"@type": "Product", "name": "A", "offers": [{offers}]}}</script>'


SITE = {
    "/": '<a href="/de/a_pot">pot</a><a href="/lost">lost</a>',
    "/de/a_pot": product("POT", "POT", "CUP"),
    "/de/a_new": product("NEW"),
    "/de/a_text": "<p>No product here</p>",
    "/de/a_set": variants("POT", "CUP"),
    "/de/a_gtin": '<script type="application/ld+json">{"@type": "ProductModel", "gtin14": "CUP"}</script>',
    "/fr/a_pot": product("POT"),
    "/old": {"status": 301, "headers": {"Location": "/"}},
    "/lost": {"status": 404},
}
MARKETS = [
    {"market_code": "DE", "prefix": "/de/", "locales": ["de"], "currency_code": "EUR"},
    {"market_code": "FR", "prefix": "/fr/", "locales": ["fr"], "currency_code": "EUR"},
]
EARNED = [("DE", "POT", "100.5"), ("DE", "CUP", "20"), ("FR", "CUP", "7")]


def deliver(folder: Path, *suppressions: dict[str, Any], **stamp: Any) -> dict[str, list[dict[str, Any]]]:
    tables, inputs = tables_of({"site": SITE, "inputs": {"market": MARKETS}})
    catalogue = load_site_checks().only(CHECKS)
    revenue = [{"market_code": market, "sku": sku, "amount": Decimal(amount)} for market, sku, amount in EARNED]
    usual = Stamp(
        site_code="shop",
        crawl_id="c1",
        crawl_date=NIGHT.date(),
        load_id="l1",
        started_at=NIGHT,
        ended_at=NIGHT,
        expected_count=9,
        seen_count=9,
        is_complete=True,
        incomplete_reason=None,
        is_comparable=False,
        not_comparable_reason="the first crawl",
        **{"config_hash": "h", "currency_code": "EUR", "sales_problem": None, "market_default": "ZZ", **stamp},
    )
    with CrawlFacts(tables, catalogue.script(*TEXTS.values()), folder, inputs, threads=1) as facts:
        verdicts = [
            {"check_id": each.check.id, "check_version": each.check.version, "severity": each.check.severity}
            | {"category": each.check.category, "outcome": each.outcome, "reason": each.reason}
            | {name: getattr(each, name) for name in ("judged_count", "issue_count", "affected_count")}
            for each in audit(facts, catalogue.checks)
        ]
        keys, sources, _ = delivery.internal_links(facts)
        assert (len(keys), len(sources)) == (7, 1)
        score = pa.table({"page_key": keys, "score": np.arange(7) * 1.0, "previous_score": [None] * 7})
        facts.provide("link_score", score)
        comparing.compare(facts, TEXTS["comparison"], [], {}, comparing.Known(), Standing(NIGHT, False, True))
        findings.suppress(facts, TEXTS["suppression"], suppressions)
        files = delivery.deliver(
            facts,
            TEXTS["delivery"],
            usual,
            verdicts,
            pa.Table.from_pylist(revenue, schema=delivery.REVENUE),
            COLUMNS,
            folder,
        )
    return {name: pq.read_table(path).to_pylist() for name, path in files.items()}


def test_every_table_has_the_warehouse_s_columns(tmp_path):
    found = deliver(tmp_path)
    assert {name: len(rows) for name, rows in found.items()} == {
        "crawl": 1,
        "page": 9,
        "issue": 7,
        "check": 2,
        "page_change": 0,
    }
    for name, rows in found.items():
        for row in rows:
            assert list(row) == list(COLUMNS[name])
            assert (row["site_code"], row["crawl_id"], row["load_id"]) == ("shop", "c1", "l1")
            assert row["crawl_date"] == date(2026, 3, 2)


def test_pages_with_their_market_and_what_may_be_indexed(tmp_path):
    pages = {row["url"].removeprefix(ORIGIN): row for row in deliver(tmp_path)["page"]}
    assert {path: row["market_code"] for path, row in pages.items() if row["market_code"] != "ZZ"} == {
        "/de/a_pot": "DE",
        "/de/a_new": "DE",
        "/de/a_text": "DE",
        "/de/a_set": "DE",
        "/de/a_gtin": "DE",
        "/fr/a_pot": "FR",
    }
    assert pages["/de/a_pot"]["is_indexable"] is True
    assert pages["/de/a_pot"]["inlink_count"] == 1
    assert pages["/lost"]["is_indexable"] is None
    assert (pages["/old"]["http_status"], pages["/old"]["location_url"]) == (301, f"{ORIGIN}/")
    assert {row["link_score"] is None for path, row in pages.items() if path in ("/old", "/lost")} == {True}
    assert pages["/"]["page_key"] == key_of(frontier_key(f"{ORIGIN}/", Scope(frozenset())))


@pytest.mark.parametrize(
    ("path", "amount", "reason"),
    [
        ("/de/a_pot", Decimal("120.5"), None),
        ("/de/a_new", None, "the warehouse does not know the product in this market"),
        ("/de/a_set", Decimal("120.5"), None),
        ("/de/a_gtin", Decimal("20"), None),
        ("/de/a_text", None, "no product number on the page"),
        ("/fr/a_pot", None, "the warehouse does not know the product in this market"),
        ("/lost", None, "the page belongs to no market"),
    ],
)
def test_what_an_issue_puts_at_risk_or_why_that_is_not_known(tmp_path, path, amount, reason):
    (row,) = (row for row in deliver(tmp_path)["issue"] if row["url"] == ORIGIN + path)
    assert (row["revenue_amount"], row["revenue_reason"], row["currency_code"]) == (amount, reason, "EUR")


def test_without_sales_in_the_warehouse_nothing_is_known(tmp_path):
    found = deliver(tmp_path, sales_problem="no sales in the warehouse")["issue"]
    reasons = {row["revenue_reason"] for row in found if "a_new" in row["url"]}
    assert reasons == {"no sales in the warehouse"}


@pytest.mark.parametrize(
    ("urls", "suppressed"),
    [
        ("/de/", {"/de/a_pot", "/de/a_new", "/de/a_text", "/de/a_set", "/de/a_gtin"}),
        ("a_pot$", {"/de/a_pot", "/fr/a_pot"}),
        (None, {"/de/a_pot", "/de/a_new", "/de/a_text", "/de/a_set", "/de/a_gtin", "/fr/a_pot"}),
        ("/it/", set()),
    ],
    ids=["of a folder", "by its end", "all of a check", "of none"],
)
def test_who_leaves_an_issue_as_it_is(tmp_path, urls, suppressed):
    given = {"check_id": "url-underscore", "owner": "Ada", "reason": "relaunch", "urls": urls}
    issues = deliver(tmp_path, given)["issue"]
    assert {row["url"].removeprefix(ORIGIN) for row in issues if row["is_suppressed"]} == suppressed
    for row in issues:
        assert row["suppressed_by"] == ("Ada" if row["is_suppressed"] else None)
