"""What pages of a fixture site say beside their links and texts: structured data, passages and marks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
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


def read_more(rows: Rows, url: str, html: str, given: Mapping[str, Any], key_of: KeyOf) -> None:
    tree, key = LexborHTMLParser(html), key_of(url)
    for block, node in enumerate(tree.css('script[type="application/ld+json"]')):
        rows["structured"] += [{"page_key": key, "block": block, **row} for row in _structured(node.text())]
    for name, values in given.get("marks", {}).items():
        for value in values if isinstance(values, list) else [values]:
            said = dict(value) if isinstance(value, dict) else {"value": value}
            if "amount" in said:
                said["amount"] = Decimal(str(said["amount"]))
            rows["mark"].append({"page_key": key, "name": name, "count": 1, **said})
    for position, text in enumerate(given.get("passages", ())):
        passage = {"position": position, "text_hash": key_of(text), "character_count": len(text)}
        rows["passage"].append({"page_key": key, **passage})


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
