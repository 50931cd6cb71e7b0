"""Brings messages to their targets: each once, and a target that is down keeps only its own waiting."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from caravan.config.alerts import Target, target_subject
from caravan.core.errors import CaravanError, Rejected, Retryable
from caravan.core.incidents import Changes, Incident, Message, MessageState, Openings, Sighting, Told
from caravan.functions.ops.incidents import observe
from caravan.functions.ops.messages import describe, tell

log = logging.getLogger(__name__)

ABANDONED = timedelta(minutes=10)
"""Whoever has been sending a message for so long has died at it."""

SETTLE_TRIES = 4
"""Each waits for the warehouse's lock."""


class Messenger(Protocol):
    def send(self, told: Told) -> str | None:
        """Deliver; a remark where not all went well. Raises Retryable, Misconfigured or Rejected."""
        ...


class Book(Protocol):
    """The record of incidents and messages."""

    def change(self, decide: Callable[[Sequence[Incident], Openings], Changes]) -> Changes: ...

    def claim(self, abandoned_after: timedelta, skip: Collection[str] = ()) -> Sequence[tuple[Message, Incident]]: ...

    def settle(self, message: Message, state: MessageState, error: str | None = None) -> None: ...


def deliver(
    book: Book,
    targets: Sequence[Target],
    connect: Callable[[Target], Messenger],
    clock: Callable[[], datetime],
    is_complete: bool = True,
) -> Counter[str]:
    """Send what waits; messages by what became of them.

    A target that cannot be reached, or does not let us in, is asked once; its messages wait for the next time, and
    the other targets are told. So they are of one that refused a message for good. One that takes a message again is
    told of by the end of that incident. `is_complete`: whether `targets` are all there are. If not, a fault may have
    hidden some: what is for a target that is not here waits.
    """
    by_name = {target.name: target for target in targets}
    counts: Counter[str] = Counter()
    down: dict[str, str] = {}
    refused: dict[str, str] = {}
    hidden: set[str] = set()
    while claimed := book.claim(ABANDONED, down.keys() | hidden):
        answered: set[str] = set()
        for message, incident in claimed:
            state: MessageState = "pending"
            remark = down.get(message.target)
            if message.target not in by_name and is_complete:
                state, remark = "failed", "there is no such target any more"
            elif message.target not in by_name:
                remark = "alerts.yml has a fault, and names no such target that can be used"
                hidden.add(message.target)
            elif remark is None:
                state, remark = _send(by_name[message.target], message, incident, connect)
                if state == "pending":
                    down[message.target] = remark or ""
                elif state == "failed":
                    refused[message.target] = remark or ""
                else:
                    answered.add(message.target)
            _settle(book, message, state, remark)
            counts[state] += 1
        if not _note(book, targets, down, refused, answered, clock, is_complete).messages:
            break
    return counts


def _send(
    target: Target, message: Message, incident: Incident, connect: Callable[[Target], Messenger]
) -> tuple[MessageState, str | None]:
    try:
        return "sent", connect(target).send(tell(incident, message.phase))
    except Rejected as error:
        return "failed", describe(error)
    except Exception as error:  # whatever is wrong with one target, the others are told
        if not isinstance(error, CaravanError):
            log.exception("target %s", target.name)
        return "pending", describe(error)


def _settle(book: Book, message: Message, state: MessageState, remark: str | None) -> None:
    """What has been sent is sent again unless it is written down: wait longer for that than for anything else."""
    for _ in range(SETTLE_TRIES - 1):
        with suppress(Retryable):
            book.settle(message, state, remark)
            return
    book.settle(message, state, remark)


def _note(
    book: Book,
    targets: Sequence[Target],
    down: Mapping[str, str],
    refused: Mapping[str, str],
    answered: Collection[str],
    clock: Callable[[], datetime],
    is_complete: bool,
) -> Changes:
    """Open an incident for each target that is down or refuses; close those of targets that answered, or are gone."""
    faults = {name: f"It refused a message for good: {what}" for name, what in refused.items()}
    faults |= {name: f"Its messages wait: {what}" for name, what in down.items()}
    # Critical: whoever else is told of critical things only must hear that somebody is told of nothing.
    sightings = [Sighting("target_down", "critical", target_subject(name), what) for name, what in faults.items()]
    silent = {target_subject(target.name) for target in targets if target.name not in answered}
    answers = {target_subject(name) for name in answered}

    def covers(incident: Incident) -> bool:
        sighting = incident.sighting
        is_over = sighting.subject not in silent if is_complete else sighting.subject in answers
        return sighting.kind == "target_down" and is_over

    return book.change(lambda standing, told: observe(standing, told, sightings, covers, targets, clock()))
