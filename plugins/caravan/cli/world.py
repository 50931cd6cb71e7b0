"""`caravan world`: the demo's shops and marketplaces by themselves, what is so in them, and how to make them fail."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from rich import box
from rich.table import Table

from caravan.cli.demo_world import World, variables, write_config
from caravan.cli.steps import console, say
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError, nearest
from caravan.demo.fault_names import FAULTS, MOST_FAULTS

if TYPE_CHECKING:
    from caravan.demo.truth import CampaignTruth

app = typer.Typer(help="The demo's world: shops and marketplaces on this machine.", no_args_is_help=True)

Seed = Annotated[int | None, typer.Option(help="Another one, another world; the same one, the same to the byte.")]
_FAULTS_HELP = "What they answer.\n\n" + "\n\n".join(f"{name}: {told}." for name, told in FAULTS.items())
Scale = Annotated[float, typer.Option(min=0.5, max=100, help="So many times the usual orders.")]


@app.command()
def serve(
    seed: Seed = None,
    scale: Scale = 1,
    port: Annotated[int, typer.Option(max=65535, help="A free one unless given.")] = 0,
    home: Annotated[
        Path | None, typer.Option(help="Write the files of the other channels and a configuration there, too.")
    ] = None,
) -> None:
    """Serve the shops and marketplaces on loopback until Ctrl-C; prints the connections to use."""
    if home is None:
        world, places = World.by_itself(seed, scale), {}
    else:
        config_dir = write_config(Settings.from_environment().config_dir, home.absolute() / "config")
        world, places = (
            World.of(config_dir, seed, scale),
            {"CARAVAN_HOME": home.absolute(), "CARAVAN_CONFIG": config_dir},
        )
        world.generate(home.absolute())
    with _until_told() as told:
        try:
            with world.serve(port, troubled=False) as connections:
                for name, value in {**places, **variables(connections)}.items():
                    typer.echo(f"export {name}={shlex.quote(str(value))}")
                typer.echo("# ready; Ctrl-C ends it")
                told.wait()
        except OSError as error:
            raise CaravanError(
                f"cannot listen on port {port}: {error.strerror}; leave --port out for a free one"
            ) from None
    typer.echo("# ended")


@app.command()
def truth(
    seed: Seed = None,
    scale: Annotated[float | None, typer.Option(min=0.5, max=100, help="So many times the usual orders.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, by delivery, market, channel and day.")] = False,
) -> None:
    """Show what is really so: what was sold, given back and delivered, whatever Caravan makes of it.

    Of the world whose files are in CARAVAN_HOME, unless a seed or a scale is given.
    """
    from caravan.cli.demo_verdict import true_sales, truth_table
    from caravan.demo.truth import as_json as in_json

    world = World.of_home(Settings.from_environment().home, seed, scale)
    found = world.generate()
    if as_json:
        typer.echo(in_json(found))
        return
    console().print(truth_table(true_sales(found)))
    if found.campaigns:
        console().print(_campaigns_table(found.campaigns))
    say(
        f"seed {found.seed}, scale {world.scale:g}, orders of {found.first} to {found.last}, "
        f"{len(found.deliveries)} deliveries"
    )


@app.command()
def fault(
    channel: Annotated[str, typer.Argument(help="One of those that `world serve` serves.")],
    name: Annotated[str, typer.Argument(metavar="FAULT", help=_FAULTS_HELP)],
    count: Annotated[int, typer.Option(min=1, max=MOST_FAULTS, help="The next so many requests.")] = 1,
) -> None:
    """Make a served channel fail. Reads its connection from the environment, as `world serve` printed it."""
    import requests

    from caravan.assembly.connections import EnvironmentConnections

    if name not in FAULTS:
        raise CaravanError(f"no fault '{name}'{nearest(name, FAULTS)}")
    connection = EnvironmentConnections().get(_connection_of(channel))
    url = connection.url()
    if urlsplit(url).hostname != "127.0.0.1":
        raise CaravanError(f"{connection.address} is no world of `caravan world serve`")
    with requests.Session() as session:
        session.trust_env = False  # no proxy between
        try:
            answer = session.post(
                f"{url}/world/faults",
                json={"fault": name, "count": count},
                auth=(connection.login or "", connection.password or ""),
                timeout=10,
            )
            told = answer.json()
        except (requests.RequestException, ValueError):
            raise CaravanError(
                f"nothing answers at {connection.address}; start it with `caravan world serve`"
            ) from None
    if answer.status_code != 200:
        raise CaravanError(f"{channel}: {told['message']}")
    planned = told["planned"]
    requests_ = "the next request" if planned == 1 else f"the next {planned} requests"
    say(f"{channel}: all is well again" if name == "ok" else f"{channel}: {name} for {requests_}")


def _campaigns_table(campaigns: Sequence[CampaignTruth]) -> Table:
    """What each cost, in its channel's currency, the orders that name it, and those that it really brought."""
    title = "Campaigns (incremental: orders that would not be without them)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for name in ("campaign", "channel"):
        table.add_column(name, no_wrap=True)
    for name in ("spend", "attributed", "incremental"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in campaigns:
        spend = f"{sum(each.spend.values()):,.2f} {each.currency_code}"
        orders = (each.attributed_orders, each.incremental_orders)
        table.add_row(each.code, each.channel_code, spend, *(f"{count:,}" for count in orders))
    return table


def _connection_of(channel: str) -> str:
    channels = World.by_itself().configuration.channels
    served = {code: each.connection for code, each in channels.items() if each.is_asked and each.connection}
    if channel in channels and channel not in served:
        raise CaravanError(f"channel '{channel}' comes as files, and is not served; {', '.join(served)} are")
    if channel not in served:
        raise CaravanError(f"no channel '{channel}' is served{nearest(channel, served)}")
    return served[channel]


@contextmanager
def _until_told() -> Iterator[Event]:
    """Set by Ctrl-C or a termination, which end nothing else."""
    told = Event()

    def tell(number: int, frame: FrameType | None) -> None:
        told.set()

    before = {each: signal.signal(each, tell) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
