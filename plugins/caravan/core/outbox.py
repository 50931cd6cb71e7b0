"""What leaves the machine: intentions, the states they go through, and what those who carry them out answer. Pure.

Whoever wants something sent writes an intention; sending is another process's business. Each has a key of its own for
good, so that whatever runs twice sends once. What nobody can know (was it delivered?) is a state, not a guess.

| from | to | when |
|---|---|---|
| planned | claimed | a worker takes a lease |
| planned | missed | `not_after` has passed |
| planned | cancelled | it was taken back before anybody claimed it |
| cancelled | planned | whoever was taken off a list is on it again |
| planned, claimed | unknown | the store came from a backup: it may have left since that was made |
| claimed | planned | the lease ended, or it has to wait: quiet hours, a cap, a throttle |
| claimed | skipped | not to be sent to this target: refused, suppressed, no address |
| claimed | missed | `not_after` has passed |
| claimed | handed_over | committed before the first byte leaves |
| handed_over | accepted, rejected | a definite answer |
| handed_over | unknown | anything else: no answer, a server's error, a worker that died |
| unknown | accepted, rejected | evidence |
| unknown | operator | no evidence after a day: a person decides |
| unknown, operator | planned | where sending again changes nothing; elsewhere a person alone: it may arrive twice |
| operator | accepted, rejected | a person has decided |
| rejected | planned | a definite "not now", tried again until it is too late; or a person has mended it |

Times are UTC without zone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, Protocol

State = Literal[
    "planned",
    "claimed",
    "handed_over",
    "accepted",
    "rejected",
    "unknown",
    "operator",
    "skipped",
    "missed",
    "cancelled",
]

TRANSITIONS: Mapping[State, frozenset[State]] = {
    "planned": frozenset({"claimed", "missed", "cancelled", "unknown"}),
    "claimed": frozenset({"planned", "skipped", "missed", "handed_over", "unknown"}),
    "handed_over": frozenset({"accepted", "rejected", "unknown"}),
    "unknown": frozenset({"accepted", "rejected", "operator", "planned"}),
    "operator": frozenset({"accepted", "rejected", "planned"}),
    "rejected": frozenset({"planned"}),
    "accepted": frozenset(),
    "skipped": frozenset(),
    "missed": frozenset(),
    "cancelled": frozenset({"planned"}),
}

UNSETTLED: tuple[State, ...] = ("handed_over", "unknown", "operator")
"""What may have left, or may not."""
LEFT: tuple[State, ...] = ("accepted", *UNSETTLED)
"""What counts as a contact: it left, or may have."""


@dataclass(frozen=True)
class Key:
    """What is sent at most once. A correction is a new `revision`; another wording of the same one is no other key.

    `function`: one of the eight. `object_id`: its release, promotion, ticket. `outlet`: code of an account of ours.
    `target`: an address, or where the outlet is the only one, its page or feed.
    """

    function: str
    object_id: str
    revision: int
    outlet: str
    target: str

    @property
    def message_id(self) -> str:
        """32 hexadecimal digits that are the same for ever: in headers, tags and links, so that a message is found."""
        parts = (self.function, self.object_id, str(self.revision), self.outlet, self.target)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


SUPERSEDED = "a newer revision is approved"
"""Why what waited of an older one is cancelled."""

Content = tuple[str, int, str]
"""What is approved, or held, as a whole: object, revision and hash of what it says."""


@dataclass(frozen=True)
class Intention:
    """One message as it is planned.

    `planned_for`: the promised instant. `not_after`: later than this it is not sent, but missed. `embargo_until`: no
    outlet takes it before, whoever calls. `content_hash`: of what was approved. `subject`: whose consent counts, as
    consent events name them; None when it goes to nobody in particular. `purpose`: for which it has to be allowed.
    `payload`: what differs from target to target, JSON.
    """

    key: Key
    planned_for: datetime
    not_after: datetime
    content_hash: str
    embargo_until: datetime | None = None
    market_code: str | None = None
    locale: str | None = None
    purpose: str | None = None
    subject: str | None = None
    variant: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)

    @property
    def content(self) -> Content:
        return (self.key.object_id, self.key.revision, self.content_hash)


@dataclass(frozen=True)
class Message:
    """An intention on its way. `attempt`: how often it was claimed. `due_at`: when it is to be tried next."""

    intention: Intention
    state: State
    attempt: int
    due_at: datetime
    worker: str | None = None
    lease_until: datetime | None = None
    provider_id: str | None = None
    reason: str | None = None
    changed_at: datetime | None = None

    @property
    def key(self) -> Key:
        return self.intention.key

    @property
    def message_id(self) -> str:
        return self.intention.key.message_id


@dataclass(frozen=True)
class Traffic:
    """Of one outlet. `planned_count`: to come. `due_count`: its time has come. `overdue_count`: it is too late, and
    nothing has noticed. `last_at`: when something was handed over last, UTC. `is_stopped`: nothing leaves until a
    person lifts that."""

    outlet: str
    planned_count: int
    due_count: int
    overdue_count: int
    unknown_count: int
    undecided_count: int
    missed_count: int
    last_at: datetime | None
    is_stopped: bool = False


@dataclass(frozen=True)
class Accepted:
    """A definite yes. `provider_id`: what the other side calls it."""

    provider_id: str | None = None


@dataclass(frozen=True)
class Refused:
    """A definite no: nothing was sent on. `after`: when it may be tried again; None when it never will be. `is_gone`:
    it is the target that is not there, whatever is sent to it."""

    reason: str
    after: timedelta | None = None
    is_gone: bool = False


@dataclass(frozen=True)
class Unknown:
    """Nobody can tell: bytes left and no definite answer came."""

    reason: str


Outcome = Accepted | Refused | Unknown


@dataclass(frozen=True)
class Wait:
    """Not now: until then it is planned again. `rate`: the name of that which it waits for."""

    until: datetime
    reason: str
    rate: str | None = None


@dataclass(frozen=True)
class Skip:
    """Not to this target."""

    reason: str


Spacing = Mapping[str, timedelta]
"""By the name of what has a rate (an outlet, a domain of it): the least time between two that are handed over."""
UNLIMITED: Spacing = MappingProxyType({})


def domain_rate(outlet: str, target: str) -> str:
    """What the rate of an address's domain is called."""
    return f"{outlet} {target.rpartition('@')[2].lower()}"


@dataclass(frozen=True)
class Domains:
    """Each domain that an outlet writes to has a rate of its own. `apart`: the least time between two to the same.
    `batch`: in so long a full claim leaves where no domain is slow; of a domain no more is claimed than leaves in it,
    for its mails would keep others waiting. `longest`: where nothing else is due a worker waits for domains so long."""

    outlet: str
    apart: timedelta
    batch: timedelta
    longest: timedelta

    def name(self, target: str) -> str:
        return domain_rate(self.outlet, target)


@dataclass(frozen=True)
class Cap:
    """At most `count` messages to one person in `days`, of all functions together."""

    count: int
    days: int


@dataclass(frozen=True)
class Caps:
    """How often is enough. `uncounted`: purposes that everybody is written to for (contract, law): neither counted nor
    left out."""

    each: tuple[Cap, ...] = ()
    uncounted: frozenset[str] = frozenset()


UNCAPPED = Caps()


class Carrier(Protocol):
    """Who hands messages over to the world outside: one account of ours.

    Tries once: a library's own retries have to be off, for a lost answer would send twice.
    """

    is_repeatable: bool
    """Whether handing over again changes nothing: a page is put where it already is."""

    def hand_over(self, message: Message) -> Outcome:
        """Whatever it raises counts as Unknown. Refuses before the embargo ends, whoever calls."""
        ...

    def find(self, message: Message) -> Accepted | Refused | None:
        """Evidence of what became of a message of which nobody knew; None when there is none."""
        ...


class Gate(Protocol):
    """Asked for each message immediately before it is handed over."""

    def ask(self, message: Message, now: datetime) -> Wait | Skip | None:
        """None: it may go."""
        ...


class Outbox(Protocol):
    """The store of intentions. Each call is one transaction, on disk when it returns."""

    def plan(self, intentions: Iterable[Intention], now: datetime, by: str) -> int:
        """Add those whose key is not there; how many that were. What is there already stays as it is."""
        ...

    def recover(self, now: datetime, longest: timedelta | None = None) -> Mapping[str, int]:
        """What dead workers left: claimed becomes planned, handed_over becomes unknown. And planned rows that are too
        late become missed. `longest`: no lease is longer; one that ends later is of a clock that has gone back. Counts
        by new state."""
        ...

    def due(self, function: str, outlet: str, until: datetime) -> Mapping[Content, int]:
        """How many planned messages of each content are due before `until`."""
        ...

    def claim(
        self,
        function: str,
        outlet: str,
        worker: str,
        now: datetime,
        until: datetime,
        lease: timedelta,
        limit: int,
        held: Collection[Content] = (),
        domains: Domains | None = None,
    ) -> list[Message]:
        """At most `limit` planned messages that are due before `until`, earliest first, for this worker alone; none of
        what is `held`, and of each of the `domains` no more than has room."""
        ...

    def wait(self, message: Message, until: datetime, reason: str, now: datetime) -> bool: ...

    def skip(self, message: Message, reason: str, now: datetime) -> bool: ...

    def miss(self, message: Message, now: datetime, reason: str = "too late") -> bool: ...

    def begin(
        self, message: Message, now: datetime, spacing: Spacing = UNLIMITED, caps: Caps = UNCAPPED
    ) -> Message | Wait | Skip | None:
        """Commit that it is being handed over. None when the claim is no longer this worker's: then do not. Skip when
        whom it is for has had enough, or this very revision by another outlet; Wait when another one is less than its
        spacing away, whoever sent them: nothing is committed then."""
        ...

    def record(self, message: Message, outcome: Outcome, now: datetime, *, again_at: datetime | None = None) -> bool:
        """What came of it. `again_at`: when a refusal for now is to be tried again; None for never."""
        ...

    def refusals(self, message: Message) -> int:
        """How often it was refused. To wait for an hour or an approval is no refusal."""
        ...

    def unsettled(self, function: str, outlet: str, before: datetime, limit: int) -> list[Message]:
        """Unknown since before then, the longest first."""
        ...

    def settle(
        self, message: Message, state: State, reason: str, now: datetime, by: str, provider_id: str | None = None
    ) -> bool:
        """Move an unknown or operator's message on."""
        ...
