"""Every change of a list that is ordered by change time and keeps changing while it is read.

Page numbers shift: an order that changes moves to the end, all behind it move up, and the next page skips one. So
each question begins where the last page ended, and is for the first page. Where a whole page has one and the same
time, its further pages are asked for, and all of them again until nothing new turns up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from caravan.core.errors import Rejected

STEP = timedelta(seconds=1)
"""The grain of change times. A question begins one step earlier, for what was changed later in that second."""

Key = tuple[str, datetime | None]
"""Which version a record is: its id and its change time (UTC without zone); None where it has none to read."""


def walk(
    ask: Callable[[datetime | None, int], Sequence[object]],
    key_of: Callable[[object], Key],
    since: datetime | None,
    where: str,
) -> Iterator[object]:
    """Each version of each record once. `ask`: records changed after a time, and the page, from 1 on.

    What is remembered are the records of the last seconds. Raises Rejected FILTER_IGNORED, PAGE_REPEATS.
    """
    after, page, found_in_pages, idle = since, 1, False, 0
    seen: dict[Key, datetime | None] = {}
    is_first = True
    while True:
        records = ask(after, page)
        keys = [key_of(record) for record in records]
        times = [time for _, time in keys if time is not None]
        if after is not None and times and min(times) < after:
            raise _ignores(where, is_first)
        last = max(times, default=after)
        idle += len(records)
        for record, key in zip(records, keys, strict=True):
            if key not in seen:
                seen[key] = key[1] or last
                found_in_pages |= page > 1
                idle = 0
                yield record
        # Shifting may bring a record again, so a page more than all that is known.
        if idle > len(seen) + len(records):
            message = f"{where} sends the same records for every page, nothing new among {idle}; is a cache between?"
            raise Rejected("PAGE_REPEATS", message)
        is_first = False
        border = None if last is None else last - STEP
        goes_on = border is not None and (after is None or border > after)
        if records and not goes_on:
            page += 1
        elif found_in_pages:
            page, found_in_pages, idle = 1, False, 0
        elif not records:
            return
        else:
            after, page, idle = border, 1, 0
            seen = {key: time for key, time in seen.items() if time is None or border is None or time >= border}


def _ignores(where: str, is_first: bool) -> Rejected:
    if is_first:
        message = "sends records changed before the time asked for; is the service too old to ask by change time?"
        return Rejected("FILTER_IGNORED", f"{where} {message}")
    return Rejected("PAGE_REPEATS", f"{where} begins again with records that it sent before; is a cache between?")
