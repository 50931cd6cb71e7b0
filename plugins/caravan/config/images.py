"""Images beside a release: what the first bytes of a file say of it. No picture is decoded."""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path

MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
"""By the end of a file's name. No SVG: it can carry scripts."""

_NO_SIZE = frozenset([0xC4, 0xC8, 0xCC])
"""Of JPEG's markers C0 to CF those that hold tables, not a frame."""


@dataclass(frozen=True)
class ImageFile:
    path: Path
    media_type: str
    width: int
    height: int
    sha256: str

    @property
    def published_name(self) -> str:
        """Another content has another name, so that no cache shows an old picture. Fit for an address as it is."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", self.path.stem)
        return f"{stem}-{self.sha256[:10]}{self.path.suffix.lower()}"


def read_image(path: Path) -> ImageFile:
    """ValueError in words for who put it there; OSError when it cannot be read."""
    content = path.read_bytes()
    expected = MEDIA_TYPES[path.suffix.lower()]
    try:
        found = _describe(content)
    except (struct.error, IndexError) as error:
        raise ValueError("is cut off: its size in pixels is not there") from error
    if found is None:
        raise ValueError("is no PNG, JPEG, GIF or WebP image")
    media_type, width, height = found
    if media_type != expected:
        raise ValueError(f"holds {media_type}, its name says {expected}; rename it")
    if width < 1 or height < 1:
        raise ValueError("has no pixels")
    return ImageFile(path, media_type, width, height, hashlib.sha256(content).hexdigest())


def _describe(content: bytes) -> tuple[str, int, int] | None:
    """Media type, width and height."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png", *struct.unpack(">II", content[16:24])
    if content[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif", *struct.unpack("<HH", content[6:10])
    if content.startswith(b"\xff\xd8"):
        return "image/jpeg", *_jpeg(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp", *_webp(content)
    return None


def _jpeg(content: bytes) -> tuple[int, int]:
    at = 2
    while True:
        while content[at] == 0xFF and content[at + 1] == 0xFF:
            at += 1  # bytes that fill up
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + struct.unpack(">H", content[at + 2 : at + 4])[0]


def _webp(content: bytes) -> tuple[int, int]:
    kind = content[12:16]
    if kind == b"VP8X":
        wide, wider, high, higher = struct.unpack("<HBHB", content[24:30])
        return (wider << 16 | wide) + 1, (higher << 16 | high) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", content[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack("<HH", content[26:30])
    return width & 0x3FFF, height & 0x3FFF
