"""What became of what left, told afterwards by whoever carried it. Pure; times are UTC without zone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Kind = Literal["accepted", "delivered", "hard_bounce", "soft_bounce", "blocked", "complaint", "reject", "unsubscribe"]
"""blocked: we or the text are not wanted, which says nothing of the address."""


@dataclass(frozen=True)
class Feedback:
    """One fact about one mail. `message_id`: ours; None when only `provider_id` tells which mail it is.

    `accepted`: SES took it, which is evidence where its answer was lost. `detail`: without addresses. `raw_id`: of what
    was read, the same each time it is read.
    """

    message_id: str | None
    provider_id: str | None
    kind: Kind
    at: datetime
    detail: str
    raw_id: str


@dataclass(frozen=True)
class Unreadable:
    """Forged, not ours, or of a form nobody knows: for a person to look at."""

    reason: str
    raw_id: str


@dataclass(frozen=True)
class Received:
    """What one message of a queue or mailbox tells: nothing, where it is of no concern. `ack`: after it is stored,
    and before the next is asked for; without that the same comes again, and is seen to be the same by `raw_id`."""

    found: tuple[Feedback | Unreadable, ...]
    ack: Callable[[], None]
