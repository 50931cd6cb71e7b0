"""Shops and marketplaces that channels ask: by which client, from when on, once in a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from caravan.clients.http.limits import USUAL, Limits
from caravan.clients.http.source import HttpSource
from caravan.config.services import MarketplaceChannel, ServiceChannel
from caravan.core.connections import Connection
from caravan.core.errors import Rejected
from caravan.core.protocols import ChangeSource, OrderStore
from caravan.core.pulls import Pull, asked_from, pull_name

TRIAL = Limits(attempts=2, silence_seconds=10, page_seconds=20, pull_seconds=60, wait_seconds=5)
"""Somebody waits for the outcome."""


def open_source(channel: ServiceChannel, connection: Connection, limits: Limits = USUAL) -> HttpSource:
    """Asks nothing yet. Raises Misconfigured."""
    if connection.kind not in ("http", "https"):
        raise connection.misconfigured(f"is of the type '{connection.kind}'; a {channel.source} needs `http`")
    overlap = timedelta(minutes=channel.overlap_minutes)
    if isinstance(channel, MarketplaceChannel):
        from caravan.clients.marketplace.market import open_marketplace

        return open_marketplace(connection, limits, overlap, marketplaces=channel.marketplace_ids or ())
    from caravan.clients.woocommerce.shop import open_shop

    return open_shop(connection, limits, overlap)


def asked_since(channel: ServiceChannel, store: OrderStore, *, reload: bool = False) -> datetime | None:
    """The time up to which every entity has been read, else the channel's own beginning. UTC without zone.

    The oldest of them: what one entity did not load, because it was refused or the run was killed, comes again.
    """
    read = [newest for entity in channel.entities if (newest := store.newest_delivery(channel.code, entity))]
    if reload or len(read) < len(channel.entities):
        return channel.begin
    return min(moment for moment, _, _ in read)


@dataclass
class Question:
    """A channel's question to its service. Asked when an entity first wants the answer; all of them share it."""

    source: ChangeSource
    since: datetime | None
    overlap: timedelta
    folder: Path

    @property
    def name(self) -> str:
        return pull_name(asked_from(self.since, self.overlap))

    def answer(self) -> Pull:
        """Raises as `ChangeSource.pull`; a refusal is every entity's, and nothing is asked twice."""
        if isinstance(self._outcome, Rejected):
            raise self._outcome
        return self._outcome

    @cached_property
    def _outcome(self) -> Pull | Rejected:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            return self.source.pull(self.since, self.folder)
        except Rejected as error:
            return error
