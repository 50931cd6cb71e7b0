"""Defects of answers, of what may be indexed, and of addresses."""

from __future__ import annotations

from caravan.demo.site.pages import Page
from caravan.demo.site.planting import Change, Plant, at, nothing
from caravan.demo.site.shop import Shop

GONE = "/en-gb/old/gone/"
"""There never was a page."""


def _blocked(page: Page, shop: Shop) -> None:
    shop.robots.append(f"Disallow: {page.path}")
    page.listed = False


def _listed_blocked(page: Page, shop: Shop) -> None:
    _blocked(page, shop)
    page.listed, page.linked = True, None


def _chain(page: Page, shop: Shop) -> None:
    _second(page, shop).redirects("/de-de/service/care/", 308)
    page.redirects(page.path + "weiter/")


def _second(page: Page, shop: Shop) -> Page:
    """Another address, to which nothing links."""
    return shop.add(Page(page.path + "weiter/", page.market, "other", ["-"], ["-"], [], "", linked=None, listed=False))


def _loop(page: Page, shop: Shop) -> None:
    _second(page, shop).redirects(page.path, 302)
    page.redirects(page.path + "weiter/", 302)


def _noindex(page: Page, shop: Shop) -> None:
    page.robots, page.listed = "noindex, follow", False


def _listed_redirect(page: Page, shop: Shop) -> None:
    page.redirects("/sv-se/")
    page.listed, page.linked = True, None


def _listed_gone(page: Page, shop: Shop) -> None:
    page.fails(410)
    page.listed, page.linked = True, None


def _canonical(target: str) -> Change:
    def change(page: Page, shop: Shop) -> None:
        page.canonicals, page.listed = ["{origin}" + target], False

    return change


def _two_canonicals(page: Page, shop: Shop) -> None:
    page.canonicals = ["{origin}" + page.path, "{origin}/en-ae/service/care/"]


def _canonical_of_header(page: Page, shop: Shop) -> None:
    page.headers["link"] = '<{origin}/sv-se/service/about/>; rel="canonical"'


def _canonical_in_body(page: Page, shop: Shop) -> None:
    page.canonicals, page.top = [], f'<link rel="canonical" href="{{origin}}{page.path}">'


def _geo(page: Page, shop: Shop) -> None:
    page.redirects("/en-gb/service/delivery/", 302)
    page.headers["vary"] = "accept-language"


def _lost(page: Page, shop: Shop) -> None:
    page.is_lost, page.listed = True, False


OF_ANSWERS = (
    Plant("response-internal-redirect", "en-gb", lambda page, shop: page.redirects("/en-gb/service/care/")),
    Plant("response-4xx link-broken-internal", "de-de", lambda page, shop: page.fails(404)),
    Plant("response-5xx link-broken-internal", "fr-fr", lambda page, shop: page.fails(500), nights=(1,)),
    Plant("response-timeout link-broken-internal", "ja-jp", _lost),
    Plant("response-redirect-chain response-internal-redirect", "de-de", _chain),
    Plant(
        "response-redirect-loop response-internal-redirect",
        "sv-se",
        _loop,
        also=(("response-redirect-loop", at("sv-se", "response-redirect-loop") + "weiter/"),),
    ),
    Plant(
        "response-redirect-to-error response-internal-redirect",
        "en-us",
        lambda page, shop: page.redirects(GONE),
        also=(("response-4xx", GONE),),
    ),
    Plant(
        "response-meta-refresh",
        "en-au",
        lambda page, shop: setattr(page, "head", '<meta http-equiv="refresh" content="5; url=/en-au/">'),
    ),
    Plant("response-robots-blocked", "en-ae", _blocked),
    Plant(
        "response-wrong-media-type",
        "fr-fr",
        lambda page, shop: page.headers.update({"content-type": "text/plain; charset=utf-8"}),
    ),
    Plant("market-geo-redirect response-internal-redirect", "sv-se", _geo),
    Plant("index-noindex", "en-gb", _noindex),
    Plant("index-nofollow", "de-de", lambda page, shop: setattr(page, "robots", "nofollow")),
    Plant("index-nosnippet", "fr-fr", lambda page, shop: page.headers.update({"x-robots-tag": "max-snippet: 0"})),
    Plant("index-noimageindex", "ja-jp", lambda page, shop: setattr(page, "robots", "noimageindex")),
    Plant(
        "index-conflicting-directives",
        "en-us",
        lambda page, shop: setattr(page, "robots", "max-snippet:20, max-snippet:50"),
    ),
    Plant("canonical-missing", "en-au", lambda page, shop: setattr(page, "canonicals", []), nights=(2,)),
    Plant("canonical-multiple", "en-ae", _two_canonicals),
    Plant("canonical-relative", "sv-se", lambda page, shop: setattr(page, "canonicals", [page.path])),
    Plant(
        "canonical-to-error link-to-non-canonical",
        "en-gb",
        _canonical("/en-gb/old/canonical/"),
        also=(("response-4xx", "/en-gb/old/canonical/"),),
    ),
    Plant(
        "canonical-to-redirect link-to-non-canonical",
        "en-gb",
        _canonical(at("en-gb", "response-internal-redirect")),
    ),
    Plant(
        "canonical-to-noindex link-to-non-canonical",
        "en-gb",
        _canonical(at("en-gb", "index-noindex")),
    ),
    Plant("link-to-non-canonical", "de-de", _canonical("/de-de/service/gifts/")),
    Plant(
        "canonical-to-non-canonical link-to-non-canonical",
        "de-de",
        _canonical(at("de-de", "link-to-non-canonical")),
    ),
    Plant(
        "canonical-chain canonical-to-non-canonical link-to-non-canonical",
        "de-de",
        _canonical(at("de-de", "canonical-to-non-canonical")),
    ),
    Plant(
        "canonical-to-blocked link-to-non-canonical",
        "en-ae",
        _canonical(at("en-ae", "response-robots-blocked")),
    ),
    Plant("canonical-html-http-mismatch", "sv-se", _canonical_of_header),
    Plant("canonical-outside-head", "fr-fr", _canonical_in_body),
    Plant("canonical-cross-market link-to-non-canonical", "fr-fr", _canonical("/de-de/service/care/")),
    Plant("sitemap-url-error response-4xx", "ja-jp", _listed_gone),
    Plant("sitemap-url-redirect", "sv-se", _listed_redirect),
    Plant(
        "sitemap-url-noindex index-noindex",
        "en-us",
        lambda page, shop: page.headers.update({"x-robots-tag": "noindex"}),
        nights=(1,),
    ),
    Plant(
        "sitemap-url-non-canonical link-to-non-canonical",
        "en-au",
        lambda page, shop: setattr(page, "canonicals", ["{origin}/en-au/service/care/"]),
    ),
    Plant("sitemap-url-blocked", "en-ae", _listed_blocked),
    Plant("sitemap-missing-page", "de-de", lambda page, shop: setattr(page, "listed", False), nights=(1,)),
    Plant("sitemap-lastmod-future", "fr-fr", lambda page, shop: setattr(page, "lastmod", "2099-01-01T00:00:00+00:00")),
    Plant("url-uppercase", "en-gb", nothing, "Silver-Polish"),
    Plant("url-underscore", "de-de", nothing, "silber_putzen"),
    Plant("url-space", "en-au", nothing, "silver%20polish"),
    Plant("url-double-slash", "en-us", nothing, "/en-us/guides//silver/"),
    Plant("url-non-ascii", "fr-fr", nothing, "/fr-fr/guides/argent-poli%E9/"),
    Plant("url-too-many-params", "ja-jp", nothing, "/ja-jp/guides/silver/?size=1&tone=2&care=3&page=4"),
    Plant("url-session-id", "sv-se", nothing, "/sv-se/rad/silver/?sid=8f3ac1"),
)
