"""The report: a folder of HTML pages with inline SVG that ask nothing of the outside."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from caravan.config.kpis import load_kpis
from caravan.core.window import to_utc_naive
from caravan.reporting import folder, site
from caravan.warehouse.port import Session

STALE_AFTER = timedelta(hours=48)
"""A channel that delivers daily has then missed a day and has had another one to make up for it."""


def render(
    session: Session,
    target_dir: Path,
    now: datetime,
    title: str = "Sales report",
    *,
    stale_after: timedelta = STALE_AFTER,
) -> Path:
    """Write all pages of one snapshot, put them in place of the old ones by one rename, and return the first.

    `now`: UTC; what "hours since" counts from. Tables that are not built yet count as empty.
    """
    moment = to_utc_naive(now)
    pages = site.build(session, moment, title, stale_after, load_kpis())
    return folder.swap(target_dir, pages, moment.strftime("%Y%m%dT%H%M%S%f"))
