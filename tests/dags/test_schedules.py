"""Which run should be over by now, by the DAG's own schedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronTriggerTimetable

from caravan.config.alerts import Alerts
from caravan.orchestration.params import window_params
from caravan.orchestration.runs import task_states
from caravan.orchestration.schedules import due_runs, latest_due
from caravan.orchestration.timetables import WindowTimetable

DAILY = WindowTimetable("0 0 * * *", delay=timedelta(hours=3))
HOURLY = CronTriggerTimetable("15 * * * *", timezone="UTC")
MONTHLY = WindowTimetable("0 0 1 * *", delay=timedelta(hours=3))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("schedule", "before", "due_at", "window"),
    [
        (DAILY, "2026-03-30T03:00", "2026-03-30T03:00", ("2026-03-29T00:00", "2026-03-30T00:00")),
        (DAILY, "2026-03-30T02:59", "2026-03-29T03:00", ("2026-03-28T00:00", "2026-03-29T00:00")),
        (MONTHLY, "2026-03-30T02:59", "2026-03-01T03:00", ("2026-02-01T00:00", "2026-03-01T00:00")),
        (DAILY, "2026-01-01T12:00", None, None),
        (None, "2026-03-30T03:00", None, None),
    ],
)
def test_the_newest_run_that_was_due_of_a_window_dag(schedule, before, due_at, window):
    dag = DAG("x", schedule=schedule, start_date=datetime(2026, 1, 1, tzinfo=UTC), params=window_params())
    due = latest_due(dag, at(before))
    assert (due and due.due_at) == (due_at and at(due_at))
    assert due is None or (due.start, due.end) == tuple(map(at, window))


@pytest.mark.parametrize("schedule", [HOURLY, AssetOrTimeSchedule(timetable=HOURLY, assets=[Asset("a")])])
def test_the_newest_run_that_was_due_of_a_dag_without_windows(schedule):
    dag = DAG("x", schedule=schedule, start_date=datetime(2026, 1, 1, tzinfo=UTC), tags=["tier:2"])
    due = latest_due(dag, at("2026-03-30T03:14"))
    assert due is not None
    assert (due.due_at, due.tier, due.start, due.end) == (at("2026-03-30T02:15"), 2, None, None)


def test_every_scheduled_dag_has_a_run_due_and_broken_files_are_named(bag, tmp_path, monkeypatch):
    now = at("2026-11-20T12:07")
    loads = []
    real = DagBag.__init__
    monkeypatch.setattr(DagBag, "__init__", lambda bag, **options: (loads.append(bag), real(bag, **options))[1])
    then = at("2026-11-10T12:07")
    dues, missed, errors = due_runs(Alerts(), now, {"sales_orders_daily": then, "gone": then})
    assert (errors, len(loads)) == ({}, 1)
    assert [(due.dag_id, due.due_at) for due in missed] == [("sales_orders_daily", at("2026-11-10T03:00"))]
    by_name = {due.dag_id: due for due in dues}
    assert by_name["sales_orders_daily"].due_at == at("2026-11-20T03:00")
    assert by_name["reporting_marts_hourly"].due_at == at("2026-11-20T08:15"), "three hours and a tick ago"
    assert set(by_name) == {dag_id for dag_id, dag in bag.dags.items() if dag.schedule is not None}

    (tmp_path / "broken.py").write_text("from airflow.sdk import dag\nimport no_such_thing\n")
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    dues, _, errors = due_runs(Alerts(), now, {})
    assert dues == [] and list(errors) == ["broken.py"]
    assert "no_such_thing" in errors["broken.py"]


def test_the_instances_of_a_task_that_is_no_longer_there_say_nothing():
    states = {
        "collect_10": "failed",
        "collect_9": "success",
        "verdict": "running",
        "gone": "failed",
        "old_one_3": "failed",
    }
    context = {
        "dag_run": SimpleNamespace(dag_id="x", run_id="r1"),
        "dag": SimpleNamespace(task_dict={"collect": None, "verdict": None}),
        "ti": SimpleNamespace(get_task_states=lambda **asked: {"r1": states}),
    }
    assert task_states(context) == {"collect": ["success", "failed"], "verdict": ["running"]}
