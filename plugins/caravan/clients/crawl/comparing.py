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


@dataclass(frozen=True)
class Asked:
    """A check whose inputs were there. `judges`: the rows that it judged, as they stand behind FROM; perhaps none."""

    check_id: str
    version: int
    judges: str


@dataclass(frozen=True)
class Standing:
    """`is_comparable`: the last crawl asked the same of the same site. `is_complete`: this one saw enough of it."""

    at: datetime
    is_comparable: bool
    is_complete: bool


def compare(
    facts: CrawlFacts,
    script: str,
    asked: Iterable[Asked],
    asked_before: Mapping[str, int],
    known: pa.Table | None,
    standing: Standing,
    known_texts: pa.Table | None = None,
) -> None:
    """Make `ledger`, `page_text` and `page_change` in the database of `facts`, after the audit.

    `script`: include/checks/site/after/comparison.sql. `asked_before`: check to version, of the last crawl.
    `known`: its ledger, None before there was one. `known_texts`: PAGE_TEXT, the same.
    """
    # One that an older version wrote has other columns besides.
    facts.register("known", (known if known is not None else LEDGER.empty_table()).select(LEDGER.names).cast(LEDGER))
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
    same = [each for each in asked if standing.is_comparable and asked_before.get(each.check_id) == each.version]
    compared = {"check_id": [each.check_id for each in same]}
    facts.register("compared", pa.table(compared, pa.schema({"check_id": _TEXT})))
    facts.rows("CREATE TEMP TABLE judged (check_id VARCHAR, url VARCHAR)")
    waiting = {check_id for (check_id,) in facts.rows("SELECT DISTINCT check_id FROM known WHERE state = 'open'")}
    for each in same:
        if each.check_id not in waiting:
            continue
        facts.rows(
            "INSERT INTO judged SELECT DISTINCT known.check_id, known.url FROM known "
            f"SEMI JOIN {each.judges} AS looked_at ON known.url = looked_at.url "
            "WHERE known.check_id = $check_id AND known.state = 'open'",
            {"check_id": each.check_id},
        )
    facts.run_script(script)


def write(facts: CrawlFacts, folder: Path) -> None:
    """`ledger.parquet`, `page_change.parquet` and `page_text.parquet`."""
    facts.write("SELECT * FROM ledger ORDER BY check_id, url", LEDGER, folder / "ledger.parquet")
    facts.write("SELECT * FROM page_change ORDER BY change, url", PAGE_CHANGE, folder / "page_change.parquet")
    facts.write("SELECT * FROM page_text ORDER BY page_key", PAGE_TEXT, folder / PAGE_TEXTS)
