"""Puts a sitemap where a web server serves it from. Putting it again changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from caravan.clients.site.sitemaps import MOST_BYTES, MOST_URLS, Listed, sitemap_files
from caravan.clients.site.store import Store, put_now
from caravan.core.errors import Rejected

_TYPE = "application/xml; charset=utf-8"


def put_sitemap(
    store: Store, url: str, listed: Iterable[Listed], most_urls: int = MOST_URLS, most_bytes: int = MOST_BYTES
) -> int:
    """How many pages it lists. Each of its files is there whole; an index follows the parts that it names, and what
    only the one before named goes after it.

    Raises as `Store.put`, and Rejected where there is nothing to list: a site that hides all of its pages is a mistake.
    """
    base, _, name = url.rpartition("/")
    before = _parts_named(store.get(name), f"{base}/{name.removesuffix('.xml')}")
    count = 0

    def counted() -> Iterator[Listed]:
        nonlocal count
        for each in listed:
            count += 1
            yield each

    names = set()
    for part, content in sitemap_files(url, counted(), most_urls, most_bytes):
        if not count:
            raise Rejected("NOTHING_TO_LIST", f"no page that may be indexed for {url}: what is there stays")
        put_now(store, part, content, _TYPE)
        names.add(part)
    for part in sorted(set(before) - names):
        store.delete(part)
    return count


def _parts_named(index: bytes | None, stem: str) -> list[str]:
    """Only of parts as they are named here: others may keep files in the same place."""
    found = re.findall(rb"<loc>" + re.escape(stem.encode()) + rb"(-\d{1,6}\.xml)</loc>", index or b"")
    return [f"{stem.rpartition('/')[2]}{each.decode()}" for each in found]
