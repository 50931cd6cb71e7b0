"""What is told of a crawled site, as Parquet files: its pages for a sitemap, and what changed for search engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from caravan.clients.crawl.comparing import PAGE_TEXT
from caravan.clients.crawl.contents import PAGE_TEXTS
from caravan.clients.crawl.facts import CrawlFacts

_TEXT = pa.string()
SITEMAP_PAGE = pa.schema(
    {
        "url": _TEXT,
        "lastmod": pa.date32(),
        "alternates": pa.list_(pa.struct({"code": _TEXT, "url": _TEXT})),  # hreflang, in order
    }
)
TOLD_CHANGE = pa.schema({"change": _TEXT, "url": _TEXT})  # added, changed, moved, removed
_PAGES, _CHANGES = "sitemap_page.parquet", "told_change.parquet"
_AT_ONCE = 10_000


def write(facts: CrawlFacts, script: str, previous: Path | None, folder: Path) -> None:
    """Into `folder`, after the comparison. `script`: include/checks/site/after/announcement.sql. `previous`: the folder
    of the last complete crawl of the same configuration. Where what that one read is not known nothing has changed."""
    texts = previous / PAGE_TEXTS if previous is not None else None
    is_known = texts is not None and texts.exists()
    facts.register("previous_text", pq.read_table(texts) if is_known else PAGE_TEXT.empty_table())
    facts.run_script(script)
    facts.write("SELECT * FROM sitemap_page ORDER BY url", SITEMAP_PAGE, folder / _PAGES)
    changes = "SELECT * FROM told_change" if is_known else "SELECT * FROM told_change WHERE FALSE"
    facts.write(f"{changes} ORDER BY change, url", TOLD_CHANGE, folder / _CHANGES)


def is_written(folder: Path) -> bool:
    return (folder / _CHANGES).exists()


def pages(folder: Path, base_url: str) -> Iterator[tuple[str, str | None, dict[str, str]]]:
    """Of those below an address: URL, day of the last change, URLs of its alternates by BCP 47 tag; in order of URL."""
    with pq.ParquetFile(folder / _PAGES) as file:
        for batch in file.iter_batches(_AT_ONCE):
            for row in batch.to_pylist():
                if row["url"].startswith(base_url):
                    alternates = {each["code"]: each["url"] for each in row["alternates"]}
                    yield row["url"], row["lastmod"].isoformat() if row["lastmod"] else None, alternates


def changed(folder: Path) -> list[str]:
    """Addresses, each once: added, changed, moved, removed, each by itself in order."""
    return [str(url) for url in pq.read_table(folder / _CHANGES)["url"].to_pylist()]
