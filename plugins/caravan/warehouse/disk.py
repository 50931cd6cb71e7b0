"""Looking through folders that others write and empty meanwhile."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def entries(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All below a folder, the deepest first, and what they are (links are not followed).

    What goes away meanwhile is left out: `Path.rglob` raises for a folder that was listed and is gone.
    """
    for where, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            path = Path(where, name)
            try:
                found = path.lstat()
            except OSError:
                continue
            yield path, found


def measure(*paths: Path) -> tuple[int, int]:
    """Number and bytes of the files at or below these paths."""
    states = [found for path in paths for _, found in entries(path)]
    for path in paths:
        with suppress(OSError):
            states.append(path.lstat())
    sizes = [found.st_size for found in states if stat.S_ISREG(found.st_mode)]
    return len(sizes), sum(sizes)
