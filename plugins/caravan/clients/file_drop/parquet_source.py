"""Parquet, typed by the file itself."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import duckdb

from caravan.clients.file_drop.source import Source, literal, parquet_relation, require_columns


def open_parquet(connection: duckdb.DuckDBPyConnection, path: Path, wanted: Collection[str], name: str) -> Source:
    """The file as a Source. Raises Rejected COLUMN_MISSING, and duckdb.Error when it is no sound Parquet."""
    # Old writers leave text unmarked; as bytes it could not be typed.
    relation = parquet_relation([path], ", binary_as_string = true")
    described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    types = {str(column): str(kind) for column, kind, *_ in described}
    require_columns(wanted, list(types), name)
    (received,) = connection.execute(f"SELECT count(*) FROM {relation}").fetchone() or (0,)
    renamed = ", ".join(f"{_reference(column, kind)} AS r{i}" for i, (column, kind) in enumerate(types.items()))
    numbered = parquet_relation([path], ", binary_as_string = true, file_row_number = true")
    references = {column: f"r{i}" for i, column in enumerate(types)}
    pairs = ", ".join(f"{literal(column)}, {_in_json(references[column], kind)}" for column, kind in types.items())
    return Source(
        relation=f"(SELECT file_row_number + 1 AS row_number, {renamed} FROM {numbered})",
        references=references,
        types={column: "DOUBLE" if kind == "FLOAT" else kind for column, kind in types.items()},
        raw_row=f"CAST(json_object({pairs}) AS VARCHAR)",
        received=received,
    )


def _reference(column: str, kind: str) -> str:
    quoted = '"' + column.replace('"', '""') + '"'
    # 1234.56 in single precision is 1234.56005859375; its shortest text is what the writer meant.
    return f"CAST(CAST({quoted} AS VARCHAR) AS DOUBLE)" if kind == "FLOAT" else quoted


def _in_json(reference: str, kind: str) -> str:
    """JSON has no NaN and no infinity: such numbers are shown as text."""
    if kind in ("DOUBLE", "FLOAT"):
        text = f"to_json(CAST({reference} AS VARCHAR))"
        return f"CASE WHEN isfinite({reference}) THEN to_json({reference}) ELSE {text} END"
    return reference
