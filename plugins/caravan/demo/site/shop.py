"""The demo's web site as it ought to be: a shop in eight markets, from the shops of the demo. No check finds anything.

Home pages say their alternates in a header, lists of products in sitemaps, service pages in HTML. Products and guides
are a market's own: the shops sell different things.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from html import escape
from typing import Any

from caravan.demo.catalogue import CATALOGUE, Product
from caravan.demo.site.pages import Page, alternates_of, link, paragraphs
from caravan.demo.site.words import ENGLISH_NAMES, MARKETS, Market, words

SCHEMA = "https://schema.org"
_AVAILABILITY = {"in_stock": "InStock", "out_of_stock": "OutOfStock", "backorder": "BackOrder"}
GUIDES_AT = {"en": "guides", "de": "ratgeber", "fr": "guides", "ja": "guides", "sv": "rad"}
SHOP_AT = {"en": "shop", "de": "laden", "fr": "boutique", "ja": "shop", "sv": "butik"}


@dataclass(frozen=True)
class Offer:
    """What the warehouse knows of a product in a market. `availability`: in_stock, out_of_stock, backorder."""

    price: Decimal
    currency: str
    availability: str = "in_stock"


Offers = Mapping[tuple[str, str], Offer]
"""By market code and SKU."""


@dataclass
class Shop:
    """`pages`: by path with query. `files`: styles and images that are none of the usual ones: bytes and headers.
    `robots`: lines. `sitemaps`: those beside the markets' own, by path; `missing_sitemaps`: that there are not."""

    offers: Offers
    pages: dict[str, Page] = field(default_factory=dict)
    files: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    robots: list[str] = field(default_factory=lambda: ["User-agent: *", "Disallow: /basket/"])
    sitemaps: dict[str, str] = field(default_factory=dict)
    missing_sitemaps: list[str] = field(default_factory=list)
    footers: dict[str, list[str]] = field(default_factory=dict)
    """By market: links that stand on each of its pages."""

    def add(self, page: Page) -> Page:
        self.pages[page.path] = page
        return page

    def of(self, market: str, kind: str) -> list[Page]:
        return [page for page in self.pages.values() if page.market.code == market and page.kind == kind]

    def remove(self, path: str) -> None:
        del self.pages[path]


def offers_of_catalogue() -> dict[tuple[str, str], Offer]:
    """All at their list price, and there but for the last of each shop."""
    found = {}
    for market in MARKETS.values():
        products = CATALOGUE[market.shop].products
        for product in products:
            state = "out_of_stock" if product is products[-1] else "in_stock"
            found[market.market_code, product.sku] = Offer(product.price, market.currency, state)
    return found


def good_shop(offers: Offers) -> Shop:
    """`offers`: of what it sells; list prices where they say nothing."""
    shop = Shop({**offers_of_catalogue(), **offers})
    for market in MARKETS.values():
        shop.add(_home(market))
        for page in (*_products(shop, market), *_services(market), *_lists(shop, market), *_guides(market)):
            shop.add(page)
    _tie_together(shop)
    return shop


def _home(market: Market) -> Page:
    told = words(market.language)
    title, h1, _ = told.head("home", country=market.country)
    _, _, description = told.head("page", name=h1, country=market.country)
    main = paragraphs(told.paragraphs(f"{market.code}/home", h1))
    page = Page(market.prefix, market, "home", [title], [h1], [description], main, cluster="home", said="header")
    page.data.append(
        {
            "@context": SCHEMA,
            "@type": "OnlineStore",
            "name": told["brand"],
            "url": "{origin}" + market.prefix,
            "logo": "{origin}/static/logo.png",
            "email": "post@kontor.example",
        }
    )
    return page


def name_of(product: Product) -> str:
    return ENGLISH_NAMES.get(product.sku, product.name)


def product_path(market: Market, number: int) -> str:
    return f"{market.prefix}{SHOP_AT[market.language]}/{number + 1001}/"


def _products(shop: Shop, market: Market) -> Iterator[Page]:
    told = words(market.language)
    products = CATALOGUE[market.shop].products
    for number, product in enumerate(products):
        name, offer = name_of(product), shop.offers[market.market_code, product.sku]
        title, h1, description = told.head("product", name=name)
        path = product_path(market, number)
        others = [(number + step) % len(products) for step in (1, 2, 3)]
        page = Page(path, market, "product", [title], [h1], [description], "")
        page.main = product_main(page, product.sku, name, offer)
        page.neighbours = [link(product_path(market, each), name_of(products[each])) for each in others]
        page.data += [product_data(page, product.sku, name, offer), _breadcrumbs(page, name)]
        yield page


def product_main(page: Page, sku: str, name: str, offer: Offer) -> str:
    """What its reader sees."""
    told, market = page.words, page.market
    labels = told["labels"]
    return (
        f'<img src="/img/{sku}.png" alt="{escape(name)}" width="480" height="360">'
        f"<p>{labels['price']}: {market.shown(offer.price)}</p><p>{told['availability'][offer.availability]}</p>"
        f"<p>{labels['number']} {sku}</p>" + paragraphs(told.paragraphs(page.path, name))
    )


def product_data(page: Page, sku: str, name: str, offer: Offer) -> dict[str, Any]:
    return {
        "@context": SCHEMA,
        "@type": "Product",
        "name": name,
        "sku": sku,
        "image": "{origin}/img/" + f"{sku}.png",
        "description": page.descriptions[0],
        "brand": {"@type": "Brand", "name": page.words["brand"]},
        "offers": {
            "@type": "Offer",
            "url": "{origin}" + page.path,
            "price": f"{offer.price:f}",
            "priceCurrency": offer.currency,
            "availability": f"{SCHEMA}/{_AVAILABILITY[offer.availability]}",
            "itemCondition": f"{SCHEMA}/NewCondition",
        },
    }


def _breadcrumbs(page: Page, name: str) -> dict[str, Any]:
    steps = [(page.words["labels"]["home"], page.market.prefix), (name, page.path)]
    items = [
        {"@type": "ListItem", "position": number, "name": text, "item": "{origin}" + path}
        for number, (text, path) in enumerate(steps, start=1)
    ]
    return {"@context": SCHEMA, "@type": "BreadcrumbList", "itemListElement": items}


def _services(market: Market) -> Iterator[Page]:
    told = words(market.language)
    for topic, name in told["topics"].items():
        title, h1, description = told.head("page", name=name, country=market.country)
        path = f"{market.prefix}service/{topic}/"
        main = paragraphs(told.paragraphs(path, name))
        yield Page(path, market, "service", [title], [h1], [description], main, cluster=topic)


def _lists(shop: Shop, market: Market) -> Iterator[Page]:
    """All products, some of them, and the guides."""
    told = words(market.language)
    at = SHOP_AT[market.language]
    for number, name in enumerate(told["categories"]):
        path = f"{market.prefix}{at}/" if number == 0 else f"{market.prefix}{at}/season/"
        title, h1, description = told.head("page", name=name, country=market.country)
        main = paragraphs(told.paragraphs(path, name))
        cluster = ("range", "season")[number]
        yield Page(path, market, cluster, [title], [h1], [description], main, cluster=cluster, said="sitemap")
    name, path = told["labels"]["all_guides"], guides_path(market)
    title, h1, description = told.head("page", name=name, country=market.country)
    yield Page(path, market, "guides", [title], [h1], [description], paragraphs(told.paragraphs(path, name)))


def guides_path(market: Market) -> str:
    return f"{market.prefix}{GUIDES_AT[market.language]}/"


def guide(market: Market, number: int, slug: str) -> Page:
    """An article. `number`: of the market's guides, which all have other titles."""
    told = words(market.language)
    name = told["subjects"][number % len(told["subjects"])]
    title, h1, description = told.head("guide", number=number, name=name)
    path = slug if slug.startswith("/") else f"{guides_path(market)}{slug}/"
    page = Page(path, market, "guide", [title], [h1], [description], paragraphs(told.paragraphs(path, name)))
    page.data.append(article_data(page))
    return page


def article_data(page: Page) -> dict[str, Any]:
    return {
        "@context": SCHEMA,
        "@type": "Article",
        "headline": page.h1s[0],
        "image": "{origin}/static/logo.png",
        "author": {"@type": "Organization", "name": page.words["brand"]},
        "datePublished": "2026-02-03",
        "dateModified": page.lastmod[:10],
    }


def _guides(market: Market) -> Iterator[Page]:
    return (guide(market, number, f"{number:02}") for number in range(1, 5))


def _tie_together(shop: Shop) -> None:
    """Each page of a cluster names all of it."""
    clusters: dict[str, dict[str, str]] = {}
    for page in shop.pages.values():
        if page.cluster:
            clusters.setdefault(page.cluster, {})[page.market.code] = page.path
    for page in shop.pages.values():
        if page.cluster:
            page.alternates = alternates_of(clusters[page.cluster])
