"""A backup of all that cannot be made again, and its way back: warehouse, outbox, configuration, Airflow's metadata.

Not in it: deliveries (they are their channels'), and what is made from the warehouse (published files, report).
"""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from caravan import SQL_DIR, __version__
from caravan.assembly import outbox
from caravan.assembly.warehouse import code_revision, open_warehouse, utc_now
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError, Rejected
from caravan.warehouse import archive as archives
from caravan.warehouse import backup, ledger_copy
from caravan.warehouse.archive import Archive, ArchiveWriter, Progress, Source
from caravan.warehouse.catalog import load_models
from caravan.warehouse.ledger import SqliteLedger
from caravan.warehouse.port import LOCK_WAIT_SECONDS

SECRETS = ("secrets.json", "passwords.json")
"""Of the server: with them what its metadata keeps encrypted can be read."""
_SECRET_NAMES = tuple(f"secrets/{name}" for name in SECRETS)
_DATABASE = "airflow/airflow.db"
_OUTBOX = "outbox.sqlite"
_BESIDE = ("-wal", "-shm", "-journal")
"""What a killed server leaves beside its database: SQLite would play it onto the restored file."""
_PART = ".restore.part"
"""In the folder of the configuration, which may be a disk of its own: a restore that is not finished."""


@dataclass(frozen=True)
class Made:
    folder: Path
    file_count: int
    size: int
    linked_count: int
    """Files shared with the backup before."""


def make_backup(
    settings: Settings,
    target: Path,
    at: datetime,
    *,
    secrets: bool,
    made_by: str = archives.BY_HAND,
    progress: Progress = lambda count: None,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
) -> Made:
    """A new backup in the folder `target`. `at`: UTC now. `secrets`: the server's keys and passwords too.

    Raises Retryable when there is no room or another backup is being made there, CaravanError where there is nothing
    to back up.
    """
    home = settings.home / "airflow"
    if (root := settings.lake_root) and not (root / "catalog.sqlite").exists():
        raise CaravanError(f"there is no warehouse at {root} yet: nothing to back up")
    for folder, what in ((root, "the lake"), (settings.config_dir, "the configuration")):
        if folder and target.resolve().is_relative_to(folder.resolve()):
            raise CaravanError(f"{target} is inside of {what}: name a folder outside of {folder}")
    if target.resolve() == settings.home.resolve():
        raise CaravanError(f"{target} is CARAVAN_HOME itself: name a folder in it or elsewhere, e.g. {target}/backups")
    more = [*_folder(settings.config_dir, "config")]
    if secrets:
        more += [_source(home / name, f"secrets/{name}") for name in SECRETS if (home / name).exists()]
    # Always: without it nobody knows whom the suppressions in the outbox mean, and they would be written to again.
    key = settings.home / outbox.KEY_FILE
    more += [_source(key, f"secrets/{outbox.KEY_FILE}")] if key.exists() else []
    with archives.new_archive(target, at, progress) as writer:
        if (home / "airflow.db").exists():
            backup.save_database(home / "airflow.db", writer, _DATABASE)
        if outbox.is_made(settings):
            with outbox.open_ledger(settings) as source, SqliteLedger(writer.place(_OUTBOX)) as copied:
                ledger_copy.copy(source, copied)
            writer.added(_OUTBOX)
        facts = _save_warehouse(settings, root, writer, more, lock_wait_seconds)
        writer.finish({"made_at": at.isoformat(), "made_by": made_by, "versions": _versions(), **facts})
    made = archives.read_manifest(target / f"caravan-{at:%Y%m%dT%H%M%SZ}")
    return Made(made.folder, len(made.files), made.size, writer.linked_count)


def _save_warehouse(
    settings: Settings, root: Path | None, writer: ArchiveWriter, more: Sequence[Source], wait_seconds: float
) -> dict[str, Any]:
    if root:
        return backup.save_lake(root, writer, more, wait_seconds)
    with open_warehouse(settings, read_only=True) as warehouse:
        return backup.save_tables(warehouse, writer, more)


def _versions() -> dict[str, str]:
    found = {name: metadata.version(name) for name in ("apache-airflow-core", "duckdb", "duckdb-extension-ducklake")}
    return {"caravan": __version__, "revision": code_revision(), "python": platform.python_version(), **found}


def _source(path: Path, name: str) -> Source:
    return Source(path, name, path.stat().st_size)


def _folder(folder: Path, name: str) -> list[Source]:
    """All files but hidden ones."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    relative = [(path, path.relative_to(folder)) for path in found]
    return [_source(path, f"{name}/{to.as_posix()}") for path, to in relative if not _is_hidden(to)]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def check(folder: Path, progress: Progress = lambda count: None) -> Archive:
    """Read a backup as a whole; Rejected naming every file that is missing, cut or changed."""
    archive = archives.read_manifest(folder)
    archives.verify(archive, progress)
    return archive


def restore(
    settings: Settings,
    folder: Path,
    progress: Progress = lambda count: None,
    clock: Callable[[], datetime] = utc_now,
) -> list[str]:
    """Put a backup back, a line for each part. Nothing that is there is written over: CaravanError names it.

    The warehouse comes last: until then the same call may be made again. A lake's is there whole or not at all.
    """
    archive = archives.read_manifest(folder)
    _refuse_standing(settings, archive)
    archives.verify(archive, progress)
    if settings.lake_root:
        backup.clear_cut_restore(settings.lake_root)
    _require_room(settings, archive)
    said = []
    for name, target in _server_files(settings, archive).items():
        if not _is_same(archive, name, target):
            archives.put_file(archive.folder / name, target)
        said.append(f"{target} restored")
    said.append(_restore_configuration(settings, archive))
    said += _restore_outbox(settings, archive, clock())
    _restore_warehouse(settings, archive, progress)
    return [*said, f"warehouse restored as of {archive.facts['made_at']} UTC"]


def _require_room(settings: Settings, archive: Archive) -> None:
    """Retryable when any disk has too little, before the first file is written."""
    parts = {settings.home: ("airflow/", "secrets/"), settings.config_dir: ("config/",)}
    if settings.lake_root:
        parts[settings.lake_root] = ("lake/", "tables/")
    disks: dict[int, tuple[Path, int]] = {}
    for folder, prefixes in parts.items():
        there = archives.standing(folder)
        disk = there.stat().st_dev
        size = sum(entry.size for name, entry in archive.files.items() if name.startswith(prefixes))
        disks[disk] = (there, size + (disks[disk][1] if disk in disks else 0))
    for there, size in disks.values():
        archives.require_room(there, size, "what is restored")


def _server_files(settings: Settings, archive: Archive) -> dict[str, Path]:
    """Files of the server in the archive, and where they belong."""
    wanted = {name: settings.home / "airflow" / Path(name).name for name in (_DATABASE, *_SECRET_NAMES)}
    wanted[f"secrets/{outbox.KEY_FILE}"] = settings.home / outbox.KEY_FILE
    return {name: target for name, target in wanted.items() if name in archive.files}


def _is_same(archive: Archive, name: str, path: Path) -> bool:
    """Whether the file is the archive's: an earlier call has restored it."""
    return path.is_file() and path.read_bytes() == (archive.folder / name).read_bytes()


def _refuse_standing(settings: Settings, archive: Archive) -> None:
    standing = []
    for name, target in _server_files(settings, archive).items():
        if target.exists() and not (archive.folder / name).exists():
            raise Rejected("BACKUP_DAMAGED", f"{archive.folder / name} is missing: use another backup")
        if target.exists() and not _is_same(archive, name, target):
            standing.append(target)
    database = settings.home / _DATABASE
    beside = [path for end in _BESIDE if (path := database.with_name(database.name + end)).exists()]
    if _DATABASE in archive.files and beside:
        # What lies beside a database is of no use without it.
        standing += [path for path in (database, *beside) if path.exists() and path not in standing]
    if standing:
        old = f"{database.parent}.old"
        raise CaravanError(
            f"{', '.join(path.name for path in standing)} in {database.parent}: nothing is restored over what is of "
            f"another server; move it away (mkdir -p {old}; mv {' '.join(map(str, standing))} {old})"
        )
    if root := settings.lake_root:
        backup.require_empty_lake(root)
    else:
        with open_warehouse(settings) as warehouse:
            backup.require_empty(warehouse)


def _restore_configuration(settings: Settings, archive: Archive) -> str:
    kept = {name: path.read_bytes() for name, path in archive.below("config").items()}
    there = {
        source.name.removeprefix("config/"): source.path.read_bytes()
        for source in _folder(settings.config_dir, "config")
    }
    # Half of it, without the folder of a restore that was cut, would be taken for a changed one.
    is_cut = (settings.config_dir / _PART).exists() and there.items() <= kept.items()
    if kept == there and not is_cut:
        return f"{settings.config_dir} is as it was"
    target = settings.config_dir if is_cut or not there else settings.home / f"config-{archive.folder.name}"
    part = target / _PART
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name in kept:
        archives.put_file(archive.folder / "config" / name, part / name)
    for name in kept:
        if not (target / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).rename(target / name)
    shutil.rmtree(part)
    if target == settings.config_dir:
        return f"{target} restored"
    return f"{settings.config_dir} has changed since and stays; what it was is in {target}"


def _restore_outbox(settings: Settings, archive: Archive, now: datetime) -> list[str]:
    """What was due since is known to nobody: it may have left."""
    if _OUTBOX not in archive.files:
        return []
    made_at = datetime.fromisoformat(archive.facts["made_at"])
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.home) as folder:
        shutil.copyfile(archive.folder / _OUTBOX, Path(folder) / _OUTBOX)  # opening it would change it
        with SqliteLedger(Path(folder) / _OUTBOX) as source, outbox.open_ledger(settings) as target:
            doubtful = ledger_copy.restore(source, target, made_at, now)
    if doubtful is None:
        return ["outbox was restored from this backup before"]
    return [
        f"outbox restored; {doubtful} messages were due since and may have left: see `./caravan outbox list`",
        f"WHAT PEOPLE SAID AFTER {made_at} UTC IS GONE: who unsubscribed, complained or took an approval back since is "
        "not known here; read docs/backup.md before anything is sent",
    ]


def _restore_warehouse(settings: Settings, archive: Archive, progress: Progress) -> None:
    root = settings.lake_root
    if root and archive.facts["engine"] == "lake":
        root.parent.mkdir(parents=True, exist_ok=True)
        backup.restore_lake(archive, root, progress)
        return
    with open_warehouse(settings) as warehouse:
        backup.restore_tables(archive, warehouse, load_models(SQL_DIR), settings.staging_dir)
