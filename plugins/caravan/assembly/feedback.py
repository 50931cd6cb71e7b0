"""What comes back of mails: from queues and mailboxes into the outbox and the contacts. And the page to unsubscribe."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import parseaddr
from typing import TYPE_CHECKING

from caravan.assembly.clock import utc_now
from caravan.assembly.connections import current
from caravan.assembly.outbox import open_books, open_ledger, secret_key
from caravan.assembly.outlets import TEMPLATES, confirm_keys_of, keys_of, normaliser
from caravan.assembly.releases import open_desk
from caravan.config.outlets import MailOutlet
from caravan.config.settings import Settings
from caravan.core.contacts import LIFTABLE
from caravan.core.errors import Fault, Misconfigured, Rejected, nearest
from caravan.core.feedback import Received
from caravan.functions.outbox import confirming, feedback
from caravan.functions.release.recipients import Unfit
from caravan.warehouse.feedback import StoredFeedback

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from caravan.clients.mail.tokens import Subscription

log = logging.getLogger(__name__)

CHANNEL = "email"
JUDGED_FOR = timedelta(days=30)
"""An outlet is judged by the mails that it handed over in this time, and since a person looked at it last."""
TURN = timedelta(minutes=15)
"""For what has come to one place. Each mail has two events at least: to take so many in an hour, and no more, would be
days behind a list of a hundred thousand, and a queue forgets."""


def list_outlets() -> list[str]:
    """Outlets for mail. One without a queue and a mailbox is judged by what its server says at once."""
    with open_desk() as desk:
        return [code for code, each in desk.shelf.known.outlets.items() if isinstance(each, MailOutlet)]


def collect(outlet: str) -> dict[str, int]:
    """Take in all that has come back of one outlet's mails. Where that is too much it hands over nothing more until a
    person lifts that: Rejected for so long."""
    settings = Settings.from_environment()
    with open_desk(settings) as desk, open_ledger(settings) as ledger:
        account = desk.shelf.known.outlets.get(outlet)
        if not isinstance(account, MailOutlet):
            raise Misconfigured([Fault(f"outlet {outlet}", "is no outlet for mail, or has a fault")])
        notes = StoredFeedback(ledger)
        taker = feedback.Desk(outlet, CHANNEL, desk.outbox, desk.contacts, notes, utc_now)
        counts: Counter[str] = Counter()
        for source in _sources(account, desk.key):
            counts += feedback.take_in(source, taker, utc_now() + TURN)
        log.info("%s: %s", outlet, dict(counts))
        since = utc_now() - JUDGED_FOR
        since = max(since, desk.stops.lifted_at(outlet) or since)
        gone = desk.contacts.refused_since(outlet, since)
        came = Counter(notes.of_mails_since(outlet, since)) + Counter(hard_bounce=gone)
        if why := feedback.too_much(desk.outbox.sent_since(outlet, since) + gone, came):
            desk.stops.stop(outlet, why, utc_now())
        stop = desk.stops.standing().get(outlet)
    if stop:
        raise Rejected("OUTLET_STOPPED", f"{outlet}: since {stop.at:%Y-%m-%d %H:%M} UTC nothing leaves: {stop.reason}. "
                       f"Look at whom you write to; then `./caravan outbox lift {outlet} --why ...`")  # fmt: skip
    return dict(counts)


def lift(outlet: str, by: str, why: str) -> None:
    """An outlet that was stopped hands over again. It is judged by what it sends from now on."""
    with open_desk() as desk:
        if outlet not in desk.shelf.known.outlets and outlet not in desk.stops.standing():
            told = f"there is no outlet '{outlet}'{nearest(outlet, desk.shelf.known.outlets)}"
            raise Misconfigured([Fault("outlet", told)])
        if not desk.stops.lift(outlet, utc_now(), by, why):
            raise Rejected("NOT_STOPPED", f"nothing has stopped '{outlet}'")


def unsuppress(address: str, by: str, why: str) -> list[str]:
    """Write again to an address of which a server said that it is not there; the reasons that are lifted. Rejected when
    there is none, or one that its owner gave."""
    normal = normaliser(None)(address)
    if isinstance(normal, Unfit):
        raise Rejected(normal.reason_code, f"that is no address: {normal.message}")
    with open_desk() as desk:
        found = desk.contacts.suppressions(desk.subject_of(normal), CHANNEL)
        if not found:
            told = "nothing suppresses this address"
            if any(each.state == "withdrawn" for each in desk.contacts.consent(desk.subject_of(normal))):
                told += ": it unsubscribed, and only its owner can subscribe it again"
            raise Rejected("NOT_SUPPRESSED", told)
        if theirs := [each.reason for each in found if each.reason not in LIFTABLE]:
            raise Rejected("NOT_OURS_TO_LIFT", f"its owner said so ({', '.join(theirs)}): that stays")
        for each in found:
            desk.contacts.lift(each, utc_now(), by, why)
    return [each.reason for each in found]


def _sources(account: MailOutlet, key: bytes) -> Iterator[Iterator[Received]]:
    if account.events:
        from caravan.clients.aws import open_service
        from caravan.clients.mail.ses_events import SesQueue

        connection = current().get(account.events.connection)
        client = open_service(connection, "sqs")
        topics, accounts = frozenset(account.events.topics), frozenset(account.events.accounts)
        yield SesQueue(connection, client, account.events.url, topics, accounts).receive(wait_seconds=1)
    if account.bounces:
        from caravan.clients.mail.bounces import Reports
        from caravan.clients.mail.mailbox import receive
        from caravan.clients.mail.tokens import mark_of

        domain = parseaddr(account.sender)[1].rpartition("@")[2]
        yield receive(
            current().get(account.bounces.connection), Reports(domain, mark_of(key)), utc_now, account.bounces.folder
        )


def unsubscribe_page(settings: Settings | None = None) -> WSGIApplication:
    """For any WSGI server: `caravan.assembly.feedback:unsubscribe_page()`. GET shows a page, POST unsubscribes, or
    confirms: the link says which."""
    from caravan.clients.mail.unsubscribe import Confirming, application
    from caravan.clients.mail.unsubscribing import NOBODY
    from caravan.clients.mail.words import read_words

    chosen = settings or Settings.from_environment()

    def record(subscription: Subscription) -> None:
        if subscription.message_id == NOBODY:
            return  # somebody tries the page
        with open_books(chosen) as books:
            message = books.outbox.get(subscription.message_id)
            if message is None:
                # Of a mail that left after the backup that was restored: whose it was is not known yet, or any more.
                told = f"message {subscription.message_id}, which the outbox does not know, was to end a subscription"
                log.error("%s: see docs/backup.md, Restore", told)
                raise Rejected("UNKNOWN_MESSAGE", told)
            now = utc_now()
            feedback.unsubscribe(message, books.contacts, CHANNEL, now, now)

    def confirm(subscription: Subscription) -> bool:
        with open_books(chosen) as books:
            message = books.outbox.get(subscription.message_id)
            return message is not None and confirming.confirm(message, books.contacts, CHANNEL, utc_now())

    with open_books(chosen) as books:
        key = secret_key(chosen, books.contacts)
    words = read_words(TEMPLATES / "mail" / "words.yml")
    return application(record, keys_of(key), words, Confirming(confirm_keys_of(key), confirm))


@contextmanager
def served(port: int) -> Iterator[str]:
    """The page on loopback, for a web server in front of it."""
    from caravan.clients.mail.unsubscribe import serve

    with serve(unsubscribe_page(), port) as address:
        yield address
