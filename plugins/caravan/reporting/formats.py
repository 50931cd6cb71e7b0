"""Numbers, money and days as text. None is "unknown", never 0."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from babel.dates import format_date, format_datetime
from babel.numbers import (
    format_currency,
    format_decimal,
    format_percent,
    get_currency_symbol,
)

LOCALE = "en"
UNKNOWN = "unknown"
SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
NUMBER = int | Decimal


def money(amount: Decimal | None, currency: str) -> str:
    """In full, rounded to the currency's minor unit: €1,234.50, ¥1,235, SEK 80.00."""
    if amount is None:
        return UNKNOWN
    return _signed(format_currency(amount, currency, format=f"{_lead(currency)}#,##0.00", locale=LOCALE))


def whole_money(amount: Decimal | None, currency: str) -> str:
    """Rounded to whole units: €12,345."""
    if amount is None:
        return UNKNOWN
    pattern = f"{_lead(currency)}#,##0"
    return _signed(format_currency(amount, currency, format=pattern, locale=LOCALE, currency_digits=False))


def short_money(amount: Decimal, currency: str) -> str:
    """For an axis: €834, €12.3K, €1.2M, €4.0B."""
    size, letter = _size(amount)
    if not letter:
        return whole_money(amount, currency)
    pattern = f"{_lead(currency)}#,##0.0{letter}"
    return _signed(format_currency(amount / size, currency, format=pattern, locale=LOCALE, currency_digits=False))


def short(amount: Decimal) -> str:
    """Above a column, where the currency is said elsewhere: 834, 12.3K, 1.2M, 4.0B."""
    size, letter = _size(amount)
    return _signed(format_decimal(amount / size, format=f"#,##0.0{letter}" if letter else "#,##0", locale=LOCALE))


def _size(amount: Decimal) -> tuple[int, str]:
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if abs(amount) >= size:
            return size, letter
    return 1, ""


def count(number: NUMBER | None) -> str:
    """1,234; a quantity keeps its decimals: 1.5."""
    return UNKNOWN if number is None else _signed(format_decimal(number, locale=LOCALE))


def share(ratio: Decimal | None) -> str:
    """0.0421 is 4.2 %."""
    return UNKNOWN if ratio is None else _signed(format_percent(ratio, format=f"#,##0.0{SPACE}%", locale=LOCALE))


def position(average: Decimal | None) -> str:
    """Of a result in a search: 7.4."""
    return UNKNOWN if average is None else _signed(format_decimal(average, format="#,##0.0", locale=LOCALE))


def change(ratio: Decimal | None) -> str:
    """0.0421 is +4.2 %, with its sign."""
    if ratio is None:
        return UNKNOWN
    pattern = f"+#,##0.0{SPACE}%;-#,##0.0{SPACE}%"
    return _signed(format_percent(ratio, format=pattern, locale=LOCALE))


def day(value: date | None) -> str:
    """3 Nov 2026."""
    return UNKNOWN if value is None else format_date(value, "d MMM yyyy", locale=LOCALE)


def weekday(value: date) -> str:
    """Tue, 3 Nov 2026."""
    return format_date(value, "EEE, d MMM yyyy", locale=LOCALE)


def short_day(value: date) -> str:
    """3 Nov."""
    return format_date(value, "d MMM", locale=LOCALE)


def month(value: date) -> str:
    """Nov 2026."""
    return format_date(value, "MMM yyyy", locale=LOCALE)


def moment(value: datetime | None) -> str:
    """3 Nov 2026 06:10."""
    return UNKNOWN if value is None else format_datetime(value, "d MMM yyyy HH:mm", locale=LOCALE)


def days(first: date | None, last: date | None) -> str:
    """3 Nov 2026, or 3 Nov to 9 Nov 2026."""
    if first is None or last is None:
        return UNKNOWN
    if first == last:
        return day(first)
    return f"{short_day(first) if first.year == last.year else day(first)} to {day(last)}"


def duration(span: timedelta) -> str:
    """12 s, 4 min 12 s, 2 h 5 min."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{count(hours)}{SPACE}h {minutes}{SPACE}min"
    return f"{minutes}{SPACE}min {seconds}{SPACE}s" if minutes else f"{seconds}{SPACE}s"


def isolated(name: str) -> str:
    """A name inside a sentence: one written from right to left must not turn its neighbours round."""
    return f"\N{FIRST STRONG ISOLATE}{name}\N{POP DIRECTIONAL ISOLATE}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """1 order, 2 orders."""
    return f"{count(number)} {noun if number == 1 else plural or noun + 's'}"


def _lead(currency: str) -> str:
    # CLDR sets a space after a symbol of letters; babel 2.18 does not.
    return f"¤{SPACE}" if get_currency_symbol(currency, LOCALE)[-1].isalpha() else "¤"


def _signed(text: str) -> str:
    return text.replace("-", MINUS)
