"""Releases by SES, and its events out of SQS: moto where all is well, a stand-in where the answer is lost or wrong."""

from __future__ import annotations

import json
import logging
import socket
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from itertools import islice
from threading import Thread
from typing import Any

import boto3
import pytest
from mail_case import NOON, content, mailing, message
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends
from object_store import ObjectStore
from test_notify import free_port
from werkzeug import Request, Response
from werkzeug.serving import make_server

from caravan.clients.aws import open_service
from caravan.clients.mail.events import Feedback, Unreadable
from caravan.clients.mail.ses import SesOutlet
from caravan.clients.mail.ses_events import SesQueue
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured, Retryable
from caravan.core.outbox import Accepted, Refused, Unknown

PAYLOAD = mailing().render(content())
MINUTE, SOON, HOUR, LONG = (timedelta(minutes=number) for number in (1, 15, 60, 360))


def connection(url: str, **extra: Any) -> Connection:
    given = {"endpoint_url": url, "region_name": "us-east-1", **extra}
    return Connection("aws_mail", "aws", login="AKIATEST", password="sec/ret+key", extra=given)


def outlet(url: str, code: str = "mail.de", **extra: Any) -> SesOutlet:
    account = connection(url, **extra)
    return SesOutlet(code, account, open_service(account, "sesv2", tries_once=True), mailing(), "marketing")


class Ses:
    """Answers as it is told, and counts. `before` it answers, `drop` and `cut` take the answer away."""

    def __init__(self) -> None:
        self.begin()
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._server = make_server("127.0.0.1", 0, self._app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def begin(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer: tuple[int, str, dict[str, str]] = (200, '{"MessageId": "0107-abc"}', {})
        self.before: Callable[[Any], None] = lambda environ: None

    def drop(self, environ: Any) -> None:
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)

    def cut(self, environ: Any) -> None:
        """Half an answer, then nothing."""
        environ["werkzeug.socket"].sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{"MessageId": "01')
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _app(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        self.asked.append((request.path, json.loads(request.get_data())))
        self.before(environ)
        status, body, headers = self.answer
        return Response(body, status, headers, content_type="application/json")(environ, start_response)


@pytest.fixture(scope="module")
def _ses() -> Iterator[tuple[Ses, SesOutlet]]:
    made = Ses()
    # A client for all: to make one takes longer than all that is asked of it.
    yield made, outlet(made.url)
    made.close()


@pytest.fixture
def ses(_ses: tuple[Ses, SesOutlet]) -> Ses:
    _ses[0].begin()
    return _ses[0]


@pytest.fixture
def ready(_ses: tuple[Ses, SesOutlet], ses: Ses) -> SesOutlet:
    return _ses[1]


def test_a_mail_reaches_ses_whole(object_store: ObjectStore) -> None:
    boto = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    boto3.client("ses", endpoint_url=object_store.url, **boto).verify_email_identity(EmailAddress="news@shop.example")
    before = len(ses_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sent_messages)
    outcome = outlet(object_store.url).hand_over(message(), PAYLOAD)
    (sent,) = ses_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sent_messages[before:]
    assert outcome == Accepted(sent.id)
    assert (sent.source, set(sent.destinations)) == ("news@shop.example", {"zoe@example.com"})
    mail = message_from_bytes(sent.raw_data.encode(), policy=default)
    assert mail["Caravan-Message-Id"] == message().message_id
    assert "Hallo Zoë,<br>" in mail.get_body(("html",)).get_content()


def test_a_sender_that_ses_does_not_know_is_refused_for_good(object_store: ObjectStore) -> None:
    assert outlet(object_store.url, region_name="eu-west-1").hand_over(message(), PAYLOAD) == Refused(
        "SES answered 400 MessageRejected"
    )


def test_a_mail_is_tagged_so_that_its_events_find_it(ses, ready):
    assert ready.hand_over(message(), PAYLOAD) == Accepted("0107-abc")
    ((path, asked),) = ses.asked
    assert path == "/v2/email/outbound-emails"
    raw = b64decode(asked.pop("Content")["Raw"]["Data"])
    assert asked == {
        "FromEmailAddress": "news@shop.example",
        "Destination": {"ToAddresses": ["zoe@example.com"]},
        "ConfigurationSetName": "marketing",
        "EmailTags": [
            {"Name": "caravan_message", "Value": message().message_id},
            {"Name": "caravan_outlet", "Value": "mail_de"},
        ],
    }
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw
    assert ready.find(message(), PAYLOAD) is None


@pytest.mark.parametrize(
    ("status", "body", "code", "outcome"),
    [
        (429, "{}", "TooManyRequestsException", Refused("SES answered 429 TooManyRequestsException", MINUTE)),
        (400, "{}", "ThrottlingException", Refused("SES answered 400 ThrottlingException", MINUTE)),
        (429, "<html>", "", Refused("SES answered 429 429", MINUTE)),
        (400, "{}", "LimitExceededException", Refused("SES answered 400 LimitExceededException", SOON)),
        (400, "{}", "SendingPausedException", Refused("SES answered 400 SendingPausedException", LONG)),
        (400, "{}", "AccountSuspendedException", Refused("SES answered 400 AccountSuspendedException", LONG)),
        (400, '{"message": "zoe@example.com"}', "MessageRejected", Refused("SES answered 400 MessageRejected")),
        (400, "{}", "BadRequestException", Refused("SES answered 400 BadRequestException")),
        (400, "{}", (code := "MailFromDomainNotVerifiedException"), Refused(f"SES answered 400 {code}", HOUR)),
        (404, "{}", "NotFoundException", Refused("SES answered 404 NotFoundException", HOUR)),
        (403, "{}", "AccessDeniedException", Refused("SES answered 403 AccessDeniedException", HOUR)),
        (403, "{}", "ExpiredTokenException", Refused("SES answered 403 ExpiredTokenException", HOUR)),
        (413, "", "", Refused("SES answered 413 413")),
        (408, "{}", "RequestTimeout", Unknown("SES answered 408 RequestTimeout")),
        (500, "{}", "InternalFailure", Unknown("SES answered 500 InternalFailure")),
        (503, "{}", "ServiceUnavailable", Unknown("SES answered 503 ServiceUnavailable")),
        (502, "<html>", "", Unknown("SES answered 502 502")),
        (200, "{}", "", Unknown("SES answered well and gave no MessageId")),
        (200, '{"messageId": "0107-abc"}', "", Unknown("SES answered well and gave no MessageId")),
        (200, '{"MessageId": ""}', "", Unknown("SES answered well and gave no MessageId")),
        (200, '{"MessageId": {"x": 1}}', "", Unknown("SES answered well and gave no MessageId")),
        (200, '{"__type": "InternalFailure", "message": "x"}', "", Unknown("SES answered well and gave no MessageId")),
        (200, "<html>maintenance</html>", "", Unknown("SES answered well and gave no MessageId")),
        (200, "", "", Unknown("SES answered well and gave no MessageId")),
        (301, "{}", "", Unknown("SES answered 301 301")),
    ],
)  # fmt: skip
def test_each_answer_of_ses_to_one_request(ses, ready, status, body, code, outcome):
    ses.answer = status, body, {"x-amzn-ErrorType": code} if code else {}
    assert ready.hand_over(message(), PAYLOAD) == outcome
    assert len(ses.asked) == 1


@pytest.mark.parametrize("fault", ["drop", "cut"])
def test_a_lost_answer_is_unknown_and_asked_for_once(ses, fault):
    ses.before = getattr(ses, fault)
    retries = {"config_kwargs": {"retries": {"total_max_attempts": 5, "mode": "standard"}}}
    assert isinstance(outlet(ses.url, **retries).hand_over(message(), PAYLOAD), Unknown)
    assert len(ses.asked) == 1, "whatever the connection says of retries"


def test_an_answer_that_comes_too_late_is_unknown(ses):
    ses.before = lambda environ: time.sleep(0.5)
    slow = outlet(ses.url, config_kwargs={"read_timeout": 0.1})
    assert slow.hand_over(message(), PAYLOAD) == Unknown("no answer of SES: ReadTimeoutError")
    assert len(ses.asked) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://nowhere.invalid"])
def test_what_never_reached_ses_may_be_tried_again(url):
    refused = outlet(url.format(port=free_port())).hand_over(message(), PAYLOAD)
    assert isinstance(refused, Refused)
    assert refused.after == SOON
    assert "cannot be reached" in refused.reason


def test_a_client_that_repeats_by_itself_is_not_taken(ses):
    account = connection(ses.url)
    with pytest.raises(ValueError, match="sends mails twice"):
        SesOutlet("mail_de", account, open_service(account, "sesv2"), mailing())


def test_ses_is_not_asked_for_what_must_not_leave(ses, ready):
    assert ready.check(PAYLOAD) == []
    assert ready.hand_over(message(embargo_until=NOON + MINUTE), PAYLOAD) == Refused(
        "EMBARGO: it may not leave yet", MINUTE
    )
    assert ready.hand_over(message("josé@example.com"), PAYLOAD) == Refused(
        "ADDRESS: SES takes no address of other than ASCII characters"
    )
    assert isinstance(ready.hand_over(message(action="withdraw"), PAYLOAD), Refused)
    assert ses.asked == []


def event(kind: str, **parts: Any) -> dict[str, Any]:
    mail = {
        "timestamp": "2026-03-02T12:00:00Z",
        "messageId": "0107-abc",
        "tags": {"caravan_message": [message().message_id]},
    }
    return {"eventType": kind, "mail": mail, **parts}


def test_events_come_out_of_the_queue_until_they_are_stored(object_store: ObjectStore) -> None:
    account = connection(object_store.url)
    client = open_service(account, "sqs")
    url = client.create_queue(QueueName="events", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    delivered = event("Delivery", delivery={"timestamp": "2026-03-02T12:00:01Z"})
    wrapped = {"Type": "Notification", "TopicArn": "arn:x", "Message": json.dumps(event("Send"))}
    for body in (json.dumps(delivered), json.dumps(wrapped), "forged", json.dumps(event("Open"))):
        client.send_message(QueueUrl=url, MessageBody=body)
    queue = SesQueue(account, client, url)

    seen = {}
    for received in islice(queue.receive(), 4):
        for fact in received.found:
            seen[fact.raw_id] = fact
    kinds = sorted(fact.kind if isinstance(fact, Feedback) else fact.reason for fact in seen.values())
    assert kinds == ["accepted", "delivered", "is no JSON"]
    assert {fact.message_id for fact in seen.values() if isinstance(fact, Feedback)} == {message().message_id}
    assert [raw for raw, fact in seen.items() if isinstance(fact, Unreadable) and not raw.startswith("sqs:")] == []

    again = {}
    for received in queue.receive():
        for fact in received.found:
            again[fact.raw_id] = fact
        received.ack()
    assert again == seen, "what was not stored comes again, and is the same"
    assert list(queue.receive()) == []


def test_a_queue_that_cannot_be_read(object_store: ObjectStore) -> None:
    account = connection(object_store.url)
    queue = SesQueue(account, open_service(account, "sqs"), f"{object_store.url}/{DEFAULT_ACCOUNT_ID}/nothing-here")
    with pytest.raises(Misconfigured, match="NonExistentQueue"):
        list(queue.receive())
    down = connection(f"http://127.0.0.1:{free_port()}", config_kwargs={"retries": {"total_max_attempts": 1}})
    with pytest.raises(Retryable):
        list(SesQueue(down, open_service(down, "sqs"), "http://127.0.0.1/1/x").receive())
