"""The outbox and what was read of lists copied into the warehouse, and the facts that are made of it there."""

from __future__ import annotations

import logging

from caravan.assembly.outbox import is_made, open_ledger
from caravan.assembly.warehouse import open_store, utc_now
from caravan.config.loader import load
from caravan.config.settings import Settings
from caravan.core.errors import Rejected
from caravan.core.protocols import Layer
from caravan.functions.release.planning import FUNCTION
from caravan.warehouse.list_mirror import ListMirror
from caravan.warehouse.lists import StoredLists
from caravan.warehouse.outbox import StoredOutbox
from caravan.warehouse.outbox_mirror import OutboxMirror
from caravan.warehouse.scratch import Scratch

log = logging.getLogger(__name__)

_LAYERS: tuple[Layer, ...] = ("stg", "fct")


def mirror(run_id: str, dag_id: str) -> dict[str, int]:
    """Copy what changed since the last time, and build what stands on it; how many messages and lists that were, and
    rows by model.

    Raises Rejected for a check that failed: the last good rows stay.
    """
    settings = Settings.from_environment()
    if not is_made(settings):
        return {}
    configuration = load(settings.config_dir)
    with (
        open_ledger(settings) as ledger,
        open_store(settings, configuration, dag_id) as store,
        Scratch(settings.staging_dir) as folder,
    ):
        copied = OutboxMirror(store.warehouse, store.catalog, StoredOutbox(ledger), folder, utc_now).bring_up()
        listed = ListMirror(store.warehouse, StoredLists(ledger), folder, utc_now, run_id, dag_id).bring_up()
        # An hour in which nothing left is no run worth a record; a changed model is built all the same.
        is_recorded = bool(copied or listed or store.pending(FUNCTION, _LAYERS, None))
        if is_recorded:
            store.start_run(run_id, None, configuration.hash)
        built = store.build(run_id, FUNCTION, _LAYERS, None)
        failures = store.failures(run_id)
        if is_recorded:
            store.end_run(run_id, "failed" if failures else "success", "\n".join(failures))
    if failures:
        raise Rejected("RUN_INCOMPLETE", "this failed:\n" + "\n".join(f"  - {line}" for line in failures))
    counts = {"copied": copied, "lists": listed, **{each.model: each.row_count for each in built}}
    log.info("%s", counts)
    return counts
