"""What asking a service for its changes gives: files of canonical records, one for each entity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

OVERLAP = timedelta(minutes=10)
"""Asked for again with every pull: what the service was still writing when the one before was answered."""


@dataclass(frozen=True)
class PulledFile:
    """NDJSON, a record a line. `content_hash`: hex, of the records in whatever order they came."""

    path: Path
    content_hash: str
    record_count: int


@dataclass(frozen=True)
class Pull:
    """`delivered_at`: the service's own clock when it began, UTC without zone; the next pull asks from there.

    `files`: by entity, each there even if empty.
    """

    name: str
    delivered_at: datetime
    files: Mapping[str, PulledFile]


def asked_from(since: datetime | None, overlap: timedelta) -> datetime | None:
    """Whole seconds: services know no shorter ones."""
    return None if since is None else (since - overlap).replace(microsecond=0)


def pull_name(asked: datetime | None) -> str:
    """`asked`: UTC without zone; None for everything there is."""
    return "all changes" if asked is None else f"changes since {asked:%Y-%m-%dT%H:%M:%SZ}"
