"""The time that releases go by: now, unless a demonstration lives through other days."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

_ahead = timedelta(0)


def utc_now() -> datetime:
    """UTC, without zone, as the outbox keeps it."""
    return datetime.now(UTC).replace(tzinfo=None) + _ahead


@contextmanager
def standing_at(moment: datetime) -> Iterator[None]:
    """Inside, it is `moment` (UTC, without zone), and the clock goes on from there. Of this process alone."""
    global _ahead
    before = _ahead
    _ahead = timedelta(0)
    _ahead = moment - utc_now()
    try:
        yield
    finally:
        _ahead = before
