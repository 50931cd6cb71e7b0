"""Releases by SMTP: one connection for many mails, one mail in each transaction.

When a mail can have left: a server that has not seen the line with a single point must drop it (RFC 5321, section
4.1.1.4), so that what breaks before is a refusal. After that line only the server's answer tells.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from collections.abc import Callable, Sequence
from types import TracebackType

from caravan.clients.mail.events import bounce_kind
from caravan.clients.mail.mailing import ASK_A_PERSON, TRY_AGAIN, Draws, Mailing
from caravan.clients.mail.message import Mail
from caravan.clients.mail.server import TIMEOUT_SECONDS, open_server, port_of
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured, Retryable
from caravan.core.outbox import Accepted, Message, Outcome, Refused, Unknown
from caravan.core.release import Payload

ANSWER_SECONDS = 120.0
"""For the answer to a whole mail, while the server looks for spam. RFC 5321 allows 10 minutes; a lease ends sooner."""
_LOG_IN = (530, 534, 535, 538)
"""Log in, log in otherwise: nothing that another mail could mend."""
_POINT_AT_START = re.compile(rb"(?m)^\.")
_ENHANCED = re.compile(rb"^([245]\.\d{1,3}\.\d{1,3})\b")
_QUEUE_ID = re.compile(
    rb"queued as ([\w.-]+)"  # Postfix
    rb"|\bid=([\w.-]+)"  # Exim
    rb"|^(?:2\.\d\.\d )?([\w.-]+) Message accepted"  # Sendmail
    rb"|^(?:2\.\d\.\d )?Ok ([0-9a-f-]{20,})",  # SES
    re.IGNORECASE,
)
_GONE = Refused("the server closed the connection before it got the mail", after=TRY_AGAIN)


class SmtpOutlet(Draws):
    """`open()` before anything is claimed, so that a wrong password stops the task and not the mails. To be closed."""

    is_repeatable = False

    def __init__(
        self,
        code: str,
        connection: Connection,
        mailing: Mailing,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.code = code
        self._connection = connection
        self._mailing = mailing
        self._answer_seconds = answer_seconds
        self._server: smtplib.SMTP | None = None

    def __enter__(self) -> SmtpOutlet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def hand_over(self, message: Message, payload: Payload) -> Outcome:
        mail = self._mailing.compose(message, payload)
        if isinstance(mail, Refused):
            return mail
        try:
            return self._send(mail)
        except BaseException:
            # Whatever stopped us: the next mail must not read an answer that was meant for this one.
            self._drop()
            raise

    def find(self, message: Message, payload: Payload) -> Accepted | Refused | None:
        """SMTP tells nothing afterwards; bounces do."""
        return None

    def open(self) -> None:
        """Raises Misconfigured when the server does not let us in, Retryable when it cannot be reached."""
        if self._server is None:
            self._server = self._opened()

    def close(self) -> None:
        if self._server is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                self._server.quit()
        self._drop()

    def _send(self, mail: Mail) -> Outcome:
        is_kept = self._server is not None
        refused = self._announce(mail)
        if refused is _GONE and is_kept:  # servers close what is idle, or has brought enough: nothing has been sent
            refused = self._announce(mail)
        if refused is not None or self._server is None:
            return refused or _GONE
        return self._bring(self._server, mail)

    def _announce(self, mail: Mail) -> Refused | None:
        """None when the server waits for the mail itself."""
        try:
            self.open()
        except Misconfigured as error:
            return Refused(error.faults[0].message, after=ASK_A_PERSON)
        except Retryable as error:
            return Refused(str(error), after=error.after or TRY_AGAIN)
        server = self._server
        assert server is not None
        options = [f"SIZE={len(mail.content)}"] if server.has_extn("size") else []
        if mail.to.needs_utf8:
            if not server.has_extn("smtputf8"):
                return Refused("ADDRESS: the mail server takes no address of other than ASCII characters")
            options += ["SMTPUTF8", "BODY=8BITMIME"]
        steps: Sequence[tuple[str, int, Callable[[], tuple[int, bytes]]]] = (
            ("MAIL", 2, lambda: server.mail(mail.sender, options)),
            ("RCPT", 2, lambda: server.rcpt(mail.to.text)),
            ("DATA", 3, lambda: server.docmd("DATA")),
        )
        for verb, wanted, ask in steps:
            try:
                code, text = ask()
            except (OSError, smtplib.SMTPServerDisconnected):
                self._drop()
                return _GONE
            if code == 421:
                self._drop()
                return _GONE
            if code // 100 != wanted:
                self._begin_anew(server, is_in_order=code // 100 in (4, 5))
                return self._refusal(verb, code, text)
        return None

    def _bring(self, server: smtplib.SMTP, mail: Mail) -> Outcome:
        """The mail itself, then its end, apart: only after the latter may it have left."""
        try:
            server.send(_POINT_AT_START.sub(b"..", mail.content))
        except (OSError, smtplib.SMTPServerDisconnected):
            self._drop()
            return Refused("the connection broke before the mail was whole", after=TRY_AGAIN)
        try:
            if server.sock is not None:
                server.sock.settimeout(self._answer_seconds)
            server.send(b".\r\n" if mail.content.endswith(b"\r\n") else b"\r\n.\r\n")
            code, text = server.getreply()
            if server.sock is not None:
                server.sock.settimeout(TIMEOUT_SECONDS)
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            return Unknown(f"the server got the mail and did not answer: {type(error).__name__}")
        if 200 <= code < 300:
            return Accepted(_queue_id(text))
        if 400 <= code < 600:
            if code == 421:
                self._drop()
            return self._refusal("the mail", code, text)
        self._drop()
        return Unknown(f"the server got the mail and answered nothing that SMTP knows ({code})")

    def _refusal(self, verb: str, code: int, text: bytes) -> Refused:
        """With codes only: a server's text may quote the address."""
        enhanced = _ENHANCED.match(text)
        status = enhanced.group(1).decode() if enhanced else ""
        after = None if 500 <= code < 600 else TRY_AGAIN
        if code in _LOG_IN:
            after = ASK_A_PERSON
        is_gone = verb == "RCPT" and after is None and bounce_kind(status) == "hard_bounce"
        return Refused(f"the server answered {code}{status and f' {status}'} to {verb}", after, is_gone)

    def _begin_anew(self, server: smtplib.SMTP, *, is_in_order: bool) -> None:
        """The transaction is over, the connection can stay, if the server is of the same opinion."""
        try:
            if not is_in_order or server.rset()[0] // 100 != 2:
                self._drop()
        except (OSError, smtplib.SMTPException):
            self._drop()

    def _drop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = None

    def _opened(self) -> smtplib.SMTP:
        connection = self._connection
        where = f"mail server {connection.host}:{port_of(connection)} ({connection.conn_id})"
        try:
            server = open_server(connection)
            try:
                server.ehlo_or_helo_if_needed()
            except BaseException:
                server.close()
                raise
        except smtplib.SMTPAuthenticationError as error:
            if error.smtp_code < 500:
                raise Retryable(f"{where} answered {error.smtp_code} to the login") from None
            raise connection.misconfigured(f"refused the login: {error.smtp_code}") from None
        except smtplib.SMTPNotSupportedError as error:
            raise connection.misconfigured(str(error)) from None
        except smtplib.SMTPResponseException as error:
            raise Retryable(f"{where} greeted with {error.smtp_code}") from None
        except ssl.SSLError as error:
            raise connection.misconfigured(f"speaks no such TLS: {error.reason}") from None
        except ValueError as error:  # also a character that no host name, login or password may have
            raise connection.misconfigured(f"host or login cannot be sent: {type(error).__name__}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise Retryable(f"{where} cannot be reached: {connection.hide(error)}") from None
        return server


def _queue_id(text: bytes) -> str | None:
    """How the server calls the mail: what its administrator looks for. Few say it alike."""
    found = _QUEUE_ID.search(text)
    return next(group for group in found.groups() if group).decode() if found else None
