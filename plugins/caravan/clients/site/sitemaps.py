"""Sitemaps (sitemaps.org 0.9) with hreflang alternates, and the one for news search. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

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
    urls = (_url(entry, alternates[entry.url]) for entry in entries)
    parts = list(_parts(urls, most_urls, most_bytes - len(_HEAD) - len(_TAIL)))
    if len(parts) <= 1:
        return {"sitemap.xml": _HEAD + b"".join(parts[0] if parts else ()) + _TAIL}
    named = {f"sitemap-{number}.xml": _HEAD + b"".join(part) + _TAIL for number, part in enumerate(parts, 1)}
    root = ET.Element("sitemapindex", {"xmlns": _SITEMAP})
    begin = 0
    for name, part in zip(named, parts, strict=True):
        child = ET.SubElement(root, "sitemap")
        add(child, "loc", site.url(name))
        add(child, "lastmod", instant(max(entry.updated_at for entry in entries[begin : begin + len(part)])))
        begin += len(part)
    return {**named, "sitemap.xml": to_bytes(root)}


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


def _url(entry: Entry, alternates: Mapping[str, str]) -> bytes:
    root = ET.Element("url")
    add(root, "loc", entry.url)
    add(root, "lastmod", instant(entry.updated_at))
    for tag, url in alternates.items():
        add(root, "xhtml:link", rel="alternate", hreflang=tag, href=url)
    return ET.tostring(root, encoding="unicode").encode() + b"\n"


def _parts(urls: Iterator[bytes], most_urls: int, most_bytes: int) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for url in urls:
        if part and (len(part) == most_urls or size + len(url) > most_bytes):
            yield part
            part, size = [], 0
        part.append(url)
        size += len(url)
    if part:
        yield part


def _news_language(locale: str) -> str:
    """ISO 639; Chinese by its script, as Google asks."""
    language = langcodes.Language.get(locale).maximize()
    if language.language == "zh":
        return "zh-tw" if language.script == "Hant" else "zh-cn"
    return str(language.language)
