"""What a crawl and its audit write into a folder. Whatever else lies there is somebody's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from caravan.clients.crawl.parts import SCHEMAS

RECORD = "run.json"
STATE = "frontier.sqlite"
PREVIOUS = "previous"
"""The folder, in that of a crawl, of the one that was there before."""
LEDGER, PAGE_TEXTS, PAGES_THERE = "ledger.parquet", "page_text.parquet", "page_there.parquet"
KNOWN = (LEDGER, PAGE_TEXTS, PAGES_THERE)
"""What goes on from crawl to crawl, complete or not."""
REPORT = "report.html"
"""The last that an audit writes."""
_OF_AUDIT = (
    REPORT,
    "issues.csv",
    "issue.parquet",
    "check.parquet",
    *KNOWN,
    "link_score.parquet",
    "page_change.parquet",
)
"""Each is written beside its place as `.tmp`, which one that is killed leaves behind."""
# The state first: rows that are gone must not count.
_NAMES = (
    *(STATE, f"{STATE}-wal", f"{STATE}-shm", RECORD, f"{RECORD}.tmp"),
    *_OF_AUDIT,
    *(str(Path(name).with_suffix(".tmp")) for name in _OF_AUDIT),
    *SCHEMAS,
)


def written(folder: Path) -> Iterator[Path]:
    """Those that are there, in an order in which they can be removed."""
    return (folder / name for name in _NAMES if (folder / name).exists())


def is_audited(folder: Path) -> bool:
    return (folder / REPORT).exists()


def remove_written(folder: Path) -> None:
    for path in written(folder):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
