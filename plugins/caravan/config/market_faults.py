"""What a market's file must make sense of, beyond keys and types.

Works on the document as written, as for channels: a wrong type in one place does not hide a gap in another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from itertools import pairwise
from typing import Any

import holidays
from babel import Locale, UnknownLocaleError
from pydantic import TypeAdapter, ValidationError

from caravan.config.calendars import covered_end
from caravan.config.document import Document, Location
from caravan.config.frozen import Day
from caravan.config.markets import FIRST_DAY, WEEKDAYS, Market, SendWindow, Weekly, weekdays
from caravan.config.types import OTHER_MARKET
from caravan.config.validation import validate
from caravan.core.codes import country_codes, currency_codes
from caravan.core.errors import Fault, nearest
from caravan.core.money import ended_currencies, minor_units
from caravan.core.zones import DAY_SECONDS

GROUPS = ("money", "language", "time", "calendar", "contact", "privacy")
_WEEK_SECONDS = 7 * DAY_SECONDS
_LEAST_OPEN_SECONDS = 3600


def read_market(document: Document, stem: str, regimes: Collection[str]) -> tuple[Market | None, list[Fault]]:
    """The market of a file named `stem`.yml, or None and every fault of its file. `regimes`: those of privacy."""
    market, faults = validate(document, Market)
    told = {fault.where for fault in faults}
    # What could not be read is no value that makes no sense as well.
    own = [*_own_faults(document, stem), *_regime_faults(document, regimes)]
    faults += [fault for fault in own if fault.where not in told]
    if market is not None and not faults:
        faults += _coverage_faults(document, market)
    return (None if faults else market), faults


def _own_faults(document: Document, stem: str) -> Iterator[Fault]:
    code, country = document.text("code"), document.text("country")
    if code is not None and code != stem.upper():
        message = f"'{code}' differs from the file's name; rename the file to {code.lower()}.yml"
        yield document.fault(("code",), message)
    if country is not None and country not in country_codes() and (country, code) != (OTHER_MARKET, OTHER_MARKET):
        yield document.fault(("country",), f"'{country}' is no ISO 3166-1 code (like DE)")
    for group in GROUPS:
        yield from _validity_faults(document, group)
        found = document.value(group)
        for index in range(len(found) if isinstance(found, list) else 0):
            yield from _VERSION_FAULTS[group](document, (group, index))
    yield from _override_faults(document)


def _validity_faults(document: Document, group: str) -> Iterator[Fault]:
    """Versions follow each other without gap or overlap, from FIRST_DAY on and without end."""
    versions = document.value(group)
    if not isinstance(versions, list):
        return
    if not versions:
        yield document.fault((group,), "is empty; give at least one version")
        return
    spans: list[tuple[date | None, date | None]] = []
    for index in range(len(versions)):
        start, end = (_typed(document, (group, index, name), Day) for name in ("valid_from", "valid_to"))
        named = document.mapping(group, index)
        if (start is None and named.get("valid_from")) or (end is None and named.get("valid_to")):
            return  # told by its type
        if start and end and end <= start:
            yield document.fault((group, index, "valid_to"), f"{end} is not after valid_from {start}")
            return
        spans.append((start, end))
    for index, ((_, end), (start, _)) in enumerate(pairwise(spans), start=1):
        at: Location = (group, index, "valid_from")
        if start is None:
            yield document.fault(at, "is required: only the first version, the oldest, may begin without it")
        elif end is None:
            message = f"overlaps the version before it, which has no valid_to; end that one on {start}"
            yield document.fault(at, message)
        elif start < end:
            yield document.fault(at, f"{start} overlaps the version before it, which holds to {end}")
        elif start > end:
            yield document.fault(at, f"nothing holds from {end} to {start}: the version before it ends on {end}")
    if spans[0][0] and spans[0][0] > FIRST_DAY:
        message = f"nothing holds from {FIRST_DAY} to {spans[0][0]}; say what was before, or begin earlier"
        yield document.fault((group, 0, "valid_from"), message)
    if spans[-1][1]:
        message = f"nothing holds from {spans[-1][1]} on; add the version that follows, or remove the line"
        yield document.fault((group, len(spans) - 1, "valid_to"), message)


def _money_faults(document: Document, here: Location) -> Iterator[Fault]:
    currency = document.text(*here, "currency")
    if currency is None:
        return
    if currency not in currency_codes():
        yield document.fault((*here, "currency"), f"'{currency}' is no ISO 4217 code (like EUR)")
        return
    ended = ended_currencies().get(currency)
    until = _typed(document, (*here, "valid_to"), Day)
    if ended and (until is None or until > ended.ended_on):
        message = (
            f"'{currency}' ended on {ended.ended_on}, when {ended.successor} took its place; "
            f"end this version on that day and add one with {ended.successor}"
        )
        yield document.fault((*here, "currency"), message)
    step = document.text(*here, "cash_rounding")
    if step is not None:
        try:
            units = Decimal(step).scaleb(minor_units(currency))
            fits = units > 0 and units == units.to_integral_value()
        except (InvalidOperation, ValueError):
            return  # told by its type
        if not fits:
            message = f"'{step}' is no positive multiple of the smallest unit of {currency}, "
            yield document.fault((*here, "cash_rounding"), message + f"{Decimal(1).scaleb(-minor_units(currency))}")


def _language_faults(document: Document, here: Location) -> Iterator[Fault]:
    languages = document.value(*here, "languages")
    fallback = document.mapping(*here, "fallback")
    tags = languages if isinstance(languages, list) else []
    for index, tag in enumerate(tags):
        if isinstance(tag, str) and not _is_language(tag):
            message = f"'{tag}' is no language tag of BCP 47 that CLDR knows (like de-AT)"
            yield document.fault((*here, "languages", index), message)
        elif tag in tags[:index]:
            yield document.fault((*here, "languages", index), f"'{tag}' is given twice")
    ends: dict[str, str] = {}
    for tag, following in fallback.items():
        for each in (tag, following):
            if isinstance(each, str) and not _is_language(each):
                yield document.fault((*here, "fallback", tag), f"'{each}' is no language tag of BCP 47 (like de-AT)")
        chain = [tag]
        while isinstance(following, str) and following not in chain:
            chain.append(following)
            following = fallback.get(following)
        if isinstance(following, str):
            loop = " -> ".join([*chain, following])
            yield document.fault((*here, "fallback", tag), f"the chain {loop} never ends")
            return
        ends[tag] = chain[-1]
    last = {ends.get(tag, tag): tag for tag in tags if isinstance(tag, str)}
    if len(last) > 1:
        shown = ", ".join(f"that of {tag} at {end}" for end, tag in last.items())
        message = f"the chains end at several tags, {shown}; all end at the language of the source texts"
        yield document.fault((*here, "fallback"), message)


def _time_faults(document: Document, here: Location) -> Iterator[Fault]:
    yield from _weekly_faults(document, (*here, "hours"))
    hours = _typed(document, (*here, "hours"), Weekly)
    if hours is None:
        return
    weekend = _typed(document, (*here, "weekend"), tuple[str, ...]) or ()
    if not any(hours.values()):
        yield document.fault((*here, "hours"), "the market is never open; give at least one day its hours")
    for days, spans in hours.items():
        reached = {day for day in weekdays(days) if spans}
        reached |= {(day + 1) % 7 for day in reached if any(end > DAY_SECONDS for _, end in spans)}
        if both := [WEEKDAYS[day] for day in sorted(reached) if WEEKDAYS[day] in weekend]:
            message = f"{', '.join(both)} is in the weekend, on which nobody works; give it no hours"
            yield document.fault((*here, "hours", days), message)


def _weekly_faults(document: Document, here: Location) -> Iterator[Fault]:
    """A day named twice, and spans that overlap, those from the evening before included."""
    weekly = _typed(document, here, Weekly)
    named: dict[int, str] = {}
    for days in weekly or {}:
        for day in weekdays(days):
            if day in named:
                message = f"{WEEKDAYS[day]} is in '{named[day]}' as well; give each day its hours once"
                yield document.fault((*here, days), message)
                return
            named[day] = days
    spans = sorted(_week_spans(weekly or {}))
    for (_, end, _), (start, _, days) in pairwise([*spans, *((a + _WEEK_SECONDS, b, d) for a, b, d in spans[:1])]):
        if start < end:
            yield document.fault((*here, days), "hours overlap; leave a break between them, or write them as one")
            return


def _week_spans(weekly: Weekly) -> Iterator[tuple[int, int, str]]:
    """Start and end of each span in seconds after Monday's midnight, and the key it is under."""
    for days, spans in weekly.items():
        for day in weekdays(days):
            for start, end in spans:
                yield day * DAY_SECONDS + start, day * DAY_SECONDS + end, days


def _calendar_faults(document: Document, here: Location) -> Iterator[Fault]:
    kind = document.text(*here, "holidays") or "library"
    if kind == "overrides" and not document.value("overrides"):
        yield document.fault((*here, "holidays"), "there are no `overrides`; list the market's holidays there")
    if kind != "library":
        for name in ("holiday_country", "subdivision", "categories"):
            if name in document.mapping(*here):
                yield document.fault((*here, name), f"means nothing with `holidays: {kind}`; remove the line")
        return
    given = document.text(*here, "holiday_country")
    country = given or document.text("country") or ""
    known = _library_country(country)
    if known is None:
        message = f"the `holidays` package knows no '{country}'; name its country, or set `holidays: overrides`"
        yield document.fault((*here, "holiday_country" if given else "holidays"), message)
        return
    subdivision = document.text(*here, "subdivision")
    if subdivision is not None and subdivision not in known.subdivisions:
        message = f"'{subdivision}' is no subdivision of {country}{nearest(subdivision, known.subdivisions)}"
        yield document.fault((*here, "subdivision"), message)
    categories = document.value(*here, "categories")
    for index, category in enumerate(categories if isinstance(categories, list) else []):
        if isinstance(category, str) and category not in known.supported_categories:
            message = f"'{category}' is no category of {country}{nearest(category, known.supported_categories)}"
            yield document.fault((*here, "categories", index), message)


def _contact_faults(document: Document, here: Location) -> Iterator[Fault]:
    for channel in document.mapping(*here, "channels"):
        at: Location = (*here, "channels", channel)
        yield from _weekly_faults(document, (*at, "send"))
        window = _typed(document, at, SendWindow)
        if window is None:
            continue
        minutes = bytearray(7 * 24 * 60)
        for start, end, _ in _week_spans(window.send):
            _mark(minutes, start, end, 1)
        for day in range(7):
            for start, end in window.quiet:
                _mark(minutes, day * DAY_SECONDS + start, day * DAY_SECONDS + end, 0)
        if sum(minutes) * 60 < _LEAST_OPEN_SECONDS:
            message = f"`send` and `quiet` leave {sum(minutes)} minutes a week; leave an hour, or remove the channel"
            yield document.fault(at, message)


def _mark(minutes: bytearray, start: int, end: int, value: int) -> None:
    """Sets the minutes of a span; what reaches over Sunday's midnight is on Monday."""
    for shift in (0, _WEEK_SECONDS):
        first, last = max(start - shift, 0) // 60, min(end - shift, _WEEK_SECONDS) // 60
        if first < last:
            minutes[first:last] = bytes([value]) * (last - first)


def _privacy_faults(document: Document, here: Location) -> Iterator[Fault]:
    residency = document.text(*here, "residency")
    if residency is not None and residency not in country_codes():
        yield document.fault((*here, "residency"), f"'{residency}' is no ISO 3166-1 code (like DE)")


_VERSION_FAULTS = {
    "money": _money_faults,
    "language": _language_faults,
    "time": _time_faults,
    "calendar": _calendar_faults,
    "contact": _contact_faults,
    "privacy": _privacy_faults,
}


def _regime_faults(document: Document, regimes: Collection[str]) -> Iterator[Fault]:
    versions = document.value("privacy")
    for index in range(len(versions) if isinstance(versions, list) else 0):
        regime = document.text("privacy", index, "regime")
        if regime is not None and regime not in regimes:
            message = f"there is no file privacy/{regime.lower()}.yml{nearest(regime, regimes)}"
            yield document.fault(("privacy", index, "regime"), message)


def _override_faults(document: Document) -> Iterator[Fault]:
    overrides = document.value("overrides")
    days: dict[str, int] = {}
    for index in range(len(overrides) if isinstance(overrides, list) else 0):
        day = document.text("overrides", index, "date")
        if day is not None and day in days:
            yield document.fault(("overrides", index, "date"), f"{day} is given twice; keep one")
        days[day or ""] = index


def _coverage_faults(document: Document, market: Market) -> Iterator[Fault]:
    """A calendar without a single day. One that ends later is told and no fault: see `calendars.outdated`."""
    covered, why = covered_end(market, date(FIRST_DAY.year + 1, 1, 1))
    if covered <= FIRST_DAY:
        message = (
            f"the calendar would end on its first day, {FIRST_DAY}: {why}, or let a version of its own with "
            "`holidays: none` hold until the first year that is known"
        )
        yield document.fault(("calendar", 0, "holidays"), message)


@cache
def _library_country(code: str) -> Any:
    """What the `holidays` package knows of a country; None for one it does not have."""
    try:
        return type(holidays.country_holidays(code))
    except NotImplementedError:
        return None


@cache
def _is_language(tag: str) -> bool:
    try:
        Locale.parse(tag, sep="-")
    except (UnknownLocaleError, ValueError):
        return False
    return True


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Making one takes longer than all that it is asked."""
    return TypeAdapter(kind)


def _typed(document: Document, location: Location, kind: Any) -> Any:
    """The value at a location as a type of configuration; None where there is none, or it is not of that type."""
    found = document.value(*location)
    try:
        return None if found is None else _adapter(kind).validate_python(found)
    except ValidationError:
        return None
