"""What a crawl has read and not yet committed: rows of all tables, and what the frontier is to be told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from caravan.clients.crawl.archive import Archive, Kept, Unchanged
from caravan.clients.crawl.frontier import Address, Seed
from caravan.clients.crawl.parts import as_table
from caravan.clients.crawl.tables import PAGE
from caravan.core.crawl import KINDS, Answer, Extracted, Kind, Outcome, Rows
from caravan.core.urls import host_of, origin_of

_AT = {name: place for place, name in enumerate(PAGE)}
_RANK = {kind: rank for rank, kind in enumerate(KINDS)}


def page_row(**values: object) -> tuple[object, ...]:
    """Of the table `page`; what is not given is NULL."""
    row: list[object] = [None] * len(PAGE)
    for name, value in values.items():
        row[_AT[name]] = value
    return tuple(row)


class Batch:
    """Of one generation. A page that could not be read tonight stands in it as it was last read, where `archive` has
    that."""

    def __init__(self, archive: Archive | None = None) -> None:
        self.archive = archive
        self.rows: Rows = defaultdict(list)
        self.row_count = 0
        self.done: list[tuple[int, Outcome]] = []
        self.unchanged: list[Unchanged] = []
        self.kept: list[Kept] = []
        self.patterns: Counter[int] = Counter()
        self.skipped: Counter[str] = Counter()
        self.asked_count = 0
        self.well_count = 0
        """Pages of the site that answered 200, or are as they were."""
        self.wire_bytes = 0

    def __bool__(self) -> bool:
        return bool(self.done or self.row_count)

    def add(self, table: str, row: tuple[object, ...]) -> None:
        self.rows[table].append(row)
        self.row_count += 1

    def add_read(self, address: Address, answer: Answer, extracted: Extracted, attempts: int) -> None:
        """An address that was answered, and where it leads."""
        if not extracted.is_read and self.is_known(address):
            reason = extracted.rows["page"][0][_AT["reason"]]
            self._keep(address, "fetched", None if reason is None else str(reason), answer, attempts)
            self._count(address, "fetched", answer)
            return
        for table, rows in extracted.rows.items():
            if table != "page":
                self.rows[table] += rows
                self.row_count += len(rows)
        row = list(extracted.rows["page"][0])
        row[_AT["kind"]], row[_AT["depth"]] = address.kind, address.depth
        row[_AT["outcome"]] = "fetched"
        row[_AT["attempt_count"]] = attempts
        self.add("page", tuple(row))
        found = self.rows["found"]
        found += [(address.key, each.key, each.url, each.kind) for each in extracted.found]
        self.row_count += len(extracted.found)
        self._count(address, "fetched", answer)

    def add_unchanged(self, address: Address, answer: Answer) -> None:
        self.unchanged.append(Unchanged(address.key, address.kind, address.depth, answer))
        self._count(address, "not_modified", answer)

    def add_failed(self, address: Address, outcome: Outcome, reason: str, answer: Answer, attempts: int) -> None:
        """One without an answer that could be read."""
        self._add_unread(address, outcome, reason, answer, attempts)
        self._count(address, outcome, answer)

    def add_unasked(self, address: Address, outcome: Outcome, reason: str) -> None:
        self._add_unread(address, outcome, reason, None, 0)
        self.done.append((address.key, outcome))
        if outcome == "skipped":
            self.skipped[reason] += 1

    def tables(self) -> dict[str, pa.Table]:
        """All rows, those of the last crawl included; of a page together, the pages in the order of their keys."""
        tables = {name: as_table(name, rows) for name, rows in self.rows.items() if rows}
        if self.archive is not None and (self.unchanged or self.kept):
            for name, carried in self.archive.carry(self.unchanged, self.kept).items():
                tables[name] = pa.concat_tables([tables[name], carried]) if name in tables else carried
        return tables

    def _add_unread(
        self, address: Address, outcome: Outcome, reason: str, answer: Answer | None, attempts: int
    ) -> None:
        # What robots.txt forbids is known to be forbidden.
        if outcome != "blocked" and self.is_known(address):
            self._keep(address, outcome, reason, answer, attempts)
            return
        self.add(
            "page",
            page_row(
                page_key=address.key,
                url=address.url,
                host=host_of(address.url),
                kind=address.kind,
                depth=address.depth,
                outcome=outcome,
                reason=reason,
                requested_at=answer and answer.requested_at,
                attempt_count=attempts,
                status_code=answer and answer.status_code,
                total_ms=answer and answer.total_ms,
            ),
        )

    def is_known(self, address: Address) -> bool:
        """Whether it is a page that was read before."""
        return address.kind == "page" and self.archive is not None and self.archive.was_read(address.key)

    def _keep(
        self, address: Address, outcome: Outcome, reason: str | None, answer: Answer | None, attempts: int
    ) -> None:
        self.kept.append(Kept(address.key, address.url, address.depth, outcome, reason, answer, attempts))

    def _count(self, address: Address, outcome: Outcome, answer: Answer) -> None:
        self.asked_count += 1
        self.done.append((address.key, outcome))
        self.wire_bytes += answer.wire_bytes
        is_well = answer.status_code is not None and (200 <= answer.status_code < 300 or outcome == "not_modified")
        self.well_count += is_well and address.kind == "page"


def seeds_of(found: pa.Table | None, depth: int, kinds: Iterable[Kind]) -> list[Seed]:
    """Each address that pages lead to once, as the frontier takes it: of several spellings the least."""
    if found is None:
        return []
    least: dict[int, tuple[str, int]] = {}
    ranks = {_RANK[kind] for kind in kinds}
    columns: list[list[Any]] = [found[name].to_pylist() for name in ("target_key", "target_url", "kind")]
    for key, url, kind in zip(*columns, strict=True):
        rank = _RANK[kind]
        if rank not in ranks:
            continue
        known = least.get(key)
        if known is None:
            least[key] = url, rank
        elif url < known[0] or rank < known[1]:
            least[key] = min(url, known[0]), min(rank, known[1])
    return [Seed(key, url, KINDS[rank], depth, origin_of(url)) for key, (url, rank) in sorted(least.items())]
