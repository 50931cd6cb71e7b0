"""What is taken down of one page's elements: rows of the tables that have one row for an element.

Rows are without the page's key, in the order of their tables' columns after it. Texts are cut where a reader of the
tables would stop; an address is never cut.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from selectolax.lexbor import LexborNode

from caravan.clients.crawl.targets import NOWHERE, Base, Target, Targets
from caravan.core.crawl import KINDS, Found

TEXT_CHARACTERS = 500
CONTENT_CHARACTERS = 4_000
_PAGE_RELS = frozenset(("canonical", "alternate", "next", "prev", "amphtml"))
_RESOURCE_RELS = frozenset(
    ("stylesheet", "icon", "apple-touch-icon", "mask-icon", "preload", "modulepreload", "manifest")
)
_FEEDS = ("rss", "atom", "json", "xml")
_HOST = re.compile(r"\s*(?:https?:)?//[^/?#]*", re.IGNORECASE)
_META_KEYS = ("name", "property", "http-equiv", "itemprop")

Row = tuple[object, ...]
Attributes = dict[str, str | None]


class Notes:
    """`limit`: rows of one table; `dropped` counts those beyond it. `limit` for links is a limit for all addresses."""

    def __init__(self, base: Base, targets: Targets) -> None:
        self.base = base
        self.targets = targets
        self.limit = targets.limits.links_of_page
        self.in_head = False
        self.words: list[str] = []
        """All that is visible, in pieces, with breaks between blocks."""
        self.found: dict[int, Found] = {}
        self.links: list[Row] = []
        self.images: list[Row] = []
        self.canonicals: list[Row] = []
        self.hreflangs: list[Row] = []
        self.headings: list[Row] = []
        self.metas: list[tuple[str, str, bool]] = []
        self.titles: list[str] = []
        self.blocks: list[str] = []
        """JSON-LD as written."""
        self.outside: list[str] = []
        """Titles outside head, which is `title`."""
        self.names: list[str] = []
        """Of `<a name>`."""
        self.forms: list[tuple[str, str]] = []
        """Method and address."""
        self.raw: Counter[str] = Counter()
        """Addresses of the site that are written with characters beyond ASCII, which browsers encode."""
        self.time: str | None = None
        self.dropped: Counter[str] = Counter()

    def has_room(self, table: str, rows: list[Row]) -> bool:
        if len(rows) < self.limit:
            return True
        self.dropped[table] += 1
        return False

    def note(self, tag: str, target: Target, rel: list[str], text: str | None = None, ask: bool = True) -> None:
        """A link without words of its own."""
        if (target.url is None and target.problem is None) or not self.has_room("link", self.links):
            return
        self.links.append(self.row(len(self.links), tag, target, rel, text))
        if ask and target.found is not None:
            self.lead_to(target.found)

    def note_raw(self, href: str) -> None:
        """Not of a host, which may be written in any script, nor of a fragment, which is not sent."""
        if not _HOST.sub("", href.partition("#")[0]).isascii():
            self.raw[href.strip()[:TEXT_CHARACTERS]] += 1

    def lead_to(self, found: Found) -> None:
        """An address that the page both shows and links to is a page, whichever stands last. Of several spellings the
        least is asked for, as in a whole generation."""
        known = self.found.get(found.key, found)
        if known != found:
            found = Found(found.key, min(known.url, found.url), min(known.kind, found.kind, key=KINDS.index))
        self.found[found.key] = found

    def row(self, position: int, tag: str, target: Target, rel: list[str], text: str | None) -> Row:
        url, key, fragment, is_internal, problem, _ = target
        is_nofollow = "nofollow" in rel
        return position, tag, rel, url, key, fragment, text, is_internal, is_nofollow, self.in_head, problem


@lru_cache(maxsize=1024)
def _tokens(text: str | None) -> list[str]:
    """Shared by all that are written alike: nobody changes them."""
    return list(dict.fromkeys(text.lower().split())) if text else []


def _cut(text: str | None, limit: int = TEXT_CHARACTERS) -> str | None:
    return " ".join(text[: 4 * limit].split())[:limit] if text else text


def open_anchor(notes: Notes, node: LexborNode) -> object:
    attributes = node.attributes
    name = attributes.get("name")
    if name:
        notes.names.append(name)
    # Before anything is resolved: a page may have a million.
    if "href" not in attributes or not notes.has_room("link", notes.links):
        return None
    href = attributes["href"] or ""
    target = notes.targets.at(notes.base, href)
    if target.url is None and target.problem is None:
        return None
    if target.is_internal and not href.isascii():
        notes.note_raw(href)
    if target.found is not None:
        notes.lead_to(target.found)
    notes.links.append(())  # its place; the words come at its end
    return len(notes.links) - 1, attributes, target, node


def close_anchor(notes: Notes, data: tuple[int, Attributes, Target, LexborNode], words: str) -> None:
    position, attributes, target, node = data
    text = words[:TEXT_CHARACTERS] or _told(node, attributes)
    notes.links[position] = notes.row(position, "a", target, _tokens(attributes.get("rel")), text)


def _told(node: LexborNode, attributes: Attributes) -> str | None:
    """What is read aloud of an element without words."""
    words = (attributes.get("aria-label") or "").strip()
    if not words:
        alts = (image.attributes.get("alt") or "" for image in node.css("img[alt]"))
        words = " ".join(" ".join(alts).split()) or (attributes.get("title") or "").strip()
    return _cut(words) or None


def note_area(notes: Notes, node: LexborNode) -> None:
    attributes = node.attributes
    if "href" in attributes:
        href = attributes["href"] or ""
        target = notes.targets.at(notes.base, href)
        if target.is_internal and not href.isascii():
            notes.note_raw(href)
        text = attributes.get("alt") or attributes.get("aria-label") or attributes.get("title")
        notes.note("area", target, _tokens(attributes.get("rel")), _cut(text) or None)


def note_link(notes: Notes, node: LexborNode) -> None:
    attributes = node.attributes
    href = attributes.get("href")
    rel = _tokens(attributes.get("rel"))
    if href is None or not rel:
        return
    is_resource = not _RESOURCE_RELS.isdisjoint(rel) or _is_feed(attributes.get("type"))
    target = notes.targets.at(notes.base, href, "resource" if is_resource else "page")
    ask = is_resource or not _PAGE_RELS.isdisjoint(rel)
    if ask and target.is_internal and not href.isascii():
        notes.note_raw(href)
    notes.note("link", target, rel, _cut(attributes.get("title")) or None, ask)
    if "canonical" in rel and notes.has_room("canonical", notes.canonicals):
        notes.canonicals.append(("html", href, target.url, target.key, target.is_internal, notes.in_head))
    if "alternate" in rel and "hreflang" in attributes and notes.has_room("hreflang", notes.hreflangs):
        code = attributes["hreflang"] or ""
        notes.hreflangs.append(("html", code, href, target.url, target.key, notes.in_head, None))


def _is_feed(media_type: str | None) -> bool:
    return bool(media_type) and any(word in (media_type or "").lower() for word in _FEEDS)


def note_image(notes: Notes, node: LexborNode) -> None:
    attributes = node.attributes
    src = (attributes.get("src") or "").strip()
    target = notes.targets.at(notes.base, src, "resource") if src else NOWHERE
    if src:
        notes.note("img", target, [])
    _note_candidates(notes, "img", attributes.get("srcset"))
    if notes.has_room("image", notes.images):
        alt = (attributes["alt"] or "") if "alt" in attributes else None
        has_size = bool(attributes.get("width") and attributes.get("height"))
        row = (len(notes.images), target.url, target.key, target.is_internal, _cut(alt), has_size)
        notes.images.append(row)


def _note_candidates(notes: Notes, tag: str, srcset: str | None) -> None:
    """Images of other sizes: links of the page (they may be http://), but only `src` is asked for."""
    for candidate in (srcset or "").split(", "):
        words = candidate.split(None, 1)
        if words and not words[0].startswith("data:"):
            notes.note(tag, notes.targets.at(notes.base, words[0].rstrip(","), "resource"), [], ask=False)


def note_media(notes: Notes, node: LexborNode) -> None:
    """video, audio and their sources, with a video's poster. Only the poster is asked for: the others are large."""
    attributes = node.attributes
    tag = node.tag or ""
    if src := (attributes.get("src") or "").strip():
        notes.note(tag, notes.targets.at(notes.base, src, "resource"), [], ask=False)
    if poster := (attributes.get("poster") or "").strip():
        notes.note(tag, notes.targets.at(notes.base, poster, "resource"), [])
    _note_candidates(notes, tag, attributes.get("srcset"))


def note_embedded(notes: Notes, node: LexborNode) -> None:
    attributes = node.attributes
    if src := (attributes.get("src") or attributes.get("data") or "").strip():
        notes.note(node.tag or "", notes.targets.at(notes.base, src, "resource"), [], ask=False)


def note_frame(notes: Notes, node: LexborNode) -> None:
    attributes = node.attributes
    if src := (attributes.get("src") or "").strip():
        text = _cut(attributes.get("title")) or None
        notes.note(node.tag or "", notes.targets.at(notes.base, src), [], text)


def note_script(notes: Notes, node: LexborNode) -> None:
    attributes = node.attributes
    if (attributes.get("type") or "").partition(";")[0].strip().lower() == "application/ld+json":
        if len(notes.blocks) < notes.limit:
            notes.blocks.append(node.text())
        else:
            notes.dropped["structured"] += 1
    elif src := (attributes.get("src") or "").strip():
        notes.note("script", notes.targets.at(notes.base, src, "resource"), [])


def note_meta(notes: Notes, node: LexborNode) -> None:
    attributes = node.attributes
    name = next((value for key in _META_KEYS if (value := attributes.get(key))), None)
    if name is None or "content" not in attributes:
        return
    if len(notes.metas) < notes.limit:
        content = _cut(attributes["content"], CONTENT_CHARACTERS) or ""
        notes.metas.append((name.strip().lower(), content, notes.in_head))
    else:
        notes.dropped["meta"] += 1


def note_title(notes: Notes, node: LexborNode) -> None:
    title = _cut(node.text(), CONTENT_CHARACTERS) or ""
    (notes.titles if notes.in_head else notes.outside).append(title)


def open_heading(notes: Notes, node: LexborNode) -> object:
    if not notes.has_room("heading", notes.headings):
        return None
    notes.headings.append(())
    return len(notes.headings) - 1, node


def close_heading(notes: Notes, data: tuple[int, LexborNode], words: str) -> None:
    position, node = data
    level = int((node.tag or "h0")[1])
    notes.headings[position] = (position, level, words[:CONTENT_CHARACTERS] or _told(node, {}) or "")


def note_form(notes: Notes, node: LexborNode) -> None:
    attributes = node.attributes
    _note_form(notes, (attributes.get("method") or "get").strip().lower(), attributes.get("action"))


def note_submitter(notes: Notes, node: LexborNode) -> None:
    """A button or input that sends its form elsewhere."""
    attributes = node.attributes
    if attributes.get("formaction"):
        _note_form(notes, (attributes.get("formmethod") or "get").strip().lower(), attributes["formaction"])


def _note_form(notes: Notes, method: str, action: str | None) -> None:
    """Nobody asks for what a form sends to: a question there may be an order."""
    if (action or "").strip():
        target = notes.targets.at(notes.base, action or "")
        notes.note("form", target, [], ask=False)
        if target.url is None:
            return
        notes.forms.append((method, target.url))
    else:
        notes.forms.append((method, notes.base.page))


def note_time(notes: Notes, node: LexborNode) -> None:
    if notes.time is None:
        notes.time = _cut(node.attributes.get("datetime")) or None


def note_line_end(notes: Notes, node: LexborNode) -> None:
    """Words before and after a line's end are two, in one block."""
    notes.words.append(" ")
