"""A message as JSON to a webhook, a beat to a watcher outside, and another machine's clock: all by HTTP.

The connection is Airflow's of the type `http`. Its host may be a whole URL; a password is sent as a bearer token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

from caravan.core.connections import Connection
from caravan.core.errors import Rejected, Retryable
from caravan.core.incidents import Told

TIMEOUT_SECONDS = 10.0
_WRONG_ADDRESS = (401, 403, 404, 405, 407, 410)


@dataclass(frozen=True)
class WebhookTarget:
    connection: Connection

    def send(self, told: Told) -> None:
        """POST `text` (what chat services show) and the parts of the message.

        The header `Idempotency-Key` is the same however often it is sent. Raises Retryable, Misconfigured, Rejected.
        """
        body = {
            "text": f"{told.subject}\n\n{told.text}",
            "id": told.message_id,
            "phase": told.phase,
            "severity": told.severity,
            "subject": told.subject,
        }
        _ask(self.connection, "POST", body, {"Idempotency-Key": told.message_id})


def beat(connection: Connection) -> None:
    """Ask the URL: whoever keeps it misses the next one that does not come."""
    _ask(connection, "GET")


def outside_time(connection: Connection) -> datetime:
    """What the server's `Date` header says: UTC without zone, whole seconds."""
    answer = _ask(connection, "HEAD")
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC).replace(tzinfo=None)
    except ValueError as error:
        raise connection.misconfigured("answers without a `Date` header that can be read") from error


def _ask(
    connection: Connection,
    method: str,
    body: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> requests.Response:
    where = f"the address of connection {connection.conn_id}"  # the address itself may be the secret
    token = {"Authorization": f"Bearer {connection.password}"} if connection.password else {}
    try:
        answer = requests.request(
            method,
            connection.url(),
            json=body,
            headers={**(headers or {}), **token},
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,  # a redirect would carry the message where nobody sent it
        )
    # `from None`: the texts of requests hold the whole URL, and Airflow logs every cause.
    except requests.exceptions.SSLError:
        raise connection.misconfigured("has no certificate that this machine trusts") from None
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        raise Retryable(f"{where} does not answer: {type(error).__name__}") from None
    except (requests.RequestException, ValueError) as error:
        message = f"has an address or a token that cannot be sent: {type(error).__name__}"
        raise connection.misconfigured(message) from None
    status = answer.status_code
    if status < 300:
        return answer
    if status in (408, 425, 429) or status >= 500:
        raise Retryable(f"{where} answered {status}")
    if status < 400 or status in _WRONG_ADDRESS:
        raise connection.misconfigured(f"answered {status}: address or token are wrong")
    raise Rejected("WEBHOOK_REFUSED", f"{where} answered {status}")
