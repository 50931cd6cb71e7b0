"""What follows a complete crawl of a site: its sitemaps, and the outbox's messages to search engines."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from caravan.assembly.clock import utc_now
from caravan.assembly.outlets import store_of
from caravan.assembly.releases import Desk, open_desk
from caravan.config.announcements import Announcement, SitemapFile
from caravan.config.outlets import IndexNowOutlet
from caravan.config.settings import Settings
from caravan.core.errors import Fault, Misconfigured, Rejected
from caravan.core.outbox import Message
from caravan.core.release import Payload
from caravan.functions.site.announcing import FUNCTION, IN_TIME, Told, allowance, batches, intentions, payload_key

if TYPE_CHECKING:
    from caravan.clients.crawl.runs import Record

log = logging.getLogger(__name__)

_MOST_PLANNED = 100_000
"""Messages of a site's day; fewer by far, at a batch of a host each."""


def announce(
    site: str, wanted: Announcement, folder: Path, record: Record, settings: Settings, by: str
) -> dict[str, int]:
    """Addresses `listed` in sitemaps, `told` and `over_cap`; and `messages` that are new in the outbox.

    Rejected for a sitemap without a page, once all else is done. Misconfigured for an outlet or a place that cannot be
    used.
    """
    counts, empty = dict[str, int](), list[Rejected]()
    for sitemap in wanted.sitemaps:
        try:
            counts["listed"] = counts.get("listed", 0) + _put(sitemap, folder, settings)
        except Rejected as error:
            empty.append(error)
    if wanted.outlet is not None:
        from caravan.clients.crawl.announcing import changed

        assert record.ended_at is not None
        crawl = Told(site, folder.name, record.started_at, record.ended_at)
        with open_desk(settings) as desk:
            counts |= _plan(desk, crawl, wanted.outlet, wanted.most_per_day, changed(folder), by)
    log.info("%s: %s", site, counts)
    if empty:
        raise empty[0]
    return counts


def _put(sitemap: SitemapFile, folder: Path, settings: Settings) -> int:
    """How many pages it lists."""
    from caravan.clients.crawl.announcing import pages
    from caravan.clients.site.listing import put_sitemap
    from caravan.clients.site.sitemaps import Listed

    listed = (Listed(*page) for page in pages(folder, sitemap.base_url))
    return put_sitemap(store_of(sitemap, settings), sitemap.url, listed)


def _plan(desk: Desk, crawl: Told, code: str, most_per_day: int, urls: Sequence[str], by: str) -> dict[str, int]:
    account, now = desk.shelf.known.outlets.get(code), utc_now()
    if not isinstance(account, IndexNowOutlet):
        own = [fault for fault in desk.shelf.faults if fault.where.startswith(f"outlets/{code}.yml")]
        raise Misconfigured(own or [Fault(f"outlet {code}", "is not there, or of another kind than indexnow")])
    if not account.enabled:
        log.warning("%s: outlet %s is switched off; %d changes are not told", crawl.site, code, len(urls))
        return {}
    if now > crawl.ended_at + IN_TIME:
        log.warning("%s: the crawl of %s is too old to be told", crawl.site, crawl.ended_at)
        return {}
    planned = desk.outbox.find(function=FUNCTION, object_id=crawl.object_id, limit=_MOST_PLANNED)
    most = allowance(crawl, planned, most_per_day)
    before = [_payload(desk, crawl, each) for each in batches(crawl, code, planned)]
    done = {url for payload in before for url in payload["urls"]}
    rest = [url for url in urls if url not in done]
    told = min(len(rest), max(0, most - len(done)))
    made = intentions(crawl, code, rest, told, Counter(payload["origin"] for payload in before))
    desk.releases.keep({key: payload for key, (_, payload) in made.items()}, (), now)
    new = desk.outbox.plan([intention for intention, _ in made.values()], now, by)
    over = len(rest) - told
    if over:
        log.warning("%s: %d of %d changes are over the day's %d", crawl.site, over, len(urls), most_per_day)
    return {"messages": new, "told": len(done) + told, "over_cap": over}


def _payload(desk: Desk, crawl: Told, message: Message) -> Payload:
    found = desk.releases.payload(payload_key(crawl, message.key.outlet, message.intention.content_hash))
    assert found is not None  # it was kept before the message was planned
    return found
