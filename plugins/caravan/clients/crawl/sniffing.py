"""What a body begins like, whatever its header says: https://mimesniff.spec.whatwg.org, as far as pages need it."""

from __future__ import annotations

import codecs
import re

_LOOKED_AT = 1445
"""The standard's resource header."""
_WHITE = b"\t\n\f\r "
_HTML = re.compile(
    rb"<(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|meta|link)[\t\n\f\r >]"
    rb"|<!--",
    re.IGNORECASE,
)
_BEGINNINGS = (
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"\0\0\1\0", "image/x-icon"),
    (b"\0\0\2\0", "image/x-icon"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"PK\3\4", "application/zip"),
    (b"Rar!\x1a\x07", "application/x-rar-compressed"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"\0\1\0\0", "font/ttf"),
    (b"OTTO", "font/otf"),
    (b"OggS\0", "application/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
)
_IN_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wave", b"AVI ": "video/avi"}
_BOXES = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic"}
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


def sniffed_type(body: bytes) -> str | None:
    """A media type; `text/plain` for other text, `application/octet-stream` for other bytes; None for an empty body."""
    head = body[:_LOOKED_AT]
    if not head:
        return None
    if head.startswith(codecs.BOM_UTF16_LE):
        return _of_text(head[2:].decode("utf-16-le", "ignore").encode()) or "text/plain"
    if head.startswith(codecs.BOM_UTF16_BE):
        return _of_text(head[2:].decode("utf-16-be", "ignore").encode()) or "text/plain"
    marked = head.startswith(codecs.BOM_UTF8)
    found = _of_text(head[3:] if marked else head) or next(
        (name for at, name in _BEGINNINGS if head.startswith(at)), None
    )
    if found:
        return found
    if head.startswith(b"RIFF") and head[8:12] in _IN_RIFF:
        return _IN_RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        return _BOXES.get(head[8:12], "video/mp4")
    return "application/octet-stream" if _NO_TEXT.search(head) and not marked else "text/plain"


def _of_text(head: bytes) -> str | None:
    text = head.lstrip(_WHITE)
    if _HTML.match(text):
        return "text/html"
    if text.startswith(b"<?xml"):
        return "image/svg+xml" if b"<svg" in text else "text/xml"
    return "image/svg+xml" if text.startswith(b"<svg") else None
