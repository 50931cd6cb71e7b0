"""`caravan sales ...` and `caravan reporting ...`: each step of a DAG by itself, and the options steps share."""

from __future__ import annotations

import dataclasses
import difflib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from caravan.cli.dry_run import dry_run, log_on_terminal
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError, Fault, Misconfigured, Rejected, Retryable, nearest
from caravan.core.scope import RunScope
from caravan.core.window import Window

sales = typer.Typer(help="Orders of every sales channel, step by step.", no_args_is_help=True)
reporting = typer.Typer(help="Marts, published files and the report, step by step.", no_args_is_help=True)

BY_HAND = "cli"
"""What stands for the DAG in the ops rows of steps that a person runs."""
_DAY = ["%Y-%m-%d"]
From = Annotated[datetime | None, typer.Option("--from", formats=_DAY, help="First UTC day; yesterday if absent.")]
To = Annotated[datetime | None, typer.Option("--to", formats=_DAY, help="The day after the last one.")]
Channels = Annotated[list[str] | None, typer.Option("--channel", help="Only this channel; may be repeated.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and change nothing.")]
RunId = Annotated[
    str | None, typer.Option("--run-id", help="Name of the run in ops tables; steps of one run share it.")
]


def console() -> Console:
    """Where people read; made when used, so that it is today's standard output."""
    return Console(highlight=False)


def say(message: str) -> None:
    console().print(Text(message), soft_wrap=True)


def dates(start: datetime | None, end: datetime | None) -> tuple[date | None, date | None]:
    """Both days or neither; Misconfigured otherwise."""
    if (start is None) != (end is None):
        missing = "--to" if start else "--from"
        raise Misconfigured([Fault(missing, "is missing; give both --from and --to, or neither")])
    if start is None or end is None:
        return None, None
    if end <= start:
        raise Misconfigured(
            [Fault("--to", f"{end:%Y-%m-%d} is not after --from {start:%Y-%m-%d}; the end is exclusive")]
        )
    return start.date(), end.date()


def scope(
    start: datetime | None,
    end: datetime | None,
    channels: list[str] | None = None,
    dry_run: bool = False,
    run_id: str | None = None,
) -> RunScope:
    """The scope that options ask for; the last whole UTC day without --from and --to."""
    first, last = dates(start, end)
    now = datetime.now(UTC)
    window = Window.of_days(first or now.date() - timedelta(days=1), last or now.date())
    return RunScope(
        run_id or f"cli__{now:%Y-%m-%dT%H:%M:%S}", BY_HAND, window, tuple(dict.fromkeys(channels or ())), dry_run
    )


def show(result: object) -> None:
    """What a step returned: nothing, a word, a list, or names with counts."""
    if result is None:
        return
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        result = dataclasses.asdict(result)
    match result:
        case Mapping() if not result:
            say("nothing to do")
        case Mapping():
            table = Table(show_header=False)
            for name, value in result.items():
                table.add_row(Text(str(name)), Text(_shown(value)))
            console().print(table)
        case list() | tuple() | set() | frozenset():
            for item in result:
                say(str(item))
        case _:
            say(str(result))


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@contextmanager
def planned(asked: RunScope) -> Iterator[None]:
    """Inside, a dry run tells what would be done and makes no warehouse; any other run goes ahead."""
    if not asked.dry_run:
        with log_on_terminal(logging.WARNING):
            yield
        return
    with dry_run(Settings.from_environment(), say), log_on_terminal(logging.INFO):
        yield


@contextmanager
def closing_run(asked: RunScope) -> Iterator[None]:
    """Close the run's row in ops.run, as `verdict` does in a DAG: nobody else would. A dry run has none."""
    try:
        yield
    except Retryable:
        raise  # the warehouse cannot be written now: to try would be to wait for its lock once more
    except KeyboardInterrupt:
        if not asked.dry_run:
            with suppress(Retryable):  # whoever presses Ctrl-C may do so because the lock is held: the run stays open
                close_run(asked.dag_id, asked.run_id, "interrupted", lock_wait_seconds=2)
        raise
    except BaseException as error:
        if not asked.dry_run:
            close_run(asked.dag_id, asked.run_id, f"{type(error).__name__}: {error}")
        raise
    if not asked.dry_run:
        close_run(asked.dag_id, asked.run_id, "")


def close_run(dag_id: str, run_id: str, message: str, **options: Any) -> None:
    """`message`: why it ends, where nothing of what failed is on record. `options`: those of `open_store`."""
    from caravan.assembly.warehouse import open_store
    from caravan.config.loader import load

    settings = Settings.from_environment()
    with open_store(settings, load(settings.config_dir), dag_id, **options) as store:
        lines = store.failures(run_id) or [message] * bool(message)
        store.end_run(run_id, "failed" if lines else "success", "\n".join(lines))


def dag_of(run_id: str, dag_id: str) -> str:
    """`dag_id`, or BY_HAND when the run was made here; CaravanError with the nearest run when there is no such."""
    from caravan.assembly.warehouse import open_warehouse

    tables = ("ops.run", "ops.load", "ops.quality_result")
    with open_warehouse(Settings.from_environment(), read_only=True) as warehouse, warehouse.read() as session:
        there = [f"SELECT run_id, dag_id FROM {table}" for table in tables if session.columns(table)]
        found = session.rows(" UNION ".join(there)) if there else []
    known = {(run, dag) for run, dag in found if dag in (dag_id, BY_HAND)}
    for dag in (dag_id, BY_HAND):
        if (run_id, dag) in known:
            return dag
    runs = sorted(run for run, _ in known)
    near = difflib.get_close_matches(run_id, runs) or runs[-5:] or ["none yet"]
    raise CaravanError(f"there is no run '{run_id}'{nearest(run_id, near)}")


def _chosen(asked: RunScope) -> list[str]:
    """The channels asked for, by the configuration alone: an unknown one is told before a warehouse is made."""
    from caravan.config.loader import load
    from caravan.functions.sales.orders import choose_channels

    return choose_channels(asked, load(Settings.from_environment().config_dir))


@sales.command("list-channels")
def list_channels(channels: Channels = None) -> None:
    """Name the channels that would be collected; refuse unknown ones."""
    show(_chosen(scope(None, None, channels)))


Reload = Annotated[
    bool,
    typer.Option("--reload", help="Read again what was loaded before: after a channel's file was corrected."),
]


@sales.command()
def collect(
    channels: Channels = None,
    dry_run: DryRun = False,
    run_id: RunId = None,
    reload: Reload = False,
) -> None:
    """Load the deliveries that have not been seen yet into raw tables."""
    from caravan.assembly import sales as steps

    asked = scope(None, None, channels, dry_run, run_id)
    _chosen(asked)
    refused = []
    with planned(asked), closing_run(asked):
        for code in steps.list_channels(asked):
            if not dry_run:
                say(code)
            try:
                totals = steps.collect(asked, code, reload=reload)
            except Rejected:
                refused.append(code)  # each refused delivery was told when it was met
                continue
            if not dry_run:
                show(totals)
        if refused:
            raise Rejected("DELIVERIES_REFUSED", f"not everything of {', '.join(refused)} was read; see above")


@sales.command()
def stage(start: From = None, end: To = None, dry_run: DryRun = False, run_id: RunId = None) -> None:
    """Rebuild the staged tables of the window and of days that changed."""
    from caravan.assembly import sales as steps

    asked = scope(start, end, None, dry_run, run_id)
    with planned(asked):
        rows = steps.stage(asked)
    if not dry_run:
        show(rows)


@sales.command()
def validate(start: From = None, end: To = None, dry_run: DryRun = False, run_id: RunId = None) -> None:
    """Run the expectations over the staged slices."""
    from caravan.assembly import sales as steps

    asked = scope(start, end, None, dry_run, run_id)
    if dry_run:
        say(f"would judge what is staged of {asked.window}, and what waits to be built from")
        return
    with planned(asked):
        show(steps.validate(asked))


@sales.command()
def build(start: From = None, end: To = None, dry_run: DryRun = False, run_id: RunId = None) -> None:
    """Rebuild the int and fct tables."""
    from caravan.assembly import sales as steps

    asked = scope(start, end, None, dry_run, run_id)
    with planned(asked):
        rows = steps.build(asked)
    if not dry_run:
        show(rows)


@sales.command()
def verdict(
    judged: Annotated[
        str, typer.Option("--run-id", help="The run to judge: what `collect` and the others were given.")
    ],
) -> None:
    """Fail if the run refused a delivery or blocked a slice, and name it."""
    from caravan.assembly import sales as steps

    asked = scope(None, None, run_id=judged)
    steps.verdict(dataclasses.replace(asked, dag_id=dag_of(judged, "sales_orders_daily")))
    say("nothing failed")


@reporting.command()
def drain(run_id: RunId = None) -> None:
    """Rebuild shared and report tables where something changed."""
    from caravan.assembly import reporting as steps

    asked = scope(None, None, run_id=run_id)
    with planned(asked), closing_run(asked):
        show(steps.drain(asked.run_id, asked.dag_id))


@reporting.command()
def publish() -> None:
    """Write the published marts for readers outside."""
    from caravan.assembly import reporting as steps

    show(steps.publish())


@reporting.command()
def upload() -> None:
    """Put the published files into the bucket that project.yml names."""
    from caravan.assembly import reporting as steps

    show(steps.upload())


@reporting.command()
def report() -> None:
    """Write the report."""
    from caravan.assembly import reporting as steps

    show(steps.report())


@reporting.command("verdict")
def reporting_verdict(run_id: Annotated[str, typer.Option("--run-id", help="The run to judge.")]) -> None:
    """Fail if the run blocked a slice, and name it."""
    from caravan.assembly import reporting as steps

    steps.verdict(run_id, dag_of(run_id, "reporting_marts_hourly"))
    say("nothing failed")
