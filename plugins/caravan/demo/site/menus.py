"""What stands round the pages of the demo's site: menus, lists, sitemaps, the feed, robots.txt."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from caravan.demo.site.pages import Page, absolute, link
from caravan.demo.site.shop import SHOP_AT, Shop, guides_path
from caravan.demo.site.words import MARKETS, Market, words

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMES = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml"'
NEWS_NAMES = 'xmlns:news="http://www.google.com/schemas/sitemap-news/0.9"'
_NEWS = 3
"""Guides in the feed."""


def tie_lists(shop: Shop) -> None:
    """Each list links to what is on it, each guide to the one before and the one behind."""
    for market in MARKETS.values():
        products, guides = shop.of(market.code, "product"), shop.of(market.code, "guide")
        for kind, members in (("range", products), ("season", products[:4]), ("guides", guides)):
            for page in shop.of(market.code, kind):
                page.neighbours = [link(each.path, _name(each)) for each in members if each.linked]
        row = [each for each in guides if each.linked == "all"]
        for before, page, behind in zip(row[-1:] + row[:-1], row, row[1:] + row[:1], strict=True):
            labels = page.words["labels"]
            page.neighbours = [
                link(before.path, f"{labels['previous']}: {_name(before)}"),
                link(behind.path, f"{labels['next']}: {_name(behind)}"),
                *page.neighbours,
            ]


def _name(page: Page) -> str:
    return (page.h1s or page.titles or [page.path])[0].strip() or page.path


def menu(shop: Shop, page: Page) -> str:
    """Header and footer round `<!-- main -->`."""
    market = page.market
    told, labels = page.words, page.words["labels"]
    at = f"{market.prefix}{SHOP_AT[market.language]}/"
    first = [
        link(market.prefix, labels["home"]),
        link(at, told["categories"][0]),
        link(f"{at}season/", told["categories"][1]),
        link(guides_path(market), labels["guides"]),
    ]
    services = [link(each.path, _name(each)) for each in shop.of(market.code, "service") if each.linked]
    more = shop.footers.get(market.code, [])
    same = {each.market.code: each for each in shop.pages.values() if page.cluster and each.cluster == page.cluster}
    markets = [
        link(same[code].path if code in same and same[code].linked else other.prefix, f"{other.country} ({code})")
        for code, other in MARKETS.items()
    ]
    return (
        f"<header><nav>{' '.join(first)}</nav></header><!-- main -->"
        f"<footer><nav>{' '.join(services + more)}</nav><nav>{' '.join(markets)}</nav></footer>"
    )


def robots_txt(shop: Shop, origin: str) -> str:
    named = ["/sitemap.xml", *shop.missing_sitemaps]
    return "\n".join([*shop.robots, *(f"Sitemap: {origin}{path}" for path in named)]) + "\n"


def sitemap_index(shop: Shop, origin: str) -> str:
    paths = [*(f"/sitemaps/{code}.xml" for code in MARKETS), *shop.sitemaps]
    rows = "".join(f"<sitemap><loc>{origin}{path}</loc></sitemap>" for path in paths)
    return f"{_XML}<sitemapindex {_NAMES}>{rows}</sitemapindex>"


def sitemap_of(shop: Shop, market: Market, origin: str) -> str:
    return urlset(url_row(page, origin) for page in shop.pages.values() if page.market is market and page.listed)


def urlset(rows: Iterator[str], names: str = _NAMES) -> str:
    return f"{_XML}<urlset {names}>{''.join(rows)}</urlset>"


def url_row(page: Page, origin: str) -> str:
    others = page.alternates if page.said == "sitemap" else []
    alternates = "".join(
        f'<xhtml:link rel="alternate" hreflang="{code}" href="{escape(absolute(path, origin))}"/>'
        for code, path in others
    )
    return f"<url><loc>{escape(origin + page.path)}</loc><lastmod>{page.lastmod}</lastmod>{alternates}</url>"


def feed(shop: Shop, origin: str) -> str:
    guides = shop.of("en-gb", "guide")[:_NEWS]
    entries = "".join(
        f"<entry><title>{escape(_name(each))}</title><id>{origin}{each.path}</id>"
        f'<link href="{escape(origin + each.path)}"/><updated>{each.lastmod}</updated></entry>'
        for each in guides
    )
    brand = words("en")["brand"]
    return (
        f'{_XML}<feed xmlns="http://www.w3.org/2005/Atom"><title>{brand}</title><id>{origin}/feed.atom</id>'
        f"<updated>{guides[0].lastmod}</updated>{entries}</feed>"
    )
