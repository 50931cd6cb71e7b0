"""One answer of a made-up shop, read; rows of a table as dicts by column."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa

from caravan.clients.crawl.extract import Extractor
from caravan.clients.crawl.tables import TABLES
from caravan.core.crawl import Answer, Ask, Extracted, Kind, Limits, Scope

URL = "https://shop.test/de/seite.html"
LIMITS = Limits()
SCOPE = Scope(hosts=frozenset(("shop.test",)), dropped_parameters=frozenset(("utm_source",)))


def answer_of(
    body: str | bytes = "",
    url: str = URL,
    status: int | None = 200,
    headers: tuple[tuple[str, str], ...] = (),
    **more: Any,
) -> Answer:
    content = body.encode() if isinstance(body, str) else body
    named = {name for name, _ in headers}
    usual = () if "content-type" in named else (("content-type", "text/html; charset=utf-8"),)
    return Answer(Ask(url), datetime(2026, 3, 1, 2), status, headers=(*usual, *headers), body=content, **more)


def read(
    body: str | bytes = "", kind: Kind = "page", scope: Scope = SCOPE, limits: Limits = LIMITS, **more: Any
) -> Extracted:
    return Extractor(scope, limits).extract(answer_of(body, **more), kind)


def rows(extracted: Extracted, table: str) -> list[dict[str, Any]]:
    """As Parquet would give them back, so that what a column cannot hold fails here."""
    schema = TABLES[table]
    dicts = [dict(zip(schema.names, row, strict=True)) for row in extracted.rows.get(table, ())]
    found: list[dict[str, Any]] = pa.Table.from_pylist(dicts, schema=schema).to_pylist()
    return found


def page(extracted: Extracted) -> dict[str, Any]:
    (row,) = rows(extracted, "page")
    return row


def marks(extracted: Extracted) -> list[tuple[str, str | None, int]]:
    return [(row["name"], row["value"], row["count"]) for row in rows(extracted, "mark")]
