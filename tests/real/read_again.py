"""Documentation read a second time, from the disk and by the standard library's parser: what a crawl has to have found.

It shares no line with the crawler: addresses by urllib, pages by html.parser, which builds no tree.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit

_ORIGIN = "http://doc.test"
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_LARGEST = 4 << 20
"""A crawl reads no more of a page."""
_RELS = {"canonical", "alternate", "next", "prev", "amphtml"}
"""Of `link` elements that name pages."""
COUNTED = ("a", "area", "img", "h1", "h2", "h3", "h4", "h5", "h6", "title")


@dataclass
class Page:
    """`counts`: elements by name; links only those of http. `places`: where a fragment may lead."""

    counts: Counter[str] = field(default_factory=Counter)
    language: str | None = None
    title: str = ""
    places: set[str] = field(default_factory=set)
    is_whole: bool = True
    linked: list[str] = field(default_factory=list)
    """Absolute, without fragment, in the order of the page."""


class _Reader(HTMLParser):
    def __init__(self, base: str) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._base = base
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(reversed(attrs))  # of an attribute written twice the first counts
        if place := given.get("id"):
            self.page.places.add(place)
        if tag == "a" and (place := given.get("name")):
            self.page.places.add(place)
        if tag == "html":
            self.page.language = given.get("lang")
        elif tag == "title":
            self._in_title = self.page.counts["title"] == 0
        if tag in ("a", "area", "frame", "iframe", "link"):
            self._read_link(tag, given)
        elif tag in COUNTED:
            self.page.counts[tag] += 1

    def _read_link(self, tag: str, given: dict[str, str | None]) -> None:
        href = given.get("src" if tag.endswith("frame") else "href")
        rel = set((given.get("rel") or "").lower().split())
        if href is None or (tag == "link" and not rel & _RELS):
            return
        url = _joined(self._base, href.strip().partition("#")[0])
        if urlsplit(url).scheme not in ("http", "https"):
            return
        self.page.counts[tag] += 1
        self.page.linked.append(url)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.page.title += data


@lru_cache(maxsize=100_000)
def _joined(base: str, href: str) -> str:
    """As browsers have it: what is beyond ASCII in percent signs, and nothing lost that urllib leaves out, which are a
    semicolon at the end and the second of two slashes."""
    kept = href.replace(";", "%3B")
    if "://" not in href and not href.startswith("//"):
        kept = kept.replace("//", "/%00/")
    return quote(urljoin(base, kept), safe=_PRINTABLE).replace("%3B", ";").replace("/%00/", "//")


def read(path: Path, target: str = "/") -> Page:
    """`target`: the path that it is served at."""
    content = path.read_bytes()[:_LARGEST]
    charset = "latin-1" if b"charset=iso-8859-1" in content[:1024].lower() else "utf-8"
    reader = _Reader(urljoin(_ORIGIN, target))
    reader.feed(content.decode(charset, "replace"))
    reader.close()
    reader.page.is_whole = path.stat().st_size <= _LARGEST
    reader.page.title = " ".join(reader.page.title.split())
    return reader.page


def walk(folder: Path, starts: list[str]) -> dict[str, tuple[int, Page | None]]:
    """Every path that the pages of a folder lead to from `starts`: what nginx answers, and the page where it is one."""
    found: dict[str, tuple[int, Page | None]] = {}
    waiting = deque(dict.fromkeys(starts))
    while waiting:
        target = waiting.popleft()
        if target in found:
            continue
        path = folder / unquote(target).lstrip("/")
        if path.is_dir():
            path /= "index.html"
        status = 200 if path.is_file() else 404
        page = read(path, target) if status == 200 and path.suffix == ".html" else None
        found[target] = status, page
        for url in page.linked if page else ():
            parts = urlsplit(url)
            if f"{parts.scheme}://{parts.netloc}" == _ORIGIN:
                waiting.append((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    return found
