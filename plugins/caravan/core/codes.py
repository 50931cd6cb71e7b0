"""Which codes of countries, currencies (babel's CLDR), languages and scripts (IANA's registry, in langcodes) exist."""

from __future__ import annotations

from functools import cache

from babel import Locale
from babel.numbers import list_currencies
from langcodes.registry_parser import parse_registry

# CLDR's territories also hold groups, exceptional reservations of ISO 3166 and test regions.
_NO_COUNTRY = frozenset(["AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"])


@cache
def country_codes() -> frozenset[str]:
    """ISO 3166-1 alpha-2, and XK for Kosovo, which trade uses. Without ZZ."""
    territories = {str(code) for code in Locale("en").territories}
    return frozenset(code for code in territories if len(code) == 2 and code.isalpha()) - _NO_COUNTRY


@cache
def currency_codes() -> frozenset[str]:
    """ISO 4217, withdrawn currencies included: a backfill may reach back to them."""
    return frozenset(list_currencies()) - {"XXX", "XTS"}


@cache
def language_codes() -> frozenset[str]:
    """BCP 47's primary language subtags: ISO 639-1, and ISO 639-2 and -3 where a language has no code of two letters.

    The list itself: what parses tags also repairs them, and `en-uk` would pass.
    """
    return _subtags("language")


@cache
def script_codes() -> frozenset[str]:
    """ISO 15924, as `Latn`."""
    return _subtags("script")


def _subtags(kind: str) -> frozenset[str]:
    """Without ranges for private use, as `qaa..qtz`."""
    entries = parse_registry()  # type: ignore[no-untyped-call]
    return frozenset(entry["Subtag"] for entry in entries if entry["Type"] == kind and ".." not in entry["Subtag"])
