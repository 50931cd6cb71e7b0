"""Markets and their local days as reference rows, brought up to date where rules, zones or holidays changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Protocol

import numpy as np

from caravan.config.calendars import business_calendar, outdated, registry_version
from caravan.config.markets import Market
from caravan.core.calendar import Calendar, hours_text
from caravan.core.errors import Rejected
from caravan.core.zones import Clock

log = logging.getLogger(__name__)

MARKET = "raw.config__market"
MARKET_DATE = "raw.config__market_date"


class ReferenceStore(Protocol):
    """The warehouse as keeper of small tables that configuration fills."""

    def reference_values(self, table: str, key: str, value: str) -> Mapping[str, str | None]:
        """One column of a reference table as it stands, by another."""
        ...

    def put_reference(self, table: str, rows: Sequence[Mapping[str, object]], key: Sequence[str], run_id: str) -> None:
        """Bring a reference table up to date; what changed becomes new versions, a row not given stays."""
        ...


def put_markets(
    markets: Mapping[str, Market],
    today: date,
    first: date,
    end: date,
    code_version: str,
    run_id: str,
    store: ReferenceStore,
) -> list[str]:
    """Every market as its rules are today, and each local day in `[first, end)` of those whose rules changed; returns
    their codes. `code_version`: of what computes the days.

    A market whose calendar has no day at all is told and gets its row only: it must not stop the others. A market's
    row is written after its days, so what is cut off is done again.
    """
    known = store.reference_values(MARKET, "market_code", "calendar_version")
    rows: list[dict[str, object]] = []
    days: list[dict[str, object]] = []
    changed: list[str] = []
    for code, market in sorted(markets.items()):
        for notice in outdated(market, today):
            log.warning("%s", notice)
        version = registry_version(market, end)
        basis = f"{version}, {first} to {end}, code {code_version}"
        rows.append(market_row(market, today) | {"calendar_version": basis})
        if known.get(code) == basis:
            continue
        try:
            calendar = business_calendar(market, end, first)
        except Rejected as error:
            log.warning("no days of %s are written: %s", code, error)
            continue
        changed.append(code)
        days += market_days(market, calendar, version)
    if changed:
        log.info("calendar of %s: %s days", ", ".join(changed), len(days))
        store.put_reference(MARKET_DATE, days, ("market_code", "local_date"), run_id)
    store.put_reference(MARKET, rows, ("market_code",), run_id)
    return changed


def market_row(market: Market, today: date) -> dict[str, object]:
    """A market as its rules are on a day."""
    money, language, time = market.money.on(today), market.language.on(today), market.time.on(today)
    privacy = market.privacy.on(today)
    return {
        "market_code": market.code,
        "name": market.name,
        "country_code": market.country,
        "currency_code": money.currency,
        "zone": market.zone,
        "further_zones": " ".join(market.further_zones),
        "locale": language.languages[0],
        "locales": " ".join(language.languages),
        "text_direction": language.direction,
        "rounding_mode": money.rounding,
        "cash_rounding_amount": money.cash_rounding,
        "tax_display": money.tax_display,
        "vat_pct": money.vat_pct,
        "weekend_days": " ".join(time.weekend),
        "week_start_day": time.week_start,
        "fiscal_year_start": time.fiscal_year_start,
        "contact_channels": " ".join(sorted(market.contact.on(today).channels)),
        "privacy_regime": privacy.regime,
        "residency_code": privacy.residency,
    }


def market_days(market: Market, calendar: Calendar, version: str) -> Iterator[dict[str, object]]:
    """A row for each local day of the calendar. `version`: of the rules, the zones and the holidays it comes from."""
    midnights = calendar.midnights
    instants = midnights.astype("datetime64[s]").astype(object)
    lengths = np.diff(midnights) // 60
    open_seconds = calendar.spine.open_seconds(midnights[:-1], midnights[1:])
    offsets = Clock(calendar.zone, calendar.first, calendar.end).offsets(midnights)
    for index, day in enumerate(calendar.days):
        time = market.time.on(day.date)
        iso = day.date.isocalendar()
        yield {
            "market_code": market.code,
            "local_date": day.date,
            "utc_start_at": instants[index],
            "utc_end_at": instants[index + 1],
            "day_length_min": int(lengths[index]),
            "is_dst_change": bool(offsets[index] != offsets[index + 1]),
            "iso_weekday": iso.weekday,
            "is_weekend": day.is_weekend,
            "is_holiday": day.holiday_name is not None,
            "holiday_name": day.holiday_name,
            "is_override": day.is_override,
            "opening_hours": hours_text(day.spans),
            "open_seconds": int(open_seconds[index]),
            "week_start_date": time.week_of(day.date),
            "iso_week": f"{iso.year}-W{iso.week:02}",
            "fiscal_year": time.fiscal_year(day.date),
            "peak_event": market.peak_event(day.date),
            "registry_version": version,
        }
