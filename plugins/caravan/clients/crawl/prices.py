"""Prices and availability that a page shows its readers, to be held against its structured data and the warehouse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

import numpy as np

MOST_PRICES = 20
_SIGNS: dict[str, tuple[str, ...]] = {
    "€": ("EUR",),
    "£": ("GBP",),
    "US$": ("USD",),
    "CA$": ("CAD",),
    "C$": ("CAD",),
    "AU$": ("AUD",),
    "A$": ("AUD",),
    "NZ$": ("NZD",),
    "HK$": ("HKD",),
    "NT$": ("TWD",),
    "S$": ("SGD",),
    "MX$": ("MXN",),
    "R$": ("BRL",),
    "$": ("USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "CLP", "COP", "ARS"),
    "¥": ("JPY", "CNY"),
    "￥": ("JPY", "CNY"),
    "円": ("JPY",),
    "元": ("CNY", "TWD"),
    "₩": ("KRW",),
    "원": ("KRW",),
    "₹": ("INR",),
    "฿": ("THB",),
    "บาท": ("THB",),
    "₫": ("VND",),
    "₽": ("RUB",),
    "₺": ("TRY",),
    "₴": ("UAH",),
    "₪": ("ILS",),
    "₱": ("PHP",),
    "zł": ("PLN",),
    "Kč": ("CZK",),
    "Ft": ("HUF",),
    "лв": ("BGN",),
    "lei": ("RON",),
    "kr": ("SEK", "NOK", "DKK", "ISK"),
    "Fr.": ("CHF",),
    "RM": ("MYR",),
    "Rp": ("IDR",),
}
_CODES = str.split(
    "EUR USD GBP CHF JPY CNY KRW INR THB VND RUB TRY UAH ILS PLN CZK HUF BGN RON SEK NOK DKK ISK CAD AUD NZD "
    "SGD HKD TWD MXN BRL CLP COP ARS ZAR AED SAR QAR KWD EGP MAD MYR IDR"
)
_CURRENCIES = {**_SIGNS, **{code: (code,) for code in _CODES}}
_ANY = "|".join(re.escape(sign) for sign in sorted(_CURRENCIES, key=len, reverse=True))
_GROUP = "[.,'’ \u00a0\u202f\u2009]"
_AMOUNT = (
    rf"(?:[0-9]{{1,3}}(?:{_GROUP}[0-9]{{3}})+(?:[.,][0-9]{{1,2}})?"
    r"|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]{1,2})?"  # as in India
    r"|[0-9]{1,9}(?:[.,][0-9]{1,3})?)(?!,?[0-9])"
)
_PRICE = re.compile(
    rf"(?<![\w$€£])(?P<before>{_ANY})\s?(?P<first>{_AMOUNT})(?:,-|,–|\.-)?"
    rf"|(?<![\w.,$€£-])(?P<second>{_AMOUNT})(?:,-|,–|\.-)?\s?(?P<after>{_ANY})(?![\w$])"
)
_BEFORE = frozenset(sign[-1] for sign in _CURRENCIES)
_AFTER = frozenset(sign[0] for sign in _CURRENCIES)
_BEGINS, _ENDS = tuple(_CURRENCIES), tuple(sign for sign in _CURRENCIES if sign not in ("lei", "Ft", "zł", "Kč", "лв"))
_AROUND = 32
"""Characters on both sides of a number that hold all of a price."""
_SPACES, _TAILS = " \u00a0\u202f\u2009\n", ",.-–"
_DIGITS_AFTER = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "KWD": 3}


class Price(NamedTuple):
    """`currencies`: those that the sign may mean, ISO 4217; a `$` means many."""

    written: str
    amount: Decimal
    currencies: tuple[str, ...]


def prices_in(words: str) -> list[Price]:
    """Amounts with a currency, the first 20 in the page's order. `words`: visible, white space as it came."""
    found: list[Price] = []
    read_to = 0
    for start, end in _near_currencies(words):
        if end <= read_to:
            continue
        window = words[start:end]
        for match in _PRICE.finditer(window, max(0, read_to - start)):
            sign = match["before"] or match["after"]
            currencies = _CURRENCIES[sign]
            amount = amount_of(match["first"] or match["second"], currencies)
            read_to = start + match.end()
            if amount is not None:
                found.append(Price(" ".join(match[0].split()), amount, currencies))
                if len(found) == MOST_PRICES:
                    return found
    return found


def _near_currencies(words: str) -> Iterator[tuple[int, int]]:
    """Where a number stands next to what may be a currency. A look at all digits at once: texts have few."""
    codes = np.frombuffer(words.encode("utf-32-le", "surrogatepass"), np.uint32)
    digits = np.flatnonzero((codes >= ord("0")) & (codes <= ord("9")))
    if not len(digits):
        return
    gaps = np.flatnonzero(np.diff(digits) != 1)
    starts = digits[np.concatenate((np.zeros(1, dtype=np.int64), gaps + 1))].tolist()
    ends = digits[np.append(gaps, len(digits) - 1)].tolist()
    text = f" {words}     "  # so that a look beyond an end finds nothing
    for start, end in zip(starts, ends, strict=True):
        before, after = start, end + 2
        if text[before] in _SPACES:
            before -= 1
        if text[after] in _TAILS:
            after += 1 + (text[after + 1] in _TAILS)
        if text[after] in _SPACES:
            after += 1
        if (text[before] in _BEFORE and text.endswith(_ENDS, max(0, before - 4), before + 1)) or (
            text[after] in _AFTER and text.startswith(_BEGINS, after)
        ):
            yield max(0, start - _AROUND), end + _AROUND


def amount_of(written: str, currencies: tuple[str, ...]) -> Decimal | None:
    """`1,234.56`, `1.234,56`, `1 234,56`, `1'234.56`; `1.234` is a thousand and more where the currency has no mills.

    None for what is neither, as `1,23,4` and `007`.
    """
    if written[0] == "0" and written[1:2].isdigit():
        return None
    text = re.sub("['’ \u00a0\u202f\u2009]", "", written)
    last = max(text.rfind("."), text.rfind(","))
    if last < 0:
        return Decimal(text)
    mark, other = text[last], "." if text[last] == "," else ","
    after = len(text) - last - 1
    mills = all(_DIGITS_AFTER.get(each) == 3 for each in currencies)
    is_decimal = after < 3 or (after == 3 and mills and text.count(mark) == 1) or text[:last].strip("0") == ""
    if text.count(mark) > 1:
        return None if other in text else Decimal(text.replace(mark, ""))
    if is_decimal:
        return Decimal(text[:last].replace(other, "") + "." + text[last + 1 :])
    return None if other in text else Decimal(text.replace(mark, ""))


# By language; what says "out" is looked for first, since "not in stock" has "in stock" in it.
_OUT_OF_STOCK: dict[str, tuple[str, ...]] = {
    "en": ("out of stock", "not in stock", "sold out", "currently unavailable"),
    "de": (
        "nicht auf lager",
        "ausverkauft",
        "nicht lieferbar",
        "nicht verfügbar",
        "derzeit nicht vorrätig",
        "vergriffen",
    ),
    "fr": ("rupture de stock", "en rupture", "épuisé", "indisponible"),
    "es": ("agotado", "sin existencias", "fuera de stock"),
    "it": ("esaurito", "attualmente non disponibile", "non in magazzino"),
    "pt": ("esgotado", "indisponível", "fora de estoque", "sem stock"),
    "nl": ("uitverkocht", "niet op voorraad", "niet leverbaar", "niet beschikbaar"),
    "pl": ("wyprzedane", "niedostępny", "brak w magazynie", "produkt niedostępny"),
    "cs": ("vyprodáno", "není skladem", "nedostupné"),
    "sv": ("slutsåld", "slut i lager", "ej i lager"),
    "da": ("udsolgt", "ikke på lager"),
    "no": ("utsolgt", "ikke på lager"),
    "fi": ("loppuunmyyty", "ei varastossa"),
    "tr": ("tükendi", "stokta yok"),
    "ru": ("нет в наличии", "распродано"),
    "ja": ("在庫切れ", "売り切れ", "品切れ", "在庫なし"),
    "zh": ("缺货", "缺貨", "售罄", "无货", "無貨", "已售完"),
    "ko": ("품절", "재고 없음"),
    "th": ("สินค้าหมด", "หมดสต็อก"),
    "vi": ("hết hàng",),
    "id": ("stok habis", "habis terjual"),
    "ar": ("غير متوفر", "نفدت الكمية"),
}
_IN_STOCK: dict[str, tuple[str, ...]] = {
    "en": ("in stock", "available now", "ready to ship"),
    "de": ("auf lager", "sofort lieferbar", "vorrätig", "sofort verfügbar"),
    "fr": ("en stock",),
    "es": ("en stock", "hay existencias"),
    "it": ("in magazzino", "disponibilità immediata"),
    "pt": ("em estoque", "em stock"),
    "nl": ("op voorraad", "direct leverbaar"),
    "pl": ("w magazynie", "dostępny", "na stanie"),
    "cs": ("skladem", "na skladě"),
    "sv": ("i lager",),
    "da": ("på lager",),
    "no": ("på lager",),
    "fi": ("varastossa",),
    "tr": ("stokta var", "stokta"),
    "ru": ("в наличии",),
    "ja": ("在庫あり",),
    "zh": ("有货", "有貨", "现货", "現貨"),
    "ko": ("재고 있음", "구매 가능"),
    "th": ("มีสินค้า", "พร้อมส่ง"),
    "vi": ("còn hàng",),
    "id": ("stok tersedia",),
    "ar": ("متوفر",),
}


def availability_in(lowered: str, language: str | None) -> dict[str, int]:
    """`out_of_stock` and `in_stock` to how often a page's words say so; of other languages nothing."""
    found = {}
    for name, words_of in (("out_of_stock", _OUT_OF_STOCK), ("in_stock", _IN_STOCK)):
        count = 0
        for words in words_of.get((language or "")[:2].lower(), ()):
            if words in lowered:
                count += lowered.count(words)
                lowered = lowered.replace(words, "\n")
        if count:
            found[name] = count
    return found
