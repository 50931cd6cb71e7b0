"""What pages of a fixture site say beside their links and texts: alternates, structured data, passages and marks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser

Rows = dict[str, list[dict[str, Any]]]
KeyOf = Callable[[str], int]


def alternates_html(given: Mapping[str, Any]) -> str:
    """`alternates`: code to address, as links of the head."""
    return "".join(
        f'<link rel="alternate" hreflang="{code}" href="{urljoin("https://shop.test", href)}">'
        for code, href in given.get("alternates", {}).items()
    )


def read_more(
    rows: Rows, url: str, html: str, headers: Mapping[str, str], given: Mapping[str, Any], key_of: KeyOf
) -> None:
    tree, key = LexborHTMLParser(html), key_of(url)
    for node in tree.css("link[hreflang]"):
        code, href = node.attributes["hreflang"] or "", node.attributes["href"] or ""
        _add_alternate(rows, url, "html", code, href, node.parent is not None and node.parent.tag == "head", key_of)
    for part in headers.get("link", "").split(","):
        if "hreflang" in part:
            code, href = part.split('hreflang="')[1].split('"')[0], part.split("<")[1].split(">")[0]
            _add_alternate(rows, url, "header", code, href, True, key_of)
    for block, node in enumerate(tree.css('script[type="application/ld+json"]')):
        rows["structured"] += [{"page_key": key, "block": block, **row} for row in _structured(node.text())]
    for name, values in given.get("marks", {}).items():
        for value in values if isinstance(values, list) else [values]:
            rows["mark"].append({"page_key": key, "name": name, "value": value, "count": 1})
    for position, text in enumerate(given.get("passages", ())):
        passage = {"position": position, "text_hash": key_of(text), "character_count": len(text)}
        rows["passage"].append({"page_key": key, **passage})


def _add_alternate(rows: Rows, url: str, source: str, code: str, href: str, is_in_head: bool, key_of: KeyOf) -> None:
    target = urljoin(url, href)
    row = {"page_key": key_of(url), "source": source, "code": code, "href": href, "target_url": target}
    rows["hreflang"].append(row | {"target_key": key_of(target), "is_in_head": is_in_head})


def _structured(text: str) -> Iterator[dict[str, Any]]:
    """As `clients/crawl/structured.py` writes it."""
    try:
        root = json.loads(text)
    except ValueError as error:
        yield {"error": str(error)}
        return
    for number, (path, node) in enumerate(_nodes("$", root)):
        types = node.get("@type", [])
        names = [name.removeprefix("https://schema.org/") for name in ([types] if isinstance(types, str) else types)]
        yield {"node": number, "path": path, "types": names, "content": json.dumps(node, ensure_ascii=False)}


def _nodes(path: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, list):
        for at, each in enumerate(value):
            yield from _nodes(f"{path}[{at}]", each)
    if isinstance(value, dict) and "@value" not in value:
        if ("@type" in value or "@graph" not in value) and set(value) != {"@id"}:
            yield path, value
        for name, each in value.items():
            if name != "@context":
                yield from _nodes(f"{path}.{name}", each)
