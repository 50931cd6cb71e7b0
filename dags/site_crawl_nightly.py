"""Crawls the company's own web sites, asks every check of the catalogue, and says what is new, fixed or back.

**Rerun class** `rerun:now`: a crawl sees only what is there now, so a backfill is refused. A crawl that was cut off
goes on where it was, in its next attempt. `audit`, `load` and `announce` start from a crawl's folder: clear them as
often as you like; no page is announced twice by it. Clear `crawl` to crawl anew.

**When**: each night at 02:15 UTC. By hand: at once, of all sites or of those in *Sites*, as after a fix.

**Inputs**: `include/config/sites`; the sites themselves; the last crawl of each, whose pages are asked for only if they
have changed; markets, prices, stock and sales from the warehouse. **Output**: a folder for each crawl, with its tables
and its report, below `CARAVAN_HOME/site/crawls`; `raw.crawl__*`, `mart.fct_page`, `mart.fct_site_issue`,
`mart.fct_site_change`, `mart.fct_site_check`; the asset `site_crawls` wakes `reporting_marts_hourly`. Of a site whose
file has `announce`, after a complete crawl: its sitemaps, and in the outbox what `release_send_minutely` tells search
engines.

**When it fails**

- `list_sites`: configuration that all sites share. A fault in one site's file disables that one; `verdict` names it,
  and so does `./caravan check`.
- `crawl [site]`: the site could not be reached at all, or another crawl had its host all the time; the log says which.
  Sites that share a host take turns. A site of which only a part could be read is no failure: its crawl is incomplete,
  and ends no issue.
- `audit [site]`: the log says why. A check that is broken stops no other; it is not evaluated, and told in the log.
- `load [site]`, `build`: the warehouse. Clear the task: the crawl's folder is still there.
- `announce [site]`: the outlet is not there; the place of a sitemap takes nothing; or no page may be indexed, and the
  sitemap stays as it was. The log says which.
- `verdict`: fails whenever something above did, a site is disabled by its file, or a check of a site's `gate` fired in
  its newest crawl. A run of some *Sites* judges these alone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import CronTriggerTimetable, Param, TriggerRule, dag, task_group

from caravan.orchestration.assets import SITE_CRAWLS
from caravan.orchestration.pools import CRAWLING, OUTBOX
from caravan.orchestration.steps import DEFAULTS, last_step, step

SITE = "{{ task.op_kwargs['site_code'] }}"
SITES = {
    "sites": Param([], "Codes of sites, one a line. Empty: all.", title="Sites", type="array", items={"type": "string"})
}


@dag(
    schedule=CronTriggerTimetable("15 2 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    allowed_run_types=["scheduled", "manual"],
    default_args=DEFAULTS,
    params=SITES,
    tags=["rerun:now", "tier:2", "function:site"],
    doc_md=__doc__,
)
def site_crawl_nightly():
    @step()
    def list_sites(run_id: str, dag_id: str, sites: list[str]) -> list[str]:
        from caravan.assembly import site_crawl

        return site_crawl.list_sites(run_id, dag_id, sites)

    @task_group
    def site(site_code: str):
        # A large site asked politely takes hours, and the warehouse is not needed for it.
        @step(map_index_template=SITE, pool=CRAWLING, execution_timeout=timedelta(hours=6))
        def crawl(site_code: str) -> dict[str, int]:
            from caravan.assembly import site_crawl

            return site_crawl.crawl(site_code)

        @step(map_index_template=SITE)
        def audit(run_id: str, site_code: str) -> dict[str, int]:
            from caravan.assembly import site_crawl

            return site_crawl.audit(site_code, run_id)

        @step(map_index_template=SITE)
        def load(run_id: str, dag_id: str, site_code: str) -> dict[str, int]:
            from caravan.assembly import site_crawl

            return site_crawl.load(site_code, run_id, dag_id)

        @step(map_index_template=SITE, pool=OUTBOX)
        def announce(run_id: str, site_code: str) -> dict[str, int]:
            from caravan.assembly import site_crawl

            return site_crawl.announce(site_code, run_id)

        audited = audit(site_code=site_code)
        crawl(site_code=site_code) >> audited >> [load(site_code=site_code), announce(site_code=site_code)]

    # A site that failed does not stop the others; list_sites is upstream too, so that without it nothing is built.
    @step(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS, outlets=[SITE_CRAWLS])
    def build(run_id: str, dag_id: str) -> dict[str, int]:
        from caravan.assembly import site_crawl

        return site_crawl.build(run_id, dag_id)

    @last_step()
    def verdict(run_id: str, dag_id: str, failed_tasks: list[str], sites: list[str]) -> None:
        from caravan.assembly import site_crawl

        site_crawl.verdict(run_id, dag_id, failed_tasks, sites)

    found = list_sites()
    built = build()
    found >> built
    site.expand(site_code=found) >> built >> verdict()


site_crawl_nightly()
