"""How fast each host is asked: a little faster while all goes well, half as fast as soon as it does not.

Additive increase, multiplicative decrease, as TCP shares a line (Chiu and Jain, 1989): half of all with 429, with
503, or when the slow answers take twice as long as they used to; half a request a second more after so many good
answers in a row as come in four seconds. By time, as TCP counts round trips: by a number that is the same at every
rate, who has been slowed down to a request in ten seconds needs minutes for the first step, and one broken page in six
holds a crawl there. Fewer than three answers say nothing of a host; more than 20 are not asked for, which is what the
usual five a second come to.

The price is told sooner that it is too fast: a host that bears one request a second, and not two within one, answers
up to a fifth of them with 503, though in all it is asked less often than it bears.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from caravan.core.crawl import Answer, Limits

_STEP = 0.5
"""Requests a second, after so many good answers as `_wanted` says."""
_STEP_SECONDS = 4.0
_FEWEST_ANSWERS, _MOST_ANSWERS = 3, 20
_SLOWEST_RATE = 0.1
"""One request in ten seconds: slower a crawl does not end; the budget of seconds ends it instead."""
_SAMPLE = 20
"""So many answers make a 90th percentile worth looking at."""
_NOTICED_MS = 50
"""A doubling below this is noise: 2 ms to 4 ms says nothing about a server's load."""
_LONGEST_DELAY_SECONDS = 60.0
"""Of a Crawl-delay: more would be a way to ask for no visit at all, which `Disallow` says better."""
_BUSY = (429, 503)


@dataclass
class _Host:
    rate: float
    most: float
    delay: float = 0.0
    next_at: float = -math.inf
    """When the next request may begin."""
    not_before: float = -math.inf
    """What the host itself said."""
    waited: float = 0.0
    good: int = 0
    halved_at: float = -math.inf
    usual_ms: float | None = None
    """90th percentile of the time to the first byte, over the answers before the latest."""
    latest_ms: list[int] = field(default_factory=list)


@dataclass
class Pace:
    """For all threads of a crawl. `faster`: host to requests a second, for sites whose configuration allows more than
    `limits.requests_per_second`. `clock`: seconds that only grow."""

    limits: Limits
    faster: Mapping[str, float] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    _hosts: dict[str, _Host] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def reserve(self, host: str) -> float:
        """Takes the host's next turn and says in how many seconds it comes. Whoever takes one asks then, once."""
        now = self.clock()
        with self._lock:
            state = self._of(host)
            at = max(now, state.next_at, state.not_before)
            state.next_at = at + max(1 / state.rate, state.delay)
            state.waited += at - now
            return at - now

    def answered(self, host: str, answer: Answer) -> None:
        """What came of a request; also one that failed."""
        now = self.clock()
        with self._lock:
            state = self._of(host)
            if answer.retry_after_s is not None:
                state.not_before = max(state.not_before, now + answer.retry_after_s)
            if answer.status_code in _BUSY or _is_slower(state, answer):
                _halve(state, now, answer)
            elif answer.status_code is not None and answer.status_code < 500:
                state.good += 1
                if state.good >= _wanted(state.rate):
                    state.good = 0
                    state.rate = min(state.most, state.rate + _STEP)
            else:
                state.good = 0

    def delay(self, host: str, seconds: float | None) -> None:
        """The Crawl-delay of its robots.txt; as far as a minute."""
        with self._lock:
            self._of(host).delay = min(max(seconds or 0.0, 0.0), _LONGEST_DELAY_SECONDS)

    def held(self, host: str) -> float:
        """Seconds for which the host wants no request (Retry-After), not even one whose turn has come since."""
        now = self.clock()
        with self._lock:
            return max(now, self._of(host).not_before) - now

    def rate(self, host: str) -> float:
        """Requests a second that it is asked now."""
        with self._lock:
            state = self._of(host)
            return min(state.rate, 1 / state.delay) if state.delay else state.rate

    def waited_ms(self, host: str) -> int:
        """Of all turns so far, from when they were taken to when they came."""
        with self._lock:
            return round(self._of(host).waited * 1000)

    def _of(self, host: str) -> _Host:
        if host not in self._hosts:
            most = self.faster.get(host, self.limits.requests_per_second)
            # Faster is earned: also where more is allowed, the start is the usual one.
            self._hosts[host] = _Host(rate=min(most, self.limits.requests_per_second), most=most)
        return self._hosts[host]


def _wanted(rate: float) -> int:
    """Good answers in a row before the next step. `rate`: requests a second."""
    return min(_MOST_ANSWERS, max(_FEWEST_ANSWERS, math.ceil(_STEP_SECONDS * rate)))


def _halve(state: _Host, now: float, answer: Answer) -> None:
    """Once for all that was under way: an answer to what was asked before the last time is news of before it."""
    state.good = 0
    if now - (answer.total_ms or 0) / 1000 >= state.halved_at:
        state.rate = max(min(_SLOWEST_RATE, state.most), state.rate / 2)
        state.halved_at = now


def _is_slower(state: _Host, answer: Answer) -> bool:
    """Whether the latest answers took twice as long as usual. What they took becomes the usual, so that a part of a
    site that is slow by nature costs one halving, not one after the other."""
    if answer.ttfb_ms is None or answer.status_code is None or answer.status_code >= 500:
        return False
    state.latest_ms.append(answer.ttfb_ms)
    if len(state.latest_ms) < _SAMPLE:
        return False
    slow_ms = sorted(state.latest_ms)[math.ceil(0.9 * _SAMPLE) - 1]
    state.latest_ms.clear()
    usual_ms = slow_ms if state.usual_ms is None else state.usual_ms
    is_slower = slow_ms >= 2 * usual_ms and slow_ms >= _NOTICED_MS
    state.usual_ms = slow_ms if is_slower else usual_ms + (slow_ms - usual_ms) / 4
    return is_slower
