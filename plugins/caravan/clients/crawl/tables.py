"""The tables that a crawl writes, the same columns for every site: `<folder>/<table>/part-00001.parquet`.

One row of `page` is one address that was asked for, or that was not and why. Redirects are not followed in passing: the
target is an address of its own, so that `page` equals the server's log. Whatever needs more than one row (chains,
inlinks, what is indexable) is asked of these tables in SQL (`include/checks/site/*.sql`).

`*_key`: 63 bits of BLAKE2b of an address's frontier key (`core/urls.py`); NULL where an address cannot be read.
`*_url`: absolute, as published. Times are UTC without zone. NULL is unknown, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

_KEY, _INT, _TEXT, _BOOL = pa.int64(), pa.int64(), pa.string(), pa.bool_()
_AT, _TEXTS = pa.timestamp("us"), pa.list_(pa.string())

PAGE = {
    "page_key": _KEY,
    "url": _TEXT,
    "host": _TEXT,
    "kind": _TEXT,  # page, resource (image, style, script of an own host), external
    "depth": _INT,  # the generation in which it was asked for: links from the nearest seed
    "outcome": _TEXT,  # fetched, not_modified, failed (no complete answer), blocked (robots.txt), refused (an address
    # that may not be asked), skipped (budget, trap, host unavailable)
    "reason": _TEXT,  # of every other outcome than fetched and not_modified; of a success that was not read whole
    # (size, timeout, broken, encoding) or is empty; no_location of a redirect that names no address
    "requested_at": _AT,
    "attempt_count": _INT,
    "status_code": _INT,
    "kept_status_code": _INT,  # of a page that could not be read tonight (failed, 5xx, broken off, left out) and was
    # before: what it answered then. All that it said then stands below and in the other tables, until it is read again
    "location_url": _TEXT,  # of a redirect, absolute
    "location_key": _KEY,
    "location_is_internal": _BOOL,
    "ttfb_ms": _INT,
    "total_ms": _INT,
    "wire_bytes": _INT,  # of the body, as sent
    "body_bytes": _INT,  # of the body, unpacked, as far as it was read
    "is_truncated": _BOOL,
    "media_type": _TEXT,  # of Content-Type, lower case, without parameters
    "sniffed_type": _TEXT,  # what the body begins like: text/html, application/pdf, image/png ...
    "content_encoding": _TEXT,
    "etag": _TEXT,
    "last_modified": _TEXT,
    # From here on NULL unless the body was read as HTML.
    "is_html": _BOOL,
    "charset": _TEXT,  # by which it was decoded
    "charset_source": _TEXT,  # bom, header, meta, assumed
    "has_early_charset": _BOOL,  # declared in the header, or in the first 1,024 bytes
    "has_replaced_bytes": _BOOL,  # some bytes were none of that charset
    "language_code": _TEXT,  # html lang, as written
    "element_count": _INT,
    "title": _TEXT,  # the first in head, white space collapsed
    "title_count": _INT,
    "title_pixels": _INT,  # as wide as a result page shows it: Arial of 20 px
    "description": _TEXT,
    "description_count": _INT,
    "h1": _TEXT,  # the first
    "h1_count": _INT,
    "robots_html": _TEXTS,  # of meta robots (and googlebot, bingbot as `agent: directive`), lower case, one each
    "robots_http": _TEXTS,  # of X-Robots-Tag, the same
    "refresh_url": _TEXT,  # of meta refresh with an address
    "refresh_seconds": _INT,
    "viewport": _TEXT,
    "published_on": _TEXT,  # article:published_time, datePublished, or the first time element, as written
    "ids": _TEXTS,  # of elements, and names of anchors: where a fragment may lead
    "word_count": _INT,  # of the main text; NULL for languages without spaces
    "prose_word_count": _INT,  # of blocks that end as sentences do, at most 65,536 characters; NULL as word_count
    "sentence_count": _INT,  # of these blocks: what LIX and its like are made of
    "long_word_count": _INT,  # of 7 letters and more, in these blocks
    "character_count": _INT,  # of the main text, without white space
    "text_hash": _KEY,  # of the main text, lower case, white space collapsed
    "simhash": _KEY,  # 64 bits over shingles of the main text
    "detected_language": _TEXT,  # ISO 639-1; NULL for texts too short to tell
    "title_language": _TEXT,
}
LINK = {
    "page_key": _KEY,
    "position": _INT,  # in the page, from 0
    "tag": _TEXT,  # a, area, link, iframe, frame, script, img, source, video, audio, embed, object, form
    "rel": _TEXTS,
    "target_url": _TEXT,
    "target_key": _KEY,
    "fragment": _TEXT,
    "text": _TEXT,  # what a reader is told: text, else aria-label, else the alt of an image in it, else title; NULL
    "is_internal": _BOOL,
    "is_nofollow": _BOOL,
    "is_in_head": _BOOL,
    "problem": _TEXT,  # why `target_url` is NULL: the address as written, and what is wrong with it
}
CANONICAL = {
    "page_key": _KEY,
    "source": _TEXT,  # html, header
    "href": _TEXT,  # as written
    "target_url": _TEXT,
    "target_key": _KEY,
    "is_internal": _BOOL,
    "is_in_head": _BOOL,
}
IMAGE = {
    "page_key": _KEY,
    "position": _INT,
    "target_url": _TEXT,
    "target_key": _KEY,
    "is_internal": _BOOL,
    "alt": _TEXT,  # NULL: no attribute
    "has_size": _BOOL,
}
HREFLANG = {
    "page_key": _KEY,  # of the page that says so; in a sitemap of its `loc`
    "source": _TEXT,  # html, header, sitemap
    "code": _TEXT,  # as written
    "href": _TEXT,
    "target_url": _TEXT,
    "target_key": _KEY,
    "is_in_head": _BOOL,
    "sitemap_url": _TEXT,
}
STRUCTURED = {
    "page_key": _KEY,
    "block": _INT,  # a script element, or an item of microdata that is no property of another
    "syntax": _TEXT,  # json-ld, microdata
    "node": _INT,  # in the block, parents first
    "path": _TEXT,  # `$.offers[0]`
    "types": _TEXTS,  # of @type or itemtype, without http(s)://schema.org/
    "content": _TEXT,  # the node as JSON-LD
    "error": _TEXT,  # of a block that is no JSON
}
HEADER = {"page_key": _KEY, "name": _TEXT, "value": _TEXT}  # lower case; never Set-Cookie's value
HEADING = {"page_key": _KEY, "position": _INT, "level": _INT, "text": _TEXT}
META = {"page_key": _KEY, "name": _TEXT, "content": _TEXT, "is_in_head": _BOOL}
PASSAGE = {"page_key": _KEY, "position": _INT, "text_hash": _KEY, "character_count": _INT}  # blocks of 20 characters on
MARK = {
    # What only a look at the parsed page can tell: see `marks.MARKS`.
    "page_key": _KEY,
    "name": _TEXT,
    "value": _TEXT,
    "count": _INT,
    "amount": pa.decimal128(18, 4),  # of visible-price, in major units
    "currency_codes": _TEXTS,  # of visible-price: a sign may be several currencies'
}
SITEMAP = {
    "sitemap_key": _KEY,
    "url": _TEXT,
    "parent_url": _TEXT,
    "declared_in": _TEXT,  # robots, index, config, guess
    "kind": _TEXT,  # index, urlset, text; NULL where it could not be read
    "outcome": _TEXT,  # fetched, not_modified (what it said is as the last crawl wrote it down), failed, skipped
    "reason": _TEXT,
    "requested_at": _AT,
    "status_code": _INT,
    "byte_count": _INT,  # unpacked
    "url_count": _INT,
    "etag": _TEXT,
    "last_modified": _TEXT,
}
SITEMAP_URL = {
    "sitemap_url": _TEXT,
    "page_key": _KEY,
    "url": _TEXT,
    "position": _INT,
    "lastmod": _TEXT,
    "lastmod_at": _AT,
    "news_published_at": _AT,
    "problem": _TEXT,  # other_host, not_absolute, too_long
}
ROBOTS = {
    "host": _TEXT,
    "url": _TEXT,
    "outcome": _TEXT,  # read, none (4xx: everything may be asked), unavailable (5xx, no answer: nothing may)
    "status_code": _INT,
    "reason": _TEXT,
    "requested_at": _AT,
    "content": _TEXT,  # as far as it was read
    "is_truncated": _BOOL,
    "crawl_delay_s": pa.float64(),
}
SEED = {"page_key": _KEY, "url": _TEXT, "source": _TEXT}  # start, sitemap, last_run
HOST = {
    "host": _TEXT,
    "is_https": _BOOL,
    "request_count": _INT,
    "failed_count": _INT,
    "skipped_count": _INT,
    "skipped_reason": _TEXT,  # why the rest of its addresses were not asked for
    "wait_ms": _INT,  # spent on being polite
    "final_rate": pa.float64(),  # requests a second that it was asked in the end
    "certificate_ends_at": _AT,
    "certificate_problem": _TEXT,
    "is_probed": _BOOL,  # it was asked for an address that cannot exist
    "missing_page_hash": _KEY,  # text_hash of its answer to that
    "missing_page_status": _INT,
}

TABLES: Mapping[str, pa.Schema] = {
    name: pa.schema(list(columns.items()))
    for name, columns in {
        "page": PAGE,
        "link": LINK,
        "canonical": CANONICAL,
        "image": IMAGE,
        "hreflang": HREFLANG,
        "structured": STRUCTURED,
        "header": HEADER,
        "heading": HEADING,
        "meta": META,
        "passage": PASSAGE,
        "mark": MARK,
        "sitemap": SITEMAP,
        "sitemap_url": SITEMAP_URL,
        "robots": ROBOTS,
        "seed": SEED,
        "host": HOST,
    }.items()
}
