"""Defects of alternates and markets, of structured data, of sitemaps, robots.txt and files."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

from caravan.demo.catalogue import CATALOGUE
from caravan.demo.site import menus
from caravan.demo.site.answers import STATIC, picture
from caravan.demo.site.pages import Page, alternates_of, link
from caravan.demo.site.planted_answers import GONE
from caravan.demo.site.planting import Change, Plant, at, nothing
from caravan.demo.site.shop import Shop, name_of, product_data, product_main, product_path
from caravan.demo.site.words import MARKETS


def _named(code: str, path: str) -> Change:
    """One alternate more."""
    return lambda page, shop: page.alternates.append((code, path))


def _without(code: str) -> Change:
    return lambda page, shop: setattr(page, "alternates", [each for each in page.alternates if each[0] != code])


def _relative(page: Page, shop: Shop) -> None:
    page.alternates = [(code, f"../../..{path}" if code == "fr-fr" else path) for code, path in page.alternates]


def _in_body(page: Page, shop: Shop) -> None:
    page.top = '<link rel="alternate" hreflang="en" href="{origin}/en-gb/service/payment/">'


def _other_header(page: Page, shop: Shop) -> None:
    page.headers["link"] = '<{origin}/en-gb/service/press/>; rel="alternate"; hreflang="en-gb"'


def _half_translated(page: Page, shop: Shop) -> None:
    """One paragraph in three as on the page that it is a translation of."""
    source = shop.pages["/en-gb/service/gifts/"].main.split("</p>")
    page.main += "</p>".join(source[:3]) + "</p>"


def _of_two_markets(page: Page, shop: Shop) -> None:
    """A set of two pages, where all markets are sold to."""
    other = shop.pages[at("en-us", "two-markets")]
    page.alternates = alternates_of({"en-gb": page.path, "en-us": other.path})
    other.alternates = page.alternates


def _in_english(page: Page, shop: Shop) -> None:
    page.main = "".join(f"<p>{each}</p>" for each in MARKET_TEXT)


MARKET_TEXT = (
    "This page was written in a hurry on the last evening before the long summer break, and nobody found the time to "
    "translate it for the market that it belongs to, although everybody knew that it should have been done.",
    "We hope that our friends abroad forgive us, and we promise to put it right as soon as the first of us is back at "
    "her desk, which may well be the week after next, when the holidays are over and the phones ring again.",
    "Until then, whoever wants to know how something is paid for may write to us in any language at all. There is "
    "always somebody in the house who understands what is meant, and an answer never takes longer than one day.",
    "Cards, transfers and bills work as they always did. If a payment fails, nothing is lost: the basket stays as it "
    "is for a week, and the second attempt is as good as the first one. Ask your bank only when it fails again, and "
    "send us the message that you saw, so that we can look for the reason together with those who run the machine.",
    "All of this will be said once more, and better, in the words of those who live there. Thank you for reading so "
    "far, and for being patient with a small shop that tries to be at home in many places at the same time.",
)


def _priced(shown: Decimal | None = None, told: Decimal | None = None, visible: str = "", said: str = "") -> Change:
    """A product's page whose reader sees, or whose data say, another price or availability than the shop's."""

    def change(page: Page, shop: Shop) -> None:
        number = int(page.path.rstrip("/").rpartition("/")[2]) - 1001
        product = CATALOGUE[page.market.shop].products[number]
        offer = shop.offers[page.market.market_code, product.sku]
        seen = replace(offer, price=shown or offer.price, availability=visible or offer.availability)
        data = replace(offer, price=told or offer.price, availability=said or offer.availability)
        page.main = product_main(page, product.sku, name_of(product), seen)
        page.data[0] = product_data(page, product.sku, name_of(product), data)

    return change


def _data(block: object) -> Change:
    return lambda page, shop: page.data.append(block if isinstance(block, str) else json.dumps(block))


_SCHEMA = {"@context": "https://schema.org"}
_LAMP = {
    **_SCHEMA,
    "@type": "Product",
    "name": "Lamp",
    "sku": "SET-1",
    "image": "{origin}/static/logo.png",
    "description": "A lamp of oak",
    "brand": {"@type": "Brand", "name": "Kontor"},
}
_OFFER = {
    "@type": "Offer",
    "price": "20.00",
    "availability": "https://schema.org/InStock",
    "itemCondition": "https://schema.org/NewCondition",
}


def _other_currency(page: Page, shop: Shop) -> None:
    page.main += "<p>Lamp: £20.00</p>"
    page.data.append({**_LAMP, "offers": {**_OFFER, "priceCurrency": "EUR"}})


def _unlisted_map(page: Page, shop: Shop) -> None:
    shop.missing_sitemaps.append("/sitemap-2019.xml")


def _foreign_map(page: Page, shop: Shop) -> None:
    row = "<url><loc>{origin}/en-gb/</loc></url><url><loc>https://shop.example/</loc></url>"
    shop.sitemaps["/sitemaps/partners.xml"] = menus.urlset(iter([row]))


def _news(page: Page, shop: Shop) -> None:
    item = "<news:news><news:publication><news:name>Kontor</news:name><news:language>en</news:language>"
    row = (
        f"<url><loc>{{origin}}{page.path}</loc>{item}</news:publication>"
        "<news:publication_date>2020-01-01</news:publication_date><news:title>Old</news:title></news:news></url>"
    )
    shop.sitemaps["/sitemaps/news.xml"] = menus.urlset(iter([row]), f"{_MAP} {menus.NEWS_NAMES}")


_MAP = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def _built(night: int) -> Change:
    """A sitemap of which every address is as new as the file, each night."""

    def change(page: Page, shop: Shop) -> None:
        rows = (
            f"<url><loc>{{origin}}{each.path}</loc><lastmod>2026-03-0{night}T02:00:{second:02}+00:00</lastmod></url>"
            for second, each in enumerate(shop.of("en-us", "product"))
        )
        shop.sitemaps["/sitemaps/build.xml"] = menus.urlset(rows)

    return change


def _old_script(page: Page, shop: Shop) -> None:
    shop.robots.append("Disallow: /static/old.js")
    page.head = '<script src="/static/old.js"></script>'


def _uncached(page: Page, shop: Shop) -> None:
    shop.files["/static/print.css"] = (b"nav{display:none}", {"content-type": "text/css; charset=utf-8"})
    page.head = '<link rel="stylesheet" media="print" href="/static/print.css">'


def _heavy(page: Page, shop: Shop) -> None:
    shop.files["/img/heavy.png"] = (picture(500_000), {"content-type": "image/png", **STATIC})
    page.main += '<img src="/img/heavy.png" alt="Oak" width="800" height="600">'


def _slow(page: Page, shop: Shop) -> None:
    for number in (1, 2, 3, 4, 5):
        shop.pages[f"/en-au/archive/{number}/"].seconds = 1.1 if number > 2 else 0.0


def _of_now(page: Page, shop: Shop) -> None:
    """It is made anew for each request."""
    page.is_untagged = True


def _moves(page: Page, shop: Shop) -> None:
    page.redirects(at("sv-se", "flyttad"))
    page.linked = None


def _robots_of_ai(page: Page, shop: Shop) -> None:
    shop.robots += ["", "User-agent: GPTBot", "Disallow: /"]


def _footer(page: Page, shop: Shop) -> None:
    """Each page of the market leads to it."""
    shop.footers.setdefault(page.market.code, []).append(link(page.path, page.titles[0]))


def _changed_text(page: Page, shop: Shop) -> None:
    page.main += "<p>Seit gestern gibt es dazu ein zweites Heft, das wir gern beilegen.</p>"


_DE, _FR, _SE, _JP = ("/de-de/service/", "/fr-fr/service/", "/sv-se/service/", "/ja-jp/service/")
_BR = "/pt-br/"
"""A market that is configured and has no page yet."""
ASIDE = "{supplier}"
"""Another site, of whoever makes what is sold."""

OF_MARKETS = (
    Plant(
        "hreflang-invalid-language hreflang-return-code-differs",
        "de-de",
        _named("jp", f"{_JP}delivery/"),
        on=f"{_DE}delivery/",
    ),
    Plant(
        "hreflang-invalid-region hreflang-return-code-differs",
        "fr-fr",
        _named("en-uk", "/en-gb/service/delivery/"),
        on=f"{_FR}delivery/",
    ),
    Plant("hreflang-missing-return", "sv-se", _named("sv", at("sv-se", "01")), on=f"{_SE}delivery/"),
    Plant("hreflang-return-code-differs", "ja-jp", _named("de-at", f"{_DE}delivery/"), on=f"{_JP}delivery/"),
    Plant("hreflang-missing-self", "de-de", _without("de-de"), on=f"{_DE}returns/"),
    Plant("hreflang-missing-x-default", "fr-fr", _without("x-default"), on=f"{_FR}returns/", nights=(1,)),
    Plant(
        "hreflang-to-redirect",
        "sv-se",
        _named("en", at("en-gb", "response-internal-redirect")),
        on=f"{_SE}returns/",
    ),
    Plant("hreflang-to-error", "ja-jp", _named("en", GONE), on=f"{_JP}returns/"),
    Plant("hreflang-to-noindex", "de-de", _named("en", at("en-gb", "index-noindex")), on=f"{_DE}about/"),
    Plant("hreflang-to-non-canonical", "fr-fr", _named("de", at("de-de", "link-to-non-canonical")), on=f"{_FR}about/"),
    Plant("hreflang-to-blocked", "sv-se", _named("en", at("en-ae", "response-robots-blocked")), on=f"{_SE}about/"),
    Plant("hreflang-duplicate-code", "ja-jp", _named("ja-jp", f"{_JP}about/"), on=f"{_JP}about/"),
    Plant(
        "hreflang-code-multiple-urls",
        "de-de",
        _named("x-default", "/en-us/service/payment/"),
        on=f"{_DE}payment/",
    ),
    Plant("hreflang-relative-url", "sv-se", _relative, on=f"{_SE}payment/"),
    Plant("hreflang-outside-head", "ja-jp", _in_body, on=f"{_JP}payment/"),
    Plant("hreflang-language-mismatch content-language-mismatch", "fr-fr", _in_english, on=f"{_FR}payment/"),
    Plant("hreflang-sources-disagree", "fr-fr", _other_header, on=f"{_FR}press/"),
    Plant(
        "hreflang-unlinked-target link-orphan-page",
        "en-au",
        lambda page, shop: setattr(page, "linked", None),
        on="/en-au/service/press/",
    ),
    Plant("content-untranslated", "de-de", _half_translated, on=f"{_DE}gifts/"),
    Plant(
        "hreflang-cluster-incomplete",
        "en-gb",
        _of_two_markets,
        "two-markets",
        also=(("hreflang-cluster-incomplete", at("en-us", "two-markets")),),
    ),
    Plant("", "en-us", nothing, "two-markets"),
    Plant("", "", nothing, also=(("market-without-pages", _BR),)),
    Plant(
        "market-currency-mismatch",
        "sv-se",
        lambda page, shop: setattr(page, "main", page.main + "<p>Från 20,00 €, med skål 35,00 €.</p>"),
    ),
    Plant("schema-invalid-json", "en-gb", _data('{"@type": "Thing",}')),
    Plant("schema-missing-type", "de-de", _data({**_SCHEMA, "name": "Ohne Art"})),
    Plant("schema-missing-required", "fr-fr", _data(_LAMP), nights=(2,)),
    Plant("schema-missing-recommended", "ja-jp", _data({**_SCHEMA, "@type": "Organization", "name": "Kontor"})),
    Plant("schema-invalid-value", "sv-se", _data({**_SCHEMA, "@type": "Demand", "priceCurrency": "kr"})),
    Plant("schema-currency-visible-mismatch", "en-gb", _other_currency),
    Plant(
        "schema-rating-without-reviews",
        "en-us",
        _data({**_LAMP, "aggregateRating": {"@type": "AggregateRating", "ratingValue": 4.5, "ratingCount": 12}}),
    ),
    Plant("schema-deprecated-type", "en-au", _data({**_SCHEMA, "@type": "HowTo", "name": "How to oil a table"})),
    Plant(
        "schema-price-visible-mismatch", "de-de", _priced(shown=Decimal("39.90")), on=product_path(MARKETS["de-de"], 0)
    ),
    Plant(
        "schema-availability-visible-mismatch",
        "fr-fr",
        _priced(visible="out_of_stock"),
        on=product_path(MARKETS["fr-fr"], 0),
    ),
    Plant(
        "schema-price-warehouse-mismatch",
        "en-gb",
        _priced(Decimal("9.99"), Decimal("9.99")),
        on=product_path(MARKETS["en-gb"], 1),
    ),
    Plant(
        "schema-stock-warehouse-mismatch",
        "en-gb",
        _priced(visible="out_of_stock", said="out_of_stock"),
        on=product_path(MARKETS["en-gb"], 2),
    ),
    Plant("", "", _unlisted_map, also=(("sitemap-unreachable", "/sitemap-2019.xml"),)),
    Plant("", "", _foreign_map, also=(("sitemap-invalid", "/sitemaps/partners.xml"),)),
    Plant("sitemap-news-stale", "en-us", _news),
    Plant(
        "sitemap-hreflang-error hreflang-invalid-language", "sv-se", _named("xx", "/sv-se/butik/"), on="/sv-se/butik/"
    ),
    Plant("", "", _built(1), nights=(1,)),
    Plant("", "", _built(2), nights=(2,), also=(("sitemap-lastmod-build-time", "/sitemaps/build.xml"),)),
    Plant("sitemap-lastmod-frozen", "de-de", _changed_text, nights=(2,)),
    Plant("", "en-ae", _old_script, "old-script", also=(("robots-blocks-assets", "/static/old.js"),)),
    Plant("", "en-us", _uncached, "printing", also=(("perf-cache-headers", "/static/print.css"),)),
    Plant("", "en-au", _heavy, "heavy-oak", also=(("perf-image-weight", "/img/heavy.png"),)),
    *(Plant("", "en-au", _of_now, f"/en-au/archive/{number}/") for number in (1, 2, 3, 4, 5)),
    Plant("", "", _slow, also=(("perf-ttfb-slow", "/en-au/archive/*"),), nights=(1,)),
    Plant(
        "",
        "",
        _robots_of_ai,
        nights=(2,),
        also=(("robots-changed", "/robots.txt"), ("robots-ai-policy-changed", "/robots.txt")),
    ),
    Plant("", "sv-se", _footer, "lantern", nights=(1,)),
    Plant("link-score-drop", "sv-se", nothing, "lantern", nights=(2,), on=at("sv-se", "lantern")),
    Plant(
        "link-localhost",
        "en-us",
        lambda page, shop: setattr(
            page, "main", page.main + link(f"{ASIDE}/moved/", "Our supplier") + link(f"{ASIDE}/gone/", "Our other one")
        ),
        also=(("link-external-redirect", f"{ASIDE}/moved/"),),
    ),
    Plant("", "", nothing, nights=(2,), also=(("link-broken-external", f"{ASIDE}/gone/"),)),
    Plant("", "de-de", nothing, "neu", nights=(2,), goes=True),
    Plant("h1-multiple", "fr-fr", lambda page, shop: page.h1s.append("Kontor"), "adieu", nights=(1,), goes=True),
    Plant("", "sv-se", nothing, "flytt", nights=(1,)),
    Plant("", "sv-se", _moves, on=at("sv-se", "flytt"), nights=(2,)),
    Plant("", "sv-se", nothing, "flyttad", nights=(2,), goes=True),
)
