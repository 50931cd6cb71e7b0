"""CSV of any dialect, streamed into Parquet as text with row numbers.

Arrow takes the lines apart. It is lenient about quotes: a value whose closing quote is missing would swallow
the following rows without a word. So quotes are watched on the way in, and a marker is sent after the last row.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from caravan.clients.file_drop.decoding import guess_encoding
from caravan.clients.file_drop.source import (
    RAW_LIMIT,
    QuarantineFile,
    Source,
    literal,
    parquet_relation,
    require_columns,
)
from caravan.config.types import FileFormat
from caravan.core.errors import Rejected

BLOCK_BYTES = 4 << 20
"""Arrow's unit of work; a single row must fit."""
HEADER_LIMIT = 1 << 20
_END = "\x1eend of file\x1e"


def spool_csv(
    read: Callable[[], Iterator[str]], form: FileFormat, wanted: Collection[str], name: str, workdir: Path
) -> Source:
    """The delivery as a Source of text columns. `read` gives its text from the beginning, each time it is called.

    Rows with too few or too many fields are set aside. Raises Rejected CSV_BROKEN, HEADER_BROKEN, COLUMN_MISSING,
    COLUMN_REPEATED, and what reading the text raises.
    """
    header, body = _split_header(read(), form, name)
    if header:
        hint = guess_delimiter(header, form.delimiter) or guess_encoding(header, wanted, form.encoding)
        require_columns(wanted, header, name, hint)
    columns = [f"r{i}" for i in range(len(header))]
    target = workdir / "delivered.parquet"
    feed = _Feed(body, form, len(header))
    numbers = RowNumbers()
    schema = pa.schema([("row_number", pa.int64()), *((column, pa.string()) for column in columns)])
    with QuarantineFile(workdir / "broken_lines.parquet") as broken, pq.ParquetWriter(target, schema) as writer:

        def set_aside(row: pc.InvalidRow) -> str:
            few = row.actual_columns < row.expected_columns
            message = f"{row.actual_columns} fields where the header has {row.expected_columns}"
            line = json.dumps({"line": row.text.rstrip("\r\n")[:RAW_LIMIT]}, ensure_ascii=False)
            broken.add(row.number, "FIELDS_TOO_FEW" if few else "FIELDS_TOO_MANY", message, line)
            numbers.skip(row.number)
            return "skip"

        complete = not header
        received = 0
        try:
            for batch in _batches(feed, columns, form, set_aside) if header else ():
                if not batch.num_rows:
                    continue
                complete = batch.column(0)[-1].as_py() == _END
                rows = batch.slice(0, batch.num_rows - complete)
                received += rows.num_rows
                writer.write_batch(
                    pa.record_batch([pa.array(numbers.take(rows.num_rows)), *rows.columns], schema=schema)
                )
        except pa.ArrowInvalid as error:
            _require_strict_quotes(read, form, name)
            raise Rejected("CSV_BROKEN", f"{name} cannot be taken apart as CSV: {error}") from error
        if feed.quotes.doubtful or not complete:
            _require_strict_quotes(read, form, name)
        if not complete:
            raise Rejected("CSV_BROKEN", f"{name}: a quoted value near the end is never closed")
    pairs = ", ".join(f"{literal(title)}, {column}" for title, column in zip(_unique(header), columns, strict=True))
    return Source(
        relation=parquet_relation([target]),
        references=dict(zip(header, columns, strict=True)),
        types=dict.fromkeys(header, "VARCHAR"),
        raw_row=f"CAST(json_object({pairs}) AS VARCHAR)",
        received=received + broken.count,
        quarantined=broken.count,
        quarantine_path=broken.path if broken.count else None,
    )


def _batches(
    feed: _Feed, columns: list[str], form: FileFormat, set_aside: Callable[[pc.InvalidRow], str]
) -> Iterator[pa.RecordBatch]:
    # One thread: row numbers of invalid rows are known only then.
    yield from pc.open_csv(
        pa.PythonFile(feed, mode="r"),
        read_options=pc.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=columns),
        parse_options=pc.ParseOptions(
            delimiter=form.delimiter, quote_char=form.quote, newlines_in_values=True, invalid_row_handler=set_aside
        ),
        convert_options=pc.ConvertOptions(
            column_types={column: pa.string() for column in columns}, strings_can_be_null=False, check_utf8=False
        ),
    )


class RowNumbers:
    """Numbers for good rows, with gaps where rows were set aside. Runs, so that a file of nothing but
    broken rows costs no memory."""

    def __init__(self) -> None:
        self._next = 1
        self._skipped: list[list[int]] = []

    def skip(self, number: int) -> None:
        if self._skipped and self._skipped[-1][1] == number:
            self._skipped[-1][1] += 1
        else:
            self._skipped.append([number, number + 1])

    def take(self, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The numbers of the next `count` good rows."""
        parts: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = [np.empty(0, dtype=np.int64)]
        while count:
            first, end = self._skipped[0] if self._skipped else (self._next + count, 0)
            run = min(count, first - self._next)
            parts.append(np.arange(self._next, self._next + run, dtype=np.int64))
            self._next += run
            count -= run
            if self._next == first and self._skipped:
                self._next = end
                self._skipped.pop(0)
        return np.concatenate(parts)


class _Feed(io.RawIOBase):
    """The text after the header as a UTF-8 file for Arrow, with the marker as its last row."""

    def __init__(self, body: Iterator[str], form: FileFormat, width: int) -> None:
        self.quotes = QuoteWatch(form.delimiter, form.quote)
        self._pieces = self._encode(body, form.delimiter * (width - 1))
        self._buffer = b""

    def _encode(self, body: Iterator[str], tail: str) -> Iterator[bytes]:
        for text in body:
            data = text.encode()
            self.quotes.see(data)
            yield data
        self.quotes.see(b"\n")
        yield f"\n{_END}{tail}\n".encode()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._buffer:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._buffer = piece
        size = len(self._buffer) if size < 0 else size
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data


class QuoteWatch:
    """Whether every quote stands where strict CSV has one: opening after a delimiter or line end, closing before one.

    `doubtful` is no verdict: `5" pipe` in an unquoted value is harmless, and only a strict reading can tell.
    """

    def __init__(self, delimiter: str, quote: str) -> None:
        self.doubtful = False
        self._quote = quote.encode()
        self._neighbours = np.zeros(256, dtype=bool)
        self._neighbours[list(delimiter.encode() + b"\r\n" + self._quote)] = True
        self._inside = 0
        self._last = b"\n"

    def see(self, data: bytes) -> None:
        """The next bytes of the file. The last byte is judged with the following call."""
        held, self._last = self._last + data, data[-1:] or self._last
        if self.doubtful or not data or (self._quote not in held):
            return
        codes = np.frombuffer(held, dtype=np.uint8)
        # `held` is one byte of the past and the new ones; each quote is judged with both neighbours at hand.
        at = np.flatnonzero(codes == self._quote[0])
        fresh = at[at > 0]
        state = (self._inside + np.arange(len(fresh))) % 2
        opening, closing = fresh[state == 0], fresh[state == 1]
        closing = closing[closing < len(codes) - 1]
        if at.size and at[0] == 0 and self._inside == 0:
            # The last quote of the previous call closed a value: only now is the byte after it known.
            closing = np.append(closing, 0)
        self.doubtful = not (self._neighbours[codes[opening - 1]].all() and self._neighbours[codes[closing + 1]].all())
        self._inside = (self._inside + len(fresh)) % 2


def _require_strict_quotes(read: Callable[[], Iterator[str]], form: FileFormat, name: str) -> None:
    """Read everything once more with Python's strict reader; raises Rejected CSV_BROKEN with the line."""
    rows = csv.reader(_lines(read()), delimiter=form.delimiter, quotechar=form.quote, strict=True)
    start = 1
    try:
        for _ in rows:
            start = rows.line_num + 1
    except csv.Error as error:
        raise Rejected(
            "CSV_BROKEN",
            f"{name}: the quotes of the row that begins in line {start} do not pair ({error}); rows after it would "
            "be lost. Have the sender double quotes inside quoted values, or set `quote` to a character not used",
        ) from error


def _lines(text: Iterator[str]) -> Iterator[str]:
    rest = ""
    for chunk in text:
        *lines, rest = (rest + chunk).split("\n")
        yield from (line + "\n" for line in lines)
    if rest:
        yield rest


def _split_header(text: Iterator[str], form: FileFormat, name: str) -> tuple[list[str], Iterator[str]]:
    """The column titles, trimmed, and the text after them. No titles: the file holds nothing."""
    buffer = ""
    for chunk in text:
        buffer = (buffer + chunk).lstrip("\r\n")
        while (end := _record_end(buffer, form.quote)) is not None:
            record, buffer = buffer[:end], buffer[end:]
            if record.lower() == f"sep={form.delimiter}".lower():  # Excel's hint to itself
                buffer = buffer.lstrip("\r\n")
                continue
            return _titles(record, form), _chain(buffer, text)
        if len(buffer) > HEADER_LIMIT:
            raise Rejected("HEADER_BROKEN", f"{name} has no line end within its first {HEADER_LIMIT} characters")
    return (_titles(buffer, form) if buffer.strip() else []), iter(())


def _record_end(buffer: str, quote: str) -> int | None:
    """Where the first line end outside quotes is."""
    ends = (match.start() for match in re.finditer(r"[\r\n]", buffer))
    return next((end for end in ends if buffer.count(quote, 0, end) % 2 == 0), None)


def _titles(record: str, form: FileFormat) -> list[str]:
    row = next(csv.reader(io.StringIO(record, newline=""), delimiter=form.delimiter, quotechar=form.quote))
    return [title.strip() for title in row]


def guess_delimiter(header: list[str], declared: str) -> str:
    """A hint when the header is one column only: which delimiter would split it."""
    if len(header) != 1:
        return ""
    likely = max((mark for mark in ",;\t|" if mark != declared), key=header[0].count)
    if not header[0].count(likely):
        return ""
    shown = "a tab" if likely == "\t" else f"'{likely}'"
    return f"; the header is one column, so the delimiter is probably {shown}, not '{declared}'"


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _unique(titles: list[str]) -> list[str]:
    """Titles with a number after the second and later of the same name, for JSON."""
    return [
        title if titles[:i].count(title) == 0 else f"{title}_{titles[:i].count(title) + 1}"
        for i, title in enumerate(titles)
    ]
