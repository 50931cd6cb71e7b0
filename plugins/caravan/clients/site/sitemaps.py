"""Sitemaps (sitemaps.org 0.9) with hreflang alternates, and the one for news search. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

import langcodes

from caravan.clients.site.feeds import add, to_bytes
from caravan.clients.site.manifest import X_DEFAULT, Entry
from caravan.clients.site.page import Site, instant

MOST_URLS = 50_000
MOST_BYTES = 50 * 1024**2
"""Of one sitemap, uncompressed (sitemaps.org)."""
NEWS_AGE = timedelta(days=2)
MOST_NEWS = 1000
"""Google's limits of a news sitemap."""
_SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"
_NEWS = "http://www.google.com/schemas/sitemap-news/0.9"
_XHTML = "http://www.w3.org/1999/xhtml"
_HEAD = f'<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="{_SITEMAP}" xmlns:xhtml="{_XHTML}">\n'.encode()
_TAIL = b"</urlset>\n"


@dataclass(frozen=True)
class Listed:
    """A page. `lastmod`: a day or an instant (W3C date and time); None where nobody knows. `alternates`: URL by BCP 47
    tag, the page's own among them."""

    url: str
    lastmod: str | None
    alternates: Mapping[str, str]


Alternates = Mapping[str, Mapping[str, str]]
"""By URL of a page: URL by BCP 47 tag, the page's own among them."""


def alternates_there(site: Site, entries: Iterable[Entry]) -> Alternates:
    """The languages of each release as they are published now: every page names the same ones, so each names the
    others. What a page says of another site is taken as it stands; nobody can look there."""
    by_release = defaultdict(list)
    for entry in entries:
        by_release[entry.release_id].append(entry)
    found: dict[str, dict[str, str]] = {}
    for group in by_release.values():
        there = {entry.locale: entry.url for entry in sorted(group, key=lambda entry: entry.locale)}
        urls = set(there.values())
        said = {
            tag: url
            for entry in sorted(group, key=lambda entry: entry.revision)
            for tag, url in entry.alternates.items()
        }
        elsewhere = {
            tag: url
            for tag, url in sorted(said.items())
            if tag not in there and (url in urls or not url.startswith(site.url()))
        }
        together = {**there, **elsewhere}
        ordered = {tag: together[tag] for tag in sorted(together, key=lambda tag: (tag == X_DEFAULT, tag))}
        found |= dict.fromkeys(urls, ordered if len(ordered) > 1 else {})
    return found


def write_sitemaps(
    site: Site, entries: Sequence[Entry], most_urls: int = MOST_URLS, most_bytes: int = MOST_BYTES
) -> dict[str, bytes]:
    """By path: `sitemap.xml`, or where that is too large, `sitemap-1.xml` and on with an index of them there."""
    alternates = alternates_there(site, entries)
    listed = (Listed(entry.url, instant(entry.updated_at), alternates[entry.url]) for entry in entries)
    return dict(sitemap_files(site.url("sitemap.xml"), listed, most_urls, most_bytes))


def sitemap_files(
    url: str, listed: Iterable[Listed], most_urls: int = MOST_URLS, most_bytes: int = MOST_BYTES
) -> Iterator[tuple[str, bytes]]:
    """Name and content of one sitemap; or where that is too large, of its parts, and last of an index of them in its
    place. `url`: of the whole. One part is in memory at a time."""
    base, _, name = url.rpartition("/")
    stem = name.removesuffix(".xml")
    parts = _parts(listed, most_urls, most_bytes - len(_HEAD) - len(_TAIL))
    part, following = next(parts, []), next(parts, None)
    if following is None:
        yield name, _whole(part)
        return
    root = ET.Element("sitemapindex", {"xmlns": _SITEMAP})
    for number, each in enumerate(chain((part, following), parts), 1):
        child = ET.SubElement(root, "sitemap")
        add(child, "loc", f"{base}/{stem}-{number}.xml")
        if latest := max((lastmod or "" for _, lastmod in each), default=""):
            add(child, "lastmod", latest)
        yield f"{stem}-{number}.xml", _whole(each)
    yield name, to_bytes(root)


def _whole(part: Iterable[tuple[bytes, str | None]]) -> bytes:
    return _HEAD + b"".join(element for element, _ in part) + _TAIL


def write_news(site: Site, entries: Sequence[Entry], now: datetime) -> bytes:
    """News of the last two days, newest first; offers and notices are no news. `now`: UTC without zone."""
    root = ET.Element("urlset", {"xmlns": _SITEMAP, "xmlns:news": _NEWS})
    recent = [entry for entry in entries if entry.kind == "news" and entry.published_at > now - NEWS_AGE]
    for entry in recent[:MOST_NEWS]:
        child = ET.SubElement(root, "url")
        add(child, "loc", entry.url)
        news = ET.SubElement(child, "news:news")
        publication = ET.SubElement(news, "news:publication")
        add(publication, "news:name", site.name)
        add(publication, "news:language", _news_language(entry.locale))
        add(news, "news:publication_date", instant(entry.published_at))
        add(news, "news:title", entry.title)
    return to_bytes(root)


def _url(listed: Listed) -> bytes:
    root = ET.Element("url")
    add(root, "loc", listed.url)
    if listed.lastmod:
        add(root, "lastmod", listed.lastmod)
    for tag, url in listed.alternates.items():
        add(root, "xhtml:link", rel="alternate", hreflang=tag, href=url)
    return ET.tostring(root, encoding="unicode").encode() + b"\n"


def _parts(listed: Iterable[Listed], most_urls: int, most_bytes: int) -> Iterator[list[tuple[bytes, str | None]]]:
    """Elements with their days."""
    part: list[tuple[bytes, str | None]] = []
    size = 0
    for each in listed:
        element = _url(each)
        if part and (len(part) == most_urls or size + len(element) > most_bytes):
            yield part
            part, size = [], 0
        part.append((element, each.lastmod))
        size += len(element)
    if part:
        yield part


def _news_language(locale: str) -> str:
    """ISO 639; Chinese by its script, as Google asks."""
    language = langcodes.Language.get(locale).maximize()
    if language.language == "zh":
        return "zh-tw" if language.script == "Hant" else "zh-cn"
    return str(language.language)
