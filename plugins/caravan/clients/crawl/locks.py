"""On this machine one crawl of a host at a time, and one command in a folder of crawls, whoever starts them. The kernel
frees a lock when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from caravan.core.errors import Retryable


class InUse(Retryable):
    """Somebody else is at work there."""


@contextlib.contextmanager
def hold_hosts(locks: Path, hosts: Iterable[str], work: str) -> Iterator[None]:
    """The locks of all these hosts, for the length of the `with`: `<locks>/<host>.lock`.

    `work`: what its holder does, for whoever comes meanwhile, as "crawls into /x". Raises InUse, which names the
    holder, where one is held.
    """
    with contextlib.ExitStack() as stack:
        # In order: of two crawls that have several hosts in common one goes on.
        for host in sorted(set(hosts)):
            stack.enter_context(_held(locks / f"{_file_name(host)}.lock", f"{host} is being crawled", work))
        yield


@contextlib.contextmanager
def hold_folder(locks: Path, folder: Path, work: str) -> Iterator[None]:
    """The lock of a folder, by whatever path it is reached: `<locks>/<name>-<hash of its path>.lock`. As `hold_hosts`.

    Not a file in the folder, which need not be there, and may be somebody's own. Where it is there, it is locked too:
    for who keeps locks elsewhere, and does not say who it is.
    """
    real = folder.resolve()
    name = f"{_file_name(real.name)}-{hashlib.sha256(os.fsencode(real)).hexdigest()[:16]}.lock"
    with _held(locks / name, f"{folder} is in use", work), contextlib.ExitStack() as stack:
        if real.is_dir():
            handle = os.open(real, os.O_RDONLY)
            stack.callback(os.close, handle)
            if not _try(handle):
                raise _in_use(f"{folder} is in use", "a process with another CARAVAN_HOME")
        yield


@contextlib.contextmanager
def _held(path: Path, what: str, work: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as handle:
        if not _try(handle):
            raise _in_use(what, _holder(handle))
        handle.truncate(0)
        handle.write(f"process {os.getpid()} {work} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n")
        handle.flush()
        yield


def _in_use(what: str, holder: str) -> InUse:
    return InUse(f"{what}: {holder}; let it finish or stop it, then run again", after=timedelta(minutes=5))


def _try(handle: IO[str] | int) -> bool:
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
