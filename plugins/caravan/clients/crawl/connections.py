"""Connections of a crawl, for requests: to checked addresses, for a limited time, asking for just what was published.

The Host header, the name in TLS and the name on the certificate stay the host's; only where the socket leads is ours.
Proxies are not used: one would look the name up a second time.
"""

from __future__ import annotations

import logging
import math
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from caravan.clients.crawl.addresses import Addresses
from caravan.clients.crawl.heads import PlainResponse
from caravan.core.urls import origin_of

_HOSTS_AT_ONCE = 8
"""Of one thread: links to other sites lead to thousands, each with a socket that stays open."""


@dataclass
class Route:
    """One thread's way. Set before each request: `target`, the path and query as published, and `ends`, the moment of
    `time.monotonic()` at which whatever is under way is given up."""

    addresses: Addresses
    connect_seconds: float
    certificates: dict[str, datetime]
    """Host to the end of its certificate, UTC without zone; of all threads."""
    target: str = "/"
    ends: float = math.inf

    def seconds_left(self) -> float:
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for one answer is over")
        return left


class _Ending:
    """A socket whose every wait is a part of one time. A timeout of each wait alone lets a server drip for ever, in
    headers as well, where no reader of ours can look at the clock."""

    route: Route | None = None

    def recv_into(self, *args: Any) -> int:
        if self.route:
            self.settimeout(self.route.seconds_left())  # type: ignore[attr-defined]
        return super().recv_into(*args)  # type: ignore[misc, no-any-return]


class _Socket(_Ending, socket.socket):
    pass


class _TlsSocket(_Ending, ssl.SSLSocket):
    pass


class _Pinned:
    """What both kinds of connection do differently from urllib3's."""

    def __init__(self, *args: Any, route: Route, **kwargs: Any) -> None:
        self.route = route
        super().__init__(*args, **kwargs)

    def _new_conn(self) -> socket.socket:
        """A socket to the first of the host's checked addresses that takes it."""
        connection: HTTPConnection = self  # type: ignore[assignment]
        last: OSError | None = None
        seconds = min(self.route.connect_seconds, self.route.seconds_left())
        for address in self.route.addresses.of(connection._dns_host, seconds):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            made = _Socket(family, socket.SOCK_STREAM)
            try:
                made.settimeout(min(self.route.connect_seconds, self.route.seconds_left()))
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                made.connect((address, connection.port))
                self.route.addresses.prefer(connection._dns_host, address)
                return made
            except OSError as error:
                made.close()
                last = error
        if isinstance(last, TimeoutError):
            raise ConnectTimeoutError(connection, str(last)) from last
        raise NewConnectionError(connection, str(last)) from last

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        made = self.sock  # type: ignore[attr-defined]
        if isinstance(made, ssl.SSLSocket):
            ends = (made.getpeercert() or {}).get("notAfter")
            if isinstance(ends, str):
                at = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC).replace(tzinfo=None)
                self.route.certificates[_host_with_port(self)] = at
        made.route = self.route

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        # Not `url`: on the way both libraries rewrite percent codes, which some servers tell apart.
        super().request(method, self.route.target, *args, **kwargs)  # type: ignore[misc]


def _host_with_port(connection: Any) -> str:
    """As in `Scope.hosts`."""
    name = f"[{connection.host}]" if ":" in connection.host else connection.host
    return name if connection.port == connection.default_port else f"{name}:{connection.port}"


class _HttpConnection(_Pinned, HTTPConnection):
    response_class = PlainResponse


class _HttpsConnection(_Pinned, HTTPSConnection):
    response_class = PlainResponse


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class PinnedAdapter(HTTPAdapter):
    """For one thread; without a Session of requests, whose cookies and redirects a crawl must not have: what a page
    shows would depend on which were asked for before it. `context`: of `tls_context`, shared by all: to read the
    authorities takes some 20 ms."""

    def __init__(self, route: Route, context: ssl.SSLContext) -> None:
        super().__init__()
        self._route = route
        self._context = context
        self._pools: dict[str, HTTPConnectionPool] = {}
        logging.getLogger("urllib3.connection").addFilter(_tells_no_headers)

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> HTTPConnectionPool:
        """The host's pool of one connection; the one that was used last is the last to go."""
        origin = origin_of(str(request.url))
        pool = self._pools.pop(origin, None) or self._new_pool(origin)
        self._pools[origin] = pool
        while len(self._pools) > _HOSTS_AT_ONCE:
            self._pools.pop(next(iter(self._pools))).close()
        return pool

    def _new_pool(self, origin: str) -> HTTPConnectionPool:
        parts = urlsplit(origin)
        if parts.scheme == "https":
            return _HttpsPool(parts.hostname or "", parts.port, maxsize=1, ssl_context=self._context, route=self._route)
        return _HttpPool(parts.hostname or "", parts.port, maxsize=1, route=self._route)

    def request_url(self, *args: Any) -> str:
        """Nothing yet: the connection takes the route's target."""
        return "/"

    def cert_verify(self, *args: Any) -> None:
        """The context has the authorities already."""

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Only what a crawl looks at: to gather cookies takes longer than to read a small page."""
        response = requests.Response()
        response.status_code, response.url, response.request, response.raw = resp.status, str(req.url), req, resp
        response.headers = resp.headers
        return response

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()


def tls_context(authorities: str | None) -> ssl.SSLContext:
    """`authorities`: a file of certificates; None for those that requests brings along."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_verify_locations(authorities or DEFAULT_CA_BUNDLE_PATH)
    context.check_hostname = True
    context.sslsocket_class = _TlsSocket
    return context


def _tells_no_headers(record: logging.LogRecord) -> bool:
    """urllib3 writes down headers that it cannot read, with all that follows them: cookies too."""
    return not str(record.msg).startswith("Failed to parse headers")
