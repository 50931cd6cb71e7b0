"""What search engines are told of a site: the pages that a complete crawl found changed, as intentions of the outbox.

Planned again from the same crawl, nothing is added but what was over the cap, where that is a higher one by now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice

from caravan.core.outbox import Intention, Key, Message
from caravan.core.release import Payload, PayloadKey
from caravan.core.urls import origin_of

FUNCTION = "site"
MOST_URLS = 10_000
"""Of one message (https://www.indexnow.org/documentation)."""
IN_TIME = timedelta(days=1)
"""So long after a crawl its changes are told; by then the next one knows more."""


@dataclass(frozen=True)
class Told:
    """A crawl whose changes are told. `id`: the later, the greater. Times are UTC without zone."""

    site: str
    id: str
    started_at: datetime
    ended_at: datetime

    @property
    def object_id(self) -> str:
        return object_of(self.site, self.started_at.date())


def object_of(site: str, day: date) -> str:
    """What a site's messages of a UTC day are of: a cap counts these."""
    return f"{site} {day}"


def allowance(crawl: Told, planned: Iterable[Message], most_per_day: int) -> int:
    """How many addresses may be told of a crawl. `planned`: of its object; what was planned of the crawl itself, or a
    later one, takes nothing away, so that it comes out the same each time."""
    payloads = [message.intention.payload for message in planned]
    before = sum(int(payload["count"]) for payload in payloads if payload["crawl_id"] < crawl.id)
    return max(0, most_per_day - before)


def batches(crawl: Told, outlet: str, planned: Iterable[Message]) -> list[Message]:
    """Of `planned`, what tells this outlet of this crawl."""
    return [
        message
        for message in planned
        if message.key.outlet == outlet and message.intention.payload["crawl_id"] == crawl.id
    ]


def payload_key(crawl: Told, outlet: str, content_hash: str) -> PayloadKey:
    return PayloadKey(crawl.object_id, 1, outlet, "", "", content_hash)


def intentions(
    crawl: Told, outlet: str, urls: Iterable[str], most: int, begun: Mapping[str, int]
) -> dict[PayloadKey, tuple[Intention, Payload]]:
    """One for each host and 10,000 addresses, with what the outlet is given for it. `urls`: each once; the first `most`
    of them are told. `begun`: origin to how many of its batches there are already, which have other addresses."""
    by_origin: dict[str, list[str]] = {}
    for url in islice(urls, most):
        by_origin.setdefault(origin_of(url), []).append(url)
    found: dict[PayloadKey, tuple[Intention, Payload]] = {}
    for origin, own in sorted(by_origin.items()):
        for number, begin in enumerate(range(0, len(own), MOST_URLS), 1 + begun.get(origin, 0)):
            each = own[begin : begin + MOST_URLS]
            content_hash = hashlib.sha256("\n".join(each).encode()).hexdigest()
            intention = Intention(
                Key(FUNCTION, crawl.object_id, 1, outlet, f"{origin} {crawl.id} {number}"),
                # Not the moment of planning: what is planned again after a restore may have left before it.
                planned_for=crawl.ended_at,
                not_after=crawl.ended_at + IN_TIME,
                content_hash=content_hash,
                payload={"action": "publish", "count": len(each), "crawl_id": crawl.id},
            )
            found[payload_key(crawl, outlet, content_hash)] = (intention, {"origin": origin, "urls": each})
    return found
