"""The steps of ops_warehouse_daily around the warehouse: folders, logs, Airflow's metadata, when a backup is due."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from lake_template import migrated_lake

from caravan import INCLUDE_DIR
from caravan.assembly import upkeep
from caravan.cli import main, server
from caravan.core.errors import CaravanError, Retryable
from caravan.warehouse import archive, maintenance
from caravan.warehouse.archive import read_manifest, verify
from caravan.warehouse.disk import measure
from caravan.warehouse.locks import hold_lock
from caravan.warehouse.port import Chore, Extent
from caravan.warehouse.scratch import PREFIX, Scratch

OLD = time.time() - timedelta(days=100).total_seconds()
NOW = datetime(2026, 11, 22, 1, 30)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home with a configuration of its own and no warehouse so far."""
    shutil.copytree(INCLUDE_DIR / "config", tmp_path / "config")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path))
    monkeypatch.setenv("CARAVAN_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("CARAVAN_WAREHOUSE", raising=False)
    monkeypatch.setattr(upkeep.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    monkeypatch.setattr(upkeep, "utc_now", lambda: NOW)
    return tmp_path


@pytest.fixture
def lake(home) -> Path:
    """Of that home; nothing is in it."""
    return migrated_lake(home / "lake")


def aged(path: Path, at: float = OLD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text("text")
    os.utime(path, (at, at))
    return path


def noted(home: Path) -> dict[str, tuple[int, int]]:
    from caravan.warehouse.lake import Lake

    with Lake(home / "lake", read_only=True) as lake, lake.read() as session:
        rows = session.rows("SELECT chore, files_before, files_after FROM ops.upkeep ORDER BY started_at")
    return {chore: (before, after) for chore, before, after in rows}


def test_old_logs_go_and_what_is_written_stays(tmp_path):
    old = aged(tmp_path / "logs" / "dag_id=a" / "run_id=1" / "attempt=1.log")
    os.utime(old.parent, (OLD, OLD))
    new = aged(tmp_path / "logs" / "dag_id=a" / "run_id=2" / "attempt=1.log", time.time())
    upkeep.trim_logs(tmp_path / "logs", time.time() - 30 * 86_400)
    assert not old.parent.exists()
    assert new.exists()
    upkeep.trim_logs(tmp_path / "nowhere", 0)


def test_an_empty_folder_stays_as_long_as_a_log_would(tmp_path):
    """A task may just have made it."""
    (tmp_path / "dag_id=a" / "run_id=2").mkdir(parents=True)
    upkeep.trim_logs(tmp_path, time.time() - 86_400)
    assert (tmp_path / "dag_id=a" / "run_id=2").exists()


def test_a_large_server_log_begins_anew_under_the_server_that_writes_it(tmp_path):
    log = tmp_path / "server.log"
    with log.open("ab", buffering=0) as server_end:
        server_end.write(b"x" * 100)
        upkeep.turn_log(log, limit=200)
        assert log.stat().st_size == 100
        upkeep.turn_log(log, limit=50)
        server_end.write(b"next")
    assert log.read_bytes() == b"next"
    assert (tmp_path / "server.log.1").stat().st_size == 100


def test_what_dead_processes_left_goes_and_what_lives_stays(home, lake):
    in_lake = aged(home / "lake" / "staging" / f"{PREFIX}gone" / "lock").parent
    forgotten = aged(home / "tmp" / "caravan-airflow-old" / "airflow.db").parent
    os.utime(forgotten, (OLD, OLD))
    fresh = aged(home / "tmp" / "caravan-airflow-new" / "airflow.db").parent
    foreign = aged(home / "tmp" / "somebody-else").parent
    with Scratch(home / "staging") as living:
        dead = aged(home / "staging" / f"{PREFIX}dead" / "lock").parent
        aged(dead / "rows.parquet")
        upkeep.sweep_scratch("run", "dag")
        assert living.exists()
    assert not any(path.exists() for path in (dead, in_lake, forgotten))
    assert fresh.exists()
    assert foreign.exists()
    before, after = noted(home)["sweep_scratch"]
    assert (before, after) == (5, 1)


def test_without_a_server_there_is_nothing_of_airflow_s_to_trim(home):
    assert upkeep.trim_airflow("run", "dag") == ["no server has been started in this home"]


def test_metadata_and_logs_are_trimmed_by_the_days_of_the_project(home, lake, monkeypatch):
    database = home / "airflow" / "airflow.db"
    database.parent.mkdir()
    with sqlite3.connect(database) as connection:
        for table in upkeep._GROWING:
            connection.execute(f"CREATE TABLE {table} (n INTEGER)")
    connection.close()
    logs, minutely = home / "airflow" / "logs", "release_send_minutely"
    log = aged(logs / "dag_id=a" / "old.log")
    kept, gone = (aged(logs / f"dag_id={dag}" / "10.log", time.time() - 10 * 86_400) for dag in ("a", minutely))
    asked = []
    monkeypatch.setattr(upkeep, "clean_metadata", lambda *given: asked.append(given))
    upkeep.trim_airflow("run", "dag")
    place = home / "airflow"
    assert asked == [(place, NOW - timedelta(days=90)), (place, NOW - timedelta(days=7), [minutely])]
    assert (log.exists(), kept.exists(), gone.exists()) == (False, True, False), "a run a minute is kept for a week"
    assert set(noted(home)) == {"clean_metadata", "trim_logs", "turn_server_log"}


@pytest.mark.slow
def test_airflow_s_own_words_are_told_when_it_does_not_clean(tmp_path):
    (tmp_path / "airflow.db").write_text("no database")
    with pytest.raises(CaravanError, match=r"(?s)`airflow db clean` on .* ended with code 1:.*not a database"):
        upkeep.clean_metadata(tmp_path, NOW)


@pytest.mark.slow
def test_airflow_forgets_what_is_older_and_keeps_the_rest(airflow_database, tmp_path):
    source = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].removeprefix("sqlite:///")
    with sqlite3.connect(source) as given, sqlite3.connect(tmp_path / "airflow.db") as connection:
        given.backup(connection)
        connection.execute("DELETE FROM log")
        for day, dag in (("01-01", "a"), ("11-01", "a"), ("11-01", "b"), ("11-20", "b")):
            row = [f"2026-{day} 00:00:00.000000", dag]
            connection.execute("INSERT INTO log (dttm, dag_id, event) VALUES (?, ?, 'x')", row)
    given.close()
    connection.close()
    upkeep.clean_metadata(tmp_path, NOW - timedelta(days=90))
    upkeep.clean_metadata(tmp_path, NOW - timedelta(days=7), ["b"])
    with sqlite3.connect(tmp_path / "airflow.db") as connection:
        left = connection.execute("SELECT substr(dttm, 6, 5), dag_id FROM log WHERE event = 'x'").fetchall()
        assert left == [("11-01", "a"), ("11-20", "b")], "of one DAG no more than a week"
        left = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name LIKE '_airflow_deleted%'").fetchone()
    connection.close()
    assert left == (0,), "no archive table stays behind"


def settings(home: Path, text: str) -> None:
    project = home / "config" / "project.yml"
    project.write_text(project.read_text().partition("backup:")[0] + text)


def test_a_backup_is_made_when_it_is_due_and_the_oldest_goes(home, lake, monkeypatch):
    upkeep.trim_evidence("run", "dag")
    assert "names no folder" in upkeep.back_up("run", "dag")[0]
    settings(home, "backup: {target: backups, every_days: 2, keep: 2}\n")
    made = []
    for hours, due in ((0, True), (24, False), (47.5, True), (96, True)):
        monkeypatch.setattr(upkeep, "utc_now", lambda hours=hours: NOW + timedelta(hours=hours))
        before = archive.list_archives(home / "backups")
        said = upkeep.back_up("run", "dag")[0]
        made = archive.list_archives(home / "backups")
        assert (made != before) is due, said
    assert [archive.made_at(path) for path in made] == [NOW + timedelta(hours=hours) for hours in (47.5, 96)]
    verify(read_manifest(made[-1]), lambda count: None)
    assert "config/project.yml" in read_manifest(made[-1]).files


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("lake/files", "inside of the lake"),
        ("config/backups", "inside of the configuration"),
        ("/nowhere/backups", "/nowhere/backups is missing: mount its disk"),
        ("s3://bucket/x", "is a URL"),
        ("~/backups", "write the folder in full"),
        ("''", "names no folder"),
        (".", "is CARAVAN_HOME itself"),
        ("lake/..", "is CARAVAN_HOME itself"),
        ("../not-mounted", "not-mounted is missing: mount its disk"),
    ],
)
def test_a_target_that_makes_no_sense_is_refused(home, target, told):
    if target.startswith(("lake", "config")):
        migrated_lake(home / "lake")  # without one there is nothing to back up
    settings(home, f"backup: {{target: {target}}}\n")
    with pytest.raises(CaravanError, match=told):
        upkeep.back_up("run", "dag")


def test_a_backup_of_a_wrong_clock_or_by_hand_puts_none_off(home, lake, monkeypatch):
    upkeep.trim_evidence("run", "dag")
    settings(home, "backup: {target: backups, every_days: 7}\n")
    monkeypatch.setattr(upkeep, "utc_now", lambda: NOW + timedelta(days=900))
    upkeep.back_up("run", "dag")
    monkeypatch.setattr(upkeep, "utc_now", lambda: NOW)
    monkeypatch.setattr("caravan.assembly.warehouse.utc_now", lambda: NOW - timedelta(days=1))
    assert main.main(["backup", str(home / "backups")]) == 0
    assert upkeep.back_up("run", "dag")[0].startswith("back_up: ")
    assert len(archive.list_archives(home / "backups")) == 3
    settings(home, "backup: {target: backups, every_days: 7, keep: 1}\n")
    monkeypatch.setattr(upkeep, "utc_now", lambda: NOW + timedelta(days=8))
    assert upkeep.back_up("run", "dag")[0].startswith("back_up: ")
    made = [archive.made_at(path) for path in archive.scheduled(home / "backups")]
    assert made == [NOW + timedelta(days=8)]
    monkeypatch.setattr(upkeep, "utc_now", lambda: NOW + timedelta(days=9))
    assert "no backup is due: caravan-20261130" in upkeep.back_up("run", "dag")[0]


def test_a_chore_that_fails_keeps_none_from_its_turn_and_what_was_done_is_noted(home, lake, monkeypatch):
    aged(home / "airflow" / "airflow.db")
    log = aged(home / "airflow" / "logs" / "old.log")
    for name in ("_metadata_extent", "turn_log"):
        monkeypatch.setattr(upkeep, name, lambda path: 1 // 0)
    with pytest.raises(ZeroDivisionError) as told:
        upkeep.trim_airflow("run", "dag")
    assert told.value.__notes__ == ["turn_server_log failed as well: integer division or modulo by zero"]
    assert not log.exists()
    assert set(noted(home)) == {"trim_logs"}


def test_a_failure_is_told_also_when_what_was_done_cannot_be_noted(home, monkeypatch):
    (home / "lake").mkdir()
    aged(home / "airflow" / "server.log")
    monkeypatch.setattr(upkeep, "NOTE_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(upkeep, "turn_log", lambda path: 1 // 0)
    with hold_lock(home / "lake" / "write.lock", 0, "x"), pytest.raises(ZeroDivisionError) as told:
        upkeep.trim_airflow("run", "dag")
    [note] = told.value.__notes__
    assert note.startswith("what was done is not in ops.upkeep: another process has held the write lock")


def test_a_warehouse_that_another_holds_is_waited_for_once():
    asked = []

    def chore(name: str, error: Exception | None = None) -> Chore:
        def do() -> None:
            asked.append(name)
            if error:
                raise error

        return Chore(name, lambda: Extent(0, 0, 0), do)

    held = Retryable("held", after=timedelta(minutes=5))
    chores = [chore("full", Retryable("no room")), chore("held", held), chore("third"), chore("fourth")]
    with pytest.raises(Retryable, match="no room") as told:
        maintenance.do(chores, lambda: NOW)
    assert asked == ["full", "held"]
    assert told.value.__notes__ == ["left for the next run: third, fourth", "held failed as well: held"]


def test_a_folder_that_goes_while_it_is_looked_through_is_left_out(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        aged(tmp_path / name / "file")
    scan = os.scandir

    def scan_late(path):
        if str(path).endswith("b"):
            shutil.rmtree(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scan_late)
    assert measure(tmp_path, tmp_path / "nowhere", tmp_path / "a" / "file") == (3, 12)


def test_the_run_is_closed_and_names_what_failed(home, lake):
    from caravan.warehouse.lake import Lake

    upkeep.trim_evidence("run", "dag")
    with pytest.raises(CaravanError, match="task tidy_warehouse"):
        upkeep.verdict("run", "dag", ["tidy_warehouse"])
    with Lake(home / "lake", read_only=True) as lake, lake.read() as session:
        assert session.rows("SELECT state FROM ops.run WHERE run_id = 'run'") == [("failed",)]


def test_a_misspelt_step_is_told_with_the_nearest_and_nothing_is_done(home, capsys):
    assert main.main(["upkeep", "tidy_warehose"]) == 2
    assert "did you mean 'tidy_warehouse'" in capsys.readouterr().err
    assert not (home / "lake").exists()


def test_by_hand_no_url_is_taken_for_a_folder(home, capsys):
    assert main.main(["backup", "s3://bucket/x"]) != 0
    assert "is a URL" in capsys.readouterr().err
    assert not (home / "lake").exists()


def test_by_hand_a_backup_is_made_checked_and_put_back(home, capsys, monkeypatch):
    assert main.main(["upkeep", "trim_evidence"]) == 0
    assert main.main(["backup", str(home / "backups")]) == 0
    [made] = archive.list_archives(home / "backups")
    assert main.main(["restore", str(made), "--check"]) == 0
    assert "is sound" in capsys.readouterr().out
    assert main.main(["restore", str(made)]) == 1
    assert "nothing is restored over it" in capsys.readouterr().err
    (home / "lake").rename(home / "lake.old")
    monkeypatch.setattr(server, "find_running", lambda places: server.Server(1, 8080, 0.0))
    assert main.main(["restore", str(made)]) == 1
    assert "stop it with `caravan down` first" in capsys.readouterr().err
    monkeypatch.setattr(server, "find_running", lambda places: None)
    assert main.main(["restore", str(made)]) == 0
    assert (home / "lake" / "catalog.sqlite").exists()
