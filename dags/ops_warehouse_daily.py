"""Keeps warehouse, scratch folders and Airflow's own records small, and makes the backup.

**Rerun class** `rerun:now`: only what is there now can be tidied, so backfills are refused. A second run finds little
to do; a killed one ends the same when it is run again.

**When**: each day at 01:30 UTC, before the day's orders are collected. Loads and readers go on meanwhile.

**Inputs**: `upkeep` and `backup` in `include/config/project.yml`. **Output**: what there was before and after, in
`ops.upkeep`; a folder below `backup.target`, if one is named.

**When it fails**

- Each task does its part whatever became of the others; nothing is lost by a day without it. Clear it once the cause
  is mended.
- `tidy_warehouse`: merges and removes files under the write lock, a table at a time. Often another writer holds it.
- `trim_airflow`: `airflow db clean` said no; its last lines are in the log.
- `back_up`: no room, or the target is not there. The last whole backup stays.
- `verdict`: fails whenever something above did, and names it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import CronTriggerTimetable, TriggerRule, dag

from caravan.orchestration.steps import DEFAULTS, last_step, step

ANYWAY = TriggerRule.ALL_DONE


@dag(
    schedule=CronTriggerTimetable("30 1 * * *", timezone="UTC"),
    start_date=datetime(2010, 12, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    allowed_run_types=["scheduled", "manual"],
    default_args=DEFAULTS,
    tags=["rerun:now", "tier:2", "function:ops"],
    doc_md=__doc__,
)
def ops_warehouse_daily():
    @step()
    def trim_evidence(run_id: str, dag_id: str) -> list[str]:
        from caravan.assembly import upkeep

        return upkeep.trim_evidence(run_id, dag_id)

    @step(trigger_rule=ANYWAY, execution_timeout=timedelta(hours=2))
    def tidy_warehouse(run_id: str, dag_id: str) -> list[str]:
        from caravan.assembly import upkeep

        return upkeep.tidy_warehouse(run_id, dag_id)

    @step(trigger_rule=ANYWAY)
    def sweep_scratch(run_id: str, dag_id: str) -> list[str]:
        from caravan.assembly import upkeep

        return upkeep.sweep_scratch(run_id, dag_id)

    @step(trigger_rule=ANYWAY)
    def trim_airflow(run_id: str, dag_id: str) -> list[str]:
        from caravan.assembly import upkeep

        return upkeep.trim_airflow(run_id, dag_id)

    @step(trigger_rule=ANYWAY, execution_timeout=timedelta(hours=4))
    def back_up(run_id: str, dag_id: str) -> list[str]:
        from caravan.assembly import upkeep

        return upkeep.back_up(run_id, dag_id)

    @last_step()
    def verdict(run_id: str, dag_id: str, failed_tasks: list[str]) -> None:
        from caravan.assembly import upkeep

        upkeep.verdict(run_id, dag_id, failed_tasks)

    trim_evidence() >> tidy_warehouse() >> sweep_scratch() >> trim_airflow() >> back_up() >> verdict()


ops_warehouse_daily()
