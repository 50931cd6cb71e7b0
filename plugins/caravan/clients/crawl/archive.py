"""The last complete crawl of the same configuration: what its pages and sitemaps said. It stands tonight for those
that are as they were, and for those that fail to answer.

A part of the last crawl holds all rows of its pages, and a crawl asks in the order that the last one did: a few parts
at a time are looked into, and only an index of keys is kept, 12 bytes for each page.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caravan.clients.crawl.origins import DEPTH, TRAP
from caravan.clients.crawl.parts import SCHEMAS, part_numbers, read_part
from caravan.core.crawl import TEMPORARY_REDIRECTS, UNREAD, Answer, Outcome

CARRIED = tuple(
    name
    for name, schema in SCHEMAS.items()
    if "page_key" in schema.names and name not in ("sitemap_url", "seed")  # which are of no page
)
_OF_SITEMAPS = ("sitemap_url", "hreflang")
_PARTS_KEPT = 6
_KNOWN = (
    *("page_key", "kind", "outcome", "status_code", "kept_status_code", "reason", "is_truncated", "robots_http"),
    *("etag", "last_modified"),
)
_TEMPORARY = pa.array(sorted(TEMPORARY_REDIRECTS), SCHEMAS["page"].field("status_code").type)
_Cached = TypeVar("_Cached")
_Columns = dict[str, "list[Any] | pa.ChunkedArray"]


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


class Kept(NamedTuple):
    """A page that could not be read tonight, and what came of it. `answer`: None where it was not asked for."""

    key: int
    url: str
    depth: int
    outcome: Outcome
    reason: str | None
    answer: Answer | None
    attempt_count: int


class _Known(NamedTuple):
    """Of the pages of a part: validators of those that can be asked for on condition, and which were read, then or
    before."""

    validators: Mapping[int, Validators]
    read: frozenset[int]


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
        self._known: OrderedDict[int, _Known] = OrderedDict()
        self._tables: OrderedDict[int, Mapping[str, pa.Table]] = OrderedDict()

    def validators(self, keys: Sequence[int]) -> dict[int, Validators]:
        """Of those whose page was whole and can be asked for on condition. Not of those with X-Robots-Tag: it comes and
        goes while validators stay, and a 304 need not have it, so it would not say that the tag is gone."""
        found: dict[int, Validators] = {}
        for part, of_part in self._by_part(keys).items():
            known = self._known_of(part).validators
            found.update((key, known[key]) for key in of_part if key in known)
        return found

    def was_read(self, key: int) -> bool:
        """Whether it is known what the page says, or where it redirects: so can stand for it while it fails."""
        return any(key in self._known_of(part).read for part in self._by_part([key]))

    def addresses(self) -> Iterator[tuple[int, str]]:
        """Key and address of the site's pages that answered well, or did before they failed. Not of those that were
        left out as too many or too deep: they would be so each night, expected by one more crawl, and seen by none."""
        columns = ["page_key", "url", "kind", "outcome", "reason", "status_code", "kept_status_code"]
        for number in part_numbers(self.folder, "page"):
            page = read_part(self.folder, "page", number, columns)
            answered = pc.is_in(page["outcome"], pa.array(["fetched", "not_modified"]))
            well = pc.and_kleene(answered, pc.less(page["status_code"], 400))
            is_left_out = pc.is_in(page["reason"], pa.array([TRAP, DEPTH]))
            failed = pc.and_kleene(pc.is_valid(page["kept_status_code"]), pc.invert(is_left_out))
            is_page = pc.equal(page["kind"], "page")
            page = page.filter(pc.and_kleene(is_page, pc.or_kleene(well, failed)))
            yield from zip(page["page_key"].to_pylist(), page["url"].to_pylist(), strict=True)

    def is_away(self, folder: Path) -> bool:
        """Whether the crawl in `folder` met the site while it was elsewhere for a while, as under maintenance: of the
        pages that answered 200 more than half redirect temporarily, two or more to one place on average.

        A move page by page is no absence, though it is redirected with 302: it would be one each night, and no crawl
        complete any more. Counted in what is on disk, the same however often the crawl was killed.
        """
        asked, sent = [np.empty(0, dtype=np.int64)], {}
        for number in part_numbers(folder, "page"):
            page = read_part(folder, "page", number, ["page_key", "requested_at", "status_code", "location_url"])
            page = page.filter(pc.is_valid(page["requested_at"]))
            asked.append(page["page_key"].to_numpy())
            page = page.filter(pc.is_in(page["status_code"], _TEMPORARY))
            for key, url in zip(page["page_key"].to_pylist(), page["location_url"].to_pylist(), strict=True):
                if url is not None:
                    sent[key] = url.partition("?")[0]
        if not sent:
            return False
        was_there = np.intersect1d(self._answered_well(), np.concatenate(asked))
        places = [sent[key] for key in was_there.tolist() if key in sent]
        return 2 * len(places) > len(was_there) and 2 * len(set(places)) <= len(places)

    def carry(self, unchanged: Sequence[Unchanged], kept: Sequence[Kept] = ()) -> dict[str, pa.Table]:
        """All rows of these pages, with what was measured tonight. `unchanged`: those that had validators. `kept`:
        those that were read."""
        pieces: dict[str, list[pa.Table]] = {name: [] for name in CARRIED}
        keys = [*(each.key for each in unchanged), *(each.key for each in kept)]
        for part, of_part in self._by_part(keys).items():
            wanted = pa.array(of_part, pa.int64())
            for name, table in self._tables_of(part).items():
                found = table.filter(pc.is_in(table["page_key"], wanted))
                if found.num_rows:
                    pieces[name].append(found)
        tables = {name: pa.concat_tables(of_name) for name, of_name in pieces.items() if of_name}
        if "page" in tables:
            page = tables["page"]
            as_it_was = _unchanged_rows(page, {each.key: each for each in unchanged})
            tables["page"] = pa.concat_tables([as_it_was, _kept_rows(page, {each.key: each for each in kept})])
        return tables

    def sitemap(self, url: str) -> KnownSitemap | None:
        """None for what has to be read again: an index, too, for what it names is in no table of its own."""
        return self._sitemaps.get(url)

    def has_sitemap(self, url: str) -> bool:
        """Whether it is known what it lists, or names."""
        return url in self._parts_of_sitemaps or url in self._sitemap_children

    def sitemaps_named_by(self, url: str) -> list[str]:
        """By an index, as it was last read, in the order of their addresses."""
        return self._sitemap_children.get(url, [])

    def sitemap_rows(self, url: str) -> Iterator[dict[str, pa.Table]]:
        """What a sitemap says, as it was written down: part by part, rows of `sitemap_url` and of `hreflang`."""
        for number in self._parts_of_sitemaps.get(url, ()):
            parts = {name: read_part(self.folder, name, number) for name in _OF_SITEMAPS}
            yield {name: part.filter(pc.equal(part["sitemap_url"], url)) for name, part in parts.items()}

    def _answered_well(self) -> np.ndarray:
        """Keys of the pages that answered 200, or did before they failed."""
        found = [np.empty(0, dtype=np.int64)]
        for number in part_numbers(self.folder, "page"):
            page = read_part(self.folder, "page", number, ["page_key", "kind", "status_code", "kept_status_code"])
            is_well = pc.equal(pc.coalesce(page["kept_status_code"], page["status_code"]), 200)
            found.append(page.filter(pc.and_kleene(is_well, pc.equal(page["kind"], "page")))["page_key"].to_numpy())
        return np.concatenate(found)

    @cached_property
    def _sitemaps(self) -> Mapping[str, KnownSitemap]:
        return {
            row["url"]: KnownSitemap(row["kind"], row["byte_count"], row["url_count"], validators)
            for row in self._rows_of_sitemaps
            if row["outcome"] in ("fetched", "not_modified") and row["status_code"] == 200
            if row["kind"] in ("urlset", "text") and row["reason"] is None
            if any(validators := Validators(row["etag"], row["last_modified"]))
        }

    @cached_property
    def _sitemap_children(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for row in sorted(self._rows_of_sitemaps, key=lambda row: str(row["url"])):
            if row["parent_url"] is not None:
                found.setdefault(row["parent_url"], []).append(row["url"])
        return found

    @cached_property
    def _rows_of_sitemaps(self) -> list[dict[str, Any]]:
        parts = [read_part(self.folder, "sitemap", number) for number in part_numbers(self.folder, "sitemap")]
        return [row for part in parts for row in part.to_pylist()]

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

    def _known_of(self, part: int) -> _Known:
        if part in self._known:
            self._known.move_to_end(part)
            return self._known[part]
        page = read_part(self.folder, "page", part, _KNOWN)
        validators, read = {}, set()
        for key, kind, outcome, status, kept_status, reason, is_cut, robots, etag, last_modified in zip(
            *(page[name].to_pylist() for name in _KNOWN), strict=True
        ):
            if kind != "page":
                continue  # it was asked for by HEAD, and may be linked to by now
            is_answer = outcome in ("fetched", "not_modified") and kept_status is None
            if is_answer and status == 200 and not (reason or is_cut or robots) and (etag or last_modified):
                validators[key] = Validators(etag, last_modified)
            if kept_status is not None or (is_answer and 200 <= status < 400 and reason not in UNREAD):
                read.add(key)
        return _cached(self._known, part, _Known(validators, frozenset(read)))

    def _tables_of(self, part: int) -> Mapping[str, pa.Table]:
        if part in self._tables:
            self._tables.move_to_end(part)
            return self._tables[part]
        return _cached(self._tables, part, {name: read_part(self.folder, name, part) for name in CARRIED})


def _cached(cache: OrderedDict[int, _Cached], part: int, value: _Cached) -> _Cached:
    cache[part] = value
    if len(cache) > _PARTS_KEPT:
        cache.popitem(last=False)
    return value


def _unchanged_rows(page: pa.Table, unchanged: Mapping[int, Unchanged]) -> pa.Table:
    """The page's facts are those of the answer that it gave last; when it was asked, and how long that took, is new."""
    page = page.filter(pc.is_in(page["page_key"], pa.array(unchanged, pa.int64())))
    of_rows = [unchanged[key] for key in page["page_key"].to_pylist()]
    answers = [each.answer for each in of_rows]
    values: _Columns = {
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
    page = _with(page, values)
    # A server may give a validator anew, even to what it says is the same.
    for name in ("etag", "last-modified"):
        given = pa.array([answer.header(name) for answer in answers], pa.string())
        at = page.schema.get_field_index(name.replace("-", "_"))
        page = page.set_column(at, page.schema.field(at), pc.coalesce(given, page.column(at)))
    return page


def _kept_rows(page: pa.Table, kept: Mapping[int, Kept]) -> pa.Table:
    """The page's facts are those of the answer that was read last; what came of it tonight is new."""
    page = page.filter(pc.is_in(page["page_key"], pa.array(kept, pa.int64())))
    of_rows = [kept[key] for key in page["page_key"].to_pylist()]
    answers = [each.answer for each in of_rows]
    values: _Columns = {
        "kept_status_code": pc.coalesce(page["kept_status_code"], page["status_code"]),
        "depth": [each.depth for each in of_rows],
        "outcome": [each.outcome for each in of_rows],
        "reason": [each.reason for each in of_rows],
        "url": [each.url for each in of_rows],
        "requested_at": [answer and answer.requested_at for answer in answers],
        "attempt_count": [each.attempt_count for each in of_rows],
        "status_code": [answer and answer.status_code for answer in answers],
        "ttfb_ms": [None] * len(of_rows),
        "total_ms": [answer and answer.total_ms for answer in answers],
        "wire_bytes": [answer and answer.wire_bytes for answer in answers],
        "content_encoding": [answer and answer.header("content-encoding") for answer in answers],
    }
    return _with(page, values)


def _with(page: pa.Table, values: _Columns) -> pa.Table:
    for name, column in values.items():
        field = page.schema.field(name)
        is_made = isinstance(column, pa.ChunkedArray)
        made = column if is_made else pa.array(column, field.type)
        page = page.set_column(page.schema.get_field_index(name), field, made)
    return page
