"""Requests to one service: one session, all retries in one place, limits on everything.

What is told of a request is the connection's name, the method and the path: never headers, query or body.
"""

from __future__ import annotations

import logging
import random as randomness
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from caravan.clients.http.address import origin, root_url
from caravan.clients.http.answers import Denied, Doubtful, Passing, chunks, http_date, read_json, require_success
from caravan.clients.http.limits import USUAL, Limits
from caravan.core.connections import Connection, is_private
from caravan.core.errors import Rejected, Retryable

log = logging.getLogger(__name__)
T = TypeVar("T")
_MOST_REDIRECTS = 3
_AGENT = "Caravan"


class Credentials(Protocol):
    def sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add what proves who asks."""
        ...

    def renew(self) -> None:
        """They were not accepted; the request is tried once more after this."""
        ...


@dataclass(frozen=True)
class Download:
    """`charset`: as the service declares it; None where it does not."""

    path: Path
    charset: str | None


@dataclass
class Caller:
    """Lives for one pull: its time counts from the first moment. `pause`: seconds; `random`: from 0 up to 1;
    `clock`: seconds that only grow. `judge`: raises Passing, Denied or Rejected for an answer that is no success."""

    connection: Connection
    credentials: Credentials
    limits: Limits = USUAL
    pause: Callable[[float], object] = time.sleep
    random: Callable[[], float] = randomness.random
    clock: Callable[[], float] = time.monotonic
    judge: Callable[[requests.Response, str], None] = require_success
    _answered_at: datetime | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._root = root_url(self.connection)
        self._ends = self.clock() + self.limits.pull_seconds
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=0))

    def close(self) -> None:
        self._session.close()

    @property
    def answered_at(self) -> datetime:
        """The service's clock with its first answer: UTC without zone. Raises Rejected DATE_MISSING."""
        if self._answered_at is None:
            message = f"{self._where('', '')} answers without a `Date` header that can be read; a proxy must leave it"
            raise Rejected("DATE_MISSING", message)
        return self._answered_at

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, *, shape: type = dict, needs: Sequence[str] = ()
    ) -> Any:
        """The JSON content, all numbers as text. `path`: begins with a slash. `needs`: texts an object must have."""
        return self._ask("GET", path, shape, needs, params=params)

    def post(self, path: str, body: Mapping[str, Any], *, as_form: bool = False, needs: Sequence[str] = ()) -> Any:
        return self._ask("POST", path, dict, needs, **({"data": body} if as_form else {"json": body}))

    def download(self, url: str, target: Path) -> Download:
        """A file from an address that the service gave, which is its own permission: no credentials are sent."""
        where = self._where("GET", "the address of a file")
        if not is_private(url):
            raise Rejected("ADDRESS_REFUSED", f"{where}: it is not https")
        request = requests.Request("GET", url, headers=_headers(), auth=lambda prepared: prepared)

        def save(response: requests.Response, check_time: Callable[[], None]) -> Download:
            with target.open("wb") as file:
                file.writelines(chunks(response, self.limits.file_bytes, check_time, where))
            return Download(target, _charset(response))

        return self._insist(request, where, save, self.limits.file_seconds, needs_credentials=False)

    def _ask(self, method: str, path: str, shape: type, needs: Sequence[str], **given: Any) -> Any:
        where = self._where(method, path)
        request = requests.Request(method, self._root + path, headers=_headers(), auth=self.credentials.sign, **given)

        def read(response: requests.Response, check_time: Callable[[], None]) -> Any:
            body = b"".join(chunks(response, self.limits.page_bytes, check_time, where))
            content = read_json(body, shape, where, needs)
            self._answered_at = self._answered_at or http_date(response.headers.get("Date", ""))
            return content

        return self._insist(request, where, read, self.limits.page_seconds)

    def _insist(
        self,
        request: requests.Request,
        where: str,
        read: Callable[[requests.Response, Callable[[], None]], T],
        seconds: float,
        needs_credentials: bool = True,
    ) -> T:
        """Try until it works, it is certain that it never will, or it has been tried often enough."""
        was_denied = was_doubtful = False
        reason = ""
        for attempt in range(1, self.limits.attempts + 1):
            wait = self.limits.first_wait_seconds * 2 ** (attempt - 1) * self.random()
            try:
                return self._once(request, where, read, seconds)
            except Denied as denied:
                # An address that is its own permission ends after some minutes.
                if not needs_credentials:
                    raise Retryable(
                        f"{where} {denied}: it is good no longer; a new one is asked for next time"
                    ) from None
                if was_denied:
                    message = f"{denied}: its key, secret or rights are not accepted by {self.connection.address}"
                    raise self.connection.misconfigured(message) from None
                was_denied, reason, wait = True, str(denied), 0
                self.credentials.renew()
            except Doubtful as doubtful:
                if was_doubtful:
                    raise self._without_secrets(doubtful.error) from None
                was_doubtful, reason = True, doubtful.error.code
            except Passing as passing:
                reason = passing.reason
                if passing.after is not None:
                    wait = passing.after
            if wait > self.limits.wait_seconds:
                raise Retryable(f"{where} {reason} and asks to wait {wait:.0f} s", timedelta(seconds=wait))
            if attempt < self.limits.attempts:
                log.warning("%s %s; attempt %s follows in %.1f s", where, reason, attempt + 1, wait)
                self._require_time(wait, where)
                self.pause(wait)
        raise Retryable(f"{where} {reason}; tried {self.limits.attempts} times")

    def _once(
        self,
        request: requests.Request,
        where: str,
        read: Callable[[requests.Response, Callable[[], None]], T],
        seconds: float,
    ) -> T:
        self._require_time(0, where)
        ends = self.clock() + seconds

        def check_time() -> None:
            if self.clock() > ends:
                raise Passing(f"was still sending after {seconds:g} s")
            self._require_time(0, where)

        # `from None`: the texts of requests and urllib3 hold the whole URL, and Airflow logs every cause.
        try:
            with closing(self._send(request, where)) as response:
                self.judge(response, where)
                return read(response, check_time)
        except requests.exceptions.SSLError:
            raise self.connection.misconfigured("has no certificate that this machine trusts") from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError):
            raise self.connection.misconfigured("has an address that cannot be asked") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
            place = urlsplit(request.url or "").netloc.rpartition("@")[2]
            raise Passing(f"does not answer at {place}: {type(error).__name__}") from None

    def _send(self, request: requests.Request, where: str) -> requests.Response:
        """Follows redirects that stay with the service: another host would be given our credentials."""
        prepared = self._session.prepare_request(request)
        settings = self._session.merge_environment_settings(prepared.url, {}, True, None, None)
        for _ in range(_MOST_REDIRECTS):
            response = self._session.send(
                prepared,
                timeout=(self.limits.connect_seconds, self.limits.silence_seconds),
                allow_redirects=False,
                **settings,
            )
            if not response.is_redirect:
                return response
            target = urljoin(prepared.url or "", response.headers["Location"])
            response.close()
            if request.method != "GET" or origin(target) != origin(prepared.url or ""):
                host = urlsplit(target).hostname or "nowhere"
                raise self.connection.misconfigured(f"is redirected to {host}, which is not followed: set its host")
            request = requests.Request("GET", target, headers=request.headers, auth=request.auth)
            prepared = self._session.prepare_request(request)
        raise Rejected("REDIRECTED_FOR_EVER", f"{where} was redirected more than {_MOST_REDIRECTS} times")

    def _require_time(self, wait: float, where: str) -> None:
        if self.clock() + wait > self._ends:
            raise Retryable(f"{where}: the pull took more than {self.limits.pull_seconds:g} s")

    def _where(self, method: str, path: str) -> str:
        return " ".join(filter(None, (f"connection {self.connection.conn_id}:", method, path)))

    def _without_secrets(self, error: Rejected) -> Rejected:
        return Rejected(error.code, self.connection.hide(error.message))


def _headers() -> dict[str, str]:
    return {"Accept": "application/json, */*;q=0.1", "User-Agent": _AGENT, "Cache-Control": "no-cache"}


def _charset(response: requests.Response) -> str | None:
    _, _, declared = response.headers.get("Content-Type", "").lower().partition("charset=")
    return declared.split(";")[0].strip(" \"'") or None
