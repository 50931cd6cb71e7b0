"""Releases through a real Postfix into maildirs, and what bounces back through Dovecot into the contacts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import post_office
import pytest
from mail_case import CONTENT, RECIPIENT, SENDER, content, mailing, message
from post_office import PostOffice
from release_world import LETTER, ReleaseWorld

from caravan.assembly import feedback
from caravan.clients.mail.bounces import Reports
from caravan.clients.mail.events import Feedback, Received
from caravan.clients.mail.mailbox import receive
from caravan.clients.mail.smtp import SmtpOutlet
from caravan.core.errors import Misconfigured, Retryable
from caravan.core.outbox import Accepted, Refused

NEWS = replace(SENDER, address="news@example.com")
REPORTS = Reports("example.com", str)


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


@pytest.fixture(scope="session")
def office(jail) -> PostOffice:
    return post_office.start(jail)


@pytest.fixture
def post(office, monkeypatch) -> PostOffice:
    """With empty boxes, and trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(office.authority))
    office.empty()
    return office


@pytest.fixture
def letter(post) -> Iterator[SmtpOutlet]:
    with SmtpOutlet("mail_de", post.smtp(), mailing(now, sender=NEWS)) as outlet:
        yield outlet


@pytest.fixture
def send(letter) -> Callable[[str], Any]:
    payload = letter.render(CONTENT)
    return lambda to: letter.hand_over(message(to), payload)


def come_back(post: PostOffice, count: int) -> list[Received]:
    """What the box for bounces holds when so many mails came; seen from then on."""
    post.mails("news", count)
    found = []
    for each in receive(post.imap(), REPORTS, now):
        each.ack()
        found.append(each)
    return found


# On its way


def test_a_mail_arrives_as_it_was_meant(post, send):
    sent = send("anna@example.com")
    assert isinstance(sent, Accepted)
    (mail,) = post.mails("anna")
    (path,) = post.files("anna")
    assert f" id {sent.provider_id}\n" in path.read_text(), "Postfix's own name for it, which its log is searched for"
    asked = message("anna@example.com").message_id
    assert (mail["From"], mail["To"]) == ("Shop Ö <news@example.com>", "anna@example.com")
    assert (mail["Return-Path"], mail["Reply-To"]) == ("<news@example.com>", "care@shop.example")
    assert (mail["Message-ID"], mail["Caravan-Message-Id"]) == (f"<{asked}@example.com>", asked)
    assert (mail["Subject"], mail["Precedence"]) == ("Frühling für Zoë", "bulk")
    assert mail["Feedback-ID"] == "spring-2026:mail_de:news:example.com"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = re.search(rb"^List-Unsubscribe: <(\S+)>\n\S", path.read_bytes(), re.M)
    assert link and link.group(1).decode().startswith("https://shop.example/unsubscribe/"), (
        "in one line, and not encoded"
    )
    assert mail.get_content_type() == "multipart/alternative" and mail.defects == []
    text, html = mail.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    for part in (text, html):
        assert "Hallo Zoë" in part.get_content() and link.group(1).decode() in part.get_content()
        assert part.defects == []


def test_lines_of_dots_and_long_lines_arrive_whole(post, letter):
    text = "\n".join([".", "..", ".x", "a" * 2000, "From here", "Hallo {{ first_name }}", "Ende."])
    given = content(text=text, html=f"<p>{text}</p>")
    assert isinstance(letter.hand_over(message("anna@example.com"), letter.render(given)), Accepted)
    (mail,) = post.mails("anna")
    part = mail.get_body(("plain",))
    assert part is not None and text.replace("{{ first_name }}", RECIPIENT["first_name"]) in part.get_content()


def test_many_go_through_one_connection(post, send):
    for name in ("anna", "ben", "anna", "nobody", "ben"):
        outcome = send(f"{name}@example.com")
        assert isinstance(outcome, Refused if name == "nobody" else Accepted)
    assert (len(post.mails("anna", 2)), len(post.mails("ben", 2))) == (2, 2)
    log = post.jail.path("/srv/postfix/log").read_text()
    assert log.splitlines().count("") == 0 and len(re.findall(r"client=unknown.*sasl_username=news@", log)) >= 4


@pytest.mark.parametrize(
    ("to", "code"),
    [("nobody@example.com", "550 5.1.1"), ("zoë@example.com", "550 5.1.1"), ("a@elsewhere.example.com", "550 5.1.2")],
)
def test_who_is_not_there_is_refused_at_once(send, to, code):
    assert send(to) == Refused(f"the server answered {code} to RCPT", is_gone=True)


def test_a_wrong_password_is_misconfigured(post):
    for password in ("wrong", ""):
        with pytest.raises(Misconfigured, match="refused the login: 535"):
            SmtpOutlet("mail_de", replace(post.smtp(), password=password), mailing(now, sender=NEWS)).open()
    with pytest.raises(Misconfigured, match="refused the login"):
        list(receive(replace(post.imap(), password="wrong"), REPORTS, now))


def test_without_a_login_nothing_is_taken(post):
    with SmtpOutlet("mail_de", replace(post.smtp(), login=None), mailing(now, sender=NEWS)) as outlet:
        outcome = outlet.hand_over(message("anna@example.com"), outlet.render(CONTENT))
    assert isinstance(outcome, Refused) and "to RCPT" in outcome.reason


def test_without_tls_nobody_is_let_in(post):
    plain = replace(post.smtp(), extra={"disable_ssl": True, "disable_tls": True})
    with pytest.raises((Misconfigured, Retryable)) as error:
        SmtpOutlet("mail_de", plain, mailing(now, sender=NEWS)).open()
    assert post_office.PASSWORD not in str(error.value)


def test_a_certificate_that_nobody_vouches_for_is_misconfigured(post, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Misconfigured, match="CERTIFICATE_VERIFY_FAILED"):
        SmtpOutlet("mail_de", post.smtp(), mailing(now, sender=NEWS)).open()
    with pytest.raises(Misconfigured, match="CERTIFICATE_VERIFY_FAILED"):
        list(receive(post.imap(), REPORTS, now))


# What comes back


@pytest.mark.parametrize(
    ("to", "kind", "told"),
    [
        ("gone@late.example.com", "hard_bounce", "failed 5.1.1 smtp; 550 5.1.1 <address> User doesn't exist"),
        ("full@example.com", "soft_bounce", "failed 5.2.2 smtp; 552 5.2.2 <address> Quota exceeded"),
        ("zoe@policy.example.com", "blocked", "failed 5.7.1 smtp; 554 5.7.1 <address>: Recipient address rejected"),
        ("zoë@late.example.com", "blocked", "failed 5.6.7 X-Postfix; SMTPUTF8 is required"),
    ],
)
def test_a_bounce_says_of_which_mail_and_how_bad_it_is(post, send, to, kind, told):
    assert isinstance(send(to), Accepted)
    ((found,),) = [each.found for each in come_back(post, 1)]
    assert isinstance(found, Feedback), found
    assert (found.message_id, found.kind) == (message(to).message_id, kind)
    assert found.detail.startswith(told) and "@" not in found.detail
    assert abs((now() - found.at).total_seconds()) < 60
    assert come_back(post, 1) == [], "what was seen is not told again"


def test_a_mail_that_is_late_says_nothing_until_it_is_given_up(post, send):
    assert isinstance(send("zoe@down.example.com"), Accepted)
    assert [each.found for each in come_back(post, 1)] == [()], "delayed"
    ((found,),) = [each.found for each in come_back(post, 2)]
    assert isinstance(found, Feedback)
    assert (found.kind, found.detail[:12]) == ("soft_bounce", "failed 4.4.1")


def test_what_bounced_is_in_the_contacts(post, tmp_path: Path, monkeypatch):
    """A release, planned, approved and sent; its bounces collected; a second one, which passes by who is gone."""
    world = ReleaseWorld(tmp_path, monkeypatch)
    world.controller.stop()
    monkeypatch.setattr(feedback, "utc_now", now)
    for name, connection in (("SMTP", post.smtp()), ("IMAP", post.imap())):
        given = {"conn_type": name.lower(), "host": connection.host, "port": connection.port, "extra": connection.extra}
        account = {"login": connection.login, "password": connection.password}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}_LETTER", json.dumps(given | account))
    letter = world.config / "outlets" / "letter.yml"
    letter.write_text(LETTER + "bounces: {connection: imap_letter}\n")
    gone = ("gone@late.example.com", "nobody@example.com")
    addresses = ("anna@example.com", "full@example.com", "zoe@policy.example.com", *gone)
    world.people(
        *(
            f"{address},DE,{state},2026-01-0{day}T00:00:00Z,form 7,v1,Zoe"
            for address in addresses
            for state, day in (("pending", 1), ("given", 2))
        )
    )
    world.approve()
    world.plan()
    assert world.send()["letter"] == {"accepted": 4, "rejected": 1}
    (mail,) = post.mails("anna")
    assert mail["Subject"] == "Teekannen im Herbst"

    post.mails("news", 3)
    assert feedback.collect("letter") == {"hard_bounce": 1, "soft_bounce": 1, "blocked": 1}
    assert feedback.collect("letter") == {}
    with world.desk() as desk:
        ended = {
            each.key.target: [found.reason for found in desk.contacts.suppressions(each.intention.subject, "email")]
            for each in desk.outbox.find()
            if each.key.outlet == "letter"
        }
    assert ended == {address: ["hard_bounce"] if address in gone else [] for address in addresses}

    release = world.folder / "release.yml"
    release.write_text(f"revision: 2\n{release.read_text()}")
    world.approve()
    world.plan()
    assert world.send()["letter"] == {"accepted": 3, "skipped": 2}
    assert len(post.mails("anna", 2)) == 2
