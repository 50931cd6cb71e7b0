"""One mail as it is sent: MIME parts and headers, the same bytes for the same message and time."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address as Named
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime

from caravan.clients.mail.addresses import Address, fits_header
from caravan.clients.mail.template import Compiled, Sender
from caravan.core.errors import Rejected
from caravan.core.release import Kind

ID_HEADER = "Caravan-Message-Id"
_LONGEST_LINE = 998  # RFC 5322, section 2.1.1
_UNFIT_IN_FEEDBACK_ID = re.compile(r"[^A-Za-z0-9_.-]")


class _OneLine(EmailPolicy):
    """Headers of ASCII are written in one line.

    The library would fold a long one without spaces, as List-Unsubscribe is, by encoding its words: RFC 2047 allows
    that in texts only, and mail providers would see no link.
    """

    def fold_binary(self, name: str, value: str) -> bytes:
        line = f"{name}: {value}"
        if "\r" in line or "\n" in line:  # whatever has been decoded on its way here
            raise Rejected("HEADER_UNFIT", f"the header {name} would be more than one")
        if line.isascii() and len(line) <= _LONGEST_LINE:
            return (line + self.linesep).encode("ascii")
        return super().fold_binary(name, value)


_POLICY = _OneLine(linesep="\r\n", cte_type="7bit", raise_on_defect=False)
_POLICY_UTF8 = _POLICY.clone(utf8=True)


@dataclass(frozen=True)
class Envelope:
    """What goes into the headers. `mark`: the id as bounces bring it back (tokens.py). `unsubscribe_url`: None for a
    notice, from which nobody unsubscribes."""

    message_id: str
    mark: str
    to: Address
    outlet: str
    release_id: str
    kind: Kind
    at: datetime
    unsubscribe_url: str | None = None


@dataclass(frozen=True)
class Mail:
    """`content`: of 7-bit characters and lines ending in CRLF, but for headers where `to` needs UTF-8."""

    message_id: str
    sender: str
    to: Address = field(repr=False)
    content: bytes = field(repr=False)


def build(filled: Compiled, sender: Sender, envelope: Envelope) -> Mail:
    """Raises Rejected HEADER_UNFIT when something would begin another header, or fits none."""
    _require_one_line("subject", filled.subject)
    if not filled.subject.strip():
        raise Rejected("HEADER_UNFIT", "the subject is empty")
    mail = EmailMessage(policy=_POLICY_UTF8 if envelope.to.needs_utf8 else _POLICY)
    domain = sender.address.rpartition("@")[2]
    mail["From"] = Named(display_name=sender.name, addr_spec=sender.address)
    mail["To"] = Named(username=envelope.to.text.rpartition("@")[0], domain=envelope.to.domain)
    if sender.reply_to:
        mail["Reply-To"] = Named(addr_spec=sender.reply_to)
    mail["Subject"] = filled.subject
    mail["Date"] = format_datetime(envelope.at.replace(tzinfo=UTC))
    mail["Message-ID"] = f"<{envelope.mark}@{domain}>"
    mail[ID_HEADER] = envelope.mark
    parts = (envelope.release_id, envelope.outlet, envelope.kind, domain)
    mail["Feedback-ID"] = ":".join(_UNFIT_IN_FEEDBACK_ID.sub("_", part) for part in parts)
    if envelope.unsubscribe_url:
        _require_one_line("link to unsubscribe", envelope.unsubscribe_url)
        mail["List-Unsubscribe"] = f"<{envelope.unsubscribe_url}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
        # Holiday notices stay away. No Auto-Submitted (RFC 3834): a person has approved this, it answers nothing,
        # and filters that look for machines' mail would take it for a machine's. And a notice is no bulk mail.
        mail["Precedence"] = "bulk"
    # The headers are the library's work. The parts are not: it takes longer for them than for all else a mail needs.
    head = mail.as_bytes().removesuffix(b"\r\n")
    return Mail(envelope.message_id, sender.address, envelope.to, head + _parts(filled, envelope.message_id.encode()))


def _parts(filled: Compiled, message_id: bytes) -> bytes:
    """Of multipart/alternative, the best one last. Quoted-printable never writes `=_`: the boundary is in no part."""
    boundary = b"=_" + message_id
    content = b'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="' + boundary + b'"\r\n'
    for subtype, text in ((b"plain", filled.text), (b"html", filled.html)):
        # No lone CR either: servers that take it for the end of a line see other mails in ours.
        lines = text.replace("\r\n", "\n").replace("\r", "\n")
        encoded = binascii.b2a_qp(lines.encode("utf-8", "replace"), istext=True)
        content += b"\r\n--" + boundary + b"\r\nContent-Type: text/" + subtype + b'; charset="utf-8"\r\n'
        content += b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encoded.replace(b"\n", b"\r\n")
    return content + b"\r\n--" + boundary + b"--\r\n"


def _require_one_line(what: str, text: str) -> None:
    """Without the text: it may be an address or a name."""
    if not fits_header(text):
        raise Rejected("HEADER_UNFIT", f"the {what} has a line break, a control character or an encoded word")
    if len(text.encode("utf-8")) > _LONGEST_LINE - 30:
        raise Rejected("HEADER_UNFIT", f"the {what} is too long for a header")
