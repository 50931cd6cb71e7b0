"""Which connections the configuration asks for, and whether each of them works."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from caravan.config.alerts import Alerts
from caravan.config.outlets import MailOutlet, OutletAccount, SesOutlet, SiteOutlet
from caravan.config.places import S3_DEFAULT, is_url, s3_place
from caravan.config.search import SearchConsoleSource
from caravan.config.services import ServiceChannel
from caravan.config.types import Configuration, FileChannel
from caravan.core.connections import Connection
from caravan.core.errors import CaravanError, Misconfigured

TRIED = ("aws", "google_cloud_platform", "http", "https", "imap", "smtp")
"""The kinds of connection that Caravan uses."""


@dataclass
class Use:
    """What one connection is for. `buckets`: those that are read or written through it."""

    by: list[str] = field(default_factory=list)
    buckets: list[str] = field(default_factory=list)
    channels: list[ServiceChannel] = field(default_factory=list)
    """Those that ask a service through it."""
    properties: list[str] = field(default_factory=list)
    """Those of Search Console that are asked through it."""
    untried: str = ""
    """Why it is not asked, where it has no other use."""


def uses(
    configuration: Configuration,
    alerts: Alerts,
    outlets: Iterable[OutletAccount] = (),
    searches: Mapping[str, SearchConsoleSource] | None = None,
) -> Mapping[str, Use]:
    """By connection id, sorted; of channels and outlets only those that are switched on. `searches`: by site."""
    found: defaultdict[str, Use] = defaultdict(Use)
    for channel in configuration.channels.values():
        if channel.enabled and isinstance(channel, ServiceChannel):
            _add(found, channel.connection, f"channel {channel.code}")
            found[channel.connection].channels.append(channel)
        elif channel.enabled and isinstance(channel, FileChannel) and is_url(channel.folder):
            _add(found, channel.connection or S3_DEFAULT, f"channel {channel.code}", s3_place(channel.folder).bucket)
    project = configuration.project
    if project.published:
        _add(found, project.published_connection, "published files", s3_place(project.published).bucket)
    for target in alerts.targets:
        _add(found, target.connection, f"alerts to {target.name}")
    for outlet in outlets:
        if outlet.enabled:
            _add_outlet(found, outlet)
    for site, source in (searches or {}).items():
        _add(found, source.connection, f"search data of {site}")
        found[source.connection].properties.append(source.property_url)
    for conn_id, by in ((alerts.heartbeat.connection, "the heartbeat"), (alerts.clock.connection, "the clock")):
        if conn_id:
            _add(found, conn_id, by)
    if (heartbeat := alerts.heartbeat.connection) and found[heartbeat].by == ["the heartbeat"]:
        found[heartbeat].untried = "asking it would count as a beat"
    return dict(sorted(found.items()))


def _add_outlet(found: Mapping[str, Use], outlet: OutletAccount) -> None:
    by = f"outlet {outlet.code}"
    if isinstance(outlet, SiteOutlet):
        if outlet.bucket:
            _add(found, outlet.connection, by, outlet.bucket)
        return
    conn_id = getattr(outlet, "connection", None)
    if conn_id:
        _add(found, conn_id, by)
    if isinstance(outlet, SesOutlet) and not found[outlet.connection].buckets:
        found[outlet.connection].untried = "Amazon SES answers no question that every sender may ask"
    if isinstance(outlet, MailOutlet):
        if outlet.events:
            _add(found, outlet.events.connection, f"events of {by}")
        if outlet.bounces:
            _add(found, outlet.bounces.connection, f"bounces of {by}")


def try_connection(
    connection: Connection,
    buckets: Sequence[str] = (),
    channels: Sequence[ServiceChannel] = (),
    properties: Sequence[str] = (),
) -> str:
    """What was seen. Raises Misconfigured, Rejected or Retryable with what is wrong; sends and changes nothing."""
    if channels:
        from caravan.assembly.services import TRIAL, open_source

        return "; ".join(sorted({open_source(channel, connection, TRIAL).probe() for channel in channels}))
    if properties or connection.kind == "google_cloud_platform":
        from caravan.assembly.services import TRIAL
        from caravan.clients.search.console import try_properties

        return try_properties(connection, properties, TRIAL)
    match connection.kind:
        case "aws":
            from caravan.clients.storage.s3 import try_s3

            return try_s3(connection, buckets)
        case "http" | "https":
            from caravan.clients.trials import try_http

            return try_http(connection)
        case "imap":
            from caravan.clients.mail.mailbox import try_mailbox

            return try_mailbox(connection)
        case "smtp":
            from caravan.clients.trials import try_smtp

            return try_smtp(connection)
    message = f"is of the type '{connection.kind}'; Caravan uses {', '.join(TRIED)}"
    raise connection.misconfigured(message)


def outcome(
    connection: Connection,
    buckets: Sequence[str] = (),
    channels: Sequence[ServiceChannel] = (),
    properties: Sequence[str] = (),
) -> tuple[bool, str]:
    """Whether it works, and what was seen or is wrong."""
    try:
        return True, try_connection(connection, buckets, channels, properties)
    except CaravanError as error:
        return False, "; ".join(fault.message for fault in error.faults) if isinstance(error, Misconfigured) else str(
            error
        )
    except Exception as error:  # the others are to be tried as well; its text may hold a secret
        return False, f"cannot be asked as it is written: {type(error).__name__}"


def tried(connection: Connection, use: Use) -> tuple[bool, str]:
    """Like `outcome`, of one that is in use."""
    if use.untried and not use.buckets:
        return True, f"can be read; not tried, since {use.untried}"
    return outcome(connection, use.buckets, use.channels, use.properties)


def _add(found: Mapping[str, Use], conn_id: str, by: str, bucket: str | None = None) -> None:
    found[conn_id].by.append(by)
    if bucket and bucket not in found[conn_id].buckets:
        found[conn_id].buckets.append(bucket)
