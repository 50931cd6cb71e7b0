"""`caravan connections`: the accounts and servers outside, and whether each answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from caravan.cli.steps import console, say
from caravan.config.settings import Settings
from caravan.core.errors import Misconfigured, Rejected

if TYPE_CHECKING:
    from caravan.assembly.trials import Use

app = typer.Typer(help="Accounts and servers outside: list and try them.")


@app.callback(invoke_without_command=True)
def connections(context: typer.Context) -> None:
    """List the connections that are set in the environment, and those that the configuration asks for."""
    if context.invoked_subcommand is not None:
        return
    from caravan.assembly.connections import EnvironmentConnections, variable_of

    there, wanted = EnvironmentConnections(), _uses()
    table = Table()
    for title in ("connection", "kind", "address", "from", "used by"):
        table.add_column(title, overflow="fold")
    for conn_id in sorted({*there.ids(), *wanted}):
        by = ", ".join(wanted[conn_id].by) if conn_id in wanted else ""
        if conn_id not in there.ids():
            table.add_row(conn_id, "", "", f"not set here ({variable_of(conn_id)}); tasks may have it of Airflow", by)
            continue
        try:
            found = there.get(conn_id)
            table.add_row(conn_id, found.kind, Text(found.address), "environment", Text(by))
        except Misconfigured as error:
            table.add_row(conn_id, "?", "", Text("; ".join(fault.message for fault in error.faults)), Text(by))
    if table.rows:
        console().print(table)
    else:
        say("no connection is set, and none is asked for; docs/connections.md says how one is set")


@app.command()
def test(
    conn_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only this one; it may be unused yet.")] = None,
) -> None:
    """Try each connection that is used: log in, ask, list. Sends and changes nothing. Exits 1 when one fails."""
    from caravan.assembly.connections import current
    from caravan.assembly.trials import Use, tried

    wanted = _uses()
    failed = []
    for name in [conn_id] if conn_id else list(wanted):
        use = wanted.get(name, Use())
        try:
            works, told = tried(current().get(name), use)
        except Misconfigured as error:
            works, told = False, "; ".join(fault.message for fault in error.faults)
        say(f"{name}: {'ok' if works else 'failed'}: {told}")
        failed += [] if works else [name]
    if not wanted and not conn_id:
        say("the configuration asks for no connection")
    if failed:
        raise Rejected("CONNECTIONS_FAILED", f"{', '.join(failed)}; docs/connections.md has the fields of each kind")


def _uses() -> Mapping[str, Use]:
    from caravan.assembly.trials import uses
    from caravan.config.alerts import load_alerts
    from caravan.config.loader import load
    from caravan.config.outlets import load_outlets
    from caravan.config.search import load_search_sites

    config_dir = Settings.from_environment().config_dir
    configuration = load(config_dir)
    outlets, _ = load_outlets(config_dir, configuration.markets)  # `release lint` tells their faults
    searches = load_search_sites(config_dir).sources
    return uses(configuration, load_alerts(config_dir), outlets.values(), searches)
