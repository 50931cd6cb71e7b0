"""Tasks whose body is one call: what the run is about comes in by name, errors go out by kind."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from caravan.assembly.connections import using
from caravan.config.pools import WAREHOUSE
from caravan.core.errors import Rejected
from caravan.orchestration.connections import AirflowConnections
from caravan.orchestration.errors import RetryByError
from caravan.orchestration.notifiers import run_ended, task_failed
from caravan.orchestration.params import scope_from_context
from caravan.orchestration.runs import failed_tasks

RETRY_DELAY = timedelta(minutes=2)

DEFAULTS: dict[str, Any] = {
    "owner": "caravan",
    "retries": 2,
    "retry_delay": RETRY_DELAY,
    "execution_timeout": timedelta(hours=1),
    "on_failure_callback": task_failed,
    # Writers queue for the warehouse: they must not fill every place, or the watch could not run.
    "pool": WAREHOUSE,
}
"""`default_args` of every DAG; a task that needs other numbers says so."""


_GIVEN: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "scope": scope_from_context,
    "run_id": lambda context: context["dag_run"].run_id,
    "dag_id": lambda context: context["dag_run"].dag_id,
    "failed_tasks": failed_tasks,
    "sites": lambda context: list(context["params"].get("sites") or ()),
}


def step(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`@task`, for a function that may ask for `scope`, `run_id`, `dag_id`, `sites` and `failed_tasks` by naming them.

    Every other parameter is given by name where the DAG calls or maps it. `options` are the operator's.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        signature = inspect.signature(function)
        asked = [name for name in signature.parameters if name in _GIVEN]

        @functools.wraps(function)
        def run(**arguments: Any) -> Any:
            context = get_current_context()
            with using(AirflowConnections()):
                result = function(**{name: _GIVEN[name](context) for name in asked}, **arguments)
            if options.get("outlets") and context["params"].get("dry_run"):
                # A task that is skipped sends no asset event: nothing has changed, so no DAG is to wake.
                raise AirflowSkipException("a dry run updates no asset")
            return result

        # Airflow checks calls and .expand() against this signature when the file is read. By name only: templates such
        # as a map index find the arguments there.
        visible = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in signature.parameters.items()
            if name not in asked
        ]
        run.__signature__ = signature.replace(parameters=visible)  # type: ignore[attr-defined]
        return task(**{"multiple_outputs": False, "retry_policy": RetryByError(RETRY_DELAY), **options})(run)

    return decorate


def last_step(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A step that runs whatever happened before it, and fails when any task of the run has failed.

    Airflow judges a run by its last tasks alone: without this, a run whose last task cleans up would be green.
    When it is done, what failed and what is over is told.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def run(**arguments: Any) -> Any:
            failed = failed_tasks(get_current_context())
            result = function(**arguments)
            if failed:
                raise Rejected("TASKS_FAILED", f"{', '.join(failed)}; their logs say why")
            return result

        tells = {"on_success_callback": run_ended, "on_failure_callback": run_ended}
        return step(**{"trigger_rule": TriggerRule.ALL_DONE, **tells, **options})(run)

    return decorate
