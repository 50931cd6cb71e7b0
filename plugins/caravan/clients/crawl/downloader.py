"""What the threads of a crawl do: they ask for an address, and read what comes.

Nothing here knows what is asked next, or what is kept of it: that is decided in one thread, by crawl.py.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from caravan.clients.crawl.archive import NO_VALIDATORS, Validators
from caravan.clients.crawl.frontier import Address
from caravan.clients.crawl.pace import Pace
from caravan.clients.crawl.robots import Robots, read_robots
from caravan.clients.crawl.tables import PAGE
from caravan.core.crawl import Answer, Ask, Extracted, Fetcher, Limits
from caravan.core.urls import host_of

log = logging.getLogger(__name__)

Read = Callable[[Address, Answer], Extracted]
"""An answer as rows, and where it leads; in any thread."""
_HEAD_BYTES = 1 << 10
"""Of what is asked for only to see whether it is there."""
_TEXT_HASH = list(PAGE).index("text_hash")


class Download(NamedTuple):
    """`extracted`: None where there was nothing to read. `problem`: why what there was could not be read."""

    answer: Answer
    extracted: Extracted | None
    problem: str | None


class MissingPage(NamedTuple):
    """What a host says of a page that it cannot have. `text_hash`: where it says that there is one."""

    status_code: int | None
    text_hash: int | None


@dataclass
class Downloader:
    """For all threads. `stop`: once it is set nobody waits for a host's turn any more."""

    fetcher: Fetcher
    pace: Pace
    read: Read
    agent: str
    limits: Limits
    stop: threading.Event
    _reading: threading.Lock = field(default_factory=threading.Lock, init=False)

    def page(self, address: Address, ask: Ask) -> Download:
        """Also of other kinds. Asks at once: whoever gives the address has waited for its host's turn."""
        limit = self.limits.page_bytes if address.kind == "page" else _HEAD_BYTES
        answer = self.fetcher.fetch(ask, limit)
        self.pace.answered(host_of(address.url), answer)
        is_unchanged = answer.status_code == 304 and bool(ask.etag or ask.last_modified)
        if answer.status_code is None or is_unchanged:
            return Download(answer, None, None)
        return Download(answer, *self._read(address, answer))

    def robots(self, origin: str) -> Robots:
        """Its robots.txt, when it is the host's turn."""
        self.stop.wait(self.pace.reserve(host_of(f"{origin}/")))
        return read_robots(origin, self.fetcher, self.agent, self.limits)

    def missing_page(self, address: Address) -> MissingPage:
        """When it is the host's turn. `address`: one that cannot exist."""
        host = host_of(address.url)
        self.stop.wait(self.pace.reserve(host))
        answer = self.fetcher.fetch(Ask(address.url), self.limits.page_bytes)
        self.pace.answered(host, answer)
        extracted = self._read(address, answer)[0] if answer.status_code == 200 else None
        text_hash = extracted.rows["page"][0][_TEXT_HASH] if extracted is not None else None
        return MissingPage(answer.status_code, text_hash if isinstance(text_hash, int) else None)

    def get(self, url: str, limit: int, validators: Validators = NO_VALIDATORS) -> Answer | None:
        """When it is the host's turn, unread; None when the crawl is stopped before that."""
        host = host_of(url)
        if self.stop.wait(self.pace.reserve(host)):
            return None
        answer = self.fetcher.fetch(Ask(url, etag=validators.etag, last_modified=validators.last_modified), limit)
        self.pace.answered(host, answer)
        return answer

    def _read(self, address: Address, answer: Answer) -> tuple[Extracted | None, str | None]:
        """The answer as rows, or why it has none. One page at a time: Python reads no two at once, and threads that
        take each other's place within a page cost half as much again."""
        try:
            with self._reading:
                return self.read(address, answer), None
        except Exception as error:
            # One page that the reader trips over must not cost the night's others; it is told, and found in `page`.
            log.exception("%s could not be read", address.url)
            return None, f"unreadable: {type(error).__name__}: {error}"[:300]
