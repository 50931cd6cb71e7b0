"""Whether a release's mail can leave at all: markets where the hours for it begin when it is too late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from caravan.assembly.shelf import Shelf
from caravan.config.calendars import contact_spine
from caravan.config.releases import FILE, FOLDER, Release
from caravan.core.errors import Fault, Rejected

_BEYOND = timedelta(days=2)


def out_of_reach(shelf: Shelf, release: Release) -> Iterator[Fault]:
    """No faults of the files: people whose zone is another than their market's may still be reached."""
    where = f"{FOLDER}/{release.id}/{FILE}"
    known = shelf.known.outlets  # without those whose file has a fault, which is told elsewhere
    mail = [code for code in release.outlets if code in known and known[code].is_mail]
    for code in release.markets if mail else ():
        market = shelf.configuration.markets[code]
        at = max(release.when.instant(market.zone), release.embargo_until or release.when.instant(market.zone))
        not_after = release.when.instant(market.zone) + release.max_lateness
        try:
            hours = contact_spine(market, "email", (not_after + _BEYOND).date())
            opens_at = hours.send_window(at, not_after - at)
        except Rejected as error:
            yield Fault(where, f"{code}: {error.message}")
            continue
        if opens_at is None:
            span = f"from {at} to {not_after} UTC"
            yield Fault(where, f"{code}: mail may not leave there {span}, by the market's hours: it would be missed")
