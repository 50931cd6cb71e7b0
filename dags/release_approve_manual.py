"""Asks a person on Airflow's page to approve a release, word for word as its files are now. Sends nothing.

**Rerun class** `rerun:manual`: it has no schedule, and a backfill is refused. Clear `ask_approver` to ask again; an
approval that is written stays.

**When**: by hand, once for each approval that is needed; the form takes the release's id. Whoever is asked finds it
under *Required Actions*. Without an answer within three days nothing is approved. Several can wait at once.

**Inputs**: the release's folder in `include/config/releases`. **Output**: an approval of exactly this content, in the
name of whoever was logged in when they answered; it wakes `release_plan_hourly`.

**When it fails**

- `show_release`: there is no such release, it has faults, or its time has passed; the log says which. Mend it, then
  clear the task.
- `ask_approver`: nobody answered in time. Run the DAG again. "Reject" is an answer and no failure: the run is green,
  `write_approval` skipped.
- `write_approval`: its author approved it, or its files were changed while it was being read. Nothing is approved.
- `verdict`: fails whenever something above did.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag

from caravan.orchestration.approvals import AskApprover, responder
from caravan.orchestration.assets import RELEASE_APPROVALS
from caravan.orchestration.pools import OUTBOX
from caravan.orchestration.steps import DEFAULTS, last_step, step


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # One that waits for its answer holds up no other.
    max_active_runs=50,
    allowed_run_types=["manual"],
    params={"release_id": Param(None, "Name of its folder.", title="Release", type="string", minLength=1)},
    default_args={**DEFAULTS, "pool": OUTBOX},
    tags=["rerun:manual", "tier:2", "function:release"],
    doc_md=__doc__,
)
def release_approve_manual():
    @step()
    def show_release(release_id: str) -> dict[str, str]:
        from caravan.assembly import releases

        return releases.review(release_id)

    ask_approver = AskApprover(
        task_id="ask_approver",
        subject="{{ ti.xcom_pull(task_ids='show_release')['subject'] }}",
        body="{{ ti.xcom_pull(task_ids='show_release')['body'] }}",
        response_timeout=timedelta(days=3),
    )

    @step(outlets=[RELEASE_APPROVALS])
    def write_approval(shown: dict[str, str], answer: dict[str, Any]) -> dict[str, object]:
        from caravan.assembly import releases

        return releases.approve(shown["release_id"], shown["content_hash"], responder(answer))

    @last_step()
    def verdict() -> None:
        return None

    shown = show_release(release_id="{{ params.release_id }}")
    # Nothing but the approval comes straight after the question: "Reject" skips what does.
    shown >> ask_approver >> write_approval(shown=shown, answer=ask_approver.output) >> verdict()


release_approve_manual()
