"""A receiver of signed messages, as a customer would write it: verifies, takes each message's id once, says 409 after.

`keeps_ids` False: one that forgets what it has taken.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from fastapi import FastAPI, Request, Response

from caravan.core.connections import Connection
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.serving import serve

KEY = "demo-webhook-signing-key"
PATH = "/hooks/q8Zt3vB6nM1kLw0x"
_TOLERANCE_SECONDS = 300


@dataclass
class Receiver:
    """`taken`: messages in order. `change`: makes another answer of one."""

    keeps_ids: bool = True
    taken: list[dict[str, Any]] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    change: Callable[[Any], Any] = lambda content: content

    def take(self, message: dict[str, Any]) -> dict[str, Any]:
        self.taken.append(message)
        return {"id": f"r{len(self.taken)}", "message_id": message["message_id"]}

    def is_genuine(self, timestamp: str, signature: str, body: bytes) -> bool:
        wanted = hmac.new(KEY.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        age = self.faults.now.replace(tzinfo=UTC).timestamp() - int(timestamp)
        return hmac.compare_digest(f"sha256={wanted}", signature) and abs(age) <= _TOLERANCE_SECONDS


@contextmanager
def serve_receiver(receiver: Receiver, conn_id: str = "webhook_demo") -> Iterator[Connection]:
    """The connection to use."""
    with serve(application(receiver)) as url:
        yield account_at(url, receiver, conn_id)


def account_at(url: str, receiver: Receiver, conn_id: str) -> Connection:
    extra = {"keeps_ids": receiver.keeps_ids}
    return Connection(conn_id, "http", host=f"{url}{PATH}", password=KEY, extra=extra)


def application(receiver: Receiver) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post(PATH)
    async def take(request: Request) -> Response:
        body = await request.body()
        receiver.faults.requests.append(f"{request.method} {request.url.path}")
        fault = receiver.faults.take()
        headers = request.headers
        timestamp, signature = headers.get("Caravan-Timestamp", "0"), headers.get("Caravan-Signature", "")
        if not receiver.is_genuine(timestamp, signature, body):
            fault = "denied"
        if not receiver.faults.works(fault):
            return receiver.faults.answer(fault, b"")
        message = json.loads(body)
        if receiver.keeps_ids and message["message_id"] in {each["message_id"] for each in receiver.taken}:
            return Response('{"error": "already_there"}', 409, media_type="application/json")
        return receiver.faults.answer(fault, json.dumps(receiver.change(receiver.take(message))).encode())

    return app
