"""Microdata of a page as JSON-LD would say it: https://html.spec.whatwg.org/multipage/microdata.html.

In one thing this follows search engines and not the standard: `content` counts on any element whose value would be its
text, as Google's pages on structured data have it. extruct, which reads microdata too, is not used: it parses the page
a second time, has had no release for two years and brings 13 packages along.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from caravan.clients.crawl.targets import Base
from caravan.core.urls import BadUrl, resolve

_SPELLINGS = ("itemscope", "itemScope", "ITEMSCOPE")
_ADDRESSES = {
    **dict.fromkeys(("audio", "embed", "iframe", "img", "source", "track", "video"), "src"),
    **dict.fromkeys(("a", "area", "link"), "href"),
    "object": "data",
}
_VALUES = {"data": "value", "meter": "value"}
_VALUE_CHARACTERS = 4_000
_MOST_ELEMENTS = 50_000
"""Looked at for one page: `itemref` can have any number of items read one element again and again."""
_CHARACTERS_OF_ELEMENT = 256
"""So much text costs as much as an element."""
_MOST_LEVELS = 16
_TEXT, _COMMENT = 2, 4
"""Numbers of lexbor."""

Item = dict[str, Any]


def has_items(html: str) -> bool:
    """Whether it is worth a look: pages without are most, and shall pay nothing."""
    return any(spelling in html for spelling in _SPELLINGS)


def read_items(tree: LexborHTMLParser, base: Base) -> tuple[list[Item], bool]:
    """The items that are no property of another, in the page's order; whether all of them were read.

    A property that an item has several times is a list, an item without type has no `@type`. Elements that `itemref`
    names come last. Of values white space is collapsed, and what is beyond 4,000 characters is cut.
    """
    reading = _Reading(tree, base)
    found = []
    for node in tree.css("[itemscope]:not([itemprop])"):
        if reading.left <= 0:
            break
        found.append(reading.item(node, ()))
    return found, reading.left > 0


class _Reading:
    def __init__(self, tree: LexborHTMLParser, base: Base) -> None:
        self.left = _MOST_ELEMENTS
        self._tree = tree
        self._base = base
        self._ids: dict[str, LexborNode] | None = None

    def item(self, root: LexborNode, around: tuple[int, ...]) -> Item:
        """`around`: the items that it is in, by lexbor's ids. One that is in itself is empty there."""
        item: Item = {}
        if types := (root.attributes.get("itemtype") or "").split():
            item["@type"] = types
        if name := (root.attributes.get("itemid") or "").strip():
            item["@id"] = self._address(name)
        if root.mem_id in around or len(around) >= _MOST_LEVELS:
            return item
        for node, names in self._properties(root):
            value = self._value(node, (*around, root.mem_id))
            for each in names:
                _add(item, each, value)
        return item

    def _properties(self, root: LexborNode) -> Iterator[tuple[LexborNode, list[str]]]:
        """Elements that are properties of an item, and what they are called."""
        seen = {root.mem_id}
        named = (self._of_id(name) for name in (root.attributes.get("itemref") or "").split())
        waiting = [node for node in named if node is not None][::-1] + _children(root)
        while waiting and self.left > 0:
            node = waiting.pop()
            if node.mem_id in seen:
                continue
            seen.add(node.mem_id)
            self.left -= 1
            attributes = node.attributes
            if "itemscope" not in attributes:
                waiting += _children(node)
            if names := list(dict.fromkeys((attributes.get("itemprop") or "").split())):
                yield node, names

    def _value(self, node: LexborNode, around: tuple[int, ...]) -> Any:
        attributes, tag = node.attributes, node.tag or ""
        if "itemscope" in attributes:
            return self.item(node, around)
        if tag in _ADDRESSES:
            return self._address(attributes.get(_ADDRESSES[tag]) or "")
        if tag in _VALUES:
            value = attributes.get(_VALUES[tag])
        elif tag == "time" and "datetime" in attributes:
            value = attributes["datetime"]
        elif tag == "meta" or "content" in attributes:
            value = attributes.get("content")
        else:
            value = node.text()
            self.left -= len(value) // _CHARACTERS_OF_ELEMENT
        return " ".join((value or "")[: 4 * _VALUE_CHARACTERS].split())[:_VALUE_CHARACTERS]

    def _address(self, written: str) -> str:
        """Absolute; as written where it can be no address, to be told so by a check."""
        written = written.strip()
        try:
            return resolve(self._base.url, written, charset=self._base.charset) if written else ""
        except BadUrl:
            return written[:_VALUE_CHARACTERS]

    def _of_id(self, name: str) -> LexborNode | None:
        if self._ids is None:
            self._ids = {}
            for node in self._tree.css("[id]"):
                self._ids.setdefault(node.id or "", node)
        return self._ids.get(name)


def _add(item: Item, name: str, value: Any) -> None:
    """`https://schema.org/name` is `name`, as types are."""
    name = name.removeprefix("https://schema.org/").removeprefix("http://schema.org/")
    if name not in item:
        item[name] = value
    elif isinstance(item[name], list):
        item[name].append(value)
    else:
        item[name] = [item[name], value]


def _children(node: LexborNode) -> list[LexborNode]:
    """Elements alone, the last first."""
    found = []
    child = node.last_child
    while child is not None:
        if child.tag_id not in (_TEXT, _COMMENT):
            found.append(child)
        child = child.prev
    return found
