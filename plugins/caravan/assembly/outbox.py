"""The outbox and the contacts that the settings name, and the key by which people are known there."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from caravan.config.settings import Settings
from caravan.core.errors import Fault, Misconfigured
from caravan.core.incidents import Incident
from caravan.warehouse.contacts import StoredContacts
from caravan.warehouse.ledger import FILE, Ledger, PostgresLedger, SqliteLedger
from caravan.warehouse.outbox import StoredOutbox
from caravan.warehouse.outbox_stops import StoredStops

KEY_FILE = "secret.key"
KEY_VARIABLE = "CARAVAN_SECRET_KEY"
"""Where several machines share one outbox they share the key."""
_SHORTEST = 32
_OF_AN_OUTLET = re.compile(r"task_failed:release_send_minutely:send \[(?P<outlet>.+)\]")
"""Key of the incident of a task that hands over to one outlet."""


@dataclass(frozen=True)
class Books:
    """What one process has open; for one thread."""

    outbox: StoredOutbox
    contacts: StoredContacts
    stops: StoredStops


@contextmanager
def open_books(settings: Settings) -> Iterator[Books]:
    """Made when they are not there yet."""
    with open_ledger(settings) as ledger:
        yield Books(StoredOutbox(ledger), StoredContacts(ledger), StoredStops(ledger))


def open_ledger(settings: Settings) -> Ledger:
    if settings.lake_root is None:
        return PostgresLedger(settings.warehouse)
    return SqliteLedger(ledger_path(settings))


def is_made(settings: Settings) -> bool:
    """Whether anything was ever put into it. Where the warehouse is PostgreSQL it is there as soon as one asks."""
    return settings.lake_root is None or ledger_path(settings).exists()


def stuck(settings: Settings, incidents: Iterable[Incident], now: datetime) -> frozenset[str]:
    """Keys of the incidents of outlets that have taken nothing since and for which something waits: a run that did not
    try them, since what waits is to be tried again later, says nothing about them. Of an outlet that is switched off
    nothing is expected."""
    matches = ((each, _OF_AN_OUTLET.fullmatch(each.key)) for each in incidents)
    failed = [(each, match["outlet"]) for each, match in matches if match]
    if not failed or not is_made(settings):
        return frozenset()
    from caravan.config.outlets import load_outlets  # every task that fails imports this module

    outlets, _ = load_outlets(settings.config_dir)
    off = {code for code, each in outlets.items() if not each.enabled}
    with open_books(settings) as books:
        return frozenset(
            each.key
            for each, outlet in failed
            if outlet not in off and books.outbox.is_stuck(outlet, each.last_seen_at, now)
        )


def ledger_path(settings: Settings) -> Path:
    """Of an installation with a lake."""
    return settings.home / FILE


def secret_key(settings: Settings, contacts: StoredContacts) -> bytes:
    """Of this installation: made once, readable by its owner alone. Whoever loses it loses who is suppressed.

    Misconfigured when it is not the one by which people are known in `contacts`: nobody would be suppressed there.
    """
    path, known = settings.home / KEY_FILE, contacts.key_print()
    where, key = (KEY_VARIABLE, _given()) if os.environ.get(KEY_VARIABLE) else (str(path), _kept(path))
    if key is None and known:
        told = f"is not there: put it back from a backup, or set {KEY_VARIABLE} as the scheduler has it"
        raise Misconfigured([Fault(where, told)])
    key = key or _made(path)
    own = hmac.new(key, b"caravan", hashlib.sha256).hexdigest()
    if (known or contacts.note_key_print(own)) != own:
        told = "is not the key by which people are known in the outbox: put that one back"
        other = f"unset {KEY_VARIABLE}, or set it" if where == KEY_VARIABLE else f"set {KEY_VARIABLE}"
        raise Misconfigured([Fault(where, f"{told} from a backup, or {other} as the scheduler has it")])
    return key


def _given() -> bytes:
    given = os.environ[KEY_VARIABLE]
    if len(given) < _SHORTEST:
        raise Misconfigured([Fault(KEY_VARIABLE, f"is shorter than {_SHORTEST} characters")])
    return given.encode()


def _kept(path: Path) -> bytes | None:
    try:
        key = path.read_bytes().strip()
    except FileNotFoundError:
        return None
    if len(key) < _SHORTEST:
        raise Misconfigured([Fault(str(path), "is cut off: put it back from a backup")])
    return key


def _made(path: Path) -> bytes:
    """Whole or not there at all: a cut one would be taken for what is left of a key by which people are known."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_hex(_SHORTEST).encode())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first
            os.link(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return _kept(path) or b""
