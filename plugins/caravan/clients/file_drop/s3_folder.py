"""A channel's folder in a bucket: the same deliveries as from a folder of this machine.

Each object is downloaded once, to be hashed; the copy is then what is parsed. `Seen` remembers the hash, so that an
object known by store, key, ETag, size and time is not downloaded again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from caravan.clients.file_drop.deliveries import (
    Claim,
    Listing,
    Skipped,
    listing_of,
    name_patterns,
    unfinished,
    unmatched,
)
from caravan.clients.file_drop.parsed import Delivery
from caravan.clients.file_drop.seen import Seen
from caravan.clients.storage.objects import StoredObject, download, list_pages
from caravan.clients.storage.s3 import store_of
from caravan.config.places import S3Place
from caravan.config.types import FileChannel
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured, Rejected

KEEP_BYTES = 4 * 1024**3
"""Copies of unread objects kept at once; beyond it an object is downloaded a second time when it is read."""
_ARCHIVED = frozenset(("GLACIER", "DEEP_ARCHIVE"))
_LONGEST_NAME = 255
"""Bytes that a name may have on this machine's file systems."""


@dataclass
class S3Folder:
    """`copies`: scratch folder for what is downloaded. `pause`: how to wait between attempts."""

    connection: Connection
    place: S3Place
    client: Any
    copies: Path
    seen: Seen
    keep_bytes: int = KEEP_BYTES
    pause: Callable[[float], None] = time.sleep
    _objects: dict[Path, StoredObject] = field(default_factory=dict)
    _kept: int = 0

    @property
    def root(self) -> Path:
        return self.place.path(store_of(self.connection))

    def listing(self, channel: FileChannel, entity: str, claims: Iterable[Claim]) -> Listing:
        """Raises Misconfigured for a bucket that is not there or not to be read, Retryable for a store that fails."""
        own = Claim(channel.code, entity, self.root, channel.entities[entity].files)  # type: ignore[index]
        found: dict[Delivery, list[Path]] = {}
        skipped: list[Skipped] = []
        others: list[Path] = []
        for stored, now in sorted(self._matching(own.pattern, skipped, others), key=lambda each: each[0].key):
            outcome = self._look(stored, own, channel.settle_seconds, now)
            if isinstance(outcome, Skipped):
                skipped.append(outcome)
            else:
                found[outcome] = [self._path(stored.key)]
        claims = list(claims)
        skipped += unmatched(own, claims, {each: [each] for each in others})
        return listing_of(own, claims, found, skipped)

    def fetch(self, delivery: Delivery) -> None:
        if delivery.path.exists():
            return
        stored = self._objects[delivery.path]
        content_hash = self._download(stored, delivery.path)
        if content_hash != delivery.content_hash:
            delivery.path.unlink()
            raise Rejected("FILE_CHANGED", f"{stored} has another content than it had; the next run reads it")

    def release(self, delivery: Delivery) -> None:
        if delivery.path.exists():
            self._kept -= delivery.size
            shutil.rmtree(delivery.path.parent)

    def _look(self, stored: StoredObject, claim: Claim, settle_seconds: int, now: datetime) -> Delivery | Skipped:
        path = self._path(stored.key)
        if why := unfinished(path.name, (now - stored.modified).total_seconds(), settle_seconds):
            return Skipped(path, *why)
        if stored.storage_class in _ARCHIVED:
            return Skipped(path, "FILE_UNREADABLE", f"{path.name} is archived ({stored.storage_class}); restore it")
        copy = self.copies / hashlib.sha256(stored.key.encode()).hexdigest()[:32] / path.name
        identity = "\n".join([str(self.root), stored.identity])
        content_hash = self.seen.hash_of(identity)
        try:
            if content_hash is None:
                content_hash = self._download(stored, copy)
                self.seen.remember(identity, content_hash)
        except Rejected:
            return Skipped(path, "FILE_NOT_SETTLED", f"{path.name} changed while it was read")
        except Misconfigured as error:
            return Skipped(path, "FILE_UNREADABLE", f"{path.name} cannot be read: {error.faults[0].message}")
        if self._kept > self.keep_bytes and copy.exists():
            self._kept -= stored.size
            shutil.rmtree(copy.parent)
        self._objects[copy] = stored
        return Delivery(claim.channel_code, claim.entity, copy, content_hash, stored.size, stored.modified_ns)

    def _download(self, stored: StoredObject, copy: Path) -> str:
        copy.parent.mkdir(parents=True, exist_ok=True)
        content_hash = download(self.client, self.connection, stored, copy, self.pause)
        os.utime(copy, ns=(stored.modified_ns, stored.modified_ns))
        self._kept += stored.size
        return content_hash

    def _matching(
        self, pattern: str, skipped: list[Skipped], others: list[Path]
    ) -> Iterator[tuple[StoredObject, datetime]]:
        """Objects that the pattern matches, with the store's time; a folder in place of a file goes to `skipped`,
        what lies beside to `others`."""
        heads, lasts = name_patterns(pattern)
        return self._walk(f"{self.place.prefix}/" if self.place.prefix else "", heads, lasts, skipped, others)

    def _walk(
        self, prefix: str, heads: Sequence[str], lasts: Sequence[str], skipped: list[Skipped], others: list[Path]
    ) -> Iterator[tuple[StoredObject, datetime]]:
        for page in list_pages(self.client, self.connection, self.place.bucket, prefix):
            for folder in page.folders:
                name = folder.removeprefix(prefix).removesuffix("/")
                if heads and fnmatchcase(name, heads[0]):
                    yield from self._walk(folder, heads[1:], lasts, skipped, others)
                elif not heads and any(fnmatchcase(name, pattern) for pattern in lasts):
                    message = f"{name} is a folder; name files in it as {name}/*, or rename it"
                    skipped.append(Skipped(self._path(folder), "FILE_UNREADABLE", message))
            for stored in page.objects if not heads else ():
                name = stored.key.removeprefix(prefix)
                if not name:
                    continue  # what some tools put to show an empty folder
                if not any(fnmatchcase(name, pattern) for pattern in lasts):
                    others.append(self._path(stored.key))
                elif name in (".", "..") or len(os.fsencode(name)) > _LONGEST_NAME:
                    message = f"{name[:80]} is no name that a file here can have; rename it"
                    skipped.append(Skipped(self._path(stored.key), "FILE_UNREADABLE", message))
                else:
                    yield stored, page.at

    def _path(self, key: str) -> Path:
        return self.root / key.removeprefix(self.place.prefix).strip("/")
