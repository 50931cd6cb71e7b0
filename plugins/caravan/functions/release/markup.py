"""A body as HTML and as plain text. What must not go out is refused: nothing is taken away in silence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from urllib.parse import unquote

import nh3
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from caravan.config.markdown import parser
from caravan.config.release_bodies import Body, is_file_name
from caravan.core.errors import Fault
from caravan.core.release import Image

# What the parser makes of Markdown.
_BLOCKS = {"blockquote", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "ul"}
_TABLES = {"table", "tbody", "td", "th", "thead", "tr"}
_WORDS = {"a", "br", "code", "em", "img", "strong"}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title", "width", "height"},
    "ol": {"start"},
    "td": {"style"},
    "th": {"style"},
}
SCHEMES = ("http", "https", "mailto", "tel")

Tag = Callable[[str], str]
"""A link as written to the link as it is sent."""


def refusals(body: Body) -> list[Fault]:
    """What of a text no outlet may get, each at its line."""
    found = []
    for each in body.references:
        scheme = _scheme(each.target)
        if each.kind == "html":
            name = "an HTML comment" if each.target == "!--" else f"HTML, <{each.target}>,"
            found.append(body.fault(each.line, f"{name} is refused; write it in Markdown, or leave it out"))
        elif each.kind == "link" and scheme and scheme not in SCHEMES:
            found.append(body.fault(each.line, f"a link with {scheme}: is refused; known are {', '.join(SCHEMES)}"))
        elif each.kind == "image" and not is_file_name(each.target):
            what = "a remote image" if scheme or each.target.startswith("//") else "an image of another folder"
            message = f"{what} is refused: it could trace readers, or change; put the file beside the text"
            found.append(body.fault(each.line, message))
    return found


def to_html(text: str, tag: Tag, images: Mapping[str, Image], images_at: str = "") -> str:
    """Cleaned HTML, its highest heading an h2. `images`: by the name that the text uses. `images_at`: the address below
    which they are; beside the HTML when empty."""
    markdown = parser()
    tokens = markdown.parse(text)
    _lower_headings(tokens)
    for token in _all(tokens):
        if token.type == "link_open":
            token.attrs["href"] = tag(str(token.attrs["href"]))
        elif token.type == "image" and (image := images.get(unquote(str(token.attrs["src"])))):
            token.attrs |= {"src": images_at + image.name, "width": image.width, "height": image.height}
            token.children = [Token("text", "", 0, content=image.alt)]
    return nh3.clean(
        markdown.renderer.render(tokens, markdown.options, {}),
        tags=_BLOCKS | _TABLES | _WORDS,
        attributes={name: set(allowed) for name, allowed in _ATTRIBUTES.items()},
        url_schemes=set(SCHEMES),
        filter_style_properties={"text-align"},
        link_rel=None,
    ).strip()


def to_text(text: str, tag: Tag, images: Mapping[str, Image]) -> str:
    """Plain text; a link is followed by its address in brackets."""
    return _Plain(tag, images).blocks(SyntaxTreeNode(parser().parse(text)).children)


def _scheme(target: str) -> str:
    """In lower case; empty for what has none."""
    scheme, colon, _ = target.partition(":")
    return scheme.lower() if colon and not set(scheme) & set("/?#") else ""


def _all(tokens: Sequence[Token]) -> chain[Token]:
    return chain.from_iterable((token, *(token.children or [])) for token in tokens)


def _lower_headings(tokens: Sequence[Token]) -> None:
    """h1 is the release's title."""
    headings = [token for token in tokens if token.type in ("heading_open", "heading_close")]
    shift = 2 - min((int(token.tag[1:]) for token in headings), default=2)
    for token in headings:
        token.tag = f"h{min(6, int(token.tag[1:]) + shift)}"


class _Plain:
    def __init__(self, tag: Tag, images: Mapping[str, Image]) -> None:
        self.tag = tag
        self.images = images

    def blocks(self, nodes: Sequence[SyntaxTreeNode]) -> str:
        return "\n\n".join(block for node in nodes if (block := self.block(node)))

    def block(self, node: SyntaxTreeNode) -> str:
        match node.type:
            case "bullet_list" | "ordered_list":
                return self.items(node)
            case "blockquote":
                return _indented(self.blocks(node.children), "> ", "> ")
            case "fence" | "code_block":
                return _indented(node.content.rstrip("\n"), "    ", "    ")
            case "hr":
                return "---"
            case "table":
                rows = [row for part in node.children for row in part.children]
                return "\n".join(" | ".join(self.inline(cell.children) for cell in row.children) for row in rows)
            case _:
                return self.inline(node.children)

    def items(self, node: SyntaxTreeNode) -> str:
        first = int(node.attrs.get("start", 1))
        is_tight = all(block.hidden for item in node.children for block in item.children if block.type == "paragraph")
        found = []
        for number, item in enumerate(node.children, first):
            mark = f"{number}. " if node.type == "ordered_list" else "- "
            found.append(_indented(self.blocks(item.children), mark, " " * len(mark)))
        return ("\n" if is_tight else "\n\n").join(found)

    def inline(self, nodes: Sequence[SyntaxTreeNode]) -> str:
        return "".join(self.word(node) for node in nodes)

    def word(self, node: SyntaxTreeNode) -> str:
        match node.type:
            case "text" | "code_inline":
                return node.content
            case "softbreak":
                return " "
            case "hardbreak":
                return "\n"
            case "image":
                image = self.images.get(unquote(str(node.attrs["src"])))
                return f"[{image.alt if image else self.inline(node.children)}]"
            case "link":
                return self.link(node)
            case _:
                return self.inline(node.children)

    def link(self, node: SyntaxTreeNode) -> str:
        read, address = self.inline(node.children), self.tag(str(node.attrs["href"]))
        if node.markup == "autolink":
            return read if address.startswith("mailto:") else address
        return f"{read} ({address})"


def _indented(text: str, first: str, further: str) -> str:
    lines = text.split("\n")
    return "\n".join([first + lines[0], *((further + line).rstrip() for line in lines[1:])])
