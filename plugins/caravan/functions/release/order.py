"""What comes before what: a page before those who are told of it, an answer before what corrects it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from caravan.core.outbox import Gate, Key, Message, Skip, Wait

LISTED = timedelta(seconds=10)
"""After its last page a site makes its feeds anew."""
_SOON = timedelta(seconds=20)
_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True)
class OrderGate:
    """`get`: the message of a key. `undecided`: of older revisions for the same outlet and language, what is on its
    way, and of which nobody knows. `sites`: outlets whose pages and feeds it tells of. `is_for`: whether what the
    message tells of goes to a site. `edits`: it changes or takes back what an older revision made, under the id that it
    was given then."""

    get: Callable[[Key], Message | None]
    undecided: Callable[[Key], Iterable[Message]]
    sites: Collection[str]
    is_for: Callable[[Message, str], bool]
    edits: bool
    then: Gate

    def ask(self, message: Message, now: datetime) -> Wait | Skip | None:
        return self._page(message, now) or self._answer(message.key, now) or self.then.ask(message, now)

    def _page(self, message: Message, now: datetime) -> Wait | Skip | None:
        for site in self.sites:
            page = self.get(replace(message.key, outlet=site))
            if page is None and self.is_for(message, site):  # it could not be opened when all else was planned
                return Wait(now + _AGAIN, f"the page of {site} is not planned yet")
            if page is None:
                continue
            if page.state in ("rejected", "missed", "skipped", "cancelled"):
                return Skip(f"{site} has no such page: {page.state}")
            if page.state != "accepted":
                return Wait(now + _SOON, f"{site} has not got its page yet")
            if page.changed_at and now < page.changed_at + LISTED:
                return Wait(page.changed_at + LISTED, f"{site} is making its feeds")
        return None

    def _answer(self, key: Key, now: datetime) -> Wait | None:
        if not self.edits:
            return None
        for each in self.undecided(key):
            return Wait(now + _AGAIN, f"nobody knows yet whether revision {each.key.revision} is there")
        return None
