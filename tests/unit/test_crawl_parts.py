"""Parts of a crawl's tables: the same columns whatever is in them, and nothing half written."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from caravan.clients.crawl.parts import SCHEMAS, Parts, as_table, open_views, part_numbers, read_part
from caravan.clients.crawl.tables import TABLES


def seed(key: int) -> tuple[object, ...]:
    return key, f"https://example.com/{key}", "start"


def test_tables_without_rows_have_their_columns(tmp_path: Path) -> None:
    Parts(tmp_path).begin(0)
    with duckdb.connect() as connection:
        open_views(connection, tmp_path)
        for name, schema in TABLES.items():
            described = connection.execute(f"DESCRIBE {name}").fetchall()
            assert [column for column, *_ in described] == schema.names
            assert connection.execute(f"SELECT count(*) FROM {name}").fetchall() == [(0,)]


def test_types_are_those_of_the_schema(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    parts.begin(0)
    row = ("example.com", True, 3, 0, 1, "trap", 20, 5.0, datetime(2026, 1, 2), None, True, -(2**63), 404)
    parts.write(1, {"host": as_table("host", [row])})
    with duckdb.connect() as connection:
        open_views(connection, tmp_path)
        assert connection.execute("SELECT * FROM host").fetchall() == [row]
    assert read_part(tmp_path, "host", 1).schema == TABLES["host"]


def test_parts_after_the_last_commit_are_removed(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    parts.begin(0)
    for number in (1, 2, 3):
        parts.write(number, {"seed": as_table("seed", [seed(number)])})
    (tmp_path / "seed" / "part-00001.tmp").write_bytes(b"half")
    (tmp_path / "seed" / "notes.txt").write_text("mine")
    Parts(tmp_path).begin(2)
    assert part_numbers(tmp_path, "seed") == [0, 1, 2]
    assert sorted(path.name for path in (tmp_path / "seed").iterdir() if "part" not in path.name) == ["notes.txt"]
    assert not (tmp_path / "seed" / "part-00001.tmp").exists()


def test_a_table_that_has_no_row_in_a_part_has_no_file(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    parts.begin(0)
    parts.write(1, {"seed": as_table("seed", [seed(1)]), "link": as_table("link", [])})
    assert (part_numbers(tmp_path, "seed"), part_numbers(tmp_path, "link")) == ([0, 1], [0])
    assert read_part(tmp_path, "link", 1).num_rows == 0 and read_part(tmp_path, "seed", 1, ["url"]).num_columns == 1


def test_half_a_character_is_replaced(tmp_path: Path) -> None:
    table = as_table("meta", [(1, "a\ud800b", None, True)])
    assert table.to_pylist() == [{"page_key": 1, "name": "a?b", "content": None, "is_in_head": True}]
    table = as_table("structured", [(1, 0, "json-ld", 0, "$", ["Product", "\udfff"], None, None)])
    assert table["types"].to_pylist() == [["Product", "?"]]


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="rows of seed have 2 values, its columns are 3"):
        as_table("seed", [(1, "https://example.com/")])


def test_there_is_a_place_for_all_that_a_crawl_writes() -> None:
    assert set(SCHEMAS) == {*TABLES, "found"}


def test_no_crawl(tmp_path: Path) -> None:
    with duckdb.connect() as connection, pytest.raises(FileNotFoundError):
        open_views(connection, tmp_path)
