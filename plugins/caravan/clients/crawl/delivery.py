"""A crawl with its audit as Parquet files for the warehouse, one for each of its tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from caravan.clients.crawl.facts import CrawlFacts

ASKED = "indexable internal_link"
"""Views that `internal_links` asks, besides those of checks."""

_INT, _TEXT, _BOOL, _AT = pa.int64(), pa.string(), pa.bool_(), pa.timestamp("us")
_TYPES = {"str": _TEXT, "str | None": _TEXT, "int": _INT, "bool": _BOOL, "date": pa.date32(), "datetime": _AT}

REVENUE = pa.schema({"market_code": _TEXT, "sku": _TEXT, "amount": pa.decimal128(18, 4)})
"""Of 28 days, in the base currency; 0 for a product that is known and earned nothing."""
VERDICT = pa.schema(
    {
        **dict.fromkeys(("check_id", "severity", "category", "outcome", "reason"), _TEXT),
        **dict.fromkeys(("check_version", "judged_count", "issue_count", "affected_count"), _INT),
    }
)


@dataclass(frozen=True)
class Stamp:
    """What all rows of a crawl carry, and the crawl itself. Times are UTC without zone."""

    site_code: str
    crawl_id: str
    crawl_date: date
    load_id: str
    started_at: datetime
    ended_at: datetime
    expected_count: int
    seen_count: int
    is_complete: bool
    incomplete_reason: str | None
    is_comparable: bool
    not_comparable_reason: str | None
    config_hash: str
    currency_code: str
    """Of revenue: the base currency."""
    sales_problem: str | None
    """Why it is not known what anything earned."""
    market_default: str


def internal_links(facts: CrawlFacts) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Page keys of indexable pages, and followed links between them by their numbers in that list."""
    keys = [int(key) for (key,) in facts.rows("SELECT page_key FROM indexable ORDER BY page_key")]
    facts.register("numbered", pa.table({"page_key": pa.array(keys, _INT), "number": np.arange(len(keys))}))
    found = facts.rows(
        "SELECT s.number, t.number FROM internal_link AS l JOIN numbered AS s ON l.page_key = s.page_key "
        "JOIN numbered AS t ON l.target_key = t.page_key WHERE NOT l.is_nofollow"
    )
    links = np.array(found, dtype=np.int64).reshape(-1, 2)
    return keys, links[:, 0], links[:, 1]


def deliver(
    facts: CrawlFacts,
    script: str,
    stamp: Stamp,
    verdicts: Iterable[Mapping[str, object]],
    revenue: pa.Table,
    columns: Mapping[str, Mapping[str, str]],
    folder: Path,
) -> dict[str, Path]:
    """`script`: include/checks/site/after/delivery.sql. `columns`: of each table, name to DuckDB type, in
    order; those that `stamp` has are filled from it, the others from what the script makes."""
    schema = pa.schema([(field.name, _TYPES[str(field.type)]) for field in fields(stamp)])
    facts.register("stamp", pa.Table.from_pylist([asdict(stamp)], schema=schema))
    facts.register("verdict", pa.Table.from_pylist([dict(each) for each in verdicts], schema=VERDICT))
    facts.register("revenue", revenue.cast(REVENUE))
    facts.run_script(script)
    paths = {}
    for name, wanted in columns.items():
        made = set(facts.columns(f"SELECT * FROM delivered_{name}", {}))
        values = ", ".join(
            f"CAST({'d' if column in made else 's'}.{column} AS {kind}) AS {column}" for column, kind in wanted.items()
        )
        paths[name] = folder / f"delivered_{name}.parquet"
        facts.copy(f"SELECT {values} FROM delivered_{name} AS d CROSS JOIN stamp AS s", paths[name])
    return paths
