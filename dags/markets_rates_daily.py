"""Exchange rates of every source into one table: bundled, fetched from the ECB, and what a person supplies.

**Rerun class** `rerun:now`: it reads what is known at present, so a backfill is refused. Run it as often as you like;
a rate that is known already changes nothing.

**When**: each day at 02:30 UTC, before `sales_orders_daily`, which converts the amounts of days whose rates changed.

**Inputs**: the rates that come with Caravan; the ECB's file, if `fx.fetch_url` is set in `include/config/project.yml`;
CSV files in `incoming/rates` below CARAVAN_HOME. Of one day and currency a person's rate holds before the fetched one,
and that before the bundled. **Output**: `raw.fx__rate`, `stg.fx__rate`.

**When it fails**

- `load_bundled`: configuration or warehouse; its log says which.
- `collect_fetched`: not because the ECB does not answer: that is a warning, and the last rates are carried.
- `collect_user`: a file cannot be read at all; its log and `ops.load` say why. The other files were loaded.
- `verdict`: fails whenever something above did. It warns of rates in quarantine, of sources that disagree, and of rates
  too old to be carried to today; the run stays green.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import CronTriggerTimetable, TriggerRule, dag

from caravan.orchestration.steps import DEFAULTS, last_step, step


@dag(
    schedule=CronTriggerTimetable("30 2 * * *", timezone="UTC"),
    start_date=datetime(2010, 12, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    allowed_run_types=["scheduled", "manual"],
    default_args=DEFAULTS,
    tags=["rerun:now", "tier:1", "function:markets"],
    doc_md=__doc__,
)
def markets_rates_daily():
    @step()
    def load_bundled(run_id: str, dag_id: str) -> bool:
        from caravan.assembly import markets

        return markets.load_bundled(run_id, dag_id)

    @step()
    def collect_fetched(run_id: str, dag_id: str) -> dict[str, int]:
        from caravan.assembly import markets

        return markets.collect_fetched(run_id, dag_id)

    @step(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    def collect_user(run_id: str, dag_id: str) -> dict[str, int]:
        from caravan.assembly import markets

        return markets.collect_user(run_id, dag_id)

    # A file that cannot be read does not keep the other rates back.
    @step(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    def build(run_id: str, dag_id: str) -> dict[str, int]:
        from caravan.assembly import markets

        return markets.build(run_id, dag_id)

    @last_step()
    def verdict(run_id: str, dag_id: str, failed_tasks: list[str]) -> list[str]:
        from caravan.assembly import markets

        return markets.verdict(run_id, dag_id, failed_tasks)

    bundled = load_bundled()
    fetched = collect_fetched()
    user = collect_user()
    built = build()
    bundled >> fetched >> user >> built >> verdict()
    bundled >> [user, built]


markets_rates_daily()
