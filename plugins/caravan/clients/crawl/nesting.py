"""Pages that would cost a parser minutes or all memory, cut before it sees them.

An HTML parser looks through all open elements for nearly every tag, and repeats formatting elements that were left
open in every block after them. So 100,000 open `<div>` take 20 seconds, and 1,000 open `<b>` before 3,000 paragraphs, a
page of 15 KB, take 1.3 GB (selectolax 1.0.2). Browsers stop at 512 levels.
"""

from __future__ import annotations

import re
from collections import Counter

MOST_LEVELS = 1_000
_MOST_WORK = 2_000_000
"""Tags times elements that seem to be left open: below, whatever is wrong with a page costs little."""
_MOST_IMPLIED = 2_000_000
"""Formatting elements that a parser would add of its own."""
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)|<!--")
_VOID = frozenset(str.split("area base br col embed hr img input link meta param source track wbr"))
_ENDS_ITSELF = frozenset(
    str.split("body colgroup dd dt head html li optgroup option p rp rt tbody td tfoot th thead tr")
)
"""The next of its kind ends it."""
_FORMATTING = frozenset(str.split("a b big code em font i nobr s small strike strong tt u"))
_RAW = frozenset(str.split("iframe noembed noframes noscript script style textarea title xmp"))


def readable_end(text: str) -> int | None:
    """Where to cut; None where the page can be read whole. Counts only, unless something seems to be left open."""
    tags = text.count("<")
    open_tags = tags - 2 * text.count("</")
    if open_tags * tags <= _MOST_WORK:
        return None
    return _end_of(text)


def _end_of(text: str) -> int | None:
    opened: Counter[str] = Counter()
    level = formatting = implied = at = 0
    while found := _TAG.search(text, at):
        at = found.end()
        if not found[2]:
            at = _after(text, "-->", at)
            continue
        name = found[2].lower()
        if found[1]:
            if opened[name] > 0:
                opened[name] -= 1
                level -= 1
                formatting -= name in _FORMATTING
            continue
        if name in _RAW:
            at = _after(text, f"</{found[2]}", at)
        elif name not in _VOID and name not in _ENDS_ITSELF:
            opened[name] += 1
            level += 1
            formatting += name in _FORMATTING
        implied += formatting
        if level > MOST_LEVELS or implied > _MOST_IMPLIED:
            return found.start()
    return None


def _after(text: str, end: str, at: int) -> int:
    found = text.find(end, at)
    return len(text) if found < 0 else found + len(end)
