"""ops.release_check: what outlets showed of releases when they were read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from caravan.core.consistency import Checked
from caravan.warehouse import evidence, slices
from caravan.warehouse.catalog import Catalog
from caravan.warehouse.port import Session, Warehouse
from caravan.warehouse.raw_tables import CHECKS

LONGEST_DETAIL = 500
"""Characters. A page of fifty broken links needs no more to be looked at."""


class Found(NamedTuple):
    """One aspect, of a message's last look."""

    message_id: str
    checked_at: datetime
    aspect: str
    outcome: str
    detail: str


@dataclass(frozen=True)
class StoredChecks:
    """`catalog`: the models that stand on it."""

    warehouse: Warehouse
    catalog: Catalog

    def put(self, found: Sequence[Checked], now: datetime) -> None:
        """In one transaction. A later look of a day takes the place of the one before."""
        if not found:
            return
        days = sorted({each.at.date() for each in found})
        with self.warehouse.write() as session:
            for day in days:
                self._forget(session, day, [each.message.message_id for each in found if each.at.date() == day])
            evidence.insert_many(session, CHECKS.name, [row for each in found for row in _rows(each)])
            slices.bump_version(session, CHECKS.name)
            slices.mark_consumers(session, self.catalog, CHECKS.name, days, "releases were read back", now)

    def _forget(self, session: Session, day: date, message_ids: Sequence[str]) -> None:
        names = ", ".join(f"'{each}'" for each in message_ids)  # hexadecimal digits
        session.execute(
            f"DELETE FROM {CHECKS.name} WHERE {slices.on_days('check_date', [day])} AND message_id IN ({names})"
        )

    def last(self, since: datetime) -> list[Found]:
        """Of each message its last look since then, aspect by aspect."""
        with self.warehouse.read() as session:
            rows = session.rows(
                f"SELECT c.message_id, c.checked_at, c.aspect, c.outcome, c.detail FROM {CHECKS.name} AS c "
                f"JOIN (SELECT message_id, MAX(checked_at) AS checked_at FROM {CHECKS.name} "
                "WHERE check_date >= CAST($since AS DATE) GROUP BY message_id) AS l "
                "ON l.message_id = c.message_id AND l.checked_at = c.checked_at ORDER BY c.message_id, c.aspect",
                {"since": since},
            )
        return [Found(*row) for row in rows]


def _rows(found: Checked) -> list[dict[str, object]]:
    message = found.message
    return [
        {
            "check_date": found.at.date(),
            "checked_at": found.at,
            "message_id": message.message_id,
            "release_id": message.key.object_id,
            "revision": message.key.revision,
            "outlet": message.key.outlet,
            "market_code": message.intention.market_code,
            "locale": message.intention.locale,
            "aspect": each.aspect,
            "outcome": each.outcome,
            "detail": each.detail[:LONGEST_DETAIL] or None,
        }
        for each in found.checks
    ]
