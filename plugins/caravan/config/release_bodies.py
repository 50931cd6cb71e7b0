"""One language of a release: `releases/<id>/<tag>.md`, front matter between `---` and Markdown after it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from caravan.config.document import Document, parse
from caravan.config.frozen import Frozen
from caravan.config.images import MEDIA_TYPES, ImageFile
from caravan.config.markdown import Reference, references
from caravan.config.outlets import Line, language_tag
from caravan.config.validation import validate
from caravan.core.errors import Fault, nearest

MOST_BYTES = 1024 * 1024
"""Of a text: no release is longer."""

_FENCE = re.compile(r"^---[ \t]*$")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_Tagged = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]


class Utm(Frozen):
    """What links carry. In lower case: analytics tell `Spring` from `spring`."""

    campaign: _Tagged | None = None
    source: _Tagged | None = None
    medium: _Tagged | None = None
    content: _Tagged | None = None


class FrontMatter(Frozen):
    title: Line
    summary: Line
    translation_of: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the source body that was translated."""
    utm: Utm = Utm()
    images: dict[str, Line] = {}
    """File to what it shows, in the order in which outlets that take one image choose; read where the body itself
    gives no words."""


@dataclass(frozen=True)
class Body:
    """`text`: the Markdown, lines ended by LF, without blank lines at either end. `line`: of the file, where it begins.
    `written`: the front matter as it stands there. `lines`: of its keys."""

    where: str
    locale: str
    front: FrontMatter
    text: str
    line: int
    written: Mapping[str, Any]
    lines: Mapping[tuple[str | int, ...], int]

    @property
    def sha256(self) -> str:
        """What a translation of it names in `translation_of`."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def fault(self, line: int, message: str) -> Fault:
        """At a line of the text, counted from 1."""
        return Fault(f"{self.where}:{self.line + line - 1}", message)

    def front_fault(self, key: str, message: str) -> Fault:
        return Fault(f"{self.where}:{self.lines.get((key,), 1)} {key}", message)

    @property
    def references(self) -> list[Reference]:
        return references(self.text)

    @property
    def alternatives(self) -> dict[str, str]:
        """Image files in the order in which they are shown, with what each one shows; empty when nobody says."""
        found = dict(self.front.images)
        for each in self.references:
            if each.kind == "image" and is_file_name(each.target):
                found[each.target] = each.text.strip() or found.get(each.target, "")
        return found


def is_file_name(target: str) -> bool:
    """Of a file beside the text, not an address or a way to another folder."""
    return bool(target) and not re.search(r"[/\\:?#]|^\.", target)


def locale_problem(tag: str, known: Collection[str]) -> str | None:
    """Why it is no language that anybody reads; None if it is one. `known`: all that markets lead to."""
    try:
        language_tag(tag)
    except ValueError as error:
        return str(error)
    if tag not in known:
        return f"no market reads '{tag}'{nearest(tag, known)}"
    return None


def read_body(path: Path, where: str, images: Mapping[str, ImageFile | None]) -> tuple[Body | None, list[Fault]]:
    """The text of a file named by its tag, or None, and every fault. `images`: those beside it by name, None for one
    that has a fault of its own."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None, [Fault(where, f"is longer than {MOST_BYTES // 1024:,} KiB; no reader wants that")]
        content = path.read_bytes()
        whole = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        return None, [Fault(f"{where}:{line}", f"byte 0x{byte:02x} is not UTF-8; save the file as UTF-8")]
    except OSError as error:
        return None, [Fault(where, f"cannot be read: {error.strerror}")]
    lines = whole.split("\n")
    if not _FENCE.match(lines[0]):
        return None, [Fault(f"{where}:1", "begins without `---`; front matter with title and summary comes first")]
    end = next((number for number, line in enumerate(lines[1:], 1) if _FENCE.match(line)), None)
    if end is None:
        return None, [Fault(f"{where}:1", "the front matter has no end; write `---` on a line of its own after it")]
    # An empty line stands for the first fence, so that lines are counted as in the file.
    document, faults = parse("\n".join(["", *lines[1:end]]), where)
    if document is None:
        return None, faults
    front, more = validate(document, FrontMatter)
    faults += more
    first = next((number for number in range(end + 1, len(lines)) if lines[number].strip()), None)
    if first is None:
        return None, [*faults, Fault(f"{where}:{end + 1}", "has no text after the front matter")]
    text = "\n".join(lines[first:]).rstrip()
    faults += _control_faults(text, where, first)
    if front is None:
        return None, faults
    body = Body(where, path.stem, front, text, first + 1, document.data, document.lines)
    faults += _image_faults(body, document, images)
    return (None if faults else body), faults


def _control_faults(text: str, where: str, first: int) -> Iterator[Fault]:
    for number, line in enumerate(text.split("\n"), first + 1):
        if found := _CONTROLS.search(line):
            yield Fault(f"{where}:{number}", f"has the character U+{ord(found[0]):04X}; remove it")


def _image_faults(body: Body, document: Document, images: Mapping[str, ImageFile | None]) -> Iterator[Fault]:
    for name in body.front.images:
        if name not in images:
            yield document.fault(("images", name), _no_image(name, images))
    for each in body.references:
        # An address is refused by what makes HTML of the text: it is no matter of files.
        if each.kind != "image" or not is_file_name(each.target):
            continue
        if each.target not in images:
            yield body.fault(each.line, _no_image(each.target, images))
        elif not each.text.strip() and each.target not in body.front.images:
            message = f"'{each.target}' has no alternative text; write ![what it shows]({each.target})"
            yield body.fault(each.line, message)


def _no_image(name: str, images: Mapping[str, ImageFile | None]) -> str:
    if "." + name.rpartition(".")[2].lower() not in MEDIA_TYPES:
        return f"'{name}' is no image that outlets take; use {', '.join(MEDIA_TYPES)}"
    return f"there is no image '{name}' beside it{nearest(name, images)}"
