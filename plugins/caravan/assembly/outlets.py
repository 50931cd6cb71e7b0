"""Outlets as releases' steps use them, from their files and connections."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from email.utils import parseaddr
from typing import TYPE_CHECKING

from caravan import TEMPLATES_DIR
from caravan.assembly.clock import utc_now
from caravan.assembly.connections import current
from caravan.config import outlets as config
from caravan.config.lists import RecipientList
from caravan.config.settings import Settings
from caravan.core.connections import Connection
from caravan.core.errors import Fault, Misconfigured
from caravan.core.outbox import UNLIMITED, Message, Spacing
from caravan.core.release import Drawer, Outlet
from caravan.functions.release.recipients import Normalise, Unfit

if TYPE_CHECKING:
    from caravan.clients.mail.mailing import Mailing
    from caravan.clients.mail.tokens import Keys
    from caravan.clients.site.store import Store

TEMPLATES = TEMPLATES_DIR / "release"
_KEY_ID, _CONFIRM_KEY_ID = "k1", "c1"


@contextmanager
def open_outlet(
    account: config.OutletAccount,
    settings: Settings,
    key: bytes,
    variables: Sequence[str] = (),
    sites: Mapping[str, config.SiteOutlet] | None = None,
    zones: Mapping[str, str] | None = None,
) -> Iterator[Outlet]:
    """`key`: signs links to unsubscribe. `variables`: what every recipient has. `sites`: those that hubs and search
    engines are told of, by code. `zones`: of markets, in which a page tells its day. Nothing is asked of anybody yet.

    Raises Misconfigured for a connection that is missing or makes no sense.
    """
    match account:
        case config.SiteOutlet():
            yield _site(account, settings, zones or {})
        case config.SmtpOutlet():
            from caravan.clients.mail.smtp import SmtpOutlet

            connection = current().get(account.connection)
            with SmtpOutlet(account.code, connection, mailing_of(account, key, variables)) as outlet:
                yield outlet
        case config.SesOutlet():
            from caravan.clients.aws import open_service
            from caravan.clients.mail.ses import SesOutlet

            connection = current().get(account.connection)
            yield SesOutlet(
                account.code,
                connection,
                open_service(connection, "sesv2", tries_once=True),
                mailing_of(account, key, variables),
                account.configuration_set,
            )
        case config.WebSubOutlet() | config.IndexNowOutlet():
            yield _notice(account, sites)
        case _:
            yield _post(account, current().get)


def drawer_of(
    account: config.OutletAccount,
    settings: Settings,
    variables: Sequence[str],
    sites: Mapping[str, config.SiteOutlet],
    zones: Mapping[str, str],
) -> Drawer:
    """What an outlet makes of content, where nothing is handed over: it asks for no connection.

    Raises Misconfigured for one that could never be opened.
    """
    match account:
        case config.MailOutlet():
            return mailing_of(account, b"nobody gets this", variables)
        case config.SiteOutlet():
            return _site(account.model_copy(update={"bucket": None, "folder": "site"}), settings, zones)
        case config.WebSubOutlet() | config.IndexNowOutlet():
            return _notice(account, sites)
        case _:
            return _post(account, lambda conn_id: Connection(conn_id, "http"))


def normaliser(of_list: RecipientList | None) -> Normalise:
    """Of the addresses in a recipients' file; None for our own. A newspaper or a partner is written to at press@ or
    info@; a customer who has subscribed is a person."""
    from caravan.clients.mail.addresses import Invalid, normalised

    is_of_people = of_list is not None and of_list.audience == "customer"

    def normalise(address: str) -> str | Unfit:
        found = normalised(address)
        if isinstance(found, Invalid):
            return Unfit("BAD_ADDRESS", found.reason)
        if found.is_role and is_of_people:
            return Unfit("ROLE_ADDRESS", "stands for nobody in particular (info@, sales@): a customer is a person")
        return found.text

    return normalise


def _post(account: config.OutletAccount, connection_of: Callable[[str], Connection]) -> Outlet:
    """On somebody else's service."""
    from caravan.clients.posts.bluesky import Bluesky
    from caravan.clients.posts.mastodon import Mastodon
    from caravan.clients.posts.webhook import Webhook
    from caravan.clients.posts.wordpress import WordPress

    match account:
        case config.WordPressOutlet():
            blog = connection_of(account.connection)
            becomes, then = account.status, account.withdrawn_status
            return WordPress(
                account.code, blog, utc_now, category=account.category, status=becomes, withdrawn_status=then
            )
        case config.MastodonOutlet():
            server, most = connection_of(account.connection), account.max_characters
            return Mastodon(account.code, server, utc_now, visibility=account.visibility, max_characters=most)
        case config.BlueskyOutlet():
            return Bluesky(account.code, connection_of(account.connection), utc_now)
        case config.WebhookOutlet():
            return Webhook(account.code, connection_of(account.connection), utc_now)
    raise Misconfigured([Fault(f"outlet {account.code}", "is of a kind that nothing here can open")])


def _notice(
    account: config.WebSubOutlet | config.IndexNowOutlet, sites: Mapping[str, config.SiteOutlet] | None
) -> Outlet:
    """Of a site's feeds to a hub, of its pages to search engines. Neither has an account."""
    from caravan.clients.posts.indexnow import IndexNow
    from caravan.clients.posts.websub import WebSub

    if isinstance(account, config.IndexNowOutlet) and account.site is None:
        return IndexNow(account.code, _engines(account), utc_now)
    bases = [each.base_url.rstrip("/") for code, each in (sites or {}).items() if account.site in (None, code)]
    if not bases:
        raise Misconfigured([Fault(f"outlet {account.code}", "there is no site that it could tell of")])
    if isinstance(account, config.WebSubOutlet):
        hub = Connection(account.code, "http", host=account.hub)
        feeds = [f"{base}/feed.{kind}" for base in bases for kind in ("rss", "atom", "json")]
        return WebSub(account.code, hub, utc_now, feeds=feeds)
    return IndexNow(account.code, _engines(account, f"{bases[0]}/{account.key}.txt"), utc_now)


def _engines(account: config.IndexNowOutlet, key_location: str | None = None) -> Connection:
    extra = {"key_location": key_location} if key_location else {}
    return Connection(account.code, "http", host=account.endpoint, password=account.key, extra=extra)


def _site(account: config.SiteOutlet, settings: Settings, zones: Mapping[str, str]) -> Outlet:
    from caravan.clients.site.outlet import SiteOutlet
    from caravan.clients.site.page import Site

    site = Site(account.base_url, account.publisher, zones, account.hub, account.indexnow_key)
    return SiteOutlet(account.code, site, store_of(account, settings), utc_now)


def store_of(place: config.WebPlace, settings: Settings) -> Store:
    """Raises Misconfigured for a bucket whose connection is missing."""
    from caravan.clients.site.bucket import BucketStore
    from caravan.clients.site.store import FolderStore

    if place.bucket:
        return BucketStore(current().get(place.connection), place.bucket, place.prefix.strip("/"))
    assert place.folder is not None
    return FolderStore(settings.home / place.folder)


def mailing_of(account: config.MailOutlet, key: bytes, variables: Sequence[str]) -> Mailing:
    """`key`: signs links to unsubscribe. `variables`: what every recipient has."""
    from caravan.clients.mail.mailing import Mailing
    from caravan.clients.mail.template import MailTemplate, Sender
    from caravan.clients.mail.tokens import Links, mark_of

    name, address = parseaddr(account.sender)
    sender = Sender(address, name or account.name, account.postal_address, account.reply_to)
    links = Links(account.unsubscribe_url, keys_of(key))
    return Mailing(sender, MailTemplate(TEMPLATES / "mail"), utc_now, links, frozenset(variables), mark_of(key))


def keys_of(key: bytes) -> Keys:
    """What signs links to unsubscribe."""
    from caravan.clients.mail.tokens import Keys

    return Keys(_KEY_ID, {_KEY_ID: key})


def confirm_keys_of(key: bytes) -> Keys:
    """What signs links to confirm: another key, so that no link to unsubscribe does that."""
    from caravan.clients.mail.tokens import Keys

    return Keys(_CONFIRM_KEY_ID, {_CONFIRM_KEY_ID: hmac.new(key, b"confirm", hashlib.sha256).digest()})


def spacing_of(account: config.OutletAccount) -> Callable[[Message], Spacing]:
    """How far apart its messages have to leave, by its own rate and by that of each domain."""
    if not isinstance(account, config.MailOutlet):
        return lambda message: UNLIMITED
    of_all = {account.code: _apart(account.per_second)}
    of_domain = account.per_domain_per_second
    if of_domain is None:
        return lambda message: of_all
    apart = _apart(of_domain)
    return lambda message: {**of_all, f"{account.code} {message.key.target.rpartition('@')[2].lower()}": apart}


def _apart(per_second: Decimal) -> timedelta:
    return timedelta(seconds=float(1 / per_second))
