"""Folders of a site's crawls, one below another by when they began: `<root>/20261030T021500Z`; or one folder for the
newest, which keeps the one before as `<folder>/previous`."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from caravan.clients.crawl.contents import LEDGER, PREVIOUS, remove_written, written
from caravan.clients.crawl.runs import Record, read_record

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
    """What a crawl of this configuration can be compared with."""
    for path, record in crawls(root):
        is_same = record.configuration_hash == configuration_hash
        if is_same and record.ended_at is not None and record.certificate.is_complete:
            return path
    return None


def newest_ledger(root: Path, configuration_hash: str, before: Path) -> Path | None:
    """What is known of issues up to a crawl; also one that was not complete knew them."""
    for path, record in crawls(root):
        if path != before and record.configuration_hash == configuration_hash and (path / LEDGER).exists():
            return path / LEDGER
    return None


def prune(root: Path, keep: int) -> list[Path]:
    """Remove crawls but the newest `keep`. The newest complete one of each of their configurations stays, and the
    newest that knows of issues: the next crawl needs them. Returns what was removed."""
    found = crawls(root)
    kept = {path for path, _ in found[:keep]}
    for wanted in {record.configuration_hash for _, record in found[:keep]}:
        complete = newest_complete(root, wanted)
        kept |= {complete} if complete else set()
    known = next((path for path, _ in found if (path / LEDGER).exists()), None)
    removed = [path for path, _ in found if path not in kept and path != known]
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
    if (aside / LEDGER).exists():
        (aside / LEDGER).replace(previous / LEDGER)
    shutil.rmtree(aside)


def unfinished(root: Path, configuration_hash: str, now: datetime) -> Path | None:
    """The newest, if it is not through, of this configuration and no older than `GOES_ON`: it can go on."""
    for path, record in crawls(root)[:1]:
        is_young = now - record.started_at <= GOES_ON
        if record.ended_at is None and record.configuration_hash == configuration_hash and is_young:
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
