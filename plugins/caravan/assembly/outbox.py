"""The outbox and the contacts that the settings name, and the key by which people are known there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from caravan.config.settings import Settings
from caravan.core.errors import Fault, Misconfigured
from caravan.warehouse.contacts import StoredContacts
from caravan.warehouse.ledger import FILE, Ledger, PostgresLedger, SqliteLedger
from caravan.warehouse.outbox import StoredOutbox

KEY_FILE = "secret.key"
KEY_VARIABLE = "CARAVAN_SECRET_KEY"
"""Where several machines share one outbox they share the key."""
_SHORTEST = 32


@dataclass(frozen=True)
class Books:
    """What one process has open; for one thread."""

    outbox: StoredOutbox
    contacts: StoredContacts


@contextmanager
def open_books(settings: Settings) -> Iterator[Books]:
    """Made when they are not there yet."""
    with open_ledger(settings) as ledger:
        yield Books(StoredOutbox(ledger), StoredContacts(ledger))


def open_ledger(settings: Settings) -> Ledger:
    if settings.lake_root is None:
        return PostgresLedger(settings.warehouse)
    return SqliteLedger(ledger_path(settings))


def is_made(settings: Settings) -> bool:
    """Whether anything was ever put into it. Where the warehouse is PostgreSQL it is there as soon as one asks."""
    return settings.lake_root is None or ledger_path(settings).exists()


def ledger_path(settings: Settings) -> Path:
    """Of an installation with a lake."""
    return settings.home / FILE


def secret_key(settings: Settings) -> bytes:
    """Of this installation: made once, readable by its owner alone. Whoever loses it loses who is suppressed."""
    if given := os.environ.get(KEY_VARIABLE):
        if len(given) < _SHORTEST:
            raise Misconfigured([Fault(KEY_VARIABLE, f"is shorter than {_SHORTEST} characters")])
        return given.encode()
    path = settings.home / KEY_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes().strip()
        if len(key) < _SHORTEST:
            raise Misconfigured([Fault(str(path), "is cut off: put it back from a backup")]) from None
        return key
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_hex(_SHORTEST).encode())
        file.flush()
        os.fsync(file.fileno())
    return path.read_bytes()
