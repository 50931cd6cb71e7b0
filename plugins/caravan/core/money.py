"""Amounts of money: exact, in major units, rounded once, where they are paid or printed."""

from __future__ import annotations

import copy
import re
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal
from functools import cache
from types import MappingProxyType
from typing import Literal

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency, get_currency_symbol, get_decimal_symbol

from caravan.core.codes import currency_codes

# ISO 4217 list one; CLDR's digits are for display and differ (IQD 0). Of withdrawn currencies, those that had none.
_EXCEPTIONS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF "
    "ADP BEF BYR ESP GRD ITL LUF MGF PTE TPE TRL",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_MINOR_UNITS = {code: digits for digits, codes in _EXCEPTIONS.items() for code in codes.split()}
_NO_MINOR_UNIT = re.compile("XAG|XAU|XB[ABCD]|XDR|XP[DT]|XSU|XTS|XUA|XXX")
"""Metals, bond units, test codes: list one says N.A."""

_BOTH_MARKS = frozenset(["CH", "LI", "ZA"])
"""Where prices are written with a point and other numbers with a comma, or where CLDR and the shops disagree."""

RoundingMode = Literal["half_up", "half_even", "down", "up"]
"""half_up: half away from zero, as shops and tax offices do. down: towards zero."""
_MODES: dict[RoundingMode, str] = {
    "half_up": ROUND_HALF_UP,
    "half_even": ROUND_HALF_EVEN,
    "down": ROUND_DOWN,
    "up": ROUND_UP,
}


def minor_units(currency: str) -> int:
    """Decimal places of an ISO 4217 currency. Raises ValueError for an unknown one, and for gold and the like."""
    if _NO_MINOR_UNIT.fullmatch(currency) or currency not in currency_codes():
        raise ValueError(f"'{currency}' is no ISO 4217 currency with a minor unit (like EUR)")
    return _MINOR_UNITS.get(currency, 2)


def round_money(amount: Decimal, currency: str, mode: RoundingMode = "half_up") -> Decimal:
    """To the currency's minor unit, half away from zero unless told otherwise: 2.675 EUR is 2.68, 2.5 JPY is 3."""
    return amount.quantize(Decimal(1).scaleb(-minor_units(currency)), _MODES[mode])


def round_cash(
    amount: Decimal, currency: str, increment: Decimal | None = None, mode: RoundingMode = "half_up"
) -> Decimal:
    """What is paid in coins: the nearest multiple of `increment`, e.g. 0.05 CHF or 1.00 SEK; None for no such rule."""
    exact = round_money(amount, currency, mode)
    if increment is None:
        return exact
    if increment <= 0 or increment != round_money(increment, currency):
        raise ValueError(f"a cash increment is a positive multiple of {currency}'s minor unit, not {increment}")
    # The rounded price is what is owed: it is rounded to coins, not the unrounded one.
    return round_money((exact / increment).quantize(Decimal(1), _MODES[mode]) * increment, currency)


def allocate(amount: Decimal, weights: Sequence[Decimal | int], currency: str) -> list[Decimal]:
    """Split a rounded amount in proportion to `weights`, to the minor unit, so that the parts add up to it.

    What is left over goes, a unit each, to the parts that lost most (largest remainder), the first of equals first.
    """
    total = sum(weights, Decimal(0))
    if not weights or total <= 0 or min(weights) < 0:
        raise ValueError(f"weights must not be negative and must not add up to 0: {list(weights)}")
    if amount != round_money(amount, currency):
        raise ValueError(f"{amount} {currency} has parts of a minor unit: round it first")
    unit = Decimal(1).scaleb(-minor_units(currency))
    units = int(abs(amount) / unit)
    shares = [divmod(units * Decimal(weight), total) for weight in weights]
    parts = [int(whole) for whole, _ in shares]
    neediest = sorted(range(len(parts)), key=lambda i: (-shares[i][1], i))
    for i in neediest[: units - sum(parts)]:
        parts[i] += 1
    return [(-1 if amount < 0 else 1) * part * unit for part in parts]


def format_money(amount: Decimal, currency: str, locale: str) -> str:
    """As people of `locale` (BCP 47, or with `_`) write it: `1.299,50 €` in de. Spaces are no-break ones.

    Rounded to ISO 4217's minor unit. Digits are Latin everywhere.
    """
    parsed = Locale.parse(locale.replace("-", "_"))
    digits = minor_units(currency)
    pattern = copy.copy(parsed.currency_formats["standard"])
    pattern.frac_prec = (digits, digits)
    symbol = get_currency_symbol(currency, parsed)
    # CLDR's currencySpacing, which Babel 2.18 leaves out: a code of letters does not touch the digits.
    if _is_word(symbol[-1]):
        pattern.prefix = tuple(_spaced(each, "¤", "¤\N{NO-BREAK SPACE}") for each in pattern.prefix)
    text: str = format_currency(
        round_money(amount, currency), currency, format=pattern, locale=parsed, currency_digits=False
    )
    return text


def decimal_marks(locale: str, country: str) -> frozenset[str]:
    """What may stand before the minor units of a price: `,`, `.` or both. `locale`: BCP 47; one without a territory is
    read as its language at large and as that language in `country` (ISO 3166-1)."""
    parsed = Locale.parse(locale, sep="-")
    if country in _BOTH_MARKS:
        return frozenset(",.")
    read = [parsed]
    if not parsed.territory:
        with suppress(UnknownLocaleError):  # German in Japan: as German at large
            read.append(Locale.parse(f"{parsed.language}_{country}"))
    return frozenset(get_decimal_symbol(each) for each in read)


def _spaced(affix: str, end: str, replacement: str) -> str:
    return affix.removesuffix(end) + replacement if affix.endswith(end) else affix


def _is_word(character: str) -> bool:
    return unicodedata.category(character)[0] not in "SZ"


@dataclass(frozen=True)
class Growth:
    """Ratios, 0.2 for +20 %; None where it cannot be said. (1 + reported) = (1 + constant) * (1 + currency_effect)."""

    reported: Decimal | None
    constant: Decimal | None
    currency_effect: Decimal | None


def constant_currency_growth(
    before: Mapping[str, Decimal],
    after: Mapping[str, Decimal],
    rates_before: Mapping[str, Decimal],
    rates_after: Mapping[str, Decimal],
) -> Growth:
    """Growth of sales in several currencies, with and without the movement of exchange rates.

    `before`, `after`: amounts by currency. Rates: units of the reporting currency for one unit, by currency.
    constant = both periods at the rates of the period compared with. A currency without a rate makes the ratios that
    need it None, as does a first period that is not positive. Golden values: reference on markets, section 7.
    """
    base = _converted(before, rates_before)
    reported = _ratio(_converted(after, rates_after), base)
    constant = _ratio(_converted(after, rates_before), base)
    effect = None
    if reported is not None and constant is not None and constant != -1:
        effect = (1 + reported) / (1 + constant) - 1
    return Growth(reported, constant, effect)


def _converted(amounts: Mapping[str, Decimal], rates: Mapping[str, Decimal]) -> Decimal | None:
    if not amounts.keys() <= rates.keys():
        return None
    return sum((amount * rates[currency] for currency, amount in amounts.items()), Decimal(0))


def _ratio(after: Decimal | None, before: Decimal | None) -> Decimal | None:
    if after is None or before is None or before <= 0:
        return None
    return after / before - 1


@dataclass(frozen=True)
class EndedCurrency:
    """`ended_on`: the first day on which it was no longer its country's currency. `rate`: units for one `successor`,
    fixed for ever."""

    code: str
    ended_on: date
    successor: str
    rate: Decimal


@cache
def ended_currencies() -> Mapping[str, EndedCurrency]:
    """Currencies that became the euro, with the irrevocable rates of the Council of the EU (Regulation 2866/98 and its
    amendments), and those renamed by dropping zeros since the ECB's series begins in 1999."""
    rows = [
        EndedCurrency(code, date.fromisoformat(day), successor, Decimal(rate)) for code, day, successor, rate in _ENDED
    ]
    return MappingProxyType({row.code: row for row in rows})


_ENDED = (
    ("ATS", "1999-01-01", "EUR", "13.7603"),
    ("BEF", "1999-01-01", "EUR", "40.3399"),
    ("BGN", "2026-01-01", "EUR", "1.95583"),
    ("CYP", "2008-01-01", "EUR", "0.585274"),
    ("DEM", "1999-01-01", "EUR", "1.95583"),
    ("EEK", "2011-01-01", "EUR", "15.6466"),
    ("ESP", "1999-01-01", "EUR", "166.386"),
    ("FIM", "1999-01-01", "EUR", "5.94573"),
    ("FRF", "1999-01-01", "EUR", "6.55957"),
    ("GRD", "2001-01-01", "EUR", "340.750"),
    ("HRK", "2023-01-01", "EUR", "7.53450"),
    ("IEP", "1999-01-01", "EUR", "0.787564"),
    ("ITL", "1999-01-01", "EUR", "1936.27"),
    ("LTL", "2015-01-01", "EUR", "3.45280"),
    ("LUF", "1999-01-01", "EUR", "40.3399"),
    ("LVL", "2014-01-01", "EUR", "0.702804"),
    ("MTL", "2008-01-01", "EUR", "0.429300"),
    ("NLG", "1999-01-01", "EUR", "2.20371"),
    ("PTE", "1999-01-01", "EUR", "200.482"),
    ("ROL", "2005-07-01", "RON", "10000"),
    ("SIT", "2007-01-01", "EUR", "239.640"),
    ("SKK", "2009-01-01", "EUR", "30.1260"),
    ("TRL", "2005-01-01", "TRY", "1000000"),
)
