"""Messages over real SMTP and HTTP, on loopback."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message as Mail
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from caravan.clients.notify import http
from caravan.clients.notify.smtp import SmtpTarget
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured, Rejected, Retryable
from caravan.core.incidents import Told

TOLD = Told("20260302-abc.opened", "opened", "critical", "[caravan] sales: failed", "Größe: 3 %\n")
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
PLAIN = {"disable_ssl": "true", "disable_tls": "true"}


class Postbox:
    """`refuse`: address to the answer it gets; `answer`: what becomes of every mail."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.refuse: dict[str, str] = {}
        self.answer = "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content))
        return self.answer


@pytest.fixture
def postbox() -> Iterator[tuple[Postbox, SmtpTarget]]:
    box = Postbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    connection = Connection("smtp_alerts", "smtp", "127.0.0.1", controller.port, extra=PLAIN)
    yield box, SmtpTarget(connection, "caravan@example.com", ("a@example.com", "b@example.com"), AT)
    controller.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_mail_arrives_with_the_same_message_id_each_time(postbox):
    box, target = postbox
    assert target.send(TOLD) is None
    assert target.send(TOLD) is None
    first, second = box.mails
    assert first["Message-ID"] == second["Message-ID"] == "<20260302-abc.opened@example.com>"
    assert (first["Subject"], first["To"]) == ("[caravan] sales: failed", "a@example.com, b@example.com")
    assert first["Auto-Submitted"] == "auto-generated"
    assert first.get_payload(decode=True).decode() == "Größe: 3 %\r\n"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("451 come back", Retryable),
        ("552 no room for you", Rejected),
        ("421 closing", Retryable),
        ("530 log in", Misconfigured),
        ("554 looks like spam", Rejected),
    ],
)
def test_a_mail_that_the_server_does_not_take(postbox, answer, error):
    box, target = postbox
    box.answer = answer
    with pytest.raises(error, match=answer[:3]):
        target.send(TOLD)


def test_a_mail_of_any_text_is_built(postbox):
    box, target = postbox
    target.send(replace(TOLD, subject="a\r\nBcc: eve@example.com\ud800", text="\ud800"))
    (mail,) = box.mails
    assert (mail["Subject"], mail["Bcc"]) == ("a Bcc: eve@example.com?", None)


@pytest.mark.parametrize(
    ("code", "error"),
    [("550 unknown", Rejected), ("450 later", Retryable), ("554 no relaying", Misconfigured)],
)
def test_a_mail_without_one_recipient_left(postbox, code, error):
    box, target = postbox
    box.refuse = dict.fromkeys(target.to, code)
    with pytest.raises(error, match="refused 2 of 2"):
        target.send(TOLD)


def test_a_mail_that_some_get_is_sent_with_a_remark(postbox):
    box, target = postbox
    box.refuse = {"b@example.com": "550 unknown"}
    remark = target.send(TOLD)
    assert "refused 1 of 2 recipients (550)" in str(remark)
    assert "b@example.com" not in str(remark)
    assert len(box.mails) == 1


def test_a_mail_server_that_is_down_or_wrongly_set_up(postbox):
    box, target = postbox
    plain = target.connection

    def with_(**changes: Any) -> SmtpTarget:
        values = {"host": plain.host, "port": plain.port, "extra": PLAIN} | changes
        return SmtpTarget(Connection("smtp_alerts", "smtp", **values), target.sender, target.to, AT)

    with pytest.raises(Retryable, match="cannot be reached"):
        with_(port=free_port()).send(TOLD)
    with pytest.raises(Misconfigured, match="STARTTLS"):
        with_(extra={"disable_ssl": "true"}).send(TOLD)
    with pytest.raises(Misconfigured, match="TLS"):
        with_(extra={}).send(TOLD)
    with pytest.raises(Misconfigured, match="AUTH") as failed:
        with_(login="me", password="s3cret").send(TOLD)
    assert "s3cret" not in str(failed.value)
    with pytest.raises(Misconfigured, match="UnicodeError"):
        with_(host="mail..example.com").send(TOLD)
    assert box.mails == []


@pytest.mark.parametrize(
    ("stage", "answer", "error"),
    [
        ("banner", "554 no", Misconfigured), ("banner", "421 later", Retryable), ("EHLO", "550 no", Misconfigured),
        ("MAIL", "530 log in", Misconfigured), ("MAIL", "550 you?", Misconfigured), ("MAIL", "451 later", Retryable),
        ("login", "", Misconfigured),
    ],
)  # fmt: skip
def test_a_mail_server_that_does_not_want_us_keeps_the_mails_waiting(stage, answer, error):
    """The server's answers, without a server: what it says before the recipients."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(f"{answer if stage == 'banner' else '220 hello'}\r\n".encode())
            while line := self.rfile.readline():
                verb = line[:4].decode().upper()
                refused = verb == stage or (stage == "EHLO" and verb == "HELO")
                hello = "250-x\r\n250 AUTH LOGIN" if verb == "EHLO" else "250 OK"
                self.wfile.write(f"{answer if refused else hello}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        login = {"login": "me", "password": "pässwört"} if stage == "login" else {}
        connection = Connection("smtp_alerts", "smtp", "127.0.0.1", server.server_address[1], extra=PLAIN, **login)
        with pytest.raises(error) as failed:
            SmtpTarget(connection, "caravan@example.com", ("a@example.com",), AT).send(TOLD)
        server.shutdown()
    assert "pässwört" not in str(failed.value)


class Hook:
    """`answers`: status codes in turn; the last one for ever."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.answers = [200]
        self.date: str | None = None


@pytest.fixture
def hook() -> Iterator[tuple[Hook, Connection]]:
    state = Hook()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            state.asked.append((self.command, dict(self.headers), body))
            self.send_response_only(state.answers.pop(0) if len(state.answers) > 1 else state.answers[0])
            self.send_header("Location", "/elsewhere")
            if state.date is not None:
                self.send_header("Date", state.date)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_HEAD = _answer

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/hook/T0PSECRETT0PSECRET"
    yield state, Connection("http_alerts", "http", url, password="t0ken")
    server.shutdown()
    server.server_close()


def test_a_webhook_gets_text_parts_key_and_token(hook):
    state, connection = hook
    http.WebhookTarget(connection).send(TOLD)
    ((method, headers, body),) = state.asked
    assert (method, headers["Idempotency-Key"]) == ("POST", TOLD.message_id)
    assert headers["Authorization"] == "Bearer t0ken"
    assert body["text"] == "[caravan] sales: failed\n\nGröße: 3 %\n"
    assert (body["id"], body["phase"], body["severity"]) == (TOLD.message_id, "opened", "critical")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, Retryable), (503, Retryable), (429, Retryable), (408, Retryable),
        (401, Misconfigured), (404, Misconfigured), (301, Misconfigured),
        (400, Rejected), (422, Rejected),
    ],
)  # fmt: skip
def test_a_webhook_that_does_not_take_it(hook, status, error):
    state, connection = hook
    state.answers = [status]
    with pytest.raises(error, match=str(status)) as failed:
        http.WebhookTarget(connection).send(TOLD)
    assert "SECRET" not in str(failed.value)
    assert len(state.asked) == 1, "no redirect is followed, nothing is tried again here"


def test_a_webhook_that_is_down_does_not_tell_its_address():
    port = free_port()
    connection = Connection("http_alerts", "http", "127.0.0.1", port, schema="http", extra={"path": "/T0PSECRET"})
    with pytest.raises(Retryable) as failed:
        http.WebhookTarget(connection).send(TOLD)
    assert "SECRET" not in "".join(traceback.format_exception(failed.value))


@pytest.mark.parametrize(("host", "password"), [("https://[abc", "x"), ("http://127.0.0.1:1", "t€ken")])
def test_a_webhook_whose_address_or_token_cannot_be_sent(host, password):
    with pytest.raises(Misconfigured, match="an address or a token"):
        http.WebhookTarget(Connection("http_alerts", "http", host, password=password)).send(TOLD)


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        (Connection("x", "http", "https://h/p"), "https://h/p"),
        (Connection("x", "http", "h"), "https://h"),
        (Connection("x", "http", "h", 8443, extra={"path": "/p"}), "https://h:8443/p"),
        (Connection("x", "http", "h", schema="http"), "http://h"),
        (Connection("x", "http", "http://h/a", 8080, extra={"path": "/p?q=1"}), "http://h:8080/a/p?q=1"),
        (Connection("x", "http", "http://h:81", 81), "http://h:81"),
    ],
)
def test_the_address_of_a_connection(connection, url):
    assert connection.url() == url


def test_a_beat_asks_the_url(hook):
    state, connection = hook
    http.beat(connection)
    assert [method for method, *_ in state.asked] == ["GET"]
    state.answers = [500]
    with pytest.raises(Retryable):
        http.beat(connection)


def test_the_time_outside_is_the_date_header(hook):
    state, connection = hook
    state.date = "Mon, 02 Mar 2026 12:00:00 GMT"
    assert http.outside_time(connection) == datetime(2026, 3, 2, 12)
    state.date = "yesterday"
    with pytest.raises(Misconfigured, match="Date"):
        http.outside_time(connection)
    state.date = None
    with pytest.raises(Misconfigured, match="Date"):
        http.outside_time(connection)


def test_the_clock_of_the_file_system_is_this_machines(tmp_path):
    from caravan.clients.notify.spool import file_time

    assert abs(file_time(tmp_path) - datetime.now(UTC).replace(tzinfo=None)) < timedelta(seconds=5)
    assert list(tmp_path.iterdir()) == []
