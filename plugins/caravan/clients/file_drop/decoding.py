"""A delivery's bytes as text: gzip undone, encoding checked to the last byte, byte order mark removed."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from caravan.core.errors import Rejected

CHUNK_BYTES = 1 << 20

# The longest first: UTF-32's little-endian mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le", ("utf-32", "utf-32-le")),
    (codecs.BOM_UTF32_BE, "utf-32-be", ("utf-32", "utf-32-be")),
    (codecs.BOM_UTF8, "utf-8", ("utf-8", "utf-8-sig")),
    (codecs.BOM_UTF16_LE, "utf-16-le", ("utf-16", "utf-16-le")),
    (codecs.BOM_UTF16_BE, "utf-16-be", ("utf-16", "utf-16-be")),
)
# Files without a mark: what Windows writes.
_WITHOUT_MARK = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}


def read_bytes(path: Path) -> Iterator[bytes]:
    """The file's content in chunks of about 1 MiB; gzip is recognised by its first bytes, not by the name.

    Raises Rejected GZIP_TRUNCATED, GZIP_BROKEN, FILE_UNREADABLE.
    """
    try:
        with path.open("rb") as file:
            zipped = file.peek(2)[:2] == b"\x1f\x8b"
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if zipped else file
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
    except EOFError:
        message = f"{path.name} ends in the middle of its gzip stream; deliver it again"
        raise Rejected("GZIP_TRUNCATED", message) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise Rejected("GZIP_BROKEN", f"{path.name} is no sound gzip file ({error}); deliver it again") from error
    except OSError as error:
        raise Rejected("FILE_UNREADABLE", f"{path.name} cannot be read: {error.strerror or error}") from error


def read_text(chunks: Iterable[bytes], encoding: str, name: str) -> Iterator[str]:
    """Chunks of bytes as text. `name` is the file's, for messages.

    Raises Rejected ENCODING_WRONG at the first byte that is none of the declared encoding, on a byte order
    mark of another one, and on a NUL character (UTF-16 read as a one-byte encoding is full of them).
    """
    source = iter(chunks)
    head = b""
    for chunk in source:
        head += chunk
        if len(head) >= 4:
            break
    declared = codecs.lookup(encoding).name
    codec, skip = _codec(head, declared, name)
    decoder = codecs.getincrementaldecoder(codec)("strict")
    position, line, first = skip, 1, True
    for data, final in _with_end(head[skip:], source):
        try:
            text = decoder.decode(data, final)
        except UnicodeDecodeError as error:
            pending = len(error.object) - len(data)
            line += error.object[: error.start].decode(codec, "ignore").count("\n")
            raise Rejected(
                "ENCODING_WRONG",
                f"{name} is not {declared}: byte {position - pending + error.start} (line {line}) is "
                f"0x{error.object[error.start : error.end].hex()}; correct `encoding` in the channel's file "
                "(often windows-1252, shift_jis, gb18030, utf-16)",
            ) from error
        if first and text:
            text, first = text.removeprefix("\ufeff"), False
        if "\0" in text:
            line += text[: text.index("\0")].count("\n")
            raise Rejected(
                "ENCODING_WRONG",
                f"{name} has a NUL character in line {line}: it is no {declared} text (UTF-16 without a byte order "
                "mark, or a binary file?); correct `encoding` or `type` in the channel's file",
            )
        position += len(data)
        line += text.count("\n")
        if text:
            yield text


def _codec(head: bytes, declared: str, name: str) -> tuple[str, int]:
    """The codec to use and how many bytes of mark to skip."""
    marks = [mark for mark in _MARKS if head.startswith(mark[0])]
    for mark, codec, names in marks:
        if declared in names:
            return codec, len(mark)
    if marks:
        raise Rejected(
            "ENCODING_WRONG",
            f"{name} begins with the byte order mark of {marks[0][1]} but `encoding` says {declared}; correct it",
        )
    return _WITHOUT_MARK.get(declared, declared), 0


def _with_end(head: bytes, rest: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    yield head, False
    for chunk in rest:
        yield chunk, False
    yield b"", True
