"""A pull from any kind of service: its records to spool files. Kinds differ in what they ask and how records look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from caravan.clients.http.caller import Caller
from caravan.clients.http.spool import Spool
from caravan.core.pulls import OVERLAP, Pull, asked_from, pull_name

Record = tuple[str, object]
"""Entity and canonical record: names as in `core.entities`, values as the service sent them. What could not be
taken apart stands as it came, and `file_drop.parse` quarantines it."""


class Kind(Protocol):
    """A sort of service."""

    @property
    def entities(self) -> tuple[str, ...]: ...

    def changes(self, caller: Caller, since: datetime | None, folder: Path) -> Iterator[Record]:
        """Everything changed since (UTC without zone), one by one. `folder`: for files on the way."""
        ...

    def probe(self, caller: Caller) -> str:
        """A small question that changes nothing; what was seen."""
        ...


@dataclass(frozen=True)
class HttpSource:
    """A `ChangeSource`. `open_caller`: a new one for each pull."""

    kind: Kind
    open_caller: Callable[[], Caller]
    overlap: timedelta = OVERLAP

    def pull(self, since: datetime | None, folder: Path) -> Pull:
        asked = asked_from(since, self.overlap)
        with ExitStack() as stack:
            caller = stack.enter_context(closing(self.open_caller()))
            spools = {
                entity: stack.enter_context(closing(Spool(folder / f"{entity}.ndjson")))
                for entity in self.kind.entities
            }
            for entity, record in self.kind.changes(caller, asked, folder):
                spools[entity].write(record)
            files = {entity: spool.finish() for entity, spool in spools.items()}
            return Pull(pull_name(asked), caller.answered_at, files)

    def probe(self) -> str:
        """What a small question showed. Raises as `pull`."""
        with closing(self.open_caller()) as caller:
            return self.kind.probe(caller)
