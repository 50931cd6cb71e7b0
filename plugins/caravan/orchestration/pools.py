"""Makes the pools of include/config/pools.yml: a task whose pool does not exist never starts, and nobody says so."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from airflow.listeners import hookimpl

from caravan.config.pools import CRAWLING, OUTBOX, SENDING, load_pools
from caravan.config.settings import Settings
from caravan.core.errors import Misconfigured

__all__ = ["CRAWLING", "OUTBOX", "SENDING", "create_pools", "on_starting"]

log = logging.getLogger(__name__)


@hookimpl
def on_starting(component: Any) -> None:
    """With each scheduler, DAG processor and triggerer that starts; a worker has no database."""
    if type(component).__name__ != "Job":
        return
    try:
        create_pools(Settings.from_environment().config_dir)
    except Misconfigured as error:
        log.error("the pools stay as they are: %s", error)


def create_pools(config_dir: Path) -> list[str]:
    """Bring the metadata database's pools up to the file; returns their names. Raises Misconfigured."""
    from airflow.models.pool import Pool
    from sqlalchemy.exc import IntegrityError

    names = []
    for pool in load_pools(config_dir):
        try:
            Pool.create_or_update_pool(pool.name, pool.slots, pool.description, include_deferred=False)
        except IntegrityError:
            log.info("pool %s has just been made by another component", pool.name)
        names.append(pool.name)
    return names
