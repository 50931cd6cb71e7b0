"""Puts what is to leave of each approved release into the outbox, and shows the outbox in the warehouse. Sends nothing.

**Rerun class** `rerun:now`: a backfill is refused; what is planned again is there already, under its key. Clear any
task as often as you like.

**When**: each hour, and after an approval in `release_approve_manual`. By hand: at once, after one in a file.

**Inputs**: `include/config/releases`, `outlets`, `lists` and `releases.yml`; approvals, in `approvals.yml` beside a
release; the recipients' files in CARAVAN_HOME. **Output**: the outbox (`./caravan outbox list`), which
`release_send_minutely` hands over; `ops.outbox`, a copy without addresses, with `mart.fct_delivery` and
`mart.fct_release`; the editorial calendar, `mart.dim_release`; the links that were planned, `mart.dim_release_link`;
`ops.load` and `ops.quarantine` of each list that was read.

**When it fails**

- `list_releases`: configuration that all releases share. A fault in one release's own files leaves out that one: its
  log names file and line, and so does `./caravan release lint`.
- `plan [release]`: an outlet or the list refuses it; the log says why. The other releases are planned, and what goes
  to other outlets. A release that
  nobody has approved as it is waits, and is no failure: its log says what is missing.
- `ask_to_confirm`: the file of a list whose people confirm that they signed up, or the outlet that asks them. Those of
  the other lists are asked.
- `refresh_lists`: a site's folder or bucket; its feeds and sitemaps are as they were.
- `mirror`: the warehouse, or a check of the models; its log says which. It stops nothing from being sent.
- `verdict`: fails whenever something above did.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, TriggerRule, dag

from caravan.orchestration.assets import RELEASE_APPROVALS
from caravan.orchestration.pools import OUTBOX
from caravan.orchestration.steps import DEFAULTS, last_step, step


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("5 * * * *", timezone="UTC"), assets=[RELEASE_APPROVALS]
    ),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    allowed_run_types=["scheduled", "manual", "asset_triggered"],
    default_args={**DEFAULTS, "pool": OUTBOX},
    tags=["rerun:now", "tier:1", "function:release"],
    doc_md=__doc__,
)
def release_plan_hourly():
    @step()
    def list_releases() -> list[str]:
        from caravan.assembly import releases

        return releases.list_releases()

    # A list of a million people takes minutes. One at a time, however many places the pool has: approvals, and what
    # comes back, wait in it too.
    @step(
        map_index_template="{{ task.op_kwargs['release_id'] }}",
        execution_timeout=timedelta(hours=2),
        max_active_tis_per_dagrun=1,
    )
    def plan(run_id: str, release_id: str) -> dict[str, object]:
        from caravan.assembly import releases

        return releases.plan(release_id, run_id)

    @step(execution_timeout=timedelta(hours=1))
    def ask_to_confirm(run_id: str) -> dict[str, int]:
        from caravan.assembly import confirming

        return confirming.ask(run_id)

    @step()
    def refresh_lists() -> list[str]:
        from caravan.assembly import sending

        return sending.refresh_lists()

    # What was handed over in the last hour is to be seen, whatever became of the planning.
    @step(pool=DEFAULTS["pool"], trigger_rule=TriggerRule.ALL_DONE)
    def mirror(run_id: str, dag_id: str) -> dict[str, int]:
        from caravan.assembly import mirror as mirroring

        return mirroring.mirror(run_id, dag_id)

    @last_step()
    def verdict() -> None:
        return None

    found = list_releases()
    planned = [found, plan.expand(release_id=found), ask_to_confirm()]
    mirrored = mirror()
    refreshed = refresh_lists()
    planned >> mirrored
    [*planned, refreshed, mirrored] >> verdict()


release_plan_hourly()
