"""A delivery's bytes as text: gzip undone, encoding checked to the last byte, byte order mark removed."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
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

_HOLE = 64
"""So many NUL characters in a row are no slip in a field: a part of the file was never written."""
_ONE_BYTE = ("cp125", "cp437", "cp72", "cp73", "cp77", "cp85", "cp86", "cp874", "iso8859", "koi8", "mac", "tis")
"""How the names of encodings begin in which nearly any bytes are text, UTF-8 as well."""
_LIKELY = ("utf-8", "windows-1252", "shift_jis", "gb18030")
_CERTAIN = 3
"""So many different characters outside ASCII, and nothing that is not UTF-8, do not come about by chance: in
windows-1252 every `é` before a letter would stop it. One or two may: `NESCAFÉ®` has the bytes of `NESCAFɮ`."""


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
    mark of another one, and on a NUL character in the first line (UTF-16 read as a one-byte encoding is full of
    them); FILE_DAMAGED on a run of NUL characters further down. Raises
    Rejected ENCODING_SUSPECT after the last byte if a one-byte encoding is declared and the file is surely UTF-8.
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
    watch = Utf8Watch() if declared.startswith(_ONE_BYTE) else None
    position, line, first = skip, 1, True
    for data, final in _with_end(head[skip:], source):
        try:
            text = decoder.decode(data, final)
        except UnicodeDecodeError as error:
            pending = len(error.object) - len(data)
            is_utf8 = Utf8Watch().see(data, final).found
            line += error.object[: error.start].decode(codec, "ignore").count("\n")
            raise Rejected(
                "ENCODING_WRONG",
                f"{name} is not {declared}: byte {position - pending + error.start} (line {line}) is "
                f"0x{error.object[error.start : error.end].hex()}; correct `encoding` in the channel's file "
                f"({'probably utf-8' if is_utf8 else 'often windows-1252, shift_jis, gb18030, utf-16'})",
            ) from error
        if first and text:
            text, first = text.removeprefix("\ufeff"), False
        # One in a field is for the row to answer for; a header with one is no text, and a run of them a hole.
        at = text.find("\0")
        if at >= 0 and line == 1 and "\n" not in text[:at]:
            raise Rejected(
                "ENCODING_WRONG",
                f"{name} has a NUL character in line {line}: it is no {declared} text (UTF-16 without a byte order "
                "mark, or a binary file?); correct `encoding` or `type` in the channel's file",
            )
        if at >= 0 and "\0" * _HOLE in text:
            raise Rejected("FILE_DAMAGED", f"{name} has a run of NUL characters: a part is lost; deliver it again")
        if watch:
            watch.see(data, final)
        position += len(data)
        line += text.count("\n")
        if text:
            yield text
    if watch and len(watch.found) >= _CERTAIN:
        shown = watch.found.encode().decode(codec, "replace")
        raise Rejected(
            "ENCODING_SUSPECT",
            f"{name} is utf-8 from beginning to end; as {declared} it would be loaded with '{shown}' for "
            f"'{watch.found}'. Set `encoding: utf-8` in the channel's file",
        )


class Utf8Watch:
    """Whether bytes that are declared as something else are UTF-8; looks no further after the first that is not."""

    def __init__(self) -> None:
        self.found = ""
        """A few different characters outside ASCII; none if something was no UTF-8."""
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")("strict")

    def see(self, data: bytes, final: bool) -> Utf8Watch:
        """The next bytes of the file."""
        if self._decoder is not None:
            try:
                text = self._decoder.decode(data, final)
            except UnicodeDecodeError:
                self.found, self._decoder = "", None
                return self
            if len(self.found) < _CERTAIN and not text.isascii():
                others = {char for char in {*self.found, *text} if not char.isascii()}
                self.found = "".join(sorted(others)[:_CERTAIN])
        return self


def guess_encoding(header: Sequence[str], wanted: Collection[str], declared: str) -> str:
    """A hint when columns are missing from a header: the encoding in which one of them would be there."""
    for encoding in _LIKELY:
        try:
            titles = {title.encode(declared).decode(encoding) for title in header}
        except UnicodeError:
            continue
        if (set(wanted) - set(header)) & titles:
            return f"; the header reads right as {encoding}, not {declared}: check `encoding` in the channel's file"
    return ""


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
