"""How the demo's shop is found in search: what a few days of people look for, and what they click."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

from caravan.demo.servers.search_console import Search
from caravan.demo.site.shop import Shop
from caravan.demo.site.words import MARKETS

COUNTRIES = {"GB": "gbr", "US": "usa", "AU": "aus", "AE": "are", "DE": "deu", "FR": "fra", "JP": "jpn", "SE": "swe"}
DAYS = 3
_SITE = "https://www.demo.example"
_RARE = 5
"""One search in so many is of words that too few people looked for to be named."""


def searches(shop: Shop, first: date, seed: int) -> dict[date, list[Search]]:
    """By day, for products of all markets."""
    chance = Random(seed)
    return {first + timedelta(days=offset): list(_of_day(shop, chance)) for offset in range(DAYS)}


def _of_day(shop: Shop, chance: Random) -> Iterator[Search]:
    for market in MARKETS.values():
        for number, page in enumerate(shop.of(market.code, "product")):
            position = chance.randint(1, 40)
            times = chance.randint(1, 90)
            yield Search(
                query=page.h1s[0].lower(),
                country=COUNTRIES[market.market_code],
                device=chance.choice(("MOBILE", "MOBILE", "DESKTOP", "TABLET")),
                shown={_SITE + page.path: position, _SITE + market.prefix: position + chance.randint(1, 9)},
                times=times,
                clicked=chance.randint(0, times // position),
                is_rare=number % _RARE == 0,
            )
