"""What a run's tasks have come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def task_states(context: Mapping[str, Any]) -> dict[str, list[str]]:
    """The states of each task's instances in this run, in the order of the DAG; of a mapped task by map index."""
    run, tasks = context["dag_run"], context["dag"].task_dict
    states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
    found: dict[str, dict[int, str]] = {name: {} for name in tasks}
    for key, state in states.items():
        # A mapped task instance is called <task_id>_<map index>; one of a task that is no longer there, whatever.
        name, _, index = (key, "", "0") if key in tasks else key.rpartition("_")
        if name in found and index.isdecimal():
            found[name][int(index)] = str(state)
    return {name: [of_task[index] for index in sorted(of_task)] for name, of_task in found.items()}


def failed_tasks(context: Mapping[str, Any]) -> list[str]:
    """Tasks of this run that failed, e.g. `collect (2 of 8)`; not those that could not start because of them."""
    found = []
    for name, states in task_states(context).items():
        if failed := states.count("failed"):
            found.append(f"{name} ({failed} of {len(states)})" if len(states) > 1 else name)
    return found
