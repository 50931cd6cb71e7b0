"""Files on their way into the warehouse carry nothing that DuckDB must keep in memory until they end."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import duckdb
from file_drop_case import CONFIGURATION, LINE, LINE_FIELDS, NOW, channel, csv_text, deliver

from caravan.clients.file_drop.parse import parse
from caravan.warehouse.lake import Lake


def bloom_filters(paths: Iterable[Path]) -> tuple[int, int]:
    """Column chunks, and how many of them have a Bloom filter."""
    files = [str(path) for path in paths]
    counts = duckdb.execute("SELECT count(*), count(bloom_filter_length) FROM parquet_metadata(?)", [files]).fetchone()
    assert counts is not None
    return counts


def test_a_parsed_delivery_has_no_bloom_filters(tmp_path: Path) -> None:
    lines = [(f"A{number}", *LINE[1:]) for number in range(100)]
    for repetitions in (0, 1):  # rows that repeat are written once more, without the repetitions
        path = tmp_path / f"lines_{repetitions}.csv"
        path.write_text(csv_text([LINE_FIELDS, *lines, *lines[:repetitions]]))
        of = channel()
        parsed = parse(deliver(path, of), of, CONFIGURATION, tmp_path / "work", NOW)
        assert parsed.duplicate_count == repetitions
        chunks, filters = bloom_filters(parsed.accepted)
        assert chunks > 20
        assert filters == 0


def test_a_file_staged_by_the_lake_has_no_bloom_filters() -> None:
    with tempfile.TemporaryDirectory() as folder, Lake(Path(folder) / "lake") as lake, lake.read() as session:
        relation = session.stage("SELECT range % 5 AS number FROM range(1000)")
        assert bloom_filters(lake.staged_files[relation]) == (1, 0)
