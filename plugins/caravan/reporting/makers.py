"""Which run made what the report shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from caravan.reporting.tables import Reader

MARTS_DAG = "reporting_marts_hourly"
"""The DAG that builds shared and report models."""


class RunKey(NamedTuple):
    dag_id: str
    run_id: str


@dataclass(frozen=True)
class Maker:
    """When a table was last built, UTC, and by which run; None where no record says so."""

    built_at: datetime | None = None
    run: RunKey | None = None


def run_key(dag_id: str | None, run_id: str | None) -> RunKey | None:
    return RunKey(dag_id, run_id) if dag_id and run_id else None


def read_makers(reader: Reader, tables: Sequence[str]) -> dict[str, Maker]:
    """A run that builds nothing leaves a table's time alone, so the maker is the last run begun before that time."""
    built: dict[str, datetime] = dict(
        reader.rows(("ops.model",), "SELECT model_name, built_at FROM ops.model WHERE built_at IS NOT NULL")
    )
    return {table: _maker(reader, built[table]) if table in built else Maker() for table in tables}


def _maker(reader: Reader, built_at: datetime) -> Maker:
    runs = reader.rows(
        ("ops.run",),
        "SELECT run_id FROM ops.run WHERE dag_id = $dag AND started_at <= $built ORDER BY started_at DESC LIMIT 1",
        {"dag": MARTS_DAG, "built": built_at},
    )
    return Maker(built_at, RunKey(MARTS_DAG, runs[0][0]) if runs else None)
