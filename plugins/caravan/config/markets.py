"""A market's file: which currency, language, clock, holidays, hours and law hold there, and from which day on.

Rules come in groups; a group is a list of versions, each with the days on which it holds. A backfill of a past day
asks a group for that day: `market.money.on(day)`. See docs/decisions/0007-rules-by-date.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Generic, Literal, TypeVar

from babel import Locale
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, RootModel

from caravan.config.frozen import Day, Frozen, Zone, read_day
from caravan.core.calendar import Span
from caravan.core.errors import Fault, Misconfigured
from caravan.core.money import RoundingMode
from caravan.core.zones import DAY_SECONDS

FIRST_DAY = date(2010, 1, 1)
"""Every group of rules covers all days from here on: nothing older is ever asked for."""

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ContactChannel = Literal["email", "sms", "phone", "push", "messenger", "social", "post"]

_SPAN = re.compile(r"([0-4]\d):([0-5]\d)-([0-4]\d):([0-5]\d)")


def weekdays(days: str) -> list[int]:
    """`fri`, `mon-thu`, `sun-thu` or `daily` as numbers, Monday 0. ValueError for anything else."""
    if days == "daily":
        return list(range(7))
    first, _, last = days.partition("-")
    names: list[str] = list(WEEKDAYS)
    if first not in names or (last or first) not in names or days.endswith("-"):
        raise ValueError(f"'{days}' names no days; give one like fri, a range like mon-thu, or daily")
    start, stop = names.index(first), names.index(last or first)
    return [day % 7 for day in range(start, stop + 1 + (7 if stop < start else 0))]


def _days(text: str) -> str:
    weekdays(text)
    return text


def _clock_times(text: object) -> Span:
    found = _SPAN.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"'{text}' is no time of day (like 09:00-12:30)")
    hours, minutes, end_hours, end_minutes = map(int, found.groups())
    return (hours * 60 + minutes) * 60, (end_hours * 60 + end_minutes) * 60


def _span(given: object) -> Span:
    """Seconds after local midnight; an end past midnight is written on: 22:00-26:00."""
    start, end = _clock_times(given)
    if end <= start:
        raise ValueError(f"'{given}' ends before it starts; what runs past midnight is written like 22:00-26:00")
    if start >= DAY_SECONDS or end > 2 * DAY_SECONDS:
        raise ValueError(f"'{given}' starts after its day has ended, or ends after the next one")
    return start, end


def _quiet_span(given: object) -> Span:
    """As `_span`, but every night is alike: 21:00-08:00 runs past midnight."""
    start, end = _clock_times(given)
    if max(start, end) > DAY_SECONDS or start in (end, DAY_SECONDS):
        raise ValueError(f"'{given}' are no quiet hours (like 21:00-08:00)")
    return start, end if end > start else end + DAY_SECONDS


Hours = tuple[Annotated[Span, BeforeValidator(_span)], ...]
Weekly = dict[Annotated[str, AfterValidator(_days)], Hours]
"""Days of the week (`mon-thu`, `fri`, `daily`) to their intervals, breaks between them."""


def by_weekday(hours: Mapping[str, Hours]) -> tuple[Hours, ...]:
    """Seven tuples of intervals, Monday first."""
    found: list[Hours] = [()] * 7
    for days, spans in hours.items():
        for day in weekdays(days):
            found[day] = tuple(sorted(spans))
    return tuple(found)


class Dated(Frozen):
    """Holds from `valid_from` up to, not including, `valid_to`, midnights of the main zone; absent: always."""

    valid_from: Day | None = None
    valid_to: Day | None = None
    source: Annotated[str, Field(min_length=1)]
    """Where it is written: a law, a standard, a statistical office, a decision of the house."""

    def holds_on(self, day: date) -> bool:
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day < self.valid_to)


Version = TypeVar("Version", bound=Dated)


class Rules(RootModel[tuple[Version, ...]], Generic[Version]):
    """The versions of one group, oldest first, without gaps from FIRST_DAY on."""

    model_config = ConfigDict(frozen=True)

    def on(self, day: date) -> Version:
        """The version of a day. Misconfigured for a day before FIRST_DAY that none covers."""
        for version in self.root:
            if version.holds_on(day):
                return version
        kind = type(self.root[0]).__name__.lower()
        raise Misconfigured([Fault(f"markets: {kind}", f"no version holds on {day}; add one that does")])

    @property
    def newest(self) -> Version:
        return self.root[-1]

    def versions(self) -> Iterator[Version]:
        return iter(self.root)


class Money(Dated):
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    rounding: RoundingMode = "half_up"
    cash_rounding: Decimal | None = None
    """What a sum paid in coins is a multiple of; absent: the currency's minor unit."""
    tax_display: Literal["incl", "excl"]
    """Whether consumers are shown prices with tax."""
    vat_pct: Annotated[Decimal, Field(ge=0, lt=100)] | None
    """The standard rate in per cent; `null` where there is no nationwide one."""


class Language(Dated):
    languages: Annotated[tuple[str, ...], Field(min_length=1)]
    """BCP 47 tags, the most used first."""
    fallback: dict[str, str] = {}
    """Tag to the tag whose text stands in; all chains end at one tag, that of the source texts."""

    def chain(self, tag: str) -> tuple[str, ...]:
        """The tag and those that stand in for it, in order."""
        found = [tag]
        while (following := self.fallback.get(found[-1])) is not None:
            found.append(following)
        return tuple(found)

    @property
    def direction(self) -> str:
        """`ltr` or `rtl`, of the first language."""
        return str(Locale.parse(self.languages[0], sep="-").text_direction)


class Time(Dated):
    weekend: tuple[Weekday, ...]
    week_start: Weekday
    hours: Weekly
    """When people are there to work and answer; nothing on weekend days."""
    fiscal_year_start: Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])$")] = "01-01"
    """MM-DD."""

    def fiscal_year(self, day: date) -> int:
        """The calendar year in which the day's fiscal year began."""
        month, first = map(int, self.fiscal_year_start.split("-"))
        return day.year - ((day.month, day.day) < (month, first))

    def week_of(self, day: date) -> date:
        """The first day of the day's week."""
        return day - timedelta(days=(day.weekday() - WEEKDAYS.index(self.week_start)) % 7)


class Calendar(Dated):
    """Where holidays come from. library: the `holidays` package. overrides: the market's own list is all there is;
    a year without a line in it is not covered. none: there are no holidays."""

    holidays: Literal["library", "overrides", "none"] = "library"
    holiday_country: str | None = None
    """As the package names it; the market's country when absent."""
    subdivision: str | None = None
    categories: Annotated[tuple[str, ...], Field(min_length=1)] = ("public",)
    announced_yearly: bool = False
    """Days off and worked weekend days are announced year by year: a year without any in the package, or in
    `overrides`, is not covered."""


def _override_hours(given: object) -> object:
    if given in ("open", "closed"):
        return given
    if isinstance(given, list):
        spans = tuple(sorted(_span(each) for each in given))
        if any(end > DAY_SECONDS for _, end in spans):
            raise ValueError("an exception ends at 24:00 at the latest; give the next day one of its own")
        if any(before[1] > after[0] for before, after in pairwise(spans)):
            raise ValueError("hours overlap")
        return spans or "closed"
    raise ValueError(f"'{given}' is none of: open, closed, a list of hours like [09:00-12:30]")


class Override(Frozen):
    """One day that is not as the rules say. It stands above holidays, weekend and hours."""

    date: Day
    hours: Annotated[Literal["open", "closed"] | tuple[Span, ...], BeforeValidator(_override_hours)]
    """open: as on any working day, also when it is a weekend day or a holiday."""
    reason: Annotated[str, Field(min_length=1)]


def _period(given: object) -> tuple[date, date]:
    if isinstance(given, tuple):
        return given
    first, _, last = str(given).partition("/")
    period = read_day(first), read_day(last or first)
    if period[1] < period[0]:
        raise ValueError(f"'{given}' ends before it starts")
    return period


class PeakEvent(Frozen):
    """Days on which people buy otherwise than they do else."""

    name: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    dates: Annotated[
        tuple[Annotated[tuple[date, date], BeforeValidator(_period)], ...],
        Field(min_length=1),
    ]
    """A day, or `first/last`, both included; one or more a year."""


class SendWindow(Frozen):
    """When a message may go out on one contact channel, on the recipient's clock."""

    send: Weekly
    quiet: tuple[Annotated[Span, BeforeValidator(_quiet_span)], ...] = ()
    """Hours of every day in which nothing goes out, whatever `send` says."""
    on_holidays: bool = True


class Contact(Dated):
    channels: dict[ContactChannel, SendWindow] = {}
    """The channels that may be used; what is not here is not allowed."""


class Privacy(Dated):
    regime: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    """A file of include/config/privacy."""
    residency: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    """The country in which rows about the market's people are kept. For how long, the regime says."""


class Market(Frozen):
    """One file of include/config/markets."""

    code: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    name: str
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2; ZZ for none")]
    zone: Zone
    """The main zone: its midnights end the market's days."""
    further_zones: tuple[Zone, ...] = ()
    money: Rules[Money]
    language: Rules[Language]
    time: Rules[Time]
    calendar: Rules[Calendar]
    overrides: tuple[Override, ...] = ()
    peak_events: tuple[PeakEvent, ...] = ()
    contact: Rules[Contact]
    privacy: Rules[Privacy]

    @property
    def currency(self) -> str:
        """The currency of the newest rule; where a date matters, `currency_on`."""
        return self.money.newest.currency

    def currency_on(self, day: date) -> str:
        return self.money.on(day).currency

    def peak_event(self, day: date) -> str | None:
        """The name of the day's peak event, the first of the file if there are several."""
        for event in self.peak_events:
            if any(first <= day <= last for first, last in event.dates):
                return event.name
        return None
