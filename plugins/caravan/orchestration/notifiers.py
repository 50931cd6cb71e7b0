"""Tells of failures and their end. Callbacks of tasks, not of DAGs: those run in the worker, which may wait for the
warehouse; a DAG's run in the DAG processor, which may not (docs/decisions/0010-alerts.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowTaskTimeout

from caravan.assembly.connections import using
from caravan.core.errors import CaravanError
from caravan.core.incidents import RunEnd
from caravan.core.window import to_utc_naive
from caravan.orchestration.connections import AirflowConnections
from caravan.orchestration.runs import task_states


def task_failed(context: Mapping[str, Any]) -> None:
    """`on_failure_callback` of every task: it has failed, and its retries are used up."""
    from caravan.assembly import incidents

    if _is_dry(context):
        return
    ti = context["ti"]
    label = None
    if ti.map_index is not None and ti.map_index >= 0:
        label = str(getattr(ti, "rendered_map_index", None) or ti.map_index)
    with using(AirflowConnections()):
        incidents.task_failed(
            ti.dag_id, ti.task_id, label, ti.run_id, tier_of(context["dag"].tags), ti.log_url, _error(context)
        )


def run_ended(context: Mapping[str, Any]) -> None:
    """`on_success_callback` and `on_failure_callback` of a run's last task."""
    from caravan.assembly import incidents

    if _is_dry(context):
        return
    ti = context["ti"]
    error = _error(context)
    end = RunEnd(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        tier=tier_of(context["dag"].tags),
        states=task_states(context),
        last_task=ti.task_id,
        link=ti.log_url,
        asked=tuple(context["params"].get("channels") or context["params"].get("sites") or ()),
        started_at=to_utc_naive(began) if (began := context["dag_run"].start_date) else None,
    )
    with using(AirflowConnections()):
        incidents.run_ended(end, error)


def tier_of(tags: Any) -> int:
    """1 to 3, by the DAG's tag `tier:N`; 3 without one."""
    tiers = [int(tag.removeprefix("tier:")) for tag in tags if tag.startswith("tier:")]
    return min(tiers, default=3)


def _is_dry(context: Mapping[str, Any]) -> bool:
    return bool(context["params"].get("dry_run"))


def _error(context: Mapping[str, Any]) -> BaseException | None:
    error = context.get("exception")
    if isinstance(error, AirflowTaskTimeout):
        limit = context["task"].execution_timeout
        return CaravanError(f"It took longer than its execution_timeout of {limit} and was stopped.")
    return error if isinstance(error, BaseException) else None
