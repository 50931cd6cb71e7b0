"""Exchange rates as they come in: who states them, and which of them cannot be right.

A rate is units of a currency for one unit of its base, e.g. 1.0870 USD for one EUR, of one day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, Protocol

from caravan.core.codes import currency_codes
from caravan.core.protocols import D, OrderStore, Parsed

EURO = "EUR"
RateSource = Literal["user", "fetched", "bundled"]
PRECEDENCE: tuple[RateSource, ...] = ("user", "fetched", "bundled")
"""Of one day and currency the first of these holds; stg_fx__rate.sql says the same."""

BY_OTHERS = ("RATE_SPIKE", "BASE_RATE_UNKNOWN")
"""Faults that another file can heal: the rate that a row is measured against, or its base's, may come from there."""
ENTITY = "fx_rate"
"""What ops.load calls a delivery of rates."""
MEASURE_DAYS = 366
"""How old a rate may be that a new one is measured against, whatever the days it is carried: a leap stays one."""
_PLACES = Decimal("0.00000001")
_MOST = Decimal(10) ** 10
_EXACT_TO = Decimal("0.000001")
"""The share of a rate that rounding to 8 places may change."""


def channel_of(source: str) -> str:
    """What stands for the channel in ops.load and ops.quarantine."""
    return f"rates_{source}"


@dataclass(frozen=True)
class Rate:
    """One stated rate, finite. `row_number`: 1 for the first data row. `raw_row`: the row as delivered, as JSON."""

    row_number: int
    rate_date: date
    currency: str
    rate: Decimal
    base: str = EURO
    stated_source: str | None = None
    """Whom a person names as the source."""
    is_confirmed: bool = False
    """A person says that it moved that far."""
    raw_row: str = ""


@dataclass(frozen=True)
class BadRate:
    """A row for quarantine, under its first fault. `rate_date`, `currency`: None where they cannot be read."""

    row_number: int
    field_name: str
    reason_code: str
    message: str
    raw_row: str
    rate_date: date | None = None
    currency: str | None = None


@dataclass(frozen=True)
class Reading:
    """All rows of one delivery: rates that can be read, and rows that cannot."""

    rates: Sequence[Rate]
    bad: Sequence[BadRate] = ()


@dataclass(frozen=True)
class Judged:
    """received = accepted + bad + duplicates."""

    accepted: tuple[Rate, ...]
    bad: tuple[BadRate, ...]
    duplicate_count: int


@dataclass(frozen=True)
class Limits:
    """`max_carry_days`: how old a rate may be. `max_daily_change`: a share, 0.2 for 20 %."""

    max_carry_days: int
    max_daily_change: Decimal


@dataclass(frozen=True)
class KnownRate:
    """`delivery`: the name of the one that brought it."""

    source: str
    rate_date: date
    currency: str
    base: str
    rate: Decimal
    stated_source: str | None = None
    delivery: str | None = None


@dataclass
class RateBook:
    """What is known, as units of a currency for one euro, by day and source."""

    max_carry_days: int
    _days: dict[str, dict[date, dict[str, tuple[Decimal, str]]]] = field(default_factory=lambda: defaultdict(dict))
    """Of a currency, day and source: the rate for one euro, and the base it was stated against."""

    @classmethod
    def of(cls, known: Iterable[KnownRate], max_carry_days: int) -> RateBook:
        """Of two for one source, day and currency the last holds."""
        book = cls(max_carry_days)
        held = {(rate.source, rate.rate_date, rate.currency): rate for rate in known}
        for each in sorted(held.values(), key=lambda rate: (rate.base != EURO, rate.rate_date)):
            if euro := book.in_euro(each.rate, each.base, each.rate_date):
                book.put(each.source, each.rate_date, each.currency, euro, each.base)
        return book

    def put(self, source: str, day: date, currency: str, rate: Decimal, base: str) -> None:
        self._days[currency].setdefault(day, {})[source] = rate, base

    def in_euro(self, rate: Decimal, base: str, day: date) -> Decimal | None:
        """The rate for one euro; None when nobody says what its base is worth in euro: stg.fx__rate crosses once."""
        if base == EURO:
            return rate
        for age in range(self.max_carry_days + 1):
            stated = self._days.get(base, {}).get(day - timedelta(days=age), {})
            for source in PRECEDENCE:
                if source in stated and stated[source][1] == EURO:
                    return stated[source][0] * rate
        return None

    def measure(self, currency: str, day: date, judging: str) -> tuple[Decimal, date, str] | None:
        """The last rate known on a day, its date and source. `judging`: a source whose word for the day itself is
        left out: it is being corrected."""
        days = self._days.get(currency, {})
        for age in range(MEASURE_DAYS + 1):
            on = day - timedelta(days=age)
            for source in PRECEDENCE:
                if source in days.get(on, {}) and (age or source != judging):
                    return days[on][source][0], on, source
        return None


def judge(reading: Reading, source: RateSource, known: Iterable[KnownRate], limits: Limits, today: date) -> Judged:
    """Tell rates that may be used from those that cannot be right.

    A rate is measured against the last one known without it: another source's of that day, else one of at most
    MEASURE_DAYS before. Rows are taken by date, so that each good one is the measure of the next.
    `known`: for the currencies and bases of the reading, from MEASURE_DAYS and `max_carry_days` before its first day.
    """
    book = RateBook.of(known, limits.max_carry_days)
    groups: dict[tuple[date, str], list[Rate]] = defaultdict(list)
    accepted: list[Rate] = []
    bad = list(reading.bad)
    for rate in reading.rates:
        groups[rate.rate_date, rate.currency].append(rate)
    duplicates = 0
    for rows in sorted(groups.values(), key=lambda group: (group[0].rate_date, group[0].base != EURO)):
        first = rows[0]
        if len({(row.rate, row.base) for row in rows}) > 1:
            lines = ", ".join(str(row.row_number) for row in rows)
            message = f"rows {lines} give different rates of {first.currency} for {first.rate_date}: keep the right one"
            bad += [_bad(row, "rate", "RATE_AMBIGUOUS", message) for row in rows]
            continue
        duplicates += len(rows) - 1
        fault = _fault(first, source, book, limits, today)
        if fault:
            bad.append(fault)
            continue
        rounded = first.rate.quantize(_PLACES, ROUND_HALF_UP)
        accepted.append(replace(first, rate=rounded))
        euro = book.in_euro(rounded, first.base, first.rate_date)
        if euro is not None:
            book.put(source, first.rate_date, first.currency, euro, first.base)
    return Judged(tuple(accepted), tuple(sorted(bad, key=lambda row: row.row_number)), duplicates)


def _fault(row: Rate, source: RateSource, book: RateBook, limits: Limits, today: date) -> BadRate | None:
    for name, code in (("currency", row.currency), ("base", row.base)):
        if code not in currency_codes():
            return _bad(row, name, "CURRENCY_UNKNOWN", f"'{code}' is no ISO 4217 code (like AED)")
    if row.currency == row.base or row.currency == EURO:
        message = f"{row.currency} for one {row.base}: all rates are for one euro; give the other currency's"
        return _bad(row, "currency", "CURRENCY_IS_BASE", message)
    if row.rate <= 0:
        return _bad(row, "rate", "RATE_NOT_POSITIVE", f"{row.rate} is no rate: it must be greater than 0")
    if not _can_be_kept(row.rate):
        message = f"{row.rate} cannot be kept in 10 digits and 8 decimals: give units of {row.currency} for one euro"
        return _bad(row, "rate", "RATE_INEXACT", message)
    if row.rate_date > today + timedelta(days=1):
        return _bad(row, "date", "RATE_IN_FUTURE", f"{row.rate_date} has not come: nobody knows its rate")
    euro = book.in_euro(row.rate, row.base, row.rate_date)
    if euro is None:
        message = (
            f"no rate of {row.base} for one euro is known for {row.rate_date} or the {limits.max_carry_days} days "
            f"before: give units for one euro, or state {row.base} as well"
        )
        return _bad(row, "base", "BASE_RATE_UNKNOWN", message)
    if not _can_be_kept(euro):
        message = (
            f"{euro:f} {row.currency} for one euro (by way of {row.base}) cannot be kept in 10 digits and 8 decimals"
        )
        return _bad(row, "rate", "RATE_INEXACT", message)
    measure = book.measure(row.currency, row.rate_date, judging=source)
    if measure is None or row.is_confirmed:
        return None
    before, day, who = measure
    change = euro / before - 1
    if abs(change) <= limits.max_daily_change:
        return None
    way_out = "if it is right, write yes in the column confirmed"
    if source != "user":
        way_out = "if it is right, confirm it in a file of incoming/rates"
    message = (
        f"{row.currency} {_plain(euro)} for one euro is {change:+.1%} from {_plain(before)} of {day} ({who}); "
        f"{limits.max_daily_change:.0%} is allowed: {way_out}"
    )
    return _bad(row, "rate", "RATE_SPIKE", message)


def _can_be_kept(rate: Decimal) -> bool:
    return rate < _MOST and abs(rate.quantize(_PLACES, ROUND_HALF_UP) - rate) <= rate * _EXACT_TO


def _bad(row: Rate, field_name: str, reason_code: str, message: str) -> BadRate:
    return BadRate(row.row_number, field_name, reason_code, message, row.raw_row, row.rate_date, row.currency)


def _plain(rate: Decimal) -> str:
    """Without the zeros that arithmetic leaves behind."""
    return f"{rate.quantize(_PLACES, ROUND_HALF_UP).normalize():f}"


class RateInbox(Protocol[D]):
    """Deliveries of rates of one source."""

    @property
    def source(self) -> RateSource: ...
    @property
    def restates(self) -> bool:
        """Whether a delivery is the whole truth about what came under its name: a row taken out is withdrawn. Each
        name has rates of its own then; of two for one day the one read last holds."""
        ...

    def deliveries(self) -> Sequence[D]:
        """What is there, oldest first. Raises Retryable or Rejected when it cannot be had now."""
        ...

    def waiting(self) -> Mapping[str, str]:
        """What is there but not read now: name to reason."""
        ...

    def read(self, delivery: D) -> Reading:
        """Raises Rejected when the delivery as a whole cannot be read."""
        ...

    def write(self, delivery: D, judged: Judged) -> Parsed:
        """The rows as files for the warehouse, until `discard`."""
        ...

    def discard(self, delivery: D) -> None: ...


class Bundle(Protocol):
    """The rates that came with the installation."""

    @property
    def name(self) -> str: ...
    @property
    def content_hash(self) -> str: ...
    def parse(self) -> Parsed: ...


class RateStore(OrderStore, Protocol):
    """The warehouse as the collection of rates uses it."""

    def newest_contents(self, channel_code: str, entity: str) -> Mapping[str, str]:
        """Name of each delivery read, to the hash of its newest content; the one read last at the end."""
        ...

    def healable(self, channel_code: str, entity: str) -> Mapping[str, set[int]]:
        """Name of each delivery with rows in quarantine that another may heal, to the numbers of all rows there."""
        ...

    def known_rates(self, currencies: Iterable[str], first: date, last: date) -> Sequence[KnownRate]:
        """What every delivery says, in its newest version; the one read last at the end."""
        ...

    def newest_rates(self) -> Mapping[str, tuple[date, str]]:
        """The newest day of each currency, and its source."""
        ...

    def warnings(self, run_id: str) -> Sequence[str]:
        """What the run set aside, missed or doubts, a line each."""
        ...
