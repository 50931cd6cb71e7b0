"""Markdown as releases use it: CommonMark with tables, and what a text refers to, with lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9-]*)")
_ADDRESS = re.compile(r"https?://[^\s<>]+")


def parser() -> MarkdownIt:
    """HTML is text to it, and a link that a browser would run is none."""
    return MarkdownIt("commonmark", {"html": False}).enable("table")


class _Seeing(MarkdownIt):
    """Takes every link for one, and HTML for HTML: what is to be refused has to be seen."""

    def __init__(self) -> None:
        super().__init__("commonmark", {"html": True})
        self.enable("table")

    def validateLink(self, url: str) -> bool:  # the library's name
        return True


@dataclass(frozen=True)
class Reference:
    """Something that a text refers to. `target`: an address, a file's name, of HTML the name of its tag. `text`: of a
    link what is read, of an image its alternative. `line`: counted in the text, from 1."""

    kind: Literal["link", "image", "html", "bare"]
    target: str
    text: str
    line: int


def references(text: str) -> list[Reference]:
    """Links, images and HTML in the order of the text. bare: an address that is no link because it stands by itself."""
    return [found for token in _Seeing().parse(text) for found in _of(token)]


def _of(token: Token) -> Iterator[Reference]:
    line = token.map[0] + 1 if token.map else 1
    if token.type == "html_block":
        for number, part in enumerate(token.content.splitlines()):
            yield from _html(part, line + number, always=number == 0)
    if token.type == "inline":
        yield from _inline(token.children or [], line)


def _inline(children: Sequence[Token], line: int) -> Iterator[Reference]:
    inside: tuple[str, int] | None = None
    read = ""
    for child in children:
        if child.type == "link_open":
            inside, read = (str(child.attrs["href"]), line), ""
        elif child.type == "link_close" and inside:
            yield Reference("link", inside[0], read, inside[1])
            inside = None
        elif child.type == "image":
            yield Reference("image", unquote(str(child.attrs["src"])), alternative(child), line)
            read += alternative(child)
        elif child.type == "html_inline":
            yield from _html(child.content, line, always=True)
        elif child.type == "text":
            read += child.content
            if not inside:
                yield from (
                    Reference("bare", url, url, line) for url in re.findall(r"https?://[^\s<>]+", child.content)
                )
        elif child.type == "code_inline":
            read += child.content
        line += child.type in ("softbreak", "hardbreak") or child.content.count("\n")


def _html(text: str, line: int, *, always: bool) -> Iterator[Reference]:
    """`always`: also where no tag is named, as in a comment."""
    names = _TAG.findall(text) or (["!--"] if always else [])
    yield from (Reference("html", name.lower(), text.strip(), line) for name in dict.fromkeys(names))


def alternative(image: Token) -> str:
    """What an image's token says in words."""
    return "".join(child.content or alternative(child) for child in image.children or [])
