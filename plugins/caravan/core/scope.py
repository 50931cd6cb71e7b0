"""What one run of a function is asked to do; the same from Airflow, the command line and tests."""

from __future__ import annotations

from dataclasses import dataclass

from caravan.core.window import Window


@dataclass(frozen=True)
class RunScope:
    """`channels`: codes asked for, empty for all. `dry_run`: say what would happen, change nothing."""

    run_id: str
    dag_id: str
    window: Window
    channels: tuple[str, ...] = ()
    dry_run: bool = False
