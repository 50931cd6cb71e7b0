"""A personal data server of the AT protocol with one account, records held in memory.

What it does as the real one: a password for a token, record keys of posts that have to be TIDs, at most 300 graphemes
(here: characters), putRecord that replaces, deleteRecord that is content with nothing to delete.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response

from caravan.core.connections import Connection
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.serving import serve

HANDLE, PASSWORD, DID = "caravan.example", "abcd-efgh-ijkl-mnop", "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
JWT = "eyJhbGciOiJFUzI1NksifQ.demo-bluesky-access-token"
COLLECTION = "app.bsky.feed.post"
_TID = re.compile("[2-7a-j][2-7a-z]{12}")


@dataclass
class Repository:
    """`records`: by key. `writes`: how often one was put. `change`: makes another answer of one."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    blobs: dict[str, int] = field(default_factory=dict)
    writes: int = 0
    faults: Faults = field(default_factory=Faults)
    change: Callable[[Any], Any] = lambda content: content

    def put(self, given: dict[str, Any]) -> dict[str, Any]:
        self.records[given["rkey"]] = given["record"]
        self.writes += 1
        return self.place(given["rkey"])

    def place(self, key: str) -> dict[str, Any]:
        return {"uri": f"at://{DID}/{COLLECTION}/{key}", "cid": _cid(json.dumps(self.records[key]).encode())}

    def upload(self, content: bytes, media_type: str) -> dict[str, Any]:
        link = _cid(content)
        self.blobs[link] = len(content)
        return {"blob": {"$type": "blob", "ref": {"$link": link}, "mimeType": media_type, "size": len(content)}}


@contextmanager
def serve_repository(repository: Repository, conn_id: str = "bluesky_demo") -> Iterator[Connection]:
    """The connection to use."""
    with serve(application(repository)) as url:
        yield account_at(url, conn_id)


def account_at(url: str, conn_id: str) -> Connection:
    return Connection(conn_id, "http", host=url, login=HANDLE, password=PASSWORD)


def application(repository: Repository) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def answer(request: Request, content: Callable[[], Any], is_allowed: bool | None = None) -> Response:
        repository.faults.requests.append(f"{request.method} {request.url.path}")
        fault = repository.faults.take()
        if not (request.headers.get("Authorization") == f"Bearer {JWT}" if is_allowed is None else is_allowed):
            fault = "denied"
        if not repository.faults.works(fault):
            return repository.faults.answer(fault, b"")
        try:
            body = json.dumps(repository.change(content())).encode()
        except KeyError:
            return _refused("RecordNotFound")
        return repository.faults.answer(fault, body)

    @app.post("/xrpc/com.atproto.server.createSession")
    async def log_in(request: Request) -> Response:
        given = await request.json()
        is_known = given == {"identifier": HANDLE, "password": PASSWORD}
        return answer(request, lambda: {"accessJwt": JWT, "did": DID, "handle": HANDLE}, is_known)

    @app.post("/xrpc/com.atproto.repo.putRecord")
    async def put(request: Request) -> Response:
        given = await request.json()
        record = given["record"]
        if not _TID.fullmatch(given["rkey"]) or record["$type"] != COLLECTION or len(record["text"]) > 300:
            return _refused("InvalidRequest")
        for facet in record.get("facets", ()):
            if not 0 <= facet["index"]["byteStart"] < facet["index"]["byteEnd"] <= len(record["text"].encode()):
                return _refused("InvalidRequest")
        return answer(request, lambda: repository.put(given))

    @app.get("/xrpc/com.atproto.repo.getRecord")
    async def get(request: Request) -> Response:
        key = request.query_params["rkey"]
        return answer(request, lambda: {**repository.place(key), "value": repository.records[key]})

    @app.post("/xrpc/com.atproto.repo.deleteRecord")
    async def delete(request: Request) -> Response:
        key = (await request.json())["rkey"]

        def deleted() -> Any:
            return {"commit": {"cid": _cid(b"commit"), "rev": key}} if repository.records.pop(key, None) else {}

        return answer(request, deleted)

    @app.post("/xrpc/com.atproto.repo.uploadBlob")
    async def upload(request: Request) -> Response:
        content = await request.body()
        if len(content) > 1_000_000:
            return _refused("BlobTooLarge")
        return answer(request, lambda: repository.upload(content, request.headers["Content-Type"]))

    return app


def _refused(name: str) -> Response:
    return Response(json.dumps({"error": name, "message": "Sorry"}), 400, media_type="application/json")


def _cid(content: bytes) -> str:
    return f"bafkrei{hashlib.sha256(content).hexdigest()[:52]}"
