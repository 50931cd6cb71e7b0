"""A page's price is held against that of the moment at which it was asked for, whatever was told since."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from crawl_world import Site, page, text
from engines import one_engine
from site_nights import NIGHT, World

from caravan.assembly import site_crawl
from caravan.config.site_checks import load_site_checks

PRODUCT = (
    '<script type="application/ld+json">{"@type": "Product", "sku": "POT-1", "offers":'
    ' {"@type": "Offer", "price": "%s", "priceCurrency": "EUR", "availability": "https://schema.org/InStock"}}</script>'
)
CHECK = "schema-price-warehouse-mismatch"
pytestmark = one_engine


@pytest.fixture
def world(new_place: Any, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    every = load_site_checks()
    few = every.only([CHECK, "schema-stock-warehouse-mismatch"])
    monkeypatch.setattr(site_crawl, "load_site_checks", lambda: few)
    pages = {
        "/robots.txt": text("User-agent: *\nDisallow:\n"),
        "/": page("Home", ["/de/pot"]),
        "/de/pot": page("Pot", ["/"], PRODUCT % "20"),
    }
    with Site(pages.get).serve() as served:
        world = World(tmp_path / "home", new_place(engine), served, pages, monkeypatch)
        with world.place.open() as opened, opened.write() as session:
            session.execute(
                "CREATE TABLE mart.fct_offer_day (offer_local_date DATE, channel_code VARCHAR, market_code VARCHAR,"
                " country_code VARCHAR, sku VARCHAR, offered_at TIMESTAMP, availability VARCHAR, currency_code VARCHAR,"
                " price DECIMAL(18, 4))"
            )
        yield world


def offer(world: World, at: datetime, price: int, availability: str = "in_stock") -> None:
    """What was said of the pot, `at` UTC."""
    given = {"day": at.date(), "at": at, "price": price, "availability": availability}
    with world.place.open() as opened, opened.write() as session:
        session.execute(
            "INSERT INTO mart.fct_offer_day VALUES"
            " ($day, 'shop_de', 'DE', 'DE', 'POT-1', $at, $availability, 'EUR', $price)",
            given,
        )


def issues(world: World) -> list[tuple[str, str | None]]:
    rows = world.rows(f"SELECT check_id, change FROM mart.fct_site_issue WHERE crawl_date = DATE '{day(world)}'")
    return sorted(rows)


def day(world: World) -> str:
    return (world.now - timedelta(days=1)).date().isoformat()


def test_a_price_that_is_told_ahead_or_afterwards_ends_no_issue(world):
    offer(world, NIGHT - timedelta(days=3), 18)
    world.night()
    assert issues(world) == [(CHECK, None)]
    offer(world, world.now + timedelta(hours=20), 18)
    world.night()
    assert issues(world) == [(CHECK, "still")]


def test_a_price_that_is_not_in_force_yet_is_not_the_pages(world):
    offer(world, NIGHT - timedelta(days=3), 20)
    offer(world, NIGHT + timedelta(hours=20), 25, "out_of_stock")
    world.night()
    assert issues(world) == []
    outcomes = world.rows("SELECT outcome, judged_count FROM mart.fct_site_check")
    assert outcomes == [("passed", 1), ("passed", 1)]
    world.night()
    assert issues(world) == [(CHECK, "new"), ("schema-stock-warehouse-mismatch", "new")]
