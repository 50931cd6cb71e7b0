"""What an outlet shows of a release, held against what was handed over to it. Pure; times are UTC without zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from caravan.core.outbox import Message
from caravan.core.release import Payload

Aspect = Literal["presence", "version", "text", "price", "links", "hreflang", "language"]
Outcome = Literal["same", "differs", "unanswered", "not_evaluated"]
"""unanswered: it could not be asked now, and is asked again. not_evaluated: it cannot be known."""


@dataclass(frozen=True)
class Appearance:
    """A release in one language as it is to be seen, or as it is. None: the outlet does not say.

    `version`: by what this very message is known there. `text`: of what is expected the title, of what was found all in
    which it is looked for. `prices`: as they are written. `url`: under which other languages name it. `alternates`: by
    BCP 47 tag, those that it names. `note`: how it was read, where that is not the usual way.
    """

    is_there: bool
    version: str | None = None
    text: str | None = None
    prices: frozenset[str] | None = None
    links: tuple[str, ...] | None = None
    locale: str | None = None
    url: str | None = None
    alternates: Mapping[str, str] | None = None
    note: str = ""


@dataclass(frozen=True)
class Check:
    """One aspect of one page or post. `detail`: in words what differs, or why nobody can say."""

    aspect: Aspect
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True)
class Checked:
    """All that was found of a message when it was read back."""

    message: Message
    at: datetime
    checks: tuple[Check, ...]


@runtime_checkable
class Readable(Protocol):
    """An outlet that can be asked what it shows."""

    def expected(self, message: Message, payload: Payload) -> Appearance:
        """What an accepted message is to look like there. Asks nobody."""
        ...

    def read_back(self, message: Message, payload: Payload) -> Appearance:
        """Changes nothing. Retryable when it does not answer, Rejected for what cannot be read, Misconfigured when the
        account is not let in."""
        ...
