"""What each HTML element is to the walk over a page (`reading.py`), and who takes notes of it."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import Any, NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode

from caravan.clients.crawl import notes
from caravan.clients.crawl.notes import Notes


class Role(IntFlag):
    """BLOCK is 1 and all that means more work is above it: most elements are blocks and nothing else."""

    BLOCK = 1  # words before and after it are not one
    SKIPPED = 2  # not looked into
    SILENT = 4  # looked into, but its words are none of the page's
    APART = 8  # no main text
    MARGIN = 16  # the same, unless it is a part of an article
    CONTENT = 32  # main text, with its own header and footer
    HEAD = 64
    FOREIGN = 128  # SVG: names mean other things, so its elements are counted only


_ROLES = {
    Role.BLOCK: "address article aside blockquote body button caption center dd details dialog dir div dl dt fieldset"
    " figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol option p pre search"
    " section summary table tbody td textarea tfoot th thead tr ul",
    # Scripting is on when the page is parsed, so that noscript is text, as it is to browsers and Googlebot.
    Role.SKIPPED: "iframe noembed noframes noscript script style svg template",
    Role.SILENT: "audio canvas datalist head object select title video",
    Role.APART: "aside nav",
    Role.MARGIN: "footer header",
    Role.CONTENT: "article main",
    Role.HEAD: "head",
    Role.FOREIGN: "svg",
}
_OPENED: dict[str, Callable[[Notes, LexborNode], object]] = {
    "a": notes.open_anchor,
    "area": notes.note_area,
    "audio": notes.note_media,
    "br": notes.note_line_end,
    "button": notes.note_submitter,
    "embed": notes.note_embedded,
    "form": notes.note_form,
    "frame": notes.note_frame,
    "iframe": notes.note_frame,
    "img": notes.note_image,
    "input": notes.note_submitter,
    "link": notes.note_link,
    "meta": notes.note_meta,
    "object": notes.note_embedded,
    "script": notes.note_script,
    "source": notes.note_media,
    "time": notes.note_time,
    "title": notes.note_title,
    "video": notes.note_media,
    **{f"h{level}": notes.open_heading for level in range(1, 7)},
}
_CLOSED: dict[str, Callable[[Notes, Any, str], None]] = {
    "a": notes.close_anchor,
    **{f"h{level}": notes.close_heading for level in range(1, 7)},
}


class Plan(NamedTuple):
    """`open` may return what `close` is to be given, with the element's words; without that nothing is closed."""

    role: int
    open: Callable[[Notes, LexborNode], object] | None
    close: Callable[[Notes, Any, str], None] | None


PLAIN_BLOCK = Plan(Role.BLOCK.value, None, None)


def _plans() -> dict[int, Plan]:
    """By lexbor's number of the element. What is not there is inline and means nothing here."""
    roles: dict[str, int] = {}
    for role, names in _ROLES.items():
        for name in names.split():
            roles[name] = roles.get(name, 0) | role.value
    document = LexborHTMLParser("")
    found = {
        document.create_node(name).tag_id: Plan(roles.get(name, 0), _OPENED.get(name), _CLOSED.get(name))
        for name in {*roles, *_OPENED, *_CLOSED}
    }
    return {tag: PLAIN_BLOCK if plan == PLAIN_BLOCK else plan for tag, plan in found.items()}


PLANS = _plans()
