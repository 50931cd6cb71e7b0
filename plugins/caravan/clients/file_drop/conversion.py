"""SQL that turns one delivered value into one typed value, or NULL with a reason.

Nothing is rounded, swapped or guessed: a value that does not fit exactly is refused.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from caravan.clients.file_drop.source import literal
from caravan.config.types import FileFormat

MONEY = "DECIMAL(18,4)"
EARLIEST = "1970-01-01 00:00:00"
"""Older times are typing errors (`%Y` reads '24' as the year 24) or an exporter's idea of nothing."""

_SPACES = " \t\r\n\v\f\u00a0\u3000\ufeff"
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
"""Zero-width characters that copying from web pages leaves in order numbers."""

_EXPECTED_NUMBER = "a number of at most 14 digits and 4 decimals"
_INTEGERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
)
_NOISE = "1e-14"
"""Relative noise of a computed price: a few dozen units of a double's last binary place."""


@dataclass(frozen=True)
class Conversion:
    """`value`: SQL, NULL when it cannot be. `reason`: SQL of the reason code then. `expected`: words for people."""

    value: str
    reason: str
    expected: str


def as_text(reference: str, kind: str) -> str:
    """A delivered value as trimmed text; empty is NULL. A whole number in a floating column has no `.0`."""
    if kind == "DOUBLE":
        whole = f"{reference} = trunc({reference}) AND abs({reference}) < 1e15"
        return (
            f"CASE WHEN isnan({reference}) THEN NULL WHEN {whole} THEN CAST(CAST({reference} AS BIGINT) AS VARCHAR) "
            f"ELSE CAST({reference} AS VARCHAR) END"
        )
    if kind != "VARCHAR":
        return f"CAST({reference} AS VARCHAR)"
    # Most values begin and end with a printable ASCII character; seeing that costs a quarter of trimming.
    tidy = f"{reference}[1] BETWEEN '!' AND '~' AND {reference}[-1] BETWEEN '!' AND '~'"
    return f"CASE WHEN {tidy} THEN {reference} ELSE nullif(trim({reference}, {literal(_SPACES)}), '') END"


def as_delivered(reference: str, kind: str) -> str:
    """A delivered value in its own type. NaN is how data frames write a missing number."""
    return f"CASE WHEN isnan({reference}) THEN NULL ELSE {reference} END" if kind == "DOUBLE" else reference


def is_number(kind: str) -> bool:
    return kind == "DOUBLE" or kind in _INTEGERS or kind.startswith("DECIMAL")


def is_time(kind: str) -> bool:
    return kind == "DATE" or kind.startswith("TIMESTAMP")


def number(reference: str, kind: str, form: FileFormat) -> Conversion:
    """A number as DECIMAL(18,4). `kind`: DuckDB type of the delivered value."""
    if kind == "DOUBLE":
        scaled = f"({reference} * 1e4)"
        exact = f"abs({scaled} - round({scaled})) <= 1e-6 + {_NOISE} * abs({scaled})"
        return Conversion(
            f"CASE WHEN {exact} THEN TRY_CAST({reference} AS {MONEY}) END",
            f"CASE WHEN abs({reference}) < 1e14 THEN 'TOO_MANY_DECIMALS' ELSE 'NUMBER_INVALID' END",
            _EXPECTED_NUMBER,
        )
    if kind in _INTEGERS:
        return Conversion(f"TRY_CAST({reference} AS {MONEY})", "'NUMBER_INVALID'", _EXPECTED_NUMBER)
    if kind.startswith("DECIMAL"):
        fitted = f"TRY_CAST({reference} AS {MONEY})"
        return Conversion(
            f"CASE WHEN {fitted} = {reference} THEN {fitted} END",
            f"CASE WHEN {fitted} IS NULL THEN 'NUMBER_INVALID' ELSE 'TOO_MANY_DECIMALS' END",
            _EXPECTED_NUMBER,
        )
    marks = f"decimal mark '{form.decimal}'" + (f", thousands mark '{form.thousands}'" if form.thousands else "")
    decimal = "\\" + form.decimal
    groups = {"": None, " ": "[ \u00a0\u202f]", "'": "['’]"}.get(form.thousands, "\\" + form.thousands)
    whole = "[0-9]+" if groups is None else f"(?:[0-9]+|[0-9]{{1,3}}(?:{groups}[0-9]{{3}})+)"
    plain = reference
    if groups is not None:
        plain = f"regexp_replace({plain}, {literal(groups)}, '', 'g')"
    if form.decimal != ".":
        plain = f"replace({plain}, {literal(form.decimal)}, '.')"
    exact = literal(f"[+-]?(?:{whole}(?:{decimal}[0-9]{{0,4}}0*)?|{decimal}[0-9]{{1,4}}0*)")
    longer = literal(f"[+-]?(?:{whole})?{decimal}[0-9]+")
    return Conversion(
        f"CASE WHEN regexp_full_match({reference}, {exact}) THEN TRY_CAST({plain} AS {MONEY}) END",
        f"CASE WHEN regexp_full_match({reference}, {longer}) AND NOT regexp_full_match({reference}, {exact}) "
        "THEN 'TOO_MANY_DECIMALS' ELSE 'NUMBER_INVALID' END",
        f"{_EXPECTED_NUMBER} ({marks})",
    )


def amount(quantity: str, unit_price: str, discount: str) -> tuple[str, str]:
    """SQL of quantity * unit_price - discount, and of whether that lost decimals. Both NULL beyond 14 digits.

    A product below 10^10 fits 64 bits. Wider decimals cost ten times as much, so they are kept for the rest.
    """
    fits = f"abs({quantity}) < 100000 AND abs({unit_price}) < 90000"
    wide = f"CAST({quantity} AS DECIMAL(20,4)) * {unit_price}"
    fitted = f"TRY_CAST({wide} AS {MONEY})"
    product = f"CASE WHEN {fits} THEN CAST({quantity} * {unit_price} AS {MONEY}) ELSE {fitted} END"
    inexact = f"CASE WHEN {fits} THEN ({quantity} * {unit_price}) % 0.0001 <> 0 ELSE {fitted} <> {wide} END"
    return f"TRY({product} - {discount})", inexact


def timestamp(reference: str, kind: str, form: FileFormat, zone: str) -> Conversion:
    """A moment in UTC without zone. A value that names no offset is local time in `zone`.

    Where clocks go forward, a time that never was moves by the gap (02:30 becomes 03:30); where they go back,
    the later of the two moments is taken (standard time).
    """
    expected = "a time like 2024-01-31 13:45:00, from 1970 on"
    if kind == "TIMESTAMP WITH TIME ZONE":
        value = utc(reference)
    elif is_time(kind):
        value = _to_utc(f"CAST({reference} AS TIMESTAMP)", zone)
    elif form.datetime == "iso":
        clock = "(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\\.[0-9]{1,9})?)?"
        date = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
        local = literal(f"{date}{clock})?")
        offset = literal(f"{date}{clock})(?:Z|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)")
        # Before an offset DuckDB wants seconds, and in it the colon that RFC 822 leaves out of +0530.
        full = f"regexp_replace({reference}, '^(.{{16}})([Z+-])', '\\1:00\\2')"
        full = f"regexp_replace({full}, '([+-][0-9]{{2}})([0-9]{{2}})$', '\\1:\\2')"
        value = (
            f"CASE WHEN regexp_full_match({reference}, {local}) "
            f"THEN {_to_utc(f'TRY_CAST({reference} AS TIMESTAMP)', zone)} "
            f"WHEN regexp_full_match({reference}, {offset}) "
            f"THEN {utc(f'TRY_CAST({full} AS TIMESTAMPTZ)')} END"
        )
    else:
        expected = f"a time in the form {form.datetime}, from 1970 on"
        read = f"try_strptime({reference}, {literal(form.datetime)})"
        has_zone = "%z" in form.datetime or "%Z" in form.datetime
        value = utc(read) if has_zone else _to_utc(read, zone)
    return Conversion(value, "'TIMESTAMP_INVALID'", expected)


def plausible(moment: str) -> str:
    """SQL condition of a moment that can be an order's."""
    return f"isfinite({moment}) AND {moment} >= TIMESTAMP '{EARLIEST}'"


def utc(moment: str) -> str:
    """A TIMESTAMPTZ expression as UTC without zone."""
    return f"make_timestamp(epoch_us({moment}))"


def local_date(moment: str, zone: str) -> str:
    """The calendar date in `zone` of a UTC moment without zone."""
    if zone == "UTC":
        return f"CAST({moment} AS DATE)"
    return f"CAST(timezone({literal(zone)}, make_timestamptz(epoch_us({moment}))) AS DATE)"


def _to_utc(moment: str, zone: str) -> str:
    return moment if zone == "UTC" else utc(f"timezone({literal(zone)}, {moment})")


def clean_order_id(text: str) -> str:
    """Width folded, zero-width characters gone; case, punctuation and leading zeros stay."""
    kept = "".join(char for char in text if char not in _INVISIBLE)
    return unicodedata.normalize("NFKC", kept).strip()


def order_id(reference: str) -> str:
    """SQL for `clean_order_id`, called only where there is a character outside ASCII."""
    plain = f"strlen({reference}) = length({reference})"
    return f"CASE WHEN {plain} THEN {reference} ELSE nullif(clean_order_id({reference}), '') END"
