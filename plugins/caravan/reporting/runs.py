"""What one run left in the warehouse: its own record, its loads and its checks, counted.

Of loads and checks only counts leave the warehouse: their messages may quote a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from caravan.reporting.tables import Reader
from caravan.warehouse.port import Row, Session


@dataclass(frozen=True)
class RunLoads:
    """What the run read of one channel's entity."""

    channel: str
    entity: str
    read_count: int
    refused_count: int
    missing_count: int
    """How often no file was there."""
    failed_count: int
    """1 if it could not be read at the last try."""
    received: int
    loaded: int
    unchanged: int
    duplicate: int
    quarantined: int
    unreconciled_count: int
    """Deliveries of which received = loaded + unchanged + duplicate + quarantined does not hold."""


@dataclass(frozen=True)
class RunRefusals:
    channel: str
    entity: str
    reason_code: str | None
    delivery_count: int


@dataclass(frozen=True)
class RunChecks:
    """Results of the checks of one model."""

    model_name: str
    passed: int
    unjudged: int
    """Too few rows to judge."""
    warned: int
    failed: int
    broken: int
    """Checks that could not be computed."""


@dataclass(frozen=True)
class RunFinding:
    """What a check found, over all slices and parts with the same outcome."""

    model_name: str
    check_name: str
    outcome: str
    slice_count: int
    first_slice: date | None
    last_slice: date | None
    part_count: int
    checked_count: int | None
    failed_count: int | None


@dataclass(frozen=True)
class Run:
    """Times are UTC. An empty window: the run was about whatever was stale, not about days."""

    dag_id: str
    run_id: str
    state: str
    window_start: datetime | None
    window_end: datetime | None
    started_at: datetime
    ended_at: datetime | None
    code_revision: str | None
    config_hash: str | None
    message: str | None
    loads: tuple[RunLoads, ...]
    refusals: tuple[RunRefusals, ...]
    checks: tuple[RunChecks, ...]
    findings: tuple[RunFinding, ...]
    """Worst first; none of what passed."""


def read_run(session: Session, dag_id: str, run_id: str) -> Run | None:
    """None where the warehouse has no record of such a run."""
    reader = Reader(session)
    values: dict[str, Any] = {"dag": dag_id, "run": run_id}
    found = reader.rows(
        ("ops.run",),
        f"SELECT {', '.join(_RECORD)} FROM ops.run WHERE {_THIS_RUN} ORDER BY started_at DESC LIMIT 1",
        values,
    )
    if not found:
        return None
    names = reader.names("mart.dim_channel", "channel_code")

    def counted(table: str, sql: str, **more: Any) -> list[Row]:
        return reader.rows((table,), sql, {**values, **more})

    record: dict[str, Any] = dict(zip(_RECORD, found[0], strict=True))
    started_at = record["started_at"]
    return Run(
        **record,
        loads=tuple(RunLoads(names.get(code) or code, *row) for code, *row in counted("ops.load", _LOADS)),
        refusals=tuple(RunRefusals(names.get(code) or code, *row) for code, *row in counted("ops.load", _REFUSALS)),
        checks=tuple(RunChecks(*row) for row in counted("ops.quality_result", _CHECKS, since=started_at)),
        findings=tuple(RunFinding(*row) for row in counted("ops.quality_result", _FINDINGS, since=started_at)),
    )


_RECORD = (
    "dag_id", "run_id", "state", "window_start", "window_end", "started_at", "ended_at", "code_revision", "config_hash",
    "message",
)  # fmt: skip
_THIS_RUN = "run_id = $run AND dag_id = $dag"
_READ = "state IN ('loaded', 'empty')"
_COUNTS = ("received_count", "loaded_count", "unchanged_count", "duplicate_count", "quarantined_count")

_LOADS = f"""
SELECT
    channel_code, entity, COUNT(CASE WHEN {_READ} THEN 1 END),
    COUNT(CASE WHEN state = 'refused' THEN 1 END), COUNT(CASE WHEN state = 'missing' THEN 1 END),
    COUNT(CASE WHEN state = 'failed' AND ended_at = last_at THEN 1 END),
    {", ".join(f"CAST(COALESCE(SUM(CASE WHEN {_READ} THEN {name} END), 0) AS BIGINT)" for name in _COUNTS)},
    COUNT(CASE WHEN NOT {_READ} OR received_count = loaded_count + unchanged_count + duplicate_count
        + quarantined_count THEN NULL ELSE 1 END)
FROM (
    SELECT *, MAX(ended_at) OVER (PARTITION BY channel_code) AS last_at FROM ops.load WHERE {_THIS_RUN}
) AS of_run
WHERE state <> 'idle' GROUP BY channel_code, entity ORDER BY channel_code, entity
"""

_REFUSALS = f"""
SELECT channel_code, entity, reason_code, COUNT(*) FROM ops.load WHERE {_THIS_RUN} AND state = 'refused'
GROUP BY channel_code, entity, reason_code ORDER BY channel_code, entity, reason_code
"""

# Since the run was started, or cleared and started again; a check that was made again counts by its last outcome.
_NEWEST = f"""
WITH ranked AS (
    SELECT
        model_name, check_name, kind, part_value, slice_date, outcome, checked_count, failed_count, checked_at,
        kind = 'distribution' AND checked_count = 0 AND outcome = 'pass' AS is_unjudged,
        MAX(checked_at) OVER (PARTITION BY model_name, kind) AS newest_at
    FROM ops.quality_result WHERE {_THIS_RUN} AND checked_at >= $since
)
"""

_CHECKS = f"""{_NEWEST}
SELECT
    model_name, COUNT(CASE WHEN outcome = 'pass' AND NOT is_unjudged THEN 1 END),
    COUNT(CASE WHEN is_unjudged THEN 1 END),
    COUNT(CASE WHEN outcome = 'warn' THEN 1 END), COUNT(CASE WHEN outcome = 'fail' THEN 1 END),
    COUNT(CASE WHEN outcome = 'error' THEN 1 END)
FROM ranked WHERE checked_at = newest_at GROUP BY model_name ORDER BY model_name
"""

_FINDINGS = f"""{_NEWEST}
SELECT
    model_name, check_name, outcome, COUNT(DISTINCT slice_date), MIN(slice_date), MAX(slice_date),
    COUNT(DISTINCT part_value), CAST(SUM(checked_count) AS BIGINT), CAST(SUM(failed_count) AS BIGINT)
FROM ranked WHERE checked_at = newest_at AND outcome <> 'pass'
GROUP BY model_name, check_name, outcome
ORDER BY CASE outcome WHEN 'fail' THEN 0 WHEN 'error' THEN 1 ELSE 2 END, model_name, check_name
"""
