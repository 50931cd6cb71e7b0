"""What one HTML page says: its columns of `page` and its rows of all tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html import unescape

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

from caravan.clients.crawl import microdata, placeholders, prices, text
from caravan.clients.crawl.decoding import Decoded
from caravan.clients.crawl.directives import AGENTS, refresh_of, robots_of_meta
from caravan.clients.crawl.nesting import readable_end
from caravan.clients.crawl.notes import TEXT_CHARACTERS, Notes, Row
from caravan.clients.crawl.reading import BREAK, Reading, without
from caravan.clients.crawl.structured import Block, nodes_of, read_block
from caravan.clients.crawl.targets import Targets
from caravan.clients.crawl.titles import pixels_of
from caravan.core.crawl import Rows
from caravan.core.urls import key_of

Facts = dict[str, object]
"""Columns of `page` by name."""
_PARSING = LexborDocumentOptions.WO_EVENTS.value
_PASSAGE_CHARACTERS = 20
_MOST_MARKS = 50
"""Of one name: more say nothing more."""
_CODE = "code,kbd,pre,samp,textarea,tt,var"
_NOT_SHOWN = str.split("code kbd pre samp textarea tt var script style noscript template svg iframe head")
_ID = re.compile(r"""\sid\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_PUBLISHED = ("article:published_time", "datepublished", "date")


def read_page(decoded: Decoded, url: str, key: int | None, targets: Targets, facts: Facts) -> tuple[Notes, Rows]:
    """Fills `facts`; the rows are of all other tables. `facts`: with what is known of the answer."""
    html = decoded.text
    marks: list[Row] = []
    if (end := readable_end(html)) is not None:
        marks.append(_mark("nesting-cut", str(end)))
        facts["is_truncated"] = True
        html = html[:end]
    tree = LexborHTMLParser(html, scripting=True, options=_PARSING)
    notes = Notes(targets.base(url, decoded.charset, _base_href(tree)), targets)
    reading = Reading(notes)
    reading.walk(tree)
    ids = [id_ for node in tree.css("[id]") if (id_ := node.id)]
    places = list(dict.fromkeys([*ids, *notes.names]))
    if len(places) > notes.limit:
        notes.dropped["ids"] = len(places) - notes.limit
    blocks = [("json-ld", read_block(block)) for block in notes.blocks]
    if microdata.has_items(html):
        blocks += [("microdata", block) for block in _items_of(tree, notes)]
    facts |= {
        "charset": decoded.charset,
        "charset_source": decoded.source,
        "has_early_charset": decoded.has_early_charset,
        "has_replaced_bytes": decoded.has_replaced_bytes,
        "language_code": tree.root.attributes.get("lang") if tree.root else None,
        "element_count": reading.element_count,
        "ids": places[: notes.limit],
    }
    _read_head(notes, facts)
    dates = [block.published_on for _, block in blocks if block.published_on]
    facts["published_on"] = facts["published_on"] or next(iter(dates), notes.time)
    marks += _marks_of(notes, _repeated(ids, html), url)
    states_availability = any("vailability" in block for block in notes.blocks) or any(
        "vailability" in (row[3] or "") for syntax, block in blocks if syntax == "microdata" for row in block.rows
    )
    passages = _read_words(reading, tree, facts, marks, states_availability)
    if notes.dropped["passage"]:
        marks.append(_mark("rows-dropped", "passage", notes.dropped["passage"]))
    rows: Rows = {
        "link": notes.links,
        "canonical": notes.canonicals,
        "image": notes.images,
        "hreflang": notes.hreflangs,
        "heading": notes.headings,
        "meta": list(notes.metas),
        "structured": [(number, syntax, *row) for number, (syntax, block) in enumerate(blocks) for row in block.rows],
        "passage": passages,
    }
    rows["mark"] = marks
    return notes, {name: [(key, *row) for row in found] for name, found in rows.items() if found}


def _items_of(tree: LexborHTMLParser, notes: Notes) -> list[Block]:
    """A block for each item of microdata that is no property of another."""
    items, is_whole = microdata.read_items(tree, notes.base)
    room = max(notes.limit - len(notes.blocks), 0)
    if not is_whole or len(items) > room:
        notes.dropped["structured"] += max(len(items) - room, 1)
    return [nodes_of(item) for item in items[:room]]


def _base_href(tree: LexborHTMLParser) -> str | None:
    """Of the first base element that has one, wherever it stands."""
    node = tree.css_first("base[href]")
    return node.attributes.get("href") if node is not None else None


def _read_head(notes: Notes, facts: Facts) -> None:
    facts["title_count"] = len(notes.titles)
    if notes.titles:
        facts["title"] = notes.titles[0]
        facts["title_language"] = text.title_language_of(notes.titles[0])
        facts["title_pixels"] = pixels_of(notes.titles[0])
    descriptions: list[str] = []
    robots: list[str] = []
    published: dict[str, str] = {}
    for name, content, _ in notes.metas:
        if name == "robots" or name in AGENTS:
            robots += robots_of_meta(name, content)
        elif name == "description":
            descriptions.append(content)
        elif name == "viewport":
            facts.setdefault("viewport", content)
        elif name == "refresh" and "refresh_url" not in facts and (refresh := refresh_of(content)):
            target = notes.targets.at(notes.base, refresh[1])
            facts["refresh_seconds"], facts["refresh_url"] = refresh[0], target.url
            if target.found is not None:
                notes.lead_to(target.found)
        elif name in _PUBLISHED:
            published.setdefault(name, content)
    facts["robots_html"] = list(dict.fromkeys(robots))
    facts["description"] = descriptions[0] if descriptions else None
    facts["description_count"] = len(descriptions)
    facts["published_on"] = next((published[name] for name in _PUBLISHED if published.get(name)), None)
    top = [str(row[2]) for row in notes.headings if row[1] == 1 and row[2]]
    facts["h1"], facts["h1_count"] = top[0] if top else None, len(top)


def _read_words(
    reading: Reading, tree: LexborHTMLParser, facts: Facts, marks: list[Row], states_availability: bool
) -> list[Row]:
    """The main text's columns, marks of all that is visible, and the passages of the main text.

    A page whose words are all in navigation, headers and footers has these for its main text.
    """
    visible = "".join(reading.words)
    blocks = _blocks(without(reading.words, reading.apart)) or _blocks(visible)
    read = text.read_text(" ".join(blocks), str(facts["language_code"] or ""))
    facts["word_count"] = read.word_count
    facts["character_count"] = read.character_count
    facts |= (text.Prose() if read.word_count is None else text.read_prose(blocks))._asdict()
    facts["text_hash"] = read.text_hash
    facts["simhash"] = read.simhash
    facts["detected_language"] = read.language
    marks += _marks_of_words(visible, tree, facts, states_availability)
    passages: list[Row] = []
    for block in blocks:
        if len(block) >= _PASSAGE_CHARACTERS and reading.notes.has_room("passage", passages):
            passages.append((len(passages), key_of(block.lower()), len(block)))
    return passages


def _blocks(words: str) -> list[str]:
    """White space collapsed; none is empty."""
    return [words for block in words.split(BREAK) if (words := " ".join(block.split()))]


def _marks_of_words(visible: str, tree: LexborHTMLParser, facts: Facts, states_availability: bool) -> Iterator[Row]:
    """Removes code from the tree, where the same words are meant: after all else, and only if there is any to find."""
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
        yield _mark("lorem-ipsum", None, count)
    found = placeholders.templates_in(visible)
    texts = {block.strip() for block in visible.split(BREAK)}
    found.update(key for key in keys if key in texts)
    for value, count in list(found.items())[:_MOST_MARKS]:
        yield _mark("placeholder", value, count)
    for price, count in Counter(shown).items():
        yield "visible-price", price.written, count, price.amount, list(price.currencies)
    if availability:
        language = str(facts["language_code"] or facts["detected_language"] or "")
        for value, count in prices.availability_in(lowered, language).items():
            yield _mark("visible-availability", value, count)


def _repeated(ids: list[str], html: str) -> list[tuple[str, int]]:
    """Ids that were written more than once. An element that is left open, as `<a id="x"/>`, is taken by the parser into
    every block after it, with its id: nobody wrote that, and links still meet the first. `ids`: of the tree."""
    found = {id_: count for id_, count in Counter(ids).items() if count > 1}
    if not found:
        return []
    written = Counter(unescape(match[1] or match[2] or match[3] or "") for match in _ID.finditer(html))
    return [(id_, least) for id_, count in found.items() if (least := min(count, written[id_])) > 1]


def _marks_of(notes: Notes, repeated: list[tuple[str, int]], url: str) -> Iterator[Row]:
    for row in notes.canonicals:
        if not row[5]:
            yield _mark("canonical-outside-head", str(row[1])[:TEXT_CHARACTERS])
    for code, count in Counter(str(row[1]) for row in notes.hreflangs if not row[5]).items():
        yield _mark("hreflang-outside-head", code, count)
    outside = Counter(name for name, _, in_head in notes.metas if not in_head and name in ("robots", "description"))
    outside["title"] = len(notes.outside)
    forms = Counter(f"{method} {address}" for method, address in notes.forms)
    insecure = Counter(address for _, address in notes.forms if address.startswith("http://"))
    for name, counts in (
        ("meta-outside-head", outside.items()),
        ("duplicate-id", repeated),
        ("form-on-page", forms.items()),
        ("raw-address", notes.raw.items()),
        ("form-insecure-action", insecure.items() if url.startswith("https://") else ()),
    ):
        for value, count in list(counts)[:_MOST_MARKS]:
            if count:
                yield _mark(name, value, count)
    for table, count in notes.dropped.items():
        yield _mark("links-dropped", None, count) if table == "link" else _mark("rows-dropped", table, count)


def _mark(name: str, value: str | None = None, count: int = 1) -> Row:
    return name, value, count, None, None
