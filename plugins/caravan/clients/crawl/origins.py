"""What a crawl knows of each origin (scheme, host and port) that it asks: its rules, its budget, whether it lives."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from caravan.clients.crawl.frontier import Address
from caravan.clients.crawl.robots import Robots
from caravan.core.crawl import Answer, Limits
from caravan.core.urls import host_of, key_of

DEAD_AFTER = 10
"""So many addresses in a row without any answer, each tried several times, and a host is left alone."""
_NO_CONNECTION = frozenset(("dns", "connect", "tls", "timeout", "broken"))
NO_ROBOTS, NO_ANSWER, PAGES, SECONDS, TRAP, DEPTH, TOLD_TO_WAIT, BLOCKED = (
    "robots_unavailable",
    "host_unavailable",
    "budget_pages",
    "budget_seconds",
    "trap",
    "too_deep",
    "told_to_wait",
    "robots",
)
"""Reasons of addresses that are not asked, in `page`."""


@dataclass
class Origin:
    """For one thread. What `told` gives is remembered from one process to the next."""

    origin: str
    is_own: bool
    """Of the site, not only linked to."""
    limits: Limits
    robots: Robots | None = None
    closed: str | None = None
    """Why none of its addresses is asked."""
    planned: Counter[str] = field(default_factory=Counter)
    """By kind, those that were asked included."""
    asked: Counter[str] = field(default_factory=Counter)
    failed_count: int = 0
    unseen_count: int = 0
    """Pages that were asked for, and not seen: no answer, a part of one, or a server that is busy, fails, or refuses
    what it showed before."""
    skipped: Counter[str] = field(default_factory=Counter)
    in_a_row: int = 0
    seconds_before: float = 0.0
    """Of earlier processes."""
    wait_ms_before: int = 0
    began: float | None = None
    is_probed: bool = False
    missing_page_hash: int | None = None
    missing_page_status: int | None = None
    tls_problem: str | None = None

    @cached_property
    def host(self) -> str:
        return host_of(f"{self.origin}/")

    @classmethod
    def remembered(cls, origin: str, is_own: bool, limits: Limits, told: Mapping[str, Any] | None) -> Origin:
        if not told:
            return cls(origin, is_own, limits)
        of = dict(told)
        robots, asked, skipped = of.pop("robots"), Counter(of.pop("asked")), Counter(of.pop("skipped"))
        known = cls(origin, is_own, limits, asked=asked, planned=Counter(asked), skipped=skipped, **of)
        known.robots = None if robots is None else Robots.remembered(robots)
        return known

    def told(self, wait_ms: int) -> dict[str, Any]:
        """`wait_ms`: of this process."""
        return {
            "robots": None if self.robots is None else self.robots.told(),
            "closed": self.closed,
            "asked": dict(self.asked),
            "failed_count": self.failed_count,
            "unseen_count": self.unseen_count,
            "skipped": dict(self.skipped),
            "seconds_before": self.seconds(),
            "wait_ms_before": self.wait_ms_before + wait_ms,
            "is_probed": self.is_probed,
            "missing_page_hash": self.missing_page_hash,
            "missing_page_status": self.missing_page_status,
            "tls_problem": self.tls_problem,
        }

    def seconds(self) -> float:
        return self.seconds_before + (time.monotonic() - self.began if self.began is not None else 0.0)

    def seconds_left(self) -> float:
        return self.limits.seconds_of_host - self.seconds()

    def allows(self, url: str) -> bool:
        """By robots.txt. Of a host that nobody can reach it says nothing: `closed` does, for one of the site."""
        return self.robots is None or self.robots.outcome == "unavailable" or self.robots.allows(url)

    def page_to_be_missing(self, prefixes: Iterable[str]) -> Address | None:
        """An address that cannot exist; None where robots.txt keeps it from us. `prefixes`: of the site."""
        prefix = min(prefixes, default="/")
        url = f"{self.origin}{prefix[: prefix.rindex('/') + 1]}missing-{key_of(self.origin):016x}"
        return Address(key_of(url), url, "page", 0, self.origin) if self.allows(url) else None

    def over(self, kind: str) -> str | None:
        """Why no more addresses of this kind are asked; None while they are."""
        if self.closed:
            return self.closed
        if self.seconds_left() <= 0:
            return SECONDS
        return PAGES if self.planned[kind] >= self.limits.pages_of_host else None

    def answered(self, answer: Answer) -> None:
        """What came of an address of it."""
        if answer.reason == "tls":
            self.tls_problem = self.tls_problem or answer.detail or "tls"
        if answer.reason not in _NO_CONNECTION:
            self.in_a_row = 0
            return
        self.in_a_row += 1
        if self.in_a_row >= DEAD_AFTER:
            self.closed = NO_ANSWER

    def row(self, wait_ms: int, rate: float | None, certificate_ends_at: datetime | None) -> tuple[object, ...]:
        """Of the table `host`."""
        reasons = [reason for reason, _ in self.skipped.most_common()]
        return (
            self.host,
            self.origin.startswith("https:"),
            self.asked.total(),
            self.failed_count,
            self.skipped.total(),
            reasons[0] if reasons else None,
            self.wait_ms_before + wait_ms,
            rate,
            certificate_ends_at,
            self.tls_problem,
            self.is_probed,
            self.missing_page_hash,
            self.missing_page_status,
        )
