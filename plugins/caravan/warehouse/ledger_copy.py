"""A whole ledger into an empty one of either engine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from caravan.core.errors import CaravanError
from caravan.warehouse import contacts, feedback, lists, outbox, outbox_log, outbox_questions, outbox_stops, releases
from caravan.warehouse.ledger import Ledger, Transaction, as_text

SCHEMA = (*outbox.SCHEMA, *contacts.SCHEMA, *releases.SCHEMA, *feedback.SCHEMA, *lists.SCHEMA, *outbox_stops.SCHEMA)
_KEY = "contact_key"
_TABLES = (
    ("outbox_message", outbox_questions.COLUMNS),
    ("outbox_event", outbox_log.COLUMNS),
    ("outbox_restored", ("at", "backup_of")),
    ("consent_event", ("subject", "purpose", "channel", "state", "at", "evidence", "text_version", "source",
                       "recorded_at")),
    ("suppression", ("subject", "channel", "reason", "at", "evidence", "recorded_at")),
    ("suppression_lift", contacts.LIFT),
    ("soft_bounce", ("subject", "channel", "at", "evidence")),
    (_KEY, ("id", "key_print")),
    ("feedback", feedback.COLUMNS),
    ("release_approval", ("release_id", "content_hash", "approver", "at", "source")),
    ("release_revocation", releases.REVOCATION),
    ("release_payload", ("release_id", "revision", "outlet", "market_code", "locale", "content_hash", "payload",
                         "rendered_at")),
    ("list_reading", lists.READING),
    ("list_fault", lists.FAULT),
    ("list_use", lists.USE),
    ("release_link", releases.LINK),
    ("outbox_stop", outbox_stops.STOP),
)  # fmt: skip
_BATCH = 1000


def copy(source: Ledger, target: Ledger) -> int:
    """Rows copied: one state of `source`, into a ledger without any."""
    source.make(SCHEMA)
    target.make(SCHEMA)
    with source.read() as given, target.write() as taken:
        return _copy_tables(given, taken)


def restore(source: Ledger, target: Ledger, backup_of: datetime, now: datetime) -> int | None:
    """Like `copy`, and what may have left already becomes `unknown`: now, what has fallen due; when it is planned
    again, what was planned after the backup was made. How many have fallen due; None, and nothing is done, when it was
    restored from this backup before. CaravanError when it holds rows."""
    source.make(SCHEMA)
    target.make(SCHEMA)
    values = {"at": as_text(now), "backup_of": as_text(backup_of)}
    with source.read() as given, target.write() as taken:
        if taken.rows("SELECT 1 FROM outbox_restored WHERE backup_of = :backup_of", {"backup_of": values["backup_of"]}):
            return None
        if found := [table for table, _ in _TABLES if table != _KEY and taken.rows(f"SELECT 1 FROM {table} LIMIT 1")]:
            raise CaravanError(f"the outbox holds rows ({found[0]}): nothing is restored over what is there")
        # Noted as soon as anybody looks; the backup's is the one by which its people are known.
        taken.rows(f"DELETE FROM {_KEY}")
        _copy_tables(given, taken)
        taken.rows("INSERT INTO outbox_restored (at, backup_of) VALUES (:at, :backup_of)", values)
        return outbox.doubt(taken, backup_of, now)


def _copy_tables(given: Transaction, taken: Transaction) -> int:
    return sum(_copy_table(given, taken, table, columns) for table, columns in _TABLES)


def _copy_table(given: Transaction, taken: Transaction, table: str, columns: Sequence[str]) -> int:
    rows, count = given.stream(f"SELECT {', '.join(columns)} FROM {table}"), 0
    while batch := list(islice(rows, _BATCH)):
        taken.insert(table, columns, batch)
        count += len(batch)
    return count
