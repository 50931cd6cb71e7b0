"""All checks of the site audit over the tables of 100,000 generated pages with four million links.

    python tests/bench/site_audit.py [--pages 100000] [--dir DIR] [--slowest 15]

A shop in eight markets: 40 links, eight alternates, ten images, twenty passages and fifteen nodes of JSON-LD a page,
its prices and stock beside them, and a crawl before, which is the same. Some pages redirect, are gone, are not to be
indexed, or link with words that say nothing. The audit has a process of its own, whose processor time, wall time and
peak memory are told, with the statements that cost most. Fails over 60 seconds of processor time, and where a check
is broken. The goal is 30.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
FLOOR_S, GOAL_S = 60, 30
PARTS = 20
MARKETS = (
    ("US", "en-US", "USD"),
    ("DE", "de-DE", "EUR"),
    ("FR", "fr-FR", "EUR"),
    ("JP", "ja-JP", "JPY"),
    ("GB", "en-GB", "GBP"),
    ("SE", "sv-SE", "SEK"),
    ("BR", "pt-BR", "BRL"),
    ("AU", "en-AU", "AUD"),
)
PREVIOUS = ("page", "sitemap_url", "robots", "host")

# Page `i` shows product `i // 8` in market `i % 8`. Of what is linked to, some is in every page's navigation.
MADE = """
CREATE TABLE market AS
SELECT * FROM (VALUES {markets}) AS listed (number, market_code, code, currency_code);

CREATE TABLE made AS
SELECT
    i,
    i // 8 AS product,
    market.*,
    (HASH(i) >> 1)::BIGINT AS page_key,
    'https://shop.example.com/' || LOWER(code) || '/category-' || (i // 8) % 97 || '/product-' || i // 8 AS url,
    CASE WHEN i % 100 = 7 THEN 404 WHEN i % 100 = 53 THEN 301 ELSE 200 END AS status_code,
    'Product ' || i // 8 AS name
FROM RANGE({pages}) AS numbers (i) INNER JOIN market ON i % 8 = market.number;

CREATE TABLE ok AS SELECT * FROM made WHERE status_code = 200;
"""
TABLES = {
    "page": """
        SELECT
            page_key, url, 'shop.example.com' AS host, 'page' AS kind, i % 7 AS depth, 'fetched' AS outcome,
            TIMESTAMP '2026-03-01 02:00:00' AS requested_at, 1 AS attempt_count, status_code,
            CASE WHEN status_code = 301 THEN (HASH(i + 8) >> 1)::BIGINT END AS location_key,
            CASE WHEN status_code = 301 THEN url || '8' END AS location_url,
            status_code = 301 AS location_is_internal,
            20 + i % 800 AS ttfb_ms, 100 + i % 900 AS total_ms, 9000 AS wire_bytes, 9000 + i % 50000 AS body_bytes,
            FALSE AS is_truncated, 'text/html' AS media_type, 'text/html' AS sniffed_type, 'gzip' AS content_encoding,
            status_code = 200 AS is_html, 'utf-8' AS charset, 'header' AS charset_source, TRUE AS has_early_charset,
            FALSE AS has_replaced_bytes, code AS language_code, 300 + i % 1300 AS element_count,
            name || ' in ' || market_code || ' and so many words more' AS title, 1 AS title_count,
            400 AS title_pixels,
            REPEAT('All about ' || product % 12000 || ' in ' || code || '. ', 3) AS description,
            1 AS description_count, name AS h1, 1 AS h1_count,
            CASE WHEN i % 100 = 11 THEN ['noindex'] ELSE [] END AS robots_html, [] AS robots_http,
            'width=device-width' AS viewport, LIST_TRANSFORM(RANGE(20), each -> 'id' || each) AS ids,
            CASE WHEN code <> 'ja-JP' THEN 400 END AS word_count,
            CASE WHEN code <> 'ja-JP' THEN 20 END AS sentence_count,
            CASE WHEN code <> 'ja-JP' THEN 90 END AS long_word_count, 2000 AS character_count,
            (HASH(CASE WHEN i % 50 = 1 THEN 1 ELSE -i END) >> 1)::BIGINT AS text_hash,
            HASH(-i)::HUGEINT - 9223372036854775808 AS simhash,
            LEFT(code, 2) AS detected_language, LEFT(code, 2) AS title_language
        FROM made
    """,
    "link": """
        WITH numbered AS (
            SELECT
                ok.page_key, ok.number, each AS position,
                CASE
                    WHEN each < 12 THEN each * 8 + ok.number
                    ELSE (HASH(ok.i * 40 + each) % ({pages} // 8))::BIGINT * 8 + ok.number
                END AS target
            FROM ok, RANGE(40) AS places (each)
        )
        SELECT
            numbered.page_key, numbered.position, 'a' AS tag, []::VARCHAR[] AS rel, made.url AS target_url,
            made.page_key AS target_key, TRUE AS is_internal, FALSE AS is_nofollow, FALSE AS is_in_head,
            CASE WHEN numbered.target % 50 = 1 AND numbered.position >= 12 THEN 'Read more' ELSE made.name END AS text,
            CASE WHEN numbered.position = 39 THEN 'id' || numbered.target % 22 END AS fragment
        FROM numbered INNER JOIN made ON numbered.target = made.i
    """,
    "canonical": """
        SELECT
            page_key, 'html' AS source, url AS href, url AS target_url, page_key AS target_key, TRUE AS is_internal,
            TRUE AS is_in_head
        FROM ok
    """,
    "hreflang": """
        SELECT
            ok.page_key, 'html' AS source, other.code, other.url AS href, other.url AS target_url,
            other.page_key AS target_key, TRUE AS is_in_head
        FROM ok INNER JOIN made AS other ON ok.product = other.product
        WHERE (ok.i + 3 * other.number) % 100 <> 0
    """,
    "image": """
        SELECT
            page_key, each AS position, 'https://shop.example.com/images/' || (i * 10 + each) % 35000 AS target_url,
            (HASH((i * 10 + each) % 35000) >> 1)::BIGINT AS target_key, TRUE AS is_internal, 'x' AS alt,
            each % 5 <> 0 AS has_size
        FROM ok, RANGE(10) AS places (each)
    """,
    "passage": """
        SELECT
            page_key, each AS position, 80 AS character_count,
            (HASH(CASE WHEN each < 3 THEN each ELSE i * 20 + each END) >> 1)::BIGINT AS text_hash
        FROM ok, RANGE(20) AS places (each)
    """,
    "structured": """
        WITH offered AS (
            SELECT
                *,
                JSON_OBJECT(
                    '@type', 'Offer', 'price', i % 90 + 9 || '.99', 'priceCurrency', currency_code,
                    'availability', 'https://schema.org/InStock', 'url', url
                ) AS offer,
                JSON_OBJECT('@type', 'AggregateRating', 'ratingValue', 4.4, 'reviewCount', 12) AS rating,
                JSON_OBJECT('@type', 'Person', 'name', 'Ann Example') AS author,
                JSON_OBJECT('@type', 'Rating', 'ratingValue', 5) AS stars
            FROM ok
        ),
        described AS (
            SELECT
                *,
                JSON_OBJECT(
                    '@type', 'Review', 'author', author, 'datePublished', '2026-01-02', 'reviewRating', stars,
                    'reviewBody', REPEAT('A good lamp, it lights the room and looks well. ', 3)
                ) AS review,
                LIST_TRANSFORM(
                    RANGE(1, 4),
                    each -> JSON_OBJECT(
                        '@type', 'ListItem', 'position', each, 'name', 'Step ' || each,
                        'item', 'https://shop.example.com/' || each
                    )
                ) AS steps
            FROM offered
        ),
        listed AS (
            SELECT
                page_key,
                UNNEST([
                    {{'block': 0, 'path': '$', 'type': 'Product', 'content': JSON_OBJECT(
                        '@context', 'https://schema.org', '@type', 'Product', 'name', name, 'sku', 'SKU-' || product,
                        'image', [url || '/1.jpg', url || '/2.jpg'], 'description', REPEAT('A lamp for the room. ', 8),
                        'brand', JSON_OBJECT('@type', 'Brand', 'name', 'Lamps'), 'offers', offer,
                        'aggregateRating', rating, 'review', [review, review, review]
                    )}},
                    {{'block': 0, 'path': '$.offers', 'type': 'Offer', 'content': offer}},
                    {{'block': 0, 'path': '$.aggregateRating', 'type': 'AggregateRating', 'content': rating}},
                    {{'block': 0, 'path': '$.review[0]', 'type': 'Review', 'content': review}},
                    {{'block': 0, 'path': '$.review[0].author', 'type': 'Person', 'content': author}},
                    {{'block': 0, 'path': '$.review[0].reviewRating', 'type': 'Rating', 'content': stars}},
                    {{'block': 0, 'path': '$.review[1]', 'type': 'Review', 'content': review}},
                    {{'block': 0, 'path': '$.review[1].author', 'type': 'Person', 'content': author}},
                    {{'block': 0, 'path': '$.review[1].reviewRating', 'type': 'Rating', 'content': stars}},
                    {{'block': 1, 'path': '$', 'type': 'BreadcrumbList', 'content': JSON_OBJECT(
                        '@context', 'https://schema.org', '@type', 'BreadcrumbList', 'itemListElement', steps
                    )}},
                    {{'block': 1, 'path': '$.itemListElement[0]', 'type': 'ListItem', 'content': steps[1]}},
                    {{'block': 1, 'path': '$.itemListElement[1]', 'type': 'ListItem', 'content': steps[2]}},
                    {{'block': 1, 'path': '$.itemListElement[2]', 'type': 'ListItem', 'content': steps[3]}},
                    {{'block': 2, 'path': '$', 'type': 'Organization', 'content': JSON_OBJECT(
                        '@context', 'https://schema.org', '@type', 'Organization', 'name', 'Lamps',
                        'url', 'https://shop.example.com/', 'email', 'shop@example.com'
                    )}},
                    {{'block': 3, 'path': '$', 'type': 'WebPage', 'content': JSON_OBJECT(
                        '@context', 'https://schema.org', '@type', 'WebPage', 'dateModified', '2026-02-01T10:00:00Z'
                    )}}
                ]) AS each,
                GENERATE_SUBSCRIPTS(RANGE(15), 1) AS node
            FROM described
        )
        SELECT page_key, each.block, node, each.path, [each.type] AS types, each.content::VARCHAR AS content FROM listed
    """,
    "header": """
        SELECT
            page_key,
            UNNEST([
                'content-type', 'date', 'server', 'etag', 'cache-control', 'vary', 'strict-transport-security',
                'x-frame-options', 'referrer-policy', 'content-security-policy'
            ]) AS name,
            'some value of it' AS value
        FROM made
    """,
    "heading": """
        SELECT page_key, each AS position, 1 + (each > 0)::INT + each % 2 AS level, 'Heading ' || each AS text
        FROM ok, RANGE(5) AS places (each)
    """,
    "meta": """
        SELECT
            page_key, UNNEST(['description', 'viewport', 'og:type', 'og:title']) AS name, 'x' AS content,
            TRUE AS is_in_head
        FROM ok
    """,
    "mark": """
        SELECT
            page_key, UNNEST(['visible-price', 'visible-availability']) AS name,
            UNNEST([i % 90 + 9 || '.99 ' || currency_code, 'in_stock']) AS value, 1 AS count,
            UNNEST([(i % 90 + 9.99)::DECIMAL(18, 4), NULL]) AS amount,
            UNNEST([[currency_code], NULL]) AS currency_codes
        FROM ok
    """,
    "sitemap": """
        SELECT
            1 AS sitemap_key, 'https://shop.example.com/sitemap.xml' AS url, 'robots' AS declared_in, 'urlset' AS kind,
            'fetched' AS outcome, 200 AS status_code, 1000 AS byte_count, {pages} AS url_count
    """,
    "sitemap_url": """
        SELECT
            'https://shop.example.com/sitemap.xml' AS sitemap_url, page_key, url, i AS position,
            '2026-02-01' AS lastmod, TIMESTAMP '2026-02-01' AS lastmod_at
        FROM made WHERE i % 10 <> 0
    """,
    "robots": """
        SELECT
            'shop.example.com' AS host, 'https://shop.example.com/robots.txt' AS url, 'read' AS outcome,
            200 AS status_code, 'User-agent: *' AS content
    """,
    "seed": "SELECT page_key, url, 'start' AS source FROM made WHERE i = 0",
    "host": """
        SELECT
            'shop.example.com' AS host, TRUE AS is_https, {pages} AS request_count,
            TIMESTAMP '2027-01-01' AS certificate_ends_at,
            TRUE AS is_probed, 1234 AS missing_page_hash, 404 AS missing_page_status
    """,
}
INPUTS = {
    "market": """
        SELECT
            market_code, '/' || LOWER(code) || '/' AS prefix, [code] AS locales, currency_code,
            'https://shop.example.com/' || LOWER(code) || '/category-0/product-0' AS home_url
        FROM market
    """,
    "price": """
        SELECT
            market_code, 'SKU-' || product AS sku, (i % 90 + CASE WHEN i % 40 = 0 THEN 1 ELSE 9.99 END) AS price,
            currency_code, TIMESTAMP '2026-01-01' AS valid_from
        FROM made
    """,
    "stock": """
        SELECT
            market_code, 'SKU-' || product AS sku, TIMESTAMP '2026-01-01' AS valid_from,
            CASE WHEN i % 40 = 1 THEN 'out_of_stock' ELSE 'in_stock' END AS availability
        FROM made
    """,
    "link_score": """
        SELECT page_key, (i % 1000) / 10.0 AS score, (i % 1000) / 10.0 AS previous_score FROM made
    """,
}


def generate(folder: Path, pages: int) -> None:
    from caravan.clients.crawl import tables
    from caravan.clients.crawl.facts import INPUT_TABLES

    of_inputs = {name: schema for needed in INPUT_TABLES.values() for name, schema in needed.items()}
    listed = ", ".join(f"({number}, '{code}', '{tag}', '{money}')" for number, (code, tag, money) in enumerate(MARKETS))
    with duckdb.connect() as made:
        made.execute(MADE.format(markets=listed, pages=pages))
        for statements, schemas in ((TABLES, tables.TABLES), (INPUTS, of_inputs)):
            for name, sql in statements.items():
                rows = made.execute(sql.format(pages=pages)).to_arrow_table()
                write(folder / name, rows, schemas[name])


def write(folder: Path, rows: pa.Table, schema: pa.Schema) -> None:
    """In parts, as a crawl writes them; a column that is not given is NULL."""
    folder.mkdir()
    columns = [
        rows[each.name].cast(each.type) if each.name in rows.column_names else pa.nulls(len(rows), each.type)
        for each in schema
    ]
    table = pa.table(columns, schema=schema)
    size = len(table) // PARTS + 1
    for number in range(len(table) // size + 1):
        pq.write_table(table.slice(number * size, size), folder / f"part-{number:05d}.parquet", compression="zstd")


def audit_here(folder: Path, slowest: int) -> int:
    """In this process; prints what it took."""
    from caravan.clients.crawl import facts as facts_module
    from caravan.clients.crawl.facts import CrawlFacts
    from caravan.config.site_checks import load_site_checks
    from caravan.functions.site.audit import audit

    took: dict[str, float] = {}
    make_views = facts_module._make_views

    def timed(connection: duckdb.DuckDBPyConnection, statements: Sequence[str]) -> None:
        for statement in statements:
            began = time.process_time()
            make_views(connection, [statement])
            name = next(line for line in statement.splitlines() if line.startswith("CREATE"))
            took[name.removeprefix("CREATE TEMP ").removesuffix(" AS")] = time.process_time() - began

    facts_module._make_views = timed
    inputs = {name: folder / name for name in INPUTS} | {f"previous_{name}": folder / name for name in PREVIOUS}
    catalogue = load_site_checks()
    start, began = cpu_seconds(), time.monotonic()
    with (
        tempfile.TemporaryDirectory(dir=folder) as scratch,
        CrawlFacts(folder, catalogue.script(), Path(scratch), inputs) as facts,
    ):
        views = cpu_seconds() - start
        verdicts = []
        for check in catalogue.checks:
            before = time.process_time()
            verdicts += audit(facts, [check])
            took[check.id] = time.process_time() - before
    cpu, wall = cpu_seconds() - start, time.monotonic() - began
    for name, seconds in sorted(took.items(), key=lambda each: -each[1])[:slowest]:
        print(f"{seconds:6.2f} CPU s  {name}")
    broken = [f"{each.check.id}: {each.reason}" for each in verdicts if each.is_broken]
    print(*broken, sep="\n", end="\n" if broken else "")
    outcomes = [each.outcome for each in verdicts]
    told = ", ".join(f"{outcomes.count(name)} {name}" for name in ("fired", "passed", "not_evaluated"))
    print(f"{len(verdicts)} checks: {told}; {sum(each.issue_count for each in verdicts):,} issues")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"views {views:.1f} CPU s, checks {cpu - views:.1f}; together {cpu:.1f} CPU s, {wall:.1f} s, peak {peak:.0f} MB"
    )
    print(f"floor {FLOOR_S} CPU s, goal {GOAL_S}")
    return 1 if broken or cpu > FLOOR_S else 0


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--slowest", type=int, default=15)
    parser.add_argument("--audit", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.audit:
        return audit_here(given.audit, given.slowest)
    with tempfile.TemporaryDirectory(prefix="caravan-audit-", dir=given.dir) as folder:
        began = time.monotonic()
        generate(Path(folder), given.pages)
        print(f"{given.pages:,} pages generated in {time.monotonic() - began:.0f} s", flush=True)
        command = [sys.executable, "-P", __file__, "--audit", folder, "--slowest", str(given.slowest)]
        environ = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
        return subprocess.run(command, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
