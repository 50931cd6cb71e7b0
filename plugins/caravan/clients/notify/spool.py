"""Incidents that the warehouse could not take when they were seen, a file each, and the file of the heartbeat.

A full disk may take a file's name and not its content: then the name alone keeps the incident from being told twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from caravan.core.incidents import Incident, Sighting

KEPT = timedelta(days=1)
"""After so long an incident that nobody could record is told again."""


@dataclass(frozen=True)
class Spool:
    folder: Path

    def put(self, incident: Incident, tell: Callable[[], Collection[str]]) -> bool:
        """Lay it here, and note which targets `tell` has told; False, and nothing told, when one of its key lies here.

        It is held meanwhile: nobody records it, and tells it as well. OSError when not even a name can be made.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(self._path(incident), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # at most while somebody finds that it has no content yet
            _write(file, incident, ())
            _write(file, incident, tell())
        finally:
            os.close(file)
        return True

    def waiting(self) -> Iterator[Incident]:
        """What could not be recorded, also what somebody is telling or recording at the moment."""
        return (incident for incident, _ in self._contents())

    def told(self) -> list[Incident]:
        """Those of which at least one target has been told."""
        return [incident for incident, targets in self._contents() if targets]

    def hand_over(self, record: Callable[[Incident, list[str]], object]) -> None:
        """Have each one recorded, with the targets that have been told, and remove it.

        Not those that somebody is telling or recording at the moment: their turn comes the next time.
        """
        for path in self._paths():
            try:
                file = path.open("r+b")
            except OSError:
                continue  # recorded by somebody else meanwhile
            with file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                found = _parse(file.read())
                # No link: it was recorded, and removed, between opening and locking it.
                if found and os.fstat(file.fileno()).st_nlink:
                    record(*found)
                    path.unlink()

    def clear(self, now_s: float) -> None:
        """Remove names without content that are old. `now_s`: seconds since 1970."""
        for path in self._paths():
            with contextlib.suppress(FileNotFoundError):  # recorded by somebody else meanwhile
                status = path.stat()
                if not status.st_size and now_s - status.st_mtime > KEPT.total_seconds():
                    path.unlink()

    def _contents(self) -> Iterator[tuple[Incident, list[str]]]:
        for path in self._paths():
            with contextlib.suppress(OSError):  # recorded by somebody else meanwhile
                found = _parse(path.read_bytes())
                if found:
                    yield found

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.json"))

    def _path(self, incident: Incident) -> Path:
        return self.folder / f"{hashlib.sha256(incident.key.encode()).hexdigest()[:32]}.json"


def _write(file: int, incident: Incident, told: Collection[str]) -> None:
    content = asdict(incident.sighting), incident.incident_id, incident.opened_at.isoformat(), sorted(told)
    with contextlib.suppress(OSError):  # no room: the name stands for it
        os.pwrite(file, json.dumps(content).encode(), 0)  # over the one before, which is never longer


def _parse(text: bytes) -> tuple[Incident, list[str]] | None:
    """None: a name without content; `clear` removes it in time."""
    try:
        sighting, identity, opened, told = json.loads(text)
        moment = datetime.fromisoformat(opened)
        return Incident(identity, Sighting(**sighting), moment, moment), told
    except (ValueError, TypeError):
        return None


def write_beat(path: Path, at: datetime) -> None:
    """Say that all is alive at that moment (UTC without zone); readers see a whole file or the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(f"{at.isoformat(timespec='seconds')}Z\n", encoding="utf-8")
    part.replace(path)


def read_beat(path: Path) -> datetime | None:
    """The last beat, UTC without zone; None when there has been none, or the file is no beat."""
    try:
        return datetime.fromisoformat(path.read_text(encoding="utf-8").strip().removesuffix("Z"))
    except (FileNotFoundError, ValueError):
        return None


def file_time(folder: Path) -> datetime:
    """The file system's own clock: UTC without zone."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC).replace(tzinfo=None)
