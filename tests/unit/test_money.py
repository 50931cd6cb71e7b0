"""Money by hand-computed tables: rounding, coins, splitting, writing, growth, currencies that ended."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal

import pytest

from caravan.clients.fx import ecb
from caravan.core.codes import currency_codes
from caravan.core.money import (
    allocate,
    constant_currency_growth,
    decimal_marks,
    ended_currencies,
    format_money,
    minor_units,
    round_cash,
    round_money,
)

D = Decimal
NBSP, NARROW, RTL = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}", "\N{RIGHT-TO-LEFT MARK}"


@pytest.mark.parametrize(
    ("currency", "digits"),
    [("EUR", 2), ("SEK", 2), ("JPY", 0), ("KRW", 0), ("VND", 0), ("CLP", 0), ("ISK", 0), ("IQD", 3), ("KWD", 3),
     ("BHD", 3), ("JOD", 3), ("OMR", 3), ("TND", 3), ("LYD", 3), ("CLF", 4), ("UYW", 4), ("HUF", 2), ("MGA", 2),
     ("ITL", 0), ("HRK", 2)],
)  # fmt: skip
def test_minor_units_are_those_of_iso_4217(currency, digits):
    assert minor_units(currency) == digits


@pytest.mark.parametrize("currency", ["XAU", "XXX", "XTS", "EURO", "eur", "QQQ", ""])
def test_what_has_no_minor_unit_is_refused(currency):
    with pytest.raises(ValueError, match="ISO 4217"):
        minor_units(currency)


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [("2.675", "EUR", "2.68"), ("2.665", "EUR", "2.67"), ("-2.675", "EUR", "-2.68"), ("2.5", "JPY", "3"),
     ("-2.5", "JPY", "-3"), ("2.49", "JPY", "2"), ("1.2345", "KWD", "1.235"), ("7", "EUR", "7.00")],
)  # fmt: skip
def test_amounts_are_rounded_half_away_from_zero(amount, currency, rounded):
    assert str(round_money(D(amount), currency)) == rounded


@pytest.mark.parametrize(
    ("amount", "currency", "increment", "mode", "paid"),
    [
        ("2.49", "SEK", "1.00", "half_up", "2.00"),
        ("2.50", "SEK", "1.00", "half_up", "3.00"),
        ("-2.50", "SEK", "1.00", "half_up", "-3.00"),
        ("2.50", "SEK", "1.00", "half_even", "2.00"),
        ("2.99", "SEK", "1.00", "down", "2.00"),
        ("2.01", "SEK", "1.00", "up", "3.00"),
        ("19.92", "AUD", "0.05", "half_up", "19.90"),
        ("19.93", "AUD", "0.05", "half_up", "19.95"),
        ("19.975", "CHF", "0.05", "half_up", "20.00"),
        ("19.92", "EUR", None, "half_up", "19.92"),
        ("2.5", "JPY", None, "down", "2"),
        ("2.001", "EUR", None, "up", "2.01"),
        ("2.999", "SEK", "1.00", "down", "2.00"),
        # owed are 1.50, which is as near to 2; 1.495 itself would be nearer to 1
        ("1.495", "SEK", "1.00", "half_up", "2.00"),
    ],
)
def test_coins(amount, currency, increment, mode, paid):
    assert str(round_cash(D(amount), currency, increment and D(increment), mode)) == paid


@pytest.mark.parametrize("increment", ["0", "-1", "0.001"])
def test_an_increment_that_no_coin_has_is_refused(increment):
    with pytest.raises(ValueError, match="cash increment"):
        round_cash(D(1), "SEK", D(increment))


@pytest.mark.parametrize(
    ("amount", "weights", "currency", "parts"),
    [
        ("100.00", [1, 1, 1], "EUR", ["33.34", "33.33", "33.33"]),
        ("-100.00", [1, 1, 1], "EUR", ["-33.34", "-33.33", "-33.33"]),
        ("0.05", [3, 7], "EUR", ["0.02", "0.03"]),  # 1.5 and 3.5 cents lose the same: the first one gains
        ("100", [1, 1, 1], "JPY", ["34", "33", "33"]),
        ("10.00", [0, 1], "EUR", ["0.00", "10.00"]),
        ("0.00", [1, 2], "EUR", ["0.00", "0.00"]),
        ("1.000", [1, 1, 1], "KWD", ["0.334", "0.333", "0.333"]),
    ],
)
def test_parts_add_up(amount, weights, currency, parts):
    assert [str(part) for part in allocate(D(amount), weights, currency)] == [str(D(part)) for part in parts]


def test_no_split_loses_or_makes_a_cent():
    chance = random.Random(7)
    for _ in range(500):
        amount = D(chance.randrange(-(10**7), 10**7)) / 100
        weights = [D(chance.randrange(0, 1000)) / 7 for _ in range(chance.randrange(1, 9))] + [D(1)]
        parts = allocate(amount, weights, "EUR")
        assert sum(parts) == amount
        exact = [amount * weight / sum(weights) for weight in weights]
        assert all(abs(part - share) < D("0.01") for part, share in zip(parts, exact, strict=True))


@pytest.mark.parametrize(
    ("amount", "weights", "told"),
    [
        ("1.00", [], "weights"),
        ("1.00", [0, 0], "weights"),
        ("1.00", [2, -1], "weights"),
        ("1.005", [1], "round it first"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(amount, weights, told):
    with pytest.raises(ValueError, match=told):
        allocate(D(amount), weights, "EUR")


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "text"),
    [
        ("1299.5", "EUR", "de", f"1.299,50{NBSP}€"),
        ("-1299.5", "EUR", "de-DE", f"-1.299,50{NBSP}€"),
        ("1299.5", "EUR", "fr", f"1{NARROW}299,50{NBSP}€"),
        ("1299.5", "JPY", "ja", "￥1,300"),
        ("1299.5", "EUR", "ja", "€1,299.50"),
        ("1299.5", "EUR", "ar_EG", f"{RTL}1,299.50{NBSP}€"),
        ("1299.5", "AED", "ar_AE", f"{RTL}1,299.50{NBSP}د.إ.{RTL}"),
        ("1299.5", "BRL", "pt-BR", f"R${NBSP}1.299,50"),
        ("1299.5", "SEK", "sv", f"1{NBSP}299,50{NBSP}kr"),
        ("1299.5", "CNY", "zh", "¥1,299.50"),
        ("1299.5", "AED", "zh", f"AED{NBSP}1,299.50"),
        ("1299.5", "IQD", "de", f"1.299,500{NBSP}IQD"),  # three digits, though CLDR shows none
        ("2.675", "EUR", "en", "€2.68"),
        ("1299.5", "SEK", "en", f"SEK{NBSP}1,299.50"),
    ],
)
def test_money_as_people_write_it(amount, currency, locale, text):
    assert format_money(D(amount), currency, locale) == text


def percent(ratio):
    return None if ratio is None else f"{ratio:+.2%}"


@pytest.mark.parametrize(
    ("before", "after", "rates_before", "rates_after", "expected"),
    [
        # reference on markets, section 7
        ({"EUR": 100}, {"EUR": 120}, {"EUR": "1.10"}, {"EUR": "1.00"}, ("+9.09%", "+20.00%", "-9.09%")),
        ({"EUR": 100}, {"EUR": 100}, {"EUR": "1.10"}, {"EUR": "1.10"}, ("+0.00%", "+0.00%", "+0.00%")),
        ({"EUR": 100, "GBP": 50}, {"EUR": 100, "GBP": 100}, {"EUR": 1, "GBP": "1.2"}, {"EUR": 1, "GBP": "1.1"},
         ("+31.25%", "+37.50%", "-4.55%")),
        # a new currency without a rate then: what it would have been is not known
        ({"EUR": 100}, {"EUR": 100, "TWD": 10}, {"EUR": 1}, {"EUR": 1, "TWD": "0.03"}, ("+0.30%", None, None)),
        ({"EUR": 100}, {"EUR": 100, "TWD": 10}, {"EUR": 1, "TWD": "0.03"}, {"EUR": 1}, (None, "+0.30%", None)),
        ({"EUR": 0}, {"EUR": 5}, {"EUR": 1}, {"EUR": 1}, (None, None, None)),
        ({"EUR": 100}, {"EUR": 0}, {"EUR": 1}, {"EUR": 1}, ("-100.00%", "-100.00%", None)),
    ],
)  # fmt: skip
def test_growth_with_and_without_exchange_rates(before, after, rates_before, rates_after, expected):
    tables = [{code: D(value) for code, value in each.items()} for each in (before, after, rates_before, rates_after)]
    growth = constant_currency_growth(*tables)
    assert (percent(growth.reported), percent(growth.constant), percent(growth.currency_effect)) == expected


def test_currencies_that_ended():
    ended = ended_currencies()
    assert (ended["HRK"].ended_on, ended["HRK"].rate) == (date(2023, 1, 1), D("7.53450"))
    assert (ended["BGN"].ended_on, ended["BGN"].rate) == (date(2026, 1, 1), D("1.95583"))
    assert ended["TRL"].successor == "TRY"
    assert set(ended) <= currency_codes()
    assert not {"EUR", "GBP", "TRY", "RON"} & set(ended)


def test_the_ecb_quotes_no_currency_after_its_end():
    """The dates of the table against the ECB's own history: the last rate is of the last working days before."""
    text = ecb._unpacked(ecb._bundle(), "bundle")
    last: dict[str, date] = {}
    for day, cells in ecb._rows(text, "bundle"):
        for currency, rate in cells.items():
            if rate not in ecb._NOTHING:
                last[currency] = max(day, last.get(currency, day))
    quoted = {code: row.ended_on for code, row in ended_currencies().items() if code in last}
    assert len(quoted) >= 10
    assert {code: 0 < (end - last[code]).days <= 4 for code, end in quoted.items()} == dict.fromkeys(quoted, True)


@pytest.mark.parametrize(
    ("locale", "country", "marks"),
    [
        ("de-DE", "DE", ","),
        ("de", "DE", ","),
        ("de", "AT", ","),
        ("en-US", "US", "."),
        ("en", "DE", ",."),  # as in English at large, or as in Germany
        ("en-IE", "IE", "."),
        ("es-MX", "MX", "."),
        ("fr-CA", "CA", ","),
        ("en-CA", "CA", "."),
        ("ja", "JP", "."),
        ("zh-Hant-TW", "TW", "."),
        ("fr-CH", "CH", ",."),
        ("en-ZA", "ZA", ",."),
        ("de", "JP", ","),
        ("en", "ZZ", "."),
    ],
)
def test_decimal_marks(locale, country, marks):
    assert decimal_marks(locale, country) == frozenset(marks)
