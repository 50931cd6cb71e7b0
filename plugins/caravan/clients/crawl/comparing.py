"""Tonight's crawl held against what was known: which issues are new, fixed or back, which pages came and went.

The ledger goes from crawl to crawl: each issue ever found, by check and url, with its state. An issue is closed only
by a comparable and complete crawl that judged the same address again and found nothing, or saw that it is no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from caravan.clients.crawl.facts import CrawlFacts

_INT, _TEXT, _AT = pa.int64(), pa.string(), pa.timestamp("us")

LEDGER = pa.schema(
    {
        "check_id": _TEXT,
        "url": _TEXT,
        "severity": _TEXT,  # when it was last seen
        "category": _TEXT,
        "market_code": _TEXT,
        "page_key": _INT,
        "state": _TEXT,  # open, fixed, gone
        "first_seen_at": _AT,
        "last_seen_at": _AT,
        "state_since": _AT,
        "regressed_count": _INT,
        "change": _TEXT,  # tonight: new, regressed, still, fixed, gone, unverified; NULL
        "other_urls": pa.list_(_TEXT),  # pages that it is about besides its own, as it was last seen; some of them
    }
)
PAGE_CHANGE = pa.schema(
    {
        "change": _TEXT,  # added, removed, moved, changed
        "page_key": _INT,
        "url": _TEXT,
        "market_code": _TEXT,
        "status_code": _INT,
        "other_url": _TEXT,  # where what moved is now
    }
)
PAGE_TEXT = pa.schema(
    {
        "page_key": _INT,
        "url": _TEXT,
        "text_hash": _INT,
        "since": pa.date32(),  # the UTC day whose crawl first read the text; NULL where it may be older
    }
)
"""Of what search engines may show."""
PAGE_TEXTS = "page_text.parquet"
ASKED = "unread_sitemap"
"""Views, besides those that checks and the script ask for."""
_BY_SITEMAPS = frozenset(("listed_page", "page_to_list", "page_of_sitemap_hreflang", "announced_page"))
"""Views of what sitemaps list: a page that is not in them tonight may be in one that was not read."""


@dataclass(frozen=True)
class Evaluated:
    """A check that fired or passed. `over`: the view whose rows it judged. `rests_on`: `config.site_checks.RestsOn`."""

    check_id: str
    version: int
    over: str
    rests_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """`is_comparable`: the last crawl asked the same of the same site. `is_complete`: this one saw enough of it."""

    at: datetime
    is_comparable: bool
    is_complete: bool


def compare(
    facts: CrawlFacts,
    script: str,
    evaluated: Iterable[Evaluated],
    evaluated_before: Mapping[str, int],
    known: pa.Table | None,
    standing: Standing,
    known_texts: pa.Table | None = None,
) -> None:
    """Make `ledger`, `page_text` and `page_change` in the database of `facts`, after the audit.

    `script`: include/checks/site/after/comparison.sql. `evaluated_before`: check to version, of the last crawl.
    `known`: its ledger, None before there was one. `known_texts`: PAGE_TEXT, the same.
    """
    # One that an older version wrote has fewer columns.
    ledgers = [LEDGER.empty_table(), *([known] if known is not None else [])]
    facts.register("known", pa.concat_tables(ledgers, promote_options="default").cast(LEDGER))
    facts.register("known_text", (known_texts if known_texts is not None else PAGE_TEXT.empty_table()).cast(PAGE_TEXT))
    facts.register(
        "comparison",
        pa.table(
            {
                "crawled_at": pa.array([standing.at], _AT),
                "is_comparable": [standing.is_comparable],
                "is_complete": [standing.is_complete],
            }
        ),
    )
    unknown = _BY_SITEMAPS if facts.count("unread_sitemap") else frozenset()
    evaluated = list(evaluated)
    resting = [(each.check_id, what) for each in evaluated for what in each.rests_on]
    columns = {"check_id": [check_id for check_id, _ in resting], "rests_on": [what for _, what in resting]}
    facts.register("resting", pa.table(columns, pa.schema({"check_id": _TEXT, "rests_on": _TEXT})))
    same = [
        each
        for each in evaluated
        if standing.is_comparable and evaluated_before.get(each.check_id) == each.version and each.over not in unknown
    ]
    over = {"check_id": [each.check_id for each in same], "over": [each.over for each in same]}
    facts.register("compared", pa.table(over, pa.schema({"check_id": _TEXT, "over": _TEXT})))
    facts.rows("CREATE TEMP TABLE judged (check_id VARCHAR, url VARCHAR)")
    for each in same:
        facts.rows(
            "INSERT INTO judged SELECT DISTINCT known.check_id, known.url FROM known "
            f"SEMI JOIN {each.over} AS looked_at ON known.url = looked_at.url "
            "WHERE known.check_id = $check_id AND known.state = 'open'",
            {"check_id": each.check_id},
        )
    facts.run_script(script)


def write(facts: CrawlFacts, folder: Path) -> None:
    """`ledger.parquet`, `page_change.parquet` and `page_text.parquet`."""
    facts.write("SELECT * FROM ledger ORDER BY check_id, url", LEDGER, folder / "ledger.parquet")
    facts.write("SELECT * FROM page_change ORDER BY change, url", PAGE_CHANGE, folder / "page_change.parquet")
    facts.write("SELECT * FROM page_text ORDER BY page_key", PAGE_TEXT, folder / PAGE_TEXTS)
