"""Hand over what is due, once each. The same for every function; times are UTC without zone.

Nothing here retries: what was refused for now is planned again and comes back as due; what nobody knows is left to
`settle`, which asks for evidence and never sends, unless sending again changes nothing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from traceback import format_tb

from caravan.core.errors import CaravanError, Misconfigured
from caravan.core.outbox import (
    UNCAPPED,
    UNLIMITED,
    Accepted,
    Caps,
    Carrier,
    Content,
    Domains,
    Gate,
    Message,
    Outbox,
    Outcome,
    Refused,
    Skip,
    Spacing,
    Unknown,
    Wait,
)

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Pace:
    """`batch`: messages claimed at once. `lease`: how long a worker may take for them; longer than any of its requests.
    `first_wait`, `longest_wait`: what is refused for now is tried again until it is too late; the wait is doubled after
    each try up to the longest, unless the other side asks for more. `most_unknown`: evidence is looked for of so many
    in a turn. `evidence_for`: how long, before a person has to decide. `again_after`: when a message is asked for again
    of which nobody could tell whether it may go.
    """

    batch: int = 100
    lease: timedelta = timedelta(minutes=10)
    first_wait: timedelta = timedelta(minutes=1)
    longest_wait: timedelta = timedelta(minutes=15)
    most_unknown: int = 5000
    evidence_for: timedelta = timedelta(hours=24)
    again_after: timedelta = timedelta(minutes=15)


USUAL = Pace()


@dataclass(frozen=True)
class Sender:
    """One worker for one outlet. `function`: whose messages. `name`: this worker's own, in every entry of the log.
    `spacing`: how far a message has to keep from others, whoever sends them. `caps`: how often is enough for
    anybody. `held`: why nothing of a content may leave now; None where it may. `domains`: their rates, where they have
    any."""

    outbox: Outbox
    function: str
    outlet: str
    carrier: Carrier
    gate: Gate
    name: str
    clock: Clock
    sleep: Callable[[float], None]
    pace: Pace = USUAL
    spacing: Callable[[Message], Spacing] = lambda message: UNLIMITED
    caps: Caps = UNCAPPED
    held: Callable[[Content], str | None] = lambda content: None
    domains: Domains | None = None

    def send_due(self, until: datetime, stop_at: datetime | None = None) -> Counter[str]:
        """Everything that falls due before `until`, each at its instant; counts by what became of it. Nothing more is
        claimed from `stop_at` on.

        Raises Misconfigured when the outlet does not take our credentials: what is left stays planned.
        """
        held = self._held(until)
        counts = Counter(held=sum(held.values())) if held else Counter()
        while stop_at is None or self.clock() < stop_at:
            messages = self.outbox.claim(
                self.function,
                self.outlet,
                self.name,
                self.clock(),
                until,
                self.pace.lease,
                self.pace.batch,
                held,
                self.domains,
            )
            if not messages:
                break
            for message, became in self._in_turn(messages):
                counts[became] += 1
                if became == "held":
                    held[message.intention.content] = 1
            log.info("%s: %s", self.outlet, dict(counts))
        return counts

    def _in_turn(self, left: list[Message]) -> Iterator[tuple[Message, str]]:
        """Each with what became of it, in their order; but whoever has to wait for a rate lets the others go first."""
        rates = {each.message_id: tuple(self.spacing(each)) for each in left}
        free_at: dict[str, datetime] = {}
        while left:
            now = self.clock()
            ready_at = [
                max(now, each.due_at, *(free_at.get(rate, now) for rate in rates[each.message_id])) for each in left
            ]
            place = min(range(len(left)), key=ready_at.__getitem__)
            self._await(ready_at[place])
            # Whoever had to wait is asked all of it again: much may have changed.
            try:
                became = self._attempt(left[place])
            except Misconfigured as error:
                for each in left[:place] + left[place + 1 :]:
                    self.outbox.wait(
                        each,
                        each.due_at,
                        "another message of its outlet was not let in",
                        self.clock(),
                    )
                log.error("%s: %s", self.outlet, error)
                raise
            if isinstance(became, Wait):
                free_at[became.rate or ""] = became.until
            else:
                yield left.pop(place), became

    def _held(self, until: datetime) -> dict[Content, int]:
        """How many of each content that may not leave now. Nobody claims them: nothing is written for each, and they
        leave the moment that they may."""
        found = {}
        for content, count in self.outbox.due(self.function, self.outlet, until).items():
            if why := self._why_held(content):
                log.warning("%s: %s revision %d, %d held: %s", self.outlet, content[0], content[1], count, why)
                found[content] = count
        return found

    def _why_held(self, content: Content) -> str | None:
        try:
            return self.held(content)
        except CaravanError as error:  # what nobody can tell of one does not hold up the others
            log.error("%s %s: %s", self.outlet, content[0], error)
            return str(error)

    def _attempt(self, message: Message) -> str | Wait:
        """What became of it; Wait when another one has just been handed over."""
        now = self.clock()
        if now > message.intention.not_after:
            return "missed" if self.outbox.miss(message, now) else "lost"
        if why := self._why_held(message.intention.content):
            return "held" if self.outbox.wait(message, message.due_at, why, now) else "lost"
        embargo = message.intention.embargo_until
        held = Wait(embargo, "embargo") if embargo and now < embargo else self._ask(message, now)
        if isinstance(held, Wait) and held.until > message.intention.not_after:
            return "missed" if self.outbox.miss(message, now, f"{held.reason} until it is too late") else "lost"
        if isinstance(held, Wait):
            return "waiting" if self.outbox.wait(message, held.until, held.reason, now) else "lost"
        if isinstance(held, Skip):
            return self._skip(message, held, now)
        begun = self.outbox.begin(message, self.clock(), self.spacing(message), self.caps)
        if begun is None:
            return "lost"  # the lease ended: whoever has it now sends it
        if isinstance(begun, Skip):
            return self._skip(message, begun, now)
        return begun if isinstance(begun, Wait) else self._hand_over(begun)

    def _skip(self, message: Message, why: Skip, now: datetime) -> str:
        return "skipped" if self.outbox.skip(message, why.reason, now) else "lost"

    def _ask(self, message: Message, now: datetime) -> Wait | Skip | None:
        try:
            return self.gate.ask(message, now)
        except Exception as error:  # what nobody can tell of one does not hold up the others
            where = "" if isinstance(error, CaravanError) else f"\n{''.join(format_tb(error.__traceback__))}"
            log.error("%s %s: %s%s", self.outlet, message.message_id, _said(error), where)
            return Wait(now + self.pace.again_after, _said(error))

    def _hand_over(self, message: Message) -> str:
        try:
            outcome = self.carrier.hand_over(message)
        except Misconfigured as error:
            again = self.clock() + self.pace.first_wait
            self.outbox.record(message, Refused(_said(error)), self.clock(), again_at=again)
            raise
        except Exception as error:  # bytes may have left: whatever it was, nobody knows
            log.warning("%s %s: %s", self.outlet, message.message_id, _said(error))
            outcome = Unknown(_said(error))
        self.outbox.record(message, outcome, self.clock(), again_at=self._again_at(message, outcome))
        return _name(outcome)

    def _again_at(self, message: Message, outcome: Outcome) -> datetime | None:
        if not isinstance(outcome, Refused) or outcome.after is None:
            return None
        wait = self.pace.first_wait
        for _ in range(self.outbox.refusals(message)):
            wait = min(wait * 2, self.pace.longest_wait)
        return self.clock() + max(outcome.after, wait)

    def _await(self, moment: datetime) -> None:
        wait = (moment - self.clock()).total_seconds()
        if wait > 0:
            self.sleep(wait)

    def settle(self) -> Counter[str]:
        """Look for evidence of what nobody knows. Where there is none: handed over again if that changes nothing,
        left to a person when it has been looked for long enough."""
        counts: Counter[str] = Counter()
        now = self.clock()
        for message in self.outbox.unsettled(self.function, self.outlet, now, self.pace.most_unknown):
            found = self._evidence(message)
            if isinstance(found, Accepted):
                self.outbox.settle(message, "accepted", "evidence", now, self.name, found.provider_id)
            elif isinstance(found, Refused):
                # It never arrived: where it may be tried again, that is no second one.
                again = self._again_at(message, found)
                again = again if again and again <= message.intention.not_after else None
                self.outbox.record(replace(message, worker=self.name), found, now, again_at=again)
            elif self.carrier.is_repeatable and now <= message.intention.not_after:
                self.outbox.settle(message, "planned", "handing over again changes nothing", now, self.name)
            elif message.changed_at and now - message.changed_at >= self.pace.evidence_for:
                self.outbox.settle(
                    message, "operator", "no evidence; decide with `./caravan outbox settle`", now, self.name
                )
            else:
                counts["unsettled"] += 1
                continue
            counts["settled"] += 1
        return counts

    def _evidence(self, message: Message) -> Accepted | Refused | None:
        try:
            return self.carrier.find(message)
        except Exception as error:  # the next look may find it
            log.warning("%s %s: no evidence could be had: %s", self.outlet, message.message_id, _said(error))
            return None


def _name(outcome: Outcome) -> str:
    if isinstance(outcome, Accepted):
        return "accepted"
    return "unknown" if isinstance(outcome, Unknown) else "rejected"


def _said(error: Exception) -> str:
    """Of an error of ours its words; of another its kind alone: its text may hold anything."""
    return str(error) if isinstance(error, CaravanError) else type(error).__name__
