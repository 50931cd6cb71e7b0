"""NDJSON, one object a line, streamed into Parquet as text with row numbers. Blank lines are no records."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from caravan.clients.file_drop.source import RAW_LIMIT, Source, literal, parquet_relation
from caravan.core.errors import Rejected

LINE_LIMIT = 64 << 20
_SCHEMA = pa.schema([("row_number", pa.int64()), ("line", pa.string())])


def spool_ndjson(text: Iterator[str], wanted: Collection[str], name: str, workdir: Path) -> Source:
    """The delivery as a Source whose columns are the wanted paths (`buyer.id`), all text.

    A path that an object lacks is NULL; a line that is no JSON object is `broken`. Raises Rejected LINE_TOO_LONG.
    """
    target = workdir / "delivered.parquet"
    received = 0
    with pq.ParquetWriter(target, _SCHEMA) as writer:
        for lines in _batches(text, name):
            numbers = pa.array(range(received + 1, received + 1 + len(lines)), pa.int64())
            writer.write_batch(pa.record_batch([numbers, pa.array(lines, pa.string())], schema=_SCHEMA))
            received += len(lines)
    paths = sorted(set(wanted))
    # One parse for all paths. TRY: a malformed line gives NULL instead of ending the statement.
    values = f"TRY(json_extract_string(line, [{', '.join(literal(_json_path(path)) for path in paths)}]))"
    broken = "(r IS NULL OR NOT starts_with(ltrim(line), '{'))"
    return Source(
        relation=f"(SELECT row_number, line, {values} AS r FROM {parquet_relation([target])})",
        references={path: f"r[{i}]" for i, path in enumerate(paths, start=1)},
        types=dict.fromkeys(paths, "VARCHAR"),
        raw_row=f"CASE WHEN {broken} THEN CAST(json_object('line', left(line, {RAW_LIMIT})) AS VARCHAR) ELSE line END",
        received=received,
        broken=broken,
    )


def _batches(text: Iterator[str], name: str) -> Iterator[list[str]]:
    rest = ""
    for chunk in text:
        # Not splitlines(): it also splits at U+2028 and its like, which JSON allows inside strings.
        *lines, rest = (rest + chunk).split("\n")
        if len(rest) > LINE_LIMIT:
            raise Rejected("LINE_TOO_LONG", f"{name} has a line of more than {LINE_LIMIT} characters; is it NDJSON?")
        if kept := [line for line in lines if line.strip()]:
            yield kept
    if rest.strip():
        yield [rest]


def _json_path(path: str) -> str:
    return "$" + "".join('."' + key.replace("\\", "\\\\").replace('"', '\\"') + '"' for key in path.split("."))
