"""Defects of titles, descriptions, headings, texts, links and markup."""

from __future__ import annotations

from caravan.demo.site.pages import Page, link, paragraphs
from caravan.demo.site.planting import Change, Plant, at, nothing
from caravan.demo.site.shop import Shop
from caravan.demo.site.words import words

_LONG = (
    "Notwithstanding considerable improvements throughout international transportation networks, manufacturers "
    "increasingly recommend establishing comprehensive maintenance arrangements whenever complicated household "
    "equipment requires professional supervision, particularly regarding sophisticated electrical components. "
)


def _set(**values: object) -> Change:
    def change(page: Page, shop: Shop) -> None:
        for name, value in values.items():
            setattr(page, name, value)

    return change


def _more(html: str) -> Change:
    """Behind the text."""

    def change(page: Page, shop: Shop) -> None:
        page.main += html

    return change


def _like(name: str, slug: str) -> Change:
    """As the guide `slug` of the same market has it."""

    def change(page: Page, shop: Shop) -> None:
        setattr(page, name, getattr(shop.pages[at(page.market.code, slug)], name))

    return change


def _short(page: Page, shop: Shop) -> None:
    page.main = paragraphs(page.words.paragraphs(page.path, page.h1s[0], 6))
    page.lastmod = "2026-02-20T08:30:00+00:00"


def _same_text(page: Page, shop: Shop) -> None:
    other = shop.pages[at(page.market.code, "03")]
    page.main, page.h1s = other.main, other.h1s


def _near_text(page: Page, shop: Shop) -> None:
    other = shop.pages[at(page.market.code, "03")]
    page.main, page.h1s = other.main + "<p>!</p>", [other.h1s[0] + " +"]


def _other_language(page: Page, shop: Shop) -> None:
    page.main = paragraphs(words("en").paragraphs(page.path, "a sharp knife"))


def _filler(page: Page, shop: Shop) -> None:
    page.main += "<p>Lorem ipsum dolor sit amet.</p>"
    page.lastmod = "2026-03-03T08:30:00+00:00"


def _undated(page: Page, shop: Shop) -> None:
    page.data = [{name: value for name, value in page.data[0].items() if name != "datePublished"}]  # type: ignore[union-attr]


def _unseen(page: Page, shop: Shop) -> None:
    page.linked = None


def _deep(page: Page, shop: Shop) -> None:
    """Behind a row of pages, each linked from the one before and the one behind."""
    row = [shop.pages[at("en-us", f"walk-{number}")] for number in (1, 2, 3)]
    for one, other in zip([*row], [*row[1:], page], strict=True):
        one.main += link(other.path, f"On to {other.titles[0]}")
        other.main += link(one.path, f"Back to {one.titles[0]}")
        other.linked = None
    page.main += link(row[0].path, "To the first of these walks")


def _one_link(page: Page, shop: Shop) -> None:
    page.linked = "index"


def _nofollow_mix(page: Page, shop: Shop) -> None:
    target = at("en-gb", "index-noindex")
    page.main += f'{link(target, "An older guide")} <a rel="nofollow" href="{target}">The older guide again</a>'


def _bare(page: Page, shop: Shop) -> None:
    page.is_bare = True


def _no_charset(page: Page, shop: Shop) -> None:
    page.headers["content-type"] = "text/html"
    page.frame = (page.frame[0], "", page.frame[2])


def _dropped(header: str) -> Change:
    def change(page: Page, shop: Shop) -> None:
        page.headers[header] = None

    return change


def _no_policy(page: Page, shop: Shop) -> None:
    page.headers |= {"content-security-policy": None, "x-frame-options": "SAMEORIGIN"}


_MANY = "".join(f'<a href="/de-de/service/care/">Pflege {number}</a> ' for number in range(501))
_IMAGE = '<img src="/static/logo.png" {}>'

OF_WORDS = (
    Plant("title-missing", "en-gb", _set(titles=[]), nights=(1,)),
    Plant("title-empty", "de-de", _set(titles=["  "])),
    Plant("title-duplicate", "fr-fr", _like("titles", "02"), also=(("title-duplicate", at("fr-fr", "02")),)),
    Plant("title-multiple", "ja-jp", lambda page, shop: page.titles.append("コントルの暮らしの手引きと道具の話")),
    Plant(
        "title-too-long",
        "sv-se",
        _set(titles=["Ett råd som vi gärna ger alla dem som vill ha ett lugnt kök och en ren ugn | Kontor"]),
    ),
    Plant("title-too-short", "en-us", _set(titles=["Walking boots"])),
    Plant("title-same-as-h1", "en-au", lambda page, shop: setattr(page, "titles", list(page.h1s))),
    Plant("title-language-mismatch", "de-de", _set(titles=["Everything you should know about a warm winter"])),
    Plant("description-missing", "en-ae", _set(descriptions=[])),
    Plant(
        "description-duplicate",
        "sv-se",
        _like("descriptions", "02"),
        also=(("description-duplicate", at("sv-se", "02")),),
    ),
    Plant(
        "description-too-long", "en-gb", lambda page, shop: setattr(page, "descriptions", [page.descriptions[0] * 2])
    ),
    Plant("description-too-short", "de-de", _set(descriptions=["Was wir darüber wissen."])),
    Plant("description-multiple", "fr-fr", lambda page, shop: page.descriptions.append("Un guide de la maison.")),
    Plant("h1-missing", "ja-jp", _set(h1s=[])),
    Plant("h1-multiple", "en-us", lambda page, shop: page.h1s.append("Kontor")),
    Plant("h1-duplicate", "en-au", _like("h1s", "02"), also=(("h1-duplicate", at("en-au", "02")),)),
    Plant("heading-level-skipped", "en-ae", _more("<h2>Before</h2><p>First.</p><h4>After</h4><p>Then.</p>")),
    Plant("meta-outside-head", "sv-se", _set(top='<meta name="robots" content="max-image-preview:large">')),
    Plant("content-thin", "en-gb", _short, nights=(1,)),
    Plant(
        "content-exact-duplicate h1-duplicate",
        "de-de",
        _same_text,
        also=(
            ("content-exact-duplicate", at("de-de", "03")),
            ("h1-duplicate", at("de-de", "03")),
        ),
    ),
    Plant("content-near-duplicate", "fr-fr", _near_text, also=(("content-near-duplicate", at("fr-fr", "03")),)),
    Plant("content-duplicate-id", "ja-jp", _more('<p id="care">お手入れ。</p><p id="care">お手入れ。</p>')),
    Plant("content-lorem-ipsum", "en-us", _filler, nights=(2,)),
    Plant("content-language-mismatch", "sv-se", _other_language),
    Plant("content-placeholder", "en-au", _more("<p>Dear {{ customer.name }}, thank you.</p>")),
    Plant("content-readability", "en-ae", _set(main=f"<p>{_LONG * 8}</p>")),
    Plant("content-dom-too-large", "en-gb", _more("<i></i>" * 1500)),
    Plant("content-page-too-large", "de-de", _set(head=f"<!--{'-' * 2_000_000}x-->")),
    Plant("content-date-missing schema-missing-recommended", "fr-fr", _undated),
    Plant("link-nofollow-internal", "ja-jp", _more(f'<a rel="nofollow" href="{at("ja-jp", "01")}">道具の話</a>')),
    Plant("link-follow-nofollow-mix", "en-gb", _nofollow_mix),
    Plant("link-orphan-page", "en-us", _unseen, nights=(2,)),
    Plant("link-dead-end", "en-au", _bare),
    Plant("link-too-deep link-single-inlink", "en-us", _deep),
    Plant("", "en-us", nothing, "walk-1"),
    Plant("", "en-us", nothing, "walk-2"),
    Plant("", "en-us", nothing, "walk-3"),
    Plant("link-too-many", "de-de", _more(_MANY)),
    Plant("link-empty-anchor", "fr-fr", _more('<a href="/fr-fr/service/care/"></a>')),
    Plant("link-vague-anchor", "de-de", _more('<a href="/de-de/service/about/">Hier klicken</a>')),
    Plant("link-fragment-missing", "sv-se", _more(link("/sv-se/service/care/#tvatt", "Om att tvätta"))),
    Plant("link-single-inlink", "en-ae", _one_link),
    Plant(
        "link-pagination-broken",
        "ja-jp",
        lambda page, shop: setattr(page, "head", f'<link rel="next" href="{page.path}">'),
    ),
    Plant("perf-no-compression", "en-gb", _set(is_plain=True)),
    Plant("perf-image-no-size", "de-de", _more(_IMAGE.format('alt="Zeichen"'))),
    Plant("sec-csp-missing", "en-us", _no_policy),
    Plant("sec-nosniff-missing", "en-au", _dropped("x-content-type-options")),
    Plant(
        "sec-frame-missing",
        "en-ae",
        lambda page, shop: page.headers.update({"content-security-policy": "default-src 'self'"}),
    ),
    Plant("sec-referrer-missing", "fr-fr", _dropped("referrer-policy")),
    Plant(
        "sec-form-on-http", "sv-se", _more('<form method="post" action="/sv-se/"><input name="q"></form>'), nights=(2,)
    ),
    Plant("markup-viewport-missing", "ja-jp", lambda page, shop: setattr(page, "frame", (*page.frame[:2], ""))),
    Plant("markup-charset-missing", "en-gb", _no_charset),
    Plant("markup-lang-missing", "de-de", _set(lang=""), nights=(1,)),
    Plant("markup-lang-invalid", "en-us", _set(lang="en-uk")),
    Plant("markup-alt-missing", "fr-fr", _more(_IMAGE.format('width="3" height="4"'))),
)
