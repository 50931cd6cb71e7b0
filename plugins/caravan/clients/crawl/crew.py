"""Threads that ask, for one that decides what is to be done with what they bring."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

_Brought = TypeVar("_Brought")
_SPARE = 8
"""Jobs that lie ready, so that no thread waits for the deciding one."""
_ENOUGH = 4
"""Results that lie ready, so that the deciding thread does not wait either. With more of them threads would only take
each other's turn."""
_LOOKED_EVERY_SECONDS = 0.25
_BUSY_SHARE = 0.8
"""Of a processor. Python runs one thread at a time: where it is busy another one brings nothing, and costs switches."""
_PATIENCE_SECONDS = 5.0


class Crew:
    """`size`: threads at most. They begin with two, and double as long as jobs and the processor wait for more.
    `clock`: seconds; `spent`: seconds of a processor that the process has taken."""

    def __init__(
        self,
        size: int,
        clock: Callable[[], float] = time.monotonic,
        spent: Callable[[], float] = time.process_time,
    ) -> None:
        self.under_way = 0
        self._size = size
        self._clock, self._spent = clock, spent
        self._looked = clock(), spent()
        self._jobs: queue.SimpleQueue[Callable[[], Callable[[], None]] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Callable[[], None] | BaseException] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def has_room(self) -> bool:
        return self.under_way < self._size + _SPARE and self._results.qsize() < _ENOUGH

    def give(self, job: Callable[[], _Brought], done: Callable[[_Brought], None]) -> None:
        """`job`: for a thread. `done`: takes what it returned, in the deciding thread."""
        if len(self._threads) < min(self._size, self.under_way + 1, 2):
            self._begin()
        self.under_way += 1
        self._jobs.put(lambda: partial(done, job()))

    def take(self, wait: float) -> None:
        """Hands on one result, for which it waits `wait` seconds. Raises what the job has raised. One at a time: what
        is done with it may take a while, in which others bring theirs, and threads are to have their next jobs."""
        if len(self._threads) < self._size and self._results.empty() and not self._jobs.empty():
            self._grow()
            wait = min(wait, _LOOKED_EVERY_SECONDS)
        try:
            result = self._results.get(timeout=wait) if wait > 0 else self._results.get_nowait()
        except queue.Empty:
            return
        self.under_way -= 1
        if isinstance(result, BaseException):
            raise result
        result()

    def finish(self) -> None:
        """Takes what comes soon; jobs that no thread has begun are forgotten."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._jobs.get_nowait()
                self.under_way -= 1
        until = time.monotonic() + _PATIENCE_SECONDS
        while self.under_way and (left := until - time.monotonic()) > 0:
            self.take(left)

    def end(self) -> None:
        """Waits for threads unless one still waits for an answer."""
        for _ in self._threads:
            self._jobs.put(None)
        if not self.under_way:
            for thread in self._threads:
                thread.join(_PATIENCE_SECONDS)
        self._threads.clear()

    def _grow(self) -> None:
        now, spent = self._clock(), self._spent()
        looked_at, spent_then = self._looked
        if now - looked_at < _LOOKED_EVERY_SECONDS:
            return
        self._looked = now, spent
        if spent - spent_then < _BUSY_SHARE * (now - looked_at):
            for _ in range(min(len(self._threads), self._size - len(self._threads))):
                self._begin()

    def _begin(self) -> None:
        # Daemons: one that waits for an answer must not keep the process from ending.
        thread = threading.Thread(target=self._work, name="crawl", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._results.put(job())
            except BaseException as error:
                self._results.put(error)
