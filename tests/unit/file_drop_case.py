"""One small delivery through `parse`, as tests of file_drop want it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pyarrow.parquet
from market_case import market

from caravan.clients.file_drop.parse import parse
from caravan.clients.file_drop.parsed import Delivery, Parsed
from caravan.config.types import Configuration, FileChannel, Project
from caravan.core.entities import ENTITIES, QUARANTINE_COLUMNS, parsed_columns

NOW = datetime.fromisoformat("2024-06-15T12:00:00")
LINE_FIELDS = ("order_id", "line_id", "ordered_at", "country", "currency", "sku", "quantity", "unit_price")
LINE = ("A1", "1", "2024-05-01 10:00:00", "DE", "EUR", "S1", "2", "9.95")
"""A good order line, in the order of LINE_FIELDS."""

MARKETS = {
    code: market(code, currency=currency, zone=zone)
    for code, currency, zone in (
        ("DE", "EUR", "Europe/Berlin"),
        ("JP", "JPY", "Asia/Tokyo"),
        ("US", "USD", "America/New_York"),
        ("ZZ", "EUR", "UTC"),
    )
}
CONFIGURATION = Configuration(project=Project(), markets=MARKETS, channels={}, hash="test")


def channel(
    fields: Iterable[str] = LINE_FIELDS,
    *,
    entity: str = "order_line",
    form: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    **source: Any,
) -> FileChannel:
    """A channel whose columns are called like our fields. `source`: keys of the entity, `settings`: of the channel."""
    return FileChannel.model_validate(
        {
            "code": "shop",
            "name": "Shop",
            "kind": "own",
            "folder": "in",
            "delivery": "complete",
            "zone": "UTC",
            "format": {"type": "csv", **(form or {})},
            "entities": {entity: {"files": "*", "columns": {name: name for name in fields}, **source}},
            **(settings or {}),
        }
    )


@dataclass(frozen=True)
class Result:
    parsed: Parsed
    rows: list[dict[str, Any]]
    """Accepted rows by row number."""
    quarantined: list[dict[str, Any]]

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]

    @property
    def reasons(self) -> list[tuple[int, str | None, str]]:
        return [(row["row_number"], row["field_name"], row["reason_code"]) for row in self.quarantined]

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """received, accepted, duplicate, quarantined"""
        parsed = self.parsed
        return parsed.received_count, parsed.accepted_count, parsed.duplicate_count, parsed.quarantined_count


def deliver(path: Path, of: FileChannel) -> Delivery:
    status, (entity,) = path.stat(), of.entities
    content_hash = hashlib.sha256(path.read_bytes()).hexdigest()
    return Delivery(of.code, entity, path, content_hash, status.st_size, status.st_mtime_ns)


def parse_bytes(data: bytes, of: FileChannel, name: str = "delivery", now: datetime = NOW) -> Result:
    """Parse a file of these bytes; checks what holds for every delivery."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        delivery = deliver(path, of)
        parsed = parse(delivery, of, CONFIGURATION, Path(folder) / "work", now)
        rows = _rows(parsed.accepted, parsed_columns(ENTITIES[delivery.entity]))
        # Arrow, which writes what could not be taken apart, has no UUID: such rows have no key.
        quarantined = [row for path in parsed.quarantined for row in _rows([path], _columns_of_quarantine(path))]
    assert len(rows) == parsed.accepted_count
    assert len(quarantined) == parsed.quarantined_count
    assert parsed.received_count == parsed.accepted_count + parsed.duplicate_count + parsed.quarantined_count
    assert all(json.loads(row["raw_row"]) is not None for row in quarantined)
    return Result(parsed, rows, quarantined)


def parse_text(text: str, of: FileChannel) -> Result:
    return parse_bytes(text.encode(), of)


def parse_lines(lines: Iterable[Sequence[str]], of: FileChannel, fields: Sequence[str] = LINE_FIELDS) -> Result:
    """Parse a CSV of these values under a header of `fields`."""
    return parse_text(csv_text([fields, *lines], of.format.delimiter), of)


def parse_column(field: str, values: Iterable[str], of: FileChannel | None = None) -> Result:
    """Parse good lines A1, A2, ... whose `field` takes these values in turn."""
    fields = LINE_FIELDS if field in LINE_FIELDS else (*LINE_FIELDS, field)
    lines = []
    for number, value in enumerate(values, start=1):
        line = {**dict(zip(LINE_FIELDS, LINE, strict=True)), "order_id": f"A{number}", field: value}
        lines.append([line[name] for name in fields])
    return parse_lines(lines, of or channel(fields), fields)


def csv_text(rows: Iterable[Sequence[str]], delimiter: str = ",") -> str:
    return "".join(delimiter.join(_quoted(value, delimiter) for value in row) + "\n" for row in rows)


def parquet_bytes(columns: dict[str, pyarrow.Array]) -> bytes:
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _quoted(value: str, delimiter: str) -> str:
    return '"' + value.replace('"', '""') + '"' if set(value) & {delimiter, '"', "\n", "\r"} else value


def _columns_of_quarantine(path: Path) -> dict[str, str]:
    keyless = pyarrow.parquet.read_schema(path).field("row_key").type == pyarrow.string()
    return QUARANTINE_COLUMNS | ({"row_key": "VARCHAR"} if keyless else {})


def _rows(paths: Sequence[Path], columns: dict[str, str]) -> list[dict[str, Any]]:
    if not paths:
        return []
    with duckdb.connect() as connection:
        result = connection.execute(
            "SELECT * FROM read_parquet($paths) ORDER BY row_number", {"paths": [str(path) for path in paths]}
        )
        assert {name: str(kind) for name, kind, *_ in result.description or []} == columns
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
