"""One crawl of a host at a time on this machine, whoever starts it. The kernel frees a lock when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
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
def hold_hosts(folder: Path, hosts: Iterable[str], work: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """The locks of all these hosts, for the length of the `with`: `<folder>/<host>.lock`.

    `work`: what its holder does, for whoever has to wait, as "crawls into /x". Raises Retryable, which names the
    holder, where one is held for longer than `wait_seconds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    with contextlib.ExitStack() as stack:
        # In order, so that no two wait for each other.
        for host in sorted(set(hosts)):
            handle = stack.enter_context(open(folder / f"{_file_name(host)}.lock", "a+", encoding="utf-8"))
            while not _try(handle):
                if time.monotonic() >= deadline:
                    raise Retryable(
                        f"{host} is being crawled: {_holder(handle)}; let it finish or stop it, then run again",
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


def _file_name(host: str) -> str:
    """A port's colon and an IPv6 address's brackets are no good in names of files."""
    return re.sub(r"[^a-z0-9.-]", "_", host.lower())
