"""What an audited crawl tells its readers, whether it comes from a crawl's folder or from the warehouse. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

Outcome = Literal["fired", "passed", "not_evaluated"]


class Issue(NamedTuple):
    """An open one. `change`: new, regressed, still, unverified (it was not judged in this crawl); None where the crawl
    cannot be compared. `evidence`: JSON, `{"total": 31, "items": [...]}`; None for unverified ones."""

    check_id: str
    url: str
    market_code: str
    change: str | None
    first_seen_at: datetime
    affected_count: int | None
    evidence: str | None
    revenue: Decimal | None = None
    """Of 28 days, of what the page sells in its market."""


class Ended(NamedTuple):
    """An issue that was over with this crawl. `change`: fixed, or gone: nothing is left to judge."""

    check_id: str
    url: str
    market_code: str
    change: str


class PageChange(NamedTuple):
    """`change`: added, removed, moved (to `other_url`), changed."""

    change: str
    url: str
    market_code: str
    status_code: int | None
    other_url: str | None


class Slow(NamedTuple):
    """`total_ms`: to the last byte; None where only the first is known."""

    url: str
    ttfb_ms: int
    total_ms: int | None


class Pages(NamedTuple):
    """Addresses of the site. `judged`: answered otherwise than by a redirect, or failed to. `with_error`: those of the
    judged that have an open error."""

    known: int
    indexable: int
    judged: int
    with_error: int

    @property
    def unjudged(self) -> int:
        """Redirects, and what was not asked for."""
        return self.known - self.judged


@dataclass(frozen=True)
class CheckResult:
    """`open_count`: issues of it that are open, those included that this crawl did not come to."""

    check_id: str
    severity: str
    category: str
    outcome: Outcome
    reason: str | None = None
    judged_count: int = 0
    open_count: int = 0
    revenue: Decimal | None = None
    """Of the pages with open issues of it, as far as it is known, added up: a product on several counts on each."""
    selling_count: int = 0
    """Pages of which it is known."""


class Suppressed(NamedTuple):
    """Issues that somebody answers for leaving so for now; counted nowhere else."""

    check_id: str
    reason: str
    issue_count: int


@dataclass(frozen=True)
class AuditedCrawl:
    """Of lists the first; the counts beside them are of all. Times are UTC."""

    name: str
    started_at: datetime
    pages: Pages
    expected_count: int
    seen_count: int
    incomplete_reason: str | None
    """None where it saw enough of what was expected to say that there is nothing, or that something is over."""
    not_comparable_reason: str | None
    """None where the crawl before asked the same of the same site."""
    checks: Sequence[CheckResult]
    issues: Mapping[str, Sequence[Issue]]
    """By check."""
    change_counts: Mapping[str, int] = field(default_factory=dict)
    """Issues by what became of them."""
    ended: Sequence[Ended] = ()
    page_changes: Sequence[PageChange] = ()
    page_change_counts: Mapping[str, int] = field(default_factory=dict)
    slowest: Sequence[Slow] = ()
    suppressed: Sequence[Suppressed] = ()
    currency_code: str | None = None
    """Of revenue."""

    @property
    def is_complete(self) -> bool:
        return self.incomplete_reason is None

    @property
    def is_comparable(self) -> bool:
        return self.not_comparable_reason is None

    @property
    def health(self) -> Decimal | None:
        """Share of the judged addresses that have no open error; None where the crawl is not complete. As
        mart.rpt_site__health."""
        if not self.is_complete or not self.pages.judged:
            return None
        return Decimal(self.pages.judged - self.pages.with_error) / self.pages.judged

    @property
    def with_issues(self) -> list[CheckResult]:
        """Checks that have open issues, the worst first, the most frequent of them first."""
        ranks = {"error": 0, "warning": 1, "notice": 2}
        found = [check for check in self.checks if check.open_count]
        return sorted(found, key=lambda check: (ranks[check.severity], -check.open_count, check.check_id))

    def of(self, outcome: Outcome) -> list[CheckResult]:
        return [check for check in self.checks if check.outcome == outcome]

    def found(self, severity: str) -> int | None:
        """How many open issues there are; None where none was found and the crawl is not complete."""
        return self.severities[severity] or (0 if self.is_complete else None)

    @property
    def severities(self) -> Counter[str]:
        """Open issues by severity."""
        counts: Counter[str] = Counter()
        for check in self.checks:
            counts[check.severity] += check.open_count
        return counts
