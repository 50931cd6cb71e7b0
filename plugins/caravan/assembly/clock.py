"""The time that releases go by: now, unless a demonstration lives through other days."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

_ahead = timedelta(0)
_is_told = False
"""Whether somebody said what time it is."""


def utc_now() -> datetime:
    """UTC, without zone, as the outbox keeps it."""
    return datetime.now(UTC).replace(tzinfo=None) + _ahead


def sleep(seconds: float) -> None:
    """Until the clock has moved on by so much. One that was set is set forward: nobody waits in other days."""
    global _ahead
    if _is_told:
        _ahead += timedelta(seconds=seconds)
    else:
        time.sleep(seconds)


@contextmanager
def standing_at(moment: datetime) -> Iterator[None]:
    """Inside, it is `moment` (UTC, without zone), and the clock goes on from there. Of this process alone."""
    global _ahead, _is_told
    before = _ahead, _is_told
    _ahead = timedelta(0)
    _ahead, _is_told = moment - utc_now(), True
    try:
        yield
    finally:
        _ahead, _is_told = before
