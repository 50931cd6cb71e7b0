"""Recipients' files, read: what each holds is judged and kept once, and its people are had as often as they are asked
for."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from caravan.assembly.outlets import normaliser
from caravan.config.lists import RecipientList
from caravan.core.errors import Rejected
from caravan.functions.release.reading import Tally, reading_id, said
from caravan.functions.release.recipients import NOT_YET_SAID, BadRecipient, Recipient, read_recipients
from caravan.warehouse.lists import ListFault, StoredReading

if TYPE_CHECKING:
    from caravan.assembly.releases import Desk

log = logging.getLogger(__name__)

_BATCH = 1000
_SOON = timedelta(days=1)


@contextmanager
def people(desk: Desk, of_list: RecipientList, now: datetime) -> Iterator[Iterator[Recipient | BadRecipient]]:
    """Row by row, as judged at `now`: when `take_in` read it, so that both say the same. Rejected when the file is not
    there, or is none."""
    with _path(desk, of_list).open(encoding="utf-8-sig", newline="") as lines:
        markets, normalise = desk.shelf.known.markets, normaliser(of_list)
        yield read_recipients(lines, of_list.file, markets, of_list.variables, normalise, now)


def seeds(desk: Desk, outlet: str, file: str, now: datetime) -> list[Recipient]:
    """Addresses of ours. Rejected when the file is not there, or one of its rows is none."""
    path = desk.settings.home / file
    if not path.is_file():
        raise Rejected("SEEDS_MISSING", f"outlet {outlet}: {file} is not in CARAVAN_HOME")
    found: list[Recipient] = []
    with path.open(encoding="utf-8-sig", newline="") as lines:
        for row in read_recipients(lines, file, desk.shelf.known.markets, (), normaliser(None), now):
            if isinstance(row, BadRecipient):
                raise Rejected("SEEDS_FAULTY", f"{file}:{row.row} {row.field_name}: {row.message}")
            found.append(row)
    return found


def take_in(desk: Desk, of_list: RecipientList, now: datetime) -> StoredReading:
    """What the file holds; read only if nobody has read this very content. What people said is known then, before
    anybody may ask whether to write to them. Rejected like `people`."""
    path = _path(desk, of_list)
    with path.open("rb") as file:
        content_hash = hashlib.file_digest(file, "sha256").hexdigest()
    content = of_list, content_hash, desk.shelf.known.markets, desk.subject_of("")
    known = desk.lists.reading(own_id := reading_id(*content))
    if known and desk.lists.has_fault(own_id, NOT_YET_SAID) and (again := _again(known.read_at, now)):
        known = desk.lists.reading(own_id := reading_id(*content, again))
    if known is not None:
        return known
    tally = Tally(of_list)
    with people(desk, of_list, now) as rows:
        while batch := list(islice(rows, _BATCH)):
            for row in batch:
                tally.take(row)
            words = (said(row, of_list, desk.subject_of(row.address)) for row in batch)
            desk.contacts.add_consent([word for word in words if word], now, f"list {of_list.code}")
            desk.lists.keep_faults(own_id, [_fault(row) for row in batch if isinstance(row, BadRecipient)])
    found = tally.reading()
    written_at = datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)
    reading = StoredReading(own_id, of_list.code, of_list.file, content_hash, written_at, now, **vars(found))
    desk.lists.keep(reading)
    log.info("list %s: %s", of_list.code, found)
    return reading


def _again(read_at: datetime, now: datetime) -> str:
    """Since when a file with rows that were not yet said is read once more: each hour at first, then each day."""
    spell = "%Y-%m-%dT%H" if now - read_at <= _SOON else "%Y-%m-%d"
    return "" if f"{read_at:{spell}}" == f"{now:{spell}}" else f"{now:{spell}}"


def _fault(row: BadRecipient) -> ListFault:
    return ListFault(row.row, row.field_name, row.reason_code, row.message)


def _path(desk: Desk, of_list: RecipientList) -> Path:
    path = desk.settings.home / of_list.file
    if not path.is_file():
        raise Rejected("LIST_MISSING", f"list {of_list.code}: {of_list.file} is not in CARAVAN_HOME")
    return path
