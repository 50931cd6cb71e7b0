"""Structured data of a page as the nodes that it is made of: JSON-LD, and microdata, which is turned into it. RDFa is
not read: search engines would, but hardly any shop writes it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

MOST_CHARACTERS = 1 << 20
MOST_NODES = 1_000
_MOST_LEVELS = 8
"""Deeper nodes stand in the content of those round them."""
_VOCABULARIES = (
    "https://schema.org/",
    "http://schema.org/",
    "https://www.schema.org/",
    "http://www.schema.org/",
    "schema:",
)


class Block(NamedTuple):
    """`rows`: node, path, types, content, error. `published_on`: the first datePublished in it."""

    rows: list[tuple[int | None, str | None, list[str] | None, str | None, str | None]]
    published_on: str | None = None


def read_block(text: str) -> Block:
    """The nodes of one script element, parents first. What is no JSON is one row that says why."""
    if len(text) > MOST_CHARACTERS:
        return _broken(f"{len(text)} characters of {MOST_CHARACTERS}")
    try:
        root = json.loads(text, parse_constant=_refuse, parse_float=_number)
    except json.JSONDecodeError as error:
        return _broken(f"line {error.lineno} column {error.colno}: {error.msg}")
    except RecursionError:
        return _broken("nested too deeply to be read")
    except ValueError as error:  # NaN, a number of thousands of digits
        return _broken(str(error))
    if not isinstance(root, dict | list):
        return _broken("neither an object nor a list")
    return nodes_of(root)


def nodes_of(root: dict[str, Any] | list[Any]) -> Block:
    """The nodes of what was read already, parents first."""
    rows: list[tuple[int | None, str | None, list[str] | None, str | None, str | None]] = []
    published_on = None
    for number, (path, node) in enumerate(_nodes(root)):
        if number == MOST_NODES:
            rows.append((number, path, None, None, f"more than {MOST_NODES} nodes"))
            break
        if published_on is None and isinstance(date := node.get("datePublished"), str):
            published_on = clean(date)
        rows.append((number, clean(path), _types(node), clean(json.dumps(node, ensure_ascii=False)), None))
    return Block(rows, published_on)


def clean(text: str) -> str:
    """Without halves of characters and NUL, which `\\ud83d` and `\\u0000` make and not every store can hold."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _broken(reason: str) -> Block:
    return Block([(None, None, None, None, reason)])


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _number(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text[:40])


def _nodes(root: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    waiting = [("$", root, 0)]
    while waiting:
        path, value, level = waiting.pop()
        if isinstance(value, list):
            waiting += [(f"{path}[{at}]", each, level) for at, each in reversed(list(enumerate(value)))]
            continue
        if not isinstance(value, dict) or "@value" in value:
            continue
        is_wrapper = "@type" not in value and "@graph" in value
        is_reference = "@id" in value and len(value) == 1
        if not is_wrapper and not is_reference:
            yield path, value
        if level < _MOST_LEVELS:
            inside = [(name, each) for name, each in value.items() if name != "@context"]
            waiting += [
                (f"{path}.{name}", each, level + 1) for name, each in reversed(inside) if isinstance(each, dict | list)
            ]


def _types(node: dict[str, Any]) -> list[str]:
    types = node.get("@type")
    found = types if isinstance(types, list) else [types]
    return [clean(_short(each)) for each in found if isinstance(each, str)]


def _short(name: str) -> str:
    return next((name[len(each) :] for each in _VOCABULARIES if name.startswith(each)), name)
