"""The files that a crawl's tables are kept in: `<folder>/<table>/part-NNNNN.parquet`.

A number is of one commit: all tables' parts of it appear together or, after a crash, are removed together. Part 0 holds
no row, so that every table can be read whatever the site has.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from caravan.clients.crawl.tables import TABLES

if TYPE_CHECKING:
    import duckdb

FOUND = pa.schema(
    [("page_key", pa.int64()), ("target_key", pa.int64()), ("target_url", pa.string()), ("kind", pa.string())]
)
"""Where each page leads, as the frontier took it: no table of the audit's. The next crawl takes it from here for a page
that has not changed."""
SCHEMAS: Mapping[str, pa.Schema] = {**TABLES, "found": FOUND}
_NAME = re.compile(r"part-(\d{5,})\.parquet")


class Parts:
    """Writes into one folder; there is one writer of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, last: int) -> None:
        """Ready to write after part `last`: what a crawl that died has left behind it is removed."""
        for table, schema in SCHEMAS.items():
            place = self.folder / table
            place.mkdir(parents=True, exist_ok=True)
            for path in place.iterdir():
                number = _number(path)
                if path.suffix == ".tmp" or (number is not None and number > last):
                    path.unlink()
            if not self.path(table, 0).exists():
                self._put(table, 0, schema.empty_table())

    def write(self, number: int, tables: Mapping[str, pa.Table]) -> None:
        """On disk when it returns. Tables without rows get no part."""
        for name, table in tables.items():
            if table.num_rows:
                self._put(name, number, table)

    def replace(self, name: str, table: pa.Table) -> None:
        """All that a table has, of one whose rows change until the end."""
        self._put(name, 0, table)

    def path(self, table: str, number: int) -> Path:
        return part_path(self.folder, table, number)

    def _put(self, name: str, number: int, table: pa.Table) -> None:
        path = self.path(name, number)
        scratch = path.with_suffix(".tmp")
        with open(scratch, "wb") as file:
            pq.write_table(table, file, compression="zstd", compression_level=1, store_schema=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
        _sync_folder(path.parent)


def part_path(folder: Path, table: str, number: int) -> Path:
    return folder / table / f"part-{number:05d}.parquet"


def part_numbers(folder: Path, table: str) -> list[int]:
    """Of the parts that are there, in order."""
    place = folder / table
    found = (_number(path) for path in place.iterdir()) if place.is_dir() else ()
    return sorted(number for number in found if number is not None)


def read_part(
    folder: Path, table: str, number: int, columns: Sequence[str] | None = None, schema: pa.Schema | None = None
) -> pa.Table:
    """All rows of one part; none where it has no such part."""
    schema = schema or SCHEMAS[table]
    wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    path = part_path(folder, table, number)
    if not path.exists():
        return wanted.empty_table()
    # One file, read whole: a data set of it, and threads for it, cost more than they bring.
    with pq.ParquetFile(path) as file:
        return file.read(columns=wanted.names, use_threads=False).cast(wanted)


def as_table(name: str, rows: Sequence[tuple[object, ...]]) -> pa.Table:
    """Rows, values in the order of the table's columns, as columns. ValueError for rows of another width."""
    schema = SCHEMAS[name]
    if not rows:
        return schema.empty_table()
    columns = list(zip(*rows, strict=True))
    if len(columns) != len(schema):
        raise ValueError(f"rows of {name} have {len(columns)} values, its columns are {len(schema)}")
    return pa.Table.from_arrays(
        [_array(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema
    )


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        # Half of a surrogate pair, from an escape in a script or in JSON: no text holds it.
        return pa.array([_cleaned(value) for value in values], kind)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return [_cleaned(each) for each in value] if isinstance(value, list | tuple) else value


def open_views(connection: duckdb.DuckDBPyConnection, folder: Path, schema: str = "main") -> None:
    """A view of each table over the parts in `folder`, in a schema that there is."""
    for table in TABLES:
        files = ", ".join(_quoted(path) for path in part_files(folder, table))
        if not files:
            raise FileNotFoundError(2, "there is no crawl", str(folder / table))
        connection.execute(f"CREATE OR REPLACE VIEW {schema}.{table} AS SELECT * FROM read_parquet([{files}])")


def part_files(folder: Path, table: str) -> Iterator[Path]:
    return (part_path(folder, table, number) for number in part_numbers(folder, table))


def _quoted(path: Path) -> str:
    escaped = str(path).replace("'", "''")
    return f"'{escaped}'"


def _number(path: Path) -> int | None:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
