"""A bucket store for tests: moto behind real HTTP on loopback, which misbehaves where a test says so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from threading import Thread
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from caravan.clients.storage.s3 import open_client
from caravan.core.connections import Connection


@dataclass
class Answer:
    """Of the store to one request, before it is sent."""

    method: str
    path: str
    query: str
    range: str
    status: str
    headers: dict[str, str]
    body: bytes

    @property
    def is_listing(self) -> bool:
        return "list-type=2" in self.query


Fault = Callable[[Answer], None]


class ObjectStore:
    """`requests`: method, path and range of each, in order. `faults`: each is shown every answer and may change it.

    `page_size`: objects and folders in one page of a listing.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str]] = []
        self.faults: list[Fault] = []
        self.page_size = 1000
        self._app = DomainDispatcherApplication(create_backend_app)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def begin(self) -> None:
        """As new, but for buckets."""
        self.requests.clear()
        self.faults.clear()
        self.page_size = 1000

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def connection(self, conn_id: str = "s3_default", **extra: Any) -> Connection:
        given = {
            "endpoint_url": self.url,
            "region_name": "us-east-1",
            "config_kwargs": {"s3": {"addressing_style": "path"}},
        }
        return Connection(conn_id, "aws", login="AKIATEST", password="sec/ret+key", extra={**given, **extra})

    @cached_property
    def client(self) -> Any:
        return open_client(self.connection())

    def put(self, bucket: str, key: str, content: bytes, age_seconds: float = 3600) -> None:
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, key, content)
        stored = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys[key]
        stored.last_modified = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=age_seconds)

    def forget(self, bucket: str, key: str) -> None:
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys.pop(key)

    def keys(self, bucket: str) -> list[str]:
        return sorted(s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys.keys())

    def downloads(self) -> list[str]:
        return [path for method, path, _ in self.requests if method == "GET" and path.count("/") > 1]

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen: dict[str, Any] = {}

        def keep(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            seen.update(status=status, headers={name.lower(): value for name, value in headers})

        if "list-type=2" in environ["QUERY_STRING"] and "max-keys" not in environ["QUERY_STRING"]:
            environ["QUERY_STRING"] += f"&max-keys={self.page_size}"
        body = b"".join(self._app(environ, keep))
        asked = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        requested_range = environ.get("HTTP_RANGE", "")
        self.requests.append((*asked, requested_range))
        answer = Answer(*asked, environ["QUERY_STRING"], requested_range, seen["status"], seen["headers"], body)
        for fault in self.faults:
            fault(answer)
        start_response(answer.status, list(answer.headers.items()))
        return [answer.body]
