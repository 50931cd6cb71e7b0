"""A mailbox that bounces and complaints come to. The connection is Airflow's of the type `imap`."""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from imap_tools import (
    AND,
    BaseMailBox,
    ImapToolsError,
    MailBox,
    MailboxLoginError,
    MailBoxUnencrypted,
    MailMessageFlags,
)

from caravan.clients.mail.bounces import Reports
from caravan.clients.mail.events import Received
from caravan.core.connections import Connection
from caravan.core.errors import Retryable

TIMEOUT_SECONDS = 30.0


def receive(
    connection: Connection, reports: Reports, clock: Callable[[], datetime], folder: str = "INBOX"
) -> Iterator[Received]:
    """What has not been seen, the oldest first. A mail is marked as seen by `ack` and by nothing else.

    `clock`: UTC without zone. Raises Retryable, and Misconfigured for a login that is refused.
    """
    with _opened(connection, folder) as box:
        for uid in list(box.uids(AND(seen=False))):
            # The bytes as the server sends them, for they are what tells one report from the other; and PEEK.
            _, answer = box.client.uid("fetch", uid, "(BODY.PEEK[])")
            parts = [part[1] for part in answer if isinstance(part, tuple)]
            if parts:  # else somebody else has deleted it meanwhile
                yield Received(reports.parse(parts[0], clock()), _seen(connection, box, uid))


def try_mailbox(connection: Connection, folder: str = "INBOX") -> str:
    """Opens it, and says what was seen; marks nothing. Raises like `receive`."""
    with _opened(connection, folder) as box:
        return f"{folder} can be opened, {len(box.uids(AND(seen=False)))} mails are new"


def _seen(connection: Connection, box: BaseMailBox, uid: str) -> Callable[[], None]:
    def ack() -> None:
        with _typed_errors(connection):
            box.flag(uid, MailMessageFlags.SEEN, True)

    return ack


@contextmanager
def _opened(connection: Connection, folder: str) -> Iterator[BaseMailBox]:
    host = connection.host or ""
    if not host:
        raise connection.misconfigured("has no host")
    is_plain = str(connection.extra.get("disable_ssl", "")).lower() in ("true", "1", "yes")
    with _typed_errors(connection):
        box: BaseMailBox
        if is_plain:
            box = MailBoxUnencrypted(host, connection.port or 143, timeout=TIMEOUT_SECONDS)
        else:
            context = ssl.create_default_context()
            box = MailBox(host, connection.port or 993, timeout=TIMEOUT_SECONDS, ssl_context=context)
        box.login(connection.login or "", connection.password or "", initial_folder=folder)
        with box:
            yield box


@contextmanager
def _typed_errors(connection: Connection) -> Iterator[None]:
    where = f"mailbox {connection.address} ({connection.conn_id})"
    try:
        yield
    except MailboxLoginError:
        raise connection.misconfigured("refused the login") from None
    except ssl.SSLError as error:
        raise connection.misconfigured(f"speaks no such TLS: {error.reason}") from None
    except UnicodeError as error:
        raise connection.misconfigured(f"host or login cannot be sent: {type(error).__name__}") from None
    except (OSError, imaplib.IMAP4.error, ImapToolsError) as error:
        raise Retryable(f"{where} cannot be read: {connection.hide(error)}") from None
