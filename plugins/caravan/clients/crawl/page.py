"""What one HTML page says: its columns of `page` and its rows of all tables."""

from __future__ import annotations

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

from caravan.clients.crawl import microdata, text
from caravan.clients.crawl.decoding import Decoded
from caravan.clients.crawl.directives import AGENTS, refresh_of, robots_of_meta
from caravan.clients.crawl.marks import mark, marks_of_elements, marks_of_words
from caravan.clients.crawl.nesting import readable_end
from caravan.clients.crawl.notes import Notes, Row
from caravan.clients.crawl.reading import BREAK, Reading, without
from caravan.clients.crawl.structured import Block, nodes_of, read_block
from caravan.clients.crawl.targets import Targets
from caravan.clients.crawl.titles import pixels_of
from caravan.core.crawl import Rows
from caravan.core.urls import key_of

Facts = dict[str, object]
"""Columns of `page` by name."""
_Structured = list[tuple[str, Block]]
"""Each block with its syntax."""
_PARSING = LexborDocumentOptions.WO_EVENTS.value
_PASSAGE_CHARACTERS = 20
_PUBLISHED = ("article:published_time", "datepublished", "date")


def read_page(decoded: Decoded, url: str, key: int | None, targets: Targets, facts: Facts) -> tuple[Notes, Rows]:
    """Fills `facts`; the rows are of all other tables. `facts`: with what is known of the answer."""
    end = readable_end(decoded.text)
    html = decoded.text[:end]
    tree = LexborHTMLParser(html, scripting=True, options=_PARSING)
    notes = Notes(targets.base(url, decoded.charset, _base_href(tree)), targets)
    reading = Reading(notes)
    reading.walk(tree)
    ids = [id_ for node in tree.css("[id]") if (id_ := node.id)]
    facts |= _facts_of(decoded, tree, reading, _places(ids, notes))
    structured = _structured(tree, html, notes)
    _read_head(notes, facts)
    dates = (block.published_on for _, block in structured if block.published_on)
    facts["published_on"] = facts["published_on"] or next(dates, notes.time)
    marks: list[Row] = []
    if end is not None:
        facts["is_truncated"] = True
        marks.append(mark("nesting-cut", str(end)))
    marks += marks_of_elements(notes, ids, html, url)
    visible = "".join(reading.words)
    blocks = _blocks(without(reading.words, reading.apart)) or _blocks(visible)
    _read_words(blocks, facts)
    language = str(facts["language_code"] or facts["detected_language"] or "")
    marks += marks_of_words(visible, tree, language, _states_availability(notes, structured))
    passages = _passages(blocks, notes)
    if notes.dropped["passage"]:
        marks.append(mark("rows-dropped", "passage", notes.dropped["passage"]))
    rows = _rows_of(notes, structured) | {"passage": passages, "mark": marks}
    return notes, {name: [(key, *row) for row in of_table] for name, of_table in rows.items() if of_table}


def _facts_of(decoded: Decoded, tree: LexborHTMLParser, reading: Reading, places: list[str]) -> Facts:
    return {
        "charset": decoded.charset,
        "charset_source": decoded.source,
        "has_early_charset": decoded.has_early_charset,
        "has_replaced_bytes": decoded.has_replaced_bytes,
        "language_code": tree.root.attributes.get("lang") if tree.root else None,
        "element_count": reading.element_count,
        "ids": places,
    }


def _places(ids: list[str], notes: Notes) -> list[str]:
    """Where fragments of addresses lead, each once, as far as there is room."""
    places = list(dict.fromkeys([*ids, *notes.names]))
    if len(places) > notes.limit:
        notes.dropped["ids"] = len(places) - notes.limit
    return places[: notes.limit]


def _structured(tree: LexborHTMLParser, html: str, notes: Notes) -> _Structured:
    blocks = [("json-ld", read_block(block)) for block in notes.blocks]
    if microdata.has_items(html):
        blocks += [("microdata", block) for block in _items_of(tree, notes)]
    return blocks


def _items_of(tree: LexborHTMLParser, notes: Notes) -> list[Block]:
    """A block for each item of microdata that is no property of another."""
    items, is_whole = microdata.read_items(tree, notes.base)
    room = max(notes.limit - len(notes.blocks), 0)
    if not is_whole or len(items) > room:
        notes.dropped["structured"] += max(len(items) - room, 1)
    return [nodes_of(item) for item in items[:room]]


def _states_availability(notes: Notes, structured: _Structured) -> bool:
    """By the word alone: that is cheap, and tells whether it is worth looking for one that readers see."""
    return any("vailability" in block for block in notes.blocks) or any(
        "vailability" in (row[3] or "") for syntax, block in structured if syntax == "microdata" for row in block.rows
    )


def _rows_of(notes: Notes, structured: _Structured) -> Rows:
    """Of elements, without the page's key."""
    return {
        "link": notes.links,
        "canonical": notes.canonicals,
        "image": notes.images,
        "hreflang": notes.hreflangs,
        "heading": notes.headings,
        "meta": list(notes.metas),
        "structured": [
            (number, syntax, *row) for number, (syntax, block) in enumerate(structured) for row in block.rows
        ],
    }


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


def _read_words(blocks: list[str], facts: Facts) -> None:
    """`blocks`: of the main text; where all words are in navigation, headers and footers, of these."""
    read = text.read_text(" ".join(blocks), str(facts["language_code"] or ""))
    facts["word_count"] = read.word_count
    facts["character_count"] = read.character_count
    facts |= (text.Prose() if read.word_count is None else text.read_prose(blocks))._asdict()
    facts["text_hash"] = read.text_hash
    facts["simhash"] = read.simhash
    facts["detected_language"] = read.language


def _passages(blocks: list[str], notes: Notes) -> list[Row]:
    passages: list[Row] = []
    for block in blocks:
        if len(block) >= _PASSAGE_CHARACTERS and notes.has_room("passage", passages):
            passages.append((len(passages), key_of(block.lower()), len(block)))
    return passages


def _blocks(words: str) -> list[str]:
    """White space collapsed; none is empty."""
    return [words for block in words.split(BREAK) if (words := " ".join(block.split()))]
