"""Folders of a site's crawls, one below another by when they began: `<root>/20261030T021500Z`; or one folder for the
newest, which keeps the one before as `<folder>/previous`."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from caravan.clients.crawl.contents import KNOWN, PREVIOUS, is_audited, remove_written, written
from caravan.clients.crawl.runs import NOTHING, Record, read_record

GOES_ON = timedelta(hours=36)
"""The night after, a crawl that was stopped goes on. Later its pages and its robots.txt are of another time."""
_ASIDE = ".aside"
_FORMAT = "%Y%m%dT%H%M%SZ"


def crawls(root: Path) -> list[tuple[Path, Record]]:
    """Those that have got as far as having a record, the newest first."""
    paths = sorted((path for path in root.iterdir() if path.is_dir()), reverse=True) if root.is_dir() else []
    records = ((path, read_record(path)) for path in paths)
    return [(path, record) for path, record in records if record is not None]


def newest_complete(root: Path, configuration_hash: str) -> Path | None:
    """Whose pages need not be sent again to a crawl of this configuration."""
    return _complete(crawls(root), configuration_hash)


def comparable(found: Iterable[tuple[Path, Record]], configuration_hash: str) -> Path | None:
    """The first of these crawls that one of this configuration can be compared with. One whose audit never came to its
    end told nobody what it found: what is new since then would be told by none."""
    return _complete(((path, record) for path, record in found if is_audited(path)), configuration_hash)


def _complete(found: Iterable[tuple[Path, Record]], configuration_hash: str) -> Path | None:
    for path, record in found:
        is_same = record.configuration_hash == configuration_hash
        if is_same and record.ended_at is not None and record.certificate.is_complete:
            return path
    return None


def prune(root: Path, keep: int) -> list[Path]:
    """Remove crawls but the newest `keep`. The newest complete and the newest comparable one of each of their
    configurations stay, and the newest that was audited: the next crawl needs them. Returns what was removed."""
    found = crawls(root)
    kept = {path for path, _ in found[:keep]}
    for wanted in {record.configuration_hash for _, record in found[:keep]}:
        kept |= {path for path in (_complete(found, wanted), comparable(found, wanted)) if path}
    kept |= {path for path, _ in [each for each in found if is_audited(each[0])][:1]}
    removed = [path for path, _ in found if path not in kept]
    for path in removed:
        shutil.rmtree(path)
    return removed


def set_aside(folder: Path, configuration_hash: str, keep: bool = False) -> Path | None:
    """Make room for a crawl where one of the same configuration is through; the last complete one, if there is any.

    One that was not complete is nothing to compare with: of it only what it knew of issues is kept. What no crawl wrote
    stays where it is. A process that dies in between leaves the rest to the next. `keep`: the crawl stays.
    """
    aside, previous = folder / _ASIDE, folder / PREVIOUS
    record = read_record(folder)
    is_same = record is not None and record.configuration_hash == configuration_hash
    if aside.exists() or (is_same and record is not None and record.ended_at is not None and not keep):
        aside.mkdir(exist_ok=True)
        for path in written(folder):
            path.rename(aside / path.name)
        _settle(aside, previous)
    known = read_record(previous)
    return previous if known is not None and known.configuration_hash == configuration_hash else None


def _settle(aside: Path, previous: Path) -> None:
    record = read_record(aside)
    if record is not None and record.certificate.is_complete:
        previous.mkdir(exist_ok=True)
        remove_written(previous)
        for path in list(previous.iterdir()):
            path.rename(aside / path.name)
        previous.rmdir()
        aside.rename(previous)
        return
    previous.mkdir(exist_ok=True)
    for name in KNOWN:
        if (aside / name).exists():
            (aside / name).replace(previous / name)
    shutil.rmtree(aside)


def unfinished(root: Path, configuration_hash: str, now: datetime) -> Path | None:
    """The newest, if it is not through, of this configuration and no older than `GOES_ON`: it can go on."""
    for path, record in crawls(root)[:1]:
        is_young = now - record.started_at <= GOES_ON
        if record.ended_at is None and record.configuration_hash == configuration_hash and is_young:
            return path
    return None


def unaudited(root: Path, configuration_hash: str, now: datetime) -> tuple[Path, Record] | None:
    """The newest, if it is through and only its audit is left, of this configuration and ended within `GOES_ON`."""
    for path, record in crawls(root)[:1]:
        is_same = record.configuration_hash == configuration_hash and record.certificate.stopped != NOTHING
        if is_same and record.ended_at is not None and now - record.ended_at <= GOES_ON and not is_audited(path):
            return path, record
    return None


def next_folder(root: Path, now: datetime) -> Path:
    """`now`: UTC. One that there is not yet."""
    path = root / now.strftime(_FORMAT)
    count = 1
    while path.exists():
        count += 1
        path = root / f"{now.strftime(_FORMAT)}-{count}"
    return path
