"""Upkeep takes away what nobody needs, and no row: not from a table, a reader, or a load that is under way."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from places import LakePlace, table_rows

from caravan.config.types import Upkeep
from caravan.core.errors import Retryable
from caravan.warehouse import lake as lake_module
from caravan.warehouse import lake_upkeep
from caravan.warehouse.evidence import end_run, start_run
from caravan.warehouse.lake_upkeep import removal_lock
from caravan.warehouse.maintenance import do, engine_chores, evidence_chores, record
from caravan.warehouse.port import Warehouse

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 22, 1, 30)
AT_ONCE = Upkeep(snapshot_days=0, reader_hours=0)
EVERYTHING = ("mart.fct_daily", "ops.run", "ops.schema_migration")


def clock() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def later() -> datetime:
    """After whatever has been committed, also within the same millisecond."""
    return clock() + timedelta(seconds=1)


def tend(warehouse, upkeep=AT_ONCE, only=()):
    chores = engine_chores(warehouse, upkeep, later())
    return {each.chore: each for each in do([each for each in chores if not only or each.name in only], clock)}


def contents(warehouse):
    return {table: table_rows(warehouse, table) for table in EVERYTHING}


def fill(warehouse: Warehouse, rounds: int = 6) -> None:
    """A table whose days came and were replaced: as files of its own, taken over ones, and rows in the catalog."""
    with warehouse.write() as session:
        session.execute("CREATE TABLE mart.fct_daily (order_local_date DATE, number BIGINT)")
        session.settle_table("mart.fct_daily", [("order_local_date",)])
    for number in range(rounds):
        replace_day(warehouse, f"2026-03-0{1 + number % 3}", number, (4, 60, 200)[number % 3])
    with warehouse.write() as session:
        session.execute("INSERT INTO ops.run (run_id, state) VALUES ('one', 'success'), ('two', 'failed')")


def replace_day(warehouse: Warehouse, day: str, number: int, count: int) -> None:
    values = ", ".join(f"(CAST('{day}' AS DATE), CAST({number * 1000 + i} AS BIGINT))" for i in range(count))
    with warehouse.read() as session:
        rows = session.stage(f"SELECT * FROM (VALUES {values}) AS v (order_local_date, number)")
    with warehouse.write() as session:
        session.execute(f"DELETE FROM mart.fct_daily WHERE order_local_date = CAST('{day}' AS DATE)")
        session.append_staged("mart.fct_daily", ["order_local_date", "number"], rows)
    warehouse.forget_staged()


@pytest.fixture(autouse=True)
def _files_are_taken_over(monkeypatch):
    monkeypatch.setattr(lake_module, "ADOPTED_ROWS", 100)


@pytest.fixture(scope="module")
def filled_lake(lakes, tmp_path_factory) -> LakePlace:
    place = lakes.migrated(tmp_path_factory.mktemp("filled") / "lake")
    before, lake_module.ADOPTED_ROWS = lake_module.ADOPTED_ROWS, 100
    with place.open() as warehouse:
        fill(warehouse)
    lake_module.ADOPTED_ROWS = before
    return place


@pytest.fixture
def lake(new_place, filled_lake) -> LakePlace:
    return new_place.copy(filled_lake)


def files_of(root: Path) -> list[Path]:
    return sorted((root / "files").rglob("*.parquet"))


def test_every_row_stays_and_the_next_load_finds_its_tables(lake):
    warehouse = lake.open()
    before = contents(warehouse)
    done = tend(warehouse)
    assert contents(warehouse) == before
    assert done["flush_inlined"].before.files < done["flush_inlined"].after.files
    assert done["merge_files"].before.files > done["merge_files"].after.files > 0
    assert done["expire_snapshots"].before.rows > done["expire_snapshots"].after.rows == 1
    assert done["remove_files"].before.files > done["remove_files"].after.files == len(files_of(lake.root))
    assert done["pack_catalog"].after.bytes == (lake.root / "catalog.sqlite").stat().st_size
    assert {each.before.files - each.after.files for each in tend(warehouse).values()} == {0}, "nothing is left to do"
    replace_day(warehouse, "2026-03-02", 99, 5)
    assert len(table_rows(warehouse, "mart.fct_daily")) == len(before["mart.fct_daily"]) - 60 + 5


def test_every_table_of_a_server_is_vacuumed(new_place):
    warehouse = new_place("postgresql").open()
    fill(warehouse, 3)
    before = contents(warehouse)
    tend(warehouse)
    assert contents(warehouse) == before
    with warehouse.read() as session:
        tended = dict(session.rows("SELECT relname, last_vacuum IS NOT NULL FROM pg_stat_user_tables"))
    assert tended["fct_daily"]
    assert all(tended.values())


@pytest.mark.parametrize("upkeep", [Upkeep(), Upkeep(snapshot_days=0)])
def test_a_reader_keeps_the_state_it_began_with(lake, upkeep):
    warehouse, reader = lake.open(), lake.open(read_only=True)
    with reader.read() as session:
        before = session.row("SELECT COUNT(*), SUM(number) FROM mart.fct_daily")
        replace_day(warehouse, "2026-03-02", 99, 5)
        tend(warehouse, upkeep)
        assert session.row("SELECT COUNT(*), SUM(number) FROM mart.fct_daily") == before
        # Of a table that it has not looked at so far the files are there too.
        assert session.rows("SELECT run_id FROM ops.run ORDER BY run_id") == [("one",), ("two",)]
    with reader.read() as session:
        assert session.row("SELECT COUNT(*) FROM mart.fct_daily") == (before[0] - 60 + 5,)


def test_what_was_replaced_goes_when_its_time_has_come(lake):
    warehouse = lake.open()
    tend(warehouse, Upkeep(snapshot_days=0))
    there = files_of(lake.root)
    tend(warehouse, AT_ONCE)
    assert 0 < len(files_of(lake.root)) < len(there)


def test_an_orphan_goes_and_a_file_that_is_just_taken_over_stays(lake):
    loader, warehouse = lake.open(), lake.open(lock_wait_seconds=0.1)
    orphan = lake.root / "files" / "mart" / "fct_daily" / "ducklake-of-a-killed-writer.parquet"
    orphan.write_bytes(b"half a file")
    with loader.read() as session:
        rows = session.stage(
            "SELECT CAST('2026-04-01' AS DATE) AS order_local_date, i AS number FROM range(500) AS q (i)"
        )
    known = files_of(lake.root)
    with loader.write() as session:
        session.append_staged("mart.fct_daily", ["order_local_date", "number"], rows)
        [taken_over] = set(files_of(lake.root)) - set(known)
        with pytest.raises(Retryable, match="write lock"):
            tend(warehouse, only=["remove_files"])
    tend(warehouse, only=["remove_files"])
    assert not orphan.exists()
    assert taken_over.exists()
    with warehouse.read() as session:
        assert session.row("SELECT COUNT(*) FROM mart.fct_daily WHERE order_local_date = DATE '2026-04-01'") == (500,)


def test_no_file_is_removed_while_a_backup_copies(lake):
    warehouse = lake.open(lock_wait_seconds=0.1)
    with removal_lock(lake.root, 0), pytest.raises(Retryable, match="copying or removing"):
        tend(warehouse, only=["remove_files"])


def test_a_catalog_that_is_mostly_empty_is_packed(lake, monkeypatch):
    monkeypatch.setattr(lake_upkeep, "LEAST_FREE_PAGES", 1)
    monkeypatch.setattr(lake_upkeep, "MOST_FREE_SHARE", 0)
    warehouse = lake.open()
    before = contents(warehouse)
    packed = tend(warehouse)["pack_catalog"]
    assert packed.after.bytes < packed.before.bytes
    assert contents(warehouse) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from datetime import datetime
from caravan.config.types import Upkeep
from caravan.warehouse import lake as module
from caravan.warehouse.maintenance import do, engine_chores

root, call, when = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
run = module._LakeSession.rows

def rows(self, sql, params=None):
    # As late as can be: all is done but the commit. Or as early: what was done before is committed.
    if call in sql and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    found = run(self, sql, params)
    if call in sql:
        os.kill(os.getpid(), signal.SIGKILL)
    return found

module._LakeSession.rows = rows
with module.Lake(root) as lake:
    now = datetime(2100, 1, 1)
    do(engine_chores(lake, Upkeep(snapshot_days=0, reader_hours=0), now), lambda: now)
"""
CALLS = ("flush_inlined_data", "rewrite_data_files", "merge_adjacent", "expire_snap", "cleanup_old", "delete_orphaned")


QUICK = {("merge_adjacent", "after")}


@pytest.mark.parametrize(
    ("call", "when"),
    [
        pytest.param(call, when, marks=() if (call, when) in QUICK else pytest.mark.slow)
        for call in CALLS
        for when in ("before", "after")
    ],
)
def test_killed_in_the_middle_it_ends_the_same_when_run_again(lake, call, when):
    with lake.open() as warehouse:
        before = contents(warehouse)
    (lake.root / "files" / "mart" / "orphan.parquet").write_bytes(b"")
    command = [sys.executable, "-c", KILLED, str(lake.root), call, when]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert killed.returncode == -9, killed.stderr
    warehouse = lake.open()
    assert contents(warehouse) == before
    tend(warehouse)
    assert contents(warehouse) == before
    with warehouse.read() as session:
        [live] = session.row("SELECT SUM(file_count + delete_file_count) FROM ducklake_table_info('wh')")
    assert len(files_of(lake.root)) == live


def evidence_rows(warehouse):
    ages = {"new": 1, "month": 100, "old": 500}
    with warehouse.write() as session:
        for name, days in ages.items():
            at = {"at": NOW - timedelta(days=days), "name": name}
            session.execute("INSERT INTO ops.run (run_id, started_at) VALUES ($name, $at)", at)
            session.execute("INSERT INTO ops.quality_result (run_id, checked_at) VALUES ($name, $at)", at)
            session.execute(
                "INSERT INTO ops.quarantine (load_id, reason_code, raw_row, message, quarantined_at) "
                "VALUES ($name, 'NOT_A_NUMBER', 'a,b', '''b'' is no number', $at)",
                at,
            )
            for state in ("loaded", "empty", "refused", "missing", "retried"):
                session.execute(
                    "INSERT INTO ops.load (load_id, content_hash, state, started_at) "
                    f"VALUES ($name || '-{state}', 'hash', '{state}', $at)",
                    at,
                )
                session.execute(f"INSERT INTO ops.load_rule VALUES ($name || '-{state}', 'rule', 1)", {"name": name})
            for state, closed in (("open", None), ("closed", at["at"])):
                values = {"id": f"{name}-{state}", "at": at["at"], "closed": closed}
                session.execute(
                    "INSERT INTO ops.incident (incident_id, opened_at, closed_at) VALUES ($id, $at, $closed)", values
                )
                session.execute("INSERT INTO ops.incident_message (incident_id) VALUES ($id)", {"id": values["id"]})
        for number in (1, 2, 3):
            session.execute(f"INSERT INTO ops.table_version VALUES ('mart.a', {number}), ('mart.b', {number * 2})")


def test_old_evidence_goes_and_what_was_loaded_is_never_forgotten(warehouse):
    evidence_rows(warehouse)
    upkeep = Upkeep(evidence_days=400, quarantine_days=90)
    done = do(evidence_chores(warehouse, upkeep, NOW), lambda: NOW)
    assert table_rows(warehouse, "ops.run", ["run_id"]) == [("month",), ("new",)]
    assert table_rows(warehouse, "ops.quality_result", ["run_id"]) == [("month",), ("new",)]
    assert table_rows(warehouse, "ops.quarantine", ["load_id", "reason_code", "raw_row", "message"]) == [
        ("month", "NOT_A_NUMBER", None, None),
        ("new", "NOT_A_NUMBER", "a,b", "'b' is no number"),
    ]
    kept = {f"{age}-{state}" for age in ("new", "month") for state in ("refused", "missing", "retried")}
    kept |= {f"{age}-{state}" for age in ("new", "month", "old") for state in ("loaded", "empty")}
    assert {row[0] for row in table_rows(warehouse, "ops.load", ["load_id"])} == kept
    assert {row[0] for row in table_rows(warehouse, "ops.load_rule", ["load_id"])} == kept
    assert table_rows(warehouse, "ops.table_version") == [("mart.a", 3), ("mart.b", 6)]
    incidents = {f"{age}-{state}" for age in ("new", "month", "old") for state in ("open", "closed")} - {"old-closed"}
    for table in ("ops.incident", "ops.incident_message"):
        assert {row[0] for row in table_rows(warehouse, table, ["incident_id"])} == incidents
    counts = {each.chore: each.before.rows - each.after.rows for each in done}
    assert counts == {"close_lost_runs": 0, "trim_evidence": 7, "blank_quarantine": 1, "forget_versions": 4}


def test_each_chore_leaves_its_counts_in_ops(warehouse):
    done = do(evidence_chores(warehouse, Upkeep(), NOW), lambda: NOW)
    with warehouse.write() as session:
        record(session, "run", "dag", done)
    noted = table_rows(warehouse, "ops.upkeep", ["chore", "run_id", "dag_id", "rows_before", "rows_after"])
    assert ("trim_evidence", "run", "dag", 0, 0) in noted
    assert len(noted) == len(done) == 4


def test_a_run_that_was_killed_is_failed_once_it_can_no_longer_be_running(warehouse):
    ages = {"done": (5, "success"), "killed": (3, "running"), "running": (1, "running")}
    with warehouse.write() as session:
        for run_id, (days, state) in ages.items():
            start_run(session, run_id, "dag", None, "", "", NOW - timedelta(days=days))
            if state == "success":
                end_run(session, run_id, "dag", state, "", NOW)
    (closed,) = (each for each in do(evidence_chores(warehouse, Upkeep(), NOW), lambda: NOW) if "lost" in each.chore)
    assert (closed.before.rows, closed.after.rows) == (2, 1)
    killed = ("killed", "failed", None, "was never ended: its process was killed")
    assert table_rows(warehouse, "ops.run", ["run_id", "state", "ended_at", "message"]) == [
        ("done", "success", NOW, ""),
        killed,
        ("running", "running", None, None),
    ]
