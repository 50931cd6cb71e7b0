"""Rates that a person of the demo supplies: the ECB quotes no dirham. One of them has its point in a wrong place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from caravan.core.rates import ENTITY, channel_of
from caravan.demo.truth import DeliveryTruth

FOLDER = "incoming/rates"
NAME = "dirham.csv"
_PEG = "3.6725"
"""Dirhams for a dollar, fixed by the central bank since 1997."""
BAD_DAY, _BAD = 11, "367.25"
"""Counted from the first day of orders, 0. The day takes the rate of the day before."""


@dataclass(frozen=True)
class RateFile:
    """A rate for each day from the one before the first order on."""

    days: Sequence[date]
    name: str = NAME

    @property
    def delivered(self) -> datetime:
        return datetime.combine(self.days[-1] + timedelta(days=1), time(5), UTC)

    def content(self) -> bytes:
        lines = ["date,currency,rate,source,base"]
        for number, day in enumerate([self.days[0] - timedelta(days=1), *self.days], start=-1):
            lines.append(f"{day},AED,{_BAD if number == BAD_DAY else _PEG},Central Bank of the UAE,USD")
        return ("\n".join(lines) + "\n").encode()

    def truth(self) -> DeliveryTruth:
        received = len(self.days) + 1
        return DeliveryTruth(
            channel_of("user"), ENTITY, NAME, received, received - 1, 0, 0, {"RATE_SPIKE": 1}, deleted=0, moved=0
        )
