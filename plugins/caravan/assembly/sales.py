"""The steps of the sales function with their clients and the warehouse put in."""

from __future__ import annotations

from collections.abc import Sequence

from caravan.assembly import markets
from caravan.assembly.calendar import put_markets
from caravan.assembly.inboxes import open_inboxes
from caravan.assembly.warehouse import open_store, utc_now
from caravan.config.loader import load
from caravan.config.settings import Settings
from caravan.config.types import Configuration
from caravan.core.errors import Fault, Misconfigured, nearest
from caravan.core.scope import RunScope
from caravan.functions.sales import orders
from caravan.warehouse.scratch import Scratch


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
        with orders.failure_noted(scope, channel, next(iter(channel.entities)), store, utc_now):
            inboxes = open_inboxes(
                channel, configuration, settings, store, scratch, dry_run=scope.dry_run, reload=reload
            )
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
