"""Addresses, and the bytes of a mail: headers, parts, and what is refused."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.policy import default

import pytest
from mail_case import KEYS, NOON, SENDER, content, mailing, message

from caravan.clients.mail.addresses import Address, Invalid, normalised
from caravan.clients.mail.message import Mail
from caravan.clients.mail.tokens import Subscription, read
from caravan.core.errors import Misconfigured
from caravan.core.outbox import Refused


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Me.X@EXAMPLE.com", Address("Me.X@example.com", "example.com")),
        (" a@example.com ", Address("a@example.com", "example.com")),
        ("a@München.example.com", Address("a@xn--mnchen-3ya.example.com", "xn--mnchen-3ya.example.com")),
        ("josé@example.com", Address("josé@example.com", "example.com", needs_utf8=True)),
        ("PostMaster@example.com", Address("postmaster@example.com", "example.com", is_role=True)),
        ("noreply+x@example.com", Address("noreply+x@example.com", "example.com", is_role=True)),
        ("infos@example.com", Address("infos@example.com", "example.com")),
    ],
)
def test_an_address_in_its_normal_form(text, address):
    assert normalised(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "@example.com", "a@", "a@localhost", "a@@example.com", "a b@example.com", "a@exa mple.com",
        "A <a@example.com>", "a@[127.0.0.1]", '"a b"@example.com', "a@example.com\nBcc: b@example.com",
        "a\r@example.com",
        "a\x00@example.com", "a@-x.com", "a@x.test", ".a@example.com", f"{'a' * 65}@example.com", "a" * 2000,
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_a_reason_that_does_not_tell_it(text):
    found = normalised(text)
    assert isinstance(found, Invalid)
    assert len(found.reason) > 10
    assert "example" not in found.reason


HIDDEN = f"=?utf-8?b?{b64encode(b'x' + bytes([13, 10]) + b'Bcc: eve@example.com').decode()}?="
"""An encoded word: the library decodes it, and then it is two headers."""


def compose(given=None, /, **changes):
    own = changes.pop("mailing", None) or mailing()
    return own.compose(given or message(), own.render(content(**changes)))


def parsed(mail):
    assert isinstance(mail, Mail), mail
    return message_from_bytes(mail.content, policy=default)


def test_the_headers_of_a_mail():
    sent = message()
    mail = compose(sent)
    headers = dict(parsed(mail).items())
    link = headers.pop("List-Unsubscribe")
    assert headers == {
        "From": "Shop Ö <news@shop.example>",
        "To": "zoe@example.com",
        "Reply-To": "care@shop.example",
        "Subject": "Frühling für Zoë",
        "Date": "Mon, 02 Mar 2026 12:00:00 +0000",
        "Message-ID": f"<{sent.message_id}@shop.example>",
        "Caravan-Message-Id": sent.message_id,
        "Feedback-ID": "spring-2026:mail_de:news:shop.example",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Precedence": "bulk",
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/alternative; boundary="=_{sent.message_id}"',
    }
    assert link[:1] + link[-1:] == "<>"
    assert read(link[1:-1].rpartition("/")[2], KEYS) == Subscription(sent.message_id, "mail_de", "de-DE")


def test_a_long_link_stays_in_one_line_as_it_is():
    """The library's own policy would encode it, and no mail provider would see the link."""
    (line,) = [line for line in compose().content.split(b"\r\n") if line.startswith(b"List-Unsubscribe:")]
    assert line.startswith(b"List-Unsubscribe: <https://shop.example/unsubscribe/1.k1.")
    assert line.endswith(b">")
    assert len(line) > 150


def test_a_mail_is_seven_bit_with_text_before_html_and_the_same_each_time():
    body = "<p>.\nGrüße = {{ first_name }} " + "x" * 3000 + "</p>"
    mail = compose(html=body, text="von hier.\n.\nFrom here\n" + "ß" * 2000)
    assert mail == compose(html=body, text="von hier.\n.\nFrom here\n" + "ß" * 2000)
    assert mail.content.isascii()
    assert b"\n" not in mail.content.replace(b"\r\n", b"")
    assert max(len(line) for line in mail.content.split(b"\r\n")) < 998
    text, html = parsed(mail).iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert "von hier.\n.\nFrom here\n" + "ß" * 2000 in text.get_content().replace("\r\n", "\n")
    assert "Grüße = Zoë " + "x" * 3000 in html.get_content()


def test_a_name_brings_no_line_ends_of_its_own_into_the_mail():
    mail = compose(message(variables={"first_name": "Z\r.\r\r\nMAIL FROM:<eve@example.com>\r"}), title="x")
    assert b"\r" not in mail.content.replace(b"\r\n", b"")
    assert b"\n" not in mail.content.replace(b"\r\n", b"")


def test_a_notice_is_no_bulk_mail():
    mail = parsed(compose(kind="notice"))
    assert [
        name for name, _ in mail.items() if name in ("List-Unsubscribe", "List-Unsubscribe-Post", "Precedence")
    ] == []


def test_a_mail_to_an_address_of_other_letters_is_in_utf_8():
    mail = compose(message("josé@example.com"))
    assert mail.to.needs_utf8
    assert "To: josé@example.com\r\n".encode() in mail.content


@pytest.mark.parametrize(
    ("given", "changes", "reason"),
    [
        ({"variables": {"first_name": "Z\r\nBcc: eve@example.com"}}, {}, "HEADER_UNFIT: the subject has a line break"),
        ({"variables": {"first_name": HIDDEN}}, {"title": "{{ first_name }}"}, "the subject has a line break"),
        ({"variables": {"first_name": "Z\u2028oe"}}, {}, "HEADER_UNFIT: the subject has a line break"),
        ({"variables": {"first_name": "Z" * 2000}}, {}, "HEADER_UNFIT: the subject is too long"),
        ({"variables": {}}, {}, "VARIABLE_MISSING: this recipient has no first_name"),
        ({"target": "zoe@example.com\nBcc: eve@example.com"}, {}, "ADDRESS: the address has a line break"),
        ({"target": "nobody"}, {}, "ADDRESS: "),
        ({"action": "withdraw"}, {}, "WITHDRAWAL"),
        ({}, {"title": ""}, "HEADER_UNFIT: the subject is empty"),
    ],
)  # fmt: skip
def test_what_must_not_leave_is_refused_for_good(given, changes, reason):
    refused = compose(message(**given), **changes)
    assert isinstance(refused, Refused)
    assert reason in refused.reason
    assert refused.after is None
    assert "eve" not in refused.reason


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "Shop\nBcc: eve@example.com"}, "its name has to be one line of text"),
        ({"name": HIDDEN}, "its name has to be one line of text"),
        ({"name": ""}, "its name has to be one line of text"),
        ({"postal_address": "Hauptstr. 1\nBerlin"}, "its postal address has to be one line of text"),
        ({"address": "news@shop.example\nBcc: eve@example.com"}, "its address: the address has a line break"),
        ({"address": "nobody"}, "its address: "),
        ({"address": "a@Shop.example"}, "its address has to be of ASCII, the domain in lower case"),
        ({"reply_to": "josé@shop.example"}, "its address for replies has to be of ASCII"),
    ],
)
def test_a_sender_that_fits_no_header_stops_before_anything_is_planned(changes, fault):
    with pytest.raises(Misconfigured) as failed:
        replace(SENDER, **changes)
    assert fault in str(failed.value)
    assert "eve" not in str(failed.value)


def test_nothing_leaves_before_the_embargo_ends():
    end = NOON + timedelta(minutes=5)
    assert compose(message(embargo_until=end)) == Refused("EMBARGO: it may not leave yet", timedelta(minutes=5))
    at_the_end = mailing(clock=lambda: end)
    assert isinstance(compose(message(embargo_until=end), mailing=at_the_end), Mail)


def test_a_mail_that_nobody_could_unsubscribe_from_waits_for_a_person():
    refused = compose(mailing=mailing(links=None))
    assert isinstance(refused, Refused)
    assert refused.after == timedelta(hours=1)


def test_no_header_is_written_that_would_be_two(monkeypatch):
    """Whoever lets one pass before."""
    monkeypatch.setattr("caravan.clients.mail.message.fits_header", lambda text: True)
    refused = compose(message(variables={"first_name": HIDDEN}), title="{{ first_name }}")
    assert refused == Refused("HEADER_UNFIT: the header Subject would be more than one")
    (line,) = [
        line for line in compose(message(f"{HIDDEN[:20]}@example.com")).content.split(b"\r\n") if line[:3] == b"To:"
    ]
    assert line == f"To: {HIDDEN[:20]}@example.com".encode()


def test_neither_address_nor_content_is_shown():
    mail = compose()
    assert "zoe@" not in repr(mail)
    assert "Hallo" not in repr(mail)
