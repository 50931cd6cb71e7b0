"""What came back of messages, each piece once, in a ledger."""

from __future__ import annotations

from datetime import datetime

from caravan.core.feedback import Feedback, Unreadable
from caravan.warehouse.ledger import Ledger, as_text

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS feedback (
    outlet TEXT NOT NULL, raw_id TEXT NOT NULL, kind TEXT NOT NULL, message_id TEXT, provider_id TEXT, at TEXT NOT NULL,
    detail TEXT NOT NULL, recorded_at TEXT NOT NULL, PRIMARY KEY (outlet, raw_id, kind, message_id))""",
)
COLUMNS = ("outlet", "raw_id", "kind", "message_id", "provider_id", "at", "detail", "recorded_at")


class StoredFeedback:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        ledger.make(SCHEMA)

    def add(self, outlet: str, found: Feedback | Unreadable, now: datetime) -> bool:
        said: tuple[str | None, ...]
        if isinstance(found, Unreadable):
            said = ("unreadable", "", None, as_text(now), found.reason)
        else:
            said = (found.kind, found.message_id or "", found.provider_id, as_text(found.at), found.detail)
        values = (outlet, found.raw_id, *said, as_text(now))
        with self._ledger.write() as transaction:
            return bool(
                transaction.rows(
                    f"INSERT INTO feedback ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{name}' for name in COLUMNS)}) "
                    "ON CONFLICT DO NOTHING RETURNING 1",
                    dict(zip(COLUMNS, values, strict=True)),
                )
            )

    def of_mails_since(self, outlet: str, since: datetime) -> dict[str, int]:
        """By kind, of how many messages that were handed over since then it has come. The outbox is in this ledger."""
        same = "outlet = :outlet AND m.handed_over_at >= :since"
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                "SELECT kind, COUNT(*) FROM (SELECT f.kind AS kind, m.message_id AS message_id FROM feedback AS f "
                f"INNER JOIN outbox_message AS m ON m.message_id = f.message_id WHERE f.{same} "
                "UNION SELECT f.kind AS kind, m.message_id AS message_id FROM feedback AS f "
                "INNER JOIN outbox_message AS m ON m.provider_id = f.provider_id AND m.outlet = f.outlet "
                f"WHERE f.message_id = '' AND f.{same}) AS found GROUP BY kind ORDER BY kind",
                {"outlet": outlet, "since": as_text(since)},
            )
        return {row[0]: int(row[1]) for row in rows}

    def counts(self, outlet: str, since: datetime) -> dict[str, int]:
        """By kind, since then."""
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                "SELECT kind, COUNT(*) FROM feedback WHERE outlet = :outlet AND at >= :since GROUP BY kind ORDER BY 1",
                {"outlet": outlet, "since": as_text(since)},
            )
        return {row[0]: int(row[1]) for row in rows}
