"""`caravan sales ...` and `caravan reporting ...`: each step of a DAG by itself, and the options steps share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from caravan.core.errors import Fault, Misconfigured
from caravan.core.scope import RunScope
from caravan.core.window import Window

sales = typer.Typer(help="Orders of every sales channel, step by step.", no_args_is_help=True)
reporting = typer.Typer(help="Marts, published files and the report, step by step.", no_args_is_help=True)

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
        run_id or f"cli__{now:%Y-%m-%dT%H:%M:%S}", "cli", window, tuple(dict.fromkeys(channels or ())), dry_run
    )


def show(result: object) -> None:
    """What a step returned: nothing, a word, a list, or names with counts."""
    if result is None:
        return
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        result = dataclasses.asdict(result)
    match result:
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


@sales.command("list-channels")
def list_channels(start: From = None, end: To = None, channels: Channels = None) -> None:
    """Name the channels that would be collected; refuse unknown ones."""
    from caravan.assembly import sales as steps

    show(steps.list_channels(scope(start, end, channels)))


Reload = Annotated[
    bool,
    typer.Option("--reload", help="Read files again that were loaded before: after a channel's file was corrected."),
]


@sales.command()
def collect(
    start: From = None,
    end: To = None,
    channels: Channels = None,
    dry_run: DryRun = False,
    run_id: RunId = None,
    reload: Reload = False,
) -> None:
    """Load the deliveries that have not been seen yet into raw tables."""
    from caravan.assembly import sales as steps

    asked = scope(start, end, channels, dry_run, run_id)
    for code in steps.list_channels(asked):
        say(code)
        show(steps.collect(asked, code, reload=reload))


@sales.command()
def stage(
    start: From = None, end: To = None, channels: Channels = None, dry_run: DryRun = False, run_id: RunId = None
) -> None:
    """Rebuild the staged tables of the window and of days that changed."""
    from caravan.assembly import sales as steps

    show(steps.stage(scope(start, end, channels, dry_run, run_id)))


@sales.command()
def validate(
    start: From = None, end: To = None, channels: Channels = None, dry_run: DryRun = False, run_id: RunId = None
) -> None:
    """Run the expectations over the staged slices."""
    from caravan.assembly import sales as steps

    show(steps.validate(scope(start, end, channels, dry_run, run_id)))


@sales.command()
def build(
    start: From = None, end: To = None, channels: Channels = None, dry_run: DryRun = False, run_id: RunId = None
) -> None:
    """Rebuild the int and fct tables."""
    from caravan.assembly import sales as steps

    show(steps.build(scope(start, end, channels, dry_run, run_id)))


@sales.command()
def verdict(
    judged: Annotated[
        str, typer.Option("--run-id", help="The run to judge: what `collect` and the others were given.")
    ],
    start: From = None,
    end: To = None,
) -> None:
    """Fail if the run refused a delivery or blocked a slice, and name it."""
    from caravan.assembly import sales as steps

    steps.verdict(scope(start, end, None, False, judged))


@reporting.command()
def drain(run_id: RunId = None) -> None:
    """Rebuild shared and report tables where something changed."""
    from caravan.assembly import reporting as steps

    asked = scope(None, None, run_id=run_id)
    show(steps.drain(asked.run_id, asked.dag_id))


@reporting.command()
def publish() -> None:
    """Write the published marts for readers outside."""
    from caravan.assembly import reporting as steps

    show(steps.publish())


@reporting.command()
def report() -> None:
    """Write the report."""
    from caravan.assembly import reporting as steps

    show(steps.report())


@reporting.command("verdict")
def reporting_verdict(run_id: Annotated[str, typer.Option("--run-id", help="The run to judge.")]) -> None:
    """Fail if the run blocked a slice, and name it."""
    from caravan.assembly import reporting as steps

    steps.verdict(run_id)
