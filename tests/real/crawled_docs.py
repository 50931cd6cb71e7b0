"""Crawls of documentation sites, each done once for all tests of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import nginx_server
import read_again
from doc_sites import SITES, DocSite
from nginx_server import Logged

from caravan.assembly import site as crawls
from caravan.assembly.site_audit import Audited, Before, audit_crawl
from caravan.clients.crawl.runs import Record
from caravan.clients.crawl.tables import TABLES
from caravan.config.settings import Settings
from caravan.config.site_checks import load_site_checks

AT_ONCE = 100_000.0
"""Requests a second: nobody else is on this server."""


@dataclass(frozen=True)
class Crawled:
    """`logged`: what nginx was asked during this crawl."""

    site: DocSite
    origin: str
    folder: Path
    record: Record
    audited: Audited
    logged: list[Logged] = field(repr=False)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Of the crawl's tables, and of `issue`, `ledger` and `page_change`."""
        return self._tables.execute(sql).fetchall()

    @cached_property
    def _tables(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        for name, schema in TABLES.items():
            if any((self.folder / name).glob("part-*.parquet")):
                connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{self.folder / name}/part-*.parquet'")
            else:
                connection.register(name, schema.empty_table())
        for name in ("issue", "ledger", "page_change"):
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{self.folder / name}.parquet'")
        return connection

    @cached_property
    def read_again(self) -> dict[str, tuple[int, read_again.Page | None]]:
        """Path to status and page, without the crawler."""
        return read_again.walk(self.site.folder, [f"/{self.site.start}", *self.site.told_by_server])

    @property
    def in_words(self) -> str:
        ((pages, languages),) = self.ask(
            "SELECT COUNT(*), COALESCE(STRING_AGG(DISTINCT language_code, ' ' ORDER BY language_code), 'not stated')"
            " FROM page WHERE is_html AND status_code = 200"
        )
        issues = sum(each.issue_count for each in self.audited.verdicts)
        fired = sum(each.outcome == "fired" for each in self.audited.verdicts)
        version = f"{self.site.package} {self.site.version}"
        return f"{version}: {pages} pages, languages {languages}; {issues} issues of {fired} checks"


class CrawledDocs:
    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self._folder, self._ports = folder, ports
        self._settings = Settings.from_environment()
        self._catalogue = load_site_checks()
        self._first: dict[str, Crawled] = {}

    @classmethod
    @contextmanager
    def served(cls, folder: Path) -> Iterator[CrawledDocs]:
        present = [site for site in SITES if site.version]
        ports = dict(zip([site.code for site in present], nginx_server.free_ports(len(present)), strict=True))
        with nginx_server.serve(folder, {ports[site.code]: site.directives for site in present}):
            yield cls(folder, ports)

    @property
    def done(self) -> list[Crawled]:
        return list(self._first.values())

    def of(self, site: DocSite) -> Crawled:
        """Its first crawl."""
        if site.code not in self._first:
            self._first[site.code] = self._crawl(site, self._folder / site.code)
        return self._first[site.code]

    def again(self, before: Crawled) -> Crawled:
        """The night after."""
        return self._crawl(before.site, before.folder.with_name(f"{before.folder.name}-again"), before)

    def _crawl(self, site: DocSite, folder: Path, before: Crawled | None = None) -> Crawled:
        port = self._ports[site.code]
        origin = f"http://127.0.0.1:{port}"
        plan = crawls.plan_of_address(f"{origin}/{site.start}", rate=AT_ONCE, private=True)
        known = len(nginx_server.logged(self._folder, port))
        last = before.folder if before else None
        record = crawls.crawl(plan, folder, self._settings, last=last)
        logged = nginx_server.logged(self._folder, port)[known:]
        standing = Before(before.folder, before.folder) if before else Before()
        audited = audit_crawl(site.code, folder, record, self._catalogue, self._settings, standing)
        return Crawled(site, origin, folder, record, audited, logged)
