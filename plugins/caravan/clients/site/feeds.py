"""RSS 2.0, Atom 1.0 (RFC 4287) and JSON Feed 1.1 of the newest entries. Pure; the same entries make the same bytes."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from caravan.clients.site.manifest import Entry, tag_uri
from caravan.clients.site.page import Site, instant

FEED_ENTRIES = 50
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even as references."""


@dataclass(frozen=True)
class Feed:
    """`folder`: where its files lie, empty for the one over all locales; `entries`: newest first, none withdrawn.
    `updated_at`: of the newest change, a withdrawal too."""

    site: Site
    folder: str
    entries: Sequence[Entry]
    updated_at: datetime

    @property
    def shown(self) -> Sequence[Entry]:
        return self.entries[:FEED_ENTRIES]

    @property
    def home_url(self) -> str:
        return self.site.url(f"{self.folder}/" if self.folder else "")

    def url(self, name: str) -> str:
        return self.home_url + name


def write_rss(feed: Feed) -> bytes:
    root = ET.Element(
        "rss",
        {
            "version": "2.0",
            "xmlns:atom": "http://www.w3.org/2005/Atom",
            "xmlns:dc": "http://purl.org/dc/elements/1.1/",
        },
    )
    channel = ET.SubElement(root, "channel")
    add(channel, "title", feed.site.name)
    add(channel, "link", feed.home_url)
    add(channel, "description", feed.site.name)
    if feed.folder:
        add(channel, "language", feed.folder)
    add(channel, "lastBuildDate", _rfc_822(feed.updated_at))
    add(channel, "atom:link", rel="self", type="application/rss+xml", href=feed.url("feed.rss"))
    if feed.site.hub:
        add(channel, "atom:link", rel="hub", href=feed.site.hub)
    for entry in feed.shown:
        item = ET.SubElement(channel, "item")
        add(item, "title", entry.title)
        add(item, "link", entry.url)
        add(item, "guid", entry.entry_id, isPermaLink="false")
        add(item, "pubDate", _rfc_822(entry.published_at))
        add(item, "description", entry.summary)
        if entry.author:
            add(item, "dc:creator", entry.author)
        add(item, "dc:language", entry.locale)
        for tag in entry.tags:
            add(item, "category", tag)
    return to_bytes(root)


def write_atom(feed: Feed) -> bytes:
    language = {"xml:lang": feed.folder} if feed.folder else {}
    root = ET.Element("feed", {"xmlns": "http://www.w3.org/2005/Atom", **language})
    add(root, "id", tag_uri(feed.site.base_url, f"feed/{feed.folder}"))
    add(root, "title", feed.site.name)
    add(root, "updated", instant(feed.updated_at))
    add(root, "link", rel="self", type="application/atom+xml", href=feed.url("feed.atom"))
    add(root, "link", rel="alternate", type="text/html", href=feed.home_url)
    if feed.site.hub:
        add(root, "link", rel="hub", href=feed.site.hub)
    add(ET.SubElement(root, "author"), "name", feed.site.name)
    for entry in feed.shown:
        item = ET.SubElement(root, "entry", {"xml:lang": entry.locale})
        add(item, "id", entry.entry_id)
        add(item, "title", entry.title)
        add(item, "link", rel="alternate", type="text/html", hreflang=entry.locale, href=entry.url)
        add(item, "published", instant(entry.published_at))
        add(item, "updated", instant(entry.updated_at))
        add(item, "summary", entry.summary)
        if entry.author:
            add(ET.SubElement(item, "author"), "name", entry.author)
        for tag in entry.tags:
            add(item, "category", term=tag)
    return to_bytes(root)


def write_json(feed: Feed) -> bytes:
    content: dict[str, Any] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed.site.name,
        "home_page_url": feed.home_url,
        "feed_url": feed.url("feed.json"),
        **({"language": feed.folder} if feed.folder else {}),
        **({"hubs": [{"type": "WebSub", "url": feed.site.hub}]} if feed.site.hub else {}),
        "items": [_json_item(entry) for entry in feed.shown],
    }
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> None:
    child = ET.SubElement(parent, name, {key: _NO_XML.sub("", value) for key, value in attributes.items()})
    child.text = _NO_XML.sub("", text) or None


def to_bytes(root: ET.Element) -> bytes:
    ET.indent(root, " ")
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode").encode() + b"\n"


def _json_item(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.entry_id,
        "url": entry.url,
        "title": entry.title,
        "content_text": entry.summary,
        "date_published": instant(entry.published_at),
        "date_modified": instant(entry.updated_at),
        "language": entry.locale,
        **({"image": entry.image_url} if entry.image_url else {}),
        **({"authors": [{"name": entry.author}]} if entry.author else {}),
        **({"tags": list(entry.tags)} if entry.tags else {}),
    }


def _rfc_822(at: datetime) -> str:
    return format_datetime(at.replace(tzinfo=UTC))
