"""Tries a mail server or an address without sending anything through it."""

from __future__ import annotations

import smtplib
import ssl

import requests

from caravan.clients.mail.server import open_server
from caravan.core.connections import Connection
from caravan.core.errors import Retryable

TIMEOUT_SECONDS = 10.0
_KEYS_REFUSED = (401, 403, 407)


def try_smtp(connection: Connection) -> str:
    """Greets the server, turns on TLS and logs in, as a mail would; sends none. Says what was seen."""
    try:
        with open_server(connection) as server:
            server.noop()
    except smtplib.SMTPAuthenticationError as error:
        raise connection.misconfigured(f"the server refused the login: {error.smtp_code}") from None
    except (smtplib.SMTPNotSupportedError, ssl.SSLError) as error:
        raise connection.misconfigured(f"{connection.hide(error)}; see its extras disable_ssl, disable_tls") from None
    except (OSError, smtplib.SMTPException) as error:
        raise Retryable(f"connection {connection.conn_id}: no mail server: {connection.hide(error)}") from None
    return f"greets{' and lets us in' if connection.login else ''}; nothing was sent"


def try_http(connection: Connection) -> str:
    """HEAD, or GET where HEAD is not known. Any answer shows that the address is right, but for refused keys.

    Most webhooks take nothing but POST and answer 400, 404 or 405: said, and no fault.
    """
    token = {"Authorization": f"Bearer {connection.password}"} if connection.password else {}
    url = connection.url()
    try:
        for method in ("HEAD", "GET"):
            status = requests.request(
                method, url, headers=token, timeout=TIMEOUT_SECONDS, allow_redirects=False
            ).status_code
            if status not in (405, 501):
                break
    except requests.exceptions.SSLError as error:
        raise connection.misconfigured(f"TLS fails: {_reason(connection, error)}") from None
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        raise Retryable(f"connection {connection.conn_id} does not answer: {_reason(connection, error)}") from None
    except requests.RequestException as error:
        raise connection.misconfigured(f"is no address that can be asked: {type(error).__name__}") from None
    if status in _KEYS_REFUSED:
        raise connection.misconfigured(f"answers {status}: its password is wrong, or has no right to this")
    if status >= 500:
        raise Retryable(f"connection {connection.conn_id} answers {status}: try again later")
    return f"answers {status}" + ("" if status < 300 else " to a request that sends nothing; the address is reached")


def _reason(connection: Connection, error: Exception) -> str:
    """What kept the connection from being made; the address itself may be the secret."""
    cause = getattr(error.args[0], "reason", None) if error.args else None
    return type(cause or error).__name__
