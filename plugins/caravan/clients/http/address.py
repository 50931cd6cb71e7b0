"""Where requests may go: credentials travel encrypted, and to the host they were given for."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from caravan.core.connections import Connection


def root_url(connection: Connection) -> str:
    """The service's address without a slash at its end. Raises Misconfigured for http beyond this machine."""
    url = connection.url().split("?")[0].rstrip("/")
    if not is_private(url):
        raise connection.misconfigured("sends its secrets in the clear: give a host that begins with https://")
    return url


def is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent there."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))


def origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
