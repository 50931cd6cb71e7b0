"""Opening a mail server: Airflow's connection of the type `smtp`, with its extras `disable_ssl`, `disable_tls`."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Mapping

from caravan.core.connections import Connection

TIMEOUT_SECONDS = 10.0


def open_server(connection: Connection, timeout: float = TIMEOUT_SECONDS) -> smtplib.SMTP:
    """Greeted, encrypted and logged in. Raises Misconfigured without a host, and whatever smtplib, ssl and the socket
    raise: what they mean depends on what is sent."""
    host = connection.host or ""
    if not host:
        raise connection.misconfigured("has no host")
    server: smtplib.SMTP
    if has_ssl(connection):
        context = ssl.create_default_context()
        server = smtplib.SMTP_SSL(host, port_of(connection), timeout=timeout, context=context)
    else:
        server = smtplib.SMTP(host, port_of(connection), timeout=timeout)
    try:
        assert server.sock is not None  # it is connected
        # A mail's end goes out apart from the mail: it is not to wait for the mail's receipt, 40 ms for each.
        server.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not has_ssl(connection) and not _is_on(connection.extra, "disable_tls"):
            server.starttls(context=ssl.create_default_context())
        if connection.login:
            server.login(connection.login, connection.password or "")
    except BaseException:
        server.close()
        raise
    return server


def has_ssl(connection: Connection) -> bool:
    return not _is_on(connection.extra, "disable_ssl")


def port_of(connection: Connection) -> int:
    return connection.port or (465 if has_ssl(connection) else 587)


def _is_on(extra: Mapping[str, object], name: str) -> bool:
    return str(extra.get(name, "")).lower() in ("true", "1", "yes")
