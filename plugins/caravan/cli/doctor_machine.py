"""What `caravan doctor` asks of this machine: disks, clock, and how the warehouse's files are."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from caravan.cli.finding import Finding, State
from caravan.config.settings import Settings
from caravan.config.types import Backups, Configuration
from caravan.functions.ops.checks import Reading, low_disks, wrong_clock

LEAST_FREE_GB = 2.0
"""A build needs room for a second copy of the slices it replaces."""
SLOW_ATTACH_SECONDS = 5.0
UPKEEP_EXPECTED = timedelta(days=3)
_ROOM = (
    "free some: `./caravan upkeep` removes what is no longer needed, shorter `upkeep` days in project.yml more of it; "
    "or move CARAVAN_HOME to a larger disk"
)


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that there is."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def disks(settings: Settings, limit_pct: int) -> Iterator[Finding]:
    folders = [existing(folder) for folder in (settings.lake_root, settings.home) if folder is not None]
    one_each = {folder.stat().st_dev: folder for folder in folders}.values()
    used = {}
    for folder in one_each:
        _, taken, free = shutil.disk_usage(folder)
        used[str(folder)] = taken, taken + free  # as df does: what is kept for root is nobody's room
    yield from judge_disks(used, limit_pct)


def judge_disks(used: Mapping[str, tuple[int, int]], limit_pct: int) -> Iterator[Finding]:
    """`used`: folder to the used and all usable bytes of its disk. `limit_pct`: from which share on it is too full."""
    full = {sighting.subject.removeprefix("disk of "): sighting.what for sighting in low_disks(used, limit_pct)}
    for folder, (taken, total) in sorted(used.items()):
        free_gb = (total - taken) / 1e9
        if folder in full:
            yield Finding("disk", "failed", f"{folder}: {full[folder]} {_ROOM}")
        elif free_gb < LEAST_FREE_GB:
            told = f"{folder}: {free_gb:.1f} GB free; at least {LEAST_FREE_GB:.0f} are wanted; {_ROOM}"
            yield Finding("disk", "failed", told)
        else:
            yield Finding("disk", "ok", f"{folder}: {free_gb:.1f} GB free, {100 * taken / total:.0f} % used")


Ask = Callable[[], datetime]


def clock(
    settings: Settings, outside: Mapping[str, Ask], limit_seconds: int, now: Callable[[], datetime]
) -> Iterator[Finding]:
    """`outside`: servers that tell the time, by name. `now`: this machine's clock, UTC without zone."""
    from caravan.assembly.warehouse import open_warehouse
    from caravan.clients.notify.spool import file_time
    from caravan.warehouse import watched

    asked = {"the file system": lambda: file_time(_writable(settings.home)), **outside}
    readings, silent = [], []
    for name, ask in asked.items():
        before = now()
        try:
            readings.append(Reading(name, ask(), before, now()))
        except Exception as error:  # its own finding tells why; here it is one clock less
            silent.append(f"{name} ({type(error).__name__})")
    newest = None
    if settings.lake_root is None or (settings.lake_root / "catalog.sqlite").exists():
        try:
            with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
                newest = watched.newest_record(session)
                before = now()
                readings.append(Reading("the warehouse's engine", watched.engine_clock(session), before, now()))
        except Exception as error:
            silent.append(f"the warehouse ({type(error).__name__})")
    if not outside:
        silent.append("a server outside (`clock.connection` in alerts.yml names none)")
    yield judge_clock(readings, newest, now(), limit_seconds, silent)


def judge_clock(
    readings: Sequence[Reading], newest: datetime | None, now: datetime, limit_seconds: int, silent: Sequence[str]
) -> Finding:
    """`newest`: the warehouse's newest record. `silent`: what could not be compared."""
    compared = [reading.name for reading in readings] + (["the warehouse's newest record"] if newest else [])
    against = f"compared with {', '.join(compared) or 'nothing'}" + (
        f"; not with {', '.join(silent)}" if silent else ""
    )
    if wrong := wrong_clock(readings, newest, now, limit_seconds):
        to_do = "Set it (`timedatectl set-ntp true`, or the host's clock if this is a container), then run doctor again"
        return Finding("clock", "failed", f"{wrong[0].what} {to_do}; {against}")
    only_here = {reading.name for reading in readings} <= {"the file system", "the warehouse's engine"}
    state: State = "note" if only_here else "ok"
    return Finding("clock", state, f"no more than {limit_seconds} s off; {against}")


def warehouse_health(settings: Settings, configuration: Configuration, now: datetime) -> Iterator[Finding]:
    from caravan.assembly.warehouse import open_warehouse

    began = time.monotonic()
    with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
        session.rows("SELECT 1")
        seconds = time.monotonic() - began
        upkept = session.columns("ops.upkeep") and session.row("SELECT MAX(ended_at) FROM ops.upkeep")[0]
    slow = seconds > SLOW_ATTACH_SECONDS
    more = "; more than it should: run `./caravan upkeep`, or see how busy this machine is" if slow else ""
    yield Finding("attach", "note" if slow else "ok", f"{seconds:.1f} s until the first answer{more}")
    if settings.lake_root is not None:
        yield from lake_files(settings.lake_root)
    yield judge_upkeep(upkept or None, now)
    yield judge_backup(configuration.project.backup, settings.home, now)


def lake_files(root: Path) -> Iterator[Finding]:
    catalog = root / "catalog.sqlite"
    files = [path.stat().st_size for path in (root / "files").rglob("*.parquet")]
    told = f"catalog {catalog.stat().st_size / 1e6:.1f} MB; {len(files)} files, {sum(files) / 1e6:.1f} MB"
    yield Finding("lake", "ok", told)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(catalog))}?mode=ro", uri=True, timeout=30)) as connection:
            faults = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
    except sqlite3.DatabaseError as error:
        faults = [str(error)]
    if faults == ["ok"]:
        yield Finding("catalog", "ok", "sound (SQLite's integrity check)")
    else:
        to_do = "Stop the server, keep a copy of the lake, and `./caravan restore` the last backup"
        yield Finding("catalog", "failed", f"{catalog} is damaged: {'; '.join(faults)}. {to_do}")


def judge_upkeep(last: datetime | None, now: datetime) -> Finding:
    if last is None:
        return Finding(
            "upkeep", "note", "has never run: switch on the DAG ops_warehouse_daily, or run `./caravan upkeep`"
        )
    if now - last > UPKEEP_EXPECTED:
        told = (
            f"last ran {(now - last).days} days ago: switch on the DAG ops_warehouse_daily, or run `./caravan upkeep`"
        )
        return Finding("upkeep", "note", told)
    return Finding("upkeep", "ok", f"last ran {last:%Y-%m-%d %H:%M} UTC")


def judge_backup(wanted: Backups, home: Path, now: datetime) -> Finding:
    from caravan.warehouse.archive import list_archives, made_at

    if wanted.target is None:
        return Finding("backup", "note", "none is made: name a folder in `backup.target` of project.yml")
    made = list_archives(home / wanted.target)
    if not made:
        told = f"there is none in {home / wanted.target}: `./caravan backup {home / wanted.target}` makes one now"
        return Finding("backup", "failed", told)
    age = now - made_at(made[-1])
    if age > timedelta(days=2 * wanted.every_days):
        told = f"{made[-1].name} is the last, {age.days} days old; one was due every {wanted.every_days} days: see the "
        return Finding(
            "backup", "failed", f"{told}log of ops_warehouse_daily, then `./caravan backup {made[-1].parent}`"
        )
    return Finding("backup", "ok", f"{made[-1].name} is the last of {len(made)}")


def _writable(folder: Path) -> Path:
    return folder if folder.is_dir() else Path(tempfile.gettempdir())
