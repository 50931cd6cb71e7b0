"""Crawls as an audit hands them to the warehouse, with rows that one can count by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from caravan.warehouse.catalog import Catalog
from caravan.warehouse.crawls import ENTITIES, PREFIX, Crawl, StoredCrawls
from caravan.warehouse.port import Warehouse
from caravan.warehouse.raw_tables import CRAWLS

TYPES = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "DECIMAL(18,4)": pa.decimal128(18, 4),
}
PAGE = {"url": "https://shop.test/", "market_code": "DE", "outcome": "fetched", "is_indexable": True}
ISSUE = {"check_id": "title-missing", "severity": "error", "market_code": "DE", "url": "https://shop.test/"}
ISSUE |= {"is_suppressed": False, "revenue_amount": Decimal("12.5"), "currency_code": "EUR"}
NIGHTLY: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "page": [{**PAGE, "page_key": 1}, {**PAGE, "page_key": 2, "url": "https://shop.test/a"}],
    "issue": [{**ISSUE, "state": "open", "change": "new"}, {**ISSUE, "url": "x", "state": "fixed", "change": "fixed"}],
    "check": [{"check_id": "title-missing", "outcome": "fired", "issue_count": 1, "judged_count": 2}],
    "page_change": [{"change": "added", "url": "https://shop.test/a", "page_key": 2, "market_code": "DE"}],
}


def load_crawl(
    warehouse: Warehouse,
    catalog: Catalog,
    folder: Path,
    began: datetime,
    rows: Mapping[str, Sequence[Mapping[str, Any]]] = NIGHTLY,
    site: str = "shop",
) -> dict[str, int]:
    """`rows`: by entity; the crawl's own row is made, complete and comparable, where it is not among them."""
    day: date = began.date()
    crawl = Crawl(site, f"{began:%Y-%m-%dT%H%M%S}", day, began, began + timedelta(minutes=9), "hash")
    own = {"started_at": began, "ended_at": crawl.ended_at, "expected_count": 2, "seen_count": 2}
    rows = {"crawl": [{**own, "is_complete": True, "is_comparable": True}], **rows}
    files = {}
    for name in ENTITIES:
        schema = pa.schema([(column, TYPES[kind]) for column, kind in CRAWLS[PREFIX + name].columns.items()])
        stamp = {"site_code": site, "crawl_id": crawl.crawl_id, "crawl_date": day, "load_id": "l"}
        files[name] = folder / f"{name}.parquet"
        pq.write_table(
            pa.Table.from_pylist([{**stamp, **row} for row in rows.get(name, [])], schema=schema), files[name]
        )
    return StoredCrawls(warehouse, catalog, "site_crawl_nightly", f"run{began:%H}").put(crawl, files, began)
