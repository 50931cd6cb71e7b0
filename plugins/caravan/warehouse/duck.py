"""DuckDB as Caravan opens it: offline, in UTC, with its spill beside the work."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import duckdb


def extension_file(name: str) -> Path:
    """The signed extension inside its installed wheel: nothing is downloaded at run time."""
    module = importlib.import_module(f"duckdb_extension_{name}")
    folder = os.path.dirname(str(module.__file__))
    return Path(folder, "extensions", f"v{duckdb.__version__}", f"{name}.duckdb_extension")


EXTENSIONS = ("ducklake", "sqlite_scanner")
"""What a lake needs."""


def require_signed() -> None:
    """Raises duckdb.Error when an extension is not what DuckDB's makers have signed, or is of another version."""
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        for name in EXTENSIONS:
            connection.execute(f"LOAD {quoted(extension_file(name))}")


def connect_duckdb(temp_dir: Path, memory_limit: str = "1GB") -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that reaches for nothing outside and spills into `temp_dir`."""
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            # They are files of wheels whose hashes the lock pins, as all code here is. To have DuckDB hash them
            # once more, for their signature, would cost 0.3 s at each opening; `caravan doctor` does.
            "allow_unsigned_extensions": "true",
            "extension_directory": str(temp_dir / "extensions"),
            "temp_directory": str(temp_dir / "spill"),
            "memory_limit": memory_limit,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    # Rows carry their own order; keeping the file's would cost memory and leave cores idle.
    connection.execute("SET preserve_insertion_order = false")
    # The system caches files as well; a second cache would grow with what is read, up to the limit.
    connection.execute("SET enable_external_file_cache = false")
    return connection


def quoted(text: Path | str) -> str:
    """A path as a literal of SQL, for statements that take no parameters."""
    escaped = str(text).replace("'", "''")
    return f"'{escaped}'"
