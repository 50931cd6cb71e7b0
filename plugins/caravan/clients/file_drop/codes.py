"""How people write countries in files."""

from __future__ import annotations

from functools import cache

from babel import Locale

from caravan.config.types import OTHER_MARKET
from caravan.core.codes import country_codes


@cache
def country_names() -> dict[str, str]:
    """Lower-case code or English name (CLDR) to ISO 3166-1 alpha-2, `zz` included."""
    names = Locale("en").territories
    found = {OTHER_MARKET.lower(): OTHER_MARKET}
    for code in sorted(country_codes()):
        # CLDR writes "Bosnia & Herzegovina", "Côte d’Ivoire", "Hong Kong SAR China"; people do not.
        plain = names[code].replace("’", "'").removesuffix(" SAR China")
        for spelling in (code, names[code], plain, plain.replace("&", "and")):
            found[spelling.lower()] = code
    return found
