"""Crawls of two sites in a warehouse for reports: one whose pages try to break out of their text, one half crawled.

The marts are filled by hand: their models have cases of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

from unit import report_world as world

from caravan import SQL_DIR
from caravan.warehouse.catalog import load_models
from caravan.warehouse.port import Session, Warehouse

HOST = "shop.example"
NIGHT = date(2026, 11, 20)
NIGHTS = 5
MARKUP = "<script>alert(3)</script>"
MANY = 230
"""Pages without a description: more than a page lists."""

CHECKS = (
    ("title-missing", "error", "metadata", "fired", None, 2),
    ("description-missing", "warning", "metadata", "fired", None, MANY),
    ("url-underscore", "notice", "url", "fired", None, 1),
    ("h1-missing", "warning", "metadata", "passed", None, 0),
    ("perf-lcp", "warning", "performance", "not_evaluated", "no Chrome UX Report by page and form factor", 0),
)


def address(path: str) -> str:
    return f"https://{HOST}/{path}"


def fill(warehouse: Warehouse) -> None:
    """Into tables that are there, or that are made."""
    with warehouse.write() as session:
        for model in load_models(SQL_DIR).models:
            if model.function == "site" and not session.columns(model.name):
                columns = ", ".join(f"{column.name} {column.type}" for column in model.columns)
                session.execute(f"CREATE TABLE {model.name} ({columns})")
        _insert(session, "mart.rpt_site__health", _health())
        _insert(session, "mart.rpt_site__market", _markets())
        _insert(session, "mart.fct_site_check", _checks())
        _insert(session, "mart.fct_site_issue", _issues())
        _insert(session, "mart.fct_site_change", _changes())
        _insert(session, "mart.fct_page", _pages())


def _insert(session: Session, table: str, rows: Iterable[dict[str, Any]]) -> None:
    """Rows that need not name the same columns."""
    found = list(rows)
    names = dict.fromkeys(name for row in found for name in row)
    world.insert(session, table, [dict.fromkeys(names) | row for row in found])


def _health() -> Iterator[dict[str, Any]]:
    for number in range(NIGHTS):
        day = NIGHT - timedelta(days=NIGHTS - 1 - number)
        yield {
            "site_code": "shop", "crawl_date": day, "started_at": datetime(day.year, day.month, day.day, 2, 15),
            "is_complete": True, "is_comparable": number > 0,
            "not_comparable_reason": None if number else "it is the first crawl",
            "expected_count": 400, "seen_count": 398, "page_count": 410, "indexable_count": 390, "judged_count": 400,
            "error_page_count": 20 - number, "health_share": str((380 + number) / 400), "error_count": 2,
            "warning_count": MANY, "notice_count": 1, "suppressed_count": 3, "unverified_count": 0,
            "new_count": 1 if number else None, "regressed_count": 0 if number else None,
            "fixed_count": 1 if number else None, "gone_count": 1 if number else None,
            "fired_check_count": 3, "passed_check_count": 1, "not_evaluated_check_count": 1,
        }  # fmt: skip
    yield {
        "site_code": "wiki", "crawl_date": NIGHT, "started_at": datetime(2026, 11, 18, 3, 0), "is_complete": False,
        "incomplete_reason": f"wiki.example: timeout {MARKUP}", "is_comparable": False,
        "not_comparable_reason": "it is the first crawl", "expected_count": 100, "seen_count": 40, "page_count": 40,
        "indexable_count": 40, "judged_count": 40, "error_page_count": 0, "health_share": None, "error_count": 0,
        "warning_count": 0, "notice_count": 0, "suppressed_count": 0, "unverified_count": 0,
        "fired_check_count": 0, "passed_check_count": 4, "not_evaluated_check_count": 1,
    }  # fmt: skip


def _markets() -> Iterator[dict[str, Any]]:
    week = {"search_week_start_date": date(2026, 11, 9)}
    search = {
        "DE": week
        | {"impression_count": 12345, "click_count": 678, "click_share": "0.0549", "average_position": "7.44"},
        "JP": week | {"impression_count": 0, "click_count": 0, "search_reason": "no impressions"},
        "ZZ": week | {"impression_count": 4, "click_count": 2, "click_share": "0.5", "average_position": "1"},
    }
    for market, health, errors in (("DE", "0.99", 1), ("JP", "0.5", 1), ("ZZ", None, 0)):
        yield {
            "site_code": "shop", "crawl_date": NIGHT, "market_code": market, "is_complete": True, "page_count": 130,
            "indexable_count": 120, "judged_count": 0 if health is None else 128, "error_page_count": errors,
            "health_share": health, "error_count": errors, "warning_count": 70, "notice_count": 0,
            "international_count": 4,
        } | search[market]  # fmt: skip
    yield {
        "site_code": "wiki", "crawl_date": NIGHT, "market_code": "ZZ", "is_complete": False, "page_count": 40,
        "indexable_count": 40, "judged_count": 40, "error_page_count": 0, "health_share": None, "error_count": 0,
        "warning_count": 0, "notice_count": 0, "international_count": 0,
        "search_reason": "no search data of the weeks before",
    }  # fmt: skip


def _checks() -> Iterator[dict[str, Any]]:
    for check_id, severity, category, outcome, reason, count in CHECKS:
        row = {
            "crawl_date": NIGHT, "check_id": check_id, "check_version": 1, "severity": severity, "category": category,
            "outcome": outcome,
            "outcome_reason": reason, "judged_count": 400, "issue_count": count, "affected_count": count,
        }  # fmt: skip
        yield row | {"site_code": "shop"}
        if outcome != "fired":
            yield row | {"site_code": "wiki"}


def _issue(check_id: str, path: str, **change: Any) -> dict[str, Any]:
    severity, category = next((row[1], row[2]) for row in CHECKS if row[0] == check_id)
    return {
        "site_code": "shop", "crawl_date": NIGHT, "check_id": check_id, "check_version": 1, "severity": severity,
        "category": category, "market_code": "DE", "url": address(path), "change": "still",
        "first_seen_at": datetime(2026, 11, 16, 2, 15), "affected_count": 1, "evidence": '{"total":1,"items":[]}',
        "is_suppressed": False, "suppressed_by": None, "suppressed_reason": None, "revenue_amount": None,
        "revenue_reason": "no product on it", "currency_code": None,
    } | change  # fmt: skip


def _issues() -> Iterator[dict[str, Any]]:
    yield _issue("title-missing", f"new?q={MARKUP}", change="new", market_code="JP",
                 evidence=f'{{"total":1,"items":[{{"h1":"{MARKUP}"}}]}}')  # fmt: skip
    yield _issue("title-missing", "cups", revenue_amount="1234.0000", revenue_reason=None, currency_code="EUR")
    for number in range(MANY):
        sold = {"revenue_amount": "10.0000", "revenue_reason": None, "currency_code": "EUR"} if number < 2 else {}
        yield _issue("description-missing", f"page/{number:04d}", **sold)
    yield _issue("url-underscore", "=cmd|calc_x", url="=cmd|' /C calc'!A0")
    for number in range(3):
        yield _issue("url-underscore", f"old_{number}", is_suppressed=True, suppressed_by="maria@shop.example",
                     suppressed_reason=f"printed on boxes {MARKUP}")  # fmt: skip


def _changes() -> Iterator[dict[str, Any]]:
    at = {"site_code": "shop", "crawl_date": NIGHT, "market_code": "DE"}
    yield at | {"subject": "issue", "change": "new", "check_id": "title-missing", "url": address("new")}
    yield at | {"subject": "issue", "change": "fixed", "check_id": "h1-missing", "url": address("mended")}
    yield at | {"subject": "issue", "change": "gone", "check_id": "h1-missing", "url": address("dropped")}
    yield at | {"subject": "page", "change": "removed", "check_id": "", "url": address("dropped"), "http_status": 404}
    yield at | {
        "subject": "page", "change": "moved", "check_id": "", "url": address("was"), "http_status": 301,
        "other_url": "javascript:alert(4)",
    }  # fmt: skip


def _pages() -> Iterator[dict[str, Any]]:
    for number in range(30):
        yield {
            "site_code": "shop", "crawl_date": NIGHT, "page_key": number, "url": address(f"page/{number:04d}"),
            "ttfb_ms": 100 + number,
        }  # fmt: skip
