"""A stand-in on a free port of this machine: up before it is used, gone after."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import uvicorn

START_SECONDS = 10.0
LOST = "X-Stand-In-Lost"
"""An answer with this header is not sent: the connection is closed instead."""


class Certificate(NamedTuple):
    """Files of PEM."""

    chain: Path
    key: Path


@contextmanager
def serve(app: Any, port: int = 0, certificate: Certificate | None = None) -> Iterator[str]:
    """Yields the address, like http://127.0.0.1:34567; https with a certificate. `app`: any ASGI application; it writes
    its own `Date`.

    `port`: a free one unless given. Raises OSError when it is taken.
    """
    listener = socket.socket()
    if port:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # its connections of just now may linger
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    config = uvicorn.Config(
        _losing(app),
        log_level="warning",
        access_log=False,
        date_header=False,
        lifespan="off",
        ssl_certfile=certificate.chain if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        ends = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > ends:
                raise RuntimeError("the stand-in did not start; its log says why")
            time.sleep(0.005)
        yield f"http{'s' if certificate else ''}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(START_SECONDS)
        listener.close()


def _losing(app: Any) -> Any:
    async def served(scope: Any, receive: Any, send: Any) -> None:
        is_lost = False

        async def pass_on(message: Any) -> None:
            nonlocal is_lost
            names = {name.lower() for name, _ in message.get("headers", ())}
            if message["type"] == "http.response.start" and LOST.lower().encode() in names:
                is_lost = True
                send.__self__.transport.close()  # uvicorn's own; ASGI knows no way to say nothing
                while (await receive())["type"] != "http.disconnect":
                    pass
            if not is_lost:
                await send(message)

        await app(scope, receive, pass_on)

    return served
