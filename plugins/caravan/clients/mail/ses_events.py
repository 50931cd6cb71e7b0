"""Events of SES out of an SQS queue, to which a configuration set sends them, directly or through SNS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import botocore.exceptions as boto_errors
from botocore.parsers import ResponseParserError

from caravan.clients.aws import BROKEN
from caravan.clients.mail.events import Feedback, Kind, Received, Unreadable, is_message_id, utc
from caravan.clients.mail.events import without_addresses as shown
from caravan.clients.mail.ses import TAG
from caravan.core.connections import Connection
from caravan.core.errors import Retryable

_MOST_AT_ONCE = 10  # of SQS
_OF_CONTENT = ("MessageTooLarge", "ContentRejected", "AttachmentRejected")
"""Subtypes of bounces that are about the text."""
_IGNORED = frozenset(("Open", "Click", "DeliveryDelay"))
"""Opens and clicks decide nothing here, and a delayed mail is still on its way."""
_ONE_FACT: Mapping[str, tuple[Kind, str]] = {
    "Send": ("accepted", "send"),
    "Delivery": ("delivered", "delivery"),
    "Reject": ("reject", "reject"),
    "Rendering Failure": ("reject", "failure"),
}
"""Kind of the event, and where it tells more."""


class _Wrong(Exception):
    """The event is not as SES writes it; the text says what is wrong, without what it holds."""


@dataclass(frozen=True)
class SesQueue:
    """`client`: of `sqs`. `topics`: ARNs of the SNS topics that may write into the queue; `accounts`: AWS accounts that
    send. An event that says otherwise is unreadable, whatever the queue's own policy lets in."""

    connection: Connection
    client: Any
    url: str
    topics: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()

    def receive(self, wait_seconds: int = 0) -> Iterator[Received]:
        """Until the queue gives nothing more. `wait_seconds`: with 0 some of SQS's servers are asked, and of a few
        messages they may have none. Raises Retryable and Misconfigured."""
        while True:
            with _typed_errors(self.connection):
                answer = self.client.receive_message(
                    QueueUrl=self.url, MaxNumberOfMessages=_MOST_AT_ONCE, WaitTimeSeconds=wait_seconds
                )
            messages: Sequence[Mapping[str, str]] = answer.get("Messages", [])
            if not messages:
                return
            for message in messages:
                found = self.parse(message.get("Body", ""), f"sqs:{message['MessageId']}")
                yield Received(found, self._delete(message["ReceiptHandle"]))

    def parse(self, body: str, raw_id: str) -> tuple[Feedback | Unreadable, ...]:
        try:
            event = self._unwrapped(_object(_json(body), "the message"))
            return tuple(self._facts(event, raw_id))
        except _Wrong as error:
            return (Unreadable(str(error), raw_id),)

    def _delete(self, handle: str) -> Callable[[], None]:
        def ack() -> None:
            with _typed_errors(self.connection):
                self.client.delete_message(QueueUrl=self.url, ReceiptHandle=handle)

        return ack

    def _unwrapped(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Out of SNS's envelope, if it is in one."""
        if message.get("Type") != "Notification" or "TopicArn" not in message:
            if self.topics:
                raise _Wrong("did not come through a topic of ours")
            return message
        if self.topics and _text_of(message["TopicArn"]) not in self.topics:
            raise _Wrong("came through a topic that is not ours")
        return _object(_json(message.get("Message")), "the event")

    def _facts(self, event: Mapping[str, Any], raw_id: str) -> Iterator[Feedback]:
        # Configuration sets say eventType, the older notifications of an identity notificationType.
        kind = _text_of(event.get("eventType", event.get("notificationType")))
        mail = _object(event.get("mail"), "mail")
        if self.accounts and _text_of(mail.get("sendingAccountId")) not in self.accounts:
            raise _Wrong("was sent by an account that is not ours")
        provider_id = _text(mail.get("messageId"), "mail.messageId")
        message_id = _message_id(mail)
        if kind in _IGNORED:
            return
        sent_at = mail.get("timestamp")
        if kind in _ONE_FACT:
            name, where = _ONE_FACT[kind]
            part = _object(event.get(where, {}), where)
            detail = str(part.get("smtpResponse") or part.get("reason") or part.get("errorMessage") or "")
            at = _moment(part.get("timestamp", sent_at))
            yield Feedback(message_id, provider_id, name, at, shown(detail), raw_id)
        elif kind == "Bounce":
            part = _object(event.get("bounce"), "bounce")
            raw_id = _own_id(part, raw_id)
            sort, sub = (
                _text(part.get("bounceType"), "bounceType"),
                _text(part.get("bounceSubType", "-"), "bounceSubType"),
            )
            # SES has told apart already what passes: a full mailbox is Transient whatever its status.
            bounce: Kind = "hard_bounce" if sort == "Permanent" else "soft_bounce"
            if sub in _OF_CONTENT:
                bounce = "blocked"
            for recipient in _recipients(part, "bouncedRecipients"):
                detail = f"{sort} {sub} {recipient.get('status', '')} {recipient.get('diagnosticCode', '')}"
                at = _moment(part.get("timestamp"))
                yield Feedback(message_id, provider_id, bounce, at, shown(detail), raw_id)
        elif kind == "Complaint":
            part = _object(event.get("complaint"), "complaint")
            raw_id = _own_id(part, raw_id)
            # Who it was is the message's to say: it has one recipient.
            _recipients(part, "complainedRecipients")
            detail = str(part.get("complaintFeedbackType") or part.get("complaintSubType") or "")
            at = _moment(part.get("timestamp"))
            yield Feedback(message_id, provider_id, "complaint", at, shown(detail), raw_id)
        elif kind == "Subscription":
            part = _object(event.get("subscription"), "subscription")
            at = _moment(part.get("timestamp"))
            detail = f"contact list {part.get('contactList', '')}"
            yield Feedback(message_id, provider_id, "unsubscribe", at, shown(detail), raw_id)
        else:
            raise _Wrong("is of no kind that SES is known to send")


@contextmanager
def _typed_errors(connection: Connection) -> Iterator[None]:
    where = f"the queue of connection {connection.conn_id}"
    try:
        yield
    except boto_errors.ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if status >= 500 or status == 429 or "Throttl" in code or code.endswith("ReceiptHandleIsInvalid"):
            raise Retryable(f"{where} answers {code or status}") from None
        message = f"{where} answers {code or status}: its URL, or the right to sqs:ReceiveMessage and sqs:DeleteMessage"
        raise connection.misconfigured(message) from None
    except (boto_errors.NoCredentialsError, boto_errors.ParamValidationError, boto_errors.SSLError) as error:
        raise connection.misconfigured(f"{where}: {connection.hide(error)}") from None
    except (boto_errors.BotoCoreError, ResponseParserError, *BROKEN) as error:
        raise Retryable(f"{where} cannot be read: {connection.hide(error)}") from None


def _message_id(mail: Mapping[str, Any]) -> str | None:
    """Ours, from the tag; None when somebody else's mail left through the same configuration set."""
    values = _object(mail.get("tags", {}), "mail.tags").get(TAG)
    if values is None:
        return None
    if not isinstance(values, list) or len(values) != 1 or not is_message_id(values[0]):
        raise _Wrong(f"its tag {TAG} is no id of ours")
    return str(values[0])


def _recipients(part: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = part.get(name)
    if not isinstance(found, list) or not found:
        raise _Wrong(f"has no {name}")
    return [_object(recipient, name) for recipient in found]


def _own_id(part: Mapping[str, Any], raw_id: str) -> str:
    """What SES calls the bounce or complaint: SNS may bring one twice, each time as another message of the queue."""
    return f"ses:{_text(part['feedbackId'], 'feedbackId')}" if part.get("feedbackId") else raw_id


def _moment(text: object) -> datetime:
    try:
        return utc(datetime.fromisoformat(_text(text, "timestamp")))
    except (ValueError, OverflowError):
        raise _Wrong("has a timestamp that is none") from None


def _json(text: object) -> object:
    try:
        return json.loads(_text(text, "text"))
    except (ValueError, RecursionError):
        raise _Wrong("is no JSON") from None


def _object(found: object, name: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise _Wrong(f"{name} is no JSON object")
    return found


def _text_of(found: object) -> str:
    """What is no text is nothing that is known: the values of JSON cannot all be looked up."""
    return found if isinstance(found, str) else ""


def _text(found: object, name: str) -> str:
    if not isinstance(found, str) or not found:
        raise _Wrong(f"has no {name}")
    if "\0" in found or any("\ud800" <= sign <= "\udfff" for sign in found):
        raise _Wrong(f"its {name} is no text that can be stored")
    return found
