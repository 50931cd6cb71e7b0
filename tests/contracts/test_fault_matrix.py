"""Workers killed at every change of state, answers lost: nobody gets it twice, and nothing is lost in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fault_matrix import BUSY, LEAST_LOST, REFUSED, UNASKED, UNTOLD, Kind, Matrix, SesReceiver

from caravan.assembly import sending
from caravan.core.errors import Rejected

KILLED = -9
SENDING = tuple(
    f"{when}{state}.{count}"
    for state, counts in {
        "claimed": (1, 2, 4),
        "handed_over": (1, 4, 9),
        "accepted": (1, 3, 7),
        "rejected": (1,),
        "unknown": (1,),
        "skipped": (1,),
        "planned": (1,),  # again, after somebody died
    }.items()
    for count in counts
    for when in ("", "after ")
)
SOME = ("after claimed.1", "handed_over.1", "after handed_over.1", "accepted.1")
MOST_AT_ONCE = 1000
"""Events that are taken in by one run."""
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def new_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_place: Any) -> Iterator[Callable[..., Matrix]]:
    made: list[Matrix] = []

    def make(engine: str, *given: Any) -> Matrix:
        made.append(Matrix(tmp_path, monkeypatch, new_place(engine, migrated=False), *given))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize(
    ("engine", "kind", "count", "end", "deaths"),
    [
        ("lake", "smtp", 500, "missed", SENDING),
        ("lake", "ses", 500, "cancelled", SENDING),
        ("postgresql", "ses", 100, "cancelled", SOME),
        pytest.param("lake", "smtp", 10_000, "cancelled", SENDING, marks=pytest.mark.slow),
        pytest.param("lake", "ses", 10_000, "missed", SENDING, marks=pytest.mark.slow),
        pytest.param("postgresql", "smtp", 10_000, "missed", SENDING, marks=pytest.mark.slow),
        pytest.param("postgresql", "ses", 10_000, "cancelled", SENDING, marks=pytest.mark.slow),
    ],
)
def test_nobody_gets_it_twice_and_nothing_is_lost_in_silence(
    new_matrix, engine: str, kind: Kind, count: int, end: str, deaths: tuple[str, ...]
):
    matrix = new_matrix(engine, kind, count, 7)
    matrix.approve()
    _plan(matrix)
    _send(matrix, deaths)
    if isinstance(matrix.receiver, SesReceiver):
        _settle_by_events(matrix, matrix.receiver)
    {"missed": _miss, "cancelled": _take_back}[end](matrix)
    _leave_to_a_person(matrix)
    assert set(matrix.counts()) == {"accepted", "operator", "rejected", "skipped", end}
    assert matrix.deaths_left() == []
    assert matrix.outbox.verify() is None


def _plan(matrix: Matrix) -> None:
    matrix.kill_at("planned.1", "after planned.1")
    assert [matrix.run("plan") for _ in range(3)] == [KILLED, KILLED, 0]
    assert matrix.counts() == {"planned": matrix.planned}


def _send(matrix: Matrix, deaths: tuple[str, ...]) -> None:
    receiver = matrix.receiver
    matrix.kill_at(*deaths)
    matrix.work()
    matrix.now += 20 * MINUTE  # those that were refused for now
    matrix.work()
    assert matrix.deaths_left() == []
    assert matrix.kills() == len(deaths) + 2
    assert len(receiver.lost) >= max(matrix.planned // 100, LEAST_LOST) - len(matrix.in_the_air())
    assert len(receiver.took) == len(set(receiver.took)), "somebody got it twice"
    unknown, took = matrix.ids("unknown"), set(receiver.took)
    assert unknown == receiver.lost | matrix.in_the_air()
    assert len(unknown) > len(receiver.lost) > 0 and len(unknown & took) > len(receiver.lost)
    assert matrix.ids("accepted") == took - unknown
    assert matrix.ids() == matrix.ids("accepted", "unknown", "rejected", "skipped", "planned")


def _settle_by_events(matrix: Matrix, receiver: SesReceiver) -> None:
    """Whatever SES tells of is known then, though who reads it is killed; of the others nobody knows as before."""
    unknown, accepted = matrix.ids("unknown"), matrix.ids("accepted")
    receiver.tell(unknown)
    assert len(receiver.told & unknown) == len(unknown & set(receiver.took)) - UNTOLD > 0
    assert receiver.told & receiver.lost and receiver.told & accepted
    matrix.kill_at("accepted.1", "after accepted.1")
    assert [matrix.run("collect") for _ in range(2)] == [KILLED, KILLED]
    for _ in range(len(receiver.events) // MOST_AT_ONCE + 1):
        assert matrix.run("collect") == 0
    assert receiver.events == {}
    assert matrix.ids("unknown") == unknown - receiver.told
    assert matrix.ids("accepted") == accepted | receiver.told
    assert len(receiver.took) == len(set(receiver.took)), "who asks for evidence sends nothing"


def _busy_ones(matrix: Matrix) -> int:
    """Still planned: those of whom the other side always says that it is busy, but for who was just in the air."""
    left = matrix.counts()["planned"]
    assert 0 < left <= BUSY
    return left


def _take_back(matrix: Matrix) -> None:
    left = _busy_ones(matrix)
    matrix.kill_at("cancelled.1", "after cancelled.1")
    assert matrix.run("cancel") == KILLED
    assert matrix.counts()["planned"] == left
    assert [matrix.run("cancel") for _ in range(2)] == [KILLED, 0]
    assert matrix.counts()["cancelled"] == left


def _miss(matrix: Matrix) -> None:
    left = _busy_ones(matrix)
    matrix.kill_at("missed.1", "after missed.1")
    matrix.now += 3 * HOUR
    matrix.work()
    assert matrix.counts()["missed"] == left


def _told() -> str:
    """What the run's verdict says; that some were missed is told as well."""
    try:
        sending.verdict()
    except Rejected as error:
        return str(error)
    return ""


def _leave_to_a_person(matrix: Matrix) -> None:
    """SMTP tells nothing afterwards, and of some no event has come: after a day each is shown to a person."""
    unknown, took = matrix.ids("unknown"), list(matrix.receiver.took)
    matrix.work()
    assert matrix.ids("unknown") == unknown, "before a day has passed"
    assert "nobody knows" not in _told()
    matrix.kill_at("operator.1", "after operator.1")
    matrix.now += 25 * HOUR
    matrix.work(until_none="'unknown'")
    assert matrix.ids("operator") == unknown
    assert f"nobody knows whether these arrived (letter: {len(unknown)})" in _told()
    assert matrix.receiver.took == took
    counts = matrix.counts()
    assert 0 < counts["rejected"] <= REFUSED and counts["skipped"] == UNASKED
    assert counts.total() == matrix.planned
