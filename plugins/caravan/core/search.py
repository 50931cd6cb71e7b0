"""Days of search data: how often pages were shown in search results and clicked, as a search engine counts them.

A day is one of the Pacific time zone, whatever the market: Search Console counts no other. Positions are kept as their
sum over impressions, since an average of averages means nothing: the average position is the one sum by the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

from caravan.core.protocols import OrderStore
from caravan.core.window import DayRange
from caravan.core.zones import to_utc

PACIFIC = "America/Los_Angeles"
ENTITY = "search_day"
"""What ops.load calls a day of a property."""
HISTORY = timedelta(days=486)
"""Search Console keeps 16 months. An older day is not asked for: no answer would look like a day without a search."""

Breakdown = Literal["day", "country_device", "country_device_by_page", "query", "page"]
"""Into what a day's numbers are taken apart: nothing; country and device, counted by property or by page; query,
country and device, by property; page, country and device, by page. Two pages of ours in one result are one impression
of the property and one of each page: each kind adds up to its own totals only."""


def channel_of(site: str) -> str:
    """What stands for the channel in ops.load."""
    return f"search_{site}"


def local_date(now: datetime) -> date:
    """The Pacific day at a moment, UTC without zone."""
    return now.replace(tzinfo=UTC).astimezone(ZoneInfo(PACIFIC)).date()


def ended_at(day: date) -> datetime:
    """When a Pacific day was over: UTC without zone."""
    return to_utc(datetime.combine(day + timedelta(days=1), time()), PACIFIC)


@dataclass(frozen=True)
class Measures:
    """`position_sum`: over the impressions, the topmost place counted from 1."""

    clicks: int
    impressions: int
    position_sum: int


@dataclass(frozen=True)
class DayTotal:
    """All of a property's day. `is_final`: the source says that it is complete; it may be restated for all that."""

    measures: Measures
    is_final: bool


@dataclass(frozen=True)
class SearchDay:
    """One day of one property, whole: a delivery, and its rows in Parquet files of raw.search_console__row's columns.

    received = accepted + duplicate.
    """

    day: date
    content_hash: str
    delivered_at: datetime
    accepted: tuple[Path, ...]
    accepted_count: int
    duplicate_count: int
    """Rows that came on two pages: rows with equal clicks have no order of their own."""
    quarantined: tuple[Path, ...] = ()
    quarantined_count: int = 0
    rule_counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.day)

    @property
    def received_count(self) -> int:
        return self.accepted_count + self.duplicate_count

    @property
    def first_local_date(self) -> date:
        return self.day

    @property
    def last_local_date(self) -> date:
        return self.day


class SearchSource(Protocol):
    """One property, asked day by day."""

    def days(self, span: DayRange) -> Mapping[date, DayTotal]:
        """The days that have data, with their totals. One that is missing has no data yet, or had no impression."""
        ...

    def day(self, day: date, total: DayTotal, asked_at: datetime) -> AbstractContextManager[SearchDay]:
        """All rows of a day, in files that are gone afterwards. Raises Retryable, Rejected, Misconfigured, and has
        nothing to show for it then. `asked_at`: UTC without zone."""
        ...


class SearchStore(OrderStore, Protocol):
    """The warehouse as search data use it."""

    def last_read(self, channel_code: str, entity: str) -> Mapping[str, datetime]:
        """Name of each delivery that was read, to when it was read last: UTC without zone."""
        ...


def covered(site: str, search_type: str, day: date) -> str:
    """What one delivery covers: the value of the raw table's `day_key`."""
    return f"{site}/{search_type}/{day}"
