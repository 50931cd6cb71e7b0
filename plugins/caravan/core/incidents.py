"""What is wrong, since when, and who has been told: shared by those who find it, keep it and tell it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

Kind = Literal[
    "task_failed",
    "check_failed",
    "run_late",
    "dag_broken",
    "stale",
    "zero_rows",
    "config_fault",
    "target_down",
    "clock_off",
    "disk_low",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Severity = Literal["critical", "warning"]
Phase = Literal["opened", "closed"]
MessageState = Literal["pending", "sending", "sent", "failed"]
"""sending: somebody is at it, or died at it. failed: the target refused this message for good."""


@dataclass(frozen=True)
class Sighting:
    """One thing that is wrong now. `key` says whether it is the same thing as another time."""

    kind: Kind
    severity: Severity
    subject: str
    """What, within the DAG or the platform: `collect [shop_fr]`, `channel shop_fr, market FR`, `target chat`."""
    what: str
    """What happened, for a person; no secrets, no rows."""
    dag_id: str | None = None
    task_id: str | None = None
    channel_code: str | None = None
    market_code: str | None = None
    run_id: str | None = None
    link: str | None = None
    """The page of the run or task."""

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.dag_id or '-'}:{self.subject}"


@dataclass(frozen=True)
class Incident:
    """A thing that is, or was, wrong. `sighting` is the newest one. Times are UTC without zone."""

    incident_id: str
    sighting: Sighting
    opened_at: datetime
    last_seen_at: datetime
    seen_count: int = 1
    closed_at: datetime | None = None

    @property
    def key(self) -> str:
        return self.sighting.key


@dataclass(frozen=True)
class Message:
    """What one target is told of one incident in one phase: there is never a second row of this."""

    incident_id: str
    phase: Phase
    target: str
    state: MessageState = "pending"
    attempt_count: int = 0
    error: str | None = None


Openings = Mapping[str, Mapping[str, MessageState]]
"""By open incident: the targets that have, or are to have, its opening message, and what became of it."""


@dataclass(frozen=True)
class Told:
    """What a target gets. `message_id` is the same however often it is sent."""

    message_id: str
    phase: Phase | Literal["test"]
    severity: Severity
    subject: str
    text: str


@dataclass(frozen=True)
class Changes:
    """What one look at things changes in the record."""

    opened: tuple[Incident, ...] = ()
    seen: tuple[Incident, ...] = ()
    closed: tuple[Incident, ...] = ()
    messages: tuple[Message, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.opened or self.seen or self.closed or self.messages)


@dataclass(frozen=True)
class RunEnd:
    """How a run ended. `states`: of each task's instances, by map index: {"collect": ["success", "failed"]}.

    `asked`: channels, or sites, that it was to take alone, so that others say nothing by not being there; all of them
    when empty.
    """

    dag_id: str
    run_id: str
    tier: int
    states: Mapping[str, Sequence[str]]
    last_task: str
    link: str | None
    asked: Sequence[str] = ()
    started_at: datetime | None = None
    """When this attempt of the run began (UTC without zone): one that is cleared keeps its id and begins anew."""


@dataclass(frozen=True)
class Due:
    """The newest run of a DAG that its schedule and its deadline ask to be over. `start`, `end`: its window.

    `catchup`: the scheduler makes up for what it missed.
    """

    dag_id: str
    tier: int
    due_at: datetime
    start: datetime | None = None
    end: datetime | None = None
    catchup: bool = False


def incident_id(key: str, opened_at: datetime) -> str:
    """Unique, and the same for whoever opens it at that moment."""
    return f"{opened_at:%Y%m%dT%H%M%S%f}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
