"""`caravan doctor`: is this installation sound? Looks, changes nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from importlib import metadata
from pathlib import Path

from rich.table import Table
from rich.text import Text

from caravan import PROJECT_ROOT, __version__
from caravan.cli.dry_run import has_lake
from caravan.cli.finding import Finding, State, guarded
from caravan.cli.steps import console
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError, Misconfigured

_COLOURS: Mapping[State, str] = {"ok": "green", "note": "yellow", "failed": "red"}


def examine() -> list[Finding]:
    """Every check; one that fails does not keep the others from running."""
    findings = [_python(), *_versions(), _lock(), *guarded("DuckDB extensions", _extensions)]
    try:
        settings = Settings.from_environment()
    except CaravanError as error:
        return [*findings, Finding("settings", "failed", str(error))]
    return [
        *findings,
        *guarded("CARAVAN_HOME", lambda: _home(settings.home)),
        Finding("CARAVAN_CONFIG", "ok", str(settings.config_dir)),
        Finding("CARAVAN_WAREHOUSE", "ok", without_password(settings.warehouse)),
        *guarded("warehouse", lambda: _warehouse(settings)),
        *guarded("configuration", lambda: _configuration(settings)),
        *_surroundings(settings),
    ]


def _surroundings(settings: Settings) -> Iterator[Finding]:
    """Disk, clock, connections, the running server: what the configuration is asked about, if it can be read."""
    from caravan.assembly.warehouse import utc_now
    from caravan.cli import doctor_airflow, doctor_connections, doctor_machine, doctor_outbox
    from caravan.config.alerts import Alerts, load_alerts
    from caravan.config.loader import load
    from caravan.config.outlets import load_outlets
    from caravan.config.search import load_search_sites

    try:
        alerts = load_alerts(settings.config_dir)
    except Misconfigured:
        alerts = Alerts()  # told by the check of the configuration
    yield from guarded("disk", lambda: doctor_machine.disks(settings, alerts.disk.used_pct))
    outside = doctor_connections.clocks(alerts)
    yield from guarded("clock", lambda: doctor_machine.clock(settings, outside, alerts.clock.limit_seconds, utc_now))
    try:
        configuration = load(settings.config_dir)
    except Misconfigured:
        configuration = None
    if configuration and has_lake(settings) is not False:
        of = configuration
        yield from guarded("warehouse", lambda: doctor_machine.warehouse_health(settings, of, utc_now()))
    yield from guarded("outbox", lambda: doctor_outbox.outbox(settings, utc_now()))
    try:
        api = doctor_airflow.open_api(settings)
    except CaravanError as error:
        yield Finding("Airflow", "failed", str(error))
        api = None
    else:
        if api is None:
            told = (
                "no server runs in this home: DAGs, pools, backfills and the connections of its page were not looked at"
            )
            yield Finding("Airflow", "note", f"{told}; `./caravan up` starts one")
    if configuration:
        of, (outlets, _) = configuration, load_outlets(settings.config_dir, configuration.markets)
        searches = load_search_sites(settings.config_dir).sources
        tried = partial(doctor_connections.connections, of, alerts, api, outlets.values(), searches)
        yield from guarded("connections", tried)
    if api:
        yield from doctor_airflow.examine_airflow(api)


def write_json(findings: list[Finding]) -> None:
    """For monitoring: `state` is the worst of all."""
    states = {finding.state for finding in findings}
    worst = next(state for state in ("failed", "note", "ok") if state in states)
    print(json.dumps({"state": worst, "findings": [asdict(finding) for finding in findings]}, indent=1))


def show(findings: list[Finding]) -> None:
    table = Table()
    for title in ("check", "state", "what was found"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        table.add_row(finding.subject, Text(finding.state, style=_COLOURS[finding.state]), Text(finding.what))
    console().print(table)


def lock_faults(lock: Path) -> list[str]:
    """Packages of the lock that are missing, or installed in another version, on this interpreter."""
    from packaging.requirements import Requirement

    faults = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if not line[:1].isalnum():
            continue  # a hash, a comment
        wanted = Requirement(line.removesuffix("\\").strip())
        if wanted.marker and not wanted.marker.evaluate():
            continue
        try:
            installed = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            faults.append(f"{wanted.name} is missing")
            continue
        if not wanted.specifier.contains(installed, prereleases=True):
            faults.append(f"{wanted.name} is {installed}, locked {wanted.specifier}")
    return faults


def without_password(url: str) -> str:
    """A warehouse address that may be shown."""
    scheme, separator, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{host}"


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding(
        "Python", "ok" if fits else "failed", f"{version} ({sys.prefix})" + ("" if fits else "; 3.11 to 3.13")
    )


def _versions() -> Iterator[Finding]:
    yield Finding("Caravan", "ok", __version__)
    for name in ("apache-airflow", "duckdb"):
        try:
            yield Finding(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, "failed", "not installed; run `./caravan setup`")


def _lock() -> Finding:
    lock = PROJECT_ROOT / "requirements.txt"
    if not lock.exists():
        return Finding("packages", "note", "no requirements.txt beside the code; versions not compared")
    faults = lock_faults(lock)
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        return Finding("packages", "failed", f"{'; '.join(faults[:5])}{more}; delete .venv and run `./caravan setup`")
    return Finding("packages", "ok", "as locked in requirements.txt")


def _extensions() -> Iterator[Finding]:
    from caravan.warehouse.duck import EXTENSIONS, require_signed

    require_signed()
    yield Finding("DuckDB extensions", "ok", f"{', '.join(EXTENSIONS)}: signed, and of this version")


def _home(home: Path) -> Iterator[Finding]:
    folder = next(path for path in (home, *home.parents) if path.exists())
    if not folder.is_dir():
        yield Finding("CARAVAN_HOME", "failed", f"{folder} is no folder; name one, or one to be made")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("CARAVAN_HOME", "failed", f"{folder} cannot be written by this user")
    else:
        yield Finding("CARAVAN_HOME", "ok", str(home))


def _warehouse(settings: Settings) -> Iterator[Finding]:
    from caravan.assembly.warehouse import open_warehouse
    from caravan.warehouse.migrations import pending, read_migrations

    if has_lake(settings) is False:
        yield Finding("warehouse", "note", "not made yet; the first run, or `caravan migrate`, makes it")
        return
    with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
        waiting = [migration.name for migration in pending(session, read_migrations())]
        yield Finding("warehouse", "ok", f"{warehouse.engine} answers")
    if waiting:
        yield Finding("migrations", "note", f"{', '.join(waiting)} to apply; the next run, or `caravan migrate`, does")
    else:
        yield Finding("migrations", "ok", "all applied")


def _configuration(settings: Settings) -> Iterator[Finding]:
    from caravan.config import loader

    faults = loader.check(settings.config_dir)
    if faults:
        yield Finding("configuration", "failed", "\n".join(map(str, faults)))
        return
    configuration = loader.load(settings.config_dir)
    yield Finding(
        "configuration", "ok", f"{len(configuration.channels)} channels, {len(configuration.markets)} markets"
    )
