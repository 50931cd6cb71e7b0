"""What was read of recipients' lists, in a ledger: counts, and where the rows are that nobody is written to for.

No address: a row is found by its file and number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from caravan.warehouse.ledger import Ledger, as_moment, as_text

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS list_reading (
    reading_id TEXT PRIMARY KEY, list_code TEXT NOT NULL, file TEXT NOT NULL, content_hash TEXT NOT NULL,
    written_at TEXT NOT NULL, read_at TEXT NOT NULL, received INTEGER NOT NULL, taken INTEGER NOT NULL,
    duplicate INTEGER NOT NULL, bad INTEGER NOT NULL, people TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS list_fault (
    reading_id TEXT NOT NULL, row_number INTEGER NOT NULL, field_name TEXT NOT NULL, reason_code TEXT NOT NULL,
    message TEXT NOT NULL, PRIMARY KEY (reading_id, row_number))""",
    """CREATE TABLE IF NOT EXISTS list_use (
    list_code TEXT NOT NULL, release_id TEXT NOT NULL, revision INTEGER NOT NULL, outlet TEXT NOT NULL,
    reading_id TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (list_code, release_id, revision, outlet))""",
)
_KEPT = timedelta(days=90)
"""Faults of older readings are in the warehouse."""
_BATCH = 1000


@dataclass(frozen=True)
class StoredReading:
    """`written_at`: when the file was. received = taken + duplicate + bad. `people`: by market."""

    reading_id: str
    list_code: str
    file: str
    content_hash: str
    written_at: datetime
    read_at: datetime
    received: int
    taken: int
    duplicate: int
    bad: int
    people: Mapping[str, int]


@dataclass(frozen=True)
class ListFault:
    """`row_number`: the line of the file at which the row begins. `message` repeats nothing of the row."""

    row_number: int
    field_name: str
    reason_code: str
    message: str


@dataclass(frozen=True)
class ListUse:
    """A release is planned for all whom `reading_id` had found, and for nobody else."""

    list_code: str
    release_id: str
    revision: int
    outlet: str
    reading_id: str
    at: datetime


READING = tuple(field.name for field in fields(StoredReading))
FAULT = ("reading_id", *(field.name for field in fields(ListFault)))

USE = tuple(field.name for field in fields(ListUse))


class StoredLists:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        ledger.make(SCHEMA)

    def keep_faults(self, reading_id: str, faults: Iterable[ListFault]) -> None:
        """Of a reading that is going on; those that are there from one that was cut off stay."""
        rows = [(reading_id, *vars(each).values()) for each in faults]
        if rows:
            with self._ledger.write() as transaction:
                transaction.insert("list_fault", FAULT, rows, if_new=True)

    def keep(self, reading: StoredReading) -> None:
        """It is over: what was read counts."""
        times = {"written_at": as_text(reading.written_at), "read_at": as_text(reading.read_at)}
        row = {**vars(reading), **times, "people": json.dumps(dict(reading.people), sort_keys=True)}
        old = {"code": reading.list_code, "old": as_text(reading.read_at - _KEPT)}
        with self._ledger.write() as transaction:
            transaction.insert("list_reading", READING, [tuple(row.values())], if_new=True)
            transaction.rows(
                "DELETE FROM list_fault WHERE reading_id IN "
                "(SELECT reading_id FROM list_reading WHERE list_code = :code AND read_at < :old)",
                old,
            )

    def reading(self, reading_id: str) -> StoredReading | None:
        found = self._readings("WHERE reading_id = :id", {"id": reading_id})
        return found[0] if found else None

    def has_fault(self, reading_id: str, reason_code: str) -> bool:
        with self._ledger.read() as transaction:
            which = {"id": reading_id, "code": reason_code}
            sql = "SELECT 1 FROM list_fault WHERE reading_id = :id AND reason_code = :code LIMIT 1"
            return transaction.row(sql, which) is not None

    def readings(self) -> list[StoredReading]:
        """The oldest first."""
        return self._readings("ORDER BY read_at, reading_id", {})

    def faults(self, reading_id: str) -> Iterator[list[ListFault]]:
        """By row, some hundred at once."""
        last = 0
        while True:
            with self._ledger.read() as transaction:
                rows = transaction.rows(
                    f"SELECT {', '.join(FAULT[1:])} FROM list_fault WHERE reading_id = :id AND row_number > :last "
                    "ORDER BY row_number LIMIT :limit",
                    {"id": reading_id, "last": last, "limit": _BATCH},
                )
            if not rows:
                return
            yield [ListFault(*row) for row in rows]
            last = rows[-1][0]

    def keep_use(self, use: ListUse) -> None:
        """The last of a release's revision on an outlet stays."""
        key = "(list_code, release_id, revision, outlet)"
        insert = (
            f"INSERT INTO list_use ({', '.join(USE)}) VALUES ({', '.join(f':{name}' for name in USE)}) "
            f"ON CONFLICT {key} DO UPDATE SET reading_id = excluded.reading_id, at = excluded.at"
        )
        with self._ledger.write() as transaction:
            transaction.rows(insert, vars(use) | {"at": as_text(use.at)})

    def uses(self, list_code: str) -> list[ListUse]:
        """The newest first."""
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                f"SELECT {', '.join(USE)} FROM list_use WHERE list_code = :code "
                "ORDER BY at DESC, release_id, revision DESC, outlet",
                {"code": list_code},
            )
        found = [dict(zip(USE, row, strict=True)) for row in rows]
        return [ListUse(**each | {"at": as_moment(each["at"])}) for each in found]

    def _readings(self, which: str, values: Mapping[str, str]) -> list[StoredReading]:
        with self._ledger.read() as transaction:
            rows = transaction.rows(f"SELECT {', '.join(READING)} FROM list_reading {which}", values)
        found = [dict(zip(READING, row, strict=True)) for row in rows]
        times = ("written_at", "read_at")
        return [
            StoredReading(
                **each | {name: as_moment(each[name]) for name in times} | {"people": json.loads(each["people"])}
            )
            for each in found
        ]
