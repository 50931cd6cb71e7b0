"""The command line: every step of Caravan without a scheduler.

Modules that take long to import are imported by the command that needs them: `--help` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from caravan.cli import (
    alerts,
    backup,
    calendar,
    connections,
    markets,
    outbox,
    privacy,
    release,
    site,
    steps,
    upkeep,
    world,
)
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError, Fault, Misconfigured

app = typer.Typer(
    name="caravan",
    help="Cross-border online marketing as scheduled pipelines over one warehouse.",
    epilog="`./caravan setup [--dev]` makes or repairs the Python environment.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(steps.sales, name="sales")
app.add_typer(steps.reporting, name="reporting")
app.add_typer(markets.app, name="markets")
app.add_typer(connections.app, name="connections")
app.add_typer(outbox.app, name="outbox")
app.add_typer(release.app, name="release")
app.add_typer(site.app, name="site")
app.add_typer(world.app, name="world")


@app.callback()
def prepare(context: typer.Context) -> None:
    # doctor tells it in its table, beside whatever else is wrong
    if context.invoked_subcommand != "doctor":
        check_home(Settings.from_environment().home)


Port = Annotated[int, typer.Option(min=1024, max=65000, help="Page; the two ports after it serve logs.")]


@app.command()
def demo(
    home: Annotated[
        Path | None, typer.Option(help="Keep state there instead of in CARAVAN_HOME or .caravan/demo.")
    ] = None,
    seed: world.Seed = None,
    scale: world.Scale = 1,
) -> None:
    """Make a small world with planted defects, run the DAGs over it and compare what they counted with what is so."""
    from caravan.cli.demo import run_demo

    raise typer.Exit(run_demo(home, seed, scale))


@app.command()
def up(
    port: Port = 8080,
    demo: Annotated[
        bool, typer.Option("--demo", help="On the state of `caravan demo`, with the DAGs switched on.")
    ] = False,
    foreground: Annotated[bool, typer.Option("--foreground", help="For containers and service managers.")] = False,
    host: Annotated[str, typer.Option(help="With --foreground: the address to listen on.")] = "127.0.0.1",
    timeout: Annotated[int, typer.Option(help="Seconds to wait for an answer.")] = 300,
) -> None:
    """Start Airflow on this machine, on loopback."""
    from caravan.cli import server
    from caravan.cli.demo import demo_state
    from caravan.cli.demo_world import unserved

    settings = demo_state() if demo else Settings.from_environment()
    if demo:
        os.environ["CARAVAN_ALERTS"] = "off"  # its planted faults are nobody's incident
        if codes := unserved(settings.config_dir, os.environ):
            steps.say(
                f"{', '.join(codes)} will fail: first export what `./caravan world serve` prints; see docs/demo.md"
            )
    if foreground:
        server.run_in_foreground(settings, port, paused=not demo, host=host)
    if host != server.LOOPBACK:
        raise Misconfigured([Fault("--host", "goes with --foreground; `up` alone stays on loopback")])
    with steps.console().status("starting Airflow") as status:
        running, password, is_new = server.start(
            settings, port, paused=not demo, timeout_s=timeout, progress=status.update
        )
    steps.say(f"Airflow {'runs' if is_new else 'is already running'} at {running.url}")
    if password:
        steps.say(f"user {server.ADMIN}, password {password} (shown once)")
    steps.say(f"The password is kept in {server.Places.of(settings).passwords}; `caravan down` stops the server.")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def airflow(context: typer.Context) -> None:
    """Run Airflow's own command line on what `up` started, e.g. `airflow backfill create --dag-id ...`."""
    from caravan.cli import server

    server.run_airflow(Settings.from_environment(), context.args)


@app.command()
def down() -> None:
    """Stop what `up` started."""
    from caravan.cli import server
    from caravan.cli.demo import demo_settings

    homes = dict.fromkeys([Settings.from_environment().home, demo_settings().home])
    with steps.console().status("looking for the server") as status:
        ended = [server.stop(server.Places(home / "airflow"), progress=status.update) for home in homes]
    stopped = [each for each in ended if each]
    for running, killed in stopped:
        forced = f"; {killed} processes did not end by themselves and were killed" if killed else ""
        steps.say(f"Airflow at {running.url} is stopped{forced}")
    if not stopped:
        steps.say("no server runs")


@app.command()
def check() -> None:
    """Report every fault of configuration, models and templates at once."""
    from caravan import SQL_DIR, TEMPLATES_DIR
    from caravan.cli.check import find_faults, find_notices

    settings = Settings.from_environment()
    faults = find_faults(settings.config_dir, SQL_DIR, TEMPLATES_DIR)
    if faults:
        raise Misconfigured(faults)
    for notice in find_notices(settings.config_dir, datetime.now(UTC).date()):
        steps.say(f"to be renewed: {notice}")
    steps.say("no faults in configuration, models and templates")


@app.command()
def run(
    dag_id: str,
    start: steps.From = None,
    end: steps.To = None,
    conf: Annotated[str | None, typer.Option(help="Further run parameters, as a JSON object.")] = None,
    downstream: Annotated[
        bool, typer.Option("--downstream", help="Then run the DAGs that wait for this one's assets.")
    ] = False,
) -> None:
    """Execute a DAG's own tasks in this process, without a scheduler."""
    from caravan.cli.run import run_dag

    first, last = steps.dates(start, end)
    if not run_dag(dag_id, first, last, _object(conf), downstream, Settings.from_environment()):
        raise typer.Exit(1)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="One SELECT, WITH, SHOW TABLES or DESCRIBE schema.table.")],
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
) -> None:
    """Ask the warehouse; reads one snapshot and never waits for a writer."""
    from caravan.assembly.warehouse import open_warehouse
    from caravan.cli.query import ask, reading_sql, write

    if form not in ("table", "csv", "json"):
        raise typer.BadParameter(f"'{form}' is none of table, csv, json", param_hint="--format")
    reading_sql(sql)  # what is wrong with the statement itself is told without a warehouse, too
    with open_warehouse(Settings.from_environment(), read_only=True) as warehouse:
        names, rows = ask(warehouse, sql)
    write(names, rows, form, sys.stdout)  # type: ignore[arg-type]


@app.command()
def models() -> None:
    """List the models in build order, with columns, rows and freshness."""
    from caravan.cli.models import show_models

    show_models(Settings.from_environment())


@app.command()
def migrate() -> None:
    """Bring the warehouse up to this version: its raw and ops tables, and a lake's own format."""
    from caravan.assembly.warehouse import open_warehouse
    from caravan.warehouse.migrations import migrate as apply

    with open_warehouse(Settings.from_environment(), upgrade=True) as warehouse:
        applied = apply(warehouse)
    steps.say(f"applied {', '.join(applied)}" if applied else "nothing to apply")


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For monitoring: every finding and the worst state.")] = False,
) -> None:
    """Check versions, settings, disk, clock, warehouse, configuration, connections and the running server."""
    from caravan.cli.doctor import examine, show, write_json

    findings = examine()
    (write_json if as_json else show)(findings)
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(1)


app.command()(calendar.calendar)
app.command()(upkeep.upkeep)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(privacy.privacy)
app.command()(alerts.alerts)
app.command()(alerts.heartbeat)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 wrongly configured or called; more in its help."""
    try:
        app(arguments, prog_name="caravan")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except CaravanError as error:
        print(f"caravan: {error}", file=sys.stderr)
        return 2 if isinstance(error, Misconfigured) else 1
    except BrokenPipeError:
        # The reader of our output has gone, as in `caravan query ... | head`.
        sys.stderr.close()
        return 1
    except OSError as error:
        # A path is all a person needs; an error without one is a defect, and keeps its traceback.
        if error.filename is None:
            raise
        print(f"caravan: {error.filename}: {error.strerror}; CARAVAN_HOME says where state is kept", file=sys.stderr)
        return 1
    return 0


def check_home(home: Path) -> None:
    """Misconfigured when CARAVAN_HOME is, or lies below, something that is no folder."""
    there = next(path for path in (home, *home.parents) if path.exists())
    if not there.is_dir():
        raise Misconfigured([Fault("CARAVAN_HOME", f"{there} is no folder; name one, or one to be made")])


def _object(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Misconfigured([Fault("--conf", f"is no JSON: {error}")]) from error
    if not isinstance(value, dict):
        raise Misconfigured([Fault("--conf", 'is no JSON object like {"channels": ["shop_de"]}')])
    return value
