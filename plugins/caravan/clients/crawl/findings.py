"""What a report tells of an audited crawl, asked of the database in which the audit and the comparison ran.

Lists are cut off where they are read: a site may have a million issues, and a page shows some.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from caravan.clients.crawl.facts import CrawlFacts
from caravan.core.site_audit import Ended, Issue, PageChange, Pages, Slow, Suppressed

ASKED = "known_page indexable kept_page"
"""Views, besides those that checks and comparison ask for."""

SUPPRESSION = pa.schema({"check_id": pa.string(), "urls": pa.string(), "owner": pa.string(), "reason": pa.string()})
"""`urls`: a regular expression; NULL for any address."""
NEWEST_FIRST = "CASE change WHEN 'new' THEN 0 WHEN 'regressed' THEN 1 WHEN 'still' THEN 2 ELSE 3 END"
_AT_ONCE = 10_000


def suppress(facts: CrawlFacts, script: str, suppressions: Iterable[Mapping[str, object]]) -> None:
    """After the comparison, and before anything here is asked. `script`: include/checks/site/after/suppression.sql.
    `suppressions`: rows of SUPPRESSION."""
    facts.register("suppression", pa.Table.from_pylist([dict(each) for each in suppressions], schema=SUPPRESSION))
    facts.run_script(script)


def pages(facts: CrawlFacts) -> Pages:
    ((known, indexable, judged, with_error),) = facts.rows(
        """
        WITH judged AS (
            SELECT page_key, url FROM known_page
            WHERE outcome IN ('fetched', 'not_modified', 'failed') AND state <> 'redirect'
        )
        SELECT
            (SELECT COUNT(*) FROM known_page),
            (SELECT COUNT(*) FROM indexable ANTI JOIN kept_page USING (page_key)),
            (SELECT COUNT(*) FROM judged),
            (SELECT COUNT(*) FROM judged SEMI JOIN (
                SELECT url FROM open_issue WHERE severity = 'error' AND NOT is_suppressed
            ) AS wrong ON judged.url = wrong.url)
        """
    )
    return Pages(known, indexable, judged, with_error)


def issues(facts: CrawlFacts, of_check: int) -> dict[str, list[Issue]]:
    """By check; of each the newest `of_check`, in order of their market and address."""
    rows = facts.rows(
        f"""
        SELECT * EXCLUDE (is_suppressed) FROM open_issue WHERE NOT is_suppressed
        QUALIFY ROW_NUMBER() OVER (PARTITION BY check_id ORDER BY {NEWEST_FIRST}, market_code, url) <= $most
        ORDER BY check_id, {NEWEST_FIRST}, market_code, url
        """,
        {"most": of_check},
    )
    found: dict[str, list[Issue]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(Issue(*row[:7]))
    return found


def open_counts(facts: CrawlFacts) -> dict[str, int]:
    """By check."""
    return dict(facts.rows("SELECT check_id, COUNT(*) FROM open_issue WHERE NOT is_suppressed GROUP BY check_id"))


def suppressed(facts: CrawlFacts) -> list[Suppressed]:
    rows = facts.rows(
        "SELECT open_issue.check_id, issue_suppression.reason, COUNT(*) FROM open_issue"
        " INNER JOIN issue_suppression USING (check_id, url) GROUP BY ALL ORDER BY ALL"
    )
    return [Suppressed(*row) for row in rows]


def change_counts(facts: CrawlFacts) -> dict[str, int]:
    """Issues by what became of them: new, regressed, still, fixed, gone, unverified."""
    return dict(facts.rows("SELECT change, COUNT(*) FROM ledger WHERE change IS NOT NULL GROUP BY change"))


def ended(facts: CrawlFacts, most: int) -> list[Ended]:
    rows = facts.rows(
        "SELECT check_id, url, market_code, change FROM ledger WHERE change IN ('fixed', 'gone')"
        " ORDER BY change, check_id, url LIMIT $most",
        {"most": most},
    )
    return [Ended(*row) for row in rows]


def page_changes(facts: CrawlFacts, of_each: int) -> list[PageChange]:
    """By change; of each the first in order of addresses."""
    rows = facts.rows(
        "SELECT change, url, market_code, status_code, other_url FROM page_change"
        " QUALIFY ROW_NUMBER() OVER (PARTITION BY change ORDER BY url) <= $most ORDER BY change, url",
        {"most": of_each},
    )
    return [PageChange(*row) for row in rows]


def page_change_counts(facts: CrawlFacts) -> dict[str, int]:
    return dict(facts.rows("SELECT change, COUNT(*) FROM page_change GROUP BY change"))


def slowest(facts: CrawlFacts, most: int) -> list[Slow]:
    rows = facts.rows(
        "SELECT url, ttfb_ms, total_ms FROM known_page WHERE ttfb_ms IS NOT NULL AND total_ms IS NOT NULL"
        " ORDER BY total_ms DESC, url LIMIT $most",
        {"most": most},
    )
    return [Slow(*row) for row in rows]


def open_rows(facts: CrawlFacts) -> Iterator[tuple[Any, ...]]:
    """Every open issue, the worst first: severity, category, check_id, market_code, url, change, first_seen_at,
    affected_count, evidence, revenue (not known here), is_suppressed. Nothing else may be asked until the last one was
    taken."""
    ranks = "CASE severity WHEN 'error' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END"
    cursor = facts.cursor(
        "SELECT severity, category, check_id, market_code, url, change, first_seen_at, affected_count, evidence, NULL,"
        f" is_suppressed FROM open_issue ORDER BY {ranks}, check_id, market_code, url"
    )
    while rows := cursor.fetchmany(_AT_ONCE):
        yield from rows
