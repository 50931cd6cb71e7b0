"""Sessions: snapshots, one writer at a time, roll-back and staged relations, on both engines alike."""

from __future__ import annotations

import time

import duckdb
import psycopg
import pytest
from places import table_rows

from caravan.core.errors import Retryable


@pytest.fixture(scope="module")
def one_row(standing_place):
    warehouse = standing_place.open()
    with warehouse.write() as session:
        session.execute("CREATE TABLE ops.counted (n INTEGER)")
        session.execute("INSERT INTO ops.counted VALUES (1)")
    return warehouse


@pytest.fixture
def counted(place):
    """A table of one row and two connections to it."""
    writer = place.open(lock_wait_seconds=0.3)
    with writer.write() as session:
        session.execute("CREATE TABLE ops.counted (n INTEGER)")
        session.execute("INSERT INTO ops.counted VALUES (1)")
    return writer, place.open(lock_wait_seconds=0.3)


def count(warehouse):
    with warehouse.read() as session:
        return session.row("SELECT COUNT(*) FROM ops.counted")[0]


def test_a_reader_keeps_the_snapshot_it_began_with(counted):
    writer, reader = counted
    with reader.read() as early:
        with writer.write() as session:
            session.execute("INSERT INTO ops.counted VALUES (2)")
        assert early.row("SELECT COUNT(*) FROM ops.counted") == (1,)
        with writer.write() as session:
            session.execute("DELETE FROM ops.counted")
        assert early.row("SELECT COUNT(*) FROM ops.counted") == (1,)
    assert count(reader) == 0


def test_a_reader_neither_waits_for_a_writer_nor_sees_its_work(counted):
    writer, reader = counted
    with writer.write() as session:
        session.execute("INSERT INTO ops.counted VALUES (2)")
        assert session.row("SELECT COUNT(*) FROM ops.counted") == (2,)
        started = time.monotonic()
        assert count(reader) == 1
        assert time.monotonic() - started < 5
    assert count(reader) == 2


WRITES = (
    "INSERT INTO ops.counted VALUES (2)",
    "DELETE FROM ops.counted",
    "UPDATE ops.counted SET n = 2",
    "DROP TABLE ops.counted",
    "CREATE TABLE ops.other AS SELECT 1 AS n",
    "SELECT 1; DELETE FROM ops.counted",
    "-- only a look\nDELETE FROM ops.counted",
    "/* SELECT */ DELETE FROM ops.counted",
    "WITH gone AS (DELETE FROM ops.counted RETURNING n) SELECT * FROM gone",
    "EXPLAIN ANALYZE DELETE FROM ops.counted",
    "COMMIT",
    "",
)


@pytest.mark.parametrize("sql", WRITES)
def test_a_reader_does_not_write(one_row, sql):
    for door in ("execute", "rows"):
        # DuckDB's dialect has no query that writes on the way: that one is no SQL at all.
        with pytest.raises((PermissionError, duckdb.ParserException)), one_row.read() as session:
            getattr(session, door)(sql)
    assert count(one_row) == 1


READS = (
    ("SELECT n FROM ops.counted", [(1,)]),
    ("\n  -- a remark; with a semicolon\n SELECT n FROM ops.counted;\n", [(1,)]),
    ("WITH c AS (SELECT n FROM ops.counted) SELECT n FROM c", [(1,)]),
    ("(SELECT n FROM ops.counted)", [(1,)]),
    ("SELECT 'DELETE FROM x; DROP TABLE y' AS n", [("DELETE FROM x; DROP TABLE y",)]),
)


@pytest.mark.parametrize(("sql", "expected"), READS)
def test_a_reader_reads(one_row, sql, expected):
    with one_row.read() as session:
        assert session.rows(sql) == expected


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_error_rolls_back_and_leaves_the_warehouse_usable(counted, error):
    writer, reader = counted
    with pytest.raises(type(error)), writer.write() as session:
        session.execute("DELETE FROM ops.counted")
        session.execute("CREATE TABLE ops.half (n INTEGER)")
        raise error
    assert count(reader) == 1
    with writer.write() as session:
        assert session.columns("ops.half") == {}
        session.execute("INSERT INTO ops.counted VALUES (2)")
    assert count(reader) == 2


def test_a_statement_that_fails_rolls_back_what_came_before(counted):
    writer, reader = counted
    with pytest.raises((duckdb.Error, psycopg.Error)), writer.write() as session:
        session.execute("DELETE FROM ops.counted")
        session.execute("INSERT INTO ops.counted VALUES (CAST('word' AS INTEGER))")
    assert count(reader) == 1


def test_one_writer_at_a_time_and_the_other_is_told_what_to_do(counted):
    first, second = counted
    with first.write() as session:
        session.execute("INSERT INTO ops.counted VALUES (2)")
        with pytest.raises(Retryable, match=r"write lock.*run again") as caught, second.write():
            pytest.fail("two writers at once")
        assert caught.value.after is not None
    with second.write() as session:
        session.execute("INSERT INTO ops.counted VALUES (3)")
    assert count(first) == 3


@pytest.mark.parametrize("outer", ["read", "write"])
@pytest.mark.parametrize("inner", ["read", "write"])
def test_sessions_do_not_nest(one_row, outer, inner):
    with getattr(one_row, outer)(), pytest.raises(RuntimeError, match="already open"), getattr(one_row, inner)():
        pytest.fail("a session inside a session")
    assert count(one_row) == 1


def test_phases_are_told_in_order(place):
    seen = []
    warehouse = place.open(observer=seen.append)
    with warehouse.write() as session:
        assert seen == ["before_lock", "in_transaction"]
        session.execute("CREATE TABLE ops.counted (n INTEGER)")
    assert seen == ["before_lock", "in_transaction", "after_commit"]
    with pytest.raises(ValueError, match="no"), warehouse.write():
        raise ValueError("no")
    assert seen[3:] == ["before_lock", "in_transaction"]
    count(warehouse)
    assert len(seen) == 5


def test_the_observer_may_stop_a_writer_before_it_writes(place):
    def refuse(phase):
        if phase == "in_transaction":
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"), place.open(observer=refuse).write():
        pytest.fail("stopped too late")
    with place.open(lock_wait_seconds=0.3).write():
        pass  # the lock is free again


def test_staged_rows_live_from_read_to_write_until_forgotten(counted):
    writer, other = counted
    with writer.read() as session:
        relation = session.stage("SELECT n + 10 AS n FROM ops.counted")
    with other.write() as session:
        session.execute("DELETE FROM ops.counted")
    with writer.write() as session:
        session.execute(f"INSERT INTO ops.counted SELECT s.n FROM {relation} AS s")
    assert table_rows(other, "ops.counted") == [(11,)]
    writer.forget_staged()
    with pytest.raises((duckdb.Error, psycopg.Error)), writer.read() as session:
        session.rows(f"SELECT * FROM {relation} AS s")
    with writer.read() as session:
        again = session.stage("SELECT n FROM ops.counted")
        assert again != relation
        assert session.rows(f"SELECT * FROM {again} AS s") == [(11,)]


def test_close_leaves_no_scratch_files(place, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    warehouse = place.open()
    with warehouse.read() as session:
        session.stage("SELECT 1 AS n")
        session.export_parquet("SELECT 1 AS n", tmp_path / "one.parquet")
    warehouse.close()
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in (".parquet", ".csv")]
    assert left == [tmp_path / "one.parquet"]
    assert list((tmp_path / "scratch").iterdir()) == []
