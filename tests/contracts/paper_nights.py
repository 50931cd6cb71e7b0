"""A site that is a mapping, crawled and audited night after night as the command does it. No network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pyarrow.parquet as pq
from crawl_world import FAST, reader
from fixture_site import HEADERS, ORIGIN, document

from caravan.assembly.site_audit import Audited, Before, audit_crawl
from caravan.clients.crawl.contents import LEDGER
from caravan.clients.crawl.pace import Pace
from caravan.clients.crawl.runs import Means, Plan, Record, crawl
from caravan.config.settings import Settings
from caravan.config.site_checks import Catalogue, load_site_checks
from caravan.core.crawl import Answer, Ask, Scope

FAILED: Mapping[str, Mapping[str, Any]] = {
    "503": {"status": 503},
    "429": {"status": 429},
    "no answer": {"status": None},
    "breaks off": {"cut": "broken"},
    "empty": {"html": ""},
}
REFUSED: Mapping[str, Mapping[str, Any]] = {str(status): {"status": status} for status in (401, 403, 408, 425, 451)}
"""More often to robots than to readers."""
_MANNERS = {"/robots.txt": "User-agent: *\nDisallow:\n"}
CATALOGUE = load_site_checks()
Site = Mapping[str, Any]
"""Path to a page as tests/contracts/fixture_site.py has it; `cut`: why its body is not whole; bytes: any other file."""


class PaperSite:
    """A `Fetcher`."""

    def __init__(self, pages: Site) -> None:
        self.pages = {urljoin(ORIGIN, path): given for path, given in pages.items()}
        self.asked: list[str] = []

    def fetch(self, ask: Ask, limit: int) -> Answer:
        self.asked.append(ask.url.removeprefix(ORIGIN))
        given = self.pages.get(ask.url, {"status": 404})
        given = {"body": given} if isinstance(given, str) else given
        at = datetime.now(UTC).replace(tzinfo=None)
        if isinstance(given, bytes):
            return Answer(ask, at, 200, body=given, ttfb_ms=5, total_ms=6)
        status = given.get("status", 200)
        if status is None:
            return Answer(ask, at, None, reason="connect", total_ms=6)
        headers = {**HEADERS, **{name.lower(): value for name, value in given.get("headers", {}).items()}}
        html = given["html"] if "html" in given else document(ask.url, given)
        return Answer(
            ask,
            at,
            status,
            headers=[(name, value) for name, value in headers.items() if value is not None],
            body=html.encode() if status == 200 else b"",
            body_reason=given.get("cut"),
            ttfb_ms=5,
            total_ms=6,
        )

    def close(self) -> None:
        pass


class PaperNights:
    """Of one site. Each crawl is held against the one before."""

    def __init__(self, root: Path, catalogue: Catalogue, start: Sequence[str] = ("/",)) -> None:
        self.root, self.catalogue = root, catalogue
        self.plan = Plan(tuple(ORIGIN + path for path in start), Scope(frozenset(["shop.test"])), FAST)
        self.settings = Settings(root, root / "config", f"lake://{root}/lake")
        self.before = Before()
        self.number = 0
        self.folder = root

    def night(self, pages: Site) -> Record:
        """`asked`: afterwards has what the site was asked for."""
        self.number += 1
        self.folder = self.root / f"{self.number}"
        site = PaperSite({**{path: text.encode() for path, text in _MANNERS.items()}, **pages})
        means = Means(
            site,
            Pace(self.plan.limits),
            reader(self.plan.scope, self.plan.limits),
            "1",
            "Caravan",
            self.root / "locks",
            last=self.before.crawl,
        )
        record = crawl(self.plan, self.folder, means)
        self.audit(record)
        self.asked = sorted(site.asked)
        last = self.folder if record.certificate.is_complete else self.before.crawl
        self.before = Before(last, self.folder)
        return record

    def audit(self, record: Record) -> Audited:
        return audit_crawl("shop", self.folder, record, self.catalogue, self.settings, self.before)

    def issues(self) -> dict[tuple[str, str], tuple[str, str | None]]:
        """(check, path) to (state, change)."""
        return {
            (row["check_id"], row["url"].removeprefix(ORIGIN)): (row["state"], row["change"])
            for row in pq.read_table(self.folder / LEDGER).to_pylist()
        }

    def changed(self, *changes: str) -> set[tuple[str, str, str]]:
        """Issues of which the last night told one of these: with what, and where."""
        return {(change, *which) for which, (_, change) in self.issues().items() if change in changes}

    def pages(self) -> dict[str, str]:
        """Path to what became of the page."""
        rows = pq.read_table(self.folder / "page_change.parquet").to_pylist()
        return {row["url"].removeprefix(ORIGIN): row["change"] for row in rows}


GOOD = "<p>text</p>"
GONE = {"status": 404}
MOVED = {"status": 301, "headers": {"Location": "/new"}}
HIDDEN = {"head": "<meta name=robots content=noindex>"}


def links(*paths: str) -> str:
    return "".join(f"<a href={path}>about {path}</a> " for path in paths)


LEAVES = {f"/leaf/{number}": GOOD for number in range(30)}
"""So many pages that a crawl is complete without one of them."""
HOME = links("/b", *LEAVES)
WHOLE: Mapping[str, Any] = {
    **LEAVES, "/": HOME, "/b": links("/r", "/m", "/n", "/only"), "/r": MOVED, "/new": GOOD, "/m": GONE, "/n": HIDDEN,
    "/only": GOOD,
}  # fmt: skip
CHECKS = (
    "response-internal-redirect", "response-4xx", "link-broken-internal", "index-noindex", "link-single-inlink",
)  # fmt: skip
FOUND = {
    ("response-internal-redirect", "/r"),
    ("response-4xx", "/m"),
    ("link-broken-internal", "/m"),
    ("index-noindex", "/n"),
    ("link-single-inlink", "/only"),
}

Of = Callable[..., PaperNights]


def of_hub(nights: PaperNights) -> dict[tuple[str, str], str | None]:
    return {which: change for which, (_, change) in nights.issues().items() if which in FOUND}
