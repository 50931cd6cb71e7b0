"""`caravan alerts` and `caravan heartbeat`: what is wrong now, and whether anybody is looking."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from caravan.cli.steps import console, say
from caravan.core.errors import Fault, Misconfigured

SHOWN = 8
"""The end of an incident's id: enough to tell the open ones apart."""

_AGE = re.compile(r"(\d+)([smh]?)")
_UNITS = {"s": "seconds", "m": "minutes", "": "minutes", "h": "hours"}


def alerts(
    test: Annotated[bool, typer.Option("--test", help="Send a test message to every target.")] = False,
    close: Annotated[str | None, typer.Option("--close", metavar="ID", help="End what no watch can see end.")] = None,
) -> None:
    """List the open incidents; with --test, try every target. Exits 1 when a target cannot be told."""
    from caravan.assembly import incidents

    if close is not None:
        incident = incidents.close(close)
        say(f"closed: {incident.sighting.kind} {incident.sighting.subject}. Whatever is still so opens it anew.")
        return
    if test:
        results = incidents.send_trial()
        if not results:
            say("alerts.yml names no target: incidents are in logs and in ops.incident only")
        for name, result in results.items():
            say(f"{name}: {result}")
        if any(result != "sent" for result in results.values()):
            raise typer.Exit(1)
        return
    standing = incidents.open_incidents()
    if not standing:
        say("no incident is open")
        return
    table = Table()
    for title in ("id", "since (UTC)", "severity", "kind", "what", "seen"):
        table.add_column(title, overflow="fold")
    for incident in standing:
        sighting = incident.sighting
        where = f"{sighting.dag_id}: {sighting.subject}" if sighting.dag_id else sighting.subject
        table.add_row(
            incident.incident_id[-SHOWN:],
            f"{incident.opened_at:%Y-%m-%d %H:%M}",
            sighting.severity,
            sighting.kind,
            Text(f"{where}\n{sighting.what}"),
            str(incident.seen_count),
        )
    console().print(table)


def heartbeat(
    max_age: Annotated[str, typer.Option("--max-age", help="The oldest that will do: 45m, 1h, 900s.")] = "45m",
) -> None:
    """Exit 1 when the last heartbeat is too old: for cron or monit, which then says so."""
    from caravan.assembly import ops
    from caravan.assembly.warehouse import utc_now

    limit = age(max_age)
    last = ops.last_beat()
    if last is None:
        say("no heartbeat yet: is ops_watch_quarterhourly unpaused, and Airflow up?")
        raise typer.Exit(1)
    old = utc_now() - last
    say(f"last heartbeat {last:%Y-%m-%d %H:%M:%S} UTC, {int(old.total_seconds()) // 60} minutes ago")
    # One from the future is a wrong clock: it proves nothing about now.
    if old > limit or old < -limit:
        raise typer.Exit(1)


def age(text: str) -> timedelta:
    """`45m`, `1h`, `900s`; without a unit, minutes. Misconfigured for anything else."""
    found = _AGE.fullmatch(text)
    if not found:
        raise Misconfigured([Fault("--max-age", f"'{text}' is no age like 45m, 1h or 900s")])
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except (OverflowError, ValueError):
        raise Misconfigured([Fault("--max-age", f"'{text[:20]}' is longer than any age; give one like 45m")]) from None
