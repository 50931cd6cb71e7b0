"""The last complete crawl of the same configuration: what its pages and sitemaps said, where they are as they were.

A part of the last crawl holds all rows of its pages, and a crawl asks in the order that the last one did: a few parts
at a time are looked into, and only an index of keys is kept, 12 bytes for each page.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caravan.clients.crawl.parts import SCHEMAS, part_numbers, read_part
from caravan.core.crawl import Answer

CARRIED = tuple(
    name
    for name, schema in SCHEMAS.items()
    if "page_key" in schema.names and name not in ("sitemap_url", "seed")  # which are of no page
)
_OF_SITEMAPS = ("sitemap_url", "hreflang")
_PARTS_KEPT = 6
_VALIDATORS = ("page_key", "outcome", "status_code", "reason", "is_truncated", "robots_http", "etag", "last_modified")
_Kept = TypeVar("_Kept")


class Validators(NamedTuple):
    etag: str | None
    last_modified: str | None


NO_VALIDATORS = Validators(None, None)


class KnownSitemap(NamedTuple):
    """One that was read whole, and without a fault."""

    kind: str
    byte_count: int
    url_count: int
    validators: Validators


class Unchanged(NamedTuple):
    """A page that answered 304. `kind`, `depth`: of tonight."""

    key: int
    kind: str
    depth: int
    answer: Answer


class Archive:
    """For one thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        keys, parts = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int32)]
        for number in part_numbers(folder, "page"):
            of_part = read_part(folder, "page", number, ["page_key"])["page_key"].to_numpy()
            keys.append(of_part)
            parts.append(np.full(len(of_part), number, dtype=np.int32))
        all_keys = np.concatenate(keys)
        order = np.argsort(all_keys, kind="stable")
        self._keys, self._parts = all_keys[order], np.concatenate(parts)[order]
        self._validators: OrderedDict[int, Mapping[int, Validators]] = OrderedDict()
        self._tables: OrderedDict[int, Mapping[str, pa.Table]] = OrderedDict()

    def validators(self, keys: Sequence[int]) -> dict[int, Validators]:
        """Of those whose page was whole and can be asked for on condition. Not of those with X-Robots-Tag: it comes and
        goes while validators stay, and a 304 need not have it, so it would not say that the tag is gone."""
        found: dict[int, Validators] = {}
        for part, of_part in self._by_part(keys).items():
            known = self._validators_of(part)
            found.update((key, known[key]) for key in of_part if key in known)
        return found

    def addresses(self) -> Iterator[tuple[int, str]]:
        """Key and address of the site's pages that answered well."""
        for number in part_numbers(self.folder, "page"):
            page = read_part(self.folder, "page", number, ["page_key", "url", "kind", "outcome", "status_code"])
            answered = pc.is_in(page["outcome"], pa.array(["fetched", "not_modified"]))
            well = pc.and_kleene(pc.less(page["status_code"], 400), pc.equal(page["kind"], "page"))
            page = page.filter(pc.and_kleene(answered, well))
            yield from zip(page["page_key"].to_pylist(), page["url"].to_pylist(), strict=True)

    def carry(self, unchanged: Sequence[Unchanged]) -> dict[str, pa.Table]:
        """All rows of these pages, with what was measured tonight. They are those that had validators."""
        pieces: dict[str, list[pa.Table]] = {name: [] for name in CARRIED}
        for part, of_part in self._by_part([each.key for each in unchanged]).items():
            wanted = pa.array(of_part, pa.int64())
            for name, table in self._tables_of(part).items():
                kept = table.filter(pc.is_in(table["page_key"], wanted))
                if kept.num_rows:
                    pieces[name].append(kept)
        tables = {name: pa.concat_tables(found) for name, found in pieces.items() if found}
        if unchanged:
            tables["page"] = _tonight(tables["page"], {each.key: each for each in unchanged})
        return tables

    def sitemap(self, url: str) -> KnownSitemap | None:
        """None for what has to be read again: an index, too, for what it names is in no table of its own."""
        return self._sitemaps.get(url)

    def sitemap_rows(self, url: str) -> Iterator[dict[str, pa.Table]]:
        """What a sitemap says, as it was written down: part by part, rows of `sitemap_url` and of `hreflang`."""
        for number in self._parts_of_sitemaps.get(url, ()):
            parts = {name: read_part(self.folder, name, number) for name in _OF_SITEMAPS}
            yield {name: part.filter(pc.equal(part["sitemap_url"], url)) for name, part in parts.items()}

    @cached_property
    def _sitemaps(self) -> Mapping[str, KnownSitemap]:
        rows = [row for number in part_numbers(self.folder, "sitemap") for row in self._sitemap_rows_of(number)]
        return {
            row["url"]: KnownSitemap(row["kind"], row["byte_count"], row["url_count"], validators)
            for row in rows
            if row["outcome"] in ("fetched", "not_modified") and row["status_code"] == 200
            if row["kind"] in ("urlset", "text") and row["reason"] is None
            if any(validators := Validators(row["etag"], row["last_modified"]))
        }

    def _sitemap_rows_of(self, number: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read_part(self.folder, "sitemap", number).to_pylist()
        return found

    @cached_property
    def _parts_of_sitemaps(self) -> Mapping[str, Sequence[int]]:
        """Looked up once: a site may have thousands of sitemaps."""
        found: dict[str, set[int]] = {}
        for name in _OF_SITEMAPS:
            for number in part_numbers(self.folder, name):
                for url in read_part(self.folder, name, number, ["sitemap_url"])["sitemap_url"].unique().to_pylist():
                    found.setdefault(url, set()).add(number)
        return {url: sorted(numbers) for url, numbers in found.items()}

    def _by_part(self, keys: Sequence[int]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        if not len(self._keys):
            return found
        places = np.searchsorted(self._keys, np.array(keys, dtype=np.int64))
        for key, place in zip(keys, places.tolist(), strict=True):
            if place < len(self._keys) and self._keys[place] == key:
                found.setdefault(int(self._parts[place]), []).append(key)
        return found

    def _validators_of(self, part: int) -> Mapping[int, Validators]:
        if part in self._validators:
            self._validators.move_to_end(part)
            return self._validators[part]
        page = read_part(self.folder, "page", part, _VALIDATORS)
        columns = [page[name].to_pylist() for name in _VALIDATORS]
        found = {
            key: Validators(etag, last_modified)
            for key, outcome, status, reason, is_cut, robots, etag, last_modified in zip(*columns, strict=True)
            if outcome in ("fetched", "not_modified") and status == 200 and not (reason or is_cut or robots)
            if etag or last_modified
        }
        return _keep(self._validators, part, found)

    def _tables_of(self, part: int) -> Mapping[str, pa.Table]:
        if part in self._tables:
            self._tables.move_to_end(part)
            return self._tables[part]
        return _keep(self._tables, part, {name: read_part(self.folder, name, part) for name in CARRIED})


def _keep(cache: OrderedDict[int, _Kept], part: int, value: _Kept) -> _Kept:
    cache[part] = value
    if len(cache) > _PARTS_KEPT:
        cache.popitem(last=False)
    return value


def _tonight(page: pa.Table, unchanged: Mapping[int, Unchanged]) -> pa.Table:
    """The page's facts are those of the answer that it gave last; when it was asked, and how long that took, is new."""
    of_rows = [unchanged[key] for key in page["page_key"].to_pylist()]
    answers = [each.answer for each in of_rows]
    values: dict[str, list[str] | list[int] | list[int | None] | list[datetime]] = {
        "kind": [each.kind for each in of_rows],
        "depth": [each.depth for each in of_rows],
        "outcome": ["not_modified"] * len(of_rows),
        "url": [answer.ask.url for answer in answers],
        "requested_at": [answer.requested_at for answer in answers],
        "attempt_count": [answer.attempt_count for answer in answers],
        "ttfb_ms": [answer.ttfb_ms for answer in answers],
        "total_ms": [answer.total_ms for answer in answers],
        "wire_bytes": [answer.wire_bytes for answer in answers],
    }
    for name, column in values.items():
        at = page.schema.get_field_index(name)
        page = page.set_column(at, page.schema.field(at), pa.array(column, page.schema.field(at).type))
    # A server may give a validator anew, even to what it says is the same.
    for name in ("etag", "last-modified"):
        given = pa.array([answer.header(name) for answer in answers], pa.string())
        at = page.schema.get_field_index(name.replace("-", "_"))
        page = page.set_column(at, page.schema.field(at), pc.coalesce(given, page.column(at)))
    return page
