"""A message as mail, through a connection of the type `smtp`."""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from caravan.clients.mail.server import open_server, port_of
from caravan.core.connections import Connection
from caravan.core.errors import Rejected, Retryable
from caravan.core.incidents import Told

_LOG_IN = {530, 534, 535, 538}
"""Log in, log in otherwise: nothing that another mail could mend."""
_NO_RELAYING = _LOG_IN | {554}
"""Said of a recipient. Said of a mail's text, 554 means that mail only: it looks like spam."""


@dataclass(frozen=True)
class SmtpTarget:
    connection: Connection
    sender: str
    to: Sequence[str]
    at: datetime
    """Aware: what the mail's Date says."""

    def send(self, told: Told) -> str | None:
        """One mail to all recipients; the same `Message-ID` however often it is sent. Returns a remark, if any.

        Raises Retryable when the server cannot be reached or asks to come back, Misconfigured when it does not let us
        in, Rejected when it refuses this mail for good.
        """
        mail = self._mail(told)
        try:
            server = open_server(self.connection)
            try:
                refused = server.send_message(mail, self.sender, list(self.to))
            finally:
                # Not `with`: that raises what the server says to our goodbye, when the mail is delivered already.
                with contextlib.suppress(OSError, smtplib.SMTPException):
                    server.quit()
                server.close()
        except smtplib.SMTPAuthenticationError as error:
            raise self.connection.misconfigured(f"refused the login: {error.smtp_code}") from error
        except smtplib.SMTPNotSupportedError as error:
            raise self.connection.misconfigured(f"{error}") from error
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            text = self._refusal(error.recipients)
            if min(codes) < 500:
                raise Retryable(text) from error
            if set(codes) <= _NO_RELAYING:
                raise self.connection.misconfigured(text) from error
            raise Rejected("RECIPIENTS_REFUSED", text) from error
        except smtplib.SMTPResponseException as error:
            if 400 <= error.smtp_code < 500:
                raise Retryable(f"{self._where} answered {error.smtp_code}: try again later") from error
            # Before a mail's text is sent it is us that the server does not want, and so all mails alike.
            if not isinstance(error, smtplib.SMTPDataError) or error.smtp_code in _LOG_IN:
                raise self.connection.misconfigured(f"does not take mail from us: {error.smtp_code}") from error
            raise Rejected("MAIL_REFUSED", f"{self._where} answered {error.smtp_code}") from error
        except ssl.SSLError as error:
            raise self.connection.misconfigured(f"speaks no such TLS: {error.reason}") from error
        except ValueError as error:  # also a character that no host name, login or password may have
            message = f"host, login, password or addresses cannot be sent: {type(error).__name__}"
            raise self.connection.misconfigured(message) from None  # its text may be the password
        except (OSError, smtplib.SMTPException) as error:
            raise Retryable(f"{self._where} cannot be reached: {self.connection.hide(error)}") from error
        # Some, not all: the others have the mail, and must not get it again.
        return self._refusal(refused) if refused else None

    @property
    def _where(self) -> str:
        return f"mail server {self.connection.host}:{port_of(self.connection)} ({self.connection.conn_id})"

    def _mail(self, told: Told) -> EmailMessage:
        """Of any text: one that cannot be built would keep all later ones waiting."""
        mail = EmailMessage()
        mail["Subject"] = " ".join(_sendable(told.subject).split())  # a line break would begin another header
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.to)
        mail["Date"] = format_datetime(self.at)
        mail["Message-ID"] = f"<{told.message_id}@{self.sender.partition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notice comes back
        mail.set_content(_sendable(told.text))
        return mail

    def _refusal(self, recipients: Mapping[str, tuple[int, bytes]]) -> str:
        codes = ", ".join(sorted({str(code) for code, _ in recipients.values()}))
        return f"{self._where} refused {len(recipients)} of {len(self.to)} recipients ({codes})"


def _sendable(text: str) -> str:
    """Halves of characters, as file names have them, become `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")
