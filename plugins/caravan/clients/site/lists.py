"""Whatever lists pages, made anew from the manifests that are really there.

Why two workers at once end in the same files: each puts its page before it rebuilds. A rebuild lists the store, writes,
and lists the manifests again, until nothing has changed in between. So whoever writes a list last has looked after
writing and found nothing new, and every page put later has a rebuild of its own to come. A put replaces only the
version that was listed, so a slow worker is refused, and begins again, instead of writing old lists over new ones.
A worker that dies on the way leaves pages that are listed by whoever comes next.
"""

from __future__ import annotations

import json
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from caravan.clients.site.feeds import Feed, write_atom, write_json, write_rss
from caravan.clients.site.manifest import FILE, Entry, entry_of, folder_of, read_entry
from caravan.clients.site.page import Site, render_index
from caravan.clients.site.sitemaps import write_news, write_sitemaps
from caravan.clients.site.store import Conflict, Store
from caravan.core.errors import Retryable

log = logging.getLogger(__name__)

ROUNDS = 50
"""Each is begun only because another worker has published meanwhile."""
CATALOGUE = "catalogue.json"
WITHDRAWN = "withdrawn.txt"
_MANIFEST = re.compile(rf"[^/]+/[^/]+/{re.escape(FILE)}")
_NUMBERED = re.compile(r"sitemap-\d+\.xml|([^/]+)/page-\d+\.html")
"""Lists of which there may be fewer than before. All others are there for as long as a manifest of their locale is."""
_TYPES = {
    "html": "text/html; charset=utf-8",
    "rss": "application/rss+xml; charset=utf-8",
    "atom": "application/atom+xml; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "xml": "application/xml; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Published:
    """What a rebuild found and did. `unreadable`: manifests that are none, whose pages are in no list."""

    pages: int
    withdrawn: int
    written: tuple[str, ...]
    removed: tuple[str, ...]
    unreadable: tuple[str, ...]


def publish_lists(site: Site, store: Store, clock: Callable[[], datetime]) -> Published:
    """Raises Retryable when other workers never let it finish, and what the store raises."""
    written: dict[str, None] = {}
    removed: dict[str, None] = {}
    for _ in range(ROUNDS):
        there = store.list()
        manifests = _manifests(there)
        entries, unreadable = _read(store, there, manifests)
        wanted = build(site, list(entries.values()), clock())
        wanted[CATALOGUE] = _write_catalogue(manifests, entries)
        try:
            for path, content in wanted.items():
                if store.put(path, content, content_type(path), there.get(path)):
                    written[path] = None
            for path in _superfluous(there, wanted, {entry.locale for entry in entries.values()}):
                store.delete(path)
                removed[path] = None
        except Conflict:
            continue
        if _manifests(store.list()) == manifests:
            gone = sum(entry.is_withdrawn for entry in entries.values())
            return Published(len(entries) - gone, gone, tuple(written), tuple(removed), tuple(unreadable))
    raise Retryable(f"{store.name}: other workers published {ROUNDS} times while its lists were made; try again")


def build(site: Site, entries: Sequence[Entry], now: datetime) -> dict[str, bytes]:
    """Every list by its path. The same entries make the same bytes, in whatever order they come."""
    ordered = sorted(entries, key=lambda entry: (entry.published_at, entry.release_id, entry.locale), reverse=True)
    shown = [entry for entry in ordered if not entry.is_withdrawn]
    by_locale: dict[str, list[Entry]] = defaultdict(list)
    for entry in ordered:
        by_locale[entry.locale].append(entry)
    files: dict[str, bytes] = {}
    for locale, own in sorted(by_locale.items()):
        published = [entry for entry in own if not entry.is_withdrawn]
        files |= _feeds(Feed(site, locale, published, max(entry.updated_at for entry in own)))
        files |= {path: text.encode() for path, text in render_index(site, locale, own[0].direction, published)}
    if ordered:
        files |= _feeds(Feed(site, "", shown, max(entry.updated_at for entry in ordered)))
    files |= write_sitemaps(site, shown)
    files["news-sitemap.xml"] = write_news(site, shown, now)
    gone = sorted(f"/{folder_of(entry.locale, entry.release_id)}/\n" for entry in ordered if entry.is_withdrawn)
    files[WITHDRAWN] = "".join(gone).encode()
    if site.indexnow_key:
        files[f"{site.indexnow_key}.txt"] = site.indexnow_key.encode()
    return files


def content_type(path: str) -> str:
    return _TYPES[path.rpartition(".")[2]]


def _feeds(feed: Feed) -> dict[str, bytes]:
    folder = f"{feed.folder}/" if feed.folder else ""
    return {
        f"{folder}feed.rss": write_rss(feed),
        f"{folder}feed.atom": write_atom(feed),
        f"{folder}feed.json": write_json(feed),
    }


def _manifests(there: Mapping[str, str]) -> dict[str, str]:
    return {path: version for path, version in sorted(there.items()) if _MANIFEST.fullmatch(path)}


def _superfluous(there: Mapping[str, str], wanted: Mapping[str, bytes], locales: set[str]) -> list[str]:
    """Only what is surely ours: others may keep files in the same place."""
    numbered = {path: match for path in there if (match := _NUMBERED.fullmatch(path)) and path not in wanted}
    return sorted(path for path, match in numbered.items() if match[1] is None or match[1] in locales)


def _read(store: Store, there: Mapping[str, str], manifests: Mapping[str, str]) -> tuple[dict[str, Entry], list[str]]:
    """Entries by path; only what changed since the last catalogue is read, for a bucket answers one file at a time."""
    known = _read_catalogue(store.get(CATALOGUE)) if CATALOGUE in there else {}
    entries: dict[str, Entry] = {}
    unreadable = []
    for path, version in manifests.items():
        entry = known.get((path, version))
        if entry is None:
            content = store.get(path)
            if content is None:
                continue  # deleted meanwhile: the second look sees it
            try:
                entry = read_entry(content)
                if path != f"{entry.folder}/{FILE}":
                    raise ValueError("is of another page")
            except ValueError as error:
                log.warning("%s: %s %s; its page is in no list", store.name, path, error)
                unreadable.append(path)
                continue
        entries[path] = entry
    return entries, unreadable


def _write_catalogue(manifests: Mapping[str, str], entries: Mapping[str, Entry]) -> bytes:
    known = {path: [manifests[path], entry.to_dict()] for path, entry in entries.items()}
    return json.dumps(known, ensure_ascii=False, sort_keys=True).encode()


def _read_catalogue(content: bytes | None) -> dict[tuple[str, str], Entry]:
    """A copy by version, so it is never wrong; a broken one is as none."""
    try:
        found = json.loads(content or b"{}")
        return {(path, version): entry_of(entry) for path, (version, entry) in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
