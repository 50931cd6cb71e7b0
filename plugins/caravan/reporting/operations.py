"""How far the figures can be trusted: freshness, loads, checks.

Nothing here reads `raw_row` or a message of quarantine: both may quote personal data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Literal

from caravan.core.entities import ENTITIES
from caravan.reporting.makers import RunKey, run_key
from caravan.reporting.quarantine import Quarantined, QuarantinedFile, read_files, read_reasons
from caravan.reporting.sales import CHANNEL_DAY
from caravan.reporting.tables import Reader
from caravan.warehouse.port import Session

LOADS_SHOWN = 15
RECENT = timedelta(days=30)
"""How long a refused delivery is shown."""
# Loads of channels; exchange rates and configuration are loaded too, by their own rhythm.
_OF_CHANNELS = f"entity IN ({', '.join(repr(name) for name in sorted(ENTITIES))})"
_READ = f"state IN ('loaded', 'empty') AND {_OF_CHANNELS}"
_DELIVERED = "state = 'loaded' AND received_count > 0"


Look = Literal["read", "missing", "failed", "faulty"]
"""How the last look at a channel ended. missing: no file was there. failed: it could not be read. faulty: its
configuration has a fault, so nobody looks."""


@dataclass(frozen=True)
class Expected:
    """`stale_after`: how long each channel that is switched on may deliver nothing. `faulty`: those of them whose
    configuration has a fault."""

    stale_after: Mapping[str, timedelta] = field(default_factory=dict)
    faulty: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Freshness:
    channel_code: str
    name: str
    last_order_day: date | None
    last_delivery_at: datetime | None
    """When the newest delivery with rows was read, UTC."""
    age: timedelta | None
    stale_after: timedelta | None
    """How long it may deliver nothing; None: it is switched off, and may for ever."""
    last_look: Look = "read"
    run: RunKey | None = None
    """What read the newest delivery."""

    @property
    def is_stale(self) -> bool:
        """Nothing was delivered within the allowed time, or ever."""
        return self.stale_after is not None and (self.age is None or self.age > self.stale_after)

    @property
    def is_unread(self) -> bool:
        return self.stale_after is not None and self.last_look in ("failed", "faulty")

    @property
    def age_hours(self) -> int | None:
        return _hours(self.age)

    @property
    def stale_after_hours(self) -> int | None:
        return _hours(self.stale_after)


def _hours(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds() // 3600)


@dataclass(frozen=True)
class Load:
    channel: str
    entity: str
    delivery_name: str | None
    state: str
    started_at: datetime | None
    ended_at: datetime | None
    received: int | None
    loaded: int | None
    unchanged: int | None
    duplicate: int | None
    quarantined: int | None
    run: RunKey | None = None

    @property
    def reconciles(self) -> bool | None:
        """received = loaded + unchanged + duplicate + quarantined; None while a count is unknown."""
        parts = (self.loaded, self.unchanged, self.duplicate, self.quarantined)
        if self.received is None or None in parts:
            return None
        return self.received == sum(part or 0 for part in parts)


@dataclass(frozen=True)
class Refused:
    """A delivery that was not read the last time it was tried."""

    channel: str
    entity: str
    delivery_name: str | None
    reason_code: str | None
    message: str | None
    last_at: datetime
    attempt_count: int


@dataclass(frozen=True)
class LoadTotals:
    """Over every delivery of a channel that was read."""

    load_count: int
    received: int
    loaded: int
    unchanged: int
    duplicate: int
    quarantined: int
    unreconciled_count: int


@dataclass(frozen=True)
class Finding:
    """What the newest run of a check found, over all slices of a part with the same outcome."""

    model_name: str
    check_name: str
    part: str | None
    outcome: str
    slice_count: int
    first_slice: date | None
    last_slice: date | None
    checked_count: int | None
    failed_count: int | None


@dataclass(frozen=True)
class Blocked:
    """Slices that a failed check of `cause_model` keeps at their last good state, there and further on."""

    cause_model: str
    part: str | None
    reason: str
    """Of the newest of these slices."""
    since: datetime | None
    """When the oldest of the blocks was laid, UTC."""
    model_count: int
    slice_count: int
    first_slice: date
    last_slice: date


@dataclass(frozen=True)
class Operations:
    freshness: tuple[Freshness, ...]
    loads: tuple[Load, ...]
    refused: tuple[Refused, ...]
    """Of the last 30 days, newest first."""
    load_totals: LoadTotals | None
    """None before the first load."""
    quarantine: tuple[Quarantined, ...]
    quarantined_files: tuple[QuarantinedFile, ...]
    passed_count: int
    """Results of the newest run of each check, which says nothing of slices that it did not look at."""
    unjudged_count: int
    """Of these, those that had too few rows to judge and count as not passed."""
    findings: tuple[Finding, ...]
    blocked: tuple[Blocked, ...]
    waiting_slice_count: int
    """Slices marked for a rebuild that has not happened yet."""

    @property
    def stale(self) -> tuple[Freshness, ...]:
        return tuple(row for row in self.freshness if row.is_stale)

    @property
    def unread(self) -> tuple[Freshness, ...]:
        """Those that are switched on and were not read at the last look."""
        return tuple(row for row in self.freshness if row.is_unread)


def read_operations(session: Session, now: datetime, expected: Expected) -> Operations:
    """`now` is UTC without zone."""
    reader = Reader(session)
    names = reader.names("mart.dim_channel", "channel_code")
    passed, unjudged = _passed(reader)
    return Operations(
        freshness=_freshness(reader, names, now, expected),
        loads=_loads(reader, names),
        refused=_refused(reader, names, now - RECENT),
        load_totals=_load_totals(reader),
        quarantine=read_reasons(reader, names),
        quarantined_files=read_files(reader, names),
        passed_count=passed,
        unjudged_count=unjudged,
        findings=_findings(reader, names),
        blocked=_blocked(reader, names),
        waiting_slice_count=_waiting(reader),
    )


def _freshness(reader: Reader, names: Mapping[str, str], now: datetime, expected: Expected) -> tuple[Freshness, ...]:
    last_orders: dict[str, date] = dict(
        reader.rows(
            (CHANNEL_DAY,), f"SELECT channel_code, MAX(order_local_date) FROM {CHANNEL_DAY} GROUP BY channel_code"
        )
    )
    looks = {channel: (delivered_at, state) for channel, delivered_at, state in reader.rows(("ops.load",), _LOOKS)}
    runs = _newest_runs(reader)
    found = []
    for code in {*names, *last_orders, *looks, *expected.stale_after}:
        delivered_at, state = looks.get(code, (None, None))
        found.append(
            Freshness(
                channel_code=code,
                name=names.get(code, code),
                last_order_day=last_orders.get(code),
                last_delivery_at=delivered_at,
                age=None if delivered_at is None else now - delivered_at,
                stale_after=expected.stale_after.get(code),
                last_look="faulty" if code in expected.faulty else _LOOK_OF.get(state, "read"),
                run=runs.get(code),
            )
        )
    return tuple(sorted(found, key=lambda row: (not row.is_unread, not row.is_stale, row.name)))


_LOOK_OF: dict[str | None, Look] = {"missing": "missing", "failed": "failed"}


# Of each channel: when it last delivered rows, and how the last look ended. Looks at its other entities in the same
# moment count for what they found.
_LOOKS = f"""
WITH looked AS (
    SELECT
        channel_code, state, started_at, {_DELIVERED} AS is_delivered,
        ROW_NUMBER() OVER (
            PARTITION BY channel_code
            ORDER BY ended_at DESC, CASE WHEN state IN ('missing', 'failed') THEN 1 ELSE 0 END, load_id
        ) AS recency
    FROM ops.load WHERE {_OF_CHANNELS} AND state <> 'retried'
)
SELECT
    channel_code, MAX(CASE WHEN is_delivered THEN started_at END), MAX(CASE WHEN recency = 1 THEN state END)
FROM looked GROUP BY channel_code
"""


def _newest_runs(reader: Reader) -> dict[str, RunKey | None]:
    """The run that read each channel's newest delivery with rows."""
    rows = reader.rows(
        ("ops.load",),
        f"""
        WITH ranked AS (
            SELECT
                channel_code, dag_id, run_id,
                ROW_NUMBER() OVER (PARTITION BY channel_code ORDER BY ended_at DESC, load_id DESC) AS recency
            FROM ops.load WHERE {_DELIVERED} AND {_OF_CHANNELS}
        )
        SELECT channel_code, dag_id, run_id FROM ranked WHERE recency = 1
        """,
    )
    return {channel: run_key(dag, run) for channel, dag, run in rows}


def _loads(reader: Reader, names: Mapping[str, str]) -> tuple[Load, ...]:
    rows = reader.rows(
        ("ops.load",),
        "SELECT channel_code, entity, delivery_name, state, started_at, ended_at, received_count, loaded_count, "
        "unchanged_count, duplicate_count, quarantined_count, dag_id, run_id "
        f"FROM ops.load WHERE {_READ} ORDER BY started_at DESC, load_id DESC LIMIT {LOADS_SHOWN}",
    )
    return tuple(replace(Load(names.get(row[0], row[0]), *row[1:11]), run=run_key(*row[11:])) for row in rows)


def _refused(reader: Reader, names: Mapping[str, str], since: datetime) -> tuple[Refused, ...]:
    rows = reader.rows(
        ("ops.load",),
        f"""
        WITH ranked AS (
            SELECT
                channel_code, entity, delivery_name, reason_code, message, state, started_at,
                COUNT(CASE WHEN state = 'refused' THEN 1 END) OVER (
                    PARTITION BY channel_code, entity, delivery_name
                ) AS attempt_count,
                ROW_NUMBER() OVER (
                    PARTITION BY channel_code, entity, delivery_name ORDER BY started_at DESC, load_id DESC
                ) AS recency,
                MAX(CASE WHEN {_READ} THEN started_at END) OVER (PARTITION BY channel_code, entity) AS read_at
            FROM ops.load WHERE {_OF_CHANNELS} AND state IN ('loaded', 'empty', 'refused', 'retried')
        )
        SELECT channel_code, entity, delivery_name, reason_code, message, started_at, attempt_count
        FROM ranked
        WHERE recency = 1 AND state = 'refused' AND started_at >= $since
            -- Without a name it was all there was to read: whatever was read later makes up for it.
            AND (delivery_name IS NOT NULL OR read_at IS NULL OR read_at < started_at)
        ORDER BY started_at DESC, channel_code, entity, delivery_name
        """,
        {"since": since},
    )
    return tuple(Refused(names.get(row[0], row[0]), *row[1:]) for row in rows)


def _load_totals(reader: Reader) -> LoadTotals | None:
    counts = ("received", "loaded", "unchanged", "duplicate", "quarantined")
    sums = ", ".join(f"CAST(SUM({name}_count) AS BIGINT)" for name in counts)
    rows = reader.rows(
        ("ops.load",),
        f"SELECT COUNT(*), {sums}, COUNT(CASE WHEN received_count = loaded_count + unchanged_count + duplicate_count "
        f"+ quarantined_count THEN NULL ELSE 1 END) FROM ops.load WHERE {_READ}",
    )
    return LoadTotals(*rows[0]) if rows and rows[0][0] else None


# What the newest run of each check found: a passed slice leaves no row that could settle an older one.
_NEWEST_RESULTS = """
WITH ranked AS (
    SELECT
        model_name, check_name, kind, part_value, outcome, slice_date, checked_count, failed_count, checked_at,
        MAX(checked_at) OVER (PARTITION BY model_name, check_name) AS newest_at
    FROM ops.quality_result
),

newest AS (
    SELECT
        model_name, check_name, part_value, outcome, slice_date, checked_count, failed_count,
        kind = 'distribution' AND checked_count = 0 AS is_unjudged
    FROM ranked WHERE checked_at = newest_at
)
"""


def _passed(reader: Reader) -> tuple[int, int]:
    """Checks that passed, and checks that had too few rows to judge."""
    rows = reader.rows(
        ("ops.quality_result",),
        f"{_NEWEST_RESULTS} SELECT COUNT(CASE WHEN is_unjudged THEN NULL ELSE 1 END), "
        "COUNT(CASE WHEN is_unjudged THEN 1 END) FROM newest WHERE outcome = 'pass'",
    )
    return (rows[0][0], rows[0][1]) if rows else (0, 0)


def _findings(reader: Reader, names: Mapping[str, str]) -> tuple[Finding, ...]:
    rows = reader.rows(
        ("ops.quality_result",),
        f"""{_NEWEST_RESULTS}
        SELECT
            model_name, check_name, part_value, outcome, COUNT(*), MIN(slice_date), MAX(slice_date),
            CAST(NULLIF(SUM(checked_count), 0) AS BIGINT), CAST(SUM(failed_count) AS BIGINT)
        FROM newest WHERE outcome <> 'pass'
        GROUP BY model_name, check_name, part_value, outcome
        ORDER BY CASE outcome WHEN 'fail' THEN 0 WHEN 'error' THEN 1 ELSE 2 END, model_name, check_name, part_value
        """,
    )
    return tuple(Finding(row[0], row[1], names.get(row[2], row[2]), *row[3:]) for row in rows)


def _blocked(reader: Reader, names: Mapping[str, str]) -> tuple[Blocked, ...]:
    # Of the kinds, `unvalidated` is none of these: staged, not judged yet, no fault.
    rows = reader.rows(
        ("ops.blocked_slice",),
        """
        WITH ranked AS (
            SELECT
                cause_model, part_value, reason, model_name, slice_date, blocked_at,
                ROW_NUMBER() OVER (
                    PARTITION BY cause_model, part_value ORDER BY slice_date DESC, cause_kind, model_name
                ) AS recency
            FROM ops.blocked_slice WHERE cause_kind IN ('structure', 'distribution')
        )
        SELECT
            cause_model, part_value, MAX(CASE WHEN recency = 1 THEN reason END), MIN(blocked_at),
            COUNT(DISTINCT model_name), COUNT(DISTINCT slice_date), MIN(slice_date), MAX(slice_date)
        FROM ranked GROUP BY cause_model, part_value ORDER BY cause_model, part_value
        """,
    )
    return tuple(Blocked(row[0], names.get(row[1], row[1]), *row[2:]) for row in rows)


def _waiting(reader: Reader) -> int:
    rows = reader.rows(
        ("ops.dirty_slice",),
        "SELECT COUNT(*) FROM (SELECT DISTINCT model_name, slice_date FROM ops.dirty_slice) AS slices",
    )
    return int(rows[0][0]) if rows else 0
