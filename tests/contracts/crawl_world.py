"""A web site on loopback that keeps a log of what it was asked, and crawls of it."""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb

from caravan.clients.crawl.addresses import Addresses
from caravan.clients.crawl.extract import Extractor
from caravan.clients.crawl.fetching import RequestsFetcher
from caravan.clients.crawl.intake import Read
from caravan.clients.crawl.pace import Pace
from caravan.clients.crawl.parts import open_views
from caravan.clients.crawl.runs import Means, Plan, Record, crawl
from caravan.clients.crawl.tables import TABLES
from caravan.core.crawl import Limits, Scope

FAST = Limits(requests_per_second=1000)
IMPATIENT = replace(FAST, attempts=1)
"""Nobody waits for a second attempt at what fails."""
TIMING = {"requested_at", "ttfb_ms", "total_ms", "wait_ms", "final_rate"}
"""Columns that differ from one crawl to the next."""
HTML = "text/html; charset=utf-8"


@dataclass
class Reply:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Callable[[str], Reply | None]
"""Path with query to what is answered; None for 404."""


def page(title: str, links: list[str], more: str = "") -> Reply:
    """HTML with an ETag."""
    anchors = "\n".join(f'<a href="{link}">to {link}</a>' for link in links)
    body = (
        f'<!doctype html><html lang="en"><head><title>{title}</title>{more}</head>'
        f"<body><h1>{title}</h1><p>Words of the page {title}, enough of them to make some text.</p>{anchors}</body>"
        "</html>"
    ).encode()
    return Reply(body, headers={"Content-Type": HTML, "ETag": f'"{hashlib.sha256(body).hexdigest()[:16]}"'})


def text(body: str | bytes, status: int = 200, kind: str = "text/plain") -> Reply:
    return Reply(body.encode() if isinstance(body, str) else body, status, {"Content-Type": kind})


def to(target: str, status: int = 301) -> Reply:
    return Reply(b"", status, {"Location": target})


def sitemap(urls: list[str], packed: bool = False) -> Reply:
    rows = "".join(f"<url><loc>{url}</loc></url>" for url in urls)
    body = f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{rows}</urlset>'.encode()
    return Reply(gzip.compress(body) if packed else body, headers={"Content-Type": "application/xml"})


@dataclass
class Site:
    """`log`: method, path, status and bytes of the body of each answer. `delay`: seconds before each.

    `headers_of_unchanged`: whether a 304 has all headers that the page has, as nginx sends them."""

    route: Route
    delay: float = 0.0
    log: list[tuple[str, str, int, int]] = field(default_factory=list)
    port: int = 0
    headers_of_unchanged: bool = False
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def paths(self, method: str | None = None) -> list[str]:
        """What was asked, without what a crawl asks beside pages."""
        beside = ("/robots.txt", "/sitemap.xml", "/missing-")
        return sorted(
            path for how, path, _, _ in self.log if not path.startswith(beside) and (method is None or how == method)
        )

    def die(self) -> None:
        """Closes the port; connections that are open break."""
        assert self._server is not None
        server, self._server = self._server, None
        server.shutdown()
        server.server_close()

    @contextmanager
    def serve(self) -> Iterator[Site]:
        server = _Server(("127.0.0.1", self.port), _handler(self))
        self._server, self.port = server, server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            if self._server is not None:
                self.die()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A crawler that was killed goes without a word."""


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            if site._server is None:
                self.close_connection = True
                return
            if site.delay:
                time.sleep(site.delay)
            reply = site.route(self.path) or text("not here", 404)
            tag = reply.headers.get("ETag")
            if tag and self.headers.get("If-None-Match") == tag:
                reply = Reply(b"", 304, reply.headers if site.headers_of_unchanged else {"ETag": tag})
            body = b"" if self.command == "HEAD" else reply.body
            site.log.append((self.command, self.path, reply.status, len(body)))
            self.send_response_only(reply.status)  # without Date, which would differ
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 304:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    return Handler


def reader(scope: Scope, limits: Limits) -> Read:
    """What crawls read pages with."""
    extractor = Extractor(scope, limits)
    return lambda address, answer: extractor.extract(answer, address.kind, address.depth)


def scope_of(*sites: Site, **more: Any) -> Scope:
    return Scope(frozenset(site.host for site in sites), private_addresses=True, **more)


def run(folder: Path, plan: Plan, **more: Any) -> Record:
    """A crawl into `folder`, with locks beside it. `more`: of Means, and `fresh`."""
    fresh = more.pop("fresh", False)
    pace = Pace(plan.limits)
    fetcher = RequestsFetcher(plan.limits, Addresses(plan.scope.private_addresses), pace)
    means = {
        "extractor_version": "1",
        "agent": "Caravan",
        "locks": folder.parent / "locks",
        "read": reader(plan.scope, plan.limits),
        "certificates": fetcher.certificates,
        **more,
    }
    return crawl(plan, folder, Means(fetcher, pace, **means), fresh)


def ask(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        open_views(connection, folder)
        return connection.execute(sql).fetchall()


def tables(folder: Path, *without: str) -> dict[str, list[str]]:
    """All rows of all tables, in an order of their own, without what differs by time and without these columns."""
    found = {}
    for name, schema in TABLES.items():
        columns = ", ".join(column for column in schema.names if column not in {*TIMING, *without})
        found[name] = sorted(map(repr, ask(folder, f"SELECT {columns} FROM {name}")))
    return found


def asked_for(folder: Path) -> list[str]:
    """Path of each address that was asked for, once for each attempt: what the site's log should say."""
    rows = ask(folder, "SELECT url, attempt_count FROM page WHERE attempt_count > 0")
    return sorted(url[url.index("/", 8) :] for url, count in rows for _ in range(count))
