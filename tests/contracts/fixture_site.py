"""Small sites written down in YAML, as the tables that a crawl of them would have written. No network.

`site`: path, or whole address, to a page: the body's HTML in a page that is otherwise as it should be; or a mapping
with any of `status`, `headers`, `html` (the whole document), `head`, `body`, `links` (so many, in the body),
`alternates` (code to path) and the columns of `page` to set by hand, where a crawl would have to wait or to fail for
them.

Pages are read by the crawl's own extractor. `robots`, `sitemap`, `sitemap_url`, `hreflang` (of sitemaps), `host`,
`seed` and `inputs`: rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import pyarrow as pa

from caravan.clients.crawl.extract import Extractor
from caravan.clients.crawl.facts import INPUT_TABLES
from caravan.clients.crawl.tables import TABLES
from caravan.core.crawl import Answer, Ask, Limits, Scope

ORIGIN = "https://shop.test"
CRAWLED_AT = datetime(2026, 3, 1, 2, 0)
SCOPE = Scope(frozenset(["shop.test"]))
_ROWS = ("robots", "host", "seed", "sitemap", "sitemap_url", "hreflang")
HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "strict-transport-security": "max-age=31536000",
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
_PARTS = frozenset(["status", "headers", "html", "head", "body", "links", "alternates"])

Tables = dict[str, pa.Table]


def tables_of(case: Mapping[str, Any]) -> tuple[Tables, Tables]:
    """The crawl's tables, and those of its inputs."""
    unknown = set(case) - {"site", "at", "says", "inputs", *_ROWS}
    assert not unknown, f"{unknown} are no parts of a case"
    extractor = Extractor(SCOPE, Limits())
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for address, given in case["site"].items():
        _add_page(extractor, rows, urljoin(ORIGIN, address), {"body": given} if isinstance(given, str) else given)
    for name in _ROWS:
        rows[name] += [_keyed(extractor, row, TABLES[name]) for row in case.get(name, ())]
    known = {name: schema for tables in INPUT_TABLES.values() for name, schema in tables.items()}
    inputs = {
        name: _table([_keyed(extractor, row, known[name]) for row in found], known[name])
        for name, found in case.get("inputs", {}).items()
    }
    for tables in INPUT_TABLES.values():
        if set(tables) & set(inputs):  # the rest of an input is empty
            inputs = {name: _table([], schema) for name, schema in tables.items()} | inputs
    return {name: _table(found, TABLES[name]) for name, found in rows.items()}, inputs


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    unknown = {name for row in rows for name in row} - set(schema.names)
    assert not unknown, f"no such columns: {unknown}"
    return pa.Table.from_pylist(rows, schema=schema)


def _keyed(extractor: Extractor, row: Mapping[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """Paths made absolute, and `*_key` of every `*_url` (`page_key` and `sitemap_key` of `url`)."""
    full = {name: datetime.fromisoformat(str(value)) if name.endswith("_at") else value for name, value in row.items()}
    for name in [name for name in full if name == "url" or name.endswith("_url")]:
        full[name] = urljoin(ORIGIN, full[name])
        for key in ("page_key", "sitemap_key") if name == "url" else (name.removesuffix("_url") + "_key",):
            if key in schema.names:
                full.setdefault(key, extractor.targets.of_url(full[name]).key)
        if name not in schema.names:
            del full[name]  # it was given for its key
    return full


def document(url: str, given: Mapping[str, Any]) -> str:
    """A page that no check finds anything wrong with, round what is given."""
    path = urlsplit(url).path
    links = "".join(f'<a href="/{number}">{number}</a>' for number in range(given.get("links", 0)))
    alternates = "".join(
        f'<link rel="alternate" hreflang="{code}" href="{urljoin(ORIGIN, href)}">'
        for code, href in given.get("alternates", {}).items()
    )
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<title>All about the things that are sold at {path}</title>
<meta name="description" content="What is sold at {path} is described in full, with prices, sizes and reviews.">
<meta name="viewport" content="width=device-width">
<link rel="canonical" href="{url}">{given.get("head", "")}{alternates}</head>
<body><h1>Welcome to {path}</h1>{given.get("body", "")}{links}</body></html>"""


def _add_page(extractor: Extractor, rows: dict[str, list[dict[str, Any]]], url: str, given: Mapping[str, Any]) -> None:
    by_hand = {name: value for name, value in given.items() if name in TABLES["page"].names}
    unknown = set(given) - _PARTS - set(by_hand)
    assert not unknown, f"{url}: {unknown} are no parts of a page; is a comma inside braces quoted?"
    headers = {**HEADERS, **{name.lower(): value for name, value in given.get("headers", {}).items()}}
    status = given.get("status", 200)
    answer = Answer(
        Ask(url),
        CRAWLED_AT,
        status,
        reason=None if status else by_hand.get("reason", "timeout"),
        headers=[(name, value) for name, value in headers.items() if value is not None] if status else [],
        body=(given.get("html") or document(url, given)).encode() if status == 200 else b"",
        ttfb_ms=50,
        total_ms=60,
    )
    is_own = urlsplit(url).hostname in ("shop.test", "www.shop.test")
    for name, found in extractor.extract(answer, "page" if is_own else "external").rows.items():
        rows[name] += [dict(zip(TABLES[name].names, row, strict=True)) for row in found]
    rows["page"][-1].update(by_hand)
