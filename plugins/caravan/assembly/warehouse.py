"""Opens the warehouse that the settings name."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache

from caravan import EXPECTATIONS_DIR, INCLUDE_DIR, PROJECT_ROOT, SQL_DIR
from caravan.config.settings import Settings
from caravan.config.types import Configuration
from caravan.warehouse.catalog import Catalog, load_models
from caravan.warehouse.measures import Suite
from caravan.warehouse.migrations import migrate, require_migrated
from caravan.warehouse.port import LOCK_WAIT_SECONDS, Observer, Warehouse
from caravan.warehouse.store import Store
from caravan.warehouse.suites import load_suites

MEMORY_LIMIT = "CARAVAN_MEMORY_LIMIT"
"""How much memory one task's DuckDB may take before it spills to disk, e.g. 2GB."""


def utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def open_warehouse(
    settings: Settings,
    *,
    read_only: bool = False,
    observer: Observer | None = None,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
    upgrade: bool = False,
) -> Warehouse:
    """The engine behind CARAVAN_WAREHOUSE; close it, or use it as a context manager.

    `upgrade`: bring a lake of an older format into this one's; only a person asks for that.
    """
    root = settings.lake_root
    if root is None:
        from caravan.warehouse.postgres import Postgres

        return Postgres(
            settings.warehouse,
            scratch_root=settings.staging_dir,
            observer=observer,
            lock_wait_seconds=lock_wait_seconds,
        )
    from caravan.warehouse.lake import Lake

    memory_limit = os.environ.get(MEMORY_LIMIT) or "1GB"
    return Lake(
        root,
        read_only=read_only,
        observer=observer,
        memory_limit=memory_limit,
        lock_wait_seconds=lock_wait_seconds,
        upgrade=upgrade,
    )


def constants(configuration: Configuration) -> dict[str, str]:
    """The parameters of models that come from configuration."""
    fx = configuration.project.fx
    return {
        "base_currency": configuration.project.base_currency,
        "fx_max_carry_days": str(fx.max_carry_days),
        "fx_max_source_difference": str(fx.max_source_difference),
    }


@lru_cache(maxsize=1)
def code_revision() -> str:
    """The commit, with `+` and a digest of the code when it is not what was committed; for ops.run."""
    digest = hashlib.sha256()
    for path in sorted([*(PROJECT_ROOT / "plugins").rglob("*.py"), *INCLUDE_DIR.rglob("*.sql")]):
        digest.update(path.relative_to(PROJECT_ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    code = digest.hexdigest()[:12]
    git = ["git", "-C", str(PROJECT_ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--", "plugins", "include/sql"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return f"code {code}"
    revision = commit.stdout.strip()
    return f"{revision}+{code}" if changes.stdout.strip() else revision


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    """The project's models, read once per process."""
    return load_models(SQL_DIR)


@lru_cache(maxsize=1)
def suites() -> tuple[Suite, ...]:
    """The project's distribution checks, read once per process by whoever needs them."""
    return load_suites(EXPECTATIONS_DIR, catalog())


@contextmanager
def open_store(
    settings: Settings,
    configuration: Configuration,
    dag_id: str,
    *,
    dry_run: bool = False,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
) -> Iterator[Store]:
    """The migrated warehouse with its models, for one step of a DAG. A dry run only reads, and makes nothing."""
    models = catalog()  # before the warehouse is opened: a fault in them takes no lock
    with open_warehouse(settings, read_only=dry_run, lock_wait_seconds=lock_wait_seconds) as warehouse:
        if dry_run:
            require_migrated(warehouse)
        else:
            migrate(warehouse)
        yield Store(warehouse, models, dag_id, constants(configuration), code_revision(), utc_now, suites=suites)
