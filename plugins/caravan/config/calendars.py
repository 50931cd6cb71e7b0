"""A market's rules as the plain calendars of `caravan.core.calendar`, with the holidays of the `holidays` package.

A calendar covers FIRST_DAY up to the end asked for, or up to the first day whose holidays nobody knows yet: there is
no such thing as a year without holidays by default.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from importlib.metadata import version as installed_version
from typing import Any

import holidays as library
from babel import Locale

from caravan.config import markets
from caravan.config.markets import FIRST_DAY, ContactChannel, Market, SendWindow, by_weekday
from caravan.core.calendar import Calendar, Span, Spine, Week
from caravan.core.errors import Fault, Rejected
from caravan.core.zones import Clock

LIBRARY_VERSION = f"holidays {installed_version('holidays')}"


def horizon(today: date) -> date:
    """Where calendars end unless told otherwise: with the year after this one."""
    return date(today.year + 2, 1, 1)


def business_calendar(market: Market, end: date, first: date = FIRST_DAY) -> Calendar:
    """When the market works, from `first` up to `end`, or less where its holidays are not known so far."""
    covered, why = covered_end(market, end)
    if covered <= first:
        raise Rejected("OUTSIDE_CALENDAR", f"the calendar of {market.code} ends on {covered}: {why}")
    holidays, worked = _holidays(market, first, covered)
    return Calendar(
        market.zone,
        first,
        covered,
        tuple(
            Week(
                by_weekday(version.hours),
                frozenset(markets.WEEKDAYS.index(day) for day in version.weekend),
                version.valid_from,
                version.valid_to,
            )
            for version in market.time.versions()
        ),
        holidays,
        worked,
        {each.date: _override(each) for each in market.overrides},
        why,
    )


def contact_spine(market: Market, channel: ContactChannel, end: date, zone: str | None = None) -> Spine:
    """When messages may go out on a channel, from FIRST_DAY up to `end`: its windows less its quiet hours.

    `zone`: the recipient's, where it is known and not the market's main one. Raises Rejected when the market never
    allows the channel.
    """
    windows = [(version, version.channels.get(channel)) for version in market.contact.versions()]
    if not any(window for _, window in windows):
        raise Rejected("CHANNEL_NOT_ALLOWED", f"market {market.code} does not allow the contact channel '{channel}'")
    covered, why = end, ""
    if any(window and not window.on_holidays for _, window in windows):
        covered, why = covered_end(market, end)
    holidays, _ = _holidays(market, FIRST_DAY, covered)
    closed = {
        day: name
        for day, name in holidays.items()
        if any(window and not window.on_holidays and version.holds_on(day) for version, window in windows)
    }

    def spine(hours: tuple[tuple[tuple[Span, ...], ...], ...], holidays: dict[date, str]) -> Spine:
        weeks = tuple(
            Week(each, first=version.valid_from, end=version.valid_to)
            for (version, _), each in zip(windows, hours, strict=True)
        )
        return Calendar(zone or market.zone, FIRST_DAY, covered, weeks, holidays, ends_because=why).spine

    send = spine(tuple(by_weekday(window.send) if window else ((),) * 7 for _, window in windows), closed)
    return send.minus(spine(tuple(_quiet(window) for _, window in windows), {}))


def registry_version(market: Market, end: date) -> str:
    """What a calendar was computed from: the market's rules, the zone's changes, the package's version."""
    clock = Clock(market.zone, FIRST_DAY, end)
    content = market.model_dump_json().encode() + clock.fingerprint() + LIBRARY_VERSION.encode()
    return f"{hashlib.sha256(content).hexdigest()[:12]}, {LIBRARY_VERSION}"


def outdated(market: Market, today: date) -> Iterator[Fault]:
    """What a market's file, or the package, does not know of the days to come. To be told, and no fault: time alone
    must not stop what ran yesterday."""
    where = f"markets/{market.code.lower()}.yml"
    covered, why = covered_end(market, horizon(today))
    if covered < horizon(today):
        yield Fault(f"{where} calendar", f"ends on {covered}: {why}")
    for index, event in enumerate(market.peak_events):
        last = max(end for _, end in event.dates)
        if last < today:
            yield Fault(f"{where} peak_events[{index}].dates", f"'{event.name}' has no date after {last}; add the next")


def _override(given: markets.Override) -> tuple[Span, ...] | None:
    if given.hours == "open":
        return None
    return () if given.hours == "closed" else given.hours


def _quiet(window: SendWindow | None) -> tuple[tuple[Span, ...], ...]:
    return (window.quiet if window else (),) * 7


def covered_end(market: Market, end: date) -> tuple[date, str]:
    """The first day up to `end` whose holidays are not known, and why; `end` itself when all are."""
    for year in range(FIRST_DAY.year, end.year + 1):
        for version in market.calendar.versions():
            first = max(date(year, 1, 1), version.valid_from or FIRST_DAY)
            until = min(end, date(year + 1, 1, 1), version.valid_to or end)
            if first < until and (why := _unknown(market, version, year)):
                return first, why
    return end, ""


def _unknown(market: Market, version: markets.Calendar, year: int) -> str:
    """Why the holidays of a year are not known; empty when they are."""
    listed = any(each.date.year == year for each in market.overrides)
    if version.holidays == "overrides" and not listed:
        return f"`overrides` is the list of holidays and has none of {year}; add them"
    if version.holidays == "library":
        known = _library_days(market, version, year)
        if known is None:
            return f"{LIBRARY_VERSION} does not cover {year}; upgrade it, or set `holidays: overrides`"
        if version.announced_yearly and not known[1] and not listed:
            return (
                f"{LIBRARY_VERSION} does not have what was announced for {year}; upgrade it when it does, or add the "
                "days to `overrides`"
            )
    return ""


def _holidays(market: Market, first: date, end: date) -> tuple[dict[date, str], frozenset[date]]:
    """Names of holidays and worked weekend days in `[first, end)`, all of it covered."""
    names: dict[date, str] = {}
    worked: set[date] = set()
    closed = {
        each.date: each.reason for each in market.overrides if each.hours == "closed" and first <= each.date < end
    }
    for version in market.calendar.versions():
        if version.holidays == "overrides":
            names |= {day: reason for day, reason in closed.items() if version.holds_on(day)}
        if version.holidays != "library":
            continue
        for year in range(first.year, end.year + 1):
            found, weekend_days = _library_days(market, version, year) or ({}, frozenset())
            names |= {day: name for day, name in found.items() if first <= day < end and version.holds_on(day)}
            worked |= {day for day in weekend_days if first <= day < end and version.holds_on(day)}
    return names, frozenset(worked)


def _library_days(
    market: Market, version: markets.Calendar, year: int
) -> tuple[dict[date, str], frozenset[date]] | None:
    tag = market.language.on(max(FIRST_DAY, date(year, 1, 1))).languages[0]
    return _year(version.holiday_country or market.country, version.subdivision, version.categories, tag, year)


@lru_cache(maxsize=4096)
def _year(
    country: str, subdivision: str | None, categories: tuple[str, ...], tag: str, year: int
) -> tuple[dict[date, str], frozenset[date]] | None:
    """Holidays of a year by the name that the language has for them, where the package has it; None if not covered."""
    kind: Any = getattr(library, country)
    if not kind.start_year <= year <= kind.end_year:
        return None
    locale = Locale.parse(tag, sep="-")
    spoken = [
        name for name in (f"{locale.language}_{locale.territory}", locale.language) if name in kind.supported_languages
    ]
    found = library.country_holidays(
        country,
        subdiv=subdivision,
        categories=categories,
        years=year,
        language=spoken[0] if spoken else None,
        expand=False,
    )
    # The package gives worked days at the end of some other years with every year.
    return dict(found.items()), frozenset(day for day in found.weekend_workdays if day.year == year)
