"""Where requests may go: credentials travel encrypted, and to the host they were given for."""

from __future__ import annotations

from urllib.parse import urlsplit

from caravan.core.connections import Connection, is_private


def root_url(connection: Connection) -> str:
    """The service's address without a slash at its end. Raises Misconfigured for http beyond this machine."""
    url = connection.url().split("?")[0].rstrip("/")
    if not is_private(url):
        raise connection.misconfigured("sends its secrets in the clear: give a host that begins with https://")
    return url


def origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
