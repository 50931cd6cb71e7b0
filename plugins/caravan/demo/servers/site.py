"""A web site on a free port of this machine, by HTTP or HTTPS: what it answers is said by a `Route`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from caravan.demo.servers.serving import LOST, Certificate, serve
from caravan.demo.site.answers import Reply, Route


@dataclass
class Host:
    """`route`: may become another one from one night to the next. `log`: method, path and status of each answer."""

    route: Route
    url: str = ""
    log: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As in `hosts` of a site's file."""
        return self.url.partition("://")[2]


@contextmanager
def serve_host(host: Host, certificate: Certificate | None = None) -> Iterator[Host]:
    """With a certificate by HTTPS."""
    with serve(_application(host), certificate=certificate) as host.url:
        yield host


def _application(host: Host) -> Any:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode("latin-1")
        path = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        reply = host.route(path, host.url)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if "etag" in reply.headers and headers.get("if-none-match") == reply.headers["etag"]:
            reply = Reply(304, {"etag": reply.headers["etag"]}, seconds=reply.seconds)
        if reply.seconds:
            await asyncio.sleep(reply.seconds)
        host.log.append((scope["method"], path, reply.status))
        sent = dict(reply.headers)
        if reply.is_lost:
            sent[LOST.lower()] = "yes"
        if reply.status != 304:
            sent["content-length"] = str(len(reply.body))
        pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": pairs})
        body = reply.body if scope["method"] != "HEAD" else b""
        await send({"type": "http.response.body", "body": body})

    return answer
