"""Releases for tests of the own site."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from caravan.clients.site.manifest import Entry, entry_of, page_url
from caravan.clients.site.outlet import SiteOutlet
from caravan.clients.site.page import Site
from caravan.clients.site.store import FolderStore
from caravan.core.outbox import Intention, Key, Message
from caravan.core.release import Content, Image

NOW = datetime(2026, 11, 22, 12)
SITE = Site("https://news.example.com/press", "Example & Sons", {"JP": "Asia/Tokyo"})
LOCALES = ("de-DE", "en-GB")


def content(locale: str = "de-DE", release_id: str = "r-1", revision: int = 1, **given: Any) -> Content:
    alternates = {tag: page_url(SITE.base_url, tag, release_id) for tag in LOCALES}
    usual = Content(
        release_id=release_id,
        revision=revision,
        kind="news",
        market_code=locale[-2:],
        locale=locale,
        title="Größer & schöner",
        summary="Was sich für unsere Kunden zum Winter ändert.",
        html='<h2>Neu</h2><p>Jetzt 1.299,00 € statt <a href="https://shop.example.com/x?a=1&amp;b=2">mehr</a></p>',
        text="Neu. Jetzt 1.299,00 €.",
        published_at=NOW - timedelta(hours=3),
        updated_at=NOW - timedelta(hours=3) + timedelta(hours=revision - 1),
        content_hash=hashlib.sha256(f"{release_id} {revision}".encode()).hexdigest(),
        alternates={**alternates, "x-default": alternates["en-GB"]},
        tags=("winter",),
    )
    return replace(usual, **given)


def picture(folder: Path, name: str = "shelf", size: int = 1000, alt: str = "Ein Regal") -> Image:
    data = name.encode() * (size // len(name))
    digest = hashlib.sha256(data).hexdigest()
    hashed = f"{name}-{digest[:12]}.png"
    path = folder / hashed
    path.write_bytes(data)
    return Image(str(path), hashed, "image/png", alt, 640, 480, digest)


def outlet(store: Any, now: datetime = NOW, site: Site = SITE) -> SiteOutlet:
    return SiteOutlet("site_own", site, store, lambda: now)


def entry(locale: str = "de-DE", release_id: str = "r-1", revision: int = 1, **given: Any) -> Entry:
    """As the outlet writes it of such content."""
    made = outlet(FolderStore(Path("nowhere"))).render(content(locale, release_id, revision))
    return replace(entry_of(made["entry"]), **given)


def message(of: Content, action: str = "publish", **given: Any) -> Message:
    usual = Intention(
        key=Key("release", of.release_id, of.revision, "site_own", f"{of.locale}/{of.release_id}"),
        planned_for=NOW,
        not_after=NOW + timedelta(hours=1),
        content_hash=of.content_hash,
        payload={"action": action},
    )
    return Message(replace(usual, **given), "handed_over", 1, NOW)
