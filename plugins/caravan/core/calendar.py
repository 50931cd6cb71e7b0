"""When a market is open: one spine of open seconds for service levels, sends and releases.

Local rules (hours with breaks, any weekend, holidays, exceptions) become sorted intervals in UTC; every question is
a look-up in them. Instants are UTC: whole seconds since 1970 as int64, numpy datetime64, or datetime without zone.
Fractions of a second are cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from caravan.core.errors import Rejected
from caravan.core.window import to_utc_naive
from caravan.core.zones import DAY_SECONDS, Clock, Seconds, day_number

Span = tuple[int, int]
"""`[start, end)` in seconds after local midnight."""
Instants = TypeVar("Instants", int, datetime, NDArray[np.int64], NDArray[np.datetime64])
"""One instant, or an array of them."""
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Week:
    """The working week from `first` up to `end` (None: without limit). Days are numbered from Monday, 0.

    `hours`: seven lists of spans; one that runs past midnight (an end above 86,400) is split there, and its second
    part belongs to the next day.
    """

    hours: tuple[tuple[Span, ...], ...]
    weekend: frozenset[int] = frozenset()
    first: date | None = None
    end: date | None = None

    def __post_init__(self) -> None:
        spans = [span for day in self.hours for span in day]
        if len(self.hours) != 7 or any(not 0 <= a < b <= 2 * DAY_SECONDS or a >= DAY_SECONDS for a, b in spans):
            raise ValueError(f"a week has seven days of spans that start within their day: {self.hours}")

    @cached_property
    def by_day(self) -> tuple[tuple[Span, ...], ...]:
        """The hours of each day, split at midnight."""
        found: list[list[Span]] = [[] for _ in range(7)]
        for day, spans in enumerate(self.hours):
            for start, end in spans:
                found[day].append((start, min(end, DAY_SECONDS)))
                if end > DAY_SECONDS:
                    found[(day + 1) % 7].append((0, end - DAY_SECONDS))
        return tuple(tuple(sorted(spans)) for spans in found)

    @cached_property
    def working_day(self) -> tuple[Span, ...]:
        """The hours of a weekend day that is worked: those of the first day after the weekend that has any."""
        last = max(self.weekend, key=lambda day: (day + 1) % 7 not in self.weekend, default=6)
        return next((spans for i in range(1, 8) if (spans := self.by_day[(last + i) % 7])), ())


@dataclass(frozen=True)
class LocalDay:
    """One day of a market, with what made it so."""

    date: date
    spans: tuple[Span, ...]
    is_weekend: bool
    """A day of the weekend, also when it is worked."""
    holiday_name: str | None
    is_override: bool


@dataclass(frozen=True)
class Calendar:
    """The rules of the local days `[first, end)` of one zone.

    `worked`: weekend days that are worked. `overrides`: the hours of single days, None for those of a working day.
    The first that applies decides: override, holiday, weekend, hours.
    """

    zone: str
    first: date
    end: date
    weeks: tuple[Week, ...]
    holidays: Mapping[date, str] = field(default_factory=dict)
    worked: frozenset[date] = frozenset()
    overrides: Mapping[date, tuple[Span, ...] | None] = field(default_factory=dict)
    ends_because: str = ""
    """Why it ends where it does, for whoever asks for a later day."""

    def day(self, day: date) -> LocalDay:
        """Raises Rejected for a day outside the range, ValueError for one that no week covers."""
        if not self.first <= day < self.end:
            raise _outside(f"{day} lies outside the calendar, {self.first} to {self.end}", self.ends_because)
        week = next((w for w in self.weeks if (w.first or day) <= day and (w.end is None or day < w.end)), None)
        if week is None:
            raise ValueError(f"no working week covers {day}")
        is_weekend = day.weekday() in week.weekend
        working = week.working_day if is_weekend else week.by_day[day.weekday()]
        holiday = self.holidays.get(day)
        if day in self.overrides:
            given = self.overrides[day]
            spans = working if given is None else given
        elif holiday is not None or (is_weekend and day not in self.worked):
            spans = ()
        else:
            spans = working
        return LocalDay(day, spans, is_weekend, holiday, day in self.overrides)

    @cached_property
    def days(self) -> tuple[LocalDay, ...]:
        count = (self.end - self.first).days
        return tuple(self.day(self.first + timedelta(days=offset)) for offset in range(count))

    @cached_property
    def midnights(self) -> Seconds:
        """When each day begins, and when the last one ends: UTC seconds."""
        return Clock(self.zone, self.first, self.end).midnights(self.first, self.end)

    @cached_property
    def spine(self) -> Spine:
        clock = Clock(self.zone, self.first, self.end)
        flat = [(index, start, end) for index, day in enumerate(self.days) for start, end in day.spans]
        index, start, end = np.array(flat, dtype=np.int64).reshape(-1, 3).T
        midnight = (day_number(self.first) + index) * DAY_SECONDS
        # A day ends where the next begins, also where its last hour comes twice.
        starts = np.maximum(clock.starts(midnight + start), self.midnights[index])
        ends = np.minimum(clock.ends(midnight + end), self.midnights[index + 1])
        return Spine.of(starts, ends, int(self.midnights[0]), int(self.midnights[-1]), self.ends_because)


class Spine:
    """Sorted open intervals `[start, end)` over a stated range of instants. A question about an instant outside it, or
    whose answer lies outside, raises Rejected."""

    def __init__(self, starts: Seconds, ends: Seconds, first: int, end: int, ends_because: str = "") -> None:
        self.starts, self.ends = starts, ends
        self.first, self.end, self.ends_because = first, end, ends_because
        self._open_before = np.concatenate([[0], np.cumsum(ends - starts)])
        """Open seconds before each interval, and all of them."""

    @classmethod
    def of(cls, starts: Seconds, ends: Seconds, first: int, end: int, ends_because: str = "") -> Spine:
        """From intervals in any order, which may be empty, touch and overlap."""
        kept = ends > starts
        order = np.argsort(starts[kept], kind="stable")
        starts, ends = starts[kept][order], np.maximum.accumulate(ends[kept][order])
        is_new = np.ones(len(starts), dtype=bool)
        is_new[1:] = starts[1:] > ends[:-1]
        is_last = np.append(is_new[1:], True)[: len(starts)]
        return cls(starts[is_new], ends[is_last], first, end, ends_because)

    def minus(self, other: Spine) -> Spine:
        """What is open here and not there, over the range that both cover."""
        first, end = max(self.first, other.first), min(self.end, other.end)
        # At each border: how many of the two are open from there on, the other counting against.
        borders = np.concatenate([self.starts, self.ends, other.starts, other.ends])
        change = np.repeat([1, -1, -1, 1], [len(self.starts), len(self.ends), len(other.starts), len(other.ends)])
        order = np.argsort(borders, kind="stable")
        borders, level = borders[order], np.cumsum(change[order])
        following = np.append(borders[1:], end)[: len(borders)]
        is_open = (level == 1) & (following > borders)
        starts, ends = np.maximum(borders[is_open], first), np.minimum(following[is_open], end)
        return Spine.of(starts, ends, first, end, self.ends_because if end == self.end else other.ends_because)

    @overload
    def open_seconds(self, a: int | datetime, b: int | datetime) -> int: ...
    @overload
    def open_seconds(self, a: NDArray[np.generic], b: NDArray[np.generic]) -> Seconds: ...
    def open_seconds(
        self, a: int | datetime | NDArray[np.generic], b: int | datetime | NDArray[np.generic]
    ) -> int | Seconds:
        """Open seconds in `[a, b)`; negative when b is before a."""
        found = self._position(self._inside(b)) - self._position(self._inside(a))
        return found if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else int(found)

    def next_open(self, t: Instants) -> Instants:
        """`t` itself if it is open then, else the next start."""
        instants = self._inside(t)
        index, is_open = self._at(instants)
        self._refuse(~is_open & (index + 1 >= len(self.starts)), instants, "has no opening after it in")
        found: Instants = _like(t, np.append(self.starts, self.end)[index + 1], unchanged=is_open)
        return found

    def add(self, t: Instants, seconds: int) -> Instants:
        """The first instant by which `seconds` have been open since `t`."""
        if seconds < 0:
            raise ValueError(f"open seconds are added forwards, not {seconds}")
        instants = self._inside(t)
        if seconds == 0:
            return t
        target = self._position(instants) + seconds
        index = np.searchsorted(self._open_before[1:], target)
        self._refuse(index >= len(self.starts), instants, "has not as many open seconds after it in")
        found: Instants = _like(t, self.starts[index] + target - self._open_before[index])
        return found

    def send_window(self, requested: datetime, max_lateness: timedelta) -> datetime | None:
        """When to send what was planned for `requested`: then or at the next opening; None, missed, when that is more
        than `max_lateness` later. A local plan becomes an instant by `zones.to_utc`, so it goes out once."""
        requested = to_utc_naive(requested)
        index, is_open = self._at(self._inside(requested))
        is_last = not is_open and index + 1 >= len(self.starts)
        if is_last and max_lateness < _datetime(self.end) - requested:
            return None  # what opens beyond the calendar comes too late, whenever that is
        at = self.next_open(requested)
        return at if at - requested <= max_lateness else None

    def is_open(self, t: int | datetime | NDArray[np.generic]) -> NDArray[np.bool_]:
        return self._at(self._inside(t))[1]

    def _inside(self, given: int | datetime | NDArray[np.generic]) -> Seconds:
        instants = _seconds(given)
        self._refuse((instants < self.first) | (instants > self.end), instants, "lies outside")
        return instants

    def _refuse(self, faulty: NDArray[np.bool_], instants: Seconds, problem: str) -> None:
        if np.any(faulty):
            first = int(np.atleast_1d(instants)[np.atleast_1d(faulty)][0])
            covered = f"{_datetime(self.first)} to {_datetime(self.end)}"
            raise _outside(f"{_datetime(first)} UTC {problem} the calendar's range, {covered}", self.ends_because)

    def _at(self, instants: Seconds) -> tuple[Seconds, NDArray[np.bool_]]:
        """The last interval that has started, -1 for none, and whether it is still open."""
        index = np.searchsorted(self.starts, instants, side="right") - 1
        ends = np.append(self.ends, self.first)  # index -1 finds an end before everything
        return index, instants < ends[index]

    def _position(self, instants: Seconds) -> Seconds:
        """Open seconds from the range's start to each instant."""
        index = np.searchsorted(self.starts, instants, side="right") - 1
        starts, ends = np.append(self.starts, self.first), np.append(self.ends, self.first)
        inside = np.minimum(instants, ends[index]) - starts[index]
        return np.where(index < 0, 0, self._open_before[index] + inside)


def hours_text(spans: Iterable[Span]) -> str | None:
    """`09:00-12:30 14:00-18:00`; None for a closed day."""
    clock = "{:02}:{:02}".format
    return " ".join("-".join(clock(*divmod(second // 60, 60)) for second in span) for span in spans) or None


def _seconds(given: Any) -> Seconds:
    """Whole UTC seconds since 1970, as an array of any shape."""
    if isinstance(given, datetime):
        return np.asarray((to_utc_naive(given) - _EPOCH) // timedelta(seconds=1), dtype=np.int64)
    array = np.asarray(given)
    if array.dtype.kind == "M":
        return array.astype("datetime64[s]").astype(np.int64)
    if array.dtype.kind != "i":
        raise TypeError(f"instants are whole seconds, datetime64 or datetime, not {array.dtype}")
    return array.astype(np.int64)


def _like(given: Any, seconds: Seconds, unchanged: NDArray[np.bool_] | None = None) -> Any:
    """UTC seconds in the form in which the question was put; `unchanged`: where the given instant is the answer."""
    if isinstance(given, datetime):
        return to_utc_naive(given) if unchanged is not None and unchanged else _datetime(int(seconds))
    array = np.asarray(given)
    if array.dtype.kind == "M":
        found = seconds.astype("datetime64[s]").astype(array.dtype)
        return found if unchanged is None else np.where(unchanged, array, found)[()]
    found = seconds if unchanged is None else np.where(unchanged, array, seconds)
    return int(found) if isinstance(given, int) else found[()]


def _outside(problem: str, why: str) -> Rejected:
    return Rejected("OUTSIDE_CALENDAR", f"{problem}{f': {why}' if why else ''}")


def _datetime(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


def open_seconds(market: Calendar, a: int | datetime, b: int | datetime) -> int:
    """Seconds in `[a, b)` in which the market is open."""
    return market.spine.open_seconds(a, b)


def next_open(market: Calendar, t: Instants) -> Instants:
    """`t` if the market is open then, else when it opens next."""
    return market.spine.next_open(t)


def send_window(channel: Spine, requested: datetime, max_lateness: timedelta) -> datetime | None:
    """When a message planned for `requested` goes out on a contact channel; None when it is missed."""
    return channel.send_window(requested, max_lateness)
