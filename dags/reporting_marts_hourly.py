"""Rebuilds shared and reporting models where something changed, then publishes them and the report.

**Rerun class** `rerun:now`: a run takes whatever is in `ops.dirty_slice` at present, so backfills are refused, and a
second run finds nothing to do. Safe to clear at any time.

**When**: after `sales_orders_daily` and `site_crawl_nightly` (an asset event is only the wake-up), and 15 minutes past
each hour, should an event be lost. One run at a time. Runs woken by an asset have no data interval, and none is needed.

**Inputs**: `ops.dirty_slice` and the `fct` tables. **Output**: `mart.dim_*` and `mart.rpt_*`, the published
`marts.duckdb` and Parquet files (in a bucket as well, where project.yml names one), the report.

**When it fails**

- `drain`: slices that were not rebuilt stay dirty and are taken by the next run; the last good rows stay.
- `publish`, `report`: readers keep the previous files. Clear the task once the cause is mended (often a full disk).
- `upload`: readers of the bucket keep the previous version, whole. Clear it once `./caravan connections test` is green.
- `verdict`: fails whenever something above did, or a check blocked a slice. It names what; look there.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag

from caravan.orchestration.assets import SALES_ORDERS, SITE_CRAWLS
from caravan.orchestration.steps import DEFAULTS, last_step, step


@dag(
    schedule=AssetOrTimeSchedule(
        assets=SALES_ORDERS | SITE_CRAWLS, timetable=CronTriggerTimetable("15 * * * *", timezone="UTC")
    ),
    start_date=datetime(2010, 12, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    allowed_run_types=["scheduled", "manual", "asset_triggered"],
    default_args=DEFAULTS,
    tags=["rerun:now", "tier:1", "function:reporting"],
    doc_md=__doc__,
)
def reporting_marts_hourly():
    @step()
    def drain(run_id: str, dag_id: str) -> dict[str, int]:
        from caravan.assembly import reporting

        return reporting.drain(run_id, dag_id)

    @step()
    def publish() -> str:
        from caravan.assembly import reporting

        return reporting.publish()

    @step()  # in the writers' pool: it may take long, and outside it would take the watch's place
    def upload() -> str:
        from caravan.assembly import reporting

        return reporting.upload()

    @step()
    def report() -> str:
        from caravan.assembly import reporting

        return reporting.report()

    @last_step()
    def verdict(run_id: str, dag_id: str, failed_tasks: list[str]) -> None:
        from caravan.assembly import reporting

        reporting.verdict(run_id, dag_id, failed_tasks)

    drain() >> publish() >> [report(), upload()] >> verdict()


reporting_marts_hourly()
