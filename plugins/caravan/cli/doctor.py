"""`caravan doctor`: is this installation sound? Looks, changes nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from rich.table import Table
from rich.text import Text

from caravan import PROJECT_ROOT, __version__
from caravan.cli.dry_run import has_lake
from caravan.cli.steps import console
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError

State = Literal["ok", "note", "failed"]
LEAST_FREE_GB = 2.0
"""A build needs room for a second copy of the slices it replaces."""
_COLOURS: Mapping[State, str] = {"ok": "green", "note": "yellow", "failed": "red"}


@dataclass(frozen=True)
class Finding:
    subject: str
    state: State
    what: str


def examine() -> list[Finding]:
    """Every check; one that fails does not keep the others from running."""
    findings = [_python(), *_versions(), _lock()]
    try:
        settings = Settings.from_environment()
    except CaravanError as error:
        return [*findings, Finding("settings", "failed", str(error))]
    return [
        *findings,
        *_guarded("CARAVAN_HOME", lambda: _home(settings.home)),
        Finding("CARAVAN_CONFIG", "ok", str(settings.config_dir)),
        Finding("CARAVAN_WAREHOUSE", "ok", without_password(settings.warehouse)),
        _disk(settings.home),
        *_guarded("warehouse", lambda: _warehouse(settings)),
        *_guarded("configuration", lambda: _configuration(settings)),
    ]


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


def _home(home: Path) -> Iterator[Finding]:
    folder = next(path for path in (home, *home.parents) if path.exists())
    if not folder.is_dir():
        yield Finding("CARAVAN_HOME", "failed", f"{folder} is no folder; name one, or one to be made")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("CARAVAN_HOME", "failed", f"{folder} cannot be written by this user")
    else:
        yield Finding("CARAVAN_HOME", "ok", str(home))


def _disk(home: Path) -> Finding:
    folder = next(path for path in (home, *home.parents) if path.exists())
    free_gb = shutil.disk_usage(folder).free / 1e9
    state: State = "ok" if free_gb >= LEAST_FREE_GB else "failed"
    return Finding("disk", state, f"{free_gb:.1f} GB free at {folder}; at least {LEAST_FREE_GB:.0f} are wanted")


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


def _guarded(subject: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except Exception as error:
        # Whatever it is, a person has asked what is wrong: this is it.
        kind = "" if isinstance(error, CaravanError) else f"{type(error).__name__}: "
        return [Finding(subject, "failed", f"{kind}{error}")]
