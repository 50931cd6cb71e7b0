"""Keeps Airflow's API server from waiting for itself when its metadata is SQLite.

For every request that a person makes, the API server writes an audit row on its event loop. SQLite lets one connection
write: where another request of the same process has written and not yet committed, the loop waits for it, and it waits
for the loop to commit. Nothing in that process moves until SQLite gives up after its timeout, a minute under
`caravan up`; tasks that report meanwhile fail, and the request is answered with 500. So requests that may write take
turns; those that only read do not wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from airflow.configuration import conf
from starlette.types import ASGIApp, Receive, Scope, Send

READING = ("GET", "HEAD", "OPTIONS")


class OneWriter:
    """ASGI middleware: one request of those that may write at a time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in READING:
            await self._app(scope, receive, send)
            return
        async with self._turn:
            await self._app(scope, receive, send)


def middlewares() -> Sequence[dict[str, Any]]:
    """What the plugin adds to the API server: nothing where the metadata is in a database with many writers."""
    if not conf.get("database", "sql_alchemy_conn").startswith("sqlite"):
        return []
    return [{"name": "Caravan: one writer at a time", "middleware": OneWriter, "args": [], "kwargs": {}}]
