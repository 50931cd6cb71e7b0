"""What the watch reads of the warehouse: news of sources and markets, runs, blocks, and the newest record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from caravan.warehouse.port import Row, Session


def last_loads(session: Session) -> dict[str, datetime]:
    """When each channel last delivered rows."""
    return _pairs(
        session,
        "SELECT channel_code, MAX(started_at) FROM ops.load "
        "WHERE state = 'loaded' AND received_count > 0 GROUP BY channel_code",
    )


def last_deliveries(session: Session) -> dict[str, datetime]:
    """When each channel's newest delivery with rows was written."""
    return _pairs(
        session,
        "SELECT channel_code, MAX(delivered_at) FROM ops.load "
        "WHERE state = 'loaded' AND received_count > 0 AND delivered_at IS NOT NULL GROUP BY channel_code",
    )


def loaded_by_day(session: Session, since: datetime) -> dict[str, dict[date, int]]:
    """Rows received, by channel and UTC day of loading."""
    found: defaultdict[str, dict[date, int]] = defaultdict(dict)
    for channel, day, count in session.rows(
        "SELECT channel_code, CAST(started_at AS DATE) AS day, SUM(received_count) FROM ops.load "
        "WHERE state = 'loaded' AND started_at >= $since GROUP BY channel_code, CAST(started_at AS DATE)",
        {"since": since},
    ):
        found[channel][day] = int(count)
    return dict(found)


def orders_by_day(session: Session, since: date) -> dict[tuple[str, str], dict[date, int]]:
    """Orders by channel, market and business day; nothing before the first build."""
    if not session.columns("mart.fct_order"):
        return {}
    found: defaultdict[tuple[str, str], dict[date, int]] = defaultdict(dict)
    for channel, market, day, count in session.rows(
        "SELECT channel_code, market_code, order_local_date, COUNT(*) FROM mart.fct_order "
        "WHERE order_local_date >= $since GROUP BY channel_code, market_code, order_local_date",
        {"since": since},
    ):
        found[channel, market][day] = int(count)
    return dict(found)


def newest_days(session: Session) -> dict[tuple[str, str], date]:
    """The newest business day with an order, by channel and market."""
    if not session.columns("mart.fct_order"):
        return {}
    rows = session.rows(
        "SELECT channel_code, market_code, MAX(order_local_date) FROM mart.fct_order GROUP BY channel_code, market_code"
    )
    return {(channel, market): day for channel, market, day in rows}


def last_run_day(session: Session, dag_id: str, asking: Sequence[str]) -> date | None:
    """The UTC day on which the DAG's newest finished run began that asked every channel: one by schedule.

    `asking`: the tasks that ask. A run in which one of them failed, and that left no load, may have asked none. Not the
    loads alone: where nothing new lies in any folder there are none, and that is the very night to be told of.
    """
    values = {f"task{number}": f"task {task_id}" for number, task_id in enumerate(asking)}
    # The message names first each task that failed (functions/sales/orders.py, `verdict`).
    asked = " AND ".join(f"strpos(r.message, ${name}) = 0" for name in values)
    started = session.row(
        "SELECT MAX(r.started_at) FROM ops.run AS r WHERE r.dag_id = $dag AND r.ended_at IS NOT NULL "
        f"AND starts_with(r.run_id, 'scheduled__') AND (r.state = 'success' OR ({asked}) "
        "OR EXISTS (SELECT 1 FROM ops.load AS l WHERE l.run_id = r.run_id AND l.dag_id = r.dag_id "
        "AND l.state <> 'failed'))",
        {"dag": dag_id, **values},
    )[0]
    return started.date() if started else None


def window_ends(session: Session, dag_id: str) -> dict[str, datetime]:
    """Of each run of the DAG that has a window, its end."""
    return _pairs(
        session,
        "SELECT run_id, window_end FROM ops.run WHERE dag_id = $dag AND window_end IS NOT NULL",
        {"dag": dag_id},
    )


def recent_runs(session: Session, since: datetime) -> list[Row]:
    """dag_id, run_id, window_start, window_end, started_at, ended_at, state."""
    return session.rows(
        "SELECT dag_id, run_id, window_start, window_end, started_at, ended_at, state FROM ops.run "
        "WHERE started_at >= $since",
        {"since": since},
    )


def blocked_parts(session: Session, run: tuple[str, str] | None = None) -> list[Row]:
    """part, models, first and last day, one reason: slices that keep old rows because of a failed check.

    `run`: DAG and run, for those alone that this run blocked.
    """
    where = "cause_kind <> 'unvalidated'"
    values: Mapping[str, Any] = {}
    if run:
        where += " AND run_id = $run AND EXISTS (SELECT 1 FROM ops.run AS r WHERE r.run_id = $run AND r.dag_id = $dag)"
        values = {"dag": run[0], "run": run[1]}
    rows = session.rows(
        "SELECT part_value, cause_model, MIN(slice_date), MAX(slice_date), MIN(reason) FROM ops.blocked_slice "
        f"WHERE {where} GROUP BY part_value, cause_model ORDER BY part_value, cause_model",
        values,
    )
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row[0] or "", []).append(row)
    return [
        (
            part,
            tuple(row[1] for row in group),
            min((row[2] for row in group if row[2]), default=None),
            max((row[3] for row in group if row[3]), default=None),
            group[0][4],
        )
        for part, group in parts.items()
    ]


def newest_record(session: Session) -> datetime | None:
    """The latest moment that anything here claims to have been written at."""
    found = session.row("SELECT (SELECT MAX(started_at) FROM ops.run), (SELECT MAX(ended_at) FROM ops.load)")
    return max((moment for moment in found if moment is not None), default=None)


def engine_clock(session: Session) -> datetime:
    """The time by the engine's own clock: on a server, the server's. UTC without zone."""
    seconds = session.row("SELECT EXTRACT(EPOCH FROM CURRENT_TIMESTAMP)")[0]
    return datetime.fromtimestamp(float(seconds), UTC).replace(tzinfo=None)


def _pairs(session: Session, sql: str, values: Mapping[str, Any] | None = None) -> dict[str, datetime]:
    return {row[0]: row[1] for row in session.rows(sql, values)}
