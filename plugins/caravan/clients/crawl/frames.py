"""Data frames, of which a crawl has none."""

from __future__ import annotations

import sys

import pyarrow as pa


def leave_out_pandas() -> None:
    """For a process that only crawls: Arrow imports pandas at its first column, just to tell frames from lists, and
    that takes 45 MB and half a second. To whoever asks Arrow for a frame later pandas is there all the same."""
    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(_NoPandas)


class _NoPandas:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)
