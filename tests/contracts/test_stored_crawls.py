"""Crawls in the warehouse: loaded whole and once, the day's last one counts, and the marts say what it found."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from crawled import NIGHTLY, PAGE, load_crawl
from engines import slow_on_lake
from places import table_rows

from caravan import SQL_DIR
from caravan.core.window import DayRange
from caravan.warehouse.catalog import load_models
from caravan.warehouse.crawls import ENTITIES, Crawl, StoredCrawls
from caravan.warehouse.port import Warehouse
from caravan.warehouse.store import Store

DAY, NIGHT = date(2026, 3, 2), datetime(2026, 3, 2, 2, 0)
MARTS = ("fct_page", "fct_site_issue", "fct_site_change", "fct_site_check", "rpt_site__health", "rpt_site__market")


class Loader:
    """`load(3, ...)`: the crawl of three o'clock, with rows by entity."""

    def __init__(self, warehouse: Warehouse, folder: Path) -> None:
        self.folder, self.warehouse = folder, warehouse
        self.catalog = load_models(SQL_DIR)
        self.store = Store(warehouse, self.catalog, "site_crawl_nightly", {"base_currency": "EUR"}, "r", lambda: NIGHT)

    def load(self, hour: int, site: str = "shop", **rows: Any) -> dict[str, int]:
        return load_crawl(self.warehouse, self.catalog, self.folder, NIGHT.replace(hour=hour), rows, site)

    def marts(self) -> dict[str, list[Any]]:
        self.store.build("run", "site", ("int", "fct", "rpt"), DayRange(DAY, DAY + timedelta(days=1)))
        return {name: table_rows(self.warehouse, f"mart.{name}") for name in MARTS}


@pytest.fixture
def loader(warehouse: Warehouse, tmp_path: Path) -> Loader:
    return Loader(warehouse, tmp_path)


def test_a_crawl_is_loaded_whole_and_its_marts_say_what_it_found(loader):
    assert loader.load(2, **NIGHTLY) == {"crawl": 1, "page": 2, "issue": 2, "check": 1, "page_change": 1}
    marts = loader.marts()
    assert {name: len(rows) for name, rows in marts.items()} == {
        "fct_page": 2,
        "fct_site_issue": 1,
        "fct_site_change": 3,
        "fct_site_check": 1,
        "rpt_site__health": 1,
        "rpt_site__market": 1,
    }
    columns = ("health_share", "judged_count", "new_count", "fixed_count", "coverage_share")
    assert table_rows(loader.warehouse, "mart.rpt_site__health", columns) == [(Decimal("0.5"), 2, 1, 1, Decimal(1))]
    loads = table_rows(loader.warehouse, "ops.load", ("entity", "received_count", "loaded_count", "state"))
    assert ("crawl_page", 2, 2, "loaded") in loads
    assert len(loads) == len(ENTITIES)


@slow_on_lake
def test_loaded_twice_it_is_there_once(loader):
    loader.load(2, **NIGHTLY)
    before = loader.marts()
    loader.load(2, **NIGHTLY)
    assert loader.marts() == before
    assert len(table_rows(loader.warehouse, "raw.crawl__page")) == 2
    assert len(table_rows(loader.warehouse, "ops.load")) == len(ENTITIES)


def test_the_last_crawl_of_a_day_counts_whichever_came_first(loader):
    loader.load(9, page=[{**PAGE, "page_key": 1}], check=NIGHTLY["check"])
    after = loader.marts()
    loader.load(2, **NIGHTLY)
    assert loader.marts() == after
    assert len(table_rows(loader.warehouse, "raw.crawl__page")) == 3, "the earlier one is kept all the same"


@slow_on_lake
def test_sites_do_not_mix(loader):
    loader.load(2, **NIGHTLY)
    loader.load(2, site="blog", page=[{**PAGE, "page_key": 1}])
    loader.marts()
    health = table_rows(loader.warehouse, "mart.rpt_site__health", ("site_code", "judged_count"))
    assert sorted(health) == [("blog", 1), ("shop", 2)]


@slow_on_lake
def test_a_crawl_that_lacks_a_table_is_not_loaded(loader):
    with pytest.raises(ValueError, match=r"lacks .*page_change"):
        StoredCrawls(loader.warehouse, loader.catalog, "d", "r").put(
            Crawl("shop", "c", DAY, NIGHT, NIGHT, "h"), dict.fromkeys(ENTITIES[:-1], Path("none")), NIGHT
        )
