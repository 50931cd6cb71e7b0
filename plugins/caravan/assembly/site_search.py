"""The steps of the search data with their clients and the warehouse put in."""

from __future__ import annotations

from collections.abc import Sequence

from caravan.assembly.connections import current
from caravan.assembly.warehouse import open_store, utc_now
from caravan.config.loader import load
from caravan.config.search import SearchSites, load_search_sites
from caravan.config.settings import Settings
from caravan.config.types import Configuration
from caravan.core.errors import Fault, Misconfigured, nearest
from caravan.core.scope import RunScope
from caravan.functions.site import search
from caravan.warehouse.scratch import Scratch


def list_sites(scope: RunScope) -> list[str]:
    settings, configuration, sites = _open()
    with open_store(settings, configuration, scope.dag_id, dry_run=scope.dry_run) as store:
        return search.list_sites(scope, sites, configuration.hash, store)


def collect(scope: RunScope, site_code: str) -> dict[str, int]:
    from caravan.clients.search.console import open_search_console

    settings, configuration, sites = _open()
    source = sites.sources.get(site_code)
    if source is None:
        message = f"no site of this name has search data{nearest(site_code, sites.sources)}"
        raise Misconfigured([Fault(f"site {site_code}", message, site_code)])
    markets = {market.country: market.code for market in configuration.markets.values()}
    with (
        open_store(settings, configuration, scope.dag_id, dry_run=scope.dry_run) as store,
        Scratch(settings.staging_dir) as scratch,
        open_search_console(
            current().get(source.connection),
            site_code,
            source.property_url,
            markets,
            scratch,
            data_state=source.data_state,
        ) as console,
    ):
        return search.collect(scope, site_code, source, console, store, utc_now)


def build(scope: RunScope) -> dict[str, int]:
    settings, configuration, _ = _open()
    with open_store(settings, configuration, scope.dag_id, dry_run=scope.dry_run) as store:
        return search.build(scope, store)


def verdict(scope: RunScope, failed_tasks: Sequence[str] = ()) -> None:
    settings, configuration, sites = _open()
    with open_store(settings, configuration, scope.dag_id, dry_run=scope.dry_run) as store:
        search.verdict(scope, sites, store, failed_tasks)


def _open() -> tuple[Settings, Configuration, SearchSites]:
    settings = Settings.from_environment()
    return settings, load(settings.config_dir), load_search_sites(settings.config_dir)
