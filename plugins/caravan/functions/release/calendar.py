"""The editorial calendar: when which market gets what, for any calendar program."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import icalendar

from caravan.config.releases import Known, Release

LENGTH = timedelta(minutes=30)
"""A moment has no length, and what has none is hard to see in a calendar."""


def editorial_calendar(releases: Iterable[Release], known: Known, now: datetime) -> bytes:
    """One event for each release and market. `now`: UTC, when this was written."""
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Caravan//Releases//EN")
    calendar.add("version", "2.0")
    calendar.add("name", "Releases")
    for release in releases:
        for market in release.markets:
            calendar.add_component(_event(release, market, known.markets[market].zone, now))
    return bytes(calendar.to_ical())


def _event(release: Release, market: str, zone: str, now: datetime) -> icalendar.Event:
    begin = release.when.instant(zone).replace(tzinfo=UTC)
    event = icalendar.Event()
    # The same for ever, so that a moved release moves its event and adds none.
    event.add("uid", f"{release.id}-{market.lower()}@caravan")
    event.add("sequence", release.revision - 1)
    event.add("dtstamp", now.replace(tzinfo=UTC))
    event.add("dtstart", begin)
    event.add("dtend", begin + LENGTH)
    what = "" if release.action == "publish" else "withdraw "
    event.add("summary", f"{market}: {what}{release.source.front.title}")
    event.add("description", f"{release.id}, revision {release.revision}, {release.kind} for {release.audience}")
    event.add("categories", [release.kind, market])
    event.add("transp", "TRANSPARENT")
    return event
