"""Collects orders of every sales channel and rebuilds the business days they touch.

**Rerun class** `rerun:window`: clear or backfill any window, as often as you like; the same input ends in the
same rows. A delivery is loaded once, by the hash of its content; the window bounds the business days rebuilt.

**When**: each UTC day, 3 hours after it ended. By hand: *From* and *To* (exclusive) rebuild any window in one run,
*Channels* restricts it, *Dry run* only says what would be done.

**Inputs**: each channel of `include/config/channels`: the files in its folder, or what its shop or marketplace answers
when it is asked for changes. Orders and their lines, refunds, payments, shipments, and offers: what products cost.
**Output**: `raw`, `stg`, `int` and `fct` of sales; the asset `sales_orders` wakes `reporting_marts_hourly`.

**When it fails**

- `list_channels`: configuration. Its log lists every fault; `./caravan check` shows the same. Nothing was collected.
- `collect [channel]`: that channel's delivery was refused, with file and reason in the log, in `ops.load` and in the
  report. The other channels went on. Have the file sent again; it is collected with the next run. A shop that did not
  answer is asked for the same time again by the next run: there is nothing to do, unless the log names its connection.
- `stage`, `validate`, `build`: the last good slices stay. Clear the task once the cause is mended.
- `verdict`: fails whenever something above did, or a check blocked a slice. It names what; look there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import TriggerRule, dag

from caravan.core.scope import RunScope
from caravan.orchestration.assets import SALES_ORDERS
from caravan.orchestration.params import window_params
from caravan.orchestration.steps import DEFAULTS, last_step, step
from caravan.orchestration.timetables import WindowTimetable


@dag(
    schedule=WindowTimetable("0 0 * * *", delay=timedelta(hours=3)),
    start_date=datetime(2010, 12, 1, tzinfo=UTC),  # no earlier orders; a backfill may start here
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params=window_params(),
    tags=["rerun:window", "tier:1", "function:sales"],
    doc_md=__doc__,
)
def sales_orders_daily():
    @step()
    def list_channels(scope: RunScope) -> list[str]:
        from caravan.assembly import sales

        return sales.list_channels(scope)

    # The first answer of a large shop takes hours, and nothing of half of one is kept.
    @step(map_index_template="{{ task.op_kwargs['channel_code'] }}", execution_timeout=timedelta(hours=6))
    def collect(scope: RunScope, channel_code: str) -> dict[str, int]:
        from caravan.assembly import sales

        return sales.collect(scope, channel_code)

    # A refused channel does not stop the others; list_channels is upstream too, so that without it nothing is built.
    @step(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    def stage(scope: RunScope) -> dict[str, int]:
        from caravan.assembly import sales

        return sales.stage(scope)

    @step()
    def validate(scope: RunScope) -> dict[str, int]:
        from caravan.assembly import sales

        return sales.validate(scope)

    @step(execution_timeout=timedelta(hours=2), outlets=[SALES_ORDERS])
    def build(scope: RunScope) -> dict[str, int]:
        from caravan.assembly import sales

        return sales.build(scope)

    @last_step()
    def verdict(scope: RunScope, failed_tasks: list[str]) -> None:
        from caravan.assembly import sales

        sales.verdict(scope, failed_tasks)

    channels = list_channels()
    staged = stage()
    channels >> staged
    collect.expand(channel_code=channels) >> staged >> validate() >> build() >> verdict()


sales_orders_daily()
