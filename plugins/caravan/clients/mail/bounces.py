"""What a bounced mail or a complaint says: delivery reports (RFC 3464; RFC 6533 for addresses beyond ASCII) and abuse
reports (ARF, RFC 5965). Pure."""

from __future__ import annotations

import email
import email.policy
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from email.utils import parsedate_to_datetime

from caravan.clients.mail.events import (
    Feedback,
    Kind,
    Unreadable,
    bounce_kind,
    status_in,
    utc,
    without_addresses,
)
from caravan.clients.mail.message import ID_HEADER

_MARK = re.compile(r"([0-9a-f]{32})(\.[0-9a-f]+)?")
_OURS = re.compile(r"<([0-9a-f]{32}(?:\.[0-9a-f]+)?)@([^\s<>@]+)>")
_NOT_SPAM = "not-spam"
_MOST_BYTES = 5_000_000


class _Wrong(Exception):
    """The text says why nothing can be read out of it, without what it holds."""


@dataclass(frozen=True)
class Reports:
    """`sender_domain`: of our Message-IDs. `mark`: what our headers call a message of this id; what they do not is
    forged."""

    sender_domain: str
    mark: Callable[[str], str]

    def parse(self, content: bytes, now: datetime) -> tuple[Feedback | Unreadable, ...]:
        """Nothing for a report that a mail is late, or is no spam. `now`: where it has no date that can be read."""
        raw_id = f"mail:{hashlib.sha256(content).hexdigest()[:32]}"
        try:
            if len(content) > _MOST_BYTES:
                raise _Wrong("is too long for a report")
            # compat32 keeps headers as they are: the newer policies may raise on broken ones.
            mail = email.message_from_bytes(content, policy=email.policy.compat32)
            return tuple(self._facts(mail, raw_id, now))
        except _Wrong as error:
            return (Unreadable(str(error), raw_id),)

    def _facts(self, mail: Message, raw_id: str, now: datetime) -> Iterator[Feedback]:
        if mail.get_content_type() != "multipart/report" or not mail.is_multipart():
            raise _Wrong("is neither a delivery report nor a complaint")
        report = str(mail.get_param("report-type") or "").lower()
        message_id = self._message_id(mail)
        at = _date(mail.get("Date"), now)
        if report == "delivery-status":
            yield from self._deliveries(mail, message_id, raw_id, at)
        elif report == "feedback-report":
            yield from self._complaints(mail, message_id, raw_id, at)
        else:
            raise _Wrong("is a report of another type")

    def _deliveries(self, mail: Message, message_id: str, raw_id: str, at: datetime) -> Iterator[Feedback]:
        blocks = _blocks(mail, "message/delivery-status", "message/global-delivery-status")
        recipients = [block for block in blocks if block.get("Final-Recipient") or block.get("Original-Recipient")]
        if not recipients:
            raise _Wrong("names no recipient")
        for block in recipients:
            action = str(block.get("Action") or "").strip().lower()
            diagnosis = str(block.get("Diagnostic-Code") or "")
            status = status_in(str(block.get("Status") or "")) or status_in(diagnosis)
            kind: Kind | None
            if action in ("delivered", "relayed", "expanded"):
                kind = "delivered"
            elif action == "delayed":
                kind = None
            elif action == "failed":
                # A failure without a status that tells of one may pass: nobody is struck off for it.
                kind = bounce_kind(status) or "soft_bounce"
            else:
                raise _Wrong("has no action that RFC 3464 knows")
            if kind is not None:
                detail = without_addresses(f"{action} {status} {diagnosis}")
                yield Feedback(message_id, None, kind, at, detail, raw_id)

    def _complaints(self, mail: Message, message_id: str, raw_id: str, at: datetime) -> Iterator[Feedback]:
        blocks = _blocks(mail, "message/feedback-report")
        kind = str(blocks[0].get("Feedback-Type") or "").strip().lower()
        if not kind:
            raise _Wrong("has no type of feedback")
        if kind == _NOT_SPAM:
            return
        name: Kind = "unsubscribe" if kind.startswith("opt-out") else "complaint"
        yield Feedback(message_id, None, name, at, without_addresses(kind), raw_id)

    def _message_id(self, mail: Message) -> str:
        """From the headers of ours that came back: both have to say the same."""
        for part in _parts(mail):
            original = _original(part)
            if original is None:
                continue
            own = str(original.get(ID_HEADER) or "").strip()
            found = _OURS.fullmatch(str(original.get("Message-ID") or "").strip())
            standard = found.group(1) if found and found.group(2).lower() == self.sender_domain.lower() else ""
            if own and not _MARK.fullmatch(own):
                raise _Wrong(f"its {ID_HEADER} is no id of ours")
            # A relay may have written a Message-ID of its own, as SES does.
            if own and found and standard != own:
                raise _Wrong("the ids of the mail that came back differ")
            if marked := _MARK.fullmatch(own or standard):
                if not hmac.compare_digest(marked.group(), self.mark(marked.group(1))):
                    raise _Wrong("the id of the mail that came back is not signed by us")
                return marked.group(1)
        raise _Wrong("does not bring back a mail of ours")


def _original(part: Message) -> Message | None:
    """The mail that came back, or its headers alone."""
    kind = part.get_content_type()
    if kind in ("message/rfc822", "message/global") and part.is_multipart():
        inner = part.get_payload(0)
        return inner if isinstance(inner, Message) else None
    if kind in ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers"):
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            return email.message_from_bytes(payload, policy=email.policy.compat32)
        if part.is_multipart() and isinstance(inner := part.get_payload(0), Message):
            return inner
    return None


def _parts(mail: Message) -> list[Message]:
    """Of the report itself: what the mail that came back consists of is no report."""
    return [part for part in mail.get_payload() if isinstance(part, Message)]


def _blocks(mail: Message, *kinds: str) -> list[Message]:
    """The groups of fields of the machine-readable part."""
    for part in _parts(mail):
        if part.get_content_type() in kinds and part.is_multipart():
            found = [block for block in part.get_payload() if isinstance(block, Message)]
            if part.get_content_type() == "message/global-delivery-status":
                found += _rest(found[0])
            if found:
                return found
    raise _Wrong(f"has no part {kinds[0]}")


def _rest(first: Message) -> list[Message]:
    """The library takes the groups of fields of RFC 6533 for a mail: the first for its headers, the others for its
    text."""
    text = first.get_payload()
    groups = re.split(r"\r?\n\r?\n", text) if isinstance(text, str) else []
    return [email.message_from_string(group, policy=email.policy.compat32) for group in groups if group.strip()]


def _date(text: object, now: datetime) -> datetime:
    try:
        return utc(parsedate_to_datetime(str(text)))
    except (ValueError, TypeError, OverflowError):
        return now
