"""Takes in what comes back of mails: evidence of what nobody knew, addresses that are gone, complaints.

**Rerun class** `rerun:now`: it reads what is there now; a backfill is refused. Clear any task as often as you like:
what was told is told once.

**When**: each hour.

**Inputs**: of each outlet for mail the queue that Amazon SES writes into (`events`), and the mailbox that bounces come
to (`bounces`). **Output**: messages that are settled by evidence; suppression of addresses that bounce for good, or
softly three times in two weeks, and of people who complain.

**When it fails**

- `list_outlets`: configuration.
- `collect [outlet]`: the queue or the mailbox does not answer, or does not let us in; what is in it waits there.
  `TOO_MANY_COMPLAINTS`: more than 2 of 1,000 people complained: stop, and look at whom you write to.
- `verdict`: fails whenever something above did.
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

    @step(map_index_template="{{ task.op_kwargs['outlet'] }}")
    def collect(outlet: str) -> dict[str, int]:
        from caravan.assembly import feedback

        return feedback.collect(outlet)

    @last_step()
    def verdict() -> None:
        return None

    found = list_outlets()
    [found, collect.expand(outlet=found)] >> verdict()


release_feedback_hourly()
