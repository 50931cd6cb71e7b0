"""The steps of the sales function with their clients and the warehouse put in."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from caravan.assembly import markets
from caravan.assembly.calendar import put_markets
from caravan.assembly.folders import folder_root, open_folder
from caravan.assembly.warehouse import open_store, utc_now
from caravan.clients.file_drop.deliveries import Claim, Folder, Listing, claims
from caravan.clients.file_drop.parse import parse
from caravan.clients.file_drop.parsed import Delivery, Parsed, Stamp
from caravan.config.loader import load
from caravan.config.settings import Settings
from caravan.config.types import Channel, Configuration
from caravan.core.errors import Fault, Misconfigured, Rejected, nearest
from caravan.core.scope import RunScope
from caravan.functions.sales import orders
from caravan.warehouse.scratch import Scratch


@dataclass(frozen=True)
class FileInbox:
    """One entity of a file_drop channel: `folder` is where its files arrive, `claims` what every channel reads."""

    channel: Channel
    entity: str
    folder: Folder
    configuration: Configuration
    scratch: Path
    claims: Sequence[Claim]

    @cached_property
    def _listing(self) -> Listing:
        return self.folder.listing(self.channel, self.entity, self.claims)

    def deliveries(self) -> Sequence[Delivery]:
        return self._listing.deliveries

    def waiting(self) -> Mapping[str, str]:
        return {str(skipped.path.relative_to(self.folder.root)): skipped.message for skipped in self._listing.skipped}

    def refused(self, delivery: Delivery) -> Rejected | None:
        return self._listing.refused.get(delivery.path)

    def parse(self, delivery: Delivery, load_id: str, observed_at: datetime) -> Parsed:
        self.folder.fetch(delivery)
        workdir = self.scratch / delivery.content_hash
        workdir.mkdir(parents=True, exist_ok=True)
        return parse(delivery, self.channel, self.configuration, workdir, utc_now(), stamp=Stamp(load_id, observed_at))

    def discard(self, delivery: Delivery) -> None:
        shutil.rmtree(self.scratch / delivery.content_hash, ignore_errors=True)
        self.folder.release(delivery)


def list_channels(scope: RunScope) -> list[str]:
    settings, configuration = _open()
    with open_store(settings, configuration, scope.dag_id, dry_run=scope.dry_run) as store:
        chosen = orders.list_channels(scope, configuration, store)
        if not scope.dry_run:
            put_markets(store, configuration, scope.run_id)
            markets.load_bundle(scope.run_id, settings, store)
    return chosen


def collect(scope: RunScope, channel_code: str, *, reload: bool = False) -> dict[str, int]:
    settings, configuration = _open()
    channel = configuration.channels.get(channel_code)
    if channel is None:
        message = f"there is no usable channel of this name{nearest(channel_code, configuration.channels)}"
        raise Misconfigured([Fault(f"channel {channel_code}", message, channel_code)])
    with (
        open_store(settings, configuration, scope.dag_id, dry_run=scope.dry_run) as store,
        Scratch(settings.staging_dir) as scratch,
    ):
        folder = open_folder(channel, settings, scratch, dry_run=scope.dry_run)
        claimed = claims(configuration, lambda each: folder_root(each, settings.home))
        inboxes = {
            entity: FileInbox(channel, entity, folder, configuration, scratch, claimed) for entity in channel.entities
        }
        return orders.collect(scope, channel, inboxes, store, utc_now, reload)


def stage(scope: RunScope) -> dict[str, int]:
    settings, configuration = _open()
    with open_store(settings, configuration, scope.dag_id, dry_run=scope.dry_run) as store:
        return orders.stage(scope, configuration, store)


def validate(scope: RunScope) -> dict[str, int]:
    settings, configuration = _open()
    with open_store(settings, configuration, scope.dag_id, dry_run=scope.dry_run) as store:
        return orders.validate(scope, configuration, store)


def build(scope: RunScope) -> dict[str, int]:
    settings, configuration = _open()
    with open_store(settings, configuration, scope.dag_id, dry_run=scope.dry_run) as store:
        return orders.build(scope, configuration, store)


def verdict(scope: RunScope, failed_tasks: Sequence[str] = ()) -> None:
    settings, configuration = _open()
    with open_store(settings, configuration, scope.dag_id, dry_run=scope.dry_run) as store:
        orders.verdict(scope, configuration, store, failed_tasks)


def _open() -> tuple[Settings, Configuration]:
    settings = Settings.from_environment()
    return settings, load(settings.config_dir)
