"""The editorial calendar: when which market gets what, for any calendar program and for the warehouse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar

from caravan.config.releases import Known, Release
from caravan.functions.release.planning import Standing

TABLE, KEY = "raw.config__release", ("release_id", "revision", "market_code")
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


def calendar_rows(
    releases: Iterable[Release], known: Known, standings: Mapping[str, Standing]
) -> list[dict[str, object]]:
    """A row of TABLE for each release and market. `standings`: by the release's id."""
    return [
        _row(release, market, known, standings[release.id].state) for release in releases for market in release.markets
    ]


def _row(release: Release, market: str, known: Known, standing: str) -> dict[str, object]:
    zone = known.markets[market].zone
    planned = release.when.instant(zone)
    # Of an outlet with a fault nobody knows which markets it serves.
    outlets = [
        code for code in release.outlets if code not in known.outlets or known.outlets[code].serves_market(market)
    ]
    return {
        "release_id": release.id,
        "revision": release.revision,
        "market_code": market,
        "title": release.source.front.title,
        "kind": release.kind,
        "audience": release.audience,
        "action": release.action,
        "owner": None if "@" in release.owner else release.owner,  # the warehouse holds no addresses
        "standing": standing,
        "zone": zone,
        "planned_at": planned,
        "local_at": planned.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None),
        "outlets": " ".join(outlets),
    }
