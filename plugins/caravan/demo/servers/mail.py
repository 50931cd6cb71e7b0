"""Where the demo's mails arrive: a mail server, and a service of the shape of Amazon SES v2. Nothing leaves either."""

from __future__ import annotations

import email
import email.policy
import json
import logging
import socket
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from fastapi import FastAPI, Request, Response

from caravan.core.connections import Connection
from caravan.demo.servers.faults import Faults

KEY_ID, SECRET = "AKIADEMO", "demo-secret-access-key"


@dataclass(frozen=True)
class Mail:
    """`to`: of the envelope."""

    to: str
    content: EmailMessage


@dataclass
class Letterbox:
    """`mails`: in the order in which they came. `lose`: so many answers are lost, after the mail was taken."""

    mails: list[Mail] = field(default_factory=list)
    lose: int = 0
    faults: Faults = field(default_factory=Faults)

    def take(self, recipients: list[str], raw: bytes) -> str:
        content = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(content, EmailMessage)
        self.mails += [Mail(to, content) for to in recipients]
        return f"demo-{len(self.mails)}"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """aiosmtpd's hook."""
        number = self.take(envelope.rcpt_tos, envelope.content)
        if self.lose:
            self.lose -= 1
            server.transport.abort()
        return f"250 OK queued as {number}"


@contextmanager
def serve_mail(letterbox: Letterbox, conn_id: str) -> Iterator[Connection]:
    """On a free port. The connection to use: without TLS, which a machine needs no more than itself."""
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # of answers that are lost on purpose
    controller = Controller(letterbox, hostname="127.0.0.1", port=_free_port())
    controller.start()
    try:
        plain = {"disable_ssl": "true", "disable_tls": "true"}
        yield Connection(conn_id, "smtp", host="127.0.0.1", port=controller.port, extra=plain)
    finally:
        controller.stop()


def ses_account(url: str, conn_id: str) -> Connection:
    extra = {"endpoint_url": url, "region_name": "us-east-1"}
    return Connection(conn_id, "aws", login=KEY_ID, password=SECRET, extra=extra)


def ses_application(letterbox: Letterbox) -> FastAPI:
    """Takes whole mails only (`Content.Raw`)."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/v2/email/outbound-emails")
    async def send(request: Request) -> Response:
        letterbox.faults.requests.append(f"{request.method} {request.url.path}")
        fault = letterbox.faults.take()
        if f"Credential={KEY_ID}/" not in request.headers.get("Authorization", ""):
            fault = "denied"
        if not letterbox.faults.works(fault):
            return letterbox.faults.answer(fault, b"")
        asked = json.loads(await request.body())
        number = letterbox.take(asked["Destination"]["ToAddresses"], b64decode(asked["Content"]["Raw"]["Data"]))
        return letterbox.faults.answer(fault, json.dumps({"MessageId": number}).encode())

    return app


def _free_port() -> int:
    """aiosmtpd asks for one by its number."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
