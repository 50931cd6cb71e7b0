"""The real WordPress as the suite of all outlets sees a stand-in: behind something that loses and spoils answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from blog import Blog
from fastapi import FastAPI, Request, Response
from outlets import WordPressStand
from starlette.concurrency import run_in_threadpool

from caravan.core.connections import Connection
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.serving import serve


@dataclass
class Traffic:
    faults: Faults = field(default_factory=Faults)
    change: Callable[[Any], Any] = lambda content: content


class RealStand(WordPressStand):
    """`user`: of the site, called like its role."""

    blog: Blog
    user = "editor"

    def __init__(self) -> None:
        super().__init__()
        self.state = Traffic()

    def begin(self) -> None:
        super().begin()
        self.blog.empty()

    @contextmanager
    def serve(self) -> Iterator[Connection]:
        with serve(between(self.state, self.blog.url)) as url:
            yield self.account(url, self.user)

    def account(self, url: str, user: str) -> Connection:
        return Connection("wordpress_peer", "http", host=url, login=user, password=self.blog.passwords[user])

    def public(self) -> int:
        return len(self.blog.public())


def between(traffic: Traffic, url: str) -> FastAPI:
    """Hands each request on to `url`, unless it is to fail before."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def ask(request: Request, body: bytes) -> Response:
        traffic.faults.requests.append(f"{request.method} {request.query_params.get('rest_route')}")
        fault = traffic.faults.take()
        if not traffic.faults.works(fault):
            return traffic.faults.answer(fault, b"")
        kept = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        address = f"{url}{request.url.path}?{request.url.query}"
        answer = requests.request(request.method, address, headers=kept, data=body, timeout=20, allow_redirects=False)
        if not answer.ok:
            return Response(answer.content, answer.status_code, media_type=answer.headers["Content-Type"])
        return traffic.faults.answer(fault, json.dumps(traffic.change(answer.json())).encode())

    @app.api_route("/{path:path}", methods=["GET", "POST", "DELETE"])
    async def passed_on(request: Request, path: str) -> Response:
        return await run_in_threadpool(ask, request, await request.body())

    return app
