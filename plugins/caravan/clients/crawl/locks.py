"""On this machine one crawl of a host at a time, and one command in a folder of crawls, whoever starts them. The kernel
frees a lock when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from caravan.core.errors import Retryable

_POLL_SECONDS = 0.2


@contextlib.contextmanager
def hold_hosts(locks: Path, hosts: Iterable[str], work: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """The locks of all these hosts, for the length of the `with`: `<locks>/<host>.lock`.

    `work`: what its holder does, for whoever has to wait, as "crawls into /x". Raises Retryable, which names the
    holder, where one is held for longer than `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    with contextlib.ExitStack() as stack:
        # In order, so that no two wait for each other.
        for host in sorted(set(hosts)):
            path = locks / f"{_file_name(host)}.lock"
            stack.enter_context(_held(path, f"{host} is being crawled", work, deadline))
        yield


def hold_folder(locks: Path, folder: Path, work: str) -> contextlib.AbstractContextManager[None]:
    """The lock of a folder, by whatever path it is reached: `<locks>/<name>-<hash of its path>.lock`. As `hold_hosts`,
    without waiting. Not in the folder itself, which need not be there, and may be somebody's own."""
    real = folder.resolve()
    path = locks / f"{_file_name(real.name)}-{hashlib.sha256(os.fsencode(real)).hexdigest()[:16]}.lock"
    return _held(path, f"{folder} is in use", work, time.monotonic())


@contextlib.contextmanager
def _held(path: Path, what: str, work: str, deadline: float) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as handle:
        while not _try(handle):
            if time.monotonic() >= deadline:
                raise Retryable(
                    f"{what}: {_holder(handle)}; let it finish or stop it, then run again",
                    after=timedelta(minutes=5),
                )
            time.sleep(_POLL_SECONDS)
        handle.truncate(0)
        handle.write(f"process {os.getpid()} {work} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n")
        handle.flush()
        yield


def _try(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(handle: IO[str]) -> str:
    handle.seek(0)
    # Between having the lock and saying so it says nothing.
    return handle.read().strip() or "another process has just begun"


def _file_name(name: str) -> str:
    """A port's colon and an IPv6 address's brackets are no good in names of files."""
    return re.sub(r"[^a-z0-9.-]", "_", name.lower())
