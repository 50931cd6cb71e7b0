"""Watches over everything else: notices what is late, silent, stale, full or wrong, and tells it once.

**Rerun class** `rerun:now`: it looks at the present and acts on it, so backfills are refused.

**When**: every quarter of an hour. By hand whenever you like: what has been told is not told again.

**Inputs**: `ops.run`, `ops.load`, `ops.blocked_slice`, `mart.fct_order`, the schedules of the DAGs, disk and clock,
`include/config/alerts.yml`. **Output**: `ops.incident`, `ops.incident_message`, messages, and the heartbeat in
`CARAVAN_HOME/heartbeat`, which somebody outside has to watch (docs/unattended.md).

**When it fails**

- `beat`: the heartbeat's URL does not answer; the file is written all the same.
- `check_sources`, `check_runs`, `check_machine`, `check_configuration`: that check alone is blind until its next run.
- `send_messages`: messages wait for the next run. A target that is down is no failure: the other targets are told.
- `verdict`: fails whenever something above did. Open incidents are no failure of the watch.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import CronTriggerTimetable, TriggerRule, dag

from caravan.orchestration.steps import DEFAULTS, last_step, step


@dag(
    schedule=CronTriggerTimetable("*/15 * * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    allowed_run_types=["scheduled", "manual"],
    # Not the pool of the writers: the watch must run while they wait. It comes again soon: one retry will do.
    default_args={
        **DEFAULTS,
        "pool": "default_pool",
        "retries": 1,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(minutes=5),
    },
    tags=["rerun:now", "tier:1", "function:ops", "effect:outward"],
    doc_md=__doc__,
)
def ops_watch_quarterhourly():
    @step()
    def beat() -> str:
        from caravan.assembly import ops

        return ops.beat()

    @step()
    def check_sources() -> dict[str, int]:
        from caravan.assembly import ops

        return ops.check_sources()

    @step()
    def check_runs() -> dict[str, int]:
        from caravan.assembly import ops
        from caravan.orchestration.schedules import due_runs

        return ops.check_runs(due_runs)

    @step()
    def check_machine() -> dict[str, int]:
        from caravan.assembly import ops

        return ops.check_machine()

    @step()
    def check_configuration() -> dict[str, int]:
        from caravan.assembly import ops

        return ops.check_configuration()

    @step(trigger_rule=TriggerRule.ALL_DONE)
    def send_messages() -> dict[str, int]:
        from caravan.assembly import incidents

        return incidents.send_messages()

    @last_step()
    def verdict() -> dict[str, int]:
        from caravan.assembly import ops

        return ops.verdict()

    looks = [beat(), check_sources(), check_runs(), check_machine(), check_configuration()]
    looks >> send_messages() >> verdict()


ops_watch_quarterhourly()
