"""Hashes of objects that were downloaded once: a later listing need not download them again."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

_TABLE = "CREATE TABLE IF NOT EXISTS seen (identity TEXT PRIMARY KEY, content_hash TEXT NOT NULL) WITHOUT ROWID"


class Seen:
    """One SQLite file, shared by the processes of a machine. Only saves time: it may be deleted at any moment."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        self._here: dict[str, str] = {}

    def hash_of(self, identity: str) -> str | None:
        """The SHA-256 that content of this identity (store, key, ETag, size, time) was found to have."""
        if identity in self._here or not self._path.exists():
            return self._here.get(identity)
        with self._table() as table:
            row = table.execute("SELECT content_hash FROM seen WHERE identity = ?", [identity]).fetchone()
        return row[0] if row else None

    def remember(self, identity: str, content_hash: str) -> None:
        self._here[identity] = content_hash
        if not self._read_only:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._table() as table:
                table.execute("INSERT OR REPLACE INTO seen VALUES (?, ?)", [identity, content_hash])

    @contextmanager
    def _table(self) -> Iterator[sqlite3.Connection]:
        with closing(self._open()) as table, table:
            yield table

    def _open(self) -> sqlite3.Connection:
        table = sqlite3.connect(self._path, timeout=60)
        try:
            table.execute(_TABLE)
        except sqlite3.OperationalError:
            table.close()
            raise  # locked, or a full disk: nothing is wrong with the file
        except sqlite3.DatabaseError as error:
            table.close()
            log.warning("%s is broken (%s): begun anew, objects are downloaded again", self._path, error)
            self._path.unlink(missing_ok=True)
            return self._open()
        return table
