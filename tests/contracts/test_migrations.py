"""Migrations: each file once, whole or not at all, and never edited afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from places import table_rows

from caravan.core.errors import CaravanError, Misconfigured
from caravan.warehouse.migrations import SCHEMAS, migrate, read_migrations
from caravan.warehouse.raw_tables import RAW, SOURCES

ONE = (
    "CREATE TABLE ops.one (n INTEGER, word VARCHAR);\nINSERT INTO ops.one VALUES (1, 'a; b');\n-- index: ops.one (n)\n"
)
TWO = "CREATE TABLE ops.two (n INTEGER);\nALTER TABLE ops.one ADD COLUMN more DECIMAL(18,4);\n"


@pytest.fixture
def place(engine, new_place):
    return new_place(engine, migrated=False)


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_one.sql").write_text(ONE)
    return folder


def applied(warehouse):
    return [row[0] for row in table_rows(warehouse, "ops.schema_migration", ["migration"])]


def test_each_file_is_applied_once_and_new_ones_follow(place, folder):
    warehouse = place.open()
    assert migrate(warehouse, folder) == ["0001_one"]
    assert migrate(warehouse, folder) == []
    (folder / "0002_two.sql").write_text(TWO)
    assert migrate(warehouse, folder) == ["0002_two"]
    assert migrate(place.open(), folder) == []
    assert table_rows(warehouse, "ops.one") == [(1, "a; b", None)]
    with warehouse.read() as session:
        assert session.columns("ops.one") == {"n": "INTEGER", "word": "VARCHAR", "more": "DECIMAL(18,4)"}


def test_the_project_s_own_files_make_the_raw_tables_as_the_code_knows_them(place):
    warehouse = place.open()
    names = migrate(warehouse)
    assert names == [migration.name for migration in read_migrations()]
    added = {"version": "INTEGER", "change": "VARCHAR", "load_id": "VARCHAR", "observed_at": "TIMESTAMP"}
    with warehouse.read() as session:
        for table in RAW.values():
            assert session.columns(table.name) == {**table.columns, **added}, table.name
            assert session.rows(f"SELECT * FROM {table.name}") == []
        for name in SOURCES.keys() - RAW.keys():
            assert session.columns(name) == SOURCES[name].columns, name
    with warehouse.write() as session:
        for schema in SCHEMAS:
            session.execute(f"CREATE TABLE {schema}.anything (n INTEGER)")


def test_an_edited_file_is_refused(place, folder):
    warehouse = place.open()
    migrate(warehouse, folder)
    (folder / "0001_one.sql").write_text(ONE + "-- only a remark\n")
    (folder / "0002_two.sql").write_text(TWO)
    with pytest.raises(Misconfigured, match=r"0001_one\.sql: was edited after it was applied"):
        migrate(warehouse, folder)
    assert applied(warehouse) == ["0001_one"]


def test_a_warehouse_newer_than_the_code_is_refused(place, folder):
    warehouse = place.open()
    (folder / "0002_two.sql").write_text(TWO)
    migrate(warehouse, folder)
    (folder / "0002_two.sql").unlink()
    with pytest.raises(Misconfigured, match=r"0002_two\.sql.*use the newer code"):
        migrate(warehouse, folder)


BAD_FOLDERS = {
    "number missing": ({"0003_three.sql": "SELECT 1"}, "0003_three.sql: the next migration is number 0002"),
    "number twice": ({"0001_other.sql": "SELECT 1"}, "0001_other.sql: the next migration is number 0002"),
    "no number": ({"later.sql": "SELECT 1"}, "later.sql: the next migration is number 0002"),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_files_are_numbered_without_gaps(folder, case):
    files, message = BAD_FOLDERS[case]
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(Misconfigured, match=message):
        read_migrations(folder)


def test_an_empty_folder_is_a_fault(tmp_path):
    with pytest.raises(Misconfigured, match="holds no migration"):
        read_migrations(tmp_path)


def test_a_bad_file_rolls_back_whole_and_earlier_ones_stand(place, folder):
    warehouse = place.open()
    bad = TWO + "INSERT INTO ops.one (n) VALUES (CAST('word' AS INTEGER));\n"
    (folder / "0002_two.sql").write_text(bad)
    with pytest.raises(CaravanError, match=r"0002_two\.sql.*rolled back"):
        migrate(warehouse, folder)
    assert applied(warehouse) == ["0001_one"]
    assert table_rows(warehouse, "ops.one") == [(1, "a; b")]
    with warehouse.read() as session:
        assert session.columns("ops.two") == {}
    (folder / "0002_two.sql").write_text(TWO)
    assert migrate(warehouse, folder) == ["0002_two"]


MIGRATE = """
import sys
from pathlib import Path
from caravan.warehouse.migrations import migrate
{opening}
print(*migrate(warehouse, Path(sys.argv[1])))
warehouse.close()
"""
OPENINGS = {
    "lake": "from caravan.warehouse.lake import Lake; warehouse = Lake(Path(sys.argv[2]))",
    "postgresql": "from caravan.warehouse.postgres import Postgres; warehouse = Postgres(sys.argv[2])",
}


def test_several_processes_at_once_apply_each_file_once(place, folder):
    (folder / "0002_two.sql").write_text(TWO)
    where = str(place.root if place.engine == "lake" else place.dsn)
    script = MIGRATE.format(opening=OPENINGS[place.engine])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder), where],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        )
        for _ in range(3)
    ]
    done = [(*process.communicate(timeout=120), process.returncode) for process in started]
    assert [code for _, _, code in done] == [0, 0, 0], done
    assert sorted(word for out, _, _ in done for word in out.split()) == ["0001_one", "0002_two"]
    warehouse = place.open()
    assert applied(warehouse) == ["0001_one", "0002_two"]
    assert table_rows(warehouse, "ops.one") == [(1, "a; b", None)]
