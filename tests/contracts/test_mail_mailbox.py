"""Bounces out of a real IMAP server on loopback, and the page to unsubscribe over real HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
import requests
from imap_tools import AND, MailBoxUnencrypted
from mail_case import FOLDER, KEYS, content, mailing, message
from test_notify import free_port

from caravan.clients.mail import mailbox
from caravan.clients.mail.bounces import Reports
from caravan.clients.mail.events import Feedback, Unreadable
from caravan.clients.mail.message import Mail
from caravan.clients.mail.tokens import Links, Subscription
from caravan.clients.mail.unsubscribe import application, serve
from caravan.clients.mail.words import read_words
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured, Retryable

MAILS = Path(__file__).resolve().parents[1] / "fixtures" / "mail"
LOGIN = ("bounces", "pass+word/1")
NOW = datetime(2026, 3, 3)
REPORTS = Reports("shop.example", str)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server whose inbox is empty."""
    number = free_port()
    command = [str(Path(sys.executable).with_name("pymap")), "--host", "127.0.0.1", "--port", str(number), "--no-tls"]
    command += ["--no-service", "admin", "--no-service", "managesieve", "dict", "--demo-data"]
    command += ["--demo-user", LOGIN[0], "--demo-password", LOGIN[1]]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    try:
        end = time.monotonic() + 15
        while True:
            try:
                with MailBoxUnencrypted("127.0.0.1", number).login(*LOGIN) as box:
                    box.delete(box.uids())
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    pytest.skip("the IMAP server does not start here")
                time.sleep(0.05)
        yield number
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


@pytest.fixture
def account(port: int) -> Iterator[Connection]:
    yield Connection("imap_bounces", "imap", "127.0.0.1", port, *LOGIN, extra={"disable_ssl": True})
    with MailBoxUnencrypted("127.0.0.1", port).login(*LOGIN) as box:
        box.delete(box.uids())


def put(account: Connection, *names: str) -> None:
    with MailBoxUnencrypted("127.0.0.1", account.port or 0).login(*LOGIN) as box:
        for name in names:
            box.append((MAILS / f"{name}.eml").read_bytes(), "INBOX")


def unseen(account: Connection) -> int:
    with MailBoxUnencrypted("127.0.0.1", account.port or 0).login(*LOGIN) as box:
        return len(box.uids(AND(seen=False)))


def receive(account: Connection, **given: Any) -> Iterator[Any]:
    return mailbox.receive(account, REPORTS, lambda: NOW, **given)


def test_a_report_comes_again_until_it_is_stored(account):
    put(account, "unknown_user", "complaint", "holiday", "late")
    first = [received.found for received in receive(account)]
    assert [[getattr(fact, "kind", "unreadable") for fact in found] for found in first] == [
        ["hard_bounce"],
        ["complaint"],
        ["unreadable"],
        [],
    ]
    assert unseen(account) == 4, "to look at a mail does not mark it"
    second = []
    for count, received in enumerate(receive(account)):
        second.append(received.found)
        if count < 3:
            received.ack()
    assert second == first
    assert unseen(account) == 1
    for received in receive(account):
        assert received.found == ()
        received.ack()
    assert list(receive(account)) == []


def test_who_stops_on_the_way_leaves_the_rest_for_the_next(account):
    put(account, "unknown_user", "complaint", "holiday")
    first = next(iter(receive(account)))
    assert isinstance(first.found[0], Feedback)
    assert unseen(account) == 3


def test_a_mail_of_ours_that_came_back_is_found_by_its_own_headers(account):
    """What the outlet builds is what the reports look for."""
    sent = mailing().compose(message(), mailing().render(content()))
    assert isinstance(sent, Mail)
    original = message_from_bytes(sent.content)
    report = (MAILS / "headers_only.eml").read_bytes()
    start = report.index(b"From: Shop <news")
    end = report.index(b"\r\n\r\n--9A1B2C3D.1772453100/mx.example.com--")
    headers = b"\r\n".join(f"{name}: {value}".encode() for name, value in original.items())
    with MailBoxUnencrypted("127.0.0.1", account.port or 0).login(*LOGIN) as box:
        box.append(report[:start] + headers + report[end:], "INBOX")
    (received,) = receive(account)
    (fact,) = received.found
    assert not isinstance(fact, Unreadable), fact
    assert (fact.message_id, fact.kind) == (message().message_id, "hard_bounce")


def test_a_mailbox_that_cannot_be_read(account):
    wrong = Connection("imap_bounces", "imap", "127.0.0.1", account.port, "bounces", "wr0ng", extra=account.extra)
    with pytest.raises(Misconfigured, match="refused the login") as failed:
        list(receive(wrong))
    assert "wr0ng" not in str(failed.value)
    with pytest.raises(Misconfigured, match="TLS"):
        list(receive(Connection("imap_bounces", "imap", "127.0.0.1", account.port, *LOGIN)))
    with pytest.raises(Retryable, match="cannot be read"):
        list(receive(Connection("imap_bounces", "imap", "127.0.0.1", free_port(), *LOGIN, extra=account.extra)))
    with pytest.raises(Misconfigured, match="has no host"):
        list(receive(Connection("imap_bounces", "imap")))
    with pytest.raises(Retryable, match="cannot be read"):
        list(receive(account, folder="NotThere"))


def test_the_link_in_a_mail_leads_to_its_end():
    """From the header as it is sent to the record: GET does nothing, POST unsubscribes."""
    ended: list[Subscription] = []
    with serve(application(ended.append, KEYS, read_words(FOLDER / "words.yml"))) as url:
        own = mailing(links=Links(f"{url}/unsubscribe", KEYS))
        mail = own.compose(message(), own.render(content()))
        assert isinstance(mail, Mail)
        link = message_from_bytes(mail.content)["List-Unsubscribe"].strip("<>")
        assert requests.get(link, timeout=5).status_code == 200
        assert requests.head(link, timeout=5).status_code == 200
        assert ended == []
        answer = requests.post(link, data={"List-Unsubscribe": "One-Click"}, timeout=5)
        assert (answer.status_code, answer.url) == (200, link)
        assert "abbestellt" in answer.text
        assert ended == [Subscription(message().message_id, "mail_de", "de-DE")]
        assert requests.post(link[:-1], timeout=5).status_code == 404
        assert len(ended) == 1
