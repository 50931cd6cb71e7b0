"""`caravan upkeep`: what ops_warehouse_daily does, all of it or single steps, by hand."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from caravan.cli.dry_run import log_on_terminal
from caravan.cli.steps import closing_run, say, scope
from caravan.core.errors import Fault, Misconfigured, nearest

Steps = Annotated[
    list[str] | None,
    typer.Argument(
        help="Of trim_evidence, tidy_warehouse, sweep_scratch, trim_airflow, back_up; all, in this order, if none."
    ),
]


def upkeep(names: Steps = None) -> None:
    """Tidy the warehouse, scratch folders and Airflow's records, and make the backup that is due."""
    from caravan.assembly.upkeep import STEPS

    if unknown := [name for name in names or () if name not in STEPS]:
        raise Misconfigured([Fault("upkeep", f"there is no step '{unknown[0]}'{nearest(unknown[0], STEPS)}")])
    asked = scope(None, None)
    with log_on_terminal(logging.WARNING), closing_run(asked):
        for name, step in STEPS.items():
            if not names or name in names:
                for line in step(asked.run_id, asked.dag_id):
                    say(line)
