"""`caravan demo`: a small world with planted defects, through the real DAGs, and judged at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.text import Text

from caravan import PROJECT_ROOT
from caravan.cli.demo_verdict import (
    DAG_ID,
    counted_sales,
    differences,
    failed_checks,
    loads_table,
    read_found,
    sales_table,
    summary,
    true_sales,
    unexpected_failures,
    unrated,
    wrong_figures,
)
from caravan.cli.steps import say
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError

if TYPE_CHECKING:
    from caravan.cli.run import RunResult

RATES_DAG_ID = "markets_rates_daily"


def demo_settings(home: Path | None = None) -> Settings:
    """State in `home`, CARAVAN_HOME or .caravan/demo, and a lake of its own there, whatever CARAVAN_WAREHOUSE says."""
    chosen = home or os.environ.get("CARAVAN_HOME") or PROJECT_ROOT / ".caravan" / "demo"
    environ = {name: value for name, value in os.environ.items() if name != "CARAVAN_WAREHOUSE"}
    return Settings.from_environment({**environ, "CARAVAN_HOME": str(chosen)})


def demo_state() -> Settings:
    """What the last `caravan demo` left: its state, and its configuration."""
    settings = demo_settings()
    merged = settings.home / "config"
    return replace(settings, config_dir=merged) if merged.is_dir() else settings


def run_demo(home: Path | None = None, seed: int | None = None, scale: float = 1) -> int:
    """Generate, serve, run, show. Returns 0 if exactly what was planted was found, else 1."""
    from caravan.assembly import clock
    from caravan.assembly.warehouse import open_warehouse, utc_now
    from caravan.cli import demo_site
    from caravan.cli.demo_release import leave, release_table, told, write_release
    from caravan.cli.demo_world import World, connected, write_config
    from caravan.cli.run import run_dag
    from caravan.demo.readers import readers
    from caravan.demo.servers.outlets import Outlets, serve_outlets
    from caravan.demo.truth import write_truth

    settings = demo_settings(home)
    truth_file = settings.home / "truth.json"
    if (settings.home / "lake").exists() and not truth_file.exists():
        raise CaravanError(
            f"{settings.home} holds a warehouse that is not the demo's; name another folder: demo --home"
        )
    os.environ["CARAVAN_ALERTS"] = "off"  # what is planted here is nobody's incident
    config_dir = write_config(settings.config_dir, settings.home / "config")
    settings = replace(settings, config_dir=config_dir)
    world = World.of(config_dir, seed, scale)
    people, outlets = readers(world.seed), Outlets()
    truth = world.generate(settings.home)
    write_truth(truth, truth_file)
    say(
        f"{len(truth.deliveries)} deliveries of {len({each.channel_code for each in truth.deliveries})} channels in "
        f"{settings.home}, orders of {truth.first} to {truth.last}; over HTTP: {', '.join(truth.asked)}. "
        f"Configuration: {config_dir}, a copy with the demo's own channels"
    )
    began = utc_now()
    out = Console(file=sys.stdout, highlight=False)  # bound now: what tasks print goes elsewhere
    log = settings.home / "demo.log"
    with (
        world.serve(troubled=True) as connections,
        serve_outlets(outlets, clock.utc_now) as (servers, accounts),
        connected([*connections, *accounts]),
        out.status(f"running {DAG_ID}") as status,
        log.open("w", encoding="utf-8") as book,
        captured(book),
    ):

        def tell(message: str) -> None:
            print(message, file=book, flush=True)
            line = Text(message.splitlines()[0], style="dim")
            status.update(line)
            out.print(line, overflow="ellipsis", no_wrap=True)

        def by_night(dag_id: str, start: date | None = None, end: date | None = None, **more: Any) -> RunResult:
            into_book = partial(print, file=book, flush=True)
            return run_dag(dag_id, start, end, settings=settings, say=into_book, **more)

        write_release(config_dir, settings.home, servers, people)
        left = leave(settings, outlets, people, by_night, tell)
        rates = run_dag(RATES_DAG_ID, settings=settings, say=tell)
        window = truth.first, truth.last + timedelta(days=1)
        result = run_dag(DAG_ID, *window, downstream=True, settings=settings, say=tell)
        visited = demo_site.visit(settings, truth, by_night, tell)
    with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
        found = read_found(session)
        counted = counted_sales(session)
        checks = [*failed_checks(session, began), *unrated(session), *wrong_figures(truth, session)]
    out.print(loads_table(found))
    out.print(sales_table(counted, true_sales(truth)))
    failed = [f"  {RATES_DAG_ID} {rates.state}: {dict(rates.failures)}"] * (not rates)
    out.print(release_table(left))
    out.print(demo_site.sites_table(visited))
    of_runs = [*failed, *unexpected_failures(truth, result), *checks]
    faults = [*differences(truth, found), *left.wrong, *visited.wrong, *of_runs]
    new = [each for each in found if each.started_at >= began and not (each.refused or each.is_nothing_new)]
    good = [*summary(truth, len(new)), told(left), demo_site.told(visited)]
    for line in good if not faults else ["This is not what was planted:", *faults]:
        say(line)
    say(f"Every word of the run: {log}")
    say(f'To ask more: CARAVAN_HOME={settings.home} CARAVAN_CONFIG={config_dir} ./caravan query "SHOW TABLES"')
    say(f"The report: {settings.report_dir / 'index.html'}")
    return 1 if faults else 0


@contextmanager
def captured(book: TextIO) -> Iterator[None]:
    """What tasks print and log goes into `book`; consoles made before keep the terminal."""
    with redirect_stdout(book), redirect_stderr(book):
        yield
