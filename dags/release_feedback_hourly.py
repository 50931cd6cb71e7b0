"""Takes in what comes back: evidence of what nobody knew, addresses that are gone, complaints. And looks what outlets
show.

**Rerun class** `rerun:now`: it reads what is there now; a backfill is refused. Clear any task as often as you like:
what was told is told once.

**When**: each hour.

**Inputs**: of each outlet for mail the queue that Amazon SES writes into (`events`), and the mailbox that bounces come
to (`bounces`), and which addresses its server refused at once; pages and posts that left in the last seven days, each
release once a day on each outlet, and each hour where it differed or did not answer; the links in them. **Output**:
messages that are settled by evidence; suppression of addresses that bounce for good, or softly three times in two
weeks, and of people who complain; `ops.release_check`, of which `reporting_marts_hourly` makes
`mart.rpt_release__consistency`.

**When it fails**

- `list_outlets`: configuration.
- `collect [outlet]`: the queue or the mailbox does not answer, or does not let us in; what is in it waits there.
  `OUTLET_STOPPED`: of the mails of 30 days more than 2 in 1,000 were called spam, or more than 25 in 1,000 went to
  addresses that there are not: the outlet hands over nothing until a person has looked and lifts it.
- `list_published`: the outbox or the warehouse cannot be opened.
- `check_outlet [outlet]`: the account does not let us in. What does not answer is no failure, and is asked again.
- `verdict`: fails whenever something above did, and with `RELEASE_DIFFERS` for as long as an outlet shows something
  else than was handed over to it: missing, withdrawn and still there, another version, title, price or language, a
  broken link, languages that do not name each other. It says what and where; so does the report's page of releases.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import CronTriggerTimetable, dag

from caravan.orchestration.pools import OUTBOX
from caravan.orchestration.steps import DEFAULTS, last_step, step


@dag(
    schedule=CronTriggerTimetable("35 * * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    allowed_run_types=["scheduled", "manual"],
    default_args={**DEFAULTS, "pool": OUTBOX},
    tags=["rerun:now", "tier:2", "function:release"],
    doc_md=__doc__,
)
def release_feedback_hourly():
    @step()
    def list_outlets() -> list[str]:
        from caravan.assembly import feedback

        return feedback.list_outlets()

    # Up to a quarter of an hour for each queue: one at a time leaves places of the pool to plans and approvals.
    @step(map_index_template="{{ task.op_kwargs['outlet'] }}", max_active_tis_per_dagrun=1)
    def collect(outlet: str) -> dict[str, int]:
        from caravan.assembly import feedback

        return feedback.collect(outlet)

    @step(pool=DEFAULTS["pool"])
    def list_published(dag_id: str) -> list[str]:
        from caravan.assembly import consistency

        return consistency.list_published(dag_id)

    # In the writers' pool: it ends with what it found in the warehouse.
    @step(pool=DEFAULTS["pool"], map_index_template="{{ task.op_kwargs['outlet'] }}")
    def check_outlet(dag_id: str, outlet: str) -> dict[str, int]:
        from caravan.assembly import consistency

        return consistency.check_outlet(outlet, dag_id)

    @last_step(pool=DEFAULTS["pool"])
    def verdict(dag_id: str) -> None:
        from caravan.assembly import consistency

        consistency.verdict(dag_id)

    found, published = list_outlets(), list_published()
    [found, collect.expand(outlet=found), published, check_outlet.expand(outlet=published)] >> verdict()


release_feedback_hourly()
