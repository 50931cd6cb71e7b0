"""What a crawl makes of an answer: rows, or why there are none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from caravan.clients.crawl.frontier import Address
from caravan.clients.crawl.tables import PAGE
from caravan.core.crawl import Answer, Extracted

log = logging.getLogger(__name__)

Read = Callable[[Address, Answer], Extracted]
"""An answer as rows, and where it leads."""
_TEXT_HASH = list(PAGE).index("text_hash")


class Taken(NamedTuple):
    """`extracted`: None where there was nothing to read. `problem`: why what there was could not be read."""

    extracted: Extracted | None
    problem: str | None


class MissingPage(NamedTuple):
    """What a host says of a page that it cannot have. `text_hash`: where it says that there is one."""

    status_code: int | None
    text_hash: int | None


@dataclass(frozen=True)
class Intake:
    read: Read

    def page(self, address: Address, answer: Answer) -> Taken:
        """Of any kind."""
        is_unchanged = answer.status_code == 304 and bool(answer.ask.etag or answer.ask.last_modified)
        return Taken(None, None) if answer.status_code is None or is_unchanged else self._read(address, answer)

    def missing_page(self, address: Address, answer: Answer) -> MissingPage:
        extracted = self._read(address, answer).extracted if answer.status_code == 200 else None
        text_hash = extracted.rows["page"][0][_TEXT_HASH] if extracted is not None else None
        return MissingPage(answer.status_code, text_hash if isinstance(text_hash, int) else None)

    def _read(self, address: Address, answer: Answer) -> Taken:
        try:
            return Taken(self.read(address, answer), None)
        except Exception as error:
            # One page that the reader trips over must not cost the night's others; it is told, and found in `page`.
            log.exception("%s could not be read", address.url)
            return Taken(None, f"unreadable: {type(error).__name__}: {error}"[:300])
