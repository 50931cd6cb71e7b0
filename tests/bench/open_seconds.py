"""Open seconds of a million spans over 8 markets, against plain subtraction and numpy's count of business days.

    python tests/bench/open_seconds.py [--spans 1000000]

Prints the time to build the spines (4 years), to measure the spans, and the ratio to two peers in the same process:
a bare subtraction of the same arrays, and `numpy.busday_count` (whole days with holidays; no hours, no zones).
Fails under the floor: more than 3 seconds for the spans, or for the spines. Each time is the best of five.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import date

import numpy as np

from caravan import INCLUDE_DIR
from caravan.config.calendars import business_calendar
from caravan.config.loader import load

FLOOR_S, GOAL_S = 3.0, 1.0
FIRST, END = date(2023, 1, 1), date(2027, 1, 1)
MARKETS = ("DE", "FR", "GB", "US", "JP", "CN", "BR", "AE")


def best(work: Callable[[], object], times: int = 5) -> float:
    """Seconds of the fastest of several runs."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=1_000_000)
    count = parser.parse_args().spans // len(MARKETS)
    markets = load(INCLUDE_DIR / "config").markets
    build = best(lambda: [business_calendar(markets[code], END, FIRST).spine for code in MARKETS])
    dice = np.random.default_rng(1)
    work = []
    for code in MARKETS:
        calendar = business_calendar(markets[code], END, FIRST)
        low, high = calendar.spine.first, calendar.spine.end - 30 * 86_400
        starts = dice.integers(low, high, count)
        work.append((calendar, starts, starts + dice.integers(0, 30 * 86_400, count)))
    spans = best(lambda: [calendar.spine.open_seconds(a, b) for calendar, a, b in work])
    subtraction = best(lambda: [b - a for _, a, b in work])
    days = [
        (list(calendar.holidays), a.astype("M8[s]").astype("M8[D]"), b.astype("M8[s]").astype("M8[D]"))
        for calendar, a, b in work
    ]
    business_days = best(lambda: [np.busday_count(a, b, holidays=holidays) for holidays, a, b in days])
    total = count * len(MARKETS)
    print(f"spines of {len(MARKETS)} markets, 4 years: {build:.2f} s")
    print(f"{total:,} spans: {spans:.2f} s (goal {GOAL_S:g} s), {spans / total * 1e9:,.0f} ns each")
    print(f"  a bare subtraction: {subtraction:.4f} s, {spans / subtraction:,.0f} times as fast")
    print(f"  business days by numpy: {business_days:.3f} s, {business_days / spans:.1f} times as long")
    return int(max(spans, build) > FLOOR_S)


if __name__ == "__main__":
    sys.exit(main())
