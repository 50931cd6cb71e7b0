"""A Mastodon server with one account, statuses held in memory.

What it does as the real one: bearer token, `Idempotency-Key` for an hour, 500 characters, links as HTML, media that are
worked on for a while, statuses newest first by `max_id`, PUT that edits, DELETE that answers 404 the second time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from typing import Any

from fastapi import FastAPI, Request, Response

from caravan.core.connections import Connection
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.serving import serve

TOKEN = "demo-mastodon-access-token"
ACCOUNT = "109348"
_KEY_KEPT = timedelta(hours=1)
Status = dict[str, Any]


@dataclass
class Account:
    """`statuses`: oldest first. `keys`: id and time by Idempotency-Key. `polls`: how often an image is asked for before
    it is ready. `change`: makes another answer of one."""

    statuses: list[Status] = field(default_factory=list)
    keys: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    media: dict[str, dict[str, Any]] = field(default_factory=dict)
    polls: int = 0
    last: int = 116_000
    faults: Faults = field(default_factory=Faults)
    change: Callable[[Any], Any] = lambda content: content

    def post(self, given: Status, key: str | None) -> Status:
        kept = self.keys.get(key or "")
        if kept and self.faults.now - kept[1] < _KEY_KEPT:
            return next(status for status in self.statuses if status["id"] == kept[0])
        self.last += 1
        number = str(self.last)
        status = {
            "id": number,
            "created_at": f"{self.faults.now.isoformat(timespec='milliseconds')}Z",
            "visibility": given.get("visibility"),
        }
        self.statuses.append(status | self._said(given))
        status = self.statuses[-1]
        if key:
            self.keys[key] = (number, self.faults.now)
        return status

    def edit(self, number: str, given: Status) -> Status:
        status = next(status for status in self.statuses if status["id"] == number)
        status.update(self._said(given))
        return status

    def _said(self, given: Status) -> Status:
        linked = re.sub(r"https?://\S+", lambda url: f'<a href="{url[0]}">{url[0]}</a>', escape(given["status"]))
        return {
            "content": f"<p>{linked}</p>",
            "language": given.get("language"),
            "media_attachments": [self.media[name] for name in given.get("media_ids", ())],
        }

    def delete(self, number: str) -> Status:
        status = next(status for status in self.statuses if status["id"] == number)
        self.statuses.remove(status)
        return status


@contextmanager
def serve_account(account: Account, conn_id: str = "mastodon_demo") -> Iterator[Connection]:
    """The connection to use."""
    with serve(application(account)) as url:
        yield account_at(url, conn_id)


def account_at(url: str, conn_id: str) -> Connection:
    return Connection(conn_id, "http", host=url, password=TOKEN)


def application(account: Account) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def answer(request: Request, content: Callable[[], Any], status: int = 200) -> Response:
        account.faults.requests.append(f"{request.method} {request.url.path}")
        fault = account.faults.take()
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            fault = "denied"
        if not account.faults.works(fault):
            return account.faults.answer(fault, b"")
        try:
            body = json.dumps(account.change(content())).encode()
        except StopIteration:
            return Response('{"error": "Record not found"}', 404, media_type="application/json")
        response = account.faults.answer(fault, body)
        if response.status_code == 200:
            response.status_code = status
        return response

    @app.post("/api/v1/statuses")
    async def post(request: Request) -> Response:
        given = await request.json()
        if len(re.sub(r"https?://\S+", "x" * 23, given["status"])) > 500:
            return Response('{"error": "Validation failed: Text character limit of 500 exceeded"}', 422)
        return answer(request, lambda: account.post(given, request.headers.get("Idempotency-Key")))

    @app.get("/api/v1/statuses/{number}")
    async def one(request: Request, number: str) -> Response:
        return answer(request, lambda: next(status for status in account.statuses if status["id"] == number))

    @app.put("/api/v1/statuses/{number}")
    async def edit(request: Request, number: str) -> Response:
        given = await request.json()
        return answer(request, lambda: account.edit(number, given))

    @app.delete("/api/v1/statuses/{number}")
    async def delete(request: Request, number: str) -> Response:
        return answer(request, lambda: account.delete(number))

    @app.get("/api/v1/accounts/verify_credentials")
    async def me(request: Request) -> Response:
        return answer(request, lambda: {"id": ACCOUNT})

    @app.get(f"/api/v1/accounts/{ACCOUNT}/statuses")
    async def listed(request: Request) -> Response:
        before = int(request.query_params.get("max_id", 1 << 62))
        most = min(int(request.query_params.get("limit", "20")), 40)
        found = [status for status in reversed(account.statuses) if int(status["id"]) < before]
        return answer(request, lambda: found[:most])

    @app.post("/api/v2/media")
    async def upload(request: Request) -> Response:
        form = await request.form()
        file: Any = form["file"]
        number = str(len(account.media) + 22_000)
        item: dict[str, Any] = {"id": number, "description": form["description"], "polls": account.polls}
        item["size"] = len(await file.read())

        def uploaded() -> Any:
            account.media[number] = item
            return item

        return answer(request, uploaded, 202 if account.polls else 200)

    @app.get("/api/v1/media/{number}")
    async def medium(request: Request, number: str) -> Response:
        item = account.media[number]
        item["polls"] -= 1
        return answer(request, lambda: item, 206 if item["polls"] > 0 else 200)

    return app
