"""Places that a site is published to, and how a worker dies there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from caravan.clients.site.lists import CATALOGUE


@dataclass
class Place:
    """`told`: the store as JSON, for another process."""

    store: Any
    told: dict[str, Any]

    def files(self) -> dict[str, bytes]:
        """All but the catalogue, which holds versions."""
        return {path: self.store.get(path) for path in self.store.list() if path != CATALOGUE}


class Killed(BaseException):
    """As by SIGKILL: nothing catches it, nothing is tidied."""


class Dying:
    """A store whose worker dies before its n-th change."""

    def __init__(self, store: Any, changes: int) -> None:
        self._store, self.left = store, changes

    def __getattr__(self, name: str) -> Any:
        if name in ("put", "delete"):
            self.left -= 1
            if self.left < 0:
                raise Killed
        return getattr(self._store, name)
