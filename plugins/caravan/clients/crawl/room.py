"""A disk that is full, told as one: what was committed stays, and a crawl goes on from there."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from caravan.core.errors import Retryable


@contextmanager
def told_when_full(folder: Path) -> Iterator[None]:
    """Retryable for an error that came of a full disk, or of a full quota."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if not is_full(error):
            raise
        raise Retryable(
            f"no room left for {folder}: free some disk, then run again; the crawl goes on from there"
        ) from error


def is_full(error: BaseException | None) -> bool:
    """Also of what failed because of it: rolling back."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return True
        error = error.__cause__ or error.__context__
    return False
