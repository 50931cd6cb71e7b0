"""What `caravan doctor` asks of the outbox: is its log whole, and does anything in it wait for a person?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from caravan.cli.finding import Finding
from caravan.config.settings import Settings


def outbox(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Nothing where nothing was ever planned. `now`: UTC without zone."""
    from caravan.assembly.outbox import is_made, open_books

    if not is_made(settings):
        return
    with open_books(settings) as books:
        counts: Counter[str] = Counter()
        for _, _, state, count in books.outbox.counts():
            counts[state] += count
        late = books.outbox.overdue(now)
        broken = books.outbox.verify()
    if broken is not None:
        told = f"entry {broken} of its log was changed, taken out or put in: restore a backup and find out by whom"
        yield Finding("outbox", "failed", told)
    if counts["operator"]:
        told = f"of {counts['operator']:,} messages nobody knows whether they arrived"
        yield Finding("outbox", "note", f"{told}: `./caravan outbox list --state operator`")
    if late:
        told = f"{late:,} messages are too late, and nothing has noticed: does release_send_minutely run?"
        yield Finding("outbox", "failed", told)
    if broken is None and not late and counts:
        yield Finding("outbox", "ok", f"{sum(counts.values()):,} messages, {counts['planned']:,} of them to come")
