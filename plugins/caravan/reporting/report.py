"""The report: a folder of HTML pages with inline SVG that ask nothing of the outside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from caravan.config.kpis import load_kpis
from caravan.core.outbox import Traffic
from caravan.core.window import to_utc_naive
from caravan.reporting import folder, site
from caravan.reporting.operations import Expected
from caravan.warehouse.port import Session


def render(
    session: Session,
    target_dir: Path,
    now: datetime,
    title: str = "Caravan report",
    *,
    expected: Expected,
    outlets: Sequence[Traffic] = (),
) -> Path:
    """Write all pages of one snapshot, put them in place of the old ones by one rename, and return the first.

    `now`: UTC; what "hours since" counts from. `expected`: who delivers. `outlets`: how the outbox does now.
    Tables that are not built yet count as empty.
    """
    moment = to_utc_naive(now)
    pages = site.build(session, moment, title, expected, load_kpis(), outlets)
    return folder.swap(target_dir, pages, moment.strftime("%Y%m%dT%H%M%S%f"))
