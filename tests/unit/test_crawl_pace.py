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
        # As many good answers as come in four seconds: 10 at 2.5 a second, 12 at 3, 3 at the least.
        ([answer(429)] + [answer()] * 9, 2.5),
        ([answer(429)] + [answer()] * 10, 3.0),
        ([answer(429)] + [answer()] * 21, 3.0),
        ([answer(429)] + [answer()] * 22, 3.5),
        ([answer(429)] + [answer(304)] * 1000, 5.0),
        ([answer(429)] + [answer()] * 9 + [answer(500)] + [answer()] * 9, 2.5),
        ([answer(429)] + [answer()] * 9 + [answer(None, reason="broken")] + [answer()] * 9, 2.5),
        ([answer(503)] * 50 + [answer()] * 2, 0.1),
        ([answer(503)] * 50 + [answer()] * 3, 0.6),
        ([answer(503)] * 50 + [answer()] * 2 + [answer(503)] + [answer()] * 2, 0.1),
        ([answer(503)] * 50 + [answer()] * 6, 1.1),
        ([answer(503)] * 50 + [answer()] * 10, 1.1),
        ([answer(503)] * 50 + [answer()] * 11, 1.6),
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
    assert _after(pace, clock, [answer()] * 19) == 5.0
    assert _after(pace, clock, [answer()] * 21) == 6.0
    assert _after(pace, clock, [answer()] * 20) == 6.5, "20 are enough at any rate"
    assert _after(pace, clock, [answer()] * 4000) == 8.0
    assert pace.rate("other.example") == 5.0
    slower = Pace(Limits(), faster={HOST: 0.01}, clock=clock)
    assert slower.rate(HOST) == 0.01
    assert _after(slower, clock, [answer(429)]) == 0.01


def _asked(pace, clock, statuses):
    """Seconds, and the rate after each answer, of a host that is asked when it is its turn. `statuses`: of a request
    by the time when it comes."""
    began, rates = clock.now, []
    for status in statuses:
        clock.now += pace.reserve(HOST)
        code = status(clock.now)
        clock.now += 0.05
        pace.answered(HOST, answer(code, total_ms=50))
        rates.append(pace.rate(HOST))
    return clock.now - began, rates


@pytest.mark.parametrize(
    ("broken", "most_seconds"),
    [
        ({round(each * 5.4) for each in range(15)}, 110),  # 586 while each step took 20 good answers
        (set(range(20, 35)), 165),  # 345
        (set(), 17),
    ],
    ids=["one in six", "in a row", "none"],
)
def test_pages_that_are_broken_for_good_do_not_hold_a_crawl(pace, clock, broken, most_seconds):
    seconds, _ = _asked(pace, clock, [lambda at, code=503 if each in broken else 200: code for each in range(81)])
    assert 16 <= seconds < most_seconds


def test_from_the_slowest_rate_it_is_a_matter_of_a_minute(pace, clock):
    _after(pace, clock, [answer(503)] * 50)
    pace.reserve(HOST)  # a turn that is taken already, as in the middle of a crawl
    seconds, rates = _asked(pace, clock, [lambda at: 200] * 200)
    assert rates[-1] == 5.0
    assert seconds - 0.2 * (200 - 1 - rates.index(5.0)) < 80  # 312 while each step took 20 good answers


@pytest.mark.parametrize(("borne", "most_share"), [(1.0, 0.2), (2.0, 0.08), (3.0, 0.04)])
def test_a_host_that_is_busy_is_asked_about_as_often_as_it_bears(pace, clock, borne, most_share):
    """It answers nothing that comes sooner than it bears after what it answered last."""
    statuses, last = [], -1.0

    def status(at):
        nonlocal last
        statuses.append(503 if at - last < 1 / borne - 1e-6 else 200)
        last = at if statuses[-1] == 200 else last
        return statuses[-1]

    seconds, rates = _asked(pace, clock, [status] * 1000)
    settled, rates = statuses[100:], rates[100:]
    assert 0 < settled.count(503) <= most_share * len(settled)
    assert max(rates) < borne + 0.51 and min(rates) >= borne / 4
    assert borne / 2 < 1000 / seconds < borne, "in all it is asked for less than it bears"


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
