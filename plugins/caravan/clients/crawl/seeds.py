"""Where a crawl begins: start addresses, sitemaps, and last what the last crawl saw and no link leads to any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from caravan.clients.crawl.archive import NO_VALIDATORS, Archive, KnownSitemap
from caravan.clients.crawl.crawl import Crawl
from caravan.clients.crawl.frontier import LAST_RUN, SITEMAP, Seed, Step
from caravan.clients.crawl.parts import as_table
from caravan.clients.crawl.sitemaps import Entry, Sitemap, read_w3c
from caravan.core.crawl import REDIRECTS, UNREAD, UNREAD_STATUSES, Answer
from caravan.core.urls import BadUrl, frontier_key, host_of, is_internal, key_of, origin_of, resolve, split_fragment

_ROWS_OF_PART = 50_000
_DEEPEST = 3
"""An index names sitemaps; some name indexes, which the protocol does not know."""
_MOST_SITEMAPS = 2_000
Declared = Literal["robots", "index", "config", "guess"]


class Stopped(Exception):
    """The crawl was stopped while it read sitemaps: they are read again when it goes on."""


@dataclass(frozen=True)
class _Named:
    url: str
    declared_in: Declared
    parents: tuple[str, ...] = ()


@dataclass
class _Seeding:
    """Rows are written as they come, part by part; the frontier commits all at the end."""

    crawl: Crawl
    start_urls: tuple[str, ...]
    sitemaps: tuple[str, ...]
    origins: tuple[str, ...]
    rows: dict[str, list[tuple[object, ...]]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)

    def seeds(self) -> Iterator[Seed]:
        for url in self.start_urls:
            yield self._seed(url, "start", 0)
        for named in self._first_sitemaps():
            yield from self._sitemap(named)
        self._write(0)

    def _seed(self, url: str, source: str, expected: int) -> Seed:
        key = key_of(frontier_key(url, self.crawl.work.scope))
        self._add("seed", (key, url, source))
        return Seed(key, url, "page", 0, origin_of(url), expected)

    def _first_sitemaps(self) -> Iterator[_Named]:
        """Of each origin of the site: those of its robots.txt, else a guess; and those of the configuration."""
        yield from (_Named(url, "config") for url in self.sitemaps)
        for origin in dict.fromkeys([*map(origin_of, self.start_urls), *self.origins]):
            known = self.crawl.origin(origin)
            if known.robots is None and known.closed is None:
                self._stop_if_told()
                self.crawl.learn_rules(known)
            if known.robots is None or known.closed:
                continue
            named = [url for url in map(self._absolute, known.robots.sitemaps) if url]
            yield from (_Named(url, "robots") for url in named)
            guess = f"{origin}/sitemap.xml"
            if not named and not self.sitemaps and known.allows(guess):
                yield _Named(guess, "guess")

    def _sitemap(self, named: _Named) -> Iterator[Seed]:
        """Its addresses, and those of all that it names."""
        key = self._key(named.url)
        if named.url in named.parents:
            self._add("sitemap", self._unread(named, key, "loop"))
            return
        if key in self.seen:
            return
        if len(named.parents) > _DEEPEST or len(self.seen) >= _MOST_SITEMAPS:
            reason = "too_deep" if len(named.parents) > _DEEPEST else "too_many_sitemaps"
            self._add("sitemap", self._unread(named, key, reason))
            return
        self.seen.add(key)
        origin = self.crawl.origin(origin_of(named.url))
        archive = self.crawl.work.archive
        if closed := self.crawl.closed(origin):
            self._add("sitemap", self._unread(named, key, closed))
            yield from self._kept(named, archive)
            return
        known = archive.sitemap(named.url) if archive is not None else None
        validators = known.validators if known is not None else NO_VALIDATORS
        answer = self.crawl.work.downloader.get(named.url, self.crawl.work.limits.sitemap_bytes, validators)
        if answer is None:
            raise Stopped
        if answer.status_code == 304 and archive is not None and known is not None:
            yield from self._carried(named, key, answer, archive, known)
            return
        sitemap = Sitemap(answer, self.crawl.work.limits.sitemap_bytes)
        if archive is not None and _fails(answer) and archive.has_sitemap(named.url):
            half = (answer.body_reason or "empty") if answer.status_code == 200 else None
            self._add("sitemap", self._row(named, key, answer, sitemap, half))
            yield from self._kept(named, archive)
            return
        children: list[_Named] = []
        if answer.status_code == 200:
            for position, entry in enumerate(sitemap):
                if sitemap.kind == "index":
                    children += self._named_by(named, entry)
                else:
                    yield from self._entry(named, position, entry)
        elif answer.status_code in REDIRECTS and (target := answer.header("location")):
            children += self._named_by(named, Entry(target))
        self._add("sitemap", self._row(named, key, answer, sitemap))
        for child in children:
            yield from self._sitemap(child)

    def _carried(
        self, named: _Named, key: int, answer: Answer, archive: Archive, known: KnownSitemap
    ) -> Iterator[Seed]:
        """The addresses of one that has not changed, with its rows as they were; when it was asked is new."""
        yield from self._listed_before(named, archive)
        parent = named.parents[-1] if named.parents else None
        told = (key, named.url, parent, named.declared_in, known.kind, "not_modified", None, answer.requested_at, 200)
        etag = answer.header("etag") or known.validators.etag
        modified = answer.header("last-modified") or known.validators.last_modified
        self._add("sitemap", (*told, known.byte_count, known.url_count, etag, modified))

    def _kept(self, named: _Named, archive: Archive | None) -> Iterator[Seed]:
        """The addresses of one that cannot be read tonight, as it was last read, and those of all that it named."""
        if archive is None:
            return
        yield from self._listed_before(named, archive)
        for url in archive.sitemaps_named_by(named.url):
            yield from self._sitemap(_Named(url, "index", (*named.parents, named.url)))

    def _listed_before(self, named: _Named, archive: Archive) -> Iterator[Seed]:
        for tables in archive.sitemap_rows(named.url):
            self._stop_if_told()
            self.crawl.write(tables)
            listed = tables["sitemap_url"]
            for url, problem in zip(listed["url"].to_pylist(), listed["problem"].to_pylist(), strict=True):
                if problem is None and is_internal(url, self.crawl.work.scope):
                    yield self._seed(url, "sitemap", SITEMAP)

    def _named_by(self, parent: _Named, entry: Entry) -> Iterator[_Named]:
        try:
            url = split_fragment(resolve(parent.url, entry.loc, self.crawl.work.limits.url_characters))[0]
        except BadUrl:
            return
        yield _Named(url, "index", (*parent.parents, parent.url))

    def _entry(self, named: _Named, position: int, entry: Entry) -> Iterator[Seed]:
        url, key, problem = self._judged(entry.loc)
        moments = (read_w3c(entry.lastmod), read_w3c(entry.published))
        self._add("sitemap_url", (named.url, key, url or entry.loc, position, entry.lastmod, *moments, problem))
        for code, href in entry.alternates if key is not None else ():
            target, target_key, _ = self._judged(href)
            self._add("hreflang", (key, "sitemap", code, href, target, target_key, None, named.url))
        if url is not None and problem is None and is_internal(url, self.crawl.work.scope):
            yield self._seed(url, "sitemap", SITEMAP)

    def _judged(self, text: str) -> tuple[str | None, int | None, str | None]:
        """Address, key, and what is wrong with it."""
        try:
            url = split_fragment(resolve("", text, self.crawl.work.limits.url_characters))[0]
        except BadUrl as bad:
            return None, None, "too_long" if bad.reason == "too_long" else "not_absolute"
        is_other = host_of(url) not in self.crawl.work.scope.hosts
        return url, self._key(url), "other_host" if is_other else None

    def _row(
        self, named: _Named, key: int, answer: Answer, sitemap: Sitemap, half: str | None = None
    ) -> tuple[object, ...]:
        """`half`: why nothing was read of what came."""
        parent = named.parents[-1] if named.parents else None
        reason = answer.reason or sitemap.reason or half
        if sitemap.reason and sitemap.detail:
            reason = f"{sitemap.reason}: {sitemap.detail}"
        outcome = "failed" if answer.reason else "fetched"
        of_answer = (outcome, reason, answer.requested_at, answer.status_code)
        counts = (sitemap.byte_count, sitemap.count) if answer.status_code == 200 else (None, None)
        validators = (answer.header("etag"), answer.header("last-modified"))
        return (key, named.url, parent, named.declared_in, sitemap.kind, *of_answer, *counts, *validators)

    def _unread(self, named: _Named, key: int, reason: str) -> tuple[object, ...]:
        parent = named.parents[-1] if named.parents else None
        return (key, named.url, parent, named.declared_in, None, "skipped", reason, *[None] * 6)

    def _absolute(self, url: str) -> str | None:
        try:
            return split_fragment(resolve("", url, self.crawl.work.limits.url_characters))[0]
        except BadUrl:
            return None

    def _key(self, url: str) -> int:
        return key_of(frontier_key(url, self.crawl.work.scope))

    def _add(self, table: str, row: tuple[object, ...]) -> None:
        self.rows.setdefault(table, []).append(row)
        self._write(_ROWS_OF_PART)

    def _write(self, least: int) -> None:
        """What has come so far as a part, where it is more than `least` rows."""
        if sum(map(len, self.rows.values())) > least:
            self._stop_if_told()
            rows, self.rows = self.rows, {}
            self.crawl.write({name: as_table(name, of) for name, of in rows.items()})

    def _stop_if_told(self) -> None:
        if self.crawl.work.stop.is_set():
            raise Stopped


def _fails(answer: Answer) -> bool:
    """Whether it says nothing of what is listed: no answer, one that says to come back, half of one, or nothing."""
    status = answer.status_code
    is_empty = status == 200 and not answer.body
    return status is None or status in UNREAD_STATUSES or status >= 500 or answer.body_reason in UNREAD or is_empty


def sow(crawl: Crawl, start_urls: tuple[str, ...], sitemaps: tuple[str, ...], origins: tuple[str, ...]) -> bool:
    """Start addresses and sitemaps into the frontier, once for each crawl; False when it was stopped before the end.

    `origins`: of which robots.txt and sitemaps are read, besides those of the start addresses.
    """
    if crawl.work.frontier.meta("sown"):
        return True
    try:
        crawl.commit(Step(found=_Seeding(crawl, start_urls, sitemaps, origins).seeds(), meta={"sown": "yes"}))
    except Stopped:
        return False
    return True


def sow_last_run(crawl: Crawl) -> bool:
    """What the last crawl saw and this one has not met, to be asked after all else. False when that was done before."""
    archive, frontier = crawl.work.archive, crawl.work.frontier
    if archive is None or frontier.meta("sown_last_run"):
        return False
    depth = min(frontier.last_generation() + 1, crawl.work.limits.depth)

    def seeds() -> Iterator[Seed]:
        rows: list[tuple[object, ...]] = []
        for key, url in archive.addresses():
            rows.append((key, url, "last_run"))
            if len(rows) >= _ROWS_OF_PART:
                crawl.write({"seed": as_table("seed", rows)})
                rows = []
            yield Seed(key, url, "page", depth, origin_of(url), LAST_RUN)
        crawl.write({"seed": as_table("seed", rows)})

    crawl.commit(Step(found=seeds(), meta={"sown_last_run": "yes"}))
    return True
