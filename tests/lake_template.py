"""A migrated lake for tests, copied from one that each process makes once: a migration takes most of a second."""

from __future__ import annotations

import os
import shutil
import sqlite3
from functools import cache
from pathlib import Path

from caravan.warehouse.lake import Lake
from caravan.warehouse.migrations import migrate


@cache
def template() -> Path:
    """In the folder of this process, which goes when the tests are over."""
    root = Path(os.environ["AIRFLOW_HOME"]).parent / "lake-template"
    with Lake(root) as lake:
        migrate(lake)
    return root


def migrated_lake(root: Path) -> Path:
    """A migrated lake without any model's table; `root` itself."""
    copy_lake(template(), root)
    return root


def copy_lake(original: Path, root: Path) -> None:
    """Of a lake that nobody has open."""
    shutil.copytree(original, root)
    # The catalog remembers where its files are; those in it are relative to that.
    with sqlite3.connect(root / "catalog.sqlite") as catalog:
        moved = catalog.execute(
            "UPDATE ducklake_metadata SET value = ? WHERE key = 'data_path'", [f"{root}/files/"]
        ).rowcount
    catalog.close()
    assert moved == 1
