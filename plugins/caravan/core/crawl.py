"""A crawl's rules and what goes between those who ask, those who read and those who decide what is next. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, get_args

Outcome = Literal["fetched", "not_modified", "failed", "blocked", "refused", "skipped"]
Kind = Literal["page", "resource", "external"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The first of what an address was found as decides: what is linked to is read, though an image shows it too."""
REDIRECTS = frozenset((301, 302, 303, 307, 308))
TEMPORARY_REDIRECTS = frozenset((302, 303, 307))
IN_WORDS: Mapping[str, str] = {
    "robots_unavailable": "its robots.txt could not be read",
    "host_unavailable": "it did not answer any more",
    "budget_pages": "so many pages were not wanted",
    "budget_seconds": "it would have taken longer than was wanted",
    "trap": "there are too many that differ only in numbers or in values of parameters",
    "too_deep": "they are too many links away from the start",
    "told_to_wait": "the host wants to be asked later",
    "refused_address": "its address may not be asked",
}
"""Why addresses, or a host, were left out."""
NO_ANSWER: Mapping[str, str] = {
    "dns": "its name does not resolve",
    "connect": "it takes no connection there",
    "tls": "its certificate, or its TLS, cannot be trusted",
    "timeout": "it does not answer in time",
    "broken": "its answer breaks off",
}
"""Why not even robots.txt was answered."""
Rows = dict[str, list[tuple[object, ...]]]
"""Table of `clients/crawl/tables.py` to rows, values in the order of its columns."""


def in_words(reason: str) -> str:
    """Of `IN_WORDS`; `robots_unavailable: status_503` says, too, what came of asking for robots.txt, and
    `robots_unavailable: tls: certificate has expired` what was wrong."""
    name, came, detail = (*reason.split(": ", 2), "", "")[:3]
    if came.startswith("status_"):
        return f"its robots.txt answered {came.removeprefix('status_')}"
    return NO_ANSWER.get(came, IN_WORDS.get(name, reason)) + (f" ({detail})" if detail else "")


@dataclass(frozen=True)
class Limits:
    """Bytes are of what is unpacked: a small answer can unpack to a large one. Those of a host hold for one crawl."""

    connections: int = 16
    requests_per_second: float = 5.0
    """Of one host, to begin with and at most."""
    attempts: int = 3
    connect_seconds: float = 10.0
    answer_seconds: float = 30.0
    """From the request to the last byte: a server that drips ends here."""
    page_bytes: int = 4 << 20
    sitemap_bytes: int = 50 << 20
    robots_bytes: int = 512 << 10
    """RFC 9309 asks for 500 KiB at least."""
    pages_of_host: int = 100_000
    seconds_of_host: float = 6 * 3600
    pages_of_pattern: int = 5_000
    """Addresses that differ only in numbers or in the values of parameters: calendars, facets."""
    links_of_page: int = 10_000
    """The rest is counted, not kept."""
    url_characters: int = 2_048
    depth: int = 50


@dataclass(frozen=True)
class Scope:
    """What belongs to the site. `hosts`: with port where it is not the scheme's. Without `prefixes` all paths do."""

    hosts: frozenset[str]
    prefixes: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    """Regular expressions that an address must not match anywhere."""
    dropped_parameters: frozenset[str] = frozenset()
    """Of queries: they change nothing of what is shown, as utm_source."""
    private_addresses: bool = False
    """Whether loopback, private and link-local addresses may be asked."""
    check_external: bool = False
    """Whether links to other sites are asked for too, each once, without reading on."""
    check_resources: bool = True
    """Whether styles, scripts and images of own hosts are asked for, by HEAD."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is asked for."""
        resources: tuple[Kind, ...] = ("resource",) if self.check_resources else ()
        return ("page", *resources, *(("external",) if self.check_external else ()))


@dataclass(frozen=True)
class Ask:
    """One request. With validators a page that has not changed costs no body."""

    url: str
    method: Literal["GET", "HEAD"] = "GET"
    etag: str | None = None
    last_modified: str | None = None
    accept_language: str | None = None


@dataclass(frozen=True)
class Answer:
    """What came of one request: exactly one of `status_code` and `reason` is None.

    `reason`: why there is no complete answer: dns, connect, tls, timeout, broken, refused_address, bad_url.
    `body`: unpacked, as far as `limit` bytes; `wire_bytes`: as sent. `headers`: names in lower case, in order.
    `body_reason`: why a body that began is not whole: size, timeout, broken, encoding.
    """

    ask: Ask
    requested_at: datetime
    status_code: int | None
    reason: str | None = None
    detail: str = ""
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    body_reason: str | None = None
    wire_bytes: int = 0
    ttfb_ms: int | None = None
    total_ms: int | None = None
    attempt_count: int = 1
    retry_after_s: float | None = None

    def header(self, name: str) -> str | None:
        """The first of that name, in lower case."""
        return next((value for each, value in self.headers if each == name), None)


class Fetcher(Protocol):
    """Asks once or several times, never follows a redirect, never raises for what a server does."""

    def fetch(self, ask: Ask, limit: int) -> Answer: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Found:
    """An address that a page leads to. Only what may be asked for: http(s), within the limits."""

    key: int
    url: str
    kind: Kind


UNREAD = frozenset(("timeout", "broken", "encoding", "empty", "no_location"))
"""Reasons of an answer that no browser would make a page of either."""
REFUSALS = frozenset((401, 403, 408, 425, 451))
"""More often told to robots (a firewall's bad night) than to readers."""
UNREAD_STATUSES = REFUSALS | {429}
"""Below 500, of an answer that says nothing of the page either. 404 and 410 say that it is no more."""


@dataclass(frozen=True)
class Extracted:
    """One page as rows of all tables, and where it leads."""

    rows: Rows
    found: Sequence[Found] = ()
    is_read: bool = True
    """Whether it says how the page is. Not where the server is too busy, refuses, fails, or breaks off."""


@dataclass
class Counts:
    """Of a crawl so far, for whoever watches it."""

    by_outcome: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    wire_bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Certificate:
    """What a crawl saw of what it was to see. `is_complete`: only then an issue may be closed, or "none" be said.

    `expected_count`: addresses of the last comparable crawl and of the sitemaps. `failed_hosts`: each with its reason,
    as `in_words` takes it. `skipped`: reason to count.
    """

    expected_count: int
    seen_count: int
    required_share: float
    failed_hosts: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    stopped: str | None = None
    """Why it ended before it was through: stopped by hand, a budget."""

    @property
    def share(self) -> float | None:
        """Seen of expected; None where nothing was expected."""
        return self.seen_count / self.expected_count if self.expected_count else None

    @property
    def is_complete(self) -> bool:
        return not self.stopped and not self.failed_hosts and (self.share is None or self.share >= self.required_share)
