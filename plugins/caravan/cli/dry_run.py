"""Dry runs: they say what would be done, and neither make nor migrate a warehouse."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from caravan.config.settings import Settings

VARIABLE = "CARAVAN_WAREHOUSE"


@contextmanager
def dry_run(settings: Settings, say: Callable[[str], None]) -> Iterator[Settings]:
    """The settings to use inside: those given, or an empty scratch lake while there is no warehouse.

    Sets CARAVAN_WAREHOUSE to match, for steps read their settings themselves.
    """
    from caravan.assembly.warehouse import open_warehouse
    from caravan.warehouse.migrations import migrate

    if _is_made(settings):
        yield settings
        return
    say("there is no warehouse yet: everything would be loaded")
    before = os.environ.get(VARIABLE)
    with tempfile.TemporaryDirectory(prefix="caravan-dry-run-") as folder:
        empty = replace(settings, warehouse=f"lake://{folder}/lake")
        os.environ[VARIABLE] = empty.warehouse
        try:
            with open_warehouse(empty) as warehouse:
                migrate(warehouse)
            yield empty
        finally:
            if before is None:
                del os.environ[VARIABLE]
            else:
                os.environ[VARIABLE] = before


def has_lake(settings: Settings) -> bool | None:
    """Whether the lake has been made; None when the warehouse is no lake."""
    return None if settings.lake_root is None else (settings.lake_root / "catalog.sqlite").exists()


def _is_made(settings: Settings) -> bool:
    from caravan.assembly.warehouse import open_warehouse

    if has_lake(settings) is False:
        return False
    with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
        return bool(session.columns("ops.schema_migration"))


class _Terminal(logging.Handler):
    """Log lines as plain text: warnings on standard error, the rest on standard output, whatever these are by then."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr if record.levelno >= logging.WARNING else sys.stdout, flush=True)


@contextmanager
def log_on_terminal(level: int) -> Iterator[None]:
    """What Caravan logs from this level up is shown: in a dry run, its answer."""
    log, handler = logging.getLogger("caravan"), _Terminal()
    before = log.level
    log.addHandler(handler)
    log.setLevel(level)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
