"""What only a look at the parsed page can tell, by name: rows of the table `mark`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from html import unescape

from selectolax.lexbor import LexborHTMLParser

from caravan.clients.crawl import placeholders, prices
from caravan.clients.crawl.notes import TEXT_CHARACTERS, Notes, Row
from caravan.clients.crawl.reading import BREAK

MARKS: Mapping[str, str] = {
    "canonical-outside-head": "value: href as written. The parser had left head before the link came.",
    "hreflang-outside-head": "value: code as written; count: links with it.",
    "meta-outside-head": "value: title, robots or description.",
    "duplicate-id": "value: the id; count: elements that have it, two at least. As far as 50 ids.",
    "raw-address": "value: address of the site as a link has it, not ASCII in path or query; count.",
    "lorem-ipsum": "count: how often, outside code.",
    "placeholder": "value: a template's marker (`{{ name }}`), or a translation's key that is all that a block"
    " says; count.",
    "visible-price": "value: as written; amount; currency_codes: those that its sign may mean; count. As far as 20.",
    "visible-availability": "value: in_stock or out_of_stock, in the words of the page's language; count. Only looked"
    " for on pages that show a price or state an availability in structured data; neither in code.",
    "form-on-page": "value: method and address (`post https://..`), the page's own where a form names none; count.",
    "form-insecure-action": "value: address by http:// to which a page by https:// sends a form; count.",
    "links-dropped": "count: links beyond Limits.links_of_page, which are in no table.",
    "rows-dropped": "value: another table (or `ids`), of which more rows were found than that; count: those left out.",
    "nesting-cut": "value: character at which a page was cut that would have cost its reader minutes or gigabytes.",
}
_MOST = 50
"""Of one name: more say nothing more."""
_CODE = "code,kbd,pre,samp,textarea,tt,var"
_NOT_SHOWN = str.split("code kbd pre samp textarea tt var script style noscript template svg iframe head")
_ID = re.compile(r"""\sid\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)


def mark(name: str, value: str | None = None, count: int = 1) -> Row:
    return name, value, count, None, None


def marks_of_elements(notes: Notes, ids: list[str], html: str, url: str) -> Iterator[Row]:
    """`ids`: of the tree, in its order."""
    for row in notes.canonicals:
        if not row[5]:
            yield mark("canonical-outside-head", str(row[1])[:TEXT_CHARACTERS])
    for code, count in Counter(str(row[1]) for row in notes.hreflangs if not row[5]).items():
        yield mark("hreflang-outside-head", code, count)
    outside = Counter(name for name, _, in_head in notes.metas if not in_head and name in ("robots", "description"))
    outside["title"] = len(notes.outside)
    forms = Counter(f"{method} {address}" for method, address in notes.forms)
    insecure = Counter(address for _, address in notes.forms if address.startswith("http://"))
    for name, counts in (
        ("meta-outside-head", outside.items()),
        ("duplicate-id", _repeated(ids, html)),
        ("form-on-page", forms.items()),
        ("raw-address", notes.raw.items()),
        ("form-insecure-action", insecure.items() if url.startswith("https://") else ()),
    ):
        for value, count in list(counts)[:_MOST]:
            if count:
                yield mark(name, value, count)
    for table, count in notes.dropped.items():
        yield mark("links-dropped", None, count) if table == "link" else mark("rows-dropped", table, count)


def _repeated(ids: list[str], html: str) -> list[tuple[str, int]]:
    """Ids that were written more than once. An element that is left open, as `<a id="x"/>`, is taken by the parser into
    every block after it, with its id: nobody wrote that, and links still meet the first. `ids`: of the tree."""
    found = {id_: count for id_, count in Counter(ids).items() if count > 1}
    if not found:
        return []
    written = Counter(unescape(match[1] or match[2] or match[3] or "") for match in _ID.finditer(html))
    return [(id_, least) for id_, count in found.items() if (least := min(count, written[id_])) > 1]


def marks_of_words(visible: str, tree: LexborHTMLParser, language: str, states_availability: bool) -> Iterator[Row]:
    """Removes code from the tree, where the same words are meant: after all else, and only if there is any to find.

    `visible`: all words of the page. `language`: of the page, empty where nobody knows. `states_availability`: in
    structured data.
    """
    keys = [key for block in visible.split(BREAK) if "." in block and placeholders.is_key(key := block.strip())]
    has_filler = "psum" in visible or "PSUM" in visible
    shown = prices.prices_in(visible)
    availability = bool(shown) or states_availability
    if not (keys or has_filler or availability or placeholders.templates_in(visible)):
        return
    if tree.css_first(_CODE) is not None:
        tree.strip_tags(_NOT_SHOWN)
        visible = tree.body.text(separator=BREAK) if tree.body else ""
        shown = prices.prices_in(visible)
    lowered = " ".join(visible.split()).lower()
    if count := placeholders.filler_count(lowered):
        yield mark("lorem-ipsum", None, count)
    found = placeholders.templates_in(visible)
    texts = {block.strip() for block in visible.split(BREAK)}
    found.update(key for key in keys if key in texts)
    for value, count in list(found.items())[:_MOST]:
        yield mark("placeholder", value, count)
    for price, count in Counter(shown).items():
        yield "visible-price", price.written, count, price.amount, list(price.currencies)
    if availability:
        for value, count in prices.availability_in(lowered, language).items():
            yield mark("visible-availability", value, count)
