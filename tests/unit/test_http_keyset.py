"""Paging through a list that is ordered by change time and changes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

import pytest

from caravan.clients.http.keyset import walk
from caravan.core.errors import Rejected

START = datetime(2026, 11, 20, 10)
PAGE = 10


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


class Listing:
    """Records as (id, time): in order of time, then of id."""

    def __init__(self, seconds: dict[int, int]) -> None:
        self.times = {number: at(second) for number, second in seconds.items()}
        self.asked: list[tuple[datetime | None, int]] = []
        self.before: Callable[[int], None] = lambda count: None

    def ask(self, after: datetime | None, page: int) -> list[tuple[int, datetime]]:
        self.before(len(self.asked))
        self.asked.append((after, page))
        later = sorted((time, number) for number, time in self.times.items() if after is None or time > after)
        return [(number, time) for time, number in later[(page - 1) * PAGE : page * PAGE]]

    def walk(self, since: datetime | None = None) -> list[tuple[int, datetime]]:
        return list(walk(self.ask, lambda record: (str(record[0]), record[1]), since, "test"))


@pytest.mark.parametrize(
    ("seconds", "questions"),
    [
        ({}, 1),
        ({1: 0}, 3),
        ({number: number for number in range(10)}, 3),
        ({number: number for number in range(45)}, 7),
        (dict.fromkeys(range(10), 0), 3),
        ({number: number // 2 for number in range(45)}, 8),
        # A bulk edit: pages of one question, read twice.
        ({number: 5 if number > 3 else number for number in range(45)}, 13),
    ],
    ids=["none", "one", "a page", "pages", "a page of a second", "pairs", "bulk"],
)
def test_each_record_once(seconds, questions):
    listing = Listing(seconds)
    found = listing.walk()
    assert sorted(found) == sorted(listing.times.items())
    assert len(found) == len(set(found))
    assert len(listing.asked) == questions


def test_begins_after_since():
    listing = Listing({number: number for number in range(45)})
    assert sorted(listing.walk(at(29))) == [(number, at(number)) for number in range(30, 45)]


@pytest.mark.parametrize("seed", range(40))
def test_what_changes_meanwhile_is_never_lost(seed):
    random = Random(seed)
    listing = Listing({number: random.choice([0, 3, 3, 3, 3, 9, number]) for number in range(100)})
    before = set(listing.times)

    def change(count: int) -> None:
        for number in random.sample(range(120), 3 if count < 12 else 0):
            listing.times[number] = at(200 + count)

    listing.before = change
    found = listing.walk()
    assert before <= {number for number, _ in found}
    assert set(listing.times.items()) <= set(found), "the last version of each is among them"
    assert len(found) == len(set(found))


def test_records_without_id_or_time_come_once_and_stop_nothing():
    broken: list[object] = ["?", {"no": "time"}]

    def ask(after: datetime | None, page: int) -> list[object]:
        times = [(number, at(number)) for number in range(25) if after is None or at(number) > after]
        return [*times, *broken][(page - 1) * PAGE : page * PAGE]

    def key_of(record: object) -> tuple[str, datetime | None]:
        return (str(record[0]), record[1]) if isinstance(record, tuple) else (repr(record), None)

    found = list(walk(ask, key_of, None, "test"))
    assert len(found) == 27


@pytest.mark.parametrize(
    ("answer", "since", "code"),
    [
        (lambda listing, after, page: listing.ask(after, 1), None, "PAGE_REPEATS"),
        (lambda listing, after, page: listing.ask(None, 1), None, "PAGE_REPEATS"),
        (lambda listing, after, page: listing.ask(None, page), at(20), "FILTER_IGNORED"),
    ],
    ids=["page ignored", "always the same", "filter ignored"],
)
def test_a_service_that_does_not_page(answer, since, code):
    listing = Listing({number: number for number in range(45)})
    with pytest.raises(Rejected) as refused:
        list(walk(lambda *asked: answer(listing, *asked), lambda each: (str(each[0]), each[1]), since, "test"))
    assert refused.value.code == code
    assert len(listing.asked) < 20


def test_memory_holds_the_last_seconds_only():
    listing = Listing({number: number for number in range(3000)})
    held = 0
    records = walk(listing.ask, lambda each: (str(each[0]), each[1]), None, "test")
    for _ in records:
        held = max(held, len(records.gi_frame.f_locals["seen"]))
    assert 0 < held < 3 * PAGE
