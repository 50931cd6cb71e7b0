"""Folders of a site's crawls, one below another by when they began: `<root>/20261030T021500Z`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from caravan.clients.crawl.runs import Record, read_record

_FORMAT = "%Y%m%dT%H%M%SZ"


def crawls(root: Path) -> list[tuple[Path, Record]]:
    """Those that have got as far as having a record, the newest first."""
    paths = sorted((path for path in root.iterdir() if path.is_dir()), reverse=True) if root.is_dir() else []
    records = ((path, read_record(path)) for path in paths)
    return [(path, record) for path, record in records if record is not None]


def newest_complete(root: Path, configuration_hash: str) -> Path | None:
    """What a crawl of this configuration can be compared with."""
    for path, record in crawls(root):
        is_same = record.configuration_hash == configuration_hash
        if is_same and record.ended_at is not None and record.certificate.is_complete:
            return path
    return None


def unfinished(root: Path, configuration_hash: str) -> Path | None:
    """The newest, if it is not through and of this configuration: it can go on."""
    for path, record in crawls(root)[:1]:
        if record.ended_at is None and record.configuration_hash == configuration_hash:
            return path
    return None


def next_folder(root: Path, now: datetime) -> Path:
    """`now`: UTC. One that there is not yet."""
    path = root / now.strftime(_FORMAT)
    count = 1
    while path.exists():
        count += 1
        path = root / f"{now.strftime(_FORMAT)}-{count}"
    return path
