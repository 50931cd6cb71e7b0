"""All that is wrong with the demo's site, night by night."""

from __future__ import annotations

from caravan.demo.site.planted_answers import OF_ANSWERS
from caravan.demo.site.planted_markets import OF_MARKETS
from caravan.demo.site.planted_words import OF_WORDS
from caravan.demo.site.planting import Found, Night, Plant, night_of
from caravan.demo.site.shop import Offers

PLANTS: tuple[Plant, ...] = (*OF_ANSWERS, *OF_WORDS, *OF_MARKETS)
NEEDS_A_NIGHT_BEFORE = frozenset(
    [
        *("link-broken-external", "link-score-drop", "robots-ai-policy-changed", "robots-changed"),
        *("sitemap-lastmod-build-time", "sitemap-lastmod-frozen"),
    ]
)
"""Checks that the first night cannot evaluate: what they find is not told as new."""
PAGE_CHANGES: frozenset[tuple[str, str]] = frozenset(
    [
        ("added", "/de-de/ratgeber/neu/"),
        ("added", "/sv-se/rad/flyttad/"),
        ("changed", "/de-de/ratgeber/sitemap-lastmod-frozen/"),
        ("changed", "/en-gb/guides/content-thin/"),
        ("changed", "/en-us/guides/content-lorem-ipsum/"),
        ("moved", "/sv-se/rad/flytt/"),
        ("removed", "/fr-fr/guides/adieu/"),
    ]
)
"""From the first night to the second."""
GONE: frozenset[Found] = frozenset([("h1-multiple", "/fr-fr/guides/adieu/")])
"""Issues whose page went."""


def issue_changes(before: set[Found], after: set[Found]) -> set[tuple[str, str, str]]:
    """Change, check and address: what the second night ought to say of each issue. `before`, `after`: planted."""
    new = {each for each in after - before if each[0] not in NEEDS_A_NIGHT_BEFORE}
    by_change = {"new": new, "still": before & after, "gone": GONE, "fixed": before - after - GONE}
    return {(change, *each) for change, found in by_change.items() for each in found}


def night(number: int, offers: Offers) -> Night:
    """1 or 2."""
    return night_of(number, offers, PLANTS)
