"""What the demo's site says, in five languages, and the eight markets that it says it to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

import yaml

from caravan import INCLUDE_DIR

FOLDER = INCLUDE_DIR / "demo" / "site"


@dataclass(frozen=True)
class Market:
    """`code`: in addresses, /de-de/. `shop`: of `demo.catalogue`. `price`: how an amount is written."""

    code: str
    market_code: str
    locale: str
    country: str
    shop: str
    currency: str
    price: str

    @property
    def language(self) -> str:
        return self.locale[:2]

    @property
    def prefix(self) -> str:
        return f"/{self.code}/"

    def shown(self, amount: Decimal) -> str:
        """An amount as buyers of the market read it."""
        number = f"{amount:,.0f}" if self.currency == "JPY" else f"{amount:,.2f}"
        if self.language in ("de", "fr", "sv"):
            number = number.replace(",", " ").replace(".", ",").replace(" ", "." if self.language == "de" else "\u202f")
        return self.price.format(number)


MARKETS: Mapping[str, Market] = {
    each.code: each
    for each in (
        Market("en-gb", "GB", "en-GB", "Britain", "wholesale_gb", "GBP", "£{}"),
        Market("en-us", "US", "en-US", "America", "shop_us", "USD", "${}"),
        Market("en-au", "AU", "en-AU", "Australia", "marketplace_au", "AUD", "${}"),
        Market("en-ae", "AE", "en-AE", "the Gulf", "partner_ae", "AED", "AED {}"),
        Market("de-de", "DE", "de-DE", "Deutschland", "shop_de", "EUR", "{} €"),
        Market("fr-fr", "FR", "fr-FR", "France", "shop_fr", "EUR", "{} €"),
        Market("ja-jp", "JP", "ja-JP", "日本", "marketplace_jp", "JPY", "{}円"),
        Market("sv-se", "SE", "sv-SE", "Sverige", "webshop_se", "SEK", "{} kr"),
    )
}
DEFAULT = "en-gb"
"""The market whose pages are for everybody else (x-default)."""

ENGLISH_NAMES = {
    "GLF-1001": "Cambodian oud, 12 g",
    "GLF-1002": "Medjool dates, 1 kg",
    "GLF-1003": "Brass coffee pot",
    "GLF-1004": "Scented bakhoor",
    "GLF-1005": "Taif rose perfume",
    "GLF-1006": "Saffron, 5 g",
    "GLF-1007": "Prayer rug",
    "GLF-1008": "Coffee cups, set of six",
    "GLF-1009": "Sidr honey, 500 g",
}
"""Of a shop whose names are Arabic: the site speaks English in its market."""


@dataclass(frozen=True)
class Words:
    """The sentences of one language."""

    told: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.told[name]

    def head(self, kind: str, **values: object) -> tuple[str, str, str]:
        """Title, main heading and description of a page of this kind."""
        of = self.told[kind]
        return tuple(str(of.get(name, "")).format(**values) for name in ("title", "h1", "description"))  # type: ignore[return-value]

    def paragraphs(self, seed: str, name: str, sentences: int = 20) -> list[str]:
        """A text about something: the same for the same seed, another one for any other."""
        rng = Random(f"{self.told['brand']}/{seed}")
        chosen = rng.sample(self.told["sentences"], sentences)
        gap = "" if self.told["brand"] == "コントル" else " "
        full = [each.format(name=name) for each in chosen]
        return [gap.join(full[start : start + 4]) for start in range(0, len(full), 4)]


@cache
def words(language: str) -> Words:
    return Words(yaml.safe_load((FOLDER / f"{language}.yml").read_text(encoding="utf-8")))
