"""Brings messages to their targets: each once, and a target that is down keeps only its own waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from caravan.config.alerts import Target, target_subject
from caravan.core.errors import Misconfigured, Rejected, Retryable
from caravan.core.incidents import Changes, Incident, Message, MessageState, Sighting, Told
from caravan.functions.ops.incidents import observe
from caravan.functions.ops.messages import describe, tell

ABANDONED = timedelta(minutes=10)
"""Whoever has been sending a message for so long has died at it."""


class Messenger(Protocol):
    def send(self, told: Told) -> str | None:
        """Deliver; a remark where not all went well. Raises Retryable, Misconfigured or Rejected."""
        ...


class Book(Protocol):
    """The record of incidents and messages."""

    def change(self, decide: Callable[[Sequence[Incident], Mapping[str, set[str]]], Changes]) -> Changes: ...

    def claim(self, abandoned_after: timedelta, skip: Collection[str] = ()) -> Sequence[tuple[Message, Incident]]: ...

    def settle(self, message: Message, state: MessageState, error: str | None = None) -> None: ...


def deliver(
    book: Book, targets: Sequence[Target], connect: Callable[[Target], Messenger], clock: Callable[[], datetime]
) -> Counter[str]:
    """Send what waits; messages by what became of them.

    A target that cannot be reached, or does not let us in, is asked once; its messages wait for the next time, and
    the other targets are told. One that answers again is told of by the end of that incident.
    """
    by_name = {target.name: target for target in targets}
    counts: Counter[str] = Counter()
    down: dict[str, str] = {}
    while claimed := book.claim(ABANDONED, down):
        answered: set[str] = set()
        for message, incident in claimed:
            state, remark = "pending", down.get(message.target)
            if message.target not in by_name:
                state, remark = "failed", "there is no such target any more"
            elif remark is None:
                state, remark = _send(by_name[message.target], message, incident, connect)
                if state == "pending":
                    down[message.target] = remark or ""
                else:
                    answered.add(message.target)
            book.settle(message, state, remark)  # type: ignore[arg-type]
            counts[state] += 1
        if not _note(book, targets, down, answered, clock).messages:
            break
    return counts


def _send(
    target: Target, message: Message, incident: Incident, connect: Callable[[Target], Messenger]
) -> tuple[MessageState, str | None]:
    try:
        return "sent", connect(target).send(tell(incident, message.phase))
    except Rejected as error:
        return "failed", describe(error)
    except (Retryable, Misconfigured) as error:
        return "pending", describe(error)


def _note(
    book: Book,
    targets: Sequence[Target],
    down: Mapping[str, str],
    answered: Collection[str],
    clock: Callable[[], datetime],
) -> Changes:
    """Open an incident for each target that is down; close those of targets that answered, or are gone."""
    sightings = [
        Sighting("target_down", "warning", target_subject(name), f"Its messages wait: {what}")
        for name, what in down.items()
    ]
    silent = {target_subject(target.name) for target in targets if target.name not in answered}

    def covers(incident: Incident) -> bool:
        return incident.sighting.kind == "target_down" and incident.sighting.subject not in silent

    return book.change(lambda standing, told: observe(standing, told, sightings, covers, targets, clock()))
