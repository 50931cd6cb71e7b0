"""The published read layer: chosen marts as Parquet and as one DuckDB file that BI tools on DuckDB 1.x open.

    marts.duckdb              every table, named without its schema, and `published`
    parquet -> .versions/<v>  the same tables, one file each; a symlink

Each of the two is swapped by one rename, so a reader finds the old state or the new one, whole. A
reader of several Parquet files resolves the symlink once and stays within one version: the one before
the current is kept.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from caravan.core.errors import CaravanError, Fault, Misconfigured, Rejected, nearest
from caravan.core.window import to_utc_naive
from caravan.warehouse.duck import connect_duckdb, quoted
from caravan.warehouse.locks import hold_lock
from caravan.warehouse.port import Session

PRIVATE_CLASSES = frozenset({"identifier", "contact", "free_text"})
"""Columns of these classes are never published; a pseudonym is."""
STORAGE_VERSION = "v1.0.0"
"""Readable by every DuckDB from 1.0 on; the default of a newer one is refused by tools on 1.x."""
LOCK_WAIT_SECONDS = 60.0
RECORD = "published"

Classes = Mapping[str, Mapping[str, str]]
"""Table to column to personal-data class: what _models.yml declares."""

_MART = re.compile(r"^mart\.[a-z][a-z0-9_]*$")
_VERSION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")


def check_marts(marts: Sequence[str], classes: Classes) -> None:
    """Raise Misconfigured naming every mart that is unknown, no mart, or holds personal data."""
    faults = []
    for mart in marts:
        where = f"published_marts: {mart}"
        if not _MART.match(mart) or mart == f"mart.{RECORD}":
            faults.append(Fault(where, "is no mart; only tables of the schema mart are published"))
        elif mart not in classes:
            faults.append(Fault(where, f"is no model{nearest(mart, [name for name in classes if _MART.match(name)])}"))
        else:
            private = [f"{name} ({kind})" for name, kind in classes[mart].items() if kind in PRIVATE_CLASSES]
            if private:
                faults.append(Fault(where, f"holds personal data, take it off the list: {', '.join(private)}"))
    if faults:
        raise Misconfigured(faults)


def publish(
    session: Session,
    marts: Sequence[str],
    target_dir: Path,
    version: str,
    *,
    classes: Classes,
    published_at: datetime,
    code_revision: str,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
) -> Path:
    """Publish the marts of one snapshot and return the path of marts.duckdb.

    `version` names the directory of Parquet files; one that exists already gets a number behind it.
    `classes`: the catalogue; a mart that is not in it is refused. `published_at`: UTC.
    Raises Misconfigured for a list that may not be published, Rejected for a table that is not as the
    catalogue says, Retryable while another publisher works.
    """
    check_marts(marts, classes)
    if not _VERSION.match(version):
        raise ValueError(f"'{version}' cannot name a directory: use letters, digits, dot, dash, plus, underscore")
    names = list(dict.fromkeys(marts))
    for mart in names:
        _check_columns(session, mart, classes[mart])
    versions = target_dir / ".versions"
    versions.mkdir(parents=True, exist_ok=True)
    with hold_lock(target_dir / ".lock", lock_wait_seconds, f"has been publishing into {target_dir}"):
        _remove_unfinished(target_dir)
        part = versions / f"{version}.part"
        part.mkdir()
        for mart in names:
            columns = ", ".join(f'"{column}"' for column in classes[mart])
            # A total order: the same rows make the same file.
            session.export_parquet(f"SELECT {columns} FROM {mart} ORDER BY {columns}", part / _file(mart))
        database = _build_database(part, names, target_dir, to_utc_naive(published_at), code_revision)
        _swap(target_dir, part, database, version)
    return target_dir / "marts.duckdb"


def take(target_dir: Path, folder: Path, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> dict[str, Path]:
    """Other names (hard links) below `folder` for the files published last, all of one version, by their names for
    readers: `marts.duckdb`, `dim_date.parquet`. They stay while a later version is published.

    Raises Rejected NOT_PUBLISHED; Retryable while another publisher works.
    """
    database, parquet = target_dir / "marts.duckdb", target_dir / "parquet"
    if not database.exists() or not parquet.exists():
        raise Rejected("NOT_PUBLISHED", f"nothing is published in {target_dir} yet: `./caravan reporting publish`")
    with hold_lock(target_dir / ".lock", lock_wait_seconds, f"has been publishing into {target_dir}"):
        paths = {path.name: path for path in (database, *sorted(parquet.resolve().iterdir()))}
        taken = {name: _other_name(path, folder / name) for name, path in paths.items()}
    with duckdb.connect(str(taken[database.name]), read_only=True) as connection:
        file = quoted(taken[_file(f"mart.{RECORD}")])
        differing = connection.execute(f"FROM {RECORD} EXCEPT FROM read_parquet({file})").fetchall()
    if differing:  # a publisher was killed between the two
        raise Rejected("NOT_PUBLISHED", f"{target_dir} holds parts of two versions: `./caravan reporting publish`")
    return taken


def _other_name(path: Path, name: Path) -> Path:
    try:
        os.link(path, name)
    except OSError:  # another file system
        shutil.copyfile(path, name)
    return name


def _check_columns(session: Session, mart: str, classes: Mapping[str, str]) -> None:
    columns = session.columns(mart)
    if not columns:
        raise Rejected("MART_MISSING", f"{mart} is not built yet: run the DAG reporting_marts_hourly first")
    if unknown := columns.keys() - classes.keys():
        raise Rejected("COLUMN_UNCLASSED", f"{mart} has columns without a personal-data class: {sorted(unknown)}")
    if absent := classes.keys() - columns.keys():
        raise Rejected("COLUMN_MISSING", f"{mart} lacks columns of its model: {sorted(absent)}; rebuild it")


def _file(mart: str) -> str:
    return f"{mart.split('.')[1]}.parquet"


def _build_database(part: Path, marts: Sequence[str], target_dir: Path, published_at: datetime, revision: str) -> Path:
    """All tables in one closed and reopened file; `published` becomes a Parquet file too."""
    target = target_dir / "marts.duckdb.part"
    with connect_duckdb(part) as connection:
        connection.execute(f"ATTACH {quoted(target)} AS pub (STORAGE_VERSION '{STORAGE_VERSION}')")
        connection.execute(
            f"CREATE TABLE pub.{RECORD} "
            "(table_name VARCHAR, rows BIGINT, published_at TIMESTAMP, code_revision VARCHAR)"
        )
        for mart in marts:
            table = mart.split(".")[1]
            source = f"read_parquet({quoted(part / _file(mart))})"
            connection.execute(f'CREATE TABLE pub."{table}" AS SELECT * FROM {source}')
            connection.execute(
                f"INSERT INTO pub.{RECORD} SELECT ?, COUNT(*), ?, ? FROM {source}", [table, published_at, revision]
            )
        connection.execute(f"COPY pub.{RECORD} TO {quoted(part / _file(f'mart.{RECORD}'))} (FORMAT parquet)")
        connection.execute("DETACH pub")
    for path in part.glob("*/"):  # where the engine spilled
        shutil.rmtree(path)
    with duckdb.connect(str(target), read_only=True) as connection:
        for table, rows in connection.execute(f"SELECT table_name, rows FROM {RECORD}").fetchall():
            written = connection.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()
            if written != (rows,):
                raise CaravanError(f"{target}: {table} holds {written} rows, {rows} were exported; nothing published")
    return target


def _swap(target_dir: Path, part: Path, database: Path, version: str) -> None:
    for path in (*part.iterdir(), database, part):
        _sync(path)
    link = target_dir / "parquet"
    previous = link.resolve().name if link.is_symlink() else None
    finished = _free_name(part.parent, version)
    os.rename(part, finished)
    new_link = target_dir / "parquet.part"
    new_link.symlink_to(Path(".versions") / finished.name, target_is_directory=True)
    os.replace(database, target_dir / "marts.duckdb")
    os.replace(new_link, link)
    _sync(target_dir)
    for old in part.parent.iterdir():
        if old.name not in (finished.name, previous):
            shutil.rmtree(old)


def _free_name(folder: Path, version: str) -> Path:
    """A directory that readers may be using is never written again."""
    path, number = folder / version, 1
    while path.exists():
        number += 1
        path = folder / f"{version}-{number}"
    return path


def _remove_unfinished(target_dir: Path) -> None:
    """What a killed publisher left; the lock is ours, so nobody works on it."""
    for path in target_dir.glob("*.part*"):
        path.unlink()
    for path in (target_dir / ".versions").glob("*.part"):
        shutil.rmtree(path)


def _sync(path: Path) -> None:
    """On the disk before the rename that makes it visible: a power cut must not leave an empty file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
