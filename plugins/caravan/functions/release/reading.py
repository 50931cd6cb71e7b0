"""What a list holds, counted: people by market, rows that say nothing new, rows that nobody is written to for."""

from __future__ import annotations

import hashlib
import json
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from caravan.config.lists import RecipientList
from caravan.core.outbox import Intention
from caravan.core.privacy import ConsentEvent
from caravan.functions.release.recipients import BadRecipient, Consent, Recipient

_RULES = 4
"""Another number when rows are judged otherwise: every list is read again."""


@dataclass(frozen=True)
class Reading:
    """received = taken + duplicate + bad. `taken`: people, and what else they said of consent. `people`: by market,
    under "" those of none."""

    received: int
    taken: int
    duplicate: int
    bad: int
    people: Mapping[str, int]


def reading_id(
    of_list: RecipientList, content_hash: str, markets: Collection[str], nobody: str, again: str = ""
) -> str:
    """Of one content under the same rules: what was read is not read again. 32 hexadecimal digits.

    `nobody`: the subject of no address; with another key everybody is somebody else, and has said nothing yet.
    `again`: since when it is read once more, because of rows that were not yet said.
    """
    rules = (_RULES, nobody, sorted(markets), of_list.purpose, of_list.audience, of_list.market, of_list.variables)
    return hashlib.sha256(json.dumps((of_list.code, content_hash, rules, again)).encode()).hexdigest()[:32]


class Tally:
    """Rows as they are read. Eight bytes for each of them: a list may have millions."""

    def __init__(self, of_list: RecipientList) -> None:
        self._of_list = of_list
        self._bad = 0
        self._said = array("q")
        self._people: dict[str, array[int]] = defaultdict(lambda: array("q"))

    def take(self, row: Recipient | BadRecipient) -> None:
        if isinstance(row, BadRecipient):
            self._bad += 1
            return
        address = row.address.lower()
        self._said.append(hash((address, row.consent and (row.consent.state, row.consent.at))))
        self._people[row.market or self._of_list.market or ""].append(hash(address))

    def reading(self) -> Reading:
        good, taken = len(self._said), _distinct(self._said)
        people = {market: _distinct(found) for market, found in sorted(self._people.items())}
        return Reading(good + self._bad, taken, good - taken, self._bad, people)


class Kept:
    """Which messages were planned, by their ids. Eight bytes for each."""

    def __init__(self) -> None:
        self._ids = array("Q")

    def note(self, intentions: Iterable[Intention]) -> Iterator[Intention]:
        for each in intentions:
            self._ids.append(_number(each.key.message_id))
            yield each

    def note_ids(self, message_ids: Iterable[str]) -> int:
        """How many."""
        before = len(self._ids)
        self._ids.extend(map(_number, message_ids))
        return len(self._ids) - before

    def lookup(self) -> Callable[[str], bool]:
        """Whether a message is among those noted so far."""
        ids = array("Q", np.sort(np.frombuffer(self._ids, dtype=np.uint64)).tobytes())

        def is_there(message_id: str) -> bool:
            number = _number(message_id)
            at = bisect_left(ids, number)
            return at < len(ids) and ids[at] == number

        return is_there


def _number(message_id: str) -> int:
    return int(message_id[:16], 16)


def _distinct(hashes: array[int]) -> int:
    return len(np.unique(np.frombuffer(hashes, dtype=np.int64)))


def has_fallen(before: Mapping[str, int], now: Mapping[str, int], markets: Collection[str]) -> tuple[int, int] | None:
    """How many people of these markets there were and are, if more than half are gone. Of the same markets then and
    now: a release for fewer of them is nobody's loss."""
    were, are = (sum(people.get(market, 0) for market in markets) for people in (before, now))
    return (were, are) if 2 * are < were else None


def said(row: Recipient | BadRecipient, of_list: RecipientList, subject: str) -> ConsentEvent | None:
    """What somebody says in a row. A no counts whatever else is wrong with the row."""
    word: Consent | None = row.refusal if isinstance(row, BadRecipient) else row.consent
    if word is None:
        return None
    return ConsentEvent(subject, of_list.purpose, "email", word.state, word.at, word.evidence, word.text_version)
