"""Hashes of objects that were downloaded once: a later listing need not download them again."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
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
        # os.path: Path.exists raises where a folder may not be looked into.
        if identity in self._here or not os.path.exists(self._path):
            return self._here.get(identity)
        row = self._ask("SELECT content_hash FROM seen WHERE identity = ?", [identity])
        return row[0] if row else None

    def remember(self, identity: str, content_hash: str) -> None:
        self._here[identity] = content_hash
        if not self._read_only:
            self._ask("INSERT OR REPLACE INTO seen VALUES (?, ?)", [identity, content_hash])

    def _ask(self, statement: str, values: Sequence[str]) -> tuple[str, ...] | None:
        """The first row; None also when the file is of no use: without it objects are downloaded again, no more."""
        try:
            return self._run(statement, values)
        except (sqlite3.OperationalError, OSError) as error:
            # Locked, a full disk, or a folder of another user: nothing is wrong with the file.
            log.warning("%s cannot be used now (%s): what it knows is downloaded again", self._path, error)
        except sqlite3.DatabaseError as error:
            log.warning("%s is broken (%s): objects are downloaded again", self._path, error)
            if not self._read_only:
                with contextlib.suppress(sqlite3.DatabaseError, OSError):
                    self._path.unlink(missing_ok=True)
                    return self._run(statement, values)
        return None

    def _run(self, statement: str, values: Sequence[str]) -> tuple[str, ...] | None:
        if not self._read_only:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        mode = "ro" if self._read_only else "rwc"
        uri = f"{self._path.resolve().as_uri()}?mode={mode}"
        with closing(sqlite3.connect(uri, uri=True, timeout=60)) as table, table:
            if not self._read_only:
                table.execute(_TABLE)
            row: tuple[str, ...] | None = table.execute(statement, values).fetchone()
        return row
