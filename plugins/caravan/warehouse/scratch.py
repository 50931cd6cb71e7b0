"""Folders for the work of one process: gone when it is done, swept by the next one when it was killed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

from caravan.core.errors import CaravanError, Retryable
from caravan.warehouse.locks import try_lock

PREFIX = "caravan-scratch-"
LOCK = "lock"


class Scratch:
    """A new folder below `parent`, locked as long as its process lives and removed when closed.

    Making one removes its siblings that nobody locks: what killed processes left.
    Raises Retryable on a full disk, CaravanError where nothing may be written.
    """

    def __init__(self, parent: Path) -> None:
        try:
            parent.mkdir(parents=True, exist_ok=True)
            _sweep(parent)
            self.path, self._lock = _make(parent)
        except OSError as error:
            kind = Retryable if error.errno == errno.ENOSPC else CaravanError
            raise kind(
                f"{parent} cannot be written: {error.strerror}; see CARAVAN_WAREHOUSE and CARAVAN_HOME"
            ) from error

    def close(self) -> None:
        """What cannot be removed now is left to the next sweep."""
        with self._lock:
            shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *exc: object) -> None:
        self.close()


def _make(parent: Path) -> tuple[Path, IO[str]]:
    while True:  # a second time only if somebody's sweep met the folder before it was locked
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        if lock := _take(folder):
            return folder, lock


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*/"):
        # The machine's temporary directory may hold folders of other people, who sweep them themselves.
        with contextlib.suppress(PermissionError):
            if lock := _take(folder):
                with lock:
                    shutil.rmtree(folder, ignore_errors=True)


def _take(folder: Path) -> IO[str] | None:
    """The lock of a folder, held until closed; None if another holds it or the folder is being removed."""
    path = folder / LOCK
    try:
        handle = open(path, "a")  # noqa: SIM115 - the caller closes it
    except FileNotFoundError:
        return None
    # Only the file that is there now counts: a sweep may have removed the one that was opened.
    with contextlib.suppress(FileNotFoundError):
        if try_lock(handle) and os.path.samestat(os.fstat(handle.fileno()), os.stat(path)):
            return handle
    handle.close()
    return None
