"""What was approved or revoked, and what outlets were given of it, in a ledger: fixed when planned."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from caravan.core.approval import Approval, Revocation
from caravan.core.release import PayloadKey, SentLink
from caravan.warehouse.ledger import Ledger, as_moment, as_text

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS release_approval (
    release_id TEXT NOT NULL, content_hash TEXT NOT NULL, approver TEXT NOT NULL, at TEXT NOT NULL,
    source TEXT NOT NULL, PRIMARY KEY (release_id, content_hash, approver))""",
    """CREATE TABLE IF NOT EXISTS release_revocation (
    release_id TEXT NOT NULL, content_hash TEXT NOT NULL, revoker TEXT NOT NULL, at TEXT NOT NULL, why TEXT NOT NULL,
    source TEXT NOT NULL, PRIMARY KEY (release_id, content_hash, revoker, at))""",
    """CREATE TABLE IF NOT EXISTS release_payload (
    release_id TEXT NOT NULL, revision INTEGER NOT NULL, outlet TEXT NOT NULL, market_code TEXT NOT NULL,
    locale TEXT NOT NULL, content_hash TEXT NOT NULL, payload TEXT NOT NULL, rendered_at TEXT NOT NULL,
    PRIMARY KEY (release_id, revision, outlet, market_code, locale, content_hash))""",
    """CREATE TABLE IF NOT EXISTS release_link (
    release_id TEXT NOT NULL, revision INTEGER NOT NULL, content_hash TEXT NOT NULL, outlet TEXT NOT NULL,
    locale TEXT NOT NULL, link_id TEXT NOT NULL, place INTEGER NOT NULL, url TEXT NOT NULL, target_url TEXT NOT NULL,
    PRIMARY KEY (release_id, revision, content_hash, outlet, locale, link_id))""",
)
LINK = tuple(SentLink.__dataclass_fields__)
_APPROVAL = ("release_id", "content_hash", "approver", "at", "source")
REVOCATION = ("release_id", "content_hash", "revoker", "at", "why", "source")


class StoredReleases:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        ledger.make(SCHEMA)

    def approve(self, approvals: Iterable[Approval]) -> int:
        """Those that are new; how many. The first word of a person about a content stays until it is revoked."""
        insert = (
            f"INSERT INTO release_approval ({', '.join(_APPROVAL)}) "
            f"VALUES ({', '.join(f':{name}' for name in _APPROVAL)}) "
            "ON CONFLICT (release_id, content_hash, approver) DO UPDATE SET at = excluded.at, source = excluded.source "
            "WHERE EXISTS (SELECT 1 FROM release_revocation AS r WHERE r.release_id = excluded.release_id "
            "AND r.content_hash = excluded.content_hash AND r.at >= release_approval.at AND r.at < excluded.at) "
            "RETURNING 1"
        )
        with self._ledger.write() as transaction:
            return sum(len(transaction.rows(insert, vars(each) | {"at": as_text(each.at)})) for each in approvals)

    def approvals(self, release_id: str) -> list[Approval]:
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                f"SELECT {', '.join(_APPROVAL)} FROM release_approval WHERE release_id = :id ORDER BY at, approver",
                {"id": release_id},
            )
        found = [dict(zip(_APPROVAL, row, strict=True)) for row in rows]
        return [Approval(**(each | {"at": as_moment(each["at"])})) for each in found]

    def revoke(self, revocations: Iterable[Revocation]) -> int:
        """Those that are new; how many."""
        insert = (
            f"INSERT INTO release_revocation ({', '.join(REVOCATION)}) "
            f"VALUES ({', '.join(f':{name}' for name in REVOCATION)}) ON CONFLICT DO NOTHING RETURNING 1"
        )
        with self._ledger.write() as transaction:
            return sum(len(transaction.rows(insert, vars(each) | {"at": as_text(each.at)})) for each in revocations)

    def revocations(self, release_id: str) -> list[Revocation]:
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                f"SELECT {', '.join(REVOCATION)} FROM release_revocation WHERE release_id = :id ORDER BY at, revoker",
                {"id": release_id},
            )
        found = [dict(zip(REVOCATION, row, strict=True)) for row in rows]
        return [Revocation(**(each | {"at": as_moment(each["at"])})) for each in found]

    def keep(self, payloads: Mapping[PayloadKey, Mapping[str, Any]], links: Iterable[SentLink], now: datetime) -> None:
        """What is there already stays: it may be on its way."""
        names = [*PayloadKey.__dataclass_fields__, "payload", "rendered_at"]
        rows = [
            (*vars(key).values(), json.dumps(payload, sort_keys=True), as_text(now))
            for key, payload in payloads.items()
        ]
        with self._ledger.write() as transaction:
            transaction.insert("release_payload", names, rows, if_new=True)
            transaction.insert("release_link", LINK, [tuple(vars(each).values()) for each in links], if_new=True)

    def contents(self, release_id: str, revision: int) -> set[str]:
        """Hashes of what was planned under this revision."""
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                "SELECT DISTINCT content_hash FROM release_payload WHERE release_id = :id AND revision = :revision",
                {"id": release_id, "revision": revision},
            )
        return {row[0] for row in rows}

    def rendered_at(self, release_id: str, revision: int, outlet: str) -> datetime | None:
        """When an outlet was given what it has of a revision, the newest of it."""
        with self._ledger.read() as transaction:
            found = transaction.row(
                "SELECT MAX(rendered_at) FROM release_payload "
                "WHERE release_id = :id AND revision = :revision AND outlet = :outlet",
                {"id": release_id, "revision": revision, "outlet": outlet},
            )
        return as_moment(found[0]) if found else None

    def planned_before(self, release_id: str, revision: int) -> list[tuple[int, str]]:
        """Revisions before this one, and the outlets of each."""
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                "SELECT DISTINCT revision, outlet FROM release_payload WHERE release_id = :id AND revision < :revision "
                "ORDER BY revision, outlet",
                {"id": release_id, "revision": revision},
            )
        return [(int(row[0]), row[1]) for row in rows]

    def links(self) -> list[SentLink]:
        """Of all that was ever planned."""
        with self._ledger.read() as transaction:
            rows = transaction.rows(f"SELECT {', '.join(LINK)} FROM release_link ORDER BY {', '.join(LINK)}")
        return [SentLink(*row) for row in rows]

    def payload(self, key: PayloadKey) -> Mapping[str, Any] | None:
        names = list(PayloadKey.__dataclass_fields__)
        with self._ledger.read() as transaction:
            found = transaction.row(
                f"SELECT payload FROM release_payload WHERE {' AND '.join(f'{name} = :{name}' for name in names)}",
                vars(key),
            )
        payload: Mapping[str, Any] | None = json.loads(found[0]) if found else None
        return payload
