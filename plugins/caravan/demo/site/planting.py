"""Planted defects of the demo's site: which check finds what, on which pages, in which nights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from caravan.demo.site.menus import tie_lists
from caravan.demo.site.pages import Page
from caravan.demo.site.shop import Offers, Shop, good_shop, guide, guides_path
from caravan.demo.site.words import MARKETS

Change = Callable[[Page, Shop], object]
Found = tuple[str, str]
"""Check and address, without the site's origin."""
Outcome = Literal["fixed", "gone"]

BOTH: tuple[int, ...] = (1, 2)
FIRST_GUIDE = 5
"""Of those that are planted on: the ones before it stay as they are."""


@dataclass(frozen=True)
class Plant:
    """A defect. `checks`: what finds it on the page, the first is the one that is meant; the others follow from it.

    It is planted on a guide of its own at `slug` (a path when it begins with a slash; the first check when absent), or
    on the page `on` of the good site. `also`: what follows elsewhere. `nights`: in which it is there. `of_night`: of
    these its checks find it, where they need the night before. `goes`: the page is there only in its nights.
    """

    checks: str
    market: str
    change: Change
    slug: str = ""
    on: str = ""
    also: tuple[Found, ...] = ()
    nights: tuple[int, ...] = BOTH
    goes: bool = False
    of_night: tuple[int, ...] = BOTH

    @property
    def path(self) -> str:
        return self.on or at(self.market, self.slug or self.checks.split()[0])

    def found(self, night: int) -> set[Found]:
        if night not in self.nights or night not in self.of_night:
            return set()
        own = () if self.market == "" else ((check, self.path) for check in self.checks.split())
        return {*own, *self.also}


@dataclass
class Night:
    """The site as it is in one night, and all that is wrong with it."""

    number: int
    shop: Shop
    planted: set[Found] = field(default_factory=set)


def at(market: str, slug: str) -> str:
    """Where a guide of this name is."""
    return slug if slug.startswith("/") else f"{guides_path(MARKETS[market])}{slug}/"


def nothing(page: Page, shop: Shop) -> None:
    """A defect that the page has by its address, or by what is planted elsewhere."""


def night_of(number: int, offers: Offers, plants: Iterable[Plant]) -> Night:
    """`plants`: in the order of the guides that they are on: it is the same in all nights."""
    night = Night(number, good_shop(offers))
    shop, chosen = night.shop, list(plants)
    for place, plant in enumerate(chosen):
        if plant.market and not plant.on and (number in plant.nights or not plant.goes):
            shop.add(guide(MARKETS[plant.market], FIRST_GUIDE + place, plant.path))
    for plant in chosen:
        if number in plant.nights:
            page = shop.pages.get(plant.path) if plant.market else None
            if plant.market and page is None:
                raise KeyError(f"{plant.checks}: there is no page {plant.path} to plant it on")
            plant.change(page, shop)  # type: ignore[arg-type]
        night.planted |= plant.found(number)
    tie_lists(shop)
    return night


def differences(found: Mapping[str, set[str]], planted: Iterable[Found]) -> list[str]:
    """What was planted and not found, and what was found and not planted, in words. `found`: addresses by check."""
    told = {(check, path) for check, paths in found.items() for path in paths}
    ought = set(planted)
    return [
        *(f"{check} was not found at {path}" for check, path in sorted(ought - told)),
        *(f"{check} was invented at {path}" for check, path in sorted(told - ought)),
    ]
