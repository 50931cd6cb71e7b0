"""The steps of the exchange rates with their clients and the warehouse put in."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from caravan.assembly.warehouse import open_store, utc_now
from caravan.clients.fx import ecb
from caravan.clients.fx.fetched import FetchedRates
from caravan.clients.fx.user_files import UserRates
from caravan.config.loader import load
from caravan.config.settings import Settings
from caravan.config.types import Configuration
from caravan.functions.markets import rates
from caravan.warehouse.scratch import Scratch
from caravan.warehouse.store import Store

log = logging.getLogger(__name__)

USER_FOLDER = "incoming/rates"
OVERLAP = timedelta(days=30)
"""So much of the fetched history repeats the bundle, for the one to be measured against the other."""


def load_bundled(run_id: str, dag_id: str) -> bool:
    """Open the run and load what is bundled; False if it is known."""
    settings, configuration = _open()
    with open_store(settings, configuration, dag_id) as store:
        store.start_run(run_id, None, configuration.hash)
        return load_bundle(run_id, settings, store)


def load_bundle(run_id: str, settings: Settings, store: Store) -> bool:
    """The bundled rates and the list of ended currencies; False if the rates are known. Sales calls it too."""
    with Scratch(settings.staging_dir) as folder:
        return rates.load_bundle(run_id, ecb.BundledRates(folder), store, utc_now)


def collect_fetched(run_id: str, dag_id: str, reload: bool = False) -> dict[str, int]:
    """The ECB's file, when project.yml says where it is; counts."""
    settings, configuration = _open()
    url = configuration.project.fx.fetch_url
    if url is None:
        log.info("nothing is fetched: fx.fetch_url is not set in project.yml")
        return {}
    with open_store(settings, configuration, dag_id) as store, Scratch(settings.staging_dir) as scratch:
        inbox = FetchedRates(url, settings.home / "rates", scratch, ecb.bundle_end() - OVERLAP, utc_now())
        return rates.collect(run_id, inbox, store, rates.limits(configuration), utc_now, reload=reload)


def collect_user(run_id: str, dag_id: str, reload: bool = False) -> dict[str, int]:
    """A person's files; counts."""
    settings, configuration = _open()
    with open_store(settings, configuration, dag_id) as store, Scratch(settings.staging_dir) as scratch:
        inbox = UserRates(settings.home / USER_FOLDER, scratch)
        return rates.collect(run_id, inbox, store, rates.limits(configuration), utc_now, reload=reload)


def build(run_id: str, dag_id: str) -> dict[str, int]:
    settings, configuration = _open()
    with open_store(settings, configuration, dag_id) as store:
        return rates.build(run_id, store)


def verdict(run_id: str, dag_id: str, failed_tasks: Sequence[str] = ()) -> list[str]:
    settings, configuration = _open()
    with open_store(settings, configuration, dag_id) as store:
        return rates.verdict(run_id, configuration, store, utc_now, failed_tasks)


def _open() -> tuple[Settings, Configuration]:
    settings = Settings.from_environment()
    return settings, load(settings.config_dir)
