"""What Caravan writes down about its own work: runs, loads, quarantine, quality results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from caravan.core.window import Window
from caravan.warehouse.port import Row, Session
from caravan.warehouse.quality import QualityResult

LoadState = Literal["loaded", "empty", "refused", "missing", "failed", "idle", "retried"]
"""loaded: rows read (perhaps all unchanged). empty: a file without a row. refused: not read, see
reason_code. missing: no file was there. failed: the channel could not be read (its service did not answer), see
message. idle: it could be read again after that, and had nothing new. retried: refused in an earlier attempt of the
same run."""


@dataclass(frozen=True)
class Load:
    """One delivery and what became of its rows: a row of ops.load."""

    load_id: str
    dag_id: str
    run_id: str
    channel_code: str
    entity: str
    table_name: str
    delivery_name: str | None
    content_hash: str | None
    delivered_at: datetime | None
    """When the sender wrote it, UTC: what orders the deliveries of a channel."""
    state: LoadState
    started_at: datetime
    ended_at: datetime
    reason_code: str | None = None
    message: str | None = None
    received_count: int = 0
    loaded_count: int = 0
    unchanged_count: int = 0
    duplicate_count: int = 0
    quarantined_count: int = 0
    stale_count: int = 0
    deleted_count: int = 0
    moved_count: int = 0
    first_local_date: date | None = None
    last_local_date: date | None = None

    def __post_init__(self) -> None:
        parts = self.loaded_count + self.unchanged_count + self.duplicate_count + self.quarantined_count
        if self.received_count != parts:
            raise ValueError(f"load {self.load_id} does not reconcile: received {self.received_count}, found {parts}")


def insert(session: Session, table: str, values: Mapping[str, Any]) -> None:
    """One row into a table."""
    names = ", ".join(values)
    marks = ", ".join(f"${name}" for name in values)
    session.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)


ROWS_A_STATEMENT = 200


def insert_many(session: Session, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows with the same keys, a few hundred to a statement."""
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        batch = rows[start : start + ROWS_A_STATEMENT]
        names = list(batch[0])
        marks = ", ".join("(" + ", ".join(f"$p{i}_{j}" for j in range(len(names))) + ")" for i in range(len(batch)))
        values = {f"p{i}_{j}": row[name] for i, row in enumerate(batch) for j, name in enumerate(names)}
        session.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES {marks}", values)


def start_run(
    session: Session, run_id: str, dag_id: str, window: Window | None, revision: str, config_hash: str, now: datetime
) -> None:
    """Open a run; a run that is cleared and starts again replaces its own row."""
    session.execute("DELETE FROM ops.run WHERE run_id = $run AND dag_id = $dag", {"run": run_id, "dag": dag_id})
    insert(
        session,
        "ops.run",
        {
            "run_id": run_id,
            "dag_id": dag_id,
            "window_start": window.start if window else None,
            "window_end": window.end if window else None,
            "code_revision": revision,
            "config_hash": config_hash,
            "started_at": now,
            "state": "running",
        },
    )


def end_run(session: Session, run_id: str, dag_id: str, state: str, message: str, now: datetime) -> None:
    session.execute(
        "UPDATE ops.run SET ended_at = $now, state = $state, message = $message WHERE run_id = $run AND dag_id = $dag",
        {"now": now, "state": state, "message": message, "run": run_id, "dag": dag_id},
    )


def known_content(session: Session, channel_code: str, entity: str) -> dict[str, set[str]]:
    """Hashes of the deliveries already read, with their names. A refused one is none of them: it is tried again."""
    found = session.rows(
        "SELECT DISTINCT content_hash, delivery_name FROM ops.load WHERE channel_code = $channel AND entity = $entity "
        "AND state IN ('loaded', 'empty') AND content_hash IS NOT NULL",
        {"channel": channel_code, "entity": entity},
    )
    known: dict[str, set[str]] = {}
    for content_hash, name in found:
        known.setdefault(content_hash, set()).add(name)
    return known


def loads_of(session: Session, channel_code: str, entity: str, content_hash: str) -> list[str]:
    """The loads that read this very content before."""
    found = session.rows(
        "SELECT load_id FROM ops.load WHERE channel_code = $channel AND entity = $entity AND content_hash = $hash "
        "AND state = 'loaded' ORDER BY load_id",
        {"channel": channel_code, "entity": entity, "hash": content_hash},
    )
    return [row[0] for row in found]


def newest_delivery(session: Session, channel_code: str, entity: str) -> tuple[datetime, str, str] | None:
    """Time, name and hash of the newest delivery that was read."""
    found = session.rows(
        "SELECT delivered_at, delivery_name, content_hash FROM ops.load WHERE channel_code = $channel "
        "AND entity = $entity AND state IN ('loaded', 'empty') AND delivered_at IS NOT NULL "
        "ORDER BY delivered_at DESC, delivery_name DESC, started_at DESC, load_id DESC LIMIT 1",
        {"channel": channel_code, "entity": entity},
    )
    return (found[0][0], found[0][1], found[0][2]) if found else None


def last_read(session: Session, channel_code: str, entity: str) -> dict[str, datetime]:
    """Name of each delivery that was read, to when it was read last."""
    found = session.rows(
        "SELECT delivery_name, MAX(started_at) FROM ops.load WHERE channel_code = $channel AND entity = $entity "
        "AND state IN ('loaded', 'empty') GROUP BY delivery_name",
        {"channel": channel_code, "entity": entity},
    )
    return dict(found)


def is_failed(session: Session, channel_code: str) -> bool:
    """Whether the channel could not be read when it was tried last."""
    found = session.rows(
        "SELECT state FROM ops.load WHERE channel_code = $channel ORDER BY ended_at DESC, load_id LIMIT 1",
        {"channel": channel_code},
    )
    return found == [("failed",)]


def failures(session: Session, run_id: str, dag_id: str) -> list[str]:
    """What failed since the run was started, or cleared and started again: a line each.

    A channel that could not be read counts while nothing of it was read after; a check by its last outcome.
    """
    values = {"run": run_id, "dag": dag_id}
    of_run = (
        "run_id = $run AND dag_id = $dag AND {} >= (SELECT COALESCE(MIN(started_at), CAST('0001-01-01' AS TIMESTAMP)) "
        "FROM ops.run WHERE run_id = $run AND dag_id = $dag)"
    )
    loads = session.rows(
        "SELECT channel_code, entity, delivery_name, reason_code, message FROM (SELECT *, MAX(ended_at) OVER "
        f"(PARTITION BY channel_code) AS last_at FROM ops.load WHERE {of_run.format('started_at')}) AS l "
        "WHERE state = 'refused' OR (state = 'failed' AND ended_at = last_at) ORDER BY started_at, load_id",
        values,
    )
    checks = session.rows(
        "SELECT DISTINCT model_name, check_name, slice_date, part_value, message FROM (SELECT *, MAX(checked_at) OVER "
        f"(PARTITION BY model_name, kind) AS last_at FROM ops.quality_result WHERE {of_run.format('checked_at')}) AS q "
        "WHERE checked_at = last_at AND outcome IN ('fail', 'error') ORDER BY 1, 2, 3, 4",
        values,
    )
    return [
        *(f"{_words(*where)}: {code or 'not read'}: {message}" for *where, code, message in loads),
        *(f"{_words(*where)}: {message}" for *where, message in checks),
    ]


def _words(*parts: object) -> str:
    return " ".join(str(part) for part in parts if part)


def standing_blocks(session: Session, run_id: str, held: str) -> list[Row]:
    """model, slice, part, reason and since when, of what keeps old rows because of a check in another run.

    `held`: the kind of those that only wait to be validated.
    """
    return session.rows(
        "SELECT cause_model, slice_date, part_value, reason, MIN(blocked_at) FROM ops.blocked_slice "
        "WHERE cause_kind <> $held AND run_id <> $run GROUP BY cause_model, slice_date, part_value, reason "
        "ORDER BY 1, 2, 3, 4",
        {"held": held, "run": run_id},
    )


def write_load(session: Session, load: Load, rule_counts: Mapping[str, int] | None = None) -> None:
    insert(session, "ops.load", {field.name: getattr(load, field.name) for field in fields(load)})
    for rule, count in (rule_counts or {}).items():
        insert(session, "ops.load_rule", {"load_id": load.load_id, "rule_name": rule, "row_count": count})


def forget_quarantine(session: Session, channel_code: str, entity: str, content_hash: str) -> None:
    """A delivery that is read again is judged again: what its last reading quarantined no longer counts."""
    session.execute(
        "DELETE FROM ops.quarantine WHERE load_id IN (SELECT load_id FROM ops.load "
        "WHERE channel_code = $channel AND entity = $entity AND content_hash = $hash)",
        {"channel": channel_code, "entity": entity, "hash": content_hash},
    )


def write_quarantine(
    session: Session, load: Load, paths: Sequence[Path], columns: Mapping[str, str], now: datetime
) -> None:
    """Quarantined rows of one delivery from Parquet files with `columns`."""
    if not paths:
        return
    names = ", ".join(columns)
    session.execute(
        f"INSERT INTO ops.quarantine (load_id, channel_code, entity, file_name, quarantined_at, {names}) "
        f"SELECT $load, $channel, $entity, $file, $now, {names} FROM {session.stage_parquet(paths, columns)} AS q",
        {
            "load": load.load_id,
            "channel": load.channel_code,
            "entity": load.entity,
            "file": load.delivery_name,
            "now": now,
        },
    )


def write_results(session: Session, dag_id: str, run_id: str, results: Sequence[QualityResult], now: datetime) -> None:
    rows = [{"dag_id": dag_id, "run_id": run_id, **asdict(result), "checked_at": now} for result in results]
    insert_many(session, "ops.quality_result", rows)
