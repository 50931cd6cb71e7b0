"""A lake of an older DuckLake: refused with what to do, and brought up to date when a person asks for it."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

import pytest

from caravan.assembly.backup import check, make_backup, restore
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError
from caravan.warehouse.lake import Lake
from caravan.warehouse.migrations import migrate

CATALOG = Path(__file__).resolve().parents[1] / "fixtures" / "lake_format_0.3.sql"
"""What DuckDB 1.4.4 made of one schema and one table, as `sqlite3 .dump` writes it."""


@pytest.fixture
def old_lake(tmp_path) -> Path:
    with sqlite3.connect(tmp_path / "catalog.sqlite") as catalog:
        catalog.executescript(CATALOG.read_text().replace("DATA_PATH", f"{tmp_path}/files/"))
        catalog.execute("PRAGMA journal_mode = WAL")
    catalog.close()
    return tmp_path


def test_an_older_format_is_refused_until_it_is_brought_up_to_date(old_lake):
    for read_only in (True, False):
        with pytest.raises(CaravanError, match=r"older DuckDB: back it up, then run `\./caravan migrate`"):
            Lake(old_lake, read_only=read_only)
    with Lake(old_lake, upgrade=True) as lake:
        with lake.read() as session:
            assert session.columns("ops.run") == {"run_id": "VARCHAR", "state": "VARCHAR"}
        with lake.write() as session:
            session.execute("INSERT INTO ops.run VALUES ('one', 'success')")
    with Lake(old_lake, read_only=True) as lake, lake.read() as session:
        assert session.rows("SELECT * FROM ops.run") == [("one", "success")]


def test_a_backup_of_an_older_format_comes_back_in_today_s(old_lake, tmp_path_factory):
    """Its alerts are settled on the way, and the backup stays as it is."""
    home = tmp_path_factory.mktemp("home")
    given = Settings(home, home / "config", f"lake://{old_lake}")
    made = make_backup(given, home / "backups", datetime(2026, 11, 22), secrets=False)
    restore(Settings(home, home / "config", f"lake://{home}/new"), made.folder)
    with Lake(home / "new", read_only=True) as lake, lake.read() as session:
        assert session.columns("ops.run") == {"run_id": "VARCHAR", "state": "VARCHAR"}
    check(made.folder)


def test_a_lake_of_today_is_as_it_was_when_an_upgrade_is_asked_for(tmp_path):
    with Lake(tmp_path) as lake:
        applied = migrate(lake)
    with Lake(tmp_path, upgrade=True) as lake:
        assert migrate(lake) == []
    assert applied
