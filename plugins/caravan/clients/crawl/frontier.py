"""What is still to be asked in a crawl, and what was: the state from which one that was killed goes on.

SQLite, not memory: a million addresses cost no more than its page cache. Whatever a commit says is there after a crash,
and so are the part files that were written before it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from caravan.clients.crawl.room import is_full
from caravan.core.crawl import KINDS, Kind, Outcome
from caravan.core.errors import CaravanError, Fault, Misconfigured

STATES: tuple[Outcome, ...] = ("fetched", "not_modified", "failed", "blocked", "refused", "skipped")
"""Numbered from 1; 0 waits."""
_STATE = {outcome: number for number, outcome in enumerate(STATES, 1)}
_KIND = {kind: number for number, kind in enumerate(KINDS)}
SITEMAP, LAST_RUN = 1, 2
"""Why an address is expected: bits of `expected`."""
_CACHE_KIB = 32 << 10
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS origin (id INTEGER PRIMARY KEY, origin TEXT NOT NULL UNIQUE, told TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS address (
    key INTEGER PRIMARY KEY, url TEXT NOT NULL, kind INTEGER NOT NULL, depth INTEGER NOT NULL,
    origin INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0, expected INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS address_waiting ON address (depth, origin, key) WHERE state = 0;
CREATE TABLE IF NOT EXISTS pattern (hash INTEGER PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS skipped (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""
# Of several spellings of one address found in one generation the least is asked for: it must not matter which page was
# read first. One found in an earlier generation stays as it is.
_ADD = """
INSERT INTO address (key, url, kind, depth, origin, expected) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    url = CASE WHEN state = 0 AND depth = excluded.depth THEN min(url, excluded.url) ELSE url END,
    kind = CASE WHEN state = 0 AND depth = excluded.depth THEN min(kind, excluded.kind) ELSE kind END,
    expected = expected | excluded.expected
WHERE (state = 0 AND depth = excluded.depth AND (excluded.url < url OR excluded.kind < kind))
    OR expected <> expected | excluded.expected
"""


class Address(NamedTuple):
    key: int
    url: str
    kind: Kind
    depth: int
    origin: str


class Seed(NamedTuple):
    """An address to be asked. `expected`: SITEMAP, LAST_RUN, both or 0."""

    key: int
    url: str
    kind: Kind
    depth: int
    origin: str
    expected: int = 0


@dataclass
class Step:
    """What one commit tells. `patterns`: hash of each address's pattern to how many were asked. `origins`: what is to
    be remembered of each."""

    done: list[tuple[int, Outcome]] = field(default_factory=list)
    found: Iterable[Seed] = ()
    patterns: Mapping[int, int] = field(default_factory=dict)
    origins: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    meta: Mapping[str, str] = field(default_factory=dict)


class Frontier:
    """One crawl's, of one folder; for one thread."""

    def __init__(self, path: Path, configuration_hash: str) -> None:
        """Made, or opened where there is one. Misconfigured for one of another configuration."""
        self.path = path
        self._connection = sqlite3.connect(path, isolation_level=None)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            self._connection.executescript(_SCHEMA)
            made_with = self.meta("configuration_hash")
            if made_with is None:
                self._connection.execute("INSERT INTO meta VALUES ('configuration_hash', ?)", [configuration_hash])
            elif made_with != configuration_hash:
                message = (
                    "a crawl was begun there with another configuration (scope, limits or version of the extractor); "
                    "give another folder, or begin afresh (`--fresh`), which removes it"
                )
                raise Misconfigured([Fault(str(path.parent), message)])
        except sqlite3.DatabaseError as error:
            self.close()
            if is_full(error):
                raise
            raise CaravanError(f"{path}: is no state of a crawl ({error}); begin afresh, which removes it") from error
        except CaravanError:
            self.close()
            raise
        self._ids = dict(self._connection.execute("SELECT origin, id FROM origin"))

    def close(self) -> None:
        self._connection.close()

    def meta(self, name: str) -> str | None:
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", [name]).fetchone()
        return None if row is None else str(row[0])

    @property
    def part(self) -> int:
        """Number of the last part that was committed; 0 before the first."""
        return int(self.meta("part") or 0)

    def origins(self) -> dict[str, dict[str, Any]]:
        """What is remembered of each origin that something is."""
        rows = self._connection.execute("SELECT origin, told FROM origin WHERE told <> '{}'")
        return {origin: json.loads(told) for origin, told in rows}

    def generation(self) -> int | None:
        """The least depth at which an address waits; None when none does."""
        row = self._connection.execute("SELECT min(depth) FROM address WHERE state = 0").fetchone()
        return None if row[0] is None else int(row[0])

    def last_generation(self) -> int:
        row = self._connection.execute("SELECT coalesce(max(depth), -1) FROM address").fetchone()
        return int(row[0])

    def waiting_origins(self, depth: int) -> list[str]:
        """Those that have an address that waits at this depth, in order."""
        rows = self._connection.execute(
            "SELECT origin FROM origin WHERE EXISTS (SELECT 1 FROM address WHERE state = 0 AND depth = ?"
            " AND address.origin = origin.id) ORDER BY origin",
            [depth],
        )
        return [str(row[0]) for row in rows]

    def take(self, depth: int, origin: str, after: int, count: int) -> list[Address]:
        """The next that wait, in the order of their keys. They wait until they are committed as done."""
        rows = self._connection.execute(
            "SELECT key, url, kind FROM address WHERE state = 0 AND depth = ? AND origin = ? AND key > ?"
            " ORDER BY key LIMIT ?",
            [depth, self._ids[origin], after, count],
        )
        return [Address(key, url, KINDS[kind], depth, origin) for key, url, kind in rows]

    def asked_of(self, patterns: Sequence[int]) -> dict[int, int]:
        """How many addresses of each pattern, by its hash, were asked as far as is committed."""
        if not patterns:
            return {}
        marks = ", ".join("?" * len(patterns))
        return dict(self._connection.execute(f"SELECT hash, count FROM pattern WHERE hash IN ({marks})", patterns))

    def commit(self, step: Step, part: Callable[[], int]) -> None:
        """All of it, or nothing. `part`: asked when all that was found has been taken, since that may write parts."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(
                "UPDATE address SET state = ? WHERE key = ?", [(_STATE[outcome], key) for key, outcome in step.done]
            )
            # A generator: sitemaps give more than memory should hold.
            connection.executemany(_ADD, map(self._row, step.found))
            connection.executemany(
                "INSERT INTO pattern VALUES (?, ?) ON CONFLICT (hash) DO UPDATE SET count = count + excluded.count",
                step.patterns.items(),
            )
            connection.executemany(
                "INSERT INTO skipped VALUES (?, ?) ON CONFLICT (reason) DO UPDATE SET count = count + excluded.count",
                step.skipped.items(),
            )
            connection.executemany(
                "UPDATE origin SET told = ? WHERE id = ?",
                [(json.dumps(told), self._origin(origin)) for origin, told in step.origins.items()],
            )
            meta = {**step.meta, "part": str(part())}
            connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            self._ids = dict(connection.execute("SELECT origin, id FROM origin"))
            raise

    def counts(self) -> dict[str, int]:
        """By outcome, and under `waiting`."""
        rows = self._connection.execute("SELECT state, count(*) FROM address GROUP BY state")
        return {STATES[state - 1] if state else "waiting": count for state, count in rows}

    def waiting_count(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM address WHERE state = 0").fetchone()[0])

    def skipped(self) -> dict[str, int]:
        """Reason to how many addresses were not asked."""
        return dict(self._connection.execute("SELECT reason, count FROM skipped ORDER BY reason"))

    def coverage(self) -> tuple[int, int]:
        """How many addresses were expected, and how many of them have answered.

        What robots.txt keeps from us is expected only where it could be read last time.
        """
        expected, seen = self._connection.execute(
            "SELECT count(*) FILTER (WHERE expected & ? OR state <> ?), count(*) FILTER (WHERE state IN (?, ?))"
            " FROM address WHERE expected <> 0",
            [LAST_RUN, _STATE["blocked"], _STATE["fetched"], _STATE["not_modified"]],
        ).fetchone()
        return int(expected), int(seen)

    def expected_origins(self) -> list[str]:
        """Those of which an address is expected."""
        rows = self._connection.execute(
            "SELECT origin FROM origin WHERE id IN (SELECT origin FROM address WHERE expected <> 0) ORDER BY origin"
        )
        return [str(row[0]) for row in rows]

    def _row(self, seed: Seed) -> tuple[int, str, int, int, int, int]:
        return seed.key, seed.url, _KIND[seed.kind], seed.depth, self._origin(seed.origin), seed.expected

    def _origin(self, origin: str) -> int:
        known = self._ids.get(origin)
        if known is None:
            cursor = self._connection.execute("INSERT INTO origin (origin, told) VALUES (?, '{}')", [origin])
            known = self._ids[origin] = int(cursor.lastrowid or 0)
        return known
