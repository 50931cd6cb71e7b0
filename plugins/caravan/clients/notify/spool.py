"""Incidents that the warehouse could not take when they were seen, a file each, and the file of the heartbeat.

A full disk may take a file's name and not its content: then the name alone keeps the incident from being told twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from caravan.core.incidents import Incident, Sighting

KEPT = timedelta(days=1)
"""After so long an incident that nobody could record is told again."""


@dataclass(frozen=True)
class Spool:
    folder: Path

    def put(self, incident: Incident) -> bool:
        """Whether it is new: False when one of its key lies here. OSError when not even a name can be made."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            os.close(os.open(self._path(incident), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        self.note(incident, ())
        return True

    def note(self, incident: Incident, told: Collection[str]) -> None:
        """Write down which targets have its message."""
        content = asdict(incident.sighting), incident.incident_id, incident.opened_at.isoformat(), sorted(told)
        with contextlib.suppress(OSError):  # no room: the name stands for it
            self._path(incident).write_text(json.dumps(content), encoding="utf-8")

    def waiting(self) -> Iterator[tuple[Incident, list[str]]]:
        """What could not be recorded, with the targets that have been told."""
        for path in sorted(self.folder.glob("*.json")):
            try:
                sighting, identity, opened, told = json.loads(path.read_text(encoding="utf-8"))
                moment = datetime.fromisoformat(opened)
                yield Incident(identity, Sighting(**sighting), moment, moment), told
            except (ValueError, TypeError):
                continue  # a name without content; `clear` removes it in time

    def remove(self, incident: Incident) -> None:
        self._path(incident).unlink(missing_ok=True)

    def clear(self, now_s: float) -> None:
        """Remove names without content that are old. `now_s`: seconds since 1970."""
        for path in self.folder.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # recorded by somebody else meanwhile
                status = path.stat()
                if not status.st_size and now_s - status.st_mtime > KEPT.total_seconds():
                    path.unlink()

    def _path(self, incident: Incident) -> Path:
        return self.folder / f"{hashlib.sha256(incident.key.encode()).hexdigest()[:32]}.json"


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
