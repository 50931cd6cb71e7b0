"""A folder of files that is written whole or not at all, with size and SHA-256 of each.

    caravan-20261122T011500Z/
      manifest.json       facts, and every other file with its size and SHA-256
      manifest.sha256     of the manifest, as sha256sum prints it
      ...

It is written as `.part` and renamed at the end. A file that the archive before holds as well becomes another name
(hard link) of that one: the files of a lake are never changed, so only new ones are copied.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from caravan.core.errors import CaravanError, Rejected, Retryable
from caravan.warehouse.locks import hold_lock

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
CHECKSUM = "manifest.sha256"
FORMAT = 1
CHUNK = 1 << 20
LOCK_WAIT_SECONDS = 5.0
SPARE_SHARE = 1.05
"""Room asked for beyond the bytes themselves: directories and the last block of each file."""
NAMED = 10
"""Damages told one by one; more are counted."""
BY_SCHEDULE, BY_HAND = "schedule", "hand"
"""The fact `made_by`. What a person made stays until a person deletes it."""
_NAME = re.compile(r"caravan-\d{8}T\d{6}Z")

Progress = Callable[[int], None]
"""Told the bytes that were just read."""


@dataclass(frozen=True)
class Entry:
    size: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """A file to keep. `fixed`: it never changes, so an earlier archive's file of this name and size is the same."""

    path: Path
    name: str
    size: int
    fixed: bool = False


@dataclass(frozen=True)
class Archive:
    """A finished archive. `facts`: what its writer noted."""

    folder: Path
    facts: Mapping[str, Any]
    files: Mapping[str, Entry]

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.files.values())

    def below(self, prefix: str) -> dict[str, Path]:
        """Files under a folder of the archive, by their path within it."""
        return {
            name.removeprefix(f"{prefix}/"): self.folder / name for name in self.files if name.startswith(f"{prefix}/")
        }


class ArchiveWriter:
    """Files go into `folder`; made by `new_archive`."""

    def __init__(self, folder: Path, previous: Archive | None, progress: Progress) -> None:
        self.folder = folder
        self._previous = previous
        self._progress = progress
        self._files: dict[str, Entry] = {}
        self.linked_count = 0

    def missing_bytes(self, sources: Sequence[Source]) -> int:
        """How much has to be copied."""
        return sum(source.size for source in sources if not self._known(source))

    def add(self, sources: Sequence[Source]) -> None:
        """Raises Retryable for a file that is not as long as its source said."""
        for source in sources:
            target = self._place(source.name)
            known = self._known(source)
            if known and self._previous and _linked(self._previous.folder / source.name, target):
                self._files[source.name] = known
                self.linked_count += 1
                self._progress(source.size)
                continue
            entry = copy_hashed(source.path, target, self._progress)
            if entry.size != source.size:
                raise Retryable(
                    f"{source.path} has {entry.size:,} bytes and should have {source.size:,}: it is damaged, or was "
                    "written meanwhile; the backup is not finished"
                )
            self._files[source.name] = entry

    def place(self, name: str) -> Path:
        """Where a file may be written by other means, to be told by `added`."""
        return self._place(name)

    def added(self, name: str) -> None:
        self._files[name] = _hashed(self.folder / name, self._progress)

    def finish(self, facts: Mapping[str, Any]) -> None:
        files = {name: asdict(entry) for name, entry in sorted(self._files.items())}
        text = json.dumps({"format": FORMAT, **facts, "files": files}, indent=1, ensure_ascii=False) + "\n"
        (self.folder / MANIFEST).write_text(text, encoding="utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()
        (self.folder / CHECKSUM).write_text(f"{digest}  {MANIFEST}\n", encoding="utf-8")
        sync_folder(self.folder)

    def _known(self, source: Source) -> Entry | None:
        if not self._previous or not source.fixed:
            return None
        entry = self._previous.files.get(source.name)
        if not entry or entry.size != source.size:
            return None
        try:
            # A file cut since would be handed on to every later archive.
            there = (self._previous.folder / source.name).stat().st_size
        except OSError:
            return None
        return entry if there == entry.size else None

    def _place(self, name: str) -> Path:
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return target


@contextlib.contextmanager
def new_archive(target: Path, at: datetime, progress: Progress) -> Iterator[ArchiveWriter]:
    """A new archive in the folder `target`; it gets its name when the `with` ends well. One at a time.

    Raises Retryable while another one is written there. What a killed writer left is removed. `target` is made where
    it is missing, the folder around it is not: on a disk that is not mounted none would be found again.
    """
    if not target.parent.is_dir():
        raise Retryable(f"{target.parent} is missing: mount its disk, or make it (mkdir -p {target.parent})")
    target.mkdir(exist_ok=True, mode=0o700)
    with _locked(target):
        for old in target.glob("caravan-*.part"):
            try:
                shutil.rmtree(old)
            except OSError as error:
                log.warning("%s of a backup that was cut stays, remove it by hand: %s", old, error)
        finished = target / f"caravan-{at:%Y%m%dT%H%M%SZ}"
        if finished.exists():
            raise Retryable(f"{finished} exists: two backups in one second; run again")
        part = finished.with_name(f"{finished.name}.part")
        part.mkdir(mode=0o700)
        before = _readable(target)
        try:
            yield ArchiveWriter(part, before[-1] if before else None, progress)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        part.rename(finished)
        _sync(target)


def _locked(target: Path) -> contextlib.AbstractContextManager[None]:
    return hold_lock(target / ".lock", LOCK_WAIT_SECONDS, f"has been writing a backup into {target}")


def list_archives(target: Path) -> list[Path]:
    """Finished archives, oldest first."""
    return sorted(path for path in target.glob("caravan-*") if _NAME.fullmatch(path.name) and _is_finished(path))


def _is_finished(folder: Path) -> bool:
    try:
        return (folder / MANIFEST).is_file()
    except OSError as error:
        # Another user's, or on a bad disk.
        log.warning("a backup is left as it is and not counted: %s", error)
        return False


def _readable(target: Path) -> list[Archive]:
    """Those of which the manifest can be read, oldest first. One that cannot must not stop the next backup."""
    found = []
    for folder in list_archives(target):
        try:
            found.append(read_manifest(folder))
        except (CaravanError, OSError) as error:
            log.warning("a backup is left as it is and not counted: %s", error)
    return found


def scheduled(target: Path) -> list[Path]:
    """Archives that the schedule made, oldest first."""
    return [each.folder for each in _readable(target) if each.facts.get("made_by") == BY_SCHEDULE]


def made_at(archive: Path) -> datetime:
    """UTC, from the archive's name."""
    return datetime.strptime(archive.name, "caravan-%Y%m%dT%H%M%SZ")


def drop_old(target: Path, keep: int, made: Path) -> list[Path]:
    """Remove all but `keep` of those that the schedule made; returns what went.

    `made`: the one just made, which stays. One dated after it is a wrong clock's: it counts as the oldest.
    """
    with _locked(target):
        # By name alone, the wrong one would stay and each new one go.
        old = sorted(scheduled(target), key=lambda path: (path.name <= made.name, path.name))[:-keep]
        for folder in old:
            if folder.name > made.name:
                log.warning("%s is dated after %s: a clock was wrong; it goes as the oldest", folder, made.name)
            # Under another name first: cut off half-way it must not pass for a backup.
            doomed = folder.with_name(f"{folder.name}.part")
            folder.rename(doomed)
            shutil.rmtree(doomed)
    return old


def read_manifest(folder: Path) -> Archive:
    """The manifest alone; Rejected when it is missing or damaged."""
    if not folder.is_dir():
        raise CaravanError(f"{folder} is no folder: name one backup, e.g. backups/caravan-20261122T011500Z")
    try:
        text = (folder / MANIFEST).read_bytes()
        digest = (folder / CHECKSUM).read_text(encoding="utf-8", errors="replace").split()
    except FileNotFoundError as error:
        archives = [path.name for path in list_archives(folder)]
        hint = f"; it holds backups, name one: {', '.join(archives[-3:])}" if archives else ""
        name = Path(error.filename).name
        raise Rejected("BACKUP_CUT", f"{folder} lacks {name}: the backup was not finished{hint}") from error
    except OSError as error:
        raise CaravanError(f"{folder} cannot be read: {error}; run as its owner, or use another backup") from error
    if not digest or hashlib.sha256(text).hexdigest() != digest[0]:
        raise Rejected("BACKUP_DAMAGED", f"{folder / MANIFEST} is not what {CHECKSUM} says: use another backup")
    read = json.loads(text)
    if read.get("format") != FORMAT:
        raise CaravanError(f"{folder} has format {read.get('format')}, this code reads {FORMAT}: use the newer code")
    files = {name: Entry(**entry) for name, entry in read.pop("files").items()}
    if outside := [name for name in files if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]:
        raise Rejected("BACKUP_DAMAGED", f"{folder / MANIFEST} names {outside[0]}, which is outside of the backup")
    return Archive(folder, read, files)


def verify(archive: Archive, progress: Progress) -> None:
    """Read every file; Rejected naming what is missing, cut or changed."""
    damages = []
    for name, entry in archive.files.items():
        path = archive.folder / name
        if not path.is_file():
            damages.append(f"{name} is missing")
        elif (size := path.stat().st_size) != entry.size:
            damages.append(f"{name} has {size:,} bytes instead of {entry.size:,}")
        elif _hashed(path, progress) != entry:
            damages.append(f"{name} was changed: its SHA-256 is another one")
    if damages:
        more = f"\n  and {len(damages) - NAMED} more" if len(damages) > NAMED else ""
        told = "".join(f"\n  - {damage}" for damage in damages[:NAMED])
        raise Rejected("BACKUP_DAMAGED", f"{archive.folder} cannot be restored, use another backup:{told}{more}")


def require_room(folder: Path, needed: int, what: str) -> None:
    """Retryable unless the disk of `folder`, or of what will hold it, has room for so many bytes."""
    there = standing(folder)
    free = shutil.disk_usage(there).free
    if free < needed * SPARE_SHARE:
        raise Retryable(
            f"{what} takes {needed * SPARE_SHARE / 1e9:.2f} GB and {there} has {free / 1e9:.2f} GB free: "
            "free some disk or name another folder"
        )


def standing(folder: Path) -> Path:
    """The folder, or the nearest of those around it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def copy_hashed(source: Path, target: Path, progress: Progress) -> Entry:
    """Copy, readable by the owner alone, and hash on the way. Retryable when the disk is full."""
    digest, size = hashlib.sha256(), 0
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with source.open("rb") as given, os.fdopen(descriptor, "wb") as copy:
            while chunk := given.read(CHUNK):
                digest.update(chunk)
                copy.write(chunk)
                size += len(chunk)
                progress(len(chunk))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Retryable(f"no room left for {target}: free some disk, then run again") from error
    return Entry(size, digest.hexdigest())


def put_file(source: Path, target: Path) -> None:
    """Copy a file to a place of its own, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        copy_hashed(source, part, lambda count: None)
        _sync(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _hashed(path: Path, progress: Progress) -> Entry:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            progress(len(chunk))
    return Entry(size, digest.hexdigest())


def _linked(source: Path, target: Path) -> bool:
    """Whether the disk could give the file a second name; some cannot, and each file has only so many."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """All of it is on the disk before the rename that makes it count."""
    for path in sorted(folder.rglob("*"), reverse=True):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
