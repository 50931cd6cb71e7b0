"""Issues as rows for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, TextIO

from caravan.reporting.evidence import readable

_COLUMNS = (
    *("severity", "category", "check_id", "title", "market_code", "url", "change", "first_seen_at"),
    *("affected_count", "revenue_amount", "is_suppressed", "evidence"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class CsvRow(NamedTuple):
    """`evidence`: JSON. Times are UTC."""

    severity: str
    category: str
    check_id: str
    market_code: str
    url: str
    change: str | None
    first_seen_at: datetime
    affected_count: int | None
    evidence: str | None
    revenue: Decimal | None = None
    is_suppressed: bool = False


def write(file: TextIO, rows: Iterable[CsvRow], titles: Mapping[str, str]) -> None:
    """`file`: opened with newline="". `titles`: by check. Evidence becomes text that people read."""
    out = csv.writer(file)
    out.writerow(_COLUMNS)
    for row in rows:
        place = (titles.get(row.check_id, row.check_id), _plain(row.market_code), _plain(row.url))
        seen = (row.change, row.first_seen_at.isoformat(" "), row.affected_count, row.revenue, row.is_suppressed)
        out.writerow((row.severity, row.category, row.check_id, *place, *seen, _plain(readable(row.evidence))))


def _plain(text: str) -> str:
    """What a spreadsheet would take for a formula gets a `'` before it: pages write what they like."""
    return f"'{text}" if text.startswith(_FORMULA) else text
