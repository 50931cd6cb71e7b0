"""Accounts and servers outside: what a client is told about one, and how it is asked for."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit, urlunsplit

from caravan.core.errors import Fault, Misconfigured

_SECRET_WORDS = (
    "access_key",
    "api_key",
    "apikey",
    "auth_header",
    "authorization",
    "bearer",
    "connection_string",
    "credential",
    "dsn",
    "keyfile_dict",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxies",
    "proxy",
    "secret",
    "service_account",
    "service_key",
    "token",
    "webhook_url",
)
"""In the name of an extra: its value is a secret. Airflow's own list, and credentials."""
_SHORTEST = 4
"""A shorter extra, or value in a query, is no secret: to hide each `1` would spoil every message."""
_SWITCHES = ("true", "false", "yes", "no", "on", "off")
"""Extras that say whether, e.g. `use_proxy`: no secrets either."""
_LOGIN = re.compile(r"^((?:[\w+.-]+://)?)[^/@:?#]*:[^/@]+@")
"""At the begin of a host; the password may hold `?` and `#`, which end a host else."""
_LONGEST_PATH_WORD = 15
"""A longer part of a host's or schema's path is a secret: many webhooks carry theirs there."""


@dataclass(frozen=True)
class Connection:
    """One account. The fields are Airflow's; `extra` holds what its JSON holds. Never shows what is secret."""

    conn_id: str
    kind: str
    """Airflow's `conn_type`, e.g. `smtp`, `http`, `aws`."""
    host: str | None = field(default=None, repr=False)
    port: int | None = None
    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    schema: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    denied: ClassVar[str] = "its password or rights are not accepted"
    moved: ClassVar[str] = "set its host"
    """What is said of one that does not let us in, and of one that sends elsewhere."""

    def misconfigured(self, message: str) -> Misconfigured:
        """What to raise for a fault of this connection; `message` must show no secret."""
        return Misconfigured([Fault(f"connection {self.conn_id}", message)])

    def url(self) -> str:
        """`https` unless the host or `schema` says otherwise; a host that is a URL takes port and path as well.

        It may hold secrets. Raises Misconfigured without a host.
        """
        if not self.host:
            raise self.misconfigured("has no host")
        parts = urlsplit(self.host if "://" in self.host else f"{self.schema or 'https'}://{self.host}")
        has_port = self.port is None or f":{self.port}" in parts.netloc
        netloc = parts.netloc if has_port else f"{parts.netloc}:{self.port}"
        return urlunsplit(parts._replace(netloc=netloc, path=parts.path + self.extra.get("path", "")))

    @property
    def secrets(self) -> frozenset[str]:
        """What must not be shown, also as URLs write it."""
        host = self.host or ""
        found = {self.password or "", *_secret_values(self.extra), *re.findall(r"(?:^|//)[^/@:]*:([^/@]+)@", host)}
        for place in (_LOGIN.sub(r"\1", host), self.schema or "", str(self.extra.get("path", ""))):
            path, *query = re.split("[?#&;]", place)
            # With a point it is the name of a host, however long.
            found |= {word for word in path.split("/") if len(word) > _LONGEST_PATH_WORD and "." not in word}
            values = [part.partition("=")[2] or part for part in query]
            found |= {form for value in values if len(value) >= _SHORTEST for form in (value, unquote_plus(value))}
        return frozenset(
            form for secret in found - {""} for form in (secret, quote(secret, safe=""), quote_plus(secret))
        )

    @property
    def address(self) -> str:
        """Where it leads, fit to be shown: the host without login, path and query, the port."""
        scheme, separator, rest = re.split("[?#]", _LOGIN.sub(r"\1", self.host or ""))[0].rpartition("://")
        name = rest.partition("/")[0].rpartition("@")[2]
        return f"{scheme}{separator}{name}" + (f":{self.port}" if self.port else "")

    def hide(self, text: object) -> str:
        """The text, e.g. of a library's error, with `***` for every secret of this connection."""
        shown = str(text)
        for secret in sorted(self.secrets, key=len, reverse=True):
            shown = shown.replace(secret, "***")
        return shown


@dataclass(frozen=True)
class OpenAddress(Connection):
    """One that takes from everybody: it is no connection of Airflow's but in a file of ours. `place`: file and key."""

    place: str = field(default="", kw_only=True)

    denied: ClassVar[str] = "that asks for an account, and takes not from everybody: is it the right address?"
    moved: ClassVar[str] = "write the address where it is now"

    def misconfigured(self, message: str) -> Misconfigured:
        return Misconfigured([Fault(self.place, message)])


class Connections(Protocol):
    """Airflow's (UI, environment, secrets backend) in a task, the environment's on the command line."""

    def get(self, conn_id: str) -> Connection:
        """Raises Misconfigured when there is none of that name, or it cannot be read."""
        ...


def _secret_values(extra: object, is_secret: bool = False) -> Iterator[str]:
    if isinstance(extra, Mapping):
        for name, value in extra.items():
            key = str(name).lower().replace("-", "_")
            yield from _secret_values(value, is_secret or any(word in key for word in _SECRET_WORDS))
    elif isinstance(extra, list | tuple):
        for value in extra:
            yield from _secret_values(value, is_secret)
    elif isinstance(extra, str):
        if is_secret and len(extra) >= _SHORTEST and extra.lower() not in _SWITCHES:
            yield extra
        if extra.lstrip().startswith("{"):  # some extras hold JSON as text
            try:
                yield from _secret_values(json.loads(extra), is_secret)
            except ValueError:
                return
    elif is_secret and isinstance(extra, int | float) and not isinstance(extra, bool) and len(str(extra)) >= _SHORTEST:
        yield str(extra)


def is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent there."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
