"""Evidence of an issue, which is JSON for machines, as a line that people read."""

from __future__ import annotations

import json
from typing import Any

ITEMS_SHOWN = 3
LONGEST = 400
"""Characters of a line; pages can write what they like into their titles."""
_LONGEST_VALUE = 160


def readable(evidence: str | None) -> str:
    """`source: https://shop.example/a, status code: 301; … and 12 more`. Empty where there is nothing to tell.

    Of values that are unknown nothing is said. What is no evidence is shown as it is.
    """
    if not evidence:
        return ""
    try:
        told = json.loads(evidence)
        items, total = list(told["items"]), int(told["total"])
    except (ValueError, KeyError, TypeError):
        return _cut(evidence, LONGEST)
    shown = [text for text in map(_item, items[:ITEMS_SHOWN]) if text]
    if not shown:
        return ""
    line = _cut("; ".join(shown), LONGEST)
    # One item may stand for many: only of items that are left out it is certain that there are more.
    return f"{line}; and {max(total, len(items)) - ITEMS_SHOWN:,} more" if len(items) > ITEMS_SHOWN else line


def _item(item: Any) -> str:
    if not isinstance(item, dict):
        return _value(item)
    return ", ".join(f"{_name(name)}: {_value(value)}" for name, value in item.items() if value not in (None, "", []))


def _name(column: str) -> str:
    return column.removeprefix("is_").removesuffix("_url").removesuffix("_count").replace("_", " ")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return _cut(", ".join(_value(each) for each in value), 2 * _LONGEST_VALUE)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return _cut(_item(value), _LONGEST_VALUE)
    return _cut(" ".join(str(value).split()), _LONGEST_VALUE)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
