"""Releases over real SMTP on loopback: what is accepted, refused, and what nobody can know."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from mail_case import NOON, RECIPIENT, content, mailing, message
from mail_server import CLOSE, MailServer
from test_connection_trials import PASSWORD, authenticate
from test_notify import PLAIN, free_port

from caravan.clients.mail.server import open_server
from caravan.clients.mail.smtp import SmtpOutlet
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured, Retryable
from caravan.core.outbox import Accepted, Refused, Unknown

SOON, LATER = timedelta(minutes=15), timedelta(hours=1)
PAYLOAD = mailing().render(content())


@pytest.fixture
def server() -> Iterator[MailServer]:
    made = MailServer()
    yield made
    made.close()


def outlet_for(port: int, **changes: Any) -> SmtpOutlet:
    given = {"mailing": mailing(), "answer_seconds": 5.0, **changes}
    login = given.pop("login", {})
    extra = given.pop("extra", PLAIN)
    return SmtpOutlet("mail_de", Connection("smtp_news", "smtp", "127.0.0.1", port, extra=extra, **login), **given)


@pytest.fixture
def outlet(server: MailServer) -> Iterator[SmtpOutlet]:
    with outlet_for(server.port) as made:
        yield made


class Inbox:
    def __init__(self) -> None:
        self.envelopes: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.envelopes.append(envelope)
        return "250 2.0.0 Ok: queued as ABC123"


@pytest.fixture(params=[True, False], ids=["utf8", "ascii"])
def inbox(request: pytest.FixtureRequest) -> Iterator[tuple[Inbox, int]]:
    box = Inbox()
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=authenticate,
        auth_require_tls=False,
        auth_required=True,
        enable_SMTPUTF8=request.param,
    )
    controller.start()
    yield box, controller.port
    controller.stop()


def test_mails_arrive_as_they_were_made(inbox):
    box, port = inbox
    is_utf8 = box is not None and inbox_takes_utf8(port)
    with outlet_for(port, login={"login": "me", "password": PASSWORD}) as outlet:
        assert outlet.check(PAYLOAD) == []
        assert outlet.hand_over(message(), PAYLOAD) == Accepted("ABC123")
        foreign = outlet.hand_over(message("josé@example.com"), PAYLOAD)
        assert outlet.hand_over(message("last@example.com"), PAYLOAD) == Accepted("ABC123")
        assert outlet.find(message(), PAYLOAD) is None
    first, *others = box.envelopes
    assert (first.mail_from, first.rcpt_tos) == ("news@shop.example", ["zoe@example.com"])
    mail = message_from_bytes(first.content, policy=default)
    assert mail["Subject"] == "Frühling für Zoë"
    assert mail["Caravan-Message-Id"] == message().message_id
    assert "Hallo Zoë,<br>" in mail.get_body(("html",)).get_content()
    if is_utf8:
        assert foreign == Accepted("ABC123")
        assert [envelope.rcpt_tos for envelope in others] == [["josé@example.com"], ["last@example.com"]]
    else:
        assert foreign == Refused("ADDRESS: the mail server takes no address of other than ASCII characters")
        assert [envelope.rcpt_tos for envelope in others] == [["last@example.com"]]


def test_the_end_of_a_mail_does_not_wait_for_the_receipt_of_what_went_before(inbox):
    connection = Connection("smtp_news", "smtp", "127.0.0.1", port=inbox[1], extra=PLAIN)
    with open_server(connection) as opened:
        assert opened.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def inbox_takes_utf8(port: int) -> bool:
    import smtplib

    with smtplib.SMTP("127.0.0.1", port) as server:
        server.ehlo()
        return server.has_extn("smtputf8")


def test_a_login_that_is_refused_stops_the_task_and_keeps_the_mails(inbox):
    box, port = inbox
    outlet = outlet_for(port, login={"login": "me", "password": "wr0ng-pass"})
    with pytest.raises(Misconfigured, match="refused the login: 535") as failed:
        outlet.open()
    assert "wr0ng-pass" not in str(failed.value)
    assert outlet.hand_over(message(), PAYLOAD) == Refused("refused the login: 535", after=LATER)
    assert box.envelopes == []


def test_one_connection_brings_many_mails(server, outlet):
    for name in ("a", "b", "c"):
        assert outlet.hand_over(message(f"{name}@example.com"), PAYLOAD) == Accepted("4F2B9C01")
    assert (server.connections, len(server.mails)) == (1, 3)
    assert server.recipients == ["<a@example.com>", "<b@example.com>", "<c@example.com>"]
    outlet.close()
    assert server.verbs[-1] == "QUIT"


@pytest.mark.parametrize(
    ("verb", "answer", "outcome"),
    [
        ("banner", "554 no", Refused("mail server 127.0.0.1:{port} (smtp_news) greeted with 554", SOON)),
        ("banner", "421 later", Refused("mail server 127.0.0.1:{port} (smtp_news) greeted with 421", SOON)),
        ("MAIL", "451 4.3.0 later", Refused("the server answered 451 4.3.0 to MAIL", SOON)),
        ("MAIL", "550 5.1.8 you?", Refused("the server answered 550 5.1.8 to MAIL")),
        ("MAIL", "530 5.7.0 log in", Refused("the server answered 530 5.7.0 to MAIL", LATER)),
        ("RCPT", "450 4.7.1 greylisted", Refused("the server answered 450 4.7.1 to RCPT", SOON)),
        ("RCPT", "550 5.1.1 <zoe@example.com> unknown", Refused("the server answered 550 5.1.1 to RCPT", is_gone=True)),
        ("RCPT", "550 5.1.8 you?", Refused("the server answered 550 5.1.8 to RCPT")),
        ("RCPT", "550 no", Refused("the server answered 550 to RCPT")),
        ("DATA", "451 later", Refused("the server answered 451 to DATA", SOON)),
        ("DATA", "554 no", Refused("the server answered 554 to DATA")),
        ("DATA", "250 what?", Refused("the server answered 250 to DATA", SOON)),
        ("RCPT", "nonsense", Refused("the server answered -1 to RCPT", SOON)),
        ("mail", "451 4.7.0 later", Refused("the server answered 451 4.7.0 to the mail", SOON)),
        ("mail", "552 5.3.4 too big", Refused("the server answered 552 5.3.4 to the mail")),
        ("mail", "421 4.3.2 closing", Refused("the server answered 421 4.3.2 to the mail", SOON)),
        ("mail", "354 go on", Unknown("the server got the mail and answered nothing that SMTP knows (354)")),
        ("mail", "nonsense", Unknown("the server got the mail and answered nothing that SMTP knows (-1)")),
        ("mail", CLOSE, Unknown("the server got the mail and did not answer: SMTPServerDisconnected")),
        ("mail", "250 OK id=1abc-0002-XY", Accepted("1abc-0002-XY")),
        ("mail", "250 Ok 0107018e5c3f-8a7b-4b1e", Accepted("0107018e5c3f-8a7b-4b1e")),
        ("mail", "250 2.0.0 32H1 Message accepted for delivery", Accepted("32H1")),
        ("mail", "250 thanks", Accepted(None)),
    ],
)
def test_each_answer_of_the_server_and_then_the_next_mail(server, outlet, verb, answer, outcome):
    server.says[verb] = [answer]
    if isinstance(outcome, Refused):
        outcome = replace(outcome, reason=outcome.reason.format(port=server.port))
    assert outlet.hand_over(message(), PAYLOAD) == outcome
    assert outlet.hand_over(message("next@example.com"), PAYLOAD) == Accepted("4F2B9C01")
    assert b"To: next@example.com" in server.mails[-1]
    assert len(server.mails) == (2 if verb == "mail" else 1)


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("answer", ["421 4.4.2 idle for too long", CLOSE])
def test_a_kept_connection_that_the_server_has_closed_is_opened_again_for_the_same_mail(server, outlet, verb, answer):
    assert outlet.hand_over(message("a@example.com"), PAYLOAD) == Accepted("4F2B9C01")
    server.says[verb] = [answer]
    assert outlet.hand_over(message("b@example.com"), PAYLOAD) == Accepted("4F2B9C01")
    assert (server.connections, len(server.mails)) == (2, 2), "nothing lost, nothing doubled"
    assert [mail.count(b"To: b@example.com") for mail in server.mails] == [0, 1]
    server.says[verb] = [answer, answer]
    gone = Refused("the server closed the connection before it got the mail", SOON)
    assert outlet.hand_over(message("c@example.com"), PAYLOAD) == gone
    assert len(server.mails) == 2


def test_a_connection_that_breaks_while_the_mail_is_brought_has_brought_none(server, outlet):
    large = {**PAYLOAD, "text": "more than a socket buffers\n" * 200_000}
    server.says["line"] = [CLOSE]
    assert outlet.hand_over(message(), large) == Refused("the connection broke before the mail was whole", SOON)
    assert server.mails == []


def test_a_server_that_is_too_slow_to_answer_may_have_the_mail(server):
    server.slow_seconds = 6
    with outlet_for(server.port, answer_seconds=1.5) as outlet:
        started = time.monotonic()
        assert isinstance(outlet.hand_over(message(), PAYLOAD), Unknown)
        assert time.monotonic() - started < 5
        server.slow_seconds = 0
        assert outlet.hand_over(message("next@example.com"), PAYLOAD) == Accepted("4F2B9C01"), "of its own answer"
    assert len(server.mails) == 2


def test_a_server_that_is_down_or_speaks_no_tls():
    port = free_port()
    with pytest.raises(Retryable, match="cannot be reached"):
        outlet_for(port).open()
    refused = outlet_for(port).hand_over(message(), PAYLOAD)
    assert isinstance(refused, Refused)
    assert refused.after == SOON


@pytest.mark.parametrize(
    ("extra", "login", "reason"),
    [
        ({"disable_ssl": "true"}, {}, "STARTTLS"),
        ({}, {}, "speaks no such TLS"),
        (PLAIN, {"login": "me", "password": "s3cret"}, "AUTH"),
    ],
)
def test_a_server_that_is_wrongly_set_up_keeps_the_mails_for_later(server, extra, login, reason):
    outlet = outlet_for(server.port, extra=extra, login=login)
    refused = outlet.hand_over(message(), PAYLOAD)
    assert isinstance(refused, Refused)
    assert reason in refused.reason
    assert "s3cret" not in refused.reason
    assert refused.after == LATER
    with pytest.raises(Misconfigured, match=reason):
        outlet.open()


def test_a_line_that_is_a_point_ends_no_mail(server, outlet):
    payload = mailing().render(content(text=".\n..\n.rest"))
    assert isinstance(outlet.hand_over(message(), payload), Accepted)
    assert isinstance(outlet.hand_over(message("b@example.com"), payload), Accepted)
    assert b"\r\n.rest\r\n" in server.mails[0]
    text = message_from_bytes(server.mails[0], policy=default).get_body(("plain",)).get_content()
    assert "\n.\n..\n.rest\n" in text.replace("\r\n", "\n")


def test_no_server_is_asked_before_the_embargo_ends_or_for_what_must_not_leave(server, outlet):
    assert outlet.hand_over(message(embargo_until=NOON + timedelta(seconds=1)), PAYLOAD) == Refused(
        "EMBARGO: it may not leave yet", timedelta(seconds=1)
    )
    assert isinstance(outlet.hand_over(message(action="withdraw"), PAYLOAD), Refused)
    assert isinstance(outlet.hand_over(message("nobody"), PAYLOAD), Refused)
    assert isinstance(outlet.hand_over(message(variables={}), PAYLOAD), Refused)
    assert server.connections == 0


def test_whatever_stops_a_mail_halfway_the_next_one_does_not_read_its_answer(server, outlet, monkeypatch):
    assert outlet.hand_over(message("a@example.com"), PAYLOAD) == Accepted("4F2B9C01")

    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("smtplib.SMTP.docmd", interrupt)  # MAIL and RCPT are answered
        with pytest.raises(KeyboardInterrupt):
            outlet.hand_over(message("b@example.com"), PAYLOAD)
    server.says["MAIL"] = ["550 not you"]
    assert outlet.hand_over(message("c@example.com"), PAYLOAD) == Refused("the server answered 550 to MAIL")
    assert server.connections == 2


def test_each_recipient_gets_a_mail_of_their_own(server, outlet):
    for name in ("Ann", "Bob"):
        outlet.hand_over(message(f"{name.lower()}@example.com", {"first_name": name}), PAYLOAD)
    first, second = (message_from_bytes(mail, policy=default) for mail in server.mails)
    assert (first["Subject"], second["Subject"]) == ("Frühling für Ann", "Frühling für Bob")
    assert "Bob" not in first.as_string()
    assert RECIPIENT["first_name"] not in first.as_string()
    assert first["List-Unsubscribe"] != second["List-Unsubscribe"]
