"""Records on their way from a service to `file_drop.parse`: NDJSON files, written as the records come."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path

from caravan.core.errors import Retryable
from caravan.core.pulls import PulledFile

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


class Spool:
    """One entity's records. The hash is that of a multiset, the sum of the records' SHA-256: pages and their order
    leave no trace, and memory does not grow."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._sum = 0
        self._count = 0

    def close(self) -> None:
        self._file.close()

    def write(self, record: object) -> None:
        """ASCII, other characters escaped: half a surrogate pair, which JSON may hold, has no UTF-8."""
        line = _ENCODER.encode(record).encode("ascii")
        self._sum = (self._sum + int.from_bytes(hashlib.sha256(line).digest(), "big")) % (1 << 256)
        self._count += 1
        try:
            self._file.write(line + b"\n")
        except OSError as error:
            raise _explained(error, self._path) from error

    def finish(self) -> PulledFile:
        try:
            self._file.close()
        except OSError as error:
            raise _explained(error, self._path) from error
        whole = hashlib.sha256(f"{self._count} {self._sum:064x}".encode()).hexdigest()
        return PulledFile(self._path, whole, self._count)


def _explained(error: OSError, path: Path) -> Exception:
    if error.errno == errno.ENOSPC:
        return Retryable(f"no room left below {path.parent}: free some disk, then run again")
    return error
