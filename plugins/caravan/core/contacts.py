"""Whom we may write to: what people said, and who is not written to any more. Pure; times are UTC without zone.

People are known here by a keyed hash of their address, never by the address: an address that is erased stays
suppressed, and nobody can read who is.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from caravan.core.privacy import ConsentEvent

SuppressionReason = Literal["hard_bounce", "soft_bounces", "complaint"]

MARKETING: tuple[SuppressionReason, ...] = ("complaint",)
"""It ends what somebody does not want. What a contract or the law asks for is sent all the same."""

REFUSED = "refused: "
"""Evidence of a suppression, with the id of the message at which the server said that there is no such address."""
LIFTABLE: tuple[SuppressionReason, ...] = ("hard_bounce", "soft_bounces")
"""What servers said: a person may know better. What the addressee said is not ours to take back."""


def subject_of(address: str, key: bytes) -> str:
    """HMAC-SHA-256 of a normalised address, 32 hexadecimal digits."""
    return hmac.new(key, address.encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True)
class Suppression:
    """Nobody writes to `subject` on `channel` from `at` on."""

    subject: str
    channel: str
    reason: SuppressionReason
    at: datetime
    evidence: str
    """Where it is known from: a message id and an event, a person's name. No address."""


class Contacts(Protocol):
    """What people said, and who is suppressed. Nothing is ever taken back but by what comes later, or by a person."""

    def add_consent(self, events: Iterable[ConsentEvent], now: datetime, source: str) -> int:
        """Those that are not there yet, or were without evidence; how many."""
        ...

    def consent(self, subject: str) -> Sequence[ConsentEvent]: ...

    def suppress(self, suppressions: Iterable[Suppression], now: datetime) -> int:
        """Those that are new; how many."""
        ...

    def suppressions(self, subject: str, channel: str) -> Sequence[Suppression]: ...

    def note_soft_bounce(self, subject: str, channel: str, at: datetime, evidence: str) -> None:
        """Each piece of evidence counts once."""
        ...

    def soft_bounces(self, subject: str, channel: str, since: datetime) -> int: ...
