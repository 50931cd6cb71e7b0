"""What project.yml may say about exchange rates, under `fx`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from caravan.config.frozen import Frozen

MOST_CARRY_DAYS = 14
"""What stg.fx__rate and the models on it look back, whatever `max_carry_days` is."""


class Fx(Frozen):
    """Exchange rates: how long one holds, and which are too strange to be used unasked."""

    max_carry_days: Annotated[int, Field(ge=0, le=MOST_CARRY_DAYS)] = 7
    """A day without a rate takes the last one before it, if it is not older than this; else amounts have none."""
    max_daily_change: Annotated[Decimal, Field(gt=0, le=10)] = Decimal("0.2")
    """A rate that differs by a larger share from the one that held before is quarantined until it is confirmed."""
    max_source_difference: Annotated[Decimal, Field(gt=0, le=1)] = Decimal("0.01")
    """Two sources that differ by a larger share on one day are told as a warning."""
    fetch_url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = None
    """Where the ECB's eurofxref-hist.zip is fetched from; nothing is fetched without it."""
