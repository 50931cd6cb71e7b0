"""One walk over a parsed page that takes down all that its tables need.

The walk is most of a page's price, so it is one loop without recursion (pages can be nested a thousand deep), plain
elements cost one look-up, and rows are tuples from the start. Words go to `words` piece by piece, with a break wherever
a block begins or ends: `<p>one</p><p>two</p>` are two words, `t<b>w</b>o` is one.
"""

from __future__ import annotations

from selectolax.lexbor import LexborHTMLParser, LexborNode

from caravan.clients.crawl.elements import PLAIN_BLOCK, PLANS, Plan, Role
from caravan.clients.crawl.notes import Notes

BREAK = "\x1e"
"""Between blocks. White space to str.split(), and in no page on purpose."""
_TEXT, _COMMENT = 2, 4
"""Numbers of lexbor; those of elements are asked for by name."""
_BLOCK, _SKIPPED, _SILENT = Role.BLOCK.value, Role.SKIPPED.value, Role.SILENT.value
_APART, _MARGIN, _CONTENT = Role.APART.value, Role.MARGIN.value, Role.CONTENT.value
_HEAD, _FOREIGN = Role.HEAD.value, Role.FOREIGN.value

_Ending = tuple[Plan, int, object]
_PLAIN: _Ending = (PLAIN_BLOCK, 0, None)
"""Of a block that is nothing else, as most elements are: the walk ends it without asking anybody."""


class Reading:
    """Of one page. `apart`: ranges of `words` that are no main text."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.element_count = 0
        self.words = notes.words
        self.apart: list[tuple[int, int]] = []
        self._silent = self._content = 0

    def walk(self, tree: LexborHTMLParser) -> None:
        node = tree.root
        if node is None:
            return
        words = self.words
        say = words.append
        plan_of = PLANS.get
        path: list[tuple[LexborNode, _Ending | None]] = []
        elements = 0
        while True:
            tag = node.tag_id
            inside = None
            if tag == _TEXT:
                if not self._silent:
                    say(node.text_content or "")
            elif tag != _COMMENT:
                elements += 1
                plan = plan_of(tag)
                ending = None
                if plan is None:
                    inside = node.first_child
                elif plan is PLAIN_BLOCK:
                    if words and words[-1] is not BREAK:
                        say(BREAK)
                    inside, ending = node.first_child, _PLAIN
                else:
                    ending = self._open(node, plan)
                    if ending is not None:
                        inside = node.first_child
                        if inside is None:
                            self._close(ending)
                if inside is not None:
                    path.append((node, ending))
                    node = inside
                    continue
            following = node.next
            while following is None:
                if not path:
                    self.element_count += elements
                    return
                node, ending = path.pop()
                if ending is _PLAIN:
                    if words and words[-1] is not BREAK:
                        say(BREAK)
                elif ending is not None:
                    self._close(ending)
                following = node.next
            node = following

    def _open(self, node: LexborNode, plan: Plan) -> _Ending | None:
        """What is to be done at its end; None where nobody looks into it."""
        role, opening, _ = plan
        words = self.words
        if role & _BLOCK and words and words[-1] is not BREAK:
            words.append(BREAK)
        data = opening(self.notes, node) if opening is not None else None
        if role > _BLOCK:
            if role & _SKIPPED:
                if role & _FOREIGN:
                    self.element_count += sum(1 for _ in node.traverse()) - 1
                return None
            if role & _SILENT:
                self._silent += 1
                if role & _HEAD:
                    self.notes.in_head = True
            if role & _CONTENT:
                self._content += 1
            if role & _MARGIN and self._content:
                data = True  # an article's own header is part of it
        return plan, len(words), data

    def _close(self, ending: _Ending) -> None:
        (role, _, closing), start, data = ending
        words = self.words
        if closing is not None and data is not None:
            closing(self.notes, data, " ".join("".join(words[start:]).split()))
        if role > _BLOCK:
            if role & _SILENT:
                self._silent -= 1
                if role & _HEAD:
                    self.notes.in_head = False
            if role & _CONTENT:
                self._content -= 1
            if role & _APART or (role & _MARGIN and not data):
                self.apart.append((start, len(words)))
        if role & _BLOCK and words and words[-1] is not BREAK:
            words.append(BREAK)


def without(words: list[str], ranges: list[tuple[int, int]]) -> str:
    """All but those ranges, which may lie in each other."""
    if not ranges:
        return "".join(words)
    kept: list[str] = []
    at = 0
    for start, end in sorted(ranges):
        if start >= at:
            kept += words[at:start]
            kept.append(BREAK)
        at = max(at, end)
    kept += words[at:]
    return "".join(kept)
