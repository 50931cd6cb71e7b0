"""The editorial calendar as the report shows it: releases by the day and hour of their markets, coming and past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

from caravan.reporting.outgoing import STANDINGS, Standing, Superseded
from caravan.reporting.tables import Reader
from caravan.warehouse.port import Row

CALENDAR = "mart.dim_release"
PAST = timedelta(days=60)
"""How long what is over stays on the page."""
SHOWN = 300
"""Entries of each part."""
_PLANS: Mapping[str, tuple[str, str]] = {
    "draft": ("bad", "has faults"),
    "in_review": ("warn", "not approved"),
    "planned": ("", "approved"),
    "over": ("warn", "not sent"),
}
"""Kind of mark and words for a release of which nothing is in the outbox."""


@dataclass(frozen=True)
class Slot:
    """A release at one moment of the clock, in all markets where that is its moment."""

    local_at: datetime
    first_at: datetime
    """UTC, of its first market."""
    release_id: str
    revision: int
    title: str
    kind: str
    is_withdrawal: bool
    owner: str | None
    markets: tuple[str, ...]
    outlets: tuple[str, ...]
    mark: tuple[str, str]

    @property
    def day(self) -> date:
        return self.local_at.date()


@dataclass(frozen=True)
class Agenda:
    """Days with their slots: the coming ones from now on, the past ones backwards. Counts are of slots."""

    coming: tuple[tuple[date, tuple[Slot, ...]], ...]
    past: tuple[tuple[date, tuple[Slot, ...]], ...]
    coming_count: int
    past_count: int
    market_names: Mapping[str, str]

    @property
    def next(self) -> Slot | None:
        return min((slot for _, slots in self.coming for slot in slots), key=lambda slot: slot.first_at, default=None)


def read_agenda(
    reader: Reader, now: datetime, standings: Mapping[tuple[str, int], Standing], superseded: Superseded
) -> Agenda:
    """`now`: UTC. `standings`: what became of the messages, by release and revision. `superseded`: whose mail will not
    come, in which markets."""
    rows = reader.rows(
        (CALENDAR,),
        f"""
        SELECT
            local_at, planned_at, release_id, revision, title, kind, action, owner, market_code, outlets,
            CASE WHEN is_gone THEN 'over' ELSE standing END
        FROM {CALENDAR} WHERE planned_at >= $since ORDER BY market_code
        """,
        {"since": now - PAST},
    )

    def key(row: Row) -> tuple[datetime, str, int, bool]:
        return row[0], row[2], row[3], row[1] < now

    slots = []
    for (local_at, release_id, revision, is_past), found in groupby(sorted(rows, key=key), key):
        same = list(found)
        _, _, _, _, title, kind, action, owner, _, _, plan = same[0]
        markets = tuple(row[8] for row in same)
        is_taken_back = not superseded.get((release_id, revision), {}).keys().isdisjoint(markets)
        slot = Slot(
            local_at,
            min(row[1] for row in same),
            release_id,
            revision,
            title,
            kind,
            action == "withdraw",
            owner,
            markets,
            tuple(dict.fromkeys(code for row in same for code in (row[9] or "").split())),
            _mark(plan, standings.get((release_id, revision)), is_taken_back),
        )
        slots.append((is_past, slot))
    coming = [slot for is_past, slot in slots if not is_past]
    past = [slot for is_past, slot in reversed(slots) if is_past]
    names = reader.names("mart.dim_market", "market_code")
    return Agenda(_days(coming[:SHOWN]), _days(past[:SHOWN]), len(coming), len(past), names)


def _mark(plan: str, standing: Standing | None, is_taken_back: bool) -> tuple[str, str]:
    if standing is None:
        return _PLANS[plan]
    if is_taken_back and standing in ("waiting", "nothing", "sent"):
        return STANDINGS["taken_back"]
    if standing == "waiting" and plan in ("draft", "in_review"):
        return "bad", "changed since its approval"  # it is in the outbox, and nothing leaves
    return STANDINGS[standing]


def _days(slots: Sequence[Slot]) -> tuple[tuple[date, tuple[Slot, ...]], ...]:
    return tuple((day, tuple(found)) for day, found in groupby(slots, key=lambda slot: slot.day))
