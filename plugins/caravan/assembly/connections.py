"""Where connections come from: the environment on the command line; orchestration puts Airflow's in for a task."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from caravan.core.connections import Connection, Connections
from caravan.core.errors import Fault, Misconfigured

PREFIX = "AIRFLOW_CONN_"
PAGE = "docs/connections.md"

_TEXTS = ("host", "login", "password", "schema")
_KEYS = frozenset((*_TEXTS, "conn_type", "description", "extra", "port"))


@dataclass(frozen=True)
class EnvironmentConnections:
    """`AIRFLOW_CONN_<ID>`, read as a task of Airflow reads it: JSON if it begins with `{`, else a URI."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def get(self, conn_id: str) -> Connection:
        variable = variable_of(conn_id)
        value = self.environ.get(variable, "").strip()
        if not value:
            raise missing(conn_id)
        return _from_json(conn_id, value, variable) if value.startswith("{") else _from_uri(conn_id, value, variable)

    def ids(self) -> list[str]:
        """The connections that are set, sorted."""
        set_ones = (name for name, value in self.environ.items() if name.startswith(PREFIX) and value.strip())
        return sorted(name.removeprefix(PREFIX).lower() for name in set_ones)


_ENVIRONMENT = EnvironmentConnections()
_current: ContextVar[Connections] = ContextVar("connections", default=_ENVIRONMENT)


def current() -> Connections:
    """The connections in force: Airflow's inside a task, the environment's elsewhere."""
    return _current.get()


@contextmanager
def using(connections: Connections) -> Iterator[None]:
    """Inside, `current()` is `connections`."""
    token = _current.set(connections)
    try:
        yield
    finally:
        _current.reset(token)


def variable_of(conn_id: str) -> str:
    return PREFIX + conn_id.upper()


def missing(conn_id: str) -> Misconfigured:
    """What to raise for a connection that nobody has set up."""
    message = f"there is no connection '{conn_id}': set {variable_of(conn_id)}, or add it in Airflow; see {PAGE}"
    return Misconfigured([Fault(f"connection {conn_id}", message)])


def connection_of(conn_id: str, where: str, given: Mapping[str, Any]) -> Connection:
    """A connection from the fields that Airflow knows; '' is None. Misconfigured names the field, never a value."""
    faults = [
        Fault(where, f"`{name}` is no text; put it in quotes")
        for name in (*_TEXTS, "conn_type")
        if given.get(name) is not None and not isinstance(given[name], str)
    ]
    kind = given.get("conn_type") or ""
    if not kind:
        faults.append(Fault(where, f"has no `conn_type` (in a URI, what stands before ://); see {PAGE}"))
    port: Any = given.get("port") or None
    extra: Any = given.get("extra") or {}
    try:
        port = None if port is None else int(port)
    except (TypeError, ValueError):
        faults.append(Fault(where, "`port` is no whole number"))
    if isinstance(extra, str):
        try:
            extra = json.loads(extra)
        except ValueError:
            extra = None
    if not isinstance(extra, dict):
        faults.append(Fault(where, "`extra` is no JSON object"))
    if faults:
        raise Misconfigured(faults)
    texts = {name: given.get(name) or None for name in _TEXTS}
    return Connection(conn_id, _normal(kind), port=port, extra=extra, **texts)


def _from_json(conn_id: str, value: str, where: str) -> Connection:
    try:
        given = json.loads(value)
    except ValueError as error:
        # The error holds the text, secrets and all: only its position goes on.
        at = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "somewhere"
        raise Misconfigured([Fault(where, f"is no JSON: {at}; see {PAGE}")]) from None
    if unknown := sorted(given.keys() - _KEYS):
        message = f"unknown keys {', '.join(unknown)}; known are {', '.join(sorted(_KEYS))}"
        raise Misconfigured([Fault(where, message)])
    return connection_of(conn_id, where, given)


def _from_uri(conn_id: str, uri: str, where: str) -> Connection:
    """`type://login:password@host:port/schema?key=value`, each part percent-encoded.

    A host may carry its own protocol: `http://https://host`. One query key `__extra__` holds all of extra as JSON.
    """
    kind = uri.partition("://")[0]
    rest = uri.replace(f"{kind}://", "" if uri.count("://") == 2 else "//")
    # Not so for a protocol that is the type's own name (`http://http://host`), which Airflow cannot read either.
    protocol = rest.partition("://")[0] if uri.count("://") == 2 else ""
    try:
        if (
            uri.count("://") > 2
            or set("@:.") & set(protocol)
            or (protocol and "://" not in rest)
            or not kind.replace("-", "_").isidentifier()
        ):
            raise ValueError
        parts = urlsplit(rest)
        port = parts.port
    except ValueError:
        # What is wrong may be a part of the password: nothing of the URI is repeated.
        message = f"is no URI like type://login:password@host:port/schema; percent-encode what is special, see {PAGE}"
        raise Misconfigured([Fault(where, message)]) from None
    host = _host(parts)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    given = {
        "conn_type": kind.lower(),
        "host": f"{parts.scheme}://{host}" if protocol and host else host,
        "port": port,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "schema": unquote(parts.path[1:]),
        "extra": query.get("__extra__", query),
    }
    return connection_of(conn_id, where, given)


def _host(parts: SplitResult) -> str:
    """Lower case, but for a path written into the host (`%2Frun%2Fpg`), whose letters matter."""
    host = unquote(parts.hostname or "")
    if "/" not in host:
        return host
    return unquote(parts.netloc.rpartition("@")[2].partition(":")[0])


def _normal(kind: str) -> str:
    return "postgres" if kind == "postgresql" else kind.replace("-", "_")
