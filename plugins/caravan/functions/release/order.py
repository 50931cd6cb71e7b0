"""What comes before what: a page before those who are told of it, an answer before what corrects it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from caravan.core.outbox import Gate, Key, Message, Skip, Wait

LISTED = timedelta(seconds=10)
"""After its last page a site makes its feeds anew."""
LONGEST = timedelta(minutes=5)
"""After its page: at a site that is never idle nobody would be told."""
_SOON = timedelta(seconds=20)
_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True)
class OrderGate:
    """`get`: the message of a key. `undecided`: of older revisions for the same outlet and language, what is on its
    way, and of which nobody knows. `sites`: outlets whose pages and feeds it tells of. `is_for`: whether what the
    message tells of goes to a site. `last_at`: when a run was at a site last; now, while one is. `edits`: it changes or
    takes back what an older revision made, under the id that it was given then."""

    get: Callable[[Key], Message | None]
    undecided: Callable[[Key], Iterable[Message]]
    sites: Collection[str]
    is_for: Callable[[Message, str], bool]
    last_at: Callable[[str, datetime], datetime | None]
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
            listed_at = self._listed_at(site, page.changed_at or now, now)
            if now < listed_at:
                return Wait(listed_at, f"{site} is making its feeds")
        return None

    def _listed_at(self, site: str, there_at: datetime, now: datetime) -> datetime:
        """A run makes the feeds when it has put all its pages, which may be a minute after the first of them."""
        return min(max(there_at, self.last_at(site, now) or there_at) + LISTED, there_at + LONGEST)

    def _answer(self, key: Key, now: datetime) -> Wait | None:
        if not self.edits:
            return None
        for each in self.undecided(key):
            return Wait(now + _AGAIN, f"nobody knows yet whether revision {each.key.revision} is there")
        return None
