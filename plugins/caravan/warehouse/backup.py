"""The warehouse's part of a backup, and its way back.

A lake is kept as it is: one state of its catalog and exactly the files that state names. PostgreSQL is kept as one
Parquet file for each table of one snapshot, through the port; that needs no program of the server's version, and a
lake can read it. So either engine can be restored from either.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from caravan.core.errors import CaravanError, Rejected
from caravan.warehouse.archive import Archive, ArchiveWriter, Progress, Source, copy_hashed, require_room, sync_folder
from caravan.warehouse.catalog import Catalog
from caravan.warehouse.lake import Lake
from caravan.warehouse.lake_upkeep import removal_lock, sqlite_apart
from caravan.warehouse.migrations import SCHEMAS, read_migrations
from caravan.warehouse.port import Session, Warehouse
from caravan.warehouse.scratch import Scratch

_LAKE = "lake"
_FILES = "lake/files"
_CATALOG = "lake/catalog.sqlite"
_TABLES = "tables"
_MESSAGES = "ops.incident_message"
_PART = ".restore.part"
"""In the lake's own folder, which may be another disk's: a restore that is not finished."""
_ENDS = ("files", "catalog.sqlite")
"""What a restore moves into place at its end, in this order."""
_SCHEMA_LIST = ", ".join(f"'{schema}'" for schema in SCHEMAS)

_NAMED_FILES = """
    WITH file AS (
        SELECT table_id, path, path_is_relative, file_size_bytes FROM ducklake_data_file
        UNION ALL SELECT table_id, path, path_is_relative, file_size_bytes FROM ducklake_delete_file
    )
    SELECT DISTINCT s.path, s.path_is_relative, t.path, t.path_is_relative, f.path, f.path_is_relative,
                    f.file_size_bytes
    FROM file AS f JOIN ducklake_table AS t ON f.table_id = t.table_id JOIN ducklake_schema AS s USING (schema_id)
    ORDER BY 1, 3, 5"""
"""Paths are relative one to the next: schema, table, file. A table that was altered is there more than once."""


def save_lake(root: Path, writer: ArchiveWriter, more: Sequence[Source], wait_seconds: float) -> dict[str, Any]:
    """One committed state of the lake; writers go on meanwhile. `more`: what is to be added beside it.

    Raises Retryable when there is no room, or when files are just being removed for longer than `wait_seconds`.
    """
    with removal_lock(root, wait_seconds):
        catalog = writer.place(_CATALOG)
        _copy_database(root / "catalog.sqlite", catalog)
        with closing(sqlite3.connect(catalog)) as copy:
            files = _named_files(copy, root)
            # Named by no state any more, and not copied.
            copy.execute("DELETE FROM ducklake_files_scheduled_for_deletion")
            copy.commit()
        sources = [*files, *more]
        require_room(writer.folder, writer.missing_bytes(sources), "the backup")
        writer.add(sources)
    writer.added(_CATALOG)
    return {"engine": _LAKE, "file_count": len(files)}


def _copy_database(source: Path, target: Path) -> None:
    sqlite_apart(_COPY, source, target)
    target.chmod(0o600)


_COPY = """
import sqlite3, sys
given, copy = sqlite3.connect(sys.argv[1], timeout=30), sqlite3.connect(sys.argv[2])
given.backup(copy)
copy.close()
given.close()
"""


def save_database(source: Path, writer: ArchiveWriter, name: str) -> None:
    """One state of a SQLite database that others may be writing."""
    _copy_database(source, writer.place(name))
    writer.added(name)


def _named_files(catalog: sqlite3.Connection, root: Path) -> list[Source]:
    home, found = root / "files", {}
    for *steps, size in catalog.execute(_NAMED_FILES):
        path = home
        for step, is_relative in zip(steps[::2], steps[1::2], strict=True):
            path = path / step if is_relative else Path(step)
        if not path.is_relative_to(home):
            raise CaravanError(f"the catalog of {root} names {path}, which is outside of it: it cannot be backed up")
        name = path.relative_to(home).as_posix()
        if not path.is_file():
            raise CaravanError(f"{path} is missing, and the catalog of {root} needs it: restore an earlier backup")
        found[name] = Source(path, f"{_FILES}/{name}", int(size), fixed=True)
    return list(found.values())


def table_names(session: Session) -> list[str]:
    """All tables of the warehouse, as schema.table."""
    found = session.rows(
        "SELECT table_schema, table_name FROM information_schema.tables "
        f"WHERE table_schema IN ({_SCHEMA_LIST}) ORDER BY table_schema, table_name"
    )
    return [f"{schema}.{name}" for schema, name in found]


def save_tables(warehouse: Warehouse, writer: ArchiveWriter, more: Sequence[Source]) -> dict[str, Any]:
    """Every table of one snapshot as Parquet."""
    with warehouse.read() as session:
        # The files come out smaller; the largest table passes through the disk as text.
        [size] = session.row("SELECT pg_database_size(current_database())")
        require_room(writer.folder, int(size) + sum(source.size for source in more), "the backup")
        tables = _export(session, writer.place(f"{_TABLES}/none").parent)
    for table in tables:
        writer.added(f"{_TABLES}/{table}.parquet")
    writer.add(more)
    return {"engine": "postgresql", "tables": tables}


def _export(session: Session, folder: Path) -> dict[str, Any]:
    tables = {}
    for table in table_names(session):
        session.export_parquet(f"SELECT * FROM {table}", folder / f"{table}.parquet")
        (folder / f"{table}.parquet").chmod(0o600)
        rows = int(session.row(f"SELECT COUNT(*) FROM {table}")[0])
        tables[table] = {"rows": rows, "columns": session.columns(table)}
    return tables


def require_empty_lake(root: Path) -> None:
    """Raises CaravanError where a lake, or anything else but a restore that was cut, is already."""
    left = _cut_restore(root)
    if root.exists() and (not root.is_dir() or any(path not in left for path in root.iterdir())):
        raise CaravanError(
            f"{root} is not empty, and nothing is restored over it: move it away first (mv {root} {root}.old)"
        )


def clear_cut_restore(root: Path) -> None:
    """Free the room that a restore which was cut still takes."""
    for path in _cut_restore(root):
        if path.exists():
            shutil.rmtree(path)


def _cut_restore(root: Path) -> list[Path]:
    """What a restore that was cut may have left; none of it is a lake's."""
    part = root / _PART
    files, catalog = (part / name for name in _ENDS)
    # Cut between its last two steps it left the files in place, and the catalog not yet.
    return [root / "files", part] if catalog.exists() and not files.exists() else [part]


def restore_lake(archive: Archive, root: Path, progress: Progress, *, link: bool = False) -> None:
    """Put a lake from a verified archive at `root`. `link`: with the archive's own files.

    The catalog comes last, so that a lake is there whole, with its alerts settled, or not at all.
    """
    root = root.resolve()
    require_empty_lake(root)
    clear_cut_restore(root)
    part = root / _PART
    for name, source in archive.below(_LAKE).items():
        target = part / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if link and name != "catalog.sqlite":
            os.symlink(source.resolve(), target)
            continue
        copy_hashed(source, target, progress)
    (part / "files").mkdir(exist_ok=True)
    if not link:
        _point(archive, part, part)
        # Here no other process can have its catalog; one of an older format could not be opened otherwise.
        with Lake(part, upgrade=True) as lake, lake.write() as session:
            _settle_messages(session, archive)
    _point(archive, part, root)
    if not link:
        sync_folder(part)
    for name in _ENDS:
        (part / name).rename(root / name)
    shutil.rmtree(part)


def _point(archive: Archive, folder: Path, root: Path) -> None:
    """Tell the catalog in `folder` that its lake is at `root`: those of its files are relative to that."""
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as catalog:
        place = f"{root}/files/"
        moved = catalog.execute("UPDATE ducklake_metadata SET value = ? WHERE key = 'data_path'", [place]).rowcount
        catalog.commit()
    if moved != 1:
        raise CaravanError(f"{archive.folder}/{_CATALOG} does not say where its files are: it is no lake's catalog")


def restore_tables(archive: Archive, warehouse: Warehouse, models: Catalog, scratch: Path) -> None:
    """Put the tables of a verified archive of either engine into an empty warehouse, in one transaction."""
    if archive.facts["engine"] == _LAKE:
        with Scratch(scratch) as folder:
            restore_lake(archive, folder / "lake", lambda count: None, link=True)
            with Lake(folder / "lake", read_only=True) as lake, lake.read() as session:
                tables = _export(session, folder)
            _load(archive, warehouse, models, tables, folder)
    else:
        _load(archive, warehouse, models, archive.facts["tables"], archive.folder / _TABLES)


def _settle_messages(session: Session, archive: Archive) -> None:
    """Alerts that waited when the backup was made have been sent since, by the warehouse it was made of."""
    if _MESSAGES in table_names(session):
        why = f"not sent again: restored from {archive.folder.name}"
        waiting = "state IN ('pending', 'sending')"
        session.execute(f"UPDATE {_MESSAGES} SET state = 'failed', error = $why WHERE {waiting}", {"why": why})


def require_empty(warehouse: Warehouse) -> None:
    """Raises CaravanError when the warehouse has tables."""
    with warehouse.read() as session:
        _refuse_tables(session)


def _refuse_tables(session: Session) -> None:
    if there := table_names(session):
        raise CaravanError(
            f"the warehouse has {len(there)} tables ({there[0]} ...), and nothing is restored over them: "
            "make an empty database and set CARAVAN_WAREHOUSE to it"
        )


def _load(archive: Archive, warehouse: Warehouse, models: Catalog, tables: Mapping[str, Any], folder: Path) -> None:
    lookups = _lookups(models)
    with warehouse.write() as session:
        _refuse_tables(session)
        for schema in SCHEMAS:
            session.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for table, facts in tables.items():
            columns: Mapping[str, str] = facts["columns"]
            body = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            session.execute(f"CREATE TABLE {table} ({body})")
            names = ", ".join(columns)
            # Not `append_staged`: it may take a file over, and this one belongs to the backup.
            rows = session.stage_parquet([folder / f"{table}.parquet"], columns)
            session.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {rows} AS q")
            # The backup may be older than the code: what it has no column for is made when the model is built anew.
            session.settle_table(table, [by for by in lookups.get(table, ()) if columns.keys() >= set(by)])
            [count] = session.row(f"SELECT COUNT(*) FROM {table}")
            if count != facts["rows"]:
                raise Rejected("BACKUP_DAMAGED", f"{table} has {count} rows instead of {facts['rows']}")
        _settle_messages(session, archive)
    warehouse.forget_staged()


def _lookups(models: Catalog) -> dict[str, list[tuple[str, ...]]]:
    """By which columns each table is asked for: what the migrations and the models say."""
    found = {table: list(columns) for each in read_migrations() for table, columns in each.tables.items()}
    return found | {
        model.name: [model.key, *([(model.slice_column,)] if model.slice_column else [])] for model in models.models
    }
