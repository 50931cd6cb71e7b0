"""A delivery made readable for DuckDB: one relation whatever the format."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from caravan.core.entities import QUARANTINE_COLUMNS
from caravan.core.errors import Rejected

RAW_LIMIT = 65_536
"""Characters kept of a broken line: enough to find it, not a whole file behind one lost newline."""
PARQUET = "FORMAT parquet, WRITE_BLOOM_FILTER false"
"""DuckDB holds the Bloom filters of all row groups in memory until the file ends: memory that grows with the rows."""


@dataclass(frozen=True)
class Source:
    """`relation`: SQL after FROM with `row_number` and the columns that `references` name.

    `references`, `types`: delivered column or path to its SQL expression and DuckDB type. `raw_row`: SQL of the
    delivered row as JSON text. `broken`: SQL condition of rows that could not be taken apart. `quarantined`:
    rows that the reader itself set aside, written to `quarantine_path`; they count in `received`.
    """

    relation: str
    references: Mapping[str, str]
    types: Mapping[str, str]
    raw_row: str
    received: int
    broken: str | None = None
    quarantined: int = 0
    quarantine_path: Path | None = None


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def parquet_relation(paths: Iterable[Path], options: str = "") -> str:
    """`read_parquet` over exactly these files: characters of a glob in a name stand for themselves."""
    names = ", ".join(literal("".join(f"[{c}]" if c in "*?[" else c for c in str(path))) for path in paths)
    return f"read_parquet([{names}]{options})"


def require_columns(wanted: Collection[str], found: Sequence[str], name: str, hint: str = "") -> None:
    """Raises Rejected COLUMN_MISSING or COLUMN_REPEATED unless each wanted column is there once.

    `hint` follows the message, e.g. a guess of the right delimiter.
    """
    missing = sorted(set(wanted) - set(found))
    if missing:
        near = "".join(
            f"; for '{column}' there is '{close[0]}'"
            for column in missing
            if (close := difflib.get_close_matches(column, found, n=1))
        )
        raise Rejected(
            "COLUMN_MISSING",
            f"{name} lacks {', '.join(missing)}. Expected: {', '.join(sorted(set(wanted)))}. "
            f"Found: {', '.join(found)}{near}{hint}",
        )
    repeated = sorted(column for column in set(wanted) if found.count(column) > 1)
    if repeated:
        raise Rejected("COLUMN_REPEATED", f"{name} has several columns named {', '.join(repeated)}; name them apart")


class QuarantineFile:
    """Writes quarantined rows to Parquet as they come; makes no file when there are none."""

    SCHEMA = pa.schema(
        [(name, pa.int64() if kind == "BIGINT" else pa.string()) for name, kind in QUARANTINE_COLUMNS.items()]
    )
    ROWS_AT_ONCE = 10_000

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._rows: list[dict[str, object]] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, row_number: int, reason_code: str, message: str, raw_row: str) -> None:
        self._rows.append(
            {
                "row_number": row_number,
                "row_key": None,
                "field_name": None,
                "reason_code": reason_code,
                "message": message,
                "raw_row": raw_row,
            }
        )
        self.count += 1
        if len(self._rows) >= self.ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer = self._writer or pq.ParquetWriter(self.path, self.SCHEMA)
            self._writer.write_table(pa.Table.from_pylist(self._rows, self.SCHEMA))
            self._rows = []

    def __enter__(self) -> QuarantineFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if error is None:
                self._flush()
        finally:
            if self._writer is not None:
                self._writer.close()
