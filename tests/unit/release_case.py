"""A small sound release and its outlets, to be spoilt."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from caravan.config.outlets import OutletAccount, load_outlets
from caravan.config.release_settings import ReleaseSettings
from caravan.config.releases import Known, KnownMarket, Release, load_releases
from caravan.functions.release.content import Revision

# Line numbers in the tests count in these texts.
RELEASE = """\
id: spring
kind: news
audience: public
owner: Ida Example
markets: [DE, BR, AE]
outlets: [site, toots]
source_locale: en
when: {local: "2026-11-25 09:30"}
method: content
translations: {default: require, BR: fallback}
"""
EN = """\
---
title: Spring is here
summary: New colours for all bags.
---
# What is new

All bags come in [six colours](https://shop.example.com/bags?size=m#top) now.

![Six bags in a row](bags.png)
"""
DE = """\
---
title: Der Frühling ist da
summary: Neue Farben für alle Taschen.
---
Alle Taschen gibt es jetzt in [sechs Farben](https://shop.example.com/de/taschen).
"""
AR = """\
---
title: الربيع هنا
summary: ألوان جديدة
---
كل الحقائب
"""
SITE = """\
code: site
name: News
kind: site
base_url: https://news.example.com/
folder: published/site
publisher: Example Ltd
"""
TOOTS = """\
code: toots
name: Toots
kind: mastodon
connection: mastodon_main
"""
MAIL = """\
code: letters
name: Letters
kind: smtp
connection: smtp_letters
sender: News <news@example.com>
unsubscribe_url: https://news.example.com/unsubscribe
postal_address: Teapots Ltd, London
"""

MARKETS = {
    "DE": KnownMarket("Europe/Berlin", (("de-DE", "de", "en"),)),
    "BR": KnownMarket("America/Sao_Paulo", (("pt-BR", "pt", "en"),)),
    "AE": KnownMarket("Asia/Dubai", (("ar-AE", "ar", "en"), ("en-AE", "en"))),
    "US": KnownMarket("America/New_York", (("en-US", "en"), ("es-US", "es", "en"))),
}
SETTINGS = ReleaseSettings(own_hosts=("example.com",))


def png(width: int = 3, height: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x10\x80\x40" * width for _ in range(height))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write_releases(config: Path) -> Path:
    """The release `spring`, and three outlets; returns its folder."""
    folder = config / "releases" / "spring"
    folder.mkdir(parents=True)
    (config / "outlets").mkdir()
    for name, text in (("site", SITE), ("toots", TOOTS), ("letters", MAIL)):
        (config / "outlets" / f"{name}.yml").write_text(text, encoding="utf-8")
    for name, text in (("release.yml", RELEASE), ("en.md", EN), ("de.md", DE), ("ar.md", AR)):
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "bags.png").write_bytes(png())
    return folder


def known(config: Path) -> Known:
    outlets, faults = load_outlets(config, MARKETS)
    assert [str(fault) for fault in faults] == []
    return known_of(outlets)


def known_of(outlets: dict[str, OutletAccount]) -> Known:
    return Known(MARKETS, {"content", "email"}, {"marketing_email", "service_message"}, outlets, {*outlets, "broken"})


def release_of(config: Path, name: str = "spring") -> Release:
    """The release, which has to be sound."""
    releases, faults = load_releases(config, known(config), SETTINGS)
    assert [str(fault) for fault in faults] == []
    return releases[name]


def revision_of(config: Path, settings: ReleaseSettings = SETTINGS) -> Revision:
    return Revision(release_of(config), known(config), settings, templates={"page": "1"}, published_at={})
