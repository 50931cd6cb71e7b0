"""Whether a message may go now: who said no, what the law asks, and what time it is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from caravan.core.calendar import Spine
from caravan.core.contacts import MARKETING, Contacts
from caravan.core.errors import Rejected
from caravan.core.outbox import Message, Skip, Wait
from caravan.core.privacy import Policies, allowed


@dataclass(frozen=True)
class ContactGate:
    """`channel`: of the outlet as privacy and markets name it, e.g. `email`. `regimes`: of each market.
    `hours`: when a market lets messages go out on the channel, on the clock of a zone; raises Rejected
    CHANNEL_NOT_ALLOWED where it never does.
    `unasked`: purposes for which nobody is asked (contract, law)."""

    channel: str
    contacts: Contacts
    policies: Policies
    regimes: Mapping[str, str]
    unasked: frozenset[str]
    hours: Callable[[str, str | None], Spine]

    def ask(self, message: Message, now: datetime) -> Wait | Skip | None:
        """In the order in which it is final: a no for good before a no for now."""
        intention = message.intention
        if intention.subject is None:
            return None  # goes to nobody in particular: a page, a feed, a post
        if intention.purpose is None:
            return Skip("nothing says what it is for")
        return self._refusal(message, now) or self._closed(message, now)

    def _refusal(self, message: Message, now: datetime) -> Skip | None:
        intention = message.intention
        subject, purpose = intention.subject or "", intention.purpose or ""
        for each in self.contacts.suppressions(subject, self.channel):
            if each.at <= now and not (each.reason in MARKETING and purpose in self.unasked):
                return Skip(f"suppressed: {each.reason}")
        decision = allowed(
            subject,
            purpose,
            self.channel,
            now,
            regime=self.regimes.get(intention.market_code or ""),
            policies=self.policies,
            events=self.contacts.consent(subject),
            is_customer=bool(intention.payload.get("is_customer")),
        )
        return None if decision.is_allowed else Skip(f"not allowed: {decision.reason}")

    def _closed(self, message: Message, now: datetime) -> Wait | Skip | None:
        intention = message.intention
        try:
            spine = self.hours(intention.market_code or "", intention.payload.get("zone"))
        except Rejected as error:
            if error.code != "CHANNEL_NOT_ALLOWED":
                raise
            return Skip(error.message)
        at = spine.send_window(now, intention.not_after - now)
        if at is None:  # it opens when it is too late
            at = intention.not_after + timedelta(seconds=1)
        return Wait(at, "quiet hours") if at > now else None
