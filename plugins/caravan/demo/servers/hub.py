"""Those who are told that something has changed: a WebSub hub, and a search engine that takes IndexNow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fastapi import FastAPI, Request, Response

from caravan.core.connections import Connection
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.serving import serve

KEY = "26ecd1ada8034912a62634cc4e3ddd7e"
SITE = "https://www.example.com"
KEY_LOCATION = f"{SITE}/{KEY}.txt"


@dataclass
class Hub:
    """`told`: addresses in order. `sites`: origins that show the key. `status`: of its answers when all is well.
    `change`: makes another answer of one."""

    told: list[str] = field(default_factory=list)
    sites: set[str] = field(default_factory=lambda: {SITE})
    status: int = 202
    faults: Faults = field(default_factory=Faults)
    change: Callable[[Any], Any] = lambda content: content


@contextmanager
def serve_hub(hub: Hub, conn_id: str = "hub_demo") -> Iterator[Connection]:
    with serve(application(hub)) as url:
        yield Connection(conn_id, "http", host=f"{url}/hub")


@contextmanager
def serve_engine(hub: Hub, conn_id: str = "indexnow_demo") -> Iterator[Connection]:
    with serve(application(hub)) as url:
        extra = {"key_location": KEY_LOCATION}
        yield Connection(conn_id, "http", host=f"{url}/indexnow", password=KEY, extra=extra)


def application(hub: Hub) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def answer(request: Request, urls: list[str], refusal: int | None) -> Response:
        hub.faults.requests.append(f"{request.method} {request.url.path}")
        fault = hub.faults.take()
        if not hub.faults.works(fault):
            return hub.faults.answer(fault, b"")
        if refusal:
            return Response(status_code=refusal)
        hub.told.extend(urls)
        response = hub.faults.answer(fault, json.dumps(hub.change({"told": len(urls)})).encode())
        if response.status_code == 200 and fault == "ok":
            response.status_code = hub.status
        return response

    @app.post("/hub")
    async def publish(request: Request) -> Response:
        form = parse_qsl((await request.body()).decode())
        urls = [value for name, value in form if name == "hub.url"]
        return answer(request, urls, None if ("hub.mode", "publish") in form and urls else 400)

    @app.post("/indexnow")
    async def submit(request: Request) -> Response:
        given = await request.json()
        urls = given["urlList"]
        is_known = given["key"] == KEY and given["keyLocation"] in {f"{site}/{KEY}.txt" for site in hub.sites}
        is_own = len(urls) <= 10_000 and all(urlsplit(url).netloc == given["host"] for url in urls)
        return answer(request, urls, 403 if not is_known else None if is_own else 422)

    return app
