"""Collects how each site was found in search, day by day, and rebuilds the days that changed.

**Rerun class** `rerun:window`: clear or backfill any window, as often as you like; the same answers end in the same
rows. Google keeps 16 months: an older day is not asked for, and the rows there are of it stay.

**When**: each UTC day, 4 hours after it ended. By hand: *From* and *To* (exclusive) ask for any window again,
*Channels* restricts it to some sites, *Dry run* only says what would be asked for. A day is one of the Pacific time
zone. Its numbers come 2 to 3 days late and change for some days more, so each run asks for the last `settle_days` +
`restate_days` days again, and for days that earlier runs missed.

**Inputs**: Search Console, for each site of `include/config/sites` with `search_console`: totals, by country and
device, by query, by page. **Output**: `raw.search_console__row`, `stg.search_console__row`, `mart.fct_search_day` by
page, `mart.fct_search_query_day` by query; what no row says stands as `(other)`, so each adds up to the totals.

**When it fails**

- `list_sites`: configuration. Its log lists every fault. Nothing was collected.
- `collect [site]`: the days before the failure are loaded whole, of the one it met nothing. A quota: the task waits and
  goes on; if that fails too the next run does. The log names the connection when it is at fault.
- `build`: the last good slices stay. Clear the task once the cause is mended.
- `verdict`: fails whenever something above did, or a check blocked a slice. It names what; look there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import TriggerRule, dag

from caravan.core.scope import RunScope
from caravan.orchestration.params import window_params
from caravan.orchestration.steps import DEFAULTS, last_step, step
from caravan.orchestration.timetables import WindowTimetable


@dag(
    schedule=WindowTimetable("0 0 * * *", delay=timedelta(hours=4)),
    start_date=datetime(2015, 8, 1, tzinfo=UTC),  # the service has existed since then
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params=window_params(),
    tags=["rerun:window", "tier:2", "function:site"],
    doc_md=__doc__,
)
def site_search_daily():
    @step()
    def list_sites(scope: RunScope) -> list[str]:
        from caravan.assembly import site_search

        return site_search.list_sites(scope)

    # A backfill of a year in one run is some thousand queries. Two sites of one account share its quota.
    @step(
        map_index_template="{{ task.op_kwargs['site_code'] }}",
        execution_timeout=timedelta(hours=6),
        max_active_tis_per_dagrun=1,
    )
    def collect(scope: RunScope, site_code: str) -> dict[str, int]:
        from caravan.assembly import site_search

        return site_search.collect(scope, site_code)

    # A site that failed does not stop the others; list_sites is upstream too, so that without it nothing is built.
    @step(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    def build(scope: RunScope) -> dict[str, int]:
        from caravan.assembly import site_search

        return site_search.build(scope)

    @last_step()
    def verdict(scope: RunScope, failed_tasks: list[str]) -> None:
        from caravan.assembly import site_search

        site_search.verdict(scope, failed_tasks)

    sites = list_sites()
    built = build()
    sites >> built
    collect.expand(site_code=sites) >> built >> verdict()


site_search_daily()
