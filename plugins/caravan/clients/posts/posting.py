"""What all outlets for other people's services have in common: the embargo, and what an outcome is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from caravan.clients.pictures import read_picture
from caravan.clients.posts.call import USUAL, Limits, Stopped
from caravan.core.connections import Connection
from caravan.core.consistency import Appearance
from caravan.core.errors import Rejected, Retryable
from caravan.core.outbox import Accepted, Message, Outcome, Refused
from caravan.core.release import Content, Image, Payload, Shown


def embargoed(message: Message, now: datetime) -> Refused | None:
    """A refusal until the embargo ends. `now`: UTC without zone."""
    until = message.intention.embargo_until
    if until is None or now >= until:
        return None
    return Refused(f"under embargo until {until.isoformat(timespec='seconds')}Z", until - now)


@dataclass
class Posting(ABC):
    """An `Outlet`. `clock`: UTC without zone.

    `has_evidence`: whether `find` can ever say anything. The message of a later revision has, beside its action, the
    `provider_id` under which the one before it was accepted.
    """

    code: str
    connection: Connection
    clock: Callable[[], datetime] = field(repr=False)
    limits: Limits = field(default=USUAL, kw_only=True)
    is_repeatable: bool = field(default=True, init=False)
    has_evidence: bool = field(default=True, init=False)

    def hand_over(self, message: Message, payload: Payload) -> Outcome:
        """Raises Misconfigured when the account is not let in."""
        held = embargoed(message, self.clock())
        if held:
            return held
        try:
            return self._withdraw(message, payload) if withdraws(message) else self._publish(message, payload)
        except Stopped as stopped:
            return stopped.outcome

    def find(self, message: Message, payload: Payload) -> Accepted | Refused | None:
        """Reads, and changes nothing. Raises Misconfigured when the account is not let in."""
        if not self.has_evidence:
            return None
        try:
            return self._evidence(message, payload)
        except Stopped:
            return None  # that it cannot be asked now is no evidence

    @abstractmethod
    def render(self, content: Content) -> Payload: ...

    @abstractmethod
    def check(self, payload: Payload) -> Sequence[str]: ...

    @abstractmethod
    def show(self, payload: Payload) -> Shown: ...

    @abstractmethod
    def _publish(self, message: Message, payload: Payload) -> Outcome: ...

    @abstractmethod
    def _withdraw(self, message: Message, payload: Payload) -> Outcome: ...

    def _evidence(self, message: Message, payload: Payload) -> Accepted | Refused | None:
        return None


@dataclass
class ReadablePosting(Posting):
    """One that tells what it shows: `Readable`."""

    @abstractmethod
    def expected(self, message: Message, payload: Payload) -> Appearance: ...

    @abstractmethod
    def _appearance(self, message: Message, payload: Payload) -> Appearance: ...

    def read_back(self, message: Message, payload: Payload) -> Appearance:
        try:
            return self._appearance(message, payload)
        except Stopped as stopped:
            outcome = stopped.outcome
            if isinstance(outcome, Refused) and outcome.after is None:
                raise Rejected("POST_UNREADABLE", outcome.reason) from None
            raise Retryable(outcome.reason) from None


def withdraws(message: Message) -> bool:
    """Raises Stopped for an action that nobody knows."""
    action = message.intention.payload.get("action", "publish")
    if action not in ("publish", "withdraw"):
        raise Stopped(Refused("the message asks for an action that is neither publish nor withdraw"))
    return bool(action == "withdraw")


def withdrawn_id(message: Message) -> str:
    """What the service called the post that is to be taken back. Raises Stopped."""
    found = earlier_id(message)
    if found is None:
        raise Stopped(Refused("the message does not say under which id the post was accepted"))
    return found


def own_id(message: Message) -> str:
    """What the service called the post of this very message. Raises Stopped."""
    if not message.provider_id:
        raise Stopped(Refused("nobody knows what the service calls this post"))
    return message.provider_id


def earlier_id(message: Message) -> str | None:
    """What the service called the post of the revision before."""
    found = message.intention.payload.get("provider_id")
    return found if isinstance(found, str) and found else None


def described(image: Image) -> dict[str, Any]:
    return {
        "path": image.path,
        "sha256": image.sha256,
        "name": image.name,
        "media_type": image.media_type,
        "alt": image.alt,
    }


def image_faults(
    images: Sequence[Mapping[str, Any]], most: int, most_bytes: int, most_alt: int, media_types: Sequence[str]
) -> list[str]:
    found = [f"has {len(images)} images, and at most {most} are taken"] if len(images) > most else []
    for image in images:
        name, path = image["name"], Path(image["path"])
        if not image["alt"].strip():
            found.append(f"image {name} has no alt text")
        elif len(image["alt"]) > most_alt:
            found.append(
                f"image {name} has an alt text of {len(image['alt'])} characters, and at most {most_alt} are taken"
            )
        if image["media_type"] not in media_types:
            found.append(f"image {name} is {image['media_type']}; taken are {', '.join(media_types)}")
        if not path.is_file():
            found.append(f"image {name} has no file")
        elif path.stat().st_size > most_bytes:
            found.append(f"image {name} has {path.stat().st_size} bytes, and at most {most_bytes} are taken")
    return found


def read_image(image: Mapping[str, Any]) -> bytes:
    """As it was approved. Raises Stopped, for nothing has left yet."""
    try:
        return read_picture(image)
    except Retryable as error:
        raise Stopped(Refused(str(error), error.after)) from None
