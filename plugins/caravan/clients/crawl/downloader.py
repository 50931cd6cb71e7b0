"""What the threads of a crawl do: they ask, and wait.

Nothing here knows what is asked next, or what becomes of an answer: one thread decides and reads, in crawl.py. Python
reads no two pages at once, and threads that wait for each other's page cost a crawl a sixth of its time.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from caravan.clients.crawl.archive import NO_VALIDATORS, Validators
from caravan.clients.crawl.frontier import Address
from caravan.clients.crawl.pace import Pace
from caravan.clients.crawl.robots import Robots, read_robots
from caravan.core.crawl import Answer, Ask, Fetcher, Limits
from caravan.core.urls import host_of

_HEAD_BYTES = 1 << 10
"""Of what is asked for only to see whether it is there."""


@dataclass
class Downloader:
    """For all threads. `stop`: once it is set nobody waits for a host's turn any more."""

    fetcher: Fetcher
    pace: Pace
    agent: str
    limits: Limits
    stop: threading.Event

    def page(self, address: Address, ask: Ask) -> Answer:
        """Also of other kinds. Asks at once: whoever gives the address has waited for its host's turn."""
        limit = self.limits.page_bytes if address.kind == "page" else _HEAD_BYTES
        return self._fetch(ask, limit)

    def robots(self, origin: str) -> Robots:
        """Its robots.txt, when it is the host's turn."""
        self.stop.wait(self.pace.reserve(host_of(f"{origin}/")))
        return read_robots(origin, self.fetcher, self.agent, self.limits)

    def missing_page(self, address: Address) -> Answer:
        """When it is the host's turn. `address`: one that cannot exist."""
        self.stop.wait(self.pace.reserve(host_of(address.url)))
        return self._fetch(Ask(address.url), self.limits.page_bytes)

    def get(self, url: str, limit: int, validators: Validators = NO_VALIDATORS) -> Answer | None:
        """When it is the host's turn; None when the crawl is stopped before that."""
        if self.stop.wait(self.pace.reserve(host_of(url))):
            return None
        return self._fetch(Ask(url, etag=validators.etag, last_modified=validators.last_modified), limit)

    def _fetch(self, ask: Ask, limit: int) -> Answer:
        answer = self.fetcher.fetch(ask, limit)
        self.pace.answered(host_of(ask.url), answer)
        return answer
