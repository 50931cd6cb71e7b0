"""`caravan.core.contacts` in a ledger: it is asked before each hand-over, and what it says is on disk at once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from caravan.core.contacts import REFUSED, Suppression
from caravan.core.privacy import ConsentEvent
from caravan.warehouse.ledger import Ledger, as_moment, as_text

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS consent_event (
    subject TEXT NOT NULL, purpose TEXT NOT NULL, channel TEXT NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL,
    evidence TEXT NOT NULL, text_version TEXT NOT NULL, source TEXT NOT NULL, recorded_at TEXT NOT NULL,
    PRIMARY KEY (subject, purpose, channel, state, at))""",
    """CREATE TABLE IF NOT EXISTS suppression (
    subject TEXT NOT NULL, channel TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL, evidence TEXT NOT NULL,
    recorded_at TEXT NOT NULL, PRIMARY KEY (subject, channel, reason))""",
    """CREATE TABLE IF NOT EXISTS suppression_lift (
    subject TEXT NOT NULL, channel TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL, evidence TEXT NOT NULL,
    lifted_at TEXT NOT NULL, lifted_by TEXT NOT NULL, why TEXT NOT NULL,
    PRIMARY KEY (subject, channel, reason, lifted_at))""",
    """CREATE TABLE IF NOT EXISTS soft_bounce (
    subject TEXT NOT NULL, channel TEXT NOT NULL, at TEXT NOT NULL, evidence TEXT NOT NULL,
    PRIMARY KEY (subject, channel, evidence))""",
    """CREATE TABLE IF NOT EXISTS contact_key (
    id INTEGER PRIMARY KEY CHECK (id = 1), key_print TEXT NOT NULL)""",
)
_PUT_RIGHT = """(subject, purpose, channel, state, at) DO UPDATE
    SET evidence = excluded.evidence, text_version = excluded.text_version
    WHERE consent_event.evidence = '' AND excluded.evidence <> ''"""
"""What was said stays as it was said; a proof that was missing is put in."""
_EVENT = ("subject", "purpose", "channel", "state", "at", "evidence", "text_version")
LIFT = ("subject", "channel", "reason", "at", "evidence", "lifted_at", "lifted_by", "why")
_SUPPRESSION = ("subject", "channel", "reason", "at", "evidence")


class StoredContacts:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        ledger.make(SCHEMA)

    def key_print(self) -> str | None:
        """Fingerprint of the key by which people are known here; None before its first use."""
        with self._ledger.read() as transaction:
            found = transaction.row("SELECT key_print FROM contact_key")
        return str(found[0]) if found else None

    def note_key_print(self, key_print: str) -> str:
        """The one that counts: of two processes that begin at once the first one's."""
        with self._ledger.write() as transaction:
            insert = "INSERT INTO contact_key (id, key_print) VALUES (1, :key_print) ON CONFLICT DO NOTHING"
            transaction.rows(insert, {"key_print": key_print})
        return self.key_print() or key_print

    def add_consent(self, events: Iterable[ConsentEvent], now: datetime, source: str) -> int:
        beside = {"source": source, "recorded_at": as_text(now)}
        return self._add(
            "consent_event",
            [{name: getattr(each, name) for name in _EVENT} | beside | {"at": as_text(each.at)} for each in events],
            _PUT_RIGHT,
        )

    def consent(self, subject: str) -> list[ConsentEvent]:
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                f"SELECT {', '.join(_EVENT)} FROM consent_event WHERE subject = :subject ORDER BY at, state",
                {"subject": subject},
            )
        found = [dict(zip(_EVENT, row, strict=True)) for row in rows]
        return [ConsentEvent(**(each | {"at": as_moment(each["at"])})) for each in found]

    def suppress(self, suppressions: Iterable[Suppression], now: datetime) -> int:
        beside = {"recorded_at": as_text(now)}
        return self._add(
            "suppression",
            [
                {name: getattr(each, name) for name in _SUPPRESSION} | beside | {"at": as_text(each.at)}
                for each in suppressions
            ],
        )

    def suppressions(self, subject: str, channel: str) -> list[Suppression]:
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                f"SELECT {', '.join(_SUPPRESSION)} FROM suppression WHERE subject = :subject AND channel = :channel "
                "ORDER BY at, reason",
                {"subject": subject, "channel": channel},
            )
        found = [dict(zip(_SUPPRESSION, row, strict=True)) for row in rows]
        return [Suppression(**(each | {"at": as_moment(each["at"])})) for each in found]

    def lift(self, ended: Suppression, now: datetime, by: str, why: str) -> None:
        """It suppresses nobody any more; that it did is kept. Soft bounces are counted anew."""
        which = {"subject": ended.subject, "channel": ended.channel, "reason": ended.reason}
        kept = {"at": as_text(ended.at), "evidence": ended.evidence, "lifted_at": as_text(now)}
        names, marks = ", ".join(LIFT), ", ".join(f":{name}" for name in LIFT)
        with self._ledger.write() as transaction:
            insert = f"INSERT INTO suppression_lift ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"
            transaction.rows(insert, which | kept | {"lifted_by": by, "why": why})
            where = "WHERE subject = :subject AND channel = :channel"
            transaction.rows(f"DELETE FROM suppression {where} AND reason = :reason", which)
            transaction.rows(f"DELETE FROM soft_bounce {where}", which)

    def note_soft_bounce(self, subject: str, channel: str, at: datetime, evidence: str) -> None:
        self._add("soft_bounce", [{"subject": subject, "channel": channel, "at": as_text(at), "evidence": evidence}])

    def soft_bounces(self, subject: str, channel: str, since: datetime) -> int:
        with self._ledger.read() as transaction:
            found = transaction.row(
                "SELECT COUNT(*) FROM soft_bounce WHERE subject = :subject AND channel = :channel AND at >= :since",
                {"subject": subject, "channel": channel, "since": as_text(since)},
            )
        return int(found[0]) if found else 0

    def refused_since(self, outlet: str, since: datetime) -> int:
        """Of how many messages that were handed over since then the server said at once that there is no such address.
        The outbox is in this ledger."""
        with self._ledger.read() as transaction:
            found = transaction.row(
                "SELECT COUNT(*) FROM suppression AS s INNER JOIN outbox_message AS m "
                f"ON m.message_id = SUBSTR(s.evidence, {len(REFUSED) + 1}) "
                "WHERE s.recorded_at >= :since AND s.evidence LIKE :refused AND m.outlet = :outlet "
                "AND m.handed_over_at >= :since",
                {"since": as_text(since), "refused": f"{REFUSED}%", "outlet": outlet},
            )
        return int(found[0]) if found else 0

    def _add(self, table: str, rows: list[dict[str, str | None]], conflict: str = "DO NOTHING") -> int:
        """Those whose key is not there; how many. `conflict`: what becomes of the others."""
        if not rows:
            return 0
        names = list(rows[0])
        insert = (
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)}) "
            f"ON CONFLICT {conflict} RETURNING 1"
        )
        with self._ledger.write() as transaction:
            return sum(len(transaction.rows(insert, row)) for row in rows)
