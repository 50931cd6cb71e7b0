"""A signed message to a receiver of the customer's own. How it is verified: docs/outlets/webhook.md."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from caravan.clients.posts.call import Call
from caravan.clients.posts.posting import Posting
from caravan.core.connections import is_private
from caravan.core.outbox import Accepted, Message, Outcome
from caravan.core.release import Content, Payload, Shown

MOST_BYTES = 1 << 20


@dataclass
class Webhook(Posting):
    """Repeatable where the connection's extra `keeps_ids` says that the receiver takes each message's id once."""

    def __post_init__(self) -> None:
        self.has_evidence = False
        self.is_repeatable = str(self.connection.extra.get("keeps_ids", "")).lower() in ("true", "1", "yes")

    def render(self, content: Content) -> Payload:
        return {
            "release_id": content.release_id,
            "revision": content.revision,
            "kind": content.kind,
            "market_code": content.market_code,
            "locale": content.locale,
            "direction": content.direction,
            "title": content.title,
            "summary": content.summary,
            "html": content.html,
            "text": content.text,
            "url": content.url,
            "alternates": dict(content.alternates),
            "tags": list(content.tags),
            "author": content.author,
            "images": [
                {
                    "name": image.name,
                    "alt": image.alt,
                    "url": f"{content.images_at}{image.name}" if content.images_at else None,
                }
                for image in content.images
            ],
            "published_at": f"{content.published_at.isoformat(timespec='seconds')}Z",
            "updated_at": f"{content.updated_at.isoformat(timespec='seconds')}Z",
            "content_hash": content.content_hash,
        }

    def check(self, payload: Payload) -> Sequence[str]:
        size = len(_json(payload))
        return [f"has {size} bytes, and at most {MOST_BYTES} are sent"] if size > MOST_BYTES else []

    def show(self, payload: Payload) -> Shown:
        return Shown(json.dumps(payload, indent=2, ensure_ascii=False))

    def _publish(self, message: Message, payload: Payload) -> Outcome:
        return self._send(message, "publish", payload)

    def _withdraw(self, message: Message, payload: Payload) -> Outcome:
        return self._send(message, "withdraw", payload)

    def _send(self, message: Message, action: str, payload: Payload) -> Outcome:
        connection = self.connection
        if not connection.password:
            raise connection.misconfigured("has no password, which is the key that messages are signed with")
        url = connection.url()
        if not is_private(url):
            raise connection.misconfigured("sends in the clear: give a host that begins with https://")
        content: dict[str, Any] = {"message_id": message.message_id, "action": action, "release": dict(payload)}
        if isinstance(message.intention.payload.get("provider_id"), str):
            content["provider_id"] = message.intention.payload["provider_id"]
        body = _json(content)
        timestamp = str(int(self.clock().replace(tzinfo=UTC).timestamp()))
        headers = {
            "Content-Type": "application/json",
            "Caravan-Message-Id": message.message_id,
            "Caravan-Timestamp": timestamp,
            "Caravan-Signature": signature(connection.password, timestamp, body),
        }
        call = Call(connection, headers, self.limits)
        # The path may be a secret.
        answer = call.ask("POST", url, "its address", publishes=True, expected=(409,), data=body)
        if answer.status == 409:  # there already, whatever else it says
            return Accepted()
        said = answer.receipt()
        if said.get("message_id", message.message_id) != message.message_id:
            raise answer.doubt("the answer is for another message")
        return Accepted(_text(said.get("id")))


def signature(key: str, timestamp: str, body: bytes) -> str:
    """Of what is sent, and when. `timestamp`: seconds since 1970 as text."""
    signed = hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={signed.hexdigest()}"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 200 else None


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
