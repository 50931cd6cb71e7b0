"""Rows that were set aside, counted. Nothing here reads `raw_row` or a message: both may quote personal data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from caravan.reporting.makers import RunKey, run_key
from caravan.reporting.tables import Reader

FILES_SHOWN = 200


@dataclass(frozen=True)
class Quarantined:
    """Rows of one channel that were set aside for one reason, and where to find the newest of them."""

    channel: str
    entity: str
    reason_code: str
    row_count: int
    last_at: datetime
    file_name: str
    row_number: int | None
    field_name: str | None
    run: RunKey | None = None
    """What set the newest aside."""


@dataclass(frozen=True)
class QuarantinedFile:
    """Rows of one file that were set aside for one reason in one field."""

    channel: str
    file_name: str
    reason_code: str
    field_name: str | None
    row_count: int
    last_at: datetime


def read_reasons(reader: Reader, names: Mapping[str, str]) -> tuple[Quarantined, ...]:
    """By channel, entity and reason, the most rows first."""
    rows = reader.rows(
        ("ops.quarantine", "ops.load"),
        """
        WITH ranked AS (
            SELECT
                load_id, channel_code, entity, reason_code, file_name, row_number AS at_row, field_name,
                COUNT(*) OVER (PARTITION BY channel_code, entity, reason_code) AS row_count,
                MAX(quarantined_at) OVER (PARTITION BY channel_code, entity, reason_code) AS last_at,
                ROW_NUMBER() OVER (
                    PARTITION BY channel_code, entity, reason_code
                    ORDER BY quarantined_at DESC, file_name, row_number
                ) AS recency
            FROM ops.quarantine
        ),

        runs AS (
            SELECT load_id, MIN(dag_id) AS dag_id, MIN(run_id) AS run_id FROM ops.load GROUP BY load_id
        )

        SELECT
            q.channel_code, q.entity, q.reason_code, q.row_count, q.last_at, q.file_name, q.at_row, q.field_name,
            r.dag_id, r.run_id
        FROM ranked AS q LEFT JOIN runs AS r ON q.load_id = r.load_id
        WHERE q.recency = 1 ORDER BY q.row_count DESC, q.channel_code, q.entity, q.reason_code
        """,
    )
    return tuple(replace(Quarantined(names.get(row[0], row[0]), *row[1:8]), run=run_key(*row[8:])) for row in rows)


def read_files(reader: Reader, names: Mapping[str, str]) -> tuple[QuarantinedFile, ...]:
    """By file, reason and field, the newest first; no more than FILES_SHOWN."""
    rows = reader.rows(
        ("ops.quarantine",),
        f"""
        SELECT channel_code, file_name, reason_code, field_name, COUNT(*) AS row_count, MAX(quarantined_at) AS last_at
        FROM ops.quarantine GROUP BY channel_code, file_name, reason_code, field_name
        ORDER BY last_at DESC, row_count DESC, channel_code, file_name, reason_code, field_name LIMIT {FILES_SHOWN}
        """,
    )
    return tuple(QuarantinedFile(names.get(row[0], row[0]), *row[1:]) for row in rows)
