"""Small sites written down in YAML, as the tables that a crawl of them would have written. No network.

`site`: path, or whole address, to a page: the body's HTML in a page that is otherwise as it should be; or a mapping
with any of `status`, `headers`, `html` (the whole document), `head`, `body`, `links` (so many, in the body),
`alternates` (code to path), `passages` (texts), `marks` (name to value or values, or to columns) and the columns of
`page` to set by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import pyarrow as pa
from fixture_reading import alternates_html, read_more
from selectolax.lexbor import LexborHTMLParser

from caravan.clients.crawl.facts import INPUT_TABLES
from caravan.clients.crawl.tables import TABLES

ORIGIN = "https://shop.test"
PARTS = ("status", "headers", "html", "head", "body", "links", "alternates", "passages", "marks")
CRAWLED_AT = datetime(2026, 3, 1, 2, 0)

Site = Mapping[str, Any]
Tables = dict[str, pa.Table]


def key_of(url: str) -> int:
    return int.from_bytes(hashlib.blake2b(url.split("#")[0].encode(), digest_size=8).digest()) >> 1


def tables_of(case: Mapping[str, Any]) -> tuple[Tables, Tables]:
    """The crawl's tables, and those of its inputs."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for address, given in case["site"].items():
        _add_page(rows, urljoin(ORIGIN, address), given)
    for name in ("robots", "host", "seed", "sitemap", "sitemap_url", "hreflang"):
        rows[name] += [_keyed(row, TABLES[name]) for row in case.get(name, ())]
    crawled = {name: _table(found, TABLES[name]) for name, found in rows.items()}
    known = {name: schema for tables in INPUT_TABLES.values() for name, schema in tables.items()}
    inputs = {
        name: _table([_keyed(row, known[name]) for row in found], known[name])
        for name, found in case.get("inputs", {}).items()
    }
    return crawled, inputs


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    unknown = {name for row in rows for name in row} - set(schema.names)
    assert not unknown, f"no such columns: {unknown}"
    return pa.Table.from_pylist(rows, schema=schema)


def _keyed(row: Mapping[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """Paths made absolute, and `*_key` of every `*_url` (`page_key` and `sitemap_key` of `url`)."""
    full = {name: datetime.fromisoformat(str(value)) if name.endswith("_at") else value for name, value in row.items()}
    for name in [name for name in full if name == "url" or name.endswith("_url")]:
        full[name] = urljoin(ORIGIN, full[name])
        for key in ("page_key", "sitemap_key") if name == "url" else (name.removesuffix("_url") + "_key",):
            if key in schema.names:
                full.setdefault(key, key_of(full[name]))
        if name not in schema.names:
            del full[name]  # it was given for its key
    return full


def document(url: str, given: Mapping[str, Any]) -> str:
    """A page that no check finds anything wrong with, round what is given."""
    path = urlsplit(url).path
    links = "".join(f'<a href="/{number}">{number}</a>' for number in range(given.get("links", 0)))
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<title>All about the things that are sold at {path}</title>
<meta name="description" content="What is sold at {path} is described in full, with prices, sizes and reviews.">
<meta name="viewport" content="width=device-width">
<link rel="canonical" href="{url}">{given.get("head", "")}{alternates_html(given)}</head>
<body><h1>Welcome to {path}</h1>{given.get("body", "")}{links}</body></html>"""


def _add_page(rows: dict[str, list[dict[str, Any]]], url: str, given: Any) -> None:
    given = {"body": given} if isinstance(given, str) else dict(given)
    unknown = set(given) - set(PARTS) - set(TABLES["page"].names)
    assert not unknown, f"{url}: {unknown} are no parts of a page; is a comma inside braces quoted?"
    html = given.get("html") or document(url, given)
    headers = {
        "content-type": "text/html; charset=utf-8",
        "strict-transport-security": "max-age=31536000",
        "content-security-policy": "default-src 'self'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        **{name.lower(): value for name, value in given.get("headers", {}).items()},
    }
    headers = {name: value for name, value in headers.items() if value is not None}
    status, location = given.get("status", 200), headers.get("location")
    media = headers.get("content-type", "").split(";")[0] or None
    page: dict[str, Any] = {
        "page_key": key_of(url),
        "url": url,
        "host": urlsplit(url).netloc,
        "kind": "page" if url.startswith((ORIGIN, "http://shop.test")) else "external",
        "depth": 0,
        "outcome": "fetched",
        "requested_at": CRAWLED_AT,
        "attempt_count": 1,
        "status_code": status,
        "media_type": media,
        "sniffed_type": "text/html" if status == 200 else None,
        "body_bytes": len(html),
        "is_truncated": False,
    }
    if location:
        target = urljoin(url, location)
        page |= {"location_url": target, "location_key": key_of(target), "location_is_internal": True}
    if status == 200 and media == "text/html":
        page |= _read(rows, url, html)
        read_more(rows, url, html, given, key_of)
    page |= {name: value for name, value in given.items() if name in TABLES["page"].names}
    rows["page"].append(page)
    _read_headers(rows, page, url, headers)
    rows["header"] += [{"page_key": page["page_key"], "name": n, "value": v} for n, v in headers.items()]


def _read_headers(
    rows: dict[str, list[dict[str, Any]]], page: dict[str, Any], url: str, headers: Mapping[str, str]
) -> None:
    if "canonical" in headers.get("link", ""):
        href = headers["link"].split("<")[1].split(">")[0]
        rows["canonical"].append(_canonical(url, "header", href, True))
    if "hreflang" in headers.get("link", ""):
        href, code = headers["link"].split("<")[1].split(">")[0], headers["link"].split('hreflang="')[1].split('"')[0]
        row = {"page_key": key_of(url), "source": "header", "code": code, "href": href}
        rows["hreflang"].append(row | {"target_url": urljoin(url, href), "target_key": key_of(urljoin(url, href))})
    if "x-robots-tag" in headers:
        page["robots_http"] = [part.strip().lower() for part in headers["x-robots-tag"].split(",")]


def _canonical(url: str, source: str, href: str, is_in_head: bool) -> dict[str, Any]:
    target = urljoin(url, href)
    row = {"page_key": key_of(url), "source": source, "href": href, "target_url": target, "target_key": key_of(target)}
    return row | {"is_internal": target.startswith(ORIGIN), "is_in_head": is_in_head}


def _read(rows: dict[str, list[dict[str, Any]]], url: str, html: str) -> dict[str, Any]:
    tree, key = LexborHTMLParser(html), key_of(url)
    for position, node in enumerate(tree.css("a[href],link[href],script[src],img[src],iframe[src],form[action]")):
        target = urljoin(url, node.attributes.get("href") or node.attributes.get("src") or node.attributes["action"])
        rel = (node.attributes.get("rel") or "").split()
        link = {"page_key": key, "position": position, "tag": node.tag, "rel": rel, "target_url": target}
        link |= {"target_key": key_of(target), "is_internal": target.startswith(ORIGIN), "text": node.text() or None}
        rows["link"].append(link | {"is_nofollow": "nofollow" in rel})
    for node in tree.css("link[hreflang]"):
        target = urljoin(url, node.attributes["href"])
        row = {"page_key": key, "source": "html", "code": node.attributes["hreflang"], "href": node.attributes["href"]}
        row |= {"target_url": target, "target_key": key_of(target), "is_in_head": node.parent.tag == "head"}
        rows["hreflang"].append(row)
    for node in tree.css("link[rel=canonical]"):
        rows["canonical"].append(_canonical(url, "html", node.attributes["href"], bool(node.parent.tag == "head")))
    robots = []
    for node in tree.css("meta[name=robots],meta[name=googlebot]"):
        agent = "" if node.attributes["name"] == "robots" else "googlebot: "
        robots += [agent + part.strip().lower() for part in node.attributes["content"].split(",")]
    for position, node in enumerate(tree.css("h1,h2,h3,h4,h5,h6")):
        row = {"page_key": key, "position": position, "level": int(node.tag[1]), "text": node.text().strip()}
        rows["heading"].append(row)
    for node in tree.css("meta[name],meta[http-equiv],body title"):
        if node.tag == "title" and node.parent.tag == "svg":
            continue
        name = node.attributes.get("name") or node.attributes.get("http-equiv") or "title"
        row = {"name": name.lower(), "content": node.attributes.get("content"), "is_in_head": node.parent.tag == "head"}
        rows["meta"].append({"page_key": key, **row})
    for position, node in enumerate(tree.css("img[src]")):
        target = urljoin(url, node.attributes["src"])
        alt = node.attributes.get("alt", None if "alt" not in node.attributes else "")
        row = {"page_key": key, "position": position, "target_url": target, "target_key": key_of(target)}
        row["has_size"] = bool(node.attributes.get("width") and node.attributes.get("height"))
        rows["image"].append({**row, "alt": alt if "alt" not in node.attributes else alt or ""})
    titles = [node.text().strip() for node in tree.css("head title")]
    metas = {node.attributes.get("name"): node.attributes.get("content") for node in tree.css("meta[name]")}
    headings = [node.text().strip() for node in tree.css("h1")]
    refresh = tree.css_first("meta[http-equiv=refresh]")
    text = tree.body.text(separator=" ").strip() if tree.body else ""
    return {
        "is_html": True,
        "robots_html": robots,
        "charset": "utf-8",
        "charset_source": "header",
        "has_early_charset": True,
        "language_code": (tree.root.attributes.get("lang") if tree.root else None),
        "title": titles[0] if titles else None,
        "title_count": len(titles),
        "description": metas.get("description"),
        "description_count": len(tree.css("meta[name=description]")),
        "h1": headings[0] if headings else None,
        "h1_count": len(headings),
        "refresh_url": urljoin(url, refresh.attributes["content"].split("url=")[1]) if refresh else None,
        "viewport": metas.get("viewport"),
        "character_count": len(text),
        "text_hash": key_of(text),
    }
