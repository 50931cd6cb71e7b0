"""Content-Encoding undone, as far as a limit: some kilobytes can unpack to gigabytes."""

from __future__ import annotations

import zlib

ACCEPTED = "gzip, deflate"
_MOST_CODINGS = 3
_MOST_MEMBERS = 100
_GZIP = zlib.MAX_WBITS | 16
_GZIP_BEGINS = b"\x1f\x8b"


def unpack(wire: bytes, encoding: str, limit: int) -> tuple[bytes, str | None]:
    """The content and why it is not whole: `size` (more than `limit` bytes), `encoding` (cut off, broken, or none that
    was asked for). `encoding`: as the header has it."""
    codings = [each.strip().lower() for each in encoding.split(",") if each.strip().lower() not in ("", "identity")]
    if len(codings) > _MOST_CODINGS:
        return b"", "encoding"
    reason = None
    for coding in reversed(codings):
        if not wire:
            break
        wire, found = _undone(wire, coding, limit)
        # A stack of them is cut where its first layer is; what follows can only be cut off.
        reason = reason or found
    if len(wire) > limit:
        return wire[:limit], reason or "size"
    return wire, reason


def _undone(wire: bytes, coding: str, limit: int) -> tuple[bytes, str | None]:
    if coding in ("gzip", "x-gzip"):
        return _inflated(wire, _GZIP, limit)
    if coding == "deflate":
        # The standard means zlib's frame; some servers leave it out, which its first two bytes tell.
        has_frame = len(wire) >= 2 and wire[0] & 0x0F == 8 and int.from_bytes(wire[:2], "big") % 31 == 0
        return _inflated(wire, zlib.MAX_WBITS if has_frame else -zlib.MAX_WBITS, limit)
    return b"", "encoding"


def _inflated(wire: bytes, wbits: int, limit: int) -> tuple[bytes, str | None]:
    content = b""
    # Each one copies what is left: without an end to them, empty ones by the hundred thousand take hours.
    for _ in range(_MOST_MEMBERS):
        stream = zlib.decompressobj(wbits)
        try:
            content += stream.decompress(wire, limit + 1 - len(content))
        except zlib.error:
            return content, "encoding"
        if len(content) > limit:
            return content[:limit], "size"
        if not stream.eof:
            return content, "encoding"
        # Several gzip files in a row are one; other bytes after the end are ignored, as browsers do.
        wire = stream.unused_data
        if not (wbits == _GZIP and wire.startswith(_GZIP_BEGINS)):
            return content, None
    return content, "encoding"
