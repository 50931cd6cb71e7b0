"""Sitemaps as they are read: https://www.sitemaps.org/protocol.html, as XML, as an index, as plain text, or gzipped.

The reader keeps no tree: a sitemap may have any number of elements. It resolves no entity, loads no DTD and asks
nobody. What was read before a fault is kept; the fault is `reason`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from lxml import etree

from caravan.core.crawl import Answer

NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
_NEWS = "http://www.google.com/schemas/sitemap-news/0.9"
_EXTENSIONS = "{http://www.google.com/schemas/sitemap-"
_XHTML = "http://www.w3.org/1999/xhtml"
_CHUNK = 64 << 10
_LONGEST_TEXT = 16 << 10
"""Characters of one value that are kept: nothing that can be asked for is longer."""
_MOST_ALTERNATES = 1_000
_GZIP = b"\x1f\x8b"
_MOST_MEMBERS = 10_000
"""Of one file, each of which costs a moment though it be empty; those who pack in blocks make one of 64 KB."""
_TEXT_STARTS = re.compile(rb"\s*(?:#|https?:)", re.IGNORECASE)
_HTML_STARTS = re.compile(rb"\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_W3C = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?)?)?)?")


@dataclass
class Entry:
    """One `url` of a sitemap, or one `sitemap` of an index. `alternates`: hreflang and href, as written."""

    loc: str = ""
    lastmod: str | None = None
    published: str | None = None
    alternates: list[tuple[str, str]] = field(default_factory=list)


class Sitemap:
    """Of one answer: to be iterated once, then asked what it was.

    `kind`: None where it is no sitemap. `reason`: why it, or the rest of it, could not be read: too_large,
    broken_gzip, not_well_formed, document_type (it defines entities, which no sitemap needs), not_a_sitemap,
    wrong_namespace (read nevertheless), timeout and others of the answer.
    """

    def __init__(self, answer: Answer, limit: int) -> None:
        """`limit`: bytes, unpacked."""
        self._source = _Unpacked(answer.body, limit)
        self._answer_reason = {"size": "too_large"}.get(answer.body_reason or "", answer.body_reason)
        self.kind: Literal["index", "urlset", "text"] | None = None
        self.reason: str | None = None
        self.detail = ""
        self.count = 0

    @property
    def byte_count(self) -> int:
        return self._source.count

    def __iter__(self) -> Iterator[Entry]:
        for entry in self._entries(self._source.read(_CHUNK)):
            self.count += 1
            yield entry
        # Whatever ended the bytes early is why the text of them did not end well.
        self.reason = self._source.reason or self._answer_reason or self.reason

    def _entries(self, start: bytes) -> Iterator[Entry]:
        told = start.removeprefix(b"\xef\xbb\xbf")
        if _HTML_STARTS.match(told):
            # A site that answers every address with a page: not even XML, most of the time.
            self.reason = "not_a_sitemap"
            return iter(())
        return self._text(start) if _TEXT_STARTS.match(told) else self._xml(start)

    def _text(self, start: bytes) -> Iterator[Entry]:
        self.kind = "text"
        rest = b""
        while start:
            *lines, rest = (rest + start).split(b"\n")
            yield from _of_lines(lines)
            rest = rest[-_LONGEST_TEXT:]
            start = self._source.read(_CHUNK)
        yield from _of_lines([rest])

    def _xml(self, chunk: bytes) -> Iterator[Entry]:
        target = _Target()
        parser = etree.XMLParser(
            target=target,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
        )
        try:
            while chunk and not target.is_refused:
                parser.feed(chunk)
                self.kind = target.kind
                yield from target.taken()
                chunk = self._source.read(_CHUNK)
            if not target.is_refused:
                parser.close()
        except etree.LxmlError as error:
            yield from target.taken()
            self.reason, self.detail = "not_well_formed", str(error)[:200]
        self.kind = target.kind
        if target.has_document_type and (self.kind is not None or target.is_before_root):
            self.reason, self.detail = "document_type", ""
        elif self.kind is None and (target.is_refused or not self.reason):
            self.reason = "not_a_sitemap"
        elif self.kind is not None and target.namespace != NAMESPACE:
            self.reason = self.reason or "wrong_namespace"


class _Target:
    """What the parser tells as it goes."""

    def __init__(self) -> None:
        self.kind: Literal["index", "urlset"] | None = None
        self.namespace = ""
        self.is_refused = False
        self.has_document_type = False
        self.is_before_root = True
        self._done: list[Entry] = []
        self._entry: Entry | None = None
        self._text: list[str] | None = None
        self._length = 0

    def taken(self) -> list[Entry]:
        done, self._done = self._done, []
        return done

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self.is_before_root:
            self._begin(tag)
        elif self.is_refused:
            return
        elif tag.endswith(("}url", "}sitemap")) or tag in ("url", "sitemap"):
            self._entry = Entry()
        elif self._entry is None:
            return
        elif tag == f"{{{_XHTML}}}link":
            code, href = attributes.get("hreflang"), attributes.get("href")
            if code is not None and href is not None and len(self._entry.alternates) < _MOST_ALTERNATES:
                self._entry.alternates.append((code[:_LONGEST_TEXT], href[:_LONGEST_TEXT]))
        elif _is_value(tag):
            self._text, self._length = [], 0

    def _begin(self, tag: str) -> None:
        self.is_before_root = False
        namespace, _, name = tag.rpartition("}")
        self.namespace = namespace.removeprefix("{")
        self.kind = {"urlset": "urlset", "sitemapindex": "index"}.get(name)  # type: ignore[assignment]
        self.is_refused = self.kind is None or self.has_document_type

    def doctype(self, name: str, public_id: str | None, system_id: str | None) -> None:
        self.has_document_type = True

    def data(self, text: str) -> None:
        if self._text is not None and self._length < _LONGEST_TEXT:
            self._text.append(text)
            self._length += len(text)

    def end(self, tag: str) -> None:
        entry = self._entry
        if entry is None:
            return
        if self._text is not None and _is_value(tag):
            text = "".join(self._text).strip()[:_LONGEST_TEXT]
            self._text = None
            if tag.endswith("publication_date"):
                entry.published = text
            elif tag.endswith("lastmod"):
                entry.lastmod = text
            elif not entry.loc:
                entry.loc = text
        elif tag.endswith(("}url", "}sitemap")) or tag in ("url", "sitemap"):
            self._done.append(entry)
            self._entry = None

    def close(self) -> None:
        """Asked for by the parser."""


def _is_value(tag: str) -> bool:
    """Images and videos have a `loc` of their own, in namespaces of theirs."""
    namespace, _, name = tag.rpartition("}")
    if name == "publication_date":
        return namespace in ("", f"{{{_NEWS}")
    return name in ("loc", "lastmod") and not namespace.startswith(_EXTENSIONS)


def _of_lines(lines: list[bytes]) -> Iterator[Entry]:
    for line in lines:
        text = line.decode("utf-8-sig", "replace").strip()
        if text and not text.startswith("#"):
            yield Entry(text[:_LONGEST_TEXT])


class _Unpacked:
    """The bytes of a body, of what they are gzip of if they are, as far as a limit. `reason`: why they end early."""

    def __init__(self, body: bytes, limit: int) -> None:
        self._rest = memoryview(body)
        self._gzip = zlib.decompressobj(31) if body.startswith(_GZIP) else None
        self._pending = b""
        self._members = 1
        self._limit = limit
        self.count = 0
        self.reason: str | None = None

    def read(self, size: int) -> bytes:
        if self.reason:
            return b""
        try:
            piece = self._next(size)
        except zlib.error:
            self.reason = "broken_gzip"
            return b""
        if self.count + len(piece) > self._limit:
            piece = piece[: self._limit - self.count]
            self.reason = "too_large"
        self.count += len(piece)
        return piece

    def _next(self, size: int) -> bytes:
        if self._gzip is None:
            piece, self._rest = bytes(self._rest[:size]), self._rest[size:]
            return piece
        while True:
            if not self._pending:
                self._pending, self._rest = bytes(self._rest[:size]), self._rest[size:]
            if self._gzip.eof:
                # One file may be several, one after the other; zeros behind the last are padding.
                self._pending = (self._gzip.unused_data + self._pending).lstrip(b"\0")
                if not self._pending and not self._rest:
                    return b""
                self._members += 1
                if self._members > _MOST_MEMBERS:
                    raise zlib.error("too many members")
                self._gzip = zlib.decompressobj(31)
            piece = self._gzip.decompress(self._pending, size)
            self._pending = self._gzip.unconsumed_tail
            if piece:
                return piece
            if not self._pending and not self._rest and not self._gzip.eof:
                raise zlib.error("ends early")


def read_w3c(text: str | None) -> datetime | None:
    """https://www.w3.org/TR/NOTE-datetime as UTC without zone, from its first moment on; None for anything else.

    A time without zone, which the note does not know, is taken for UTC.
    """
    match = _W3C.fullmatch(text.strip()) if text else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    moment = f"{year}-{month or '01'}-{day or '01'}T{hour or '00'}:{minute or '00'}:{second or '00'}"
    try:
        found = datetime.fromisoformat(f"{moment}.{(fraction or '0')[:6]:0<6}{zone or 'Z'}")
        return found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
