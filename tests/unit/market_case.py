"""Markets for tests: a file's text with only what a test is about changed, and the market it makes."""

from __future__ import annotations

from textwrap import dedent

import yaml

from caravan.config.markets import Market


def market_text(code: str = "NO", country: str | None = None, currency: str = "NOK", zone: str = "Europe/Oslo") -> str:
    """A sound market file, around the clock; a line for each group."""
    country = country or code
    holidays = "none" if country == "ZZ" else "library"
    return dedent(f"""\
        code: {code}
        name: {code} market
        country: {country}
        zone: {zone}
        money:
          - {{source: law, currency: {currency}, tax_display: incl, vat_pct: 25}}
        language:
          - {{source: law, languages: [en]}}
        time:
          - {{source: house, weekend: [], week_start: mon, hours: {{daily: [00:00-24:00]}}}}
        calendar:
          - {{source: law, holidays: {holidays}}}
        contact:
          - {{source: house}}
        privacy:
          - {{source: law, regime: GDPR, residency: DE}}
        """)


def market(code: str = "NO", country: str | None = None, currency: str = "NOK", zone: str = "Europe/Oslo") -> Market:
    return Market.model_validate(yaml.load(market_text(code, country, currency, zone), Loader=yaml.CBaseLoader))
