"""Which DAGs can be backfilled: windows can; what can only be observed or done now cannot."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

ROOT = Path(__file__).resolve().parents[2]
DAG_FILES = sorted(path.stem for path in (ROOT / "dags").glob("*.py"))
BUNDLE = "dags-folder"


def rerun_class(dag):
    return next(tag for tag in dag.tags if tag.startswith("rerun:"))


def of_class(bag, name):
    return [dag for dag in bag.dags.values() if rerun_class(dag) == name]


def test_there_are_dags_of_both_kinds(bag):
    assert of_class(bag, "rerun:window")
    assert of_class(bag, "rerun:now")


@pytest.mark.parametrize("dag_id", DAG_FILES)
def test_a_dag_allows_the_runs_of_its_rerun_class(bag, dag_id):
    dag = bag.dags[dag_id]
    if rerun_class(dag) == "rerun:window":
        assert dag.allowed_run_types is None
        assert type(dag.timetable).__name__ == "WindowTimetable"
    if rerun_class(dag) == "rerun:manual":
        assert [getattr(kind, "value", kind) for kind in dag.allowed_run_types] == ["manual"]
        assert dag.schedule is None
    if rerun_class(dag) == "rerun:now":
        assert dag.allowed_run_types is not None
        assert "backfill" not in [getattr(kind, "value", kind) for kind in dag.allowed_run_types]
        assert "window_start" not in dag.params, "a form that asks for a window promises to do that window"
        assert "asset_triggered" in [getattr(kind, "value", kind) for kind in dag.allowed_run_types] or not bool(
            dag.timetable.asset_condition
        ), "an event would wake nothing"


@pytest.fixture(scope="module")
def known_dags(bag):
    """The project's DAGs as the dag processor stores them: what a backfill reads."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import sync_bag_to_db
    from airflow.models import DagRun
    from airflow.models.backfill import Backfill, BackfillDagRun
    from airflow.utils.session import create_session

    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(bag, BUNDLE, None)
    yield bag
    with create_session() as session:  # other tests of this process share the database
        for kind in (BackfillDagRun, Backfill, DagRun):
            for row in session.scalars(select(kind)).all():
                session.delete(row)


def backfill(dag_id, **changes):
    from airflow.models.backfill import ReprocessBehavior, _create_backfill

    return _create_backfill(
        **{
            "dag_id": dag_id,
            "from_date": datetime(2026, 3, 1, tzinfo=UTC),
            "to_date": datetime(2026, 3, 2, tzinfo=UTC),
            "max_active_runs": 1,
            "reverse": False,
            "dag_run_conf": None,
            "triggering_user_name": "test",
            "reprocess_behavior": ReprocessBehavior.NONE,
            **changes,
        }
    )


def test_airflow_refuses_to_backfill_what_is_only_for_now(known_dags):
    from airflow.exceptions import DagRunTypeNotAllowed

    refusing = [*of_class(known_dags, "rerun:now"), *of_class(known_dags, "rerun:manual")]
    releases = {"release_plan_hourly", "release_send_minutely", "release_approve_manual"}
    assert releases <= {dag.dag_id for dag in refusing}
    for dag in refusing:
        with pytest.raises(DagRunTypeNotAllowed, match=f"'{dag.dag_id}' does not allow backfill runs"):
            backfill(dag.dag_id)


def test_a_backfill_of_a_window_dag_makes_a_run_for_each_day(known_dags):
    from airflow.models import DagRun
    from airflow.utils.session import create_session

    backfill("sales_orders_daily")
    with create_session() as session:
        made = DagRun.dag_id == "sales_orders_daily", DagRun.backfill_id.is_not(None)
        runs = session.scalars(select(DagRun).where(*made)).all()
        assert [(f"{run.run_type}", f"{run.state}") for run in runs] == [("backfill", "queued")] * 2
        assert [run.data_interval_end.day - run.data_interval_start.day for run in runs] == [1, 1]
