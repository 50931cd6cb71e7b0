"""What became of mails, from whatever tells it: queues of SES, a mailbox for bounces."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

from caravan.core.feedback import Feedback, Kind, Received, Unreadable

__all__ = ["Feedback", "Kind", "Received", "Unreadable"]

_MESSAGE_ID = re.compile(r"[0-9a-f]{32}")
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_ADDRESS = re.compile(r"<?[^\s<>@]+@[^\s<>@]+>?")
_LONGEST_DETAIL = 200
_ABOUT_US = (3, 5, 6, 7)
_NO_SUCH_ADDRESS = frozenset([*((1, detail) for detail in range(7)), (1, 10), (2, 0), (2, 1)])


def is_message_id(text: object) -> bool:
    return isinstance(text, str) and _MESSAGE_ID.fullmatch(text) is not None


def bounce_kind(status: str) -> Literal["hard_bounce", "soft_bounce", "blocked"] | None:
    """Of an enhanced status code (RFC 3463, and IANA's registry of them); None when it tells of no failure.

    Hard is only what says that there is no such address, or that its mailbox is closed. 5.3.x, the other system, 5.5.x,
    protocol, 5.6.x, content, 5.7.x, security and policy, 5.1.7 and 5.1.8, the sender's address, 5.2.3, a mail too long,
    are about us or their server: after a slip of ours, or with our server on a list, all the world would be struck off.
    All else may pass, also 5.4.x: a name server of ours that is ill says of every domain that it is not there.
    """
    found = _STATUS.fullmatch(status.strip())
    if found is None or found.group(1) == "2":
        return None
    kind, subject, detail = (int(part) for part in found.groups())
    if subject in _ABOUT_US or (subject, detail) in ((1, 7), (1, 8), (2, 3)):
        return "blocked"
    return "hard_bounce" if kind == 5 and (subject, detail) in _NO_SUCH_ADDRESS else "soft_bounce"


def status_in(text: str) -> str:
    """The first enhanced status code of a server's answer, or nothing."""
    found = _STATUS.search(text)
    return found.group() if found else ""


def without_addresses(text: str) -> str:
    """A server's own words, fit to be stored."""
    storable = text.encode(errors="replace").decode().replace("\0", "?")
    return _ADDRESS.sub("<address>", " ".join(storable.split()))[:_LONGEST_DETAIL]


def utc(moment: datetime) -> datetime:
    """UTC without zone; what has none is UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
