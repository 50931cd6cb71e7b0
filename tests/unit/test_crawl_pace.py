"""How fast a host is asked, told by a clock that only the test moves."""

from __future__ import annotations

import threading
from datetime import datetime

import pytest

from caravan.clients.crawl.pace import Pace
from caravan.core.crawl import Answer, Ask, Limits

HOST = "example.com"
AT = datetime(2026, 11, 22)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def answer(status=200, *, after=None, ttfb_ms=10, total_ms=10, reason=None):
    return Answer(
        Ask("http://example.com/"), AT, status, reason, ttfb_ms=ttfb_ms, total_ms=total_ms, retry_after_s=after
    )


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pace(clock):
    return Pace(Limits(), clock=clock)


def _after(pace, clock, answers):
    """The rate after these answers, each a second after the one before."""
    for each in answers:
        clock.now += 1
        pace.answered(HOST, each)
    return pace.rate(HOST)


def test_turns_stand_apart_by_the_rate(pace, clock):
    assert [pace.reserve(HOST) for _ in range(4)] == pytest.approx([0, 0.2, 0.4, 0.6])
    clock.now += 0.5
    assert pace.reserve(HOST) == pytest.approx(0.3)
    clock.now += 60
    assert [pace.reserve(HOST) for _ in range(2)] == pytest.approx([0, 0.2]), "what was not used is not made up for"
    assert pace.reserve("other.example") == 0
    assert pace.waited_ms(HOST) == 200 + 400 + 600 + 300 + 200


@pytest.mark.parametrize(
    ("answers", "rate"),
    [
        ([], 5.0),
        ([answer()] * 100, 5.0),
        ([answer(429)], 2.5),
        ([answer(503)], 2.5),
        ([answer(503)] * 2, 1.25),
        ([answer(503)] * 50, 0.1),
        ([answer(500)], 5.0),
        ([answer(404)] * 20, 5.0),
        ([answer(None, reason="timeout", ttfb_ms=None)] * 20, 5.0),
        ([answer(429)] + [answer()] * 19, 2.5),
        ([answer(429)] + [answer()] * 20, 3.0),
        ([answer(429)] + [answer()] * 40, 3.5),
        ([answer(429)] + [answer(304)] * 1000, 5.0),
        ([answer(429)] + [answer()] * 19 + [answer(500)] + [answer()] * 19, 2.5),
        ([answer(429)] + [answer()] * 19 + [answer(None, reason="broken")] + [answer()] * 19, 2.5),
        # Slow answers
        ([answer(ttfb_ms=100)] * 20 + [answer(ttfb_ms=199)] * 20, 5.0),
        ([answer(ttfb_ms=100)] * 20 + [answer(ttfb_ms=200)] * 19, 5.0),
        ([answer(ttfb_ms=100)] * 20 + [answer(ttfb_ms=200)] * 20, 2.5),
        ([answer(ttfb_ms=100)] * 20 + [answer(ttfb_ms=100)] * 17 + [answer(ttfb_ms=900)] * 3, 2.5),
        ([answer(ttfb_ms=100)] * 20 + [answer(ttfb_ms=100)] * 18 + [answer(ttfb_ms=900)] * 2, 5.0),
        ([answer(ttfb_ms=2)] * 20 + [answer(ttfb_ms=40)] * 20, 5.0),
        ([answer(ttfb_ms=100)] * 20 + [answer(ttfb_ms=400)] * 200, 5.0),
    ],
)
def test_rates(pace, clock, answers, rate):
    assert _after(pace, clock, answers) == pytest.approx(rate)


def test_one_bad_moment_halves_once(pace, clock):
    """Sixteen were under way when the host said no to all of them."""
    for _ in range(16):
        clock.now += 0.01
        pace.answered(HOST, answer(429, total_ms=500))
    assert pace.rate(HOST) == 2.5
    clock.now += 1
    pace.answered(HOST, answer(429, total_ms=500))
    assert pace.rate(HOST) == 1.25


def test_more_than_usual_only_where_it_is_allowed_and_earned(clock):
    pace = Pace(Limits(), faster={HOST: 8.0}, clock=clock)
    assert pace.rate(HOST) == 5.0
    assert _after(pace, clock, [answer()] * 40) == 6.0
    assert _after(pace, clock, [answer()] * 4000) == 8.0
    assert pace.rate("other.example") == 5.0
    slower = Pace(Limits(), faster={HOST: 0.01}, clock=clock)
    assert slower.rate(HOST) == 0.01
    assert _after(slower, clock, [answer(429)]) == 0.01


def test_retry_after_is_waited_for(pace, clock):
    assert pace.reserve(HOST) == 0
    pace.answered(HOST, answer(429, after=120.0))
    assert pace.held(HOST) == 120
    assert [pace.reserve(HOST) for _ in range(2)] == pytest.approx([120, 120.4])
    pace.answered(HOST, answer(503, after=5.0))
    assert pace.held(HOST) == 120, "the longer of the two"
    clock.now += 121
    assert pace.held(HOST) == 0


def test_crawl_delay(pace):
    pace.delay(HOST, 3.0)
    assert [pace.reserve(HOST) for _ in range(3)] == [0, 3, 6]
    assert pace.rate(HOST) == pytest.approx(1 / 3)
    pace.delay(HOST, 0.001)
    assert pace.rate(HOST) == 5, "no host may be asked faster than configured"
    pace.delay(HOST, 86_400)
    assert pace.rate(HOST) == pytest.approx(1 / 60)
    pace.delay(HOST, None)
    assert pace.rate(HOST) == 5


def test_no_two_threads_have_one_turn(pace):
    turns: list[float] = []
    threads = [threading.Thread(target=lambda: turns.extend(pace.reserve(HOST) for _ in range(50))) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(round(turn, 6) for turn in turns) == [round(0.2 * place, 6) for place in range(400)]
