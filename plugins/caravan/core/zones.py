"""Local times as instants, many at once. Seconds count from 1970-01-01, of UTC or of the local clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.int64]

DAY_SECONDS = 86_400
_EPOCH = date(1970, 1, 1)


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - _EPOCH).days


class Clock:
    """The clock of one zone over the local days `[first, end)`.

    A local time that a change of offset skips stands for the first instant after the gap. One that comes twice stands
    for its first occurrence as a start, for its second as an end.
    """

    def __init__(self, zone: str, first: date, end: date) -> None:
        self.zone = zone
        # Offsets differ by up to 26 hours from UTC's days, and Samoa once skipped a whole one.
        self._at, self._offsets = _changes(zone, day_number(first) - 3, day_number(end) + 3)

    def starts(self, local: Seconds) -> Seconds:
        """Local seconds to UTC; the first of two, the end of a gap."""
        return self._instants(local, self._at + self._offsets[:-1])

    def ends(self, local: Seconds) -> Seconds:
        """Local seconds to UTC; the second of two, the end of a gap."""
        return self._instants(local, self._at + np.minimum(self._offsets[:-1], self._offsets[1:]))

    def _instants(self, local: Seconds, takes_over: Seconds) -> Seconds:
        """`takes_over`: the local time from which on each change's new offset counts."""
        past = np.searchsorted(takes_over, local, side="right")
        # In a gap the new offset leads back to before the change: it is the change.
        found: Seconds = np.maximum(local - self._offsets[past], np.append(np.iinfo(np.int64).min, self._at)[past])
        return found

    def offsets(self, instants: Seconds) -> Seconds:
        """UTC seconds to the offset in force, in seconds east of Greenwich."""
        return self._offsets[np.searchsorted(self._at, instants, side="right")]

    def fingerprint(self) -> bytes:
        """Differs where the zone database that this machine has moves a change of offset."""
        return self._at.tobytes() + self._offsets.tobytes()

    def midnights(self, first: date, end: date) -> Seconds:
        """The instants at which the local days of `[first, end]` begin: one more than days."""
        return self.starts(np.arange(day_number(first), day_number(end) + 1, dtype=np.int64) * DAY_SECONDS)


@lru_cache(maxsize=256)
def _changes(zone: str, first: int, end: int) -> tuple[Seconds, Seconds]:
    """The instants at which the offset changes between two days (numbers), and the offsets round them."""
    rules = ZoneInfo(zone)

    def offset(instant: int) -> int:
        found = datetime.fromtimestamp(instant, rules).utcoffset()
        assert found is not None  # a ZoneInfo always knows
        return round(found.total_seconds())

    at: list[int] = []
    offsets = [offset(first * DAY_SECONDS)]
    for day in range(first, end):
        low, high = day * DAY_SECONDS, (day + 1) * DAY_SECONDS
        if (after := offset(high)) == offsets[-1]:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if offset(middle) == offsets[-1]:
                low = middle
            else:
                high = middle
        at.append(high)
        offsets.append(after)
    return np.array(at, dtype=np.int64), np.array(offsets, dtype=np.int64)


def to_utc(local: datetime, zone: str, *, is_end: bool = False) -> datetime:
    """A local time without zone as UTC without zone. A time planned on the clock of a recipient is such a start:
    in a gap it moves to the first instant after it, of two occurrences it is the first, so that it happens once."""
    clock = Clock(zone, local.date(), local.date() + timedelta(days=1))
    seconds = day_number(local.date()) * DAY_SECONDS + local.hour * 3600 + local.minute * 60 + local.second
    read = clock.ends if is_end else clock.starts
    whole = int(read(np.array([seconds], dtype=np.int64))[0])
    return datetime.fromtimestamp(whole, UTC).replace(tzinfo=None) + timedelta(microseconds=local.microsecond)
