"""Which runs should be over by now, by the DAGs' own schedules."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.timetables.base import DataInterval, TimeRestriction

from caravan.config.alerts import Alerts
from caravan.core.incidents import Due
from caravan.core.window import to_utc_naive
from caravan.orchestration.notifiers import tier_of

if TYPE_CHECKING:
    from airflow.sdk import DAG
    from airflow.timetables.base import DagRunInfo

_LOOKBACKS = (timedelta(hours=3), timedelta(days=2), timedelta(days=9), timedelta(days=64))
"""Short first: a schedule's runs are counted one by one, and an hourly one has many in a month."""


def due_runs(
    alerts: Alerts, now: datetime, since: Mapping[str, datetime]
) -> tuple[list[Due], list[Due], dict[str, str]]:
    """The newest run of each DAG whose deadline has passed, and DAG files with what is wrong with them.

    In the middle, of each DAG of `since`, the run that was the newest at that moment. Moments: UTC without zone.
    Reads the DAG folder, once, for that takes seconds; not Airflow's database: a task may not.
    """
    from airflow.configuration import conf
    from airflow.dag_processing.dagbag import DagBag

    folder = conf.get("core", "dags_folder")
    bag = DagBag(dag_folder=folder)

    def at(moments: Mapping[str, datetime]) -> list[Due]:
        dags = [dag for dag_id, dag in bag.dags.items() if dag_id in moments]
        found = (latest_due(dag, moments[dag.dag_id] - alerts.deadline(tier_of(dag.tags))) for dag in dags)
        return [due for due in found if due is not None]

    errors = {os.path.relpath(file, folder): error for file, error in bag.import_errors.items()}
    return at(dict.fromkeys(bag.dags, now)), at(since), errors


def latest_due(dag: DAG, before: datetime) -> Due | None:
    """The newest run that the DAG's schedule asks for at or before a moment (UTC without zone)."""
    from airflow.serialization.encoders import coerce_to_core_timetable

    timetable = coerce_to_core_timetable(dag.timetable)
    # On assets or by time: assets come when they come.
    timetable = getattr(timetable, "timetable", timetable)
    for lookback in _LOOKBACKS:
        runs = list(_runs(timetable, dag.start_date, before - lookback, before))
        if runs:
            newest = runs[-1]
            interval = newest.data_interval
            start, end = (to_utc_naive(interval.start), to_utc_naive(interval.end)) if interval else (None, None)
            return Due(
                dag.dag_id,
                tier_of(dag.tags),
                to_utc_naive(newest.run_after),
                *((start, end) if "window_start" in dag.params else (None, None)),
                catchup=bool(dag.catchup),
            )
    return None


def _runs(timetable: Any, first: datetime | None, after: datetime, before: datetime) -> Iterator[DagRunInfo]:
    from airflow.sdk import timezone

    moment = timezone.coerce_datetime(after.replace(tzinfo=UTC))
    earliest = timezone.coerce_datetime(max(first, moment) if first else moment)
    restriction = TimeRestriction(earliest=earliest, latest=None, catchup=True)
    interval = None
    while info := timetable.next_dagrun_info(last_automated_data_interval=interval, restriction=restriction):
        if to_utc_naive(info.run_after) > before:
            return
        yield info
        interval = info.data_interval or DataInterval.exact(info.run_after)
