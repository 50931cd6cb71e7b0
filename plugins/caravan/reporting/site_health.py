"""Crawls of own sites as the warehouse has them: the last one of each site whole, those before as a trend."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from markupsafe import Markup

from caravan.config.site_checks import Catalogue
from caravan.config.types import OTHER_MARKET
from caravan.core.site_audit import (
    AuditedCrawl,
    CheckResult,
    Ended,
    Issue,
    Outcome,
    PageChange,
    Pages,
    Slow,
    Suppressed,
)
from caravan.reporting import charts, formats, issues_csv
from caravan.reporting.site_issues import ENDED_SHOWN, ISSUES_OF_CHECK, PAGES_SHOWN, SLOWEST_SHOWN
from caravan.reporting.tables import Reader

HEALTH, MARKET = "mart.rpt_site__health", "mart.rpt_site__market"
ISSUE, CHECK, CHANGE, PAGE = "mart.fct_site_issue", "mart.fct_site_check", "mart.fct_site_change", "mart.fct_page"
TREND = timedelta(days=60)
NIGHTLY = timedelta(hours=36)
"""A crawl that began longer ago was not the last night's."""
CSV_ROWS = 50_000
"""Of one site's file; a reader who needs more has the warehouse."""
NO_REASON = "no reason is recorded"
_NEWEST_FIRST = "CASE change WHEN 'new' THEN 0 WHEN 'regressed' THEN 1 WHEN 'still' THEN 2 ELSE 3 END"


@dataclass(frozen=True)
class Night:
    """A day's last crawl."""

    day: date
    health: Decimal | None
    error_count: int


@dataclass(frozen=True)
class MarketHealth:
    """`health`: None where the crawl is not complete, or nothing of the market was judged."""

    code: str
    name: str
    page_count: int
    indexable_count: int
    health: Decimal | None
    error_count: int
    warning_count: int
    notice_count: int
    international_count: int
    search_week: date | None
    """The Monday of the week that the figures after it are of; without one none is known."""
    impression_count: int | None
    click_count: int | None
    click_share: Decimal | None
    average_position: Decimal | None
    search_reason: str | None
    """Why one of them is not known."""


@dataclass(frozen=True)
class SiteHealth:
    code: str
    crawl: AuditedCrawl
    nights: Sequence[Night]
    """The oldest first; days without a crawl are absent."""
    markets: Sequence[MarketHealth]

    @property
    def search_week(self) -> date | None:
        """The same for all markets."""
        return next((market.search_week for market in self.markets), None)

    def days_missed(self, now: datetime) -> int:
        """Since the last crawl, at least one; 0 where that is the last night's. `now`: UTC without zone."""
        age = now - self.crawl.started_at
        return age.days if age > NIGHTLY else 0

    def trend(self) -> Markup | None:
        """The share of healthy pages by day; None before there are two nights."""
        known = {night.day: night.health for night in self.nights if night.health is not None}
        if len(known) < 2:
            return None
        first, last = self.nights[0].day, self.nights[-1].day
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        (low_day, low), (high_day, high) = (end(known.items(), key=lambda item: item[1]) for end in (min, max))
        text = (
            f"{formats.share(known[max(known)])} on {formats.day(max(known))}; highest {formats.share(high)}, "
            f"{formats.day(high_day)}; lowest {formats.share(low)}, {formats.day(low_day)}"
        )
        return charts.shares(days, known, f"Healthy pages of {self.code} by day", text)


def read_sites(reader: Reader) -> list[SiteHealth]:
    """By code; none before the first crawl."""
    codes = reader.rows((HEALTH,), f"SELECT site_code, MAX(crawl_date) FROM {HEALTH} GROUP BY site_code ORDER BY 1")
    names = reader.names("mart.dim_market", "market_code")
    return [
        SiteHealth(code, _crawl(reader, code, day), _nights(reader, code, day), _markets(
            reader, code, day, names
        ))
        for code, day in codes
    ]  # fmt: skip


def csv_text(reader: Reader, site: SiteHealth, catalogue: Catalogue) -> str:
    """Open issues of the last crawl as rows, the worst first, CSV_ROWS at most."""
    titles = {check.id: check.title for check in catalogue.checks}
    rows = reader.rows(
        (ISSUE,),
        f"""
        SELECT
            severity, category, check_id, market_code, url, change, first_seen_at, affected_count, evidence,
            revenue_amount, is_suppressed
        FROM {ISSUE} WHERE site_code = $site AND crawl_date = $day
        ORDER BY CASE severity WHEN 'error' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, check_id, market_code, url
        LIMIT {CSV_ROWS}
        """,
        _of(site.code, site.crawl.started_at.date()),
    )
    file = io.StringIO(newline="")
    issues_csv.write(file, itertools.starmap(issues_csv.CsvRow, rows), titles)
    return file.getvalue()


def _of(code: str, day: date) -> dict[str, Any]:
    return {"site": code, "day": day}


def _crawl(reader: Reader, code: str, day: date) -> AuditedCrawl:
    of = _of(code, day)
    ((started_at, is_complete, incomplete, is_comparable, not_comparable, *counts),) = reader.rows(
        (HEALTH,),
        f"""
        SELECT
            started_at, is_complete, incomplete_reason, is_comparable, not_comparable_reason,
            expected_count, seen_count, page_count, indexable_count, judged_count, error_page_count,
            new_count, regressed_count, fixed_count, gone_count, unverified_count
        FROM {HEALTH} WHERE site_code = $site AND crawl_date = $day
        """,
        of,
    )
    expected, seen, pages, changes = counts[0], counts[1], counts[2:6], counts[6:]
    return AuditedCrawl(
        name=code,
        started_at=started_at,
        pages=Pages(*pages),
        expected_count=expected or 0,
        seen_count=seen or 0,
        incomplete_reason=None if is_complete else incomplete or NO_REASON,
        not_comparable_reason=None if is_comparable else not_comparable or NO_REASON,
        checks=_checks(reader, of),
        issues=_issues(reader, of),
        change_counts={
            name: count
            for name, count in zip(("new", "regressed", "fixed", "gone", "unverified"), changes, strict=True)
            if count
        },
        ended=_ended(reader, of),
        page_changes=_page_changes(reader, of),
        page_change_counts=dict(
            reader.rows(
                (CHANGE,),
                f"SELECT change, COUNT(*) FROM {CHANGE} WHERE site_code = $site AND crawl_date = $day"
                " AND subject = 'page' GROUP BY change",
                of,
            )
        ),
        slowest=_slowest(reader, of),
        suppressed=_suppressed(reader, of),
        currency_code=_currency(reader, of),
    )


def _currency(reader: Reader, of: Mapping[str, Any]) -> str | None:
    """Of revenue: one for all markets."""
    sql = f"SELECT MAX(currency_code) FROM {ISSUE} WHERE site_code = $site AND crawl_date = $day"
    rows = reader.rows((ISSUE,), sql, of)
    return rows[0][0] if rows else None


def _checks(reader: Reader, of: Mapping[str, Any]) -> list[CheckResult]:
    rows = reader.rows(
        (CHECK, ISSUE),
        f"""
        SELECT
            k.check_id, k.severity, k.category, k.outcome, k.outcome_reason, k.judged_count,
            COALESCE(i.open_count, 0), i.revenue, COALESCE(i.selling_count, 0)
        FROM {CHECK} AS k
        LEFT JOIN (
            SELECT
                check_id, COUNT(*) AS open_count, SUM(revenue_amount) AS revenue, COUNT(revenue_amount) AS selling_count
            FROM {ISSUE} WHERE site_code = $site AND crawl_date = $day AND NOT is_suppressed GROUP BY check_id
        ) AS i ON k.check_id = i.check_id
        WHERE k.site_code = $site AND k.crawl_date = $day ORDER BY k.check_id
        """,
        of,
    )
    return [
        CheckResult(check_id, severity, category, cast("Outcome", outcome), reason, judged or 0, count, *sold)
        for check_id, severity, category, outcome, reason, judged, count, *sold in rows
    ]


def _issues(reader: Reader, of: Mapping[str, Any]) -> dict[str, list[Issue]]:
    rows = reader.rows(
        (ISSUE,),
        f"""
        WITH ranked AS (
            SELECT
                check_id, url, market_code, change, first_seen_at, affected_count, evidence, revenue_amount,
                ROW_NUMBER() OVER (
                    PARTITION BY check_id
                    ORDER BY {_NEWEST_FIRST}, COALESCE(revenue_amount, 0) DESC, market_code, url
                ) AS place
            FROM {ISSUE} WHERE site_code = $site AND crawl_date = $day AND NOT is_suppressed
        )
        SELECT check_id, url, market_code, change, first_seen_at, affected_count, evidence, revenue_amount
        FROM ranked WHERE place <= {ISSUES_OF_CHECK} ORDER BY check_id, place
        """,
        of,
    )
    found: dict[str, list[Issue]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(Issue(*row))
    return found


def _ended(reader: Reader, of: Mapping[str, Any]) -> list[Ended]:
    rows = reader.rows(
        (CHANGE,),
        f"SELECT check_id, url, market_code, change FROM {CHANGE} WHERE site_code = $site AND crawl_date = $day"
        f" AND subject = 'issue' AND change IN ('fixed', 'gone') ORDER BY change, check_id, url LIMIT {ENDED_SHOWN}",
        of,
    )
    return [Ended(*row) for row in rows]


def _page_changes(reader: Reader, of: Mapping[str, Any]) -> list[PageChange]:
    rows = reader.rows(
        (CHANGE,),
        f"""
        WITH ranked AS (
            SELECT
                change, url, market_code, http_status, other_url,
                ROW_NUMBER() OVER (PARTITION BY change ORDER BY url) AS place
            FROM {CHANGE} WHERE site_code = $site AND crawl_date = $day AND subject = 'page'
        )
        SELECT change, url, market_code, http_status, other_url
        FROM ranked WHERE place <= {PAGES_SHOWN} ORDER BY change, url
        """,
        of,
    )
    return [PageChange(*row) for row in rows]


def _slowest(reader: Reader, of: Mapping[str, Any]) -> list[Slow]:
    rows = reader.rows(
        (PAGE,),
        f"SELECT url, ttfb_ms FROM {PAGE} WHERE site_code = $site AND crawl_date = $day AND ttfb_ms IS NOT NULL"
        f" ORDER BY ttfb_ms DESC, url LIMIT {SLOWEST_SHOWN}",
        of,
    )
    return [Slow(url, first, None) for url, first in rows]


def _suppressed(reader: Reader, of: Mapping[str, Any]) -> list[Suppressed]:
    rows = reader.rows(
        (ISSUE,),
        f"SELECT check_id, COALESCE(suppressed_reason, '{NO_REASON}'), COUNT(*) FROM {ISSUE}"
        " WHERE site_code = $site AND crawl_date = $day AND is_suppressed GROUP BY 1, 2 ORDER BY 1, 2",
        of,
    )
    return [Suppressed(*row) for row in rows]


def _nights(reader: Reader, code: str, day: date) -> list[Night]:
    rows = reader.rows(
        (HEALTH,),
        f"SELECT crawl_date, health_share, error_count FROM {HEALTH}"
        " WHERE site_code = $site AND crawl_date > $since AND crawl_date <= $day ORDER BY crawl_date",
        _of(code, day) | {"since": day - TREND},
    )
    return [Night(*row) for row in rows]


def _markets(reader: Reader, code: str, day: date, names: Mapping[str, str]) -> list[MarketHealth]:
    rows = reader.rows(
        (MARKET,),
        f"""
        SELECT
            market_code, page_count, indexable_count, health_share, error_count, warning_count, notice_count,
            international_count, search_week_start_date, impression_count, click_count, click_share, average_position,
            search_reason
        FROM {MARKET} WHERE site_code = $site AND crawl_date = $day
        """,
        _of(code, day),
    )
    # Of a site ZZ is no country: its configuration gives these addresses to no market.
    told: dict[str, str] = {**names, OTHER_MARKET: "no market"}
    found = [MarketHealth(row[0], told.get(str(row[0]), str(row[0])), *row[1:]) for row in rows]
    return sorted(found, key=lambda market: (market.code == OTHER_MARKET, market.name))
