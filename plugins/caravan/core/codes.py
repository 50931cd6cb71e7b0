"""Which country and currency codes exist (babel's CLDR, so the same list everywhere)."""

from __future__ import annotations

from functools import cache

from babel import Locale
from babel.numbers import list_currencies

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
