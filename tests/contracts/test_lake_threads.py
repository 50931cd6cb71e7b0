"""A lake works alone on its bookkeeping, and with all processors on what is large."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caravan.warehouse import lake as module
from caravan.warehouse.lake import Lake

THREADS = "SELECT current_setting('threads')"


@pytest.mark.skipif((os.cpu_count() or 1) == 1, reason="one processor: nothing to tell apart")
def test_large_files_are_read_by_all_processors_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, count in (("small", 10), ("large", 9999)):
        rows = pa.table({"note": pa.array([f"{number} of {name}" for number in range(count)])})
        pq.write_table(rows, tmp_path / f"{name}.parquet")
    monkeypatch.setattr(module, "BULK_BYTES", (tmp_path / "small.parquet").stat().st_size)
    with Lake(tmp_path / "lake") as lake, lake.read() as session:
        small, large = (
            session.stage_parquet([tmp_path / f"{name}.parquet"], {"note": "VARCHAR"}) for name in ("small", "large")
        )
        assert session.rows(THREADS) == [(1,)]
        assert session.rows(f"{THREADS} FROM {small} AS s LIMIT 1") == [(1,)]
        assert session.rows(f"{THREADS} FROM {large} AS s LIMIT 1") == [(os.cpu_count(),)]
        assert session.rows(THREADS) == [(1,)], "until the next one"
