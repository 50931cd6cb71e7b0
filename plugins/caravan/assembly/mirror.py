"""Releases, the outbox and what was read of lists copied into the warehouse, and the facts that are made of them."""

from __future__ import annotations

import logging

from caravan.assembly.outbox import is_made, open_ledger
from caravan.assembly.releases import standings
from caravan.assembly.shelf import Shelf, read_shelf
from caravan.assembly.warehouse import open_store, utc_now
from caravan.config.releases import FOLDER
from caravan.config.settings import Settings
from caravan.core.errors import run_incomplete
from caravan.core.protocols import Layer
from caravan.functions.release import calendar, links
from caravan.functions.release.planning import FUNCTION
from caravan.warehouse.list_mirror import ListMirror
from caravan.warehouse.lists import StoredLists
from caravan.warehouse.outbox import StoredOutbox
from caravan.warehouse.outbox_mirror import OutboxMirror
from caravan.warehouse.releases import StoredReleases
from caravan.warehouse.scratch import Scratch
from caravan.warehouse.store import Store

log = logging.getLogger(__name__)

_LAYERS: tuple[Layer, ...] = ("stg", "dim", "fct")


def mirror(run_id: str, dag_id: str) -> dict[str, int]:
    """Copy what changed since the last time, and build what stands on it; how many messages and lists that were, and
    rows by model.

    Raises Rejected for a check that failed: the last good rows stay.
    """
    settings = Settings.from_environment()
    if not is_made(settings) and not (settings.config_dir / FOLDER).exists():
        return {}
    shelf = read_shelf(settings.config_dir)
    with open_store(settings, shelf.configuration, dag_id) as store:
        _put_calendar(store, settings, shelf, run_id)
        copied, listed = _copy_ledger(store, settings, run_id, dag_id)
        # An hour in which nothing changed is no run worth a record; a changed model is built all the same.
        is_recorded = bool(copied or listed or store.pending(FUNCTION, _LAYERS, None))
        if is_recorded:
            store.start_run(run_id, None, shelf.configuration.hash)
        built = store.build(run_id, FUNCTION, _LAYERS, None)
        failures = store.failures(run_id)
        if is_recorded:
            store.end_run(run_id, "failed" if failures else "success", "\n".join(failures))
    if failures:
        raise run_incomplete(failures)
    counts = {"copied": copied, "lists": listed, **{each.model: each.row_count for each in built}}
    log.info("%s", counts)
    return counts


def _put_calendar(store: Store, settings: Settings, shelf: Shelf, run_id: str) -> None:
    rows = calendar.calendar_rows(shelf.releases.values(), shelf.known, standings(settings, shelf))
    # A release that cannot be read is not called off.
    is_complete = not any(fault.where.startswith(FOLDER) for fault in shelf.faults)
    store.put_reference(calendar.TABLE, rows, calendar.KEY, run_id, is_complete=is_complete)


def _copy_ledger(store: Store, settings: Settings, run_id: str, dag_id: str) -> tuple[int, int]:
    """Messages, and rows of lists, that are new."""
    if not is_made(settings):
        return 0, 0
    with open_ledger(settings) as ledger, Scratch(settings.staging_dir) as folder:
        store.put_reference(links.TABLE, links.link_rows(StoredReleases(ledger).links()), links.KEY, run_id)
        copied = OutboxMirror(store.warehouse, store.catalog, StoredOutbox(ledger), folder, utc_now).bring_up()
        listed = ListMirror(store.warehouse, StoredLists(ledger), folder, utc_now, run_id, dag_id).bring_up()
    return copied, listed
