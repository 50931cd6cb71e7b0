"""Tonight's crawl held against what was known: which issues are new, fixed or back, which pages came and went.

The ledger goes from crawl to crawl: each issue ever found, by check and url, with its state. An issue is closed only
by a comparable and complete crawl that judged the same address again and found nothing, or saw that it is no more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from caravan.clients.crawl import contents
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
PAGE_THERE = pa.schema({"page_key": _INT, "url": _TEXT, "text_hash": _INT, "is_read": pa.bool_()})
"""Of pages that are there, or were when they last said so: the text as it was last read, if ever."""


@dataclass(frozen=True)
class Known:
    """After the crawl before, complete or not. None: not known. `ledger`: LEDGER; `texts`: PAGE_TEXT; `there`:
    PAGE_THERE."""

    ledger: pa.Table | None = None
    texts: pa.Table | None = None
    there: pa.Table | None = None


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
    known: Known,
    standing: Standing,
) -> None:
    """Make `ledger`, `page_text`, `page_there` and `page_change` in the database of `facts`, after the audit.

    `script`: include/checks/site/after/comparison.sql. `asked_before`: check to version, as it was last asked.
    """
    # One that an older version wrote has other columns besides.
    there = known.there if standing.is_comparable else None
    for name, table, schema in (
        ("known", known.ledger, LEDGER),
        ("known_text", known.texts, PAGE_TEXT),
        ("there_before", there, PAGE_THERE),
    ):
        facts.register(name, (table if table is not None else schema.empty_table()).select(schema.names).cast(schema))
    facts.register(
        "comparison",
        pa.table(
            {
                "crawled_at": pa.array([standing.at], _AT),
                "is_comparable": [standing.is_comparable],
                "is_complete": [standing.is_complete],
                "knows_pages": [there is not None],
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
            f"SEMI JOIN {each.judges} AS looked_at "
            "ON PLACE_OF(known.page_key, known.url) = PLACE_OF(looked_at.page_key, looked_at.url) "
            "WHERE known.check_id = $check_id AND known.state = 'open'",
            {"check_id": each.check_id},
        )
    facts.run_script(script)


def write(facts: CrawlFacts, folder: Path) -> None:
    """What is known now, and `page_change.parquet`."""
    facts.write("SELECT * FROM ledger ORDER BY check_id, url", LEDGER, folder / contents.LEDGER)
    facts.write("SELECT * FROM page_change ORDER BY change, url", PAGE_CHANGE, folder / "page_change.parquet")
    facts.write("SELECT * FROM page_text ORDER BY page_key", PAGE_TEXT, folder / contents.PAGE_TEXTS)
    facts.write("SELECT * FROM page_there ORDER BY page_key", PAGE_THERE, folder / contents.PAGES_THERE)


def read_known(folder: Path | None, check_ids: Collection[str]) -> Known:
    """As `write` left it in a crawl's folder; issues of these checks."""
    if folder is None:
        return Known()

    def read(name: str, filters: Any = None) -> pa.Table | None:
        path = folder / name
        return pq.read_table(path, filters=filters) if path.exists() else None

    of_checks = [("check_id", "in", list(check_ids))]
    return Known(read(contents.LEDGER, of_checks), read(contents.PAGE_TEXTS), read(contents.PAGES_THERE))
