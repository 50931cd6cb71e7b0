"""One request, one try, and what its end means for what was to be sent.

| what happened | outcome |
|---|---|
| no connection: refused, no such host, TLS, proxy | Refused, to be tried again |
| anything else before a whole answer | Unknown |
| 401, 403, 407; moved for good (301, 307, 308) | raises Misconfigured |
| 408, 425, 429 | Refused, to be tried again after Retry-After |
| another 4xx | Refused for good |
| 302, 303, any 5xx | Unknown |
| 2xx too long, cut, no JSON, without what it must have | Unknown |

503 with Retry-After is Unknown too: Varnish's own page for a service that fell silent, maybe after it had done the
work, is just that. 302 and 303 are what some answer when all is done.

All this for the request that publishes. Of one that only prepares or reads, no end leaves a doubt: what is Unknown
above is then Refused, to be tried again.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from caravan.clients.http.answers import Doubtful, Passing, chunks, error_word, read_json, retry_after
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured, Rejected
from caravan.core.outbox import Refused, Unknown

AGAIN = timedelta(minutes=5)
"""After this a definite "not now" is tried again, unless the service says when."""
_DENIED = (401, 403, 407)
_LATER = (408, 425, 429)
_MOVED = (301, 307, 308)
_HANDSHAKE = (
    "CERTIFICATE_VERIFY_FAILED",
    "HTTP_REQUEST",
    "NO_CIPHERS_AVAILABLE",
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "UNSUPPORTED_PROTOCOL",
    "WRONG_VERSION_NUMBER",
)
"""What OpenSSL says of a handshake alone. Other errors of TLS may come after bytes have left."""


class Stopped(Exception):
    """It goes no further. `outcome`: what that means for the message."""

    def __init__(self, outcome: Refused | Unknown) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


@dataclass(frozen=True)
class Limits:
    connect_seconds: float = 10
    silence_seconds: float = 30
    """Between two parts of an answer, and until its first."""
    answer_seconds: float = 60
    answer_bytes: int = 4 << 20
    """Of what is unpacked: a small answer can unpack to a large one."""


USUAL = Limits()


@dataclass(frozen=True)
class Answer:
    """A 2xx, or a status that was expected. `publishes`: whether the request was the one that does."""

    status: int
    where: str
    publishes: bool
    body: bytes = field(repr=False)
    connection: Connection = field(repr=False)

    def json(self, shape: type = dict, needs: Sequence[str] = ()) -> Any:
        """All numbers as text. `needs`: texts or numbers an object must have. Raises Stopped."""
        try:
            return read_json(self.body, shape, self.where, needs)
        except Passing as passing:
            raise self.doubt(passing.reason) from None
        except Doubtful as doubtful:
            raise self.doubt(f"{doubtful.error.code}{self.error}") from None

    @property
    def error(self) -> str:
        """The service's own word for an error, in brackets; empty without one."""
        try:
            # Some repeat the key that they refuse.
            return self.connection.hide(error_word(read_json(self.body, dict, self.where)))
        except (Passing, Doubtful):
            return ""

    def receipt(self) -> dict[str, Any]:
        """What a service says that need not say anything: nothing, a short text, an object.

        Raises Stopped for a page, broken JSON, and an object that tells of an error.
        """
        try:
            self.body.decode()
        except UnicodeDecodeError:
            raise self.doubt("answered with what is no text") from None
        begin = self.body.lstrip()[:1]
        if begin == b"<":
            raise self.doubt("answered with a page; is it maintenance?")
        if begin not in (b"{", b"["):
            return {}
        content: dict[str, Any] = self.json()
        if self.error or content.get("error") or content.get("errors") or _says_no(content):
            raise self.doubt(f"answered {self.status} with an error{self.error}")
        return content

    def doubt(self, reason: str) -> Stopped:
        return Stopped(_doubt(f"{self.where}: {reason}", self.publishes))


@dataclass(frozen=True)
class Call:
    """Requests to one service. `headers`: what proves who asks, too. `clock`: seconds that only grow."""

    connection: Connection
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits = USUAL
    clock: Callable[[], float] = time.monotonic

    def ask(
        self,
        method: Literal["GET", "POST", "PUT", "DELETE"],
        url: str,
        path: str,
        *,
        publishes: bool = False,
        expected: Collection[int] = (),
        headers: Mapping[str, str] | None = None,
        **given: Any,
    ) -> Answer:
        """`path`: what may be told of the address. `expected`: statuses of errors that are answers here. `given`: as
        requests takes it: params, json, data, files. Raises Stopped, Misconfigured."""
        where = f"connection {self.connection.conn_id}: {method} {path}"
        asked = {"Accept": "application/json, */*;q=0.1", "User-Agent": "Caravan", **self.headers, **(headers or {})}
        # Not requests' own: it would look for a password in ~/.netrc.
        request = requests.Request(method, url, headers=asked, auth=lambda prepared: prepared, **given)
        try:
            # A new connection for each: of a kept one nobody knows whether it is still heard.
            with requests.Session() as session:
                for scheme in ("http://", "https://"):
                    session.mount(scheme, HTTPAdapter(max_retries=0))
                prepared = session.prepare_request(request)
                settings = session.merge_environment_settings(prepared.url, {}, True, None, None)
                timeout = (self.limits.connect_seconds, self.limits.silence_seconds)
                # Not session.send(): it reads the body of a redirect, however long, before anybody is asked.
                adapter = session.get_adapter(prepared.url or "")
                sent = adapter.send(
                    prepared,
                    stream=True,
                    timeout=timeout,
                    verify=settings["verify"] or True,
                    cert=settings["cert"],
                    proxies=settings["proxies"],
                )
                with closing(sent) as response:
                    return self._answer(response, where, publishes, expected)
        # `from None`: the texts of requests and urllib3 hold the whole URL, and Airflow logs every cause.
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.InvalidHeader):
            raise self._unsendable() from None
        except UnicodeError:
            raise self._unsendable() from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            name = type(error).__name__
            if _never_left(error):
                raise Stopped(Refused(f"{where}: no connection ({name})", AGAIN)) from None
            raise Stopped(_doubt(f"{where}: no answer ({name})", publishes)) from None

    def _answer(self, response: requests.Response, where: str, publishes: bool, expected: Collection[int]) -> Answer:
        status, ends = response.status_code, self.clock() + self.limits.answer_seconds

        def check_time() -> None:
            if self.clock() > ends:
                raise Passing(f"was still sending after {self.limits.answer_seconds:g} s")

        try:
            body = b"".join(chunks(response, self.limits.answer_bytes, check_time, where))
        except (Passing, Rejected, urllib3.exceptions.HTTPError, OSError) as error:
            if 200 <= status < 300 or status in expected:
                reason = error.reason if isinstance(error, Passing) else f"answer is cut ({type(error).__name__})"
                raise Stopped(_doubt(f"{where}: {reason}", publishes)) from None
            body = b""  # the status says enough
        answer = Answer(status, where, publishes, body, self.connection)
        if 200 <= status < 300 or status in expected:
            return answer
        said = f"answered {status}{answer.error}"
        if status in _DENIED:
            raise self.connection.misconfigured(f"{said}: {self.connection.denied}")
        if status in _MOVED:
            host = urlsplit(urljoin(response.url, response.headers.get("Location", ""))).hostname
            told = f"is redirected to {host}, which is not followed: {self.connection.moved}"
            raise self.connection.misconfigured(told)
        if status in _LATER:
            seconds = retry_after(response)
            raise Stopped(Refused(f"{where} {said}", AGAIN if seconds is None else timedelta(seconds=seconds)))
        if 400 <= status < 500:
            raise Stopped(Refused(f"{where} {said}"))
        raise Stopped(_doubt(f"{where} {said}", publishes))

    def _unsendable(self) -> Misconfigured:
        return self.connection.misconfigured("has an address or a password that cannot be sent")


def _says_no(content: Mapping[str, Any]) -> bool:
    """As many receivers do, with status 200."""
    flags = any(content.get(name) is False for name in ("ok", "success"))
    return flags or str(content.get("status", "")).lower() in ("error", "failed", "failure", "fail")


def _doubt(reason: str, publishes: bool) -> Refused | Unknown:
    return Unknown(reason) if publishes else Refused(reason, AGAIN)


def _never_left(error: Exception) -> bool:
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, urllib3.exceptions.SSLError) and reason.args:
        cause = reason.args[0]
        return isinstance(cause, ssl.SSLError) and cause.reason in _HANDSHAKE
    return isinstance(reason, urllib3.exceptions.NewConnectionError)
