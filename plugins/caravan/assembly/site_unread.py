"""Why a crawl read no page, of what hosts and addresses answered: for the command line and the DAG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from caravan.core.crawl import in_words

if TYPE_CHECKING:
    from caravan.clients.crawl.runs import Record

_TOLD = 5


@dataclass(frozen=True)
class Unread:
    """`hosts`: those that failed, each with why, in words. `is_refused`: one of them leads into a private network.
    `elsewhere`: where the first address leads, off the site. `answers`: of its addresses, as `404 (3), timeout (1)`."""

    hosts: Mapping[str, str]
    is_refused: bool
    elsewhere: str | None
    answers: str


def why_unread(folder: Path, record: Record) -> Unread:
    from caravan.clients.crawl.parts import open_views

    failed = record.certificate.failed_hosts
    with duckdb.connect() as tables:
        open_views(tables, folder)
        elsewhere = tables.execute(
            "SELECT location_url FROM page WHERE kind = 'page' AND NOT location_is_internal ORDER BY depth, url LIMIT 1"
        ).fetchone()
        answers = tables.execute(
            "SELECT COALESCE(CAST(status_code AS VARCHAR), reason, outcome) AS answer, COUNT(*) AS times FROM page"
            " WHERE kind = 'page' GROUP BY answer ORDER BY times DESC, answer LIMIT ?",
            [_TOLD],
        ).fetchall()
    return Unread(
        {host: in_words(reason) for host, reason in sorted(failed.items())},
        "refused_address" in failed.values(),
        elsewhere[0] if elsewhere is not None else None,
        ", ".join(f"{answer} ({times:,})" for answer, times in answers),
    )


def told_of_site(unread: Unread) -> str:
    """For whoever keeps the site's file."""
    if unread.is_refused:
        return "it leads to this machine or into a private network; `private_addresses: true` in its file allows that"
    if unread.hosts:
        return "; ".join(f"{host}: {why}" for host, why in unread.hosts.items())
    if unread.elsewhere is not None:
        return f"it redirects to {unread.elsewhere}, which is on none of its hosts; see `hosts` in its file"
    return f"its addresses answered {unread.answers}"
