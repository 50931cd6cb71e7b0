"""Locks on files of this machine. The kernel frees one when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO

from caravan.core.errors import Retryable

POLL_SECONDS = 0.02


@contextlib.contextmanager
def hold_lock(path: Path, wait_seconds: float, work: str) -> Iterator[None]:
    """The one lock of `path`, for the length of the `with`.

    `work`: what its holder does, for the message, e.g. "has been publishing into /x".
    Raises Retryable when another holds it for longer than `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    with open(path, "a") as handle:
        while not try_lock(handle):
            if time.monotonic() > deadline:
                raise Retryable(
                    f"another process {work} for {wait_seconds:.0f} s: let it finish or stop it, then run again",
                    after=timedelta(minutes=5),
                )
            time.sleep(POLL_SECONDS)
        yield


def try_lock(handle: IO[str]) -> bool:
    """Whether the lock could be had at once; it is held until `handle` is closed."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
