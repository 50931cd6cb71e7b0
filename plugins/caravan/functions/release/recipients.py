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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from caravan.core.errors import Rejected

OWN = ("address", "locale", "market", "zone", "is_customer", "consent_state", "consent_at", "consent_evidence",
       "consent_text")  # fmt: skip
_CONSENT = ("consent_state", "consent_at", "consent_evidence", "consent_text")
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0", "")


@dataclass(frozen=True)
class Consent:
    state: str
    at: datetime
    evidence: str
    text_version: str


@dataclass(frozen=True)
class Recipient:
    """`address`: normalised. `row`: its number in the file, the header being 1."""

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
    """A row that nobody is written to for. `message` repeats nothing of it."""

    row: int
    field_name: str
    reason_code: str
    message: str


Normalise = Callable[[str], tuple[str, str | None]]
"""The address as it is compared and sent to, and what is wrong with it: None for nothing."""


def read_recipients(
    lines: Iterable[str],
    where: str,
    markets: Collection[str],
    variables: Collection[str],
    normalise: Normalise,
) -> Iterator[Recipient | BadRecipient]:
    """`lines`: of a CSV file with a header. Who is there twice comes twice: the outbox plans them once.

    Raises Rejected for a file that is none: LIST_HEADER, LIST_BROKEN.
    """
    reader = csv.DictReader(lines, strict=True)
    header = [name.strip() for name in reader.fieldnames or ()]
    missing = [name for name in ("address", *variables) if name not in header]
    if missing:
        raise Rejected("LIST_HEADER", f"{where}:1: there is no column {', '.join(missing)}")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise Rejected("LIST_HEADER", f"{where}:1: column {', '.join(twice)} is there twice")
    reader.fieldnames = header
    try:
        for number, row in enumerate(reader, start=2):
            yield _recipient(row, number, markets, variables, normalise)
    except csv.Error as error:
        raise Rejected("LIST_BROKEN", f"{where}:{reader.line_num}: {error}") from None


def _recipient(
    row: Mapping[str | None, str | None],
    number: int,
    markets: Collection[str],
    variables: Collection[str],
    normalise: Normalise,
) -> Recipient | BadRecipient:
    if None in row or None in row.values():
        return BadRecipient(number, "", "WRONG_WIDTH", "the row has more or fewer fields than the header")
    given = {str(name): str(value).strip() for name, value in row.items()}
    address, problem = normalise(given["address"])
    if problem:
        return BadRecipient(number, "address", "BAD_ADDRESS", problem)
    market, zone = given.get("market") or None, given.get("zone") or None
    if market and market not in markets:
        return BadRecipient(number, "market", "UNKNOWN_MARKET", "there is no such market")
    if zone and not _is_zone(zone):
        zone = None  # the market's own; where it is from is kept with each message
    customer = given.get("is_customer", "").lower()
    if customer not in (*_YES, *_NO):
        return BadRecipient(number, "is_customer", "NOT_YES_OR_NO", "is neither yes nor no")
    empty = [name for name in variables if not given[name]]
    if empty:
        return BadRecipient(number, empty[0], "VARIABLE_MISSING", "every recipient of the list must have one")
    consent = _consent(given, number)
    if isinstance(consent, BadRecipient):
        return consent
    return Recipient(
        address,
        number,
        market,
        given.get("locale") or None,
        zone,
        customer in _YES,
        consent,
        {name: value for name, value in given.items() if name not in OWN},
    )


def _consent(given: Mapping[str, str], number: int) -> Consent | BadRecipient | None:
    said = {name: given.get(name, "") for name in _CONSENT}
    if not any(said.values()):
        return None
    try:
        at = datetime.fromisoformat(said["consent_at"])
    except ValueError:
        return BadRecipient(number, "consent_at", "NOT_A_TIME", "is no time (like 2026-03-01T09:30:00Z)")
    at = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return Consent(said["consent_state"] or "given", at, said["consent_evidence"], said["consent_text"])


def _is_zone(name: str) -> bool:
    try:
        return bool(ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        return False
