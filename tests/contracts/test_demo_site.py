"""The demo's web sites, crawled and audited: what is planted is found, and nothing else, in both of their nights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caravan import INCLUDE_DIR
from caravan.assembly import site as crawls
from caravan.assembly.clock import standing_at
from caravan.assembly.site_audit import Audited, Before, audit_crawl
from caravan.assembly.site_crawl import _markets, _Night
from caravan.clients.crawl.facts import INPUT_TABLES
from caravan.config.settings import Settings
from caravan.config.site_checks import load_site_checks
from caravan.demo.servers.web import Web, serve_web
from caravan.demo.site import edges, journal
from caravan.demo.site.planted import PAGE_CHANGES, PLANTS, issue_changes
from caravan.demo.site.planting import Night, differences
from caravan.demo.site.shop import Shop

CATALOGUE = load_site_checks()
NIGHT = datetime(2026, 10, 31, 2, 15)
"""The first one after the last day of the demo's sales."""
LATER = NIGHT + timedelta(days=1)
NOT_PLANTED = {
    "response-temporary-redirect": "it needs the redirects of 30 days of crawls, which no step gathers yet",
}
"""Checks that a demonstration of two nights cannot show."""


@dataclass
class Crawled:
    """`found`: addresses by check, as planted defects write them."""

    folder: Path
    audited: Audited
    found: dict[str, set[str]]


class Sites:
    def __init__(self, web: Web, home: Path) -> None:
        self.web, self.home = web, home
        config = home / "config"
        (config / "sites").mkdir(parents=True)
        (config / "channels").symlink_to(INCLUDE_DIR / "demo" / "channels")
        for name in ("project.yml", "markets", "privacy", "parties.yml", "methods.yml"):
            (config / name).symlink_to(INCLUDE_DIR / "config" / name)
        for name, text in web.site_files().items():
            (config / "sites" / name).write_text(text, encoding="utf-8")
        self.settings = Settings.from_environment({"CARAVAN_HOME": str(home), "CARAVAN_CONFIG": str(config)})

    def crawl(self, code: str, shop: Shop | None = None, last: Path | None = None) -> Crawled:
        """And audit, with the prices and the stock of `shop`."""
        night = _night_of(self.settings)
        site = night.site(code)
        folder = self.home / "crawls" / f"{code}-{2 if last else 1}"
        plan = crawls.plan_of(site)
        with standing_at(LATER if last else NIGHT):
            record = crawls.crawl(plan, folder, self.settings, last=last, authorities=site.authorities)
        inputs = {**_inputs("market", _markets(night, site)), **(_known(shop) if shop else {})}
        before = Before(last, last)
        audited = audit_crawl(site.name, folder, record, CATALOGUE, self.settings, before, inputs)
        assert not [each for each in audited.verdicts if each.is_broken]
        found: dict[str, set[str]] = {}
        for row in rows(folder / "issue.parquet"):
            found.setdefault(row["check_id"], set()).add(self.web.named(row["url"]))
        return Crawled(folder, audited, found)


def rows(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


def _night_of(settings: Settings) -> _Night:
    from caravan.config.loader import load
    from caravan.config.sites import load_sites

    configuration = load(settings.config_dir)
    sites, faults = load_sites(settings.config_dir, configuration.markets, [check.id for check in CATALOGUE.checks])
    assert faults == []
    return _Night(settings, configuration, sites, faults, CATALOGUE)


def _inputs(name: str, found: list[dict[str, Any]]) -> dict[str, pa.Table]:
    if not found:
        return {}
    (schema,) = (tables[name] for tables in INPUT_TABLES.values() if name in tables)
    return {name: pa.Table.from_pylist(found, schema=schema)}


def _known(shop: Shop) -> dict[str, pa.Table]:
    """What the warehouse would know of prices and stock."""
    offers = [
        {
            "market_code": market,
            "sku": sku,
            "price": offer.price,
            "currency_code": offer.currency,
            "availability": offer.availability,
        }
        for (market, sku), offer in shop.offers.items()
    ]
    prices = [{name: value for name, value in offer.items() if name != "availability"} for offer in offers]
    stock = [{name: offer[name] for name in ("market_code", "sku", "availability")} for offer in offers]
    return {**_inputs("price", prices), **_inputs("stock", stock)}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    home = tmp_path_factory.mktemp("demo_site")
    with serve_web({}, home / "certificates") as web:
        yield Sites(web, home)


@pytest.fixture(scope="module")
def nights(sites: Sites) -> list[tuple[Night, Crawled]]:
    """The shop, twice."""
    found: list[tuple[Night, Crawled]] = []
    for number in (1, 2):
        night = sites.web.begin(number)
        found.append((night, sites.crawl("kontor", night.shop, found[0][1].folder if found else None)))
    return found


def test_every_check_that_is_evaluated_is_planted_somewhere():
    planted = {check for plant in PLANTS for night in (1, 2) for check, _ in plant.found(night)}
    planted |= {check for check, _ in edges.PLANTED}
    implemented = {check.id for check in CATALOGUE.checks if check.is_implemented}
    assert implemented - planted == set(NOT_PLANTED)
    assert planted <= implemented


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_planted_in_the_shop_is_found_and_nothing_else(nights, number):
    night, crawled = nights[number - 1]
    assert crawled.audited.crawl.incomplete_reason is None
    assert differences(crawled.found, night.planted) == []


def test_the_second_night_tells_what_the_world_changed(nights, sites):
    (first, _), (second, crawled) = nights
    told = {
        (row["change"], row["check_id"], sites.web.named(row["url"]))
        for row in rows(crawled.folder / "ledger.parquet")
        if row["change"]
    }
    assert told == issue_changes(first.planted, second.planted)
    assert {change for change, _, _ in told} == {"new", "fixed", "still", "gone"}
    pages = {(row["change"], sites.web.named(row["url"])) for row in rows(crawled.folder / "page_change.parquet")}
    assert pages == PAGE_CHANGES
    log = sites.web.hosts["kontor"].log
    assert sum(status == 304 for _, _, status in log) > 200, "what has not changed is not sent again"


def test_what_is_wrong_with_whole_hosts_is_found_and_nothing_else(sites):
    crawled = sites.crawl("kontor_hosts")
    assert differences(crawled.found, edges.PLANTED) == []
    assert "robots.txt" in (crawled.audited.crawl.incomplete_reason or "")


@pytest.fixture(scope="module")
def issues_of_journal(sites: Sites, nights: list[tuple[Night, Crawled]]) -> list[Crawled]:
    """Both nights of the site of somebody who had not read the checks."""
    found: list[Crawled] = []
    for number in (1, 2):
        sites.web.begin(number)
        found.append(sites.crawl("journal", last=found[0].folder if found else None))
    return found


def test_each_defect_of_fresh_eyes_is_judged():
    judged = journal.judged()
    named = [journal.name_of(each) for each in journal.planted()]
    named += [journal.name_of(each) for each in journal.planted(2) if each["change"] in ("new-defect", "defect-moved")]
    assert sorted(named) == sorted([*judged["found"], *judged["beyond"], *judged["second_night"]])


def test_what_fresh_eyes_planted_is_found_and_nothing_else(issues_of_journal):
    assert differences(issues_of_journal[0].found, journal.found_by_checks()) == []


def test_what_fresh_eyes_changed_for_the_second_night_is_told(issues_of_journal, sites):
    first, second = ({(c, url) for c, urls in each.found.items() for url in urls} for each in issues_of_journal)
    judged, changes = journal.judged(), journal.planted(2)
    assert journal.found_of(judged["second_night"]) <= second - first
    fixed = {journal.name_of(each) for each in changes if each["change"] == "fixed"} - judged["beyond"].keys()
    assert not journal.found_of({name: judged["found"][name] for name in fixed}) & second
    of_pages = {
        (each["change"], each.get("old_page", each["page"]))
        for each in changes
        if each["change"] in ("added", "removed", "moved")
    }
    # Where a page has moved to is new.
    of_pages |= {("added", each["page"]) for each in changes if each["change"] == "moved"}
    told = rows(issues_of_journal[1].folder / "page_change.parquet")
    assert {(row["change"], sites.web.named(row["url"])) for row in told if row["change"] != "changed"} == of_pages
