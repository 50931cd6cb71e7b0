"""What a stand-in does wrong when it is told to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from starlette.responses import HTMLResponse, Response, StreamingResponse

from caravan.demo.fault_names import FaultName
from caravan.demo.servers.serving import LOST


@dataclass
class Faults:
    """`plan`: what becomes of the next requests, in turn; `always`: of those after. `skew`: how far the clock is
    wrong. `wait_seconds`: what busy says. `requests`: method and path of each, in order."""

    plan: deque[FaultName] = field(default_factory=deque)
    always: FaultName = "ok"
    skew: timedelta = timedelta(0)
    wait_seconds: int = 2
    requests: list[str] = field(default_factory=list)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC).replace(tzinfo=None)

    def next(self, *names: FaultName) -> None:
        self.plan.extend(names)

    def take(self) -> FaultName:
        return self.plan.popleft() if self.plan else self.always

    @staticmethod
    def works(fault: FaultName) -> bool:
        """Whether what was asked for is done, whatever is answered then. A gateway does not know what was."""
        return fault not in ("denied", "busy", "busy_until", "down", "moved", "elsewhere")

    @property
    def now(self) -> datetime:
        """The stand-in's clock: UTC without zone."""
        return self.clock() + self.skew

    def date(self, moment: datetime | None = None) -> str:
        return format_datetime((moment or self.now).replace(tzinfo=UTC), usegmt=True)

    def answer(self, fault: FaultName, body: bytes) -> Response:
        """`body`: what would be sent if all was well."""
        response = self._answer(fault, body)
        if fault != "undated":
            response.headers["Date"] = self.date()
        return response

    def _answer(self, fault: FaultName, body: bytes) -> Response:
        wait = timedelta(seconds=self.wait_seconds)
        if fault == "lost":
            return Response(headers={LOST: "yes"})
        if fault == "html":
            return HTMLResponse("<!DOCTYPE html><title>Briefly unavailable for scheduled maintenance</title>")
        if fault == "denied":
            return Response('{"code": "rest_forbidden", "message": "Sorry"}', 401, media_type="application/json")
        if fault == "busy":
            return Response("slow down", 429, {"Retry-After": str(self.wait_seconds)})
        if fault == "busy_until":
            return Response("slow down", 503, {"Retry-After": self.date(self.now + wait)})
        if fault in ("down", "broken"):
            return Response("<h1>Internal error</h1>", 500 if fault == "down" else 502)
        if fault == "cut":
            return Response(body[: len(body) * 2 // 3], media_type="application/json")
        if fault == "endless":
            return StreamingResponse(_endless(b"[" + b" " * 65535, 0), media_type="application/json")
        if fault == "dripping":
            return StreamingResponse(_endless(b" ", 0.02), media_type="application/json")
        if fault == "moved":
            return Response(status_code=307, headers={"Location": ""})
        if fault == "elsewhere":
            return Response(status_code=302, headers={"Location": "http://other.invalid/wp-json/wc/v3/orders"})
        if fault == "error_body":
            return Response('{"code": "internal_error", "message": "Sorry"}', media_type="application/json")
        return Response(body, media_type="application/json")


async def _endless(part: bytes, pause_seconds: float) -> AsyncIterator[bytes]:
    while True:
        yield part
        await asyncio.sleep(pause_seconds)
