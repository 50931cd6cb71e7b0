"""Markets and their local days in the warehouse, as configuration and this machine's zone database have them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from caravan.assembly.warehouse import utc_now
from caravan.config import calendars, markets
from caravan.config.markets import FIRST_DAY
from caravan.config.types import Configuration
from caravan.core import calendar, zones
from caravan.functions.markets import calendar as market_calendar
from caravan.warehouse.store import Store


def put_markets(store: Store, configuration: Configuration, run_id: str) -> list[str]:
    """Bring markets and market dates up to date; codes of the markets whose days were computed anew."""
    today = utc_now().date()
    end = calendars.horizon(today)
    return market_calendar.put_markets(configuration.markets, today, FIRST_DAY, end, _code_version(), run_id, store)


@cache
def _code_version() -> str:
    """A digest of the code that computes a calendar: a mended error reaches the days already stored."""
    digest = hashlib.sha256()
    for module in (zones, calendar, calendars, markets, market_calendar):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:12]
