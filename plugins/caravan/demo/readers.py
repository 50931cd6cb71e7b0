"""The people of the demo's list, and which of them are to get its letter: planted, so that it is known."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from random import Random

HEADER = ("address", "market", "locale", "zone", "consent_state", "consent_at", "consent_evidence", "consent_text",
          "first_name")  # fmt: skip
MARKETS = ("AE", "AU", "DE", "FR", "GB", "JP", "SE", "US")
"""Those of the release."""
_NAMES = ("Aiko", "Amal", "Anna", "Ben", "Chloé", "Dora", "Emil", "Farah", "Greta", "Hugo", "Ines", "Jonas", "Kenji",
          "Lars", "Maud", "Nora", "Omar", "Paul", "Rosa", "Sara", "Tom", "Uma", "Yuki", "Zoë")  # fmt: skip
_ORDINARY = 8
"""People of each market who agreed, and about whom nothing is special."""


@dataclass(frozen=True)
class Reader:
    """`address`: as a mail reaches it. `said`: states in their order. `why_not`: None for those who get the letter."""

    address: str
    written: str
    market: str
    first_name: str
    said: tuple[str, ...] = ("pending", "given")
    locale: str = ""
    zone: str = ""
    why_not: str | None = None

    def rows(self) -> Iterator[tuple[str, ...]]:
        for day, state in enumerate(self.said, start=1):
            at = f"2026-02-{day:02}T08:00:00Z"
            evidence = (state, at, "form 7", "v1") if state else ("", "", "", "")
            yield (self.written, self.market, self.locale, self.zone, *evidence, self.first_name)


def readers(seed: int) -> list[Reader]:
    """The same ones on every computer for the same seed."""
    rng = Random(f"{seed}/readers")
    found = []
    for market in MARKETS:
        names = rng.sample(_NAMES, _ORDINARY + 2)
        found += [_reader(name, market) for name in names[:_ORDINARY]]
        left, silent = names[_ORDINARY:]
        found.append(_reader(left, market, ("pending", "given", "withdrawn"), why_not="withdrawn"))
        if market in ("DE", "FR", "GB", "SE"):
            found.append(_reader(silent, market, ("pending",), why_not="has not confirmed"))
    first = found[0]
    return [
        *found,
        _reader("Ivy", "AE", locale="en"),
        _reader("Leo", "US", zone="America/Los_Angeles"),
        Reader("mia@xn--bcher-kva.example", "Mia@Bücher.example", "DE", "Mia"),
        # In capitals: the same person, who gets one letter.
        Reader(first.address, first.written.upper(), first.market, first.first_name, why_not="is there twice"),
        _reader("Caio", "BR", why_not="of another market"),
    ]


BAD_ROWS: Sequence[tuple[str, ...]] = (
    ("nobody", "DE", "", "", "given", "2026-02-02T08:00:00Z", "form 7", "v1", "No"),
    ("eve@example.com\nBcc: all@example.com", "DE", "", "", "given", "2026-02-02T08:00:00Z", "form 7", "v1", "Eve"),
    ("info@example.com", "DE", "", "", "given", "2026-02-02T08:00:00Z", "form 7", "v1", "Info"),
    ("max@example.com", "XX", "", "", "given", "2026-02-02T08:00:00Z", "form 7", "v1", "Max"),
    ("kim@example.com", "DE", "", "", "given", "yesterday", "form 7", "v1", "Kim"),
)
"""Rows that cannot be read: no address, one that begins another header, one of nobody in particular, a market that
there is not, a time that is none."""


def csv_file(people: Sequence[Reader]) -> str:
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    writer.writerows(row for person in people for row in person.rows())
    writer.writerows(BAD_ROWS)
    return text.getvalue()


def _reader(
    name: str,
    market: str,
    said: tuple[str, ...] = ("pending", "given"),
    locale: str = "",
    zone: str = "",
    why_not: str | None = None,
) -> Reader:
    address = f"{name.lower().translate(_ASCII)}.{market.lower()}@example.com"
    return Reader(address, address, market, name, said, locale, zone, why_not)


_ASCII = str.maketrans("éë", "ee")
