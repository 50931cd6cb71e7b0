"""Delivered values become typed values exactly, or the row goes to quarantine with its reason."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from file_drop_case import LINE, LINE_FIELDS, channel, parquet_bytes, parse_bytes, parse_column, parse_lines

from caravan.clients.file_drop.conversion import clean_order_id

Outcome = str | None
"""The typed value as text, None for NULL, or `!REASON`."""


def outcomes(field: str, given: list[str], column: str | None = None, **settings: Any) -> list[Outcome]:
    """What becomes of each delivered value of `field`, read back from `column`."""
    fields = LINE_FIELDS if field in LINE_FIELDS else (*LINE_FIELDS, field)
    result = parse_column(field, given, channel(fields, **settings))
    found: dict[int, Outcome] = {number: f"!{reason}" for number, at, reason in result.reasons if at == field}
    for row in result.rows:
        value = row[column or field]
        found[row["row_number"]] = None if value is None else str(value)
    assert len(found) == len(given)
    return [found[number] for number in sorted(found)]


def check(field: str, table: list[tuple[str, Outcome]], column: str | None = None, **settings: Any) -> None:
    got = outcomes(field, [given for given, _ in table], column, **settings)
    wrong = [(given, expected, seen) for (given, expected), seen in zip(table, got, strict=True) if expected != seen]
    assert table
    assert wrong == []


def typed(values: pa.Array, field: str, column: str | None = None) -> list[Outcome]:
    """The same for a typed Parquet column."""
    base = {name: pa.array([value] * len(values)) for name, value in zip(LINE_FIELDS, LINE, strict=True)}
    base["line_id"] = pa.array(range(len(values)))
    fields = tuple(dict.fromkeys((*LINE_FIELDS, field)))
    result = parse_bytes(parquet_bytes(base | {field: values}), channel(fields, form={"type": "parquet"}))
    found: dict[int, Outcome] = {number: f"!{reason}" for number, _, reason in result.reasons}
    for row in result.rows:
        value = row[column or field]
        found[row["row_number"]] = None if value is None else str(value)
    return [found[number] for number in range(1, len(values) + 1)]


# Numbers

POINT = [
    ("1", "1.0000"),
    ("-1.5", "-1.5000"),
    ("+0007.25", "7.2500"),
    (".5", "0.5000"),
    ("5.", "5.0000"),
    (" 19.90 ", "19.9000"),
    ("0.00010000", "0.0001"),
    ("1.00001", "!TOO_MANY_DECIMALS"),
    ("-.123456", "!TOO_MANY_DECIMALS"),
    ("0.000000000000000000000000000000000000001", "!TOO_MANY_DECIMALS"),
    ("100000000000000", "!NUMBER_INVALID"),
    ("1,50", "!NUMBER_INVALID"),
    ("1,000.50", "!NUMBER_INVALID"),
    ("1e3", "!NUMBER_INVALID"),
    ("1_000", "!NUMBER_INVALID"),
    ("EUR 5", "!NUMBER_INVALID"),
    ("5-", "!NUMBER_INVALID"),
    (".", "!NUMBER_INVALID"),
    ("NaN", "!NUMBER_INVALID"),
    ("١٢", "!NUMBER_INVALID"),
    ("", "!FIELD_MISSING"),
    (" \u00a0", "!FIELD_MISSING"),
]
COMMA = [
    ("1,5", "1.5000"),
    ("1.5", "!NUMBER_INVALID"),
    ("1.234,5", "!NUMBER_INVALID"),
    ("1,23456", "!TOO_MANY_DECIMALS"),
]
GERMAN = [
    ("1.234.567,89", "1234567.8900"),
    ("1234,5", "1234.5000"),
    ("1.234", "1234.0000"),
    ("-12.345,6", "-12345.6000"),
    ("1.23,4", "!NUMBER_INVALID"),
    ("1234.567", "!NUMBER_INVALID"),
    ("1,234.5", "!NUMBER_INVALID"),
    ("1.234,56789", "!TOO_MANY_DECIMALS"),
]


@pytest.mark.parametrize(
    ("form", "table"),
    [
        ({}, POINT),
        ({"decimal": ","}, COMMA),
        ({"decimal": ",", "thousands": "."}, GERMAN),
        ({"thousands": ","}, [("1,234,567.5", "1234567.5000"), ("1,5", "!NUMBER_INVALID")]),
        ({"decimal": ",", "thousands": " "}, [("1 234,5", "1234.5000"), ("1\u202f234\u00a0567", "1234567.0000")]),
        ({"thousands": "'"}, [("1'234.5", "1234.5000"), ("1’234.5", "1234.5000"), ("1,234", "!NUMBER_INVALID")]),
    ],
)
def test_numbers_of_text(form: dict[str, str], table: list[tuple[str, Outcome]]) -> None:
    check("unit_price", table, form=form)


def test_the_largest_number_and_one_that_may_be_missing() -> None:
    check("tax_amount", [("-99999999999999.9999", "-99999999999999.9999"), ("", None), ("-", "!NUMBER_INVALID")])


NUMBER_COLUMNS: list[tuple[pa.Array, list[Outcome]]] = [
    (pa.array([2.55, 0.1 + 0.2, 1234567.8901]), ["2.5500", "0.3000", "1234567.8901"]),
    (pa.array([-80995.0, 1e13, 0.0]), ["-80995.0000", "10000000000000.0000", "0.0000"]),
    (pa.array([0.12345, 1e8 + 0.00001]), ["!TOO_MANY_DECIMALS", "!TOO_MANY_DECIMALS"]),
    (
        pa.array([1e14, float("inf"), float("nan"), None]),
        ["!NUMBER_INVALID", "!NUMBER_INVALID", "!FIELD_MISSING", "!FIELD_MISSING"],
    ),
    (pa.array([2.55, 1234.56, 0.12345], pa.float32()), ["2.5500", "1234.5600", "!TOO_MANY_DECIMALS"]),
    (pa.array([7, -1, 10**14, None]), ["7.0000", "-1.0000", "!NUMBER_INVALID", "!FIELD_MISSING"]),
    (
        pa.array([Decimal("1.50000000"), Decimal("1.00001000"), Decimal("123456789012345")], pa.decimal128(24, 8)),
        ["1.5000", "!TOO_MANY_DECIMALS", "!NUMBER_INVALID"],
    ),
    (pa.array([Decimal("1.5")], pa.decimal128(4, 1)), ["1.5000"]),
    (pa.array(["1.5", "x", ""]), ["1.5000", "!NUMBER_INVALID", "!FIELD_MISSING"]),
    (pa.array([date(2024, 1, 1)]), ["!NUMBER_INVALID"]),
]


@pytest.mark.parametrize(("values", "expected"), NUMBER_COLUMNS)
def test_numbers_of_typed_columns(values: pa.Array, expected: list[Outcome]) -> None:
    assert typed(values, "unit_price") == expected


# The discount is a positive amount that reduces the line.
AMOUNTS = [
    (("3", "2.5000", ""), "7.5000"),
    (("3", "2.5", "0.5"), "7.0000"),
    (("-1", "10", "-1"), "-9.0000"),
    (("123456.7890", "12345.5000", "0.0001"), "1524135788.5994"),
    (("0.5", "0.0002", ""), "0.0001"),
    (("1000000", "12345678.0001", "0.0001"), "12345678000099.9999"),
    (("1000000.5", "12345678.0001", ""), "!TOO_MANY_DECIMALS"),
    (("0.5", "0.0001", ""), "!TOO_MANY_DECIMALS"),
    (("99999999999999", "2", ""), "!NUMBER_INVALID"),
    (("99999999999999", "1", "-99999999999999"), "!NUMBER_INVALID"),
    (("89999", "1000.00", "-99999999999999"), "!NUMBER_INVALID"),
    (("99999999999999", "99999999999999", ""), "!NUMBER_INVALID"),
]


def test_the_amount_is_exact_or_refused() -> None:
    fields = (*LINE_FIELDS, "discount_amount")
    lines = [(f"A{number}", *LINE[1:6], *given) for number, (given, _) in enumerate(AMOUNTS)]
    result = parse_lines(lines, channel(fields), fields)
    found = {row["row_number"]: str(row["amount"]) for row in result.rows}
    found |= {number: f"!{reason}" for number, field, reason in result.reasons if field == "amount"}
    assert [found[number] for number in sorted(found)] == [expected for _, expected in AMOUNTS]


# Times

ISO = [
    ("2024-05-01", "2024-04-30 22:00:00"),
    ("2024-05-01 13:45", "2024-05-01 11:45:00"),
    ("2024-05-01T13:45:10", "2024-05-01 11:45:10"),
    ("2024-05-01T13:45:10.123456", "2024-05-01 11:45:10.123456"),
    ("2024-05-01T13:45:10Z", "2024-05-01 13:45:10"),
    ("2024-05-01 13:45:10.5+09:00", "2024-05-01 04:45:10.500000"),
    ("2024-05-01T13:45:10-0530", "2024-05-01 19:15:10"),
    ("2024-05-01T13:45+02", "2024-05-01 11:45:00"),
    ("2024-05-01T13:45+02:00", "2024-05-01 11:45:00"),
    ("2024-05-01T13:45Z", "2024-05-01 13:45:00"),
    ("2024-31-12", "!TIMESTAMP_INVALID"),
    ("2024-02-30", "!TIMESTAMP_INVALID"),
    ("01.05.2024 10:00", "!TIMESTAMP_INVALID"),
    ("2024/05/01", "!TIMESTAMP_INVALID"),
    ("2024-05-01 24:00", "!TIMESTAMP_INVALID"),
    ("2024-05-01 10:00 PM", "!TIMESTAMP_INVALID"),
    ("0001-01-01", "!TIMESTAMP_INVALID"),
    ("infinity", "!TIMESTAMP_INVALID"),
    ("epoch", "!TIMESTAMP_INVALID"),
]
# Clocks in Berlin: forward at 2024-03-31 01:00 UTC, back at 2023-10-29 01:00 UTC.
CLOCK_CHANGES = [
    ("2024-03-31 01:59:59", "2024-03-31 00:59:59"),
    ("2024-03-31 02:30:00", "2024-03-31 01:30:00"),  # never was; becomes 03:30 summer time
    ("2024-03-31 03:30:00", "2024-03-31 01:30:00"),
    ("2023-10-29 01:59:59", "2023-10-28 23:59:59"),
    ("2023-10-29 02:30:00", "2023-10-29 01:30:00"),  # was twice; the later, standard time
    ("2023-10-29 02:30:00+02:00", "2023-10-29 00:30:00"),  # a file that gives the offset is exact
]
DAY_FIRST = [
    ("31.12.2023 23:59", "2023-12-31 22:59:00"),
    ("1.5.2024 8:05", "2024-05-01 06:05:00"),
    ("12.31.2023 10:00", "!TIMESTAMP_INVALID"),
    ("2023-12-31 10:00", "!TIMESTAMP_INVALID"),
    ("31.12.2023", "!TIMESTAMP_INVALID"),
    ("31.12.2023 10:00 x", "!TIMESTAMP_INVALID"),
    ("31.12.24 10:00", "!TIMESTAMP_INVALID"),  # year 24
]


@pytest.mark.parametrize(
    ("form", "table"),
    [
        ("iso", ISO),
        ("iso", CLOCK_CHANGES),
        ("%d.%m.%Y %H:%M", DAY_FIRST),
        ("%m.%d.%Y %H:%M", [("12.31.2023 10:00", "2023-12-31 09:00:00"), ("31.12.2023 10:00", "!TIMESTAMP_INVALID")]),
        ("%m/%d/%y %I:%M %p", [("12/1/23 8:26 PM", "2023-12-01 19:26:00"), ("13/1/23 8:26 PM", "!TIMESTAMP_INVALID")]),
        ("%Y-%m-%d %H:%M:%S %z", [("2024-05-01 10:00:00 +0900", "2024-05-01 01:00:00")]),
    ],
)
def test_times_of_text(form: str, table: list[tuple[str, Outcome]]) -> None:
    check("ordered_at", table, form={"datetime": form}, settings={"zone": "Europe/Berlin", "max_future_hours": 0})


def test_times_of_typed_columns_are_local_unless_they_say_utc() -> None:
    moment = datetime.fromisoformat("2024-05-01T10:00:00")
    cases: list[tuple[pa.Array, str]] = [
        (pa.array([moment], pa.timestamp("us")), "2024-05-01 08:00:00"),
        (pa.array([moment], pa.timestamp("ns")), "2024-05-01 08:00:00"),
        (pa.array([moment], pa.timestamp("ms", "UTC")), "2024-05-01 10:00:00"),
        (pa.array([moment.date()]), "2024-04-30 22:00:00"),
        (pa.array(["2024-05-01T10:00:00Z"]), "2024-05-01 10:00:00"),
    ]
    for values, expected in cases:
        base = {name: pa.array([value]) for name, value in zip(LINE_FIELDS, LINE, strict=True)}
        of = channel(form={"type": "parquet"}, settings={"zone": "Europe/Berlin"})
        result = parse_bytes(parquet_bytes(base | {"ordered_at": values}), of)
        assert [str(each) for each in result.column("ordered_at")] == [expected], values.type


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(24, ["2024-06-16 12:00:00", "!ORDER_IN_FUTURE"]), (0, ["!ORDER_IN_FUTURE", "!ORDER_IN_FUTURE"])],
)
def test_orders_from_the_future(hours: int, expected: list[Outcome]) -> None:
    times = ["2024-06-16 12:00:00", "2024-06-16 12:00:01"]  # the clock says 2024-06-15 12:00
    assert outcomes("ordered_at", times, settings={"max_future_hours": hours}) == expected


ZONES = [
    ({}, "DE", "2024-04-30 22:30:00", date(2024, 5, 1)),
    ({}, "US", "2024-05-01 03:30:00", date(2024, 4, 30)),
    ({}, "JP", "2024-04-30 15:30:00", date(2024, 5, 1)),
    ({}, "BR", "2024-05-01 01:00:00", date(2024, 5, 1)),  # no market: ZZ, UTC
    ({"business_zone": "Asia/Tokyo"}, "US", "2024-04-30 15:30:00", date(2024, 5, 1)),
    ({"market": "JP"}, "US", "2024-04-30 15:30:00", date(2024, 5, 1)),
]


@pytest.mark.parametrize(("settings", "country", "at", "expected"), ZONES)
def test_the_local_date_is_the_business_zones_or_the_markets(
    settings: dict[str, str], country: str, at: str, expected: date
) -> None:
    result = parse_lines([("A1", "1", at, country, *LINE[4:])], channel(settings=settings))
    assert result.column("order_local_date") == [expected]
    assert (result.parsed.first_local_date, result.parsed.last_local_date) == (expected, expected)


# Codes

COUNTRIES = [
    ("DE", "DE"),
    ("de", "DE"),
    ("Germany", "DE"),
    (" germany ", "DE"),
    ("Hong Kong SAR China", "HK"),
    ("Hong Kong", "HK"),
    ("Bosnia and Herzegovina", "BA"),
    ("Côte d'Ivoire", "CI"),
    ("ZZ", "ZZ"),
    ("EIRE", "IE"),
    ("Unspecified", "ZZ"),
    ("eire", "!COUNTRY_UNKNOWN"),
    ("EU", "!COUNTRY_UNKNOWN"),
    ("European Community", "!COUNTRY_UNKNOWN"),
    ("DEU", "!COUNTRY_UNKNOWN"),
    ("", "!FIELD_MISSING"),
]


def test_countries() -> None:
    check("country", COUNTRIES, "country_code", values={"country": {"EIRE": "IE", "Unspecified": "ZZ"}})


def test_the_country_is_kept_as_delivered_beside_its_code_and_market() -> None:
    result = parse_column("country", [" EIRE ", "Japan", "jp"], channel(values={"country": {"EIRE": "IE"}}))
    assert result.column("country_name") == ["EIRE", "Japan", "jp"]
    assert result.column("country_code") == ["IE", "JP", "JP"]
    assert result.column("market_code") == ["ZZ", "JP", "JP"]
    assert set(parse_column("country", ["US"], channel(settings={"market": "JP"})).column("market_code")) == {"JP"}


def test_currencies() -> None:
    table = [("EUR", "EUR"), ("jpy", "JPY"), ("€", "EUR"), ("EURO", "!CURRENCY_UNKNOWN"), ("XXX", "!CURRENCY_UNKNOWN")]
    check("currency", table, "currency_code", values={"currency": {"€": "EUR"}})


FLOWS: list[tuple[str | None, str, str, str | None]] = [
    ("DE", "DE", "", "domestic"),
    ("DE", "FR", "", "export"),
    ("DE", "ZZ", "", None),
    ("DE", "FR", "Import", "import"),
    (None, "FR", "", None),
    (None, "FR", "DOMESTIC", "domestic"),
    ("DE", "FR", "sideways", "!FLOW_UNKNOWN"),
]


@pytest.mark.parametrize(("home", "country", "given", "expected"), FLOWS)
def test_flow(home: str | None, country: str, given: str, expected: str | None) -> None:
    fields = (*LINE_FIELDS, "flow")
    line = (*LINE[:3], country, *LINE[4:], given)
    result = parse_lines([line], channel(fields, settings={"home_country": home}), fields)
    found = [f"!{reason}" for _, _, reason in result.reasons] or result.column("flow")
    assert found == [expected]


# Text


def test_text_is_trimmed_and_empty_text_is_null() -> None:
    table: list[tuple[str, Outcome]] = [
        (" a b ", "a b"),
        ("\t\u3000x\u00a0\r\n", "x"),
        ("é ", "é"),
        ("x\x1fy\x1e", "x\x1fy\x1e"),
        ("", None),
        ("   ", None),
        ("\u3000", None),
    ]
    check("product_name", table)
    check("status", [("PAID ", "paid"), ("Größe", "größe")])


ORDER_IDS = [
    ("  00123-aB ", "00123-aB"),
    ("ＡＢ１２", "AB12"),
    ("A\u200b1\ufeff", "A1"),
    ("订单１", "订单1"),
    ("\u200b", None),
]


@pytest.mark.parametrize(("given", "expected"), ORDER_IDS)
def test_order_ids_are_folded_but_keep_case_and_zeros(given: str, expected: str | None) -> None:
    assert clean_order_id(given.strip()) == (expected or "")
    result = parse_lines([(given, *LINE[1:])], channel())
    assert result.column("order_id") == ([expected] if expected else [])
    assert result.reasons == ([] if expected else [(1, "order_id", "KEY_EMPTY")])


def test_whole_numbers_in_floating_columns_are_ids_without_a_point() -> None:
    values = pa.array([17850.0, 1e15, 12.5, None, float("nan")])
    assert typed(values, "customer_id") == ["17850", "1000000000000000.0", "12.5", None, None]
    assert typed(pa.array([17850, 9007199254740993]), "customer_id") == ["17850", "9007199254740993"]


# Presence, constants, maps


@pytest.mark.parametrize(
    ("field", "key", "reason"),
    [
        ("order_id", "natural", "KEY_EMPTY"),
        ("line_id", "natural", "KEY_EMPTY"),
        ("order_id", "none", "FIELD_MISSING"),
        ("ordered_at", "natural", "FIELD_MISSING"),
        ("country", "natural", "FIELD_MISSING"),
        ("currency", "natural", "FIELD_MISSING"),
        ("sku", "natural", "FIELD_MISSING"),
        ("quantity", "natural", "FIELD_MISSING"),
        ("unit_price", "natural", "FIELD_MISSING"),
    ],
)
def test_missing_values(field: str, key: str, reason: str) -> None:
    line = ["" if name == field else value for name, value in zip(LINE_FIELDS, LINE, strict=True)]
    result = parse_lines([LINE, line], channel(key=key))
    assert result.reasons == [(2, field, reason)]


def test_a_line_id_may_be_missing_without_a_natural_key() -> None:
    assert parse_lines([("A1", "", *LINE[2:])], channel(key="none")).column("line_id") == [None]


def test_only_the_first_fault_of_a_row_is_reported() -> None:
    assert parse_lines([("", "", "x", "y", "z", "", "?", "!")], channel()).reasons == [(1, "order_id", "KEY_EMPTY")]


CONSTANTS = [
    ("currency", "GBP", "currency_code", "GBP"),
    ("country", "JP", "country_code", "JP"),
    ("quantity", "1.5", "quantity", "1.5000"),
    ("ordered_at", "2024-05-01T10:00:00", "ordered_at", "2024-05-01 08:00:00"),
    ("ordered_at", "2024-05-01T10:00:00+09:00", "ordered_at", "2024-05-01 01:00:00"),
    ("status", "paid", "status", "paid"),
    ("flow", "import", "flow", "import"),
    ("utm_source", "fair's", "utm_source", "fair's"),
]


@pytest.mark.parametrize(("field", "value", "column", "expected"), CONSTANTS)
def test_constants(field: str, value: str, column: str, expected: str) -> None:
    given = dict(zip(LINE_FIELDS, LINE, strict=True)) | {"unit_price": "9,5"}
    fields = [name for name in LINE_FIELDS if name != field]
    settings = {"constants": {field: value}, "form": {"decimal": ","}, "settings": {"zone": "Europe/Berlin"}}
    result = parse_lines([[given[name] for name in fields]], channel(fields, **settings), fields)
    assert [str(each) for each in result.column(column)] == [expected]


def test_a_constant_beside_a_column_fills_only_what_is_missing() -> None:
    currencies: list[tuple[str, Outcome]] = [("JPY", "JPY"), ("", "GBP"), ("EURO", "!CURRENCY_UNKNOWN")]
    check("currency", currencies, "currency_code", constants={"currency": "GBP"})
    check("quantity", [("3", "3.0000"), (" ", "1.0000")], constants={"quantity": "1"})
    result = parse_column("country", ["Japan", ""], channel(constants={"country": "DE"}))
    assert (result.column("country_code"), result.column("country_name")) == (["JP", "DE"], ["Japan", None])


def test_value_maps_apply_first_and_to_the_exact_text() -> None:
    check(
        "status",
        [("bezahlt", "paid"), (" bezahlt ", "paid"), ("Bezahlt", "bezahlt"), ("-", None)],
        values={"status": {"bezahlt": "paid", "-": ""}},
    )
    check(
        "unit_price",
        [("gratis", "0.0000"), ("2,5", "2.5000")],
        values={"unit_price": {"gratis": "0,00"}},
        form={"decimal": ","},
    )


def test_value_maps_apply_to_typed_columns() -> None:
    base = {name: pa.array([value] * 2) for name, value in zip(LINE_FIELDS, LINE, strict=True)}
    base |= {"line_id": pa.array([1, 2]), "quantity": pa.array([-1.0, 2.0])}
    of = channel(form={"type": "parquet"}, values={"quantity": {"-1": "1"}})
    assert [str(each) for each in parse_bytes(parquet_bytes(base), of).column("quantity")] == ["1.0000", "2.0000"]
