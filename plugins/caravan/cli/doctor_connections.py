"""What `caravan doctor` finds when it tries every connection that the configuration asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from caravan.cli.doctor_airflow import Api, connection_ids
from caravan.cli.finding import Finding
from caravan.config.alerts import Alerts
from caravan.config.outlets import OutletAccount
from caravan.config.search import SearchConsoleSource
from caravan.config.types import Configuration
from caravan.core.errors import Misconfigured


def connections(
    configuration: Configuration,
    alerts: Alerts,
    api: Api | None,
    outlets: Iterable[OutletAccount] = (),
    searches: Mapping[str, SearchConsoleSource] | None = None,
) -> Iterator[Finding]:
    """`api`: of the running server, whose connections only tasks can use."""
    from caravan.assembly.connections import EnvironmentConnections, variable_of
    from caravan.assembly.trials import tried, uses

    there = EnvironmentConnections()
    wanted = uses(configuration, alerts, outlets, searches)
    if not alerts.targets:
        told = "alerts.yml names no target: what goes wrong is written down, and nobody is told"
        yield Finding("alerts", "note", f"{told}; docs/unattended.md says how one is set")
    kept = connection_ids(api) if api else set()
    for conn_id, use in wanted.items():
        subject = f"connection {conn_id}"
        if conn_id not in there.ids() and conn_id in kept:
            told = f"is kept in Airflow, where only tasks can use it; set {variable_of(conn_id)} to have it tried here"
            yield Finding(subject, "note", told)
            continue
        try:
            works, told = tried(there.get(conn_id), use)
        except Misconfigured as error:
            works, told = False, "; ".join(fault.message for fault in error.faults)
        to_do = "" if works else f"; used by {', '.join(use.by)}; try again with `./caravan connections test {conn_id}`"
        yield Finding(subject, "ok" if works else "failed", told + to_do)
    if not wanted:
        yield Finding("connections", "ok", "the configuration asks for none")


def clocks(alerts: Alerts) -> Mapping[str, Callable[[], datetime]]:
    """Servers that tell the time: the one for it, else webhooks. Not the heartbeat: asking would count as a beat."""
    from caravan.assembly.connections import current
    from caravan.clients.notify.http import outside_time

    ids = [target.connection for target in alerts.targets if target.kind == "webhook"]
    chosen = [alerts.clock.connection] if alerts.clock.connection else sorted(set(ids))

    def asking(conn_id: str) -> Callable[[], datetime]:
        return lambda: outside_time(current().get(conn_id))

    return {f"connection {conn_id}": asking(conn_id) for conn_id in chosen}
