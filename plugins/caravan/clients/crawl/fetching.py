"""One request after another, with a limit on everything a server can make long: it never raises for what one does."""

from __future__ import annotations

import http.client
import random as randomness
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import requests
import urllib3

from caravan.clients.crawl.addresses import Addresses, RefusedAddress, UnknownHost
from caravan.clients.crawl.connections import PinnedAdapter, Route, tls_context
from caravan.clients.crawl.unpacking import ACCEPTED, unpack
from caravan.clients.http.answers import retry_after
from caravan.core.crawl import Answer, Ask, Limits
from caravan.core.urls import BadUrl, host_of, resolve, split_fragment

AGENT = "Caravan"
_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_CHUNK_BYTES = 1 << 16
_MOST_GROWTH = 12
"""A character outside ASCII is four bytes at most, each three characters of percent code."""
_DETAIL_CHARACTERS = 300
_FIRST_WAIT_SECONDS = 0.5
_NO_SECOND_TRY = (501, 505, 508, 511)
"""Of the answers with 5xx: they say what a server cannot do, which it will not have learnt in a second."""
_SENDABLE = re.compile(r"[\t\x20-\x7e\x80-\xff]+")


class Pace(Protocol):
    """How fast a host may be asked: `pace.py`."""

    def reserve(self, host: str) -> float: ...
    def answered(self, host: str, answer: Answer) -> None: ...


class _Failure(NamedTuple):
    reason: str
    detail: str
    may_pass: bool


@dataclass
class RequestsFetcher:
    """For any number of threads: each has connections of its own, which stay open.

    What may pass is tried `limits.attempts` times: no connection, an answer that breaks off or takes too long, 5xx.
    429, and whatever says when to come back (Retry-After), is given back at once: whoever keeps the pace asks again.
    `agent`: best with a page that says who asks and why, `Caravan (+https://example.com/crawler)`.
    `pace`: is told of attempts that failed and says when the next may begin. `authorities`: a file of
    certificates for sites inside; None for the public ones. `pause`: seconds; `random`: from 0 up to 1.
    """

    limits: Limits
    addresses: Addresses
    pace: Pace | None = None
    agent: str = AGENT
    authorities: str | None = None
    pause: Callable[[float], object] = time.sleep
    random: Callable[[], float] = randomness.random
    now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(tzinfo=None)
    certificates: dict[str, datetime] = field(default_factory=dict, init=False)
    """Host to the end of the certificate that it showed, UTC without zone."""

    def __post_init__(self) -> None:
        self._context = tls_context(self.authorities)
        self._own = threading.local()
        self._adapters: list[PinnedAdapter] = []
        self._lock = threading.Lock()

    def fetch(self, ask: Ask, limit: int) -> Answer:
        """`limit`: bytes of the body, unpacked; what is over is not read."""
        try:
            url = split_fragment(resolve("", ask.url, limit=_MOST_GROWTH * len(ask.url)))[0]
        except BadUrl as bad:
            return Answer(ask, self.now(), None, "bad_url", str(bad))
        attempt = 1
        while True:
            answer, may_pass = self._once(ask, url, limit)
            answer = replace(answer, attempt_count=attempt) if attempt > 1 else answer
            if not may_pass or attempt >= self.limits.attempts:
                return answer
            wait = self._wait(url, answer, attempt)
            if wait > self.limits.answer_seconds:
                return answer
            self.pause(wait)
            attempt += 1

    def close(self) -> None:
        """Ends all connections; no thread may be asking any more."""
        with self._lock:
            for adapter in self._adapters:
                adapter.close()
            self._adapters.clear()

    def _wait(self, url: str, answer: Answer, attempt: int) -> float:
        """Seconds before the next attempt, some of them random, so that threads do not come back as one."""
        wait = _FIRST_WAIT_SECONDS * float(2 ** (attempt - 1)) * (1 + self.random())
        if not self.pace:
            return wait
        self.pace.answered(host_of(url), answer)
        return max(wait, self.pace.reserve(host_of(url)))

    def _once(self, ask: Ask, url: str, limit: int) -> tuple[Answer, bool]:
        """The answer to one request, and whether another may be better."""
        requested_at, began = self.now(), time.monotonic()
        adapter, route = self._of_thread()
        route.ends = began + self.limits.answer_seconds
        route.target = url[url.index("/", 8) :]
        try:
            response = adapter.send(self._prepared(ask, url), stream=True, timeout=self.limits.answer_seconds)
        except (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
            failure = _failure(error)
            answer = Answer(ask, requested_at, None, failure.reason, failure.detail, total_ms=_milliseconds(began))
            return answer, failure.may_pass
        ttfb_ms = _milliseconds(began)
        wire, why, detail = _read(response, limit)
        headers = _headers(response)
        encoding = ",".join(value for name, value in headers if name == "content-encoding")
        body, cut = unpack(wire, encoding, limit)
        answer = Answer(
            ask,
            requested_at,
            response.status_code,
            detail=detail,
            headers=headers,
            body=body,
            body_reason=why or cut,
            wire_bytes=len(wire),
            ttfb_ms=ttfb_ms,
            total_ms=_milliseconds(began),
            retry_after_s=retry_after(response) if response.status_code in (429, 503) else None,
        )
        may_pass = why in ("timeout", "broken") or (
            response.status_code >= 500 and response.status_code not in _NO_SECOND_TRY and answer.retry_after_s is None
        )
        return answer, may_pass

    def _of_thread(self) -> tuple[PinnedAdapter, Route]:
        if not hasattr(self._own, "adapter"):
            route = Route(self.addresses, self.limits.connect_seconds, self.certificates)
            self._own.route, self._own.adapter = route, PinnedAdapter(route, self._context)
            with self._lock:
                self._adapters.append(self._own.adapter)
        return self._own.adapter, self._own.route

    def _prepared(self, ask: Ask, url: str) -> requests.PreparedRequest:
        """Not prepared by requests, which would change the address."""
        headers = {"User-Agent": self.agent, "Accept": _ACCEPT, "Accept-Encoding": ACCEPTED}
        for name, value in (
            ("Accept-Language", ask.accept_language),
            ("If-None-Match", ask.etag),
            ("If-Modified-Since", ask.last_modified),
        ):
            # They come from what servers sent; what no header can carry is left out.
            if value and _SENDABLE.fullmatch(value):
                headers[name] = value
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url, prepared.body = ask.method, url, None
        prepared.headers = requests.structures.CaseInsensitiveDict(headers)
        return prepared


def _read(response: requests.Response, limit: int) -> tuple[bytes, str | None, str]:
    """The body as sent, as far as `limit` bytes and one more; why it is not whole, and what was wrong."""
    parts: list[bytes] = []
    size = 0
    try:
        # Not read(): it waits for as many bytes as it is told.
        while part := response.raw.read1(_CHUNK_BYTES):
            parts.append(part)
            size += len(part)
            if size > limit:
                response.raw.close()
                return b"".join(parts)[: limit + 1], "size", ""
    except (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
        response.raw.close()
        failure = _failure(error)
        return b"".join(parts), "timeout" if failure.reason == "timeout" else "broken", failure.detail
    return b"".join(parts), None, ""


def _headers(response: requests.Response) -> Sequence[tuple[str, str]]:
    """Names in lower case. Without the values of cookies: nothing here needs them, and they may be secrets."""
    return [
        (name.lower(), "" if name.lower() == "set-cookie" else value if value.isascii() else _decoded(value))
        for name, value in response.raw.headers.iteritems()
    ]


def _decoded(value: str) -> str:
    """Bytes that are not ASCII are UTF-8 wherever they can be, as browsers read an address in Location."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _milliseconds(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _failure(error: BaseException) -> _Failure:
    """What stands behind an error of requests, which wraps those of urllib3, which wraps those of sockets."""
    chain = list(_chain(error))
    for each in chain:
        if isinstance(each, RefusedAddress):
            return _Failure("refused_address", str(each), False)
        if isinstance(each, UnknownHost):
            return _Failure("dns", str(each), each.may_pass)
        if isinstance(each, ssl.SSLError):
            return _Failure("tls", _tls_problem(each)[:_DETAIL_CHARACTERS], False)
    detail = (str(chain[-1]) or type(chain[-1]).__name__)[:_DETAIL_CHARACTERS]
    for kinds, reason, may_pass in _KINDS:
        if any(isinstance(each, kinds) for each in chain):
            return _Failure(reason, detail, may_pass)
    return _Failure("broken", detail, True)


def _tls_problem(error: ssl.SSLError) -> str:
    """Without OpenSSL's own numbers: `certificate has expired`, `wrong version number`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.removesuffix(".")
    return error.reason.replace("_", " ").lower() if error.reason else str(error)


# In this order: a connection that is refused is, to urllib3, one that takes too long.
_KINDS: Sequence[tuple[tuple[type[BaseException], ...], str, bool]] = (
    ((ssl.SSLError, urllib3.exceptions.SSLError), "tls", False),
    ((urllib3.exceptions.ConnectTimeoutError, ConnectionRefusedError), "connect", True),
    ((TimeoutError, urllib3.exceptions.TimeoutError), "timeout", True),
    ((http.client.InvalidURL, urllib3.exceptions.LocationValueError, UnicodeError), "bad_url", False),
)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it was made of, from the outside in, each once."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]
