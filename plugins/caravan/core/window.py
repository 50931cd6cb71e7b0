"""Windows of time and the local days they touch.

A window is half-open, `[start, end)`, in UTC without a zone marker, as the warehouse stores time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Grain = Literal["day", "week", "month"]


def to_utc_naive(moment: datetime) -> datetime:
    """An aware datetime as UTC without zone; a naive one is taken to be UTC already."""
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Window:
    """`[start, end)` in UTC, without zone."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is not None or self.end.tzinfo is not None:
            raise ValueError("a window is UTC without zone: convert with to_utc_naive first")
        if self.end <= self.start:
            raise ValueError(f"the window ends ({self.end}) at or before its start ({self.start})")

    @classmethod
    def of_days(cls, first: date, end: date) -> Window:
        """Whole UTC days from `first` up to, not including, `end`."""
        return cls(datetime.combine(first, time.min), datetime.combine(end, time.min))

    def local_days(self, zones: Iterable[ZoneInfo]) -> DayRange:
        """Every whole local day that the window touches in any of `zones` (UTC is always one)."""
        last = self.end - timedelta(microseconds=1)
        all_zones = [ZoneInfo("UTC"), *zones]

        def local(moment: datetime, zone: ZoneInfo) -> date:
            return moment.replace(tzinfo=UTC).astimezone(zone).date()

        first = min(local(self.start, zone) for zone in all_zones)
        final = max(local(last, zone) for zone in all_zones)
        return DayRange(first, final + timedelta(days=1))

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%dT%H:%M} to {self.end:%Y-%m-%dT%H:%M} UTC"


@dataclass(frozen=True, order=True)
class DayRange:
    """Calendar days `[first, end)`."""

    first: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.first:
            raise ValueError(f"the range ends ({self.end}) at or before its start ({self.first})")

    def days(self) -> Iterator[date]:
        for offset in range((self.end - self.first).days):
            yield self.first + timedelta(days=offset)

    def widen(self, grain: Grain) -> DayRange:
        """The range of whole slices of `grain` that these days touch (weeks begin on Monday)."""
        first = slice_of(self.first, grain)
        last = slice_of(self.end - timedelta(days=1), grain)
        return DayRange(first, next_slice(last, grain))

    def __str__(self) -> str:
        return f"{self.first} to {self.end}"


def slice_of(day: date, grain: Grain) -> date:
    """The first day of the day's slice: the day itself, its Monday, or the first of its month."""
    if grain == "week":
        return day - timedelta(days=day.weekday())
    if grain == "month":
        return day.replace(day=1)
    return day


def next_slice(first: date, grain: Grain) -> date:
    """The first day of the slice after the one that begins on `first`."""
    if grain == "week":
        return first + timedelta(days=7)
    if grain == "month":
        return (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    return first + timedelta(days=1)


def merge(slices: Iterable[date], grain: Grain = "day", at_most: int = 40) -> Sequence[DayRange]:
    """Slices as few contiguous ranges.

    Where more than `at_most` ranges would be left, the nearest neighbours are joined: building a
    slice that nobody asked for is harmless, a transaction for each lone day is slow.
    """
    ranges: list[DayRange] = []
    for first in sorted({slice_of(day, grain) for day in slices}):
        if ranges and ranges[-1].end == first:
            ranges[-1] = DayRange(ranges[-1].first, next_slice(first, grain))
        else:
            ranges.append(DayRange(first, next_slice(first, grain)))
    while len(ranges) > at_most:
        gaps = [(ranges[i + 1].first - ranges[i].end, i) for i in range(len(ranges) - 1)]
        _, i = min(gaps)
        ranges[i : i + 2] = [DayRange(ranges[i].first, ranges[i + 1].end)]
    return ranges
