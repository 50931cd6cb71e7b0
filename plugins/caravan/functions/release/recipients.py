"""The people of a list, row by row: those who can be written to, and why the others cannot.

| column | |
|---|---|
| address | required |
| locale, market, zone | where absent: the list's market, its languages, its zone |
| is_customer | yes or no |
| consent_state, consent_at, consent_evidence, consent_text | what they said, when (UTC), the proof, the text they saw |
| any other | a variable of texts |
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import langcodes
from langcodes.tag_parser import LanguageTagError

from caravan.core.errors import Rejected
from caravan.core.privacy import REFUSALS, STANDINGS, standing

OWN = ("address", "locale", "market", "zone", "is_customer", "consent_state", "consent_at", "consent_evidence",
       "consent_text")  # fmt: skip
_CONSENT = ("consent_state", "consent_at", "consent_evidence", "consent_text")
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0", "")
_STATES = tuple(state for state in STANDINGS if state != "unknown_state")
_AHEAD = timedelta(days=1)
"""Clocks differ, and some write their own zone's time: a no so far ahead is no fault."""
NOT_YET_SAID = "NOT_YET_SAID"
"""Such a row may be right when it is read again."""


@dataclass(frozen=True)
class Consent:
    state: str
    at: datetime
    evidence: str
    text_version: str


@dataclass(frozen=True)
class Recipient:
    """`address`: normalised. `row`: the line of the file at which it begins, the first being 1. `locale`: a BCP 47
    tag."""

    address: str = field(repr=False)
    row: int
    market: str | None
    locale: str | None
    zone: str | None
    is_customer: bool
    consent: Consent | None
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class BadRecipient:
    """A row that nobody is written to for. `row`: the line at which it begins. `message` repeats nothing of it.
    `refusal`: a no of whoever `address` is, which counts whatever else is wrong with its row."""

    row: int
    field_name: str
    reason_code: str
    message: str
    address: str = field(default="", repr=False)
    refusal: Consent | None = None


@dataclass(frozen=True)
class Unfit:
    """What is wrong with a value. `message` does not repeat it."""

    reason_code: str
    message: str


Normalise = Callable[[str], str | Unfit]
"""The address as it is compared and sent to, or why nobody is written to there."""


def read_recipients(
    lines: Iterable[str],
    where: str,
    markets: Collection[str],
    variables: Collection[str],
    normalise: Normalise,
    now: datetime,
) -> Iterator[Recipient | BadRecipient]:
    """`lines`: of a CSV file with a header. Who is there twice comes twice: the outbox plans them once.

    Raises Rejected for a file that is none: LIST_HEADER, LIST_BROKEN.
    """
    reader, begins = csv.reader(lines, strict=True), 1
    try:
        header = _header(next(reader, []), where, variables)
        begins = reader.line_num + 1
        for values in reader:
            if values:
                yield _recipient(header, values, begins, markets, variables, normalise, now)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise Rejected("LIST_BROKEN", f"{where}:{begins}: the row that begins here: {error}") from None
    except UnicodeDecodeError:
        raise Rejected("LIST_BROKEN", f"{where}: after line {reader.line_num}: is not UTF-8; save it as that") from None


def _header(written: Iterable[str], where: str, variables: Collection[str]) -> list[str]:
    header = [name.strip() for name in written]
    if missing := [name for name in ("address", *variables) if name not in header]:
        raise Rejected("LIST_HEADER", f"{where}:1: there is no column {', '.join(missing)}")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise Rejected("LIST_HEADER", f"{where}:1: column {', '.join(twice)} is there twice")
    return header


def _recipient(
    header: Sequence[str],
    values: Sequence[str],
    number: int,
    markets: Collection[str],
    variables: Collection[str],
    normalise: Normalise,
    now: datetime,
) -> Recipient | BadRecipient:
    if len(values) != len(header):
        return BadRecipient(number, "", "WRONG_WIDTH", "the row has more or fewer fields than the header")
    given = {name: value.strip() for name, value in zip(header, values, strict=True)}
    address = normalise(given["address"])
    if isinstance(address, Unfit):
        return BadRecipient(number, "address", address.reason_code, address.message)
    consent, wrong = _consent(given, now)
    wrong = wrong or _fault(given, markets, variables)
    if wrong:
        refusal = consent if consent and standing(consent.state) in REFUSALS else None
        return BadRecipient(number, wrong[0], wrong[1].reason_code, wrong[1].message, address, refusal)
    zone = given.get("zone") or None
    return Recipient(
        address,
        number,
        given.get("market") or None,
        # A tag or a zone that is none: the market's own; where the zone is from is kept with each message.
        _tag(given.get("locale", "")),
        zone if zone and _is_zone(zone) else None,
        given.get("is_customer", "").lower() in _YES,
        consent,
        {name: value.translate(_TURNING) for name, value in given.items() if name not in OWN},
    )


_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
"""Signs that turn the direction of all that comes after them: a name may not turn the sentence that it is put into."""
_Wrong = tuple[str, Unfit] | None
"""Field, and what is wrong with it."""


def _fault(given: Mapping[str, str], markets: Collection[str], variables: Collection[str]) -> _Wrong:
    if broken := next((name for name, value in given.items() if "\0" in value), None):
        return broken, Unfit("NOT_TEXT", "holds a NUL, which no text does: is the file whole?")
    market = given.get("market")
    if market and market not in markets:
        return "market", Unfit("UNKNOWN_MARKET", "there is no such market")
    if given.get("is_customer", "").lower() not in (*_YES, *_NO):
        return "is_customer", Unfit("NOT_YES_OR_NO", "is neither yes nor no")
    if empty := [name for name in variables if not given[name]]:
        return empty[0], Unfit("VARIABLE_MISSING", "every recipient of the list must have one")
    return None


def _consent(given: Mapping[str, str], now: datetime) -> tuple[Consent | None, _Wrong]:
    """What they said. A no counts also where it makes no sense: of when nobody can tell, it was said now. A time and a
    proof of nobody knows what are no yes."""
    state, when, evidence, text = (given.get(name, "").replace("\0", "?") for name in _CONSENT)
    if not state:
        is_empty = not (when or evidence or text)
        return None, None if is_empty else ("consent_state", Unfit("NO_STATE", f"is empty: {', '.join(_STATES)}?"))
    wrong: _Wrong = None
    try:
        at = datetime.fromisoformat(when)
        at = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    except (ValueError, OverflowError):
        at, wrong = now, ("consent_at", Unfit("NOT_A_TIME", "is no time (like 2026-03-01T09:30:00Z)"))
    if at > now + (_AHEAD if standing(state) in REFUSALS else timedelta(0)):
        # A yes is not taken for one of now: read again and again, it would come after whatever else they said.
        wrong = "consent_at", Unfit(NOT_YET_SAID, "lies in the future: is it UTC? Counts from then on")
    if state not in _STATES:
        wrong = "consent_state", Unfit("NOT_A_STATE", f"is none of {', '.join(_STATES)}")
    return Consent(state, min(at, now), evidence, text), wrong


@lru_cache(maxsize=1024)
def _tag(text: str) -> str | None:
    """A BCP 47 tag as it is written; None for what is none."""
    try:
        return langcodes.standardize_tag(text) if langcodes.tag_is_valid(text) else None
    except LanguageTagError:
        return None


def _is_zone(name: str) -> bool:
    try:
        return bool(ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        return False
