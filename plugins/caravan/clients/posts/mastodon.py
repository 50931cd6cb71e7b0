"""Statuses of a Mastodon account, by an access token with the scopes read, write:statuses and write:media.

The server keeps `Idempotency-Key` for an hour (Mastodon's source), so repeating is not safe for good: what became of a
lost answer is read from the account's own statuses, whose link has the message's mark.

A later revision edits the status of the one before it; where that is gone, it is a new status.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, Literal

from caravan.clients.http.address import root_url
from caravan.clients.posts.call import AGAIN, Answer, Call, Stopped
from caravan.clients.posts.posting import (
    ReadablePosting,
    described,
    earlier_id,
    image_faults,
    own_id,
    read_image,
    withdrawn_id,
    withdraws,
)
from caravan.clients.posts.wording import addresses, graphemes, has_mark, marked
from caravan.clients.site.consistency import read_text
from caravan.core.consistency import Appearance
from caravan.core.outbox import Accepted, Message, Outcome, Refused
from caravan.core.release import Content, Payload, Shown

LINK_LENGTH = 23
"""So much every link counts, however long it is."""
MOST_IMAGES, MOST_IMAGE_BYTES, LONGEST_ALT = 4, 16 << 20, 1500
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
SKEW = timedelta(minutes=10)
"""So far the server's clock may be behind ours."""
SETTLING = timedelta(minutes=5)
"""A request of which nothing was heard may be worked on for so long: not being listed proves nothing before."""
SAFE = timedelta(minutes=30)
"""After its absence was seen so early, it may be sent again: the server still keeps the key."""
_PAGE, _MOST_PAGES = 40, 25


@dataclass
class Mastodon(ReadablePosting):
    """`max_characters`: of the server, if it allows more. `pause`: seconds."""

    visibility: Literal["public", "unlisted", "private"] = field(default="public", kw_only=True)
    max_characters: int = field(default=500, kw_only=True)
    pause: Callable[[float], object] = field(default=time.sleep, kw_only=True, repr=False)
    polls: int = field(default=30, kw_only=True)

    def __post_init__(self) -> None:
        self.is_repeatable = False

    def render(self, content: Content) -> Payload:
        tags = [re.sub(r"\W", "", tag) for tag in content.tags]
        return {
            "text": f"{content.title}\n\n{content.summary}".strip(),
            "url": content.url,
            "tags": " ".join(f"#{tag}" for tag in tags if tag),
            "language": content.locale.split("-")[0].lower(),
            "images": [described(image) for image in content.images],
        }

    def check(self, payload: Payload) -> Sequence[str]:
        found = [] if payload["text"] else ["has no text"]
        if not payload["url"]:
            found.append("has no page of its own to link to: what became of a lost answer could not be seen")
        length = counted(composed(payload, payload["url"] or ""))
        if length > self.max_characters:
            found.append(f"has {length} characters, and at most {self.max_characters} are taken; a link counts 23")
        return found + image_faults(payload["images"], MOST_IMAGES, MOST_IMAGE_BYTES, LONGEST_ALT, IMAGE_TYPES)

    def expected(self, message: Message, payload: Payload) -> Appearance:
        if withdraws(message):
            return Appearance(False)
        return Appearance(
            True,
            version=message.message_id,
            text=payload["text"].partition("\n")[0],
            prices=frozenset(read_text(escape(payload["text"])).prices),
            links=(marked(payload["url"], message.message_id),),
            locale=payload["language"],
        )

    def _appearance(self, message: Message, payload: Payload) -> Appearance:
        path = f"/api/v1/statuses/{_fit_for_path(own_id(message))}"
        answer = self._ask("GET", path, expected=(404, 410))
        if answer.status in (404, 410):
            return Appearance(False)
        status = answer.json(needs=("id", "content"))
        facts = read_text(status["content"])
        return Appearance(
            True,
            version=message.message_id if has_mark(status["content"], message.message_id) else "another",
            text=facts.text,
            prices=frozenset(facts.prices),
            links=facts.links,
            locale=status.get("language"),
        )

    def show(self, payload: Payload) -> Shown:
        return Shown(composed(payload, payload["url"] or ""))

    def _publish(self, message: Message, payload: Payload) -> Outcome:
        if not payload["url"]:
            return Refused("has no page of its own to link to: what became of a lost answer could not be seen")
        files = [read_image(image) for image in payload["images"]]
        uploads = zip(payload["images"], files, strict=True)
        body = {
            "status": composed(payload, marked(payload["url"], message.message_id)),
            "language": payload["language"],
            "visibility": self.visibility,
            "media_ids": [self._upload(image, content) for image, content in uploads],
        }
        edited = self._edit(message, body)
        if edited is not None:
            return edited
        key = {"Idempotency-Key": message.message_id}
        answer = self._ask("POST", "/api/v1/statuses", publishes=True, json=body, headers=key)
        status = answer.json(needs=("id", "content"))
        if not has_mark(status["content"], message.message_id):
            raise answer.doubt("the answer is not this message's status")
        return Accepted(status["id"])

    def _edit(self, message: Message, body: Mapping[str, Any]) -> Accepted | None:
        """None where there is nothing to edit."""
        number = earlier_id(message)
        if number is None:
            return None
        path = f"/api/v1/statuses/{_fit_for_path(number)}"
        answer = self._ask("PUT", path, publishes=True, expected=(404,), json=body)
        if answer.status == 404:
            return None
        status = answer.json(needs=("id", "content"))
        if status["id"] != number or not has_mark(status["content"], message.message_id):
            raise answer.doubt("the answer is not this message's status")
        return Accepted(number)

    def _withdraw(self, message: Message, payload: Payload) -> Outcome:
        number = withdrawn_id(message)
        answer = self._ask("DELETE", f"/api/v1/statuses/{_fit_for_path(number)}", publishes=True, expected=(404,))
        if answer.status != 404 and answer.json(needs=("id",))["id"] != number:
            raise answer.doubt("the answer is another status's")
        return Accepted(number)

    def _evidence(self, message: Message, payload: Payload) -> Accepted | Refused | None:
        if withdraws(message):
            number = withdrawn_id(message)
            answer = self._ask("GET", f"/api/v1/statuses/{_fit_for_path(number)}", expected=(404,))
            return Accepted(number) if answer.status == 404 else self._undone(message, "is still there")
        before_it = earlier_id(message)
        if before_it is not None:
            answer = self._ask("GET", f"/api/v1/statuses/{_fit_for_path(before_it)}", expected=(404,))
            if answer.status != 404:
                is_edited = has_mark(answer.json(needs=("content",))["content"], message.message_id)
                return Accepted(before_it) if is_edited else self._undone(message, "was not edited")
        since = message.intention.planned_for - SKEW
        account = self._ask("GET", "/api/v1/accounts/verify_credentials").json(needs=("id",))["id"]
        before: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            asked = {"limit": str(_PAGE), "exclude_reblogs": "true", **before}
            answer = self._ask("GET", f"/api/v1/accounts/{_fit_for_path(account)}/statuses", params=asked)
            listed = [_read(answer, item) for item in answer.json(list)]
            for number, _, content in listed:
                if has_mark(content, message.message_id):
                    return Accepted(number)
            if not listed or min(created for _, created, _ in listed) < since:
                return self._absent(message)
            before = {"max_id": listed[-1][0]}
        return None  # too long, or the same page for ever

    def _absent(self, message: Message) -> Refused | None:
        waited = self._waited(message)
        if waited < SETTLING:
            return None
        return Refused("is not among the account's own statuses", timedelta(0) if waited < SAFE else None)

    def _undone(self, message: Message, reason: str) -> Refused | None:
        """To edit or delete a status again changes nothing."""
        return None if self._waited(message) < SETTLING else Refused(reason, timedelta(0))

    def _waited(self, message: Message) -> timedelta:
        return self.clock() - (message.changed_at or message.intention.planned_for)

    def _upload(self, image: Mapping[str, Any], content: bytes) -> str:
        """One that no status has taken is removed by the server, so a repetition leaves nothing."""
        file = (image["name"], content, image["media_type"])
        answer = self._ask("POST", "/api/v2/media", data={"description": image["alt"]}, files={"file": file})
        number: str = answer.json(needs=("id",))["id"]
        for _ in range(self.polls):
            if answer.status == 200:
                return number
            self.pause(1)
            # 206 while it is worked on.
            answer = self._ask("GET", f"/api/v1/media/{_fit_for_path(number)}")
        raise Stopped(Refused(f"{answer.where}: image {image['name']} is still worked on", AGAIN))

    def _ask(self, method: Literal["GET", "POST", "PUT", "DELETE"], path: str, **given: Any) -> Answer:
        call = Call(self.connection, {"Authorization": f"Bearer {self.connection.password or ''}"}, self.limits)
        return call.ask(method, root_url(self.connection) + path, path, **given)


def composed(payload: Payload, link: str) -> str:
    return "\n\n".join(part for part in (payload["text"], link, payload["tags"]) if part)


def counted(text: str) -> int:
    """Characters as the server counts them."""
    for begin, end in reversed(addresses(text)):
        text = text[:begin] + "x" * LINK_LENGTH + text[end:]
    return graphemes(text)


def _fit_for_path(number: str) -> str:
    """What goes into a path. Raises Stopped."""
    if not re.fullmatch("[0-9A-Za-z]{1,40}", number):
        raise Stopped(Refused("what should be a status's id is none"))
    return number


def _read(answer: Answer, item: object) -> tuple[str, datetime, str]:
    """Id, creation (UTC without zone) and content."""
    try:
        fields = item if isinstance(item, dict) else {}
        created = datetime.fromisoformat(fields["created_at"].replace("Z", "+00:00"))
        return str(fields["id"]), created.astimezone(UTC).replace(tzinfo=None), str(fields["content"])
    except (KeyError, ValueError, TypeError, AttributeError):
        raise answer.doubt("no status with id, created_at and content" + answer.error) from None
