"""What left the machine: releases, and messages of which a person has to say what became of them. No address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from caravan.core.outbox import SUPERSEDED, Traffic
from caravan.reporting.tables import Reader

DELIVERY, RELEASE, ON_TIME = "mart.fct_delivery", "mart.fct_release", "mart.rpt_release__on_time"
CONSISTENCY = "mart.rpt_release__consistency"
DIFFERENCES_SHOWN = 100
RELEASES_SHOWN = 50
_WORDS: Mapping[str, str] = {"handed_over": "handed over", "operator": "waiting for a decision"}

Standing = Literal["decide", "missed", "unknown", "refused", "taken_back", "waiting", "nothing", "sent"]
STANDINGS: Mapping[Standing, tuple[str, str]] = {
    "decide": ("bad", "decision needed"),
    "missed": ("bad", "some missed"),
    "unknown": ("warn", "some unknown"),
    "refused": ("warn", "some refused"),
    "taken_back": ("warn", "mail taken back"),
    "waiting": ("", "on its way"),
    "nothing": ("", "nothing sent"),
    "sent": ("good", "sent"),
}
"""Kind of mark and words."""


@dataclass(frozen=True)
class Released:
    """A revision of a release. `due_count`, `on_time_count`: as far as the report's model has been built.
    `superseded_count`: people whose mail waited when a newer revision was approved."""

    release_id: str
    revision: int
    message_count: int
    planned_count: int
    accepted_count: int
    unknown_count: int
    missed_count: int
    skipped_count: int
    rejected_count: int
    cancelled_count: int
    undecided_count: int
    first_promised_at: datetime
    last_handed_over_at: datetime | None
    due_count: int | None
    on_time_count: int | None
    most_late_seconds: Decimal | None
    superseded_count: int = 0

    @property
    def on_time_share(self) -> Decimal | None:
        return Decimal(self.on_time_count or 0) / self.due_count if self.due_count else None

    @property
    def most_late(self) -> timedelta | None:
        seconds = self.most_late_seconds
        return None if seconds is None else timedelta(seconds=max(0, int(seconds)))

    @property
    def standing(self) -> Standing:
        return _standing(
            self.undecided_count,
            self.missed_count,
            self.unknown_count,
            self.rejected_count,
            self.planned_count,
            self.accepted_count,
            self.superseded_count,
        )


MISSED_FOR = timedelta(days=7)


@dataclass(frozen=True)
class Outlet:
    """An outlet as the outbox itself says at the moment of the report."""

    traffic: Traffic

    @property
    def mark(self) -> tuple[str, str]:
        """Kind and words: the worst that can be said of it."""
        here = self.traffic
        found = (
            (here.is_stopped, ("bad", "stopped")),
            (here.overdue_count, ("bad", "not being sent")),
            (here.undecided_count, STANDINGS["decide"]),
            (here.missed_count, STANDINGS["missed"]),
            (here.unknown_count, STANDINGS["unknown"]),
            (here.due_count + here.planned_count, STANDINGS["waiting"]),
        )
        return next((mark for count, mark in found if count), ("good", "nothing waits"))


@dataclass(frozen=True)
class Undecided:
    function_code: str
    outlet_code: str
    message_count: int
    since: datetime
    """When the first of them was left to a person."""


@dataclass(frozen=True)
class Difference:
    """What an outlet showed when it was read back last, that is not as it was handed over; or what nobody could see."""

    release_id: str
    revision: int
    outlet_code: str
    locale: str | None
    aspect: str
    outcome: str
    detail: str | None
    checked_at: datetime


@dataclass(frozen=True)
class ReadBack:
    """Pages and posts of the last days, each by its last look and its worst outcome. `differences`: those that differ
    first, then those without an answer. `at`: of the last look, UTC."""

    counts: Mapping[str, int]
    differences: tuple[Difference, ...]
    difference_count: int
    at: datetime | None

    @property
    def page_count(self) -> int:
        return sum(self.counts.values())


Superseded = Mapping[tuple[str, int], Mapping[str, int]]
"""By release and revision, of each market how many people's mail waited when a newer one was approved."""


@dataclass(frozen=True)
class Outgoing:
    """`counts`: messages by state. `last_at`: the last change that the warehouse knows, UTC."""

    counts: tuple[tuple[str, int], ...]
    last_at: datetime | None
    releases: tuple[Released, ...]
    release_count: int
    undecided: tuple[Undecided, ...]
    read_back: ReadBack
    standings: Mapping[tuple[str, int], Standing]
    """Of every release and revision."""
    superseded: Superseded

    @property
    def message_count(self) -> int:
        return sum(count for _, count in self.counts)


def read_outgoing(reader: Reader) -> Outgoing:
    superseded = _superseded(reader)
    states = reader.rows(
        (DELIVERY,),
        # Not `is_seed`: a table of an older version has no such column.
        f"SELECT state, COUNT(*) AS message_count, MAX(changed_at) FROM {DELIVERY} "
        "WHERE COALESCE(variant, '') <> 'seed' GROUP BY state "
        "ORDER BY message_count DESC, state",
    )
    totals = reader.rows((RELEASE,), f"SELECT COUNT(*) FROM {RELEASE}")
    return Outgoing(
        counts=tuple((_WORDS.get(str(state), str(state)), count) for state, count, _ in states),
        last_at=max((changed_at for _, _, changed_at in states), default=None),
        releases=_releases(reader, superseded),
        release_count=int(totals[0][0]) if totals else 0,
        undecided=_undecided(reader),
        read_back=_read_back(reader),
        standings={
            (row[0], row[1]): _standing(*row[2:])
            for row in reader.rows(
                (RELEASE,),
                "SELECT release_id, revision, waiting_for_decision_count, missed_count, unknown_count, rejected_count, "
                f"planned_count, accepted_count FROM {RELEASE}",
            )
        },
        superseded=superseded,
    )


def _standing(
    undecided: int, missed: int, unknown: int, rejected: int, planned: int, accepted: int, superseded: int = 0
) -> Standing:
    """The worst that can be said of so many messages."""
    counts: tuple[tuple[int, Standing], ...] = (
        (undecided, "decide"),
        (missed, "missed"),
        (unknown, "unknown"),
        (rejected, "refused"),
        (superseded, "taken_back"),
        (planned, "waiting"),
    )
    found = next((word for count, word in counts if count), None)
    return found or ("sent" if accepted else "nothing")


def _superseded(reader: Reader) -> Superseded:
    rows = reader.rows(
        (DELIVERY,),
        f"SELECT object_id, revision, market_code, COUNT(*) FROM {DELIVERY} WHERE function_code = 'release' "
        "AND state = 'cancelled' AND reason = $reason AND purpose IS NOT NULL GROUP BY object_id, revision, "
        "market_code ORDER BY object_id, revision, market_code",
        {"reason": SUPERSEDED},
    )
    found: dict[tuple[str, int], dict[str, int]] = {}
    for release_id, revision, market, count in rows:
        found.setdefault((release_id, revision), {})[market] = int(count)
    return found


def _releases(reader: Reader, superseded: Superseded) -> tuple[Released, ...]:
    rows = reader.rows(
        (RELEASE, ON_TIME),
        f"""
        WITH timed AS (
            SELECT
                release_id, revision, CAST(SUM(due_count) AS BIGINT) AS due_count,
                CAST(SUM(on_time_count) AS BIGINT) AS on_time_count, MAX(max_lateness_seconds) AS most_late_seconds
            FROM {ON_TIME} GROUP BY release_id, revision
        )
        SELECT
            r.release_id, r.revision, r.message_count, r.planned_count, r.accepted_count, r.unknown_count,
            r.missed_count, r.skipped_count, r.rejected_count, r.cancelled_count, r.waiting_for_decision_count,
            r.first_promised_at, r.last_handed_over_at, t.due_count, t.on_time_count, t.most_late_seconds
        FROM {RELEASE} AS r LEFT JOIN timed AS t ON r.release_id = t.release_id AND r.revision = t.revision
        ORDER BY r.first_promised_at DESC, r.release_id, r.revision DESC LIMIT {RELEASES_SHOWN}
        """,
    )
    taken_back = {which: sum(of_markets.values()) for which, of_markets in superseded.items()}
    return tuple(replace(Released(*row), superseded_count=taken_back.get((row[0], row[1]), 0)) for row in rows)


def _undecided(reader: Reader) -> tuple[Undecided, ...]:
    rows = reader.rows(
        (DELIVERY,),
        f"SELECT function_code, outlet_code, COUNT(*) AS message_count, MIN(changed_at) FROM {DELIVERY} "
        "WHERE state = 'operator' GROUP BY function_code, outlet_code "
        "ORDER BY message_count DESC, function_code, outlet_code",
    )
    return tuple(Undecided(*row) for row in rows)


# Of a page that says some things and others not, what it says counts.
_RANKS: Mapping[str, int] = {"differs": 0, "unanswered": 1, "same": 2, "not_evaluated": 3}
_NEWEST = f"""
    WITH looks AS (
        SELECT
            message_id, release_id, revision, outlet_code, locale, aspect, outcome, detail, checked_at,
            MAX(checked_at) OVER (PARTITION BY message_id) AS last_at,
            MAX(revision) OVER (PARTITION BY release_id, outlet_code, locale) AS last_revision,
            CASE {" ".join(f"WHEN outcome = '{word}' THEN {rank}" for word, rank in _RANKS.items())} END AS outcome_rank
        FROM {CONSISTENCY}
        -- What is no longer looked at, a week after it left, is no news.
        WHERE check_date >= (SELECT MAX(check_date) FROM {CONSISTENCY}) - INTERVAL '1' DAY
    ),
    newest AS (SELECT * FROM looks WHERE checked_at = last_at AND revision = last_revision)
"""


def _read_back(reader: Reader) -> ReadBack:
    pages = reader.rows(
        (CONSISTENCY,),
        f"{_NEWEST} SELECT worst, COUNT(*), MAX(looked_at) FROM (SELECT message_id, MIN(outcome_rank) AS worst, "
        "MAX(checked_at) AS looked_at FROM newest GROUP BY message_id) AS p GROUP BY worst ORDER BY worst",
    )
    wrong = reader.rows(
        (CONSISTENCY,),
        f"{_NEWEST} SELECT release_id, revision, outlet_code, locale, aspect, outcome, detail, checked_at FROM newest "
        "WHERE outcome_rank < 2 ORDER BY outcome_rank, checked_at DESC, release_id, outlet_code, locale, aspect",
    )
    words = list(_RANKS)
    return ReadBack(
        counts={words[int(rank)]: int(count) for rank, count, _ in pages},
        differences=tuple(Difference(*row) for row in wrong[:DIFFERENCES_SHOWN]),
        difference_count=len(wrong),
        at=max((at for _, _, at in pages), default=None),
    )
