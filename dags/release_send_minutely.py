"""Hands over what is due, of releases, confirmations and announced sites: each message once, at its instant, to whom
it may go. Nothing is ever sent twice.

**Rerun class** `rerun:now`: it acts on what is due now, whatever its run is about; a backfill is refused. Clear any
task as often as you like: what was handed over is not handed over again, and what nobody knows is not sent but settled.

**When**: each minute; what falls due before the next run is held until its instant. What is later than a release's
`max_lateness` is not sent but `missed`.

**Inputs**: the outbox, consent and suppression, the hours of each market. **Output**: pages, feeds, posts and mails;
the outbox's states and its log.

**When it fails**

- `list_outlets`: the outbox cannot be opened, or configuration; nothing is sent meanwhile.
- `send [outlet]`: the outlet does not take our credentials, or its file has a fault. What is due stays planned and goes
  out when it is mended, unless it is too late then. The other outlets go on.
- `verdict`: fails whenever something above did, where messages were missed a moment ago, where a page or post, or many
  mails, were refused for good a moment ago, or where a person has to decide about messages of which nobody knows
  whether they arrived: `./caravan outbox list --state operator`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import CronTriggerTimetable, dag

from caravan.orchestration.pools import SENDING
from caravan.orchestration.steps import DEFAULTS, last_step, step


@dag(
    schedule=CronTriggerTimetable("* * * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # A large list takes its whole turn: the next run sends on other outlets, and claims what this one has not.
    max_active_runs=2,
    allowed_run_types=["scheduled", "manual"],
    # A retry does what the next run does anyway.
    default_args={**DEFAULTS, "pool": SENDING, "retries": 0},
    tags=["rerun:now", "tier:1", "function:release", "effect:outward"],
    doc_md=__doc__,
)
def release_send_minutely():
    @step()
    def list_outlets() -> list[str]:
        from caravan.assembly import sending

        return sending.list_outlets()

    @step(map_index_template="{{ task.op_kwargs['outlet'] }}", execution_timeout=timedelta(hours=6))
    def send(outlet: str) -> dict[str, int]:
        from caravan.assembly import sending

        return sending.send(outlet)

    @last_step()
    def verdict() -> None:
        from caravan.assembly import sending

        sending.verdict()

    found = list_outlets()
    [found, send.expand(outlet=found)] >> verdict()


release_send_minutely()
