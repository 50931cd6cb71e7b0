"""Which files of a channel's folder are complete and may be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from caravan.clients.file_drop.parsed import Delivery
from caravan.config.types import Channel
from caravan.core.errors import Rejected

SkipCode = Literal["FILE_NOT_SETTLED", "FILE_TEMPORARY"]

TEMPORARY_SUFFIXES = (".part", ".tmp", ".filepart", ".crdownload")
"""What uploaders append while they write: WinSCP .filepart, browsers .part and .crdownload, others .tmp."""


@dataclass(frozen=True)
class Skipped:
    """A file that will probably be read later, and why not now."""

    path: Path
    code: SkipCode
    message: str


@dataclass(frozen=True)
class Listing:
    """`deliveries`: settled files, oldest first (modification time, then name). Empty: nothing was delivered."""

    deliveries: tuple[Delivery, ...]
    skipped: tuple[Skipped, ...]


def list_deliveries(channel: Channel, entity: str, folder: Path, now_ns: int) -> Listing:
    """The settled files of one entity. `now_ns`: the clock, in nanoseconds since 1970.

    Every settled file is read once for its hash. Raises Rejected FOLDER_MISSING when there is no such folder:
    that is a wrong path or a lost mount, not a channel without orders.
    """
    pattern = channel.entities[entity].files  # type: ignore[index]
    if not folder.is_dir():
        raise Rejected(
            "FOLDER_MISSING",
            f"channel {channel.code}: there is no folder {folder}; create it, mount it, or correct `folder`",
        )
    found: list[Delivery] = []
    skipped: list[Skipped] = []
    for path in sorted(_matching(folder, pattern)):
        if path.name.startswith(".") or path.name.endswith(TEMPORARY_SUFFIXES):
            skipped.append(Skipped(path, "FILE_TEMPORARY", f"{path.name} is the name of a file still being written"))
            continue
        before = path.stat()
        age = (now_ns - before.st_mtime_ns) / 1e9
        if age < channel.settle_seconds:
            reason = f"{path.name} changed {age:.0f} s ago; it is read after {channel.settle_seconds} s without change"
            if age < 0:
                reason = f"{path.name} was changed {-age:.0f} s in the future; check the clocks of both machines"
            skipped.append(Skipped(path, "FILE_NOT_SETTLED", reason))
            continue
        with path.open("rb") as file:
            content_hash = hashlib.file_digest(file, "sha256").hexdigest()
        if not _same(before, path.stat()):
            skipped.append(Skipped(path, "FILE_NOT_SETTLED", f"{path.name} changed while it was read"))
            continue
        found.append(Delivery(channel.code, entity, path, content_hash, before.st_size, before.st_mtime_ns))
    found.sort(key=lambda delivery: (delivery.modified_ns, delivery.name))
    return Listing(tuple(found), tuple(skipped))


def require_unchanged(delivery: Delivery) -> None:
    """Raises Rejected FILE_CHANGED unless the file still has the size and time it was listed with."""
    try:
        now = delivery.path.stat()
    except FileNotFoundError:
        raise Rejected("FILE_CHANGED", f"{delivery.name} was removed after it was listed") from None
    if (now.st_size, now.st_mtime_ns) != (delivery.size, delivery.modified_ns):
        raise Rejected(
            "FILE_CHANGED",
            f"{delivery.name} was {delivery.size} bytes when it was listed and is {now.st_size} now, or was written "
            "again; nothing was loaded, the next run reads it. Deliver under a temporary name and rename",
        )


def _matching(folder: Path, pattern: str) -> Iterator[Path]:
    """Files of the pattern, and those that are on the way to become one."""
    head, _, last = pattern.rpartition("/")
    prefix = f"{head}/" if head else ""
    patterns = [pattern, f"{prefix}.{last}", f"{prefix}.{last}.*", *(pattern + suffix for suffix in TEMPORARY_SUFFIXES)]
    unique = {path for each in patterns for path in folder.glob(each)}
    return (path for path in unique if path.is_file())


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
