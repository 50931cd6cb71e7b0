"""Bounces, complaints and events of SES, as they are read; forged and unknown ones change nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from caravan.clients.mail.bounces import Reports
from caravan.clients.mail.events import Feedback, Unreadable, bounce_kind
from caravan.clients.mail.ses_events import SesQueue
from caravan.clients.mail.tokens import mark_of
from caravan.core.connections import Connection

MAILS = Path(__file__).resolve().parents[1] / "fixtures" / "mail"
ID = "0123456789abcdef" * 2
NOW = datetime(2026, 3, 3)
REPORTS = Reports("shop.example", str)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("5.1.1", "hard_bounce"), ("5.1.10", "hard_bounce"), ("5.2.1", "hard_bounce"), ("5.0.0", "soft_bounce"),
        ("5.1.2", "hard_bounce"), ("5.1.6", "hard_bounce"), ("5.2.0", "hard_bounce"), ("4.1.1", "soft_bounce"),
        ("5.3.0", "blocked"), ("5.3.4", "blocked"), ("5.5.1", "blocked"), ("5.5.4", "blocked"), ("5.2.3", "blocked"),
        ("5.4.4", "soft_bounce"), ("5.4.6", "soft_bounce"), ("5.1.9", "soft_bounce"),
        ("5.2.2", "soft_bounce"), ("5.7.1", "blocked"), ("5.7.26", "blocked"), ("4.4.7", "soft_bounce"),
        ("4.2.2", "soft_bounce"), ("5.6.7", "blocked"), ("5.1.7", "blocked"), ("5.1.8", "blocked"),
        ("4.7.1", "blocked"), ("2.1.5", None), ("", None), ("5.1", None), ("550", None), ("6.1.1", None),
    ],
)  # fmt: skip
def test_what_a_status_says_of_an_address(status, kind):
    assert bounce_kind(status) == kind


@pytest.mark.parametrize(
    ("name", "kind", "detail"),
    [
        (
            "unknown_user",
            "hard_bounce",
            "failed 5.1.1 smtp; 550 5.1.1 <address>: Recipient address rejected: User unknown",
        ),
        ("headers_only", "hard_bounce", "failed 5.1.1 smtp; 550 5.1.1 User unknown"),
        (
            "status_in_diagnosis",
            "hard_bounce",
            "failed 5.1.10 smtp; 550 5.1.10 RESOLVER.ADR.RecipientNotFound; <address>",
        ),
        ("mailbox_full", "soft_bounce", "failed 5.2.2 smtp; 552 5.2.2 <address>: mailbox is full"),
        ("policy", "blocked", "failed 5.7.1 smtp; 554 5.7.1 Message looks like spam"),
        ("gave_up", "soft_bounce", "failed 4.4.1 smtp; connect to mx.example.com[192.0.2.1]:25: Connection timed out"),
        ("delivered", "delivered", "delivered 2.0.0 smtp; 250 2.0.0 Ok"),
        ("complaint", "complaint", "abuse"),
        ("opt_out", "unsubscribe", "opt-out"),
    ],
)
def test_a_report_says_what_became_of_which_mail(name, kind, detail):
    content = (MAILS / f"{name}.eml").read_bytes()
    (found,) = REPORTS.parse(content, NOW)
    assert isinstance(found, Feedback), found
    assert (found.message_id, found.provider_id, found.kind) == (ID, None, kind)
    assert found.at == datetime(2026, 3, 2, 12, 5)
    assert found.detail.startswith(detail)
    assert "zoe" not in repr(found)
    assert REPORTS.parse(content, datetime(2027, 1, 1)) == (found,), "the same each time it is read"


def test_a_report_about_an_address_beyond_ascii():
    """As Postfix 3.7 writes it (RFC 6533)."""
    (found,) = REPORTS.parse((MAILS / "beyond_ascii.eml").read_bytes(), NOW)
    assert isinstance(found, Feedback), found
    assert (found.message_id, found.kind) == (ID, "blocked")
    assert found.detail == "failed 5.6.7 X-Postfix; SMTPUTF8 is required, but was not offered by host mx"


@pytest.mark.parametrize("name", ["late", "not_spam"])
def test_a_report_that_decides_nothing(name):
    assert REPORTS.parse((MAILS / f"{name}.eml").read_bytes(), NOW) == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ids_differ", "the ids of the mail that came back differ"),
        ("forged_id", "its Caravan-Message-Id is no id of ours"),
        ("not_ours", "does not bring back a mail of ours"),
        ("no_recipient", "names no recipient"),
        ("unknown_action", "has no action that RFC 3464 knows"),
        ("read_receipt", "is a report of another type"),
        ("holiday", "is neither a delivery report nor a complaint"),
    ],
)
def test_a_report_that_cannot_be_believed_or_understood(name, reason):
    (found,) = REPORTS.parse((MAILS / f"{name}.eml").read_bytes(), NOW)
    assert found == Unreadable(reason, found.raw_id)
    assert found.raw_id.startswith("mail:")


def test_a_report_about_a_mail_that_is_not_signed_by_us_is_forged():
    mark = mark_of(b"k" * 32)
    reports = replace(REPORTS, mark=mark)
    content = (MAILS / "unknown_user.eml").read_bytes()
    other = mark("f" * 32).removeprefix("f" * 32)
    for forged in (ID, f"{ID}{other}", f"{ID}.", f"{ID}.é"):
        (found,) = reports.parse(content.replace(ID.encode(), forged.encode()), NOW)
        assert isinstance(found, Unreadable), forged
    (found,) = reports.parse(content.replace(ID.encode(), mark(ID).encode()), NOW)
    assert isinstance(found, Feedback) and (found.message_id, found.kind) == (ID, "hard_bounce")


def test_a_cut_or_changed_report_never_becomes_another_fact():
    content = (MAILS / "unknown_user.eml").read_bytes()
    (whole,) = REPORTS.parse(content, NOW)
    kinds = set()
    for end in range(0, len(content), 7):
        for found in REPORTS.parse(content[:end], NOW):
            kinds.add(type(found).__name__)
            if isinstance(found, Feedback):
                assert (found.message_id, found.kind) == (ID, "hard_bounce")
    assert kinds == {"Unreadable", "Feedback"}
    assert isinstance(whole, Feedback)
    for name in (b"delivery-status", b"Final-Recipient", b"Action", b"Message-ID: <0", b"Caravan-Message-Id: 0"):
        found = REPORTS.parse(content.replace(name, b"X-Renamed").replace(b"Original-Recipient", b"X-Other"), NOW)
        assert [type(one) for one in found] != [], name
        assert all(isinstance(one, Unreadable) or one.message_id == ID for one in found), name


def test_what_is_not_mail_at_all_is_unreadable():
    for content in (
        b"",
        b"\x00\xff" * 100,
        b"Content-Type: multipart/report; report-type=delivery-status\r\n\r\n",
        b"x" * 6_000_000,
    ):
        (found,) = REPORTS.parse(content, NOW)
        assert isinstance(found, Unreadable)


QUEUE = SesQueue(Connection("aws_mail", "aws"), None, "https://sqs.example/1/events")
TOPIC = "arn:aws:sns:eu-central-1:123456789012:mail"
AT = "2026-03-02T12:05:00.000Z"


def event(kind, **parts):
    mail = {
        "timestamp": "2026-03-02T12:00:00.000Z",
        "messageId": "0107-abc",
        "sendingAccountId": "123456789012",
        "destination": ["zoe@example.com"],
        "tags": {"caravan_message": [ID], "ses:configuration-set": ["mail"]},
    }
    return {"eventType": kind, "mail": {**mail, **parts.pop("mail", {})}, **parts}


def bounce(kind, sub="General", **recipient):
    given = {"emailAddress": "zoe@example.com", "status": "5.1.1", "diagnosticCode": "550 zoe@example.com unknown"}
    return {"bounceType": kind, "bounceSubType": sub, "timestamp": AT, "bouncedRecipients": [{**given, **recipient}]}


HARD = bounce("Permanent")
TAKEN = {"timestamp": AT, "smtpResponse": "250 ok zoe@example.com"}
BAD = "5.1.1 550 <address> unknown"
NO_ID = "its tag caravan_message is no id of ours"
COMPLAINT = {
    "complainedRecipients": [{"emailAddress": "zoe@example.com"}],
    "timestamp": AT,
    "complaintFeedbackType": "abuse",
}


def in_sns(content, topic=TOPIC):
    return json.dumps({"Type": "Notification", "TopicArn": topic, "Message": json.dumps(content)})


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("content", "kind", "detail", "minute"),
    [
        (event("Send", send={}), "accepted", "", 0),
        (event("Delivery", delivery=TAKEN), "delivered", "250 ok <address>", 5),
        (event("Bounce", bounce=bounce("Permanent")), "hard_bounce", f"Permanent General {BAD}", 5),
        (event("Bounce", bounce=bounce("Transient", "MailboxFull")), "soft_bounce", f"Transient MailboxFull {BAD}", 5),
        (
            event("Bounce", bounce=bounce("Transient", "ContentRejected")),
            "blocked",
            f"Transient ContentRejected {BAD}",
            5,
        ),
        (event("Bounce", bounce=bounce("Undetermined")), "soft_bounce", f"Undetermined General {BAD}", 5),
        (event("Complaint", complaint=COMPLAINT), "complaint", "abuse", 5),
        (event("Reject", reject={"reason": "Bad content"}), "reject", "Bad content", 0),
        (event("Rendering Failure", failure={"errorMessage": "x"}), "reject", "x", 0),
        (event("Subscription", subscription={"contactList": "l", "timestamp": AT}), "unsubscribe", "contact list l", 5),
    ],
)  # fmt: skip
def test_an_event_of_ses_says_what_became_of_which_mail(content, kind, detail, minute, wrapped):
    body = in_sns(content) if wrapped else json.dumps(content)
    assert QUEUE.parse(body, "sqs:1") == (
        Feedback(ID, "0107-abc", kind, datetime(2026, 3, 2, 12, minute), detail, "sqs:1"),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"eventType": []},
        {"mail": {"sendingAccountId": []}},
        {"mail": {"messageId": "\ud800"}},
        {"mail": {"messageId": "a\0"}},
        {"mail": {"timestamp": "0001-01-01T00:00:00+14:00"}},
        {"eventType": "Bounce", "bounce": {**HARD, "bounceSubType": []}},
        {"eventType": "Bounce", "bounce": {**HARD, "timestamp": "9999-12-31T23:59:59-01:00"}},
    ],
)  # fmt: skip
def test_values_that_ses_never_writes_make_an_event_unreadable(change):
    queue = replace(QUEUE, accounts=frozenset({"123456789012"}))
    content = event("Send", mail=change.get("mail", {})) | {
        name: given for name, given in change.items() if name != "mail"
    }
    (found,) = queue.parse(json.dumps(content), "sqs:1")
    assert isinstance(found, Unreadable)


def test_a_server_s_words_can_be_stored_whatever_they_are():
    (found,) = QUEUE.parse(json.dumps(event("Reject", reject={"reason": "\ud800\0 no"})), "sqs:1")
    assert isinstance(found, Feedback) and found.detail == "?? no"


def test_a_topic_that_is_no_text_is_not_ours():
    (found,) = replace(QUEUE, topics=frozenset({TOPIC})).parse(in_sns(event("Send"), []), "sqs:1")
    assert found == Unreadable("came through a topic that is not ours", "sqs:1")


@pytest.mark.parametrize(
    "content",
    [
        event("Bounce", bounce={**HARD, "feedbackId": "0107-b"}),
        event("Complaint", complaint={**COMPLAINT, "feedbackId": "0107-b"}),
    ],
)
def test_one_bounce_is_one_however_often_sns_brings_it(content):
    found = {QUEUE.parse(in_sns(content), f"sqs:{number}") for number in range(3)}
    assert [each.raw_id for ((each,),) in [tuple(found)]] == ["ses:0107-b"]


def test_an_older_notification_and_a_mail_without_our_tag():
    content = event("", bounce=bounce("Permanent"), mail={"tags": {}})
    content["notificationType"] = "Bounce"
    del content["eventType"]
    (found,) = QUEUE.parse(json.dumps(content), "sqs:1")
    assert isinstance(found, Feedback)
    assert (found.message_id, found.provider_id, found.kind) == (None, "0107-abc", "hard_bounce")


@pytest.mark.parametrize("kind", ["Open", "Click", "DeliveryDelay"])
def test_an_event_that_decides_nothing(kind):
    assert QUEUE.parse(json.dumps(event(kind)), "sqs:1") == ()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "has no text"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "the message is no JSON object"),
        ("{}", "mail is no JSON object"),
        (json.dumps({"Type": "Notification", "TopicArn": TOPIC}), "has no text"),
        (json.dumps({"detail-type": "x", "detail": event("Send")}), "mail is no JSON object"),
        (json.dumps(event("Exploded")), "is of no kind that SES is known to send"),
        (json.dumps(event("Bounce")), "bounce is no JSON object"),
        (json.dumps(event("Bounce", bounce={**HARD, "bouncedRecipients": []})), "has no bouncedRecipients"),
        (json.dumps(event("Bounce", bounce={**HARD, "bounceType": None})), "has no bounceType"),
        (json.dumps(event("Bounce", bounce={**HARD, "timestamp": "soon"})), "has a timestamp that is none"),
        (json.dumps(event("Send", mail={"messageId": ""})), "has no mail.messageId"),
        (json.dumps(event("Send", mail={"tags": {"caravan_message": ["x"]}})), NO_ID),
        (json.dumps(event("Send", mail={"tags": {"caravan_message": [ID, ID]}})), NO_ID),
    ],
)  # fmt: skip
def test_an_event_that_is_not_as_ses_writes_it(body, reason):
    assert QUEUE.parse(body, "sqs:1") == (Unreadable(reason, "sqs:1"),)


def test_an_event_from_elsewhere_is_unreadable():
    strict = SesQueue(QUEUE.connection, None, QUEUE.url, frozenset({TOPIC}), frozenset({"123456789012"}))
    assert isinstance(strict.parse(in_sns(event("Send")), "sqs:1")[0], Feedback)
    for body, reason in (
        (json.dumps(event("Send")), "did not come through a topic of ours"),
        (in_sns(event("Send"), TOPIC + "2"), "came through a topic that is not ours"),
        (in_sns(event("Send", mail={"sendingAccountId": "6"})), "was sent by an account that is not ours"),
    ):
        assert strict.parse(body, "sqs:1") == (Unreadable(reason, "sqs:1"),)
