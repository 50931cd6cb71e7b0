"""What is backed up comes back the same, on either engine; what is damaged or in the way is named and refused."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deliveries import Line
from places import LakePlace, Place
from small_models import Small

from caravan.assembly.backup import make_backup, restore
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError, Rejected, Retryable
from caravan.warehouse import archive, lake
from caravan.warehouse.archive import BY_SCHEDULE, Archive
from caravan.warehouse.evidence import insert_many
from caravan.warehouse.lake_upkeep import removal_lock
from caravan.warehouse.port import Session

ROOT = Path(__file__).resolve().parents[2]
AT = datetime(2026, 11, 22, 1, 30)
QUERIES = (
    "SELECT COUNT(*), SUM(amount) FROM mart.fct_line",
    "SELECT order_local_date, channel_code, COUNT(*), SUM(amount) FROM mart.fct_line GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT * FROM mart.fct_line ORDER BY line_key",
    "SELECT customer_id, total_amount FROM mart.dim_customer ORDER BY customer_id",
    "SELECT MAX(total_amount), MIN(total_amount) FROM mart.dim_customer",
    "SELECT * FROM mart.rpt_small__week ORDER BY week_start_date, channel_code",
    "SELECT * FROM int.small__return ORDER BY line_key",
    "SELECT first_local_date, COUNT(*) FROM int.small__return GROUP BY 1 ORDER BY 1",
    "SELECT * FROM stg.file_drop__order_line ORDER BY row_key",
    "SELECT customer_id, COUNT(*) FROM stg.file_drop__order_line WHERE customer_id IS NULL GROUP BY 1",
    "SELECT order_id, line_id, version, change FROM raw.file_drop__order_line ORDER BY 1, 2, 3, 4",
    "SELECT change, COUNT(*), SUM(amount), MAX(observed_at) FROM raw.file_drop__order_line GROUP BY 1 ORDER BY 1",
    "SELECT product_name, status, quantity FROM raw.file_drop__order_line ORDER BY row_key, version, change",
    "SELECT row_key, payload_hash FROM raw.file_drop__order_line ORDER BY row_key, version, change",
    "SELECT COUNT(*) FROM raw.file_drop__order",
    "SELECT model_name, row_count, first_slice, last_slice FROM ops.model ORDER BY model_name",
    "SELECT table_name, MAX(version) FROM ops.table_version GROUP BY 1 ORDER BY 1",
    "SELECT load_id, raw_row, message FROM ops.quarantine ORDER BY load_id",
    "SELECT migration, checksum, applied_at FROM ops.schema_migration ORDER BY migration",
    "SELECT model_name, slice_date, reason FROM ops.dirty_slice ORDER BY 1, 2, 3",
)


def answers(place: Place) -> list[object]:
    with place.open() as warehouse, warehouse.read() as session:
        return [session.rows(query) for query in QUERIES]


def settings_of(home: Path, place: Place) -> Settings:
    where = f"lake://{place.root}" if place.engine == "lake" else place.dsn
    return Settings(home, home / "config", where)


def write_config(home: Path) -> None:
    (home / "config" / "markets").mkdir(parents=True)
    (home / "config" / "project.yml").write_text("base_currency: EUR\n")
    (home / "config" / "markets" / "de.yml").write_text("code: DE\n")
    (home / "config" / ".hidden").write_text("an editor's\n")


def write_server(home: Path) -> None:
    (home / "airflow").mkdir(parents=True)
    with sqlite3.connect(home / "airflow" / "airflow.db") as database:
        database.execute("CREATE TABLE dag_run (run_id TEXT)")
        database.execute("INSERT INTO dag_run VALUES ('one')")
    database.close()
    (home / "airflow" / "secrets.json").write_text('{"fernet_key": "k"}')


@pytest.fixture(scope="module", params=["lake", "postgresql"])
def original(request, tmp_path_factory) -> Iterator[Place]:
    """One warehouse of each engine with rows of every kind, for all tests of this file."""
    folder = tmp_path_factory.mktemp("original")
    on_lake = request.param == "lake"
    server = request.getfixturevalue("lakes" if on_lake else "servers")
    place = server.migrated(*([folder / "lake"] if on_lake else []))
    before, lake.ADOPTED_ROWS = lake.ADOPTED_ROWS, 8
    small = Small(place.open(), folder)
    texts = ("ä", 'say "so", he said', "two\nlines", "", "NULL")
    orders = [Line(f"o{i}", 1 + i % 9, str(i), customer=f"c{i % 4}" if i else None) for i in range(20)]
    small.deliver(*orders, stamped=True)
    small.deliver(*(Line("t", 2, "1.2345", line=str(i), sku=text, status=text) for i, text in enumerate(texts)))
    rows = [{"load_id": str(number), "raw_row": text, "message": text} for number, text in enumerate((*texts, None))]
    with small.warehouse.write() as session:
        insert_many(session, "ops.quarantine", rows)
        insert_many(session, "ops.incident_message", [{"incident_id": "waiting", "state": "pending"}])
    small.build()
    small.deliver(Line("late", 1, "5"))
    lake.ADOPTED_ROWS = before
    place.close()
    yield place
    place.close()


@pytest.fixture
def filled(original, new_place) -> Place:
    return new_place.copy(original)


@pytest.mark.parametrize(
    ("original", "into"),
    [
        pytest.param("lake", "lake", marks=pytest.mark.slow),
        ("lake", "postgresql"),
        ("postgresql", "lake"),
        pytest.param("postgresql", "postgresql", marks=pytest.mark.slow),
    ],
    indirect=["original"],
)
def test_twenty_queries_answer_the_same_after_all_was_wiped(filled, into, new_place, tmp_path, monkeypatch):
    home, again = tmp_path / "home", tmp_path / "again"
    write_config(home)
    write_server(home)
    before = answers(filled)
    assert len(before) == 20
    assert sum(bool(found) for found in before) >= 19
    made = make_backup(settings_of(home, filled), tmp_path / "backups", AT, secrets=True)
    shutil.rmtree(home)
    if filled.engine == "lake":
        shutil.rmtree(filled.root)

    place = LakePlace(tmp_path / "elsewhere" / "lake") if into == "lake" else new_place(into, migrated=False)
    said = restore(settings_of(again, place), made.folder)
    assert said[-1] == "warehouse restored as of 2026-11-22T01:30:00 UTC"
    assert answers(place) == before
    assert sorted(path.name for path in (again / "config").rglob("*.yml")) == ["de.yml", "project.yml"]
    assert not (again / "config" / ".hidden").exists()
    with sqlite3.connect(again / "airflow" / "airflow.db") as database:
        assert database.execute("SELECT run_id FROM dag_run").fetchall() == [("one",)]
    database.close()
    assert (again / "airflow" / "secrets.json").read_text() == '{"fernet_key": "k"}'
    # And work goes on: the backup itself is as it was.
    monkeypatch.setattr(lake, "ADOPTED_ROWS", 8)
    appended = Small(place.open(), tmp_path).deliver(Line("o1", 2, "1"), *(Line(f"new{i}", 1) for i in range(10)))
    assert (appended.loaded, appended.unchanged) == (10, 1)
    place.close()
    archive.verify(archive.read_manifest(made.folder), lambda count: None)


def test_secrets_are_kept_when_asked_for_and_readable_by_the_owner_alone(new_place, tmp_path):
    place, home = new_place("lake"), tmp_path / "home"
    write_server(home)
    plain = make_backup(settings_of(home, place), tmp_path / "a", AT, secrets=False)
    whole = make_backup(settings_of(home, place), tmp_path / "b", AT, secrets=True)
    assert not (plain.folder / "secrets").exists()
    assert (plain.folder / "airflow" / "airflow.db").exists()
    assert (whole.folder / "secrets" / "secrets.json").exists()
    for path in [whole.folder, *whole.folder.rglob("*")]:
        if path.name not in archive_words():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def archive_words() -> tuple[str, str]:
    """What names files and their checksums, and holds nothing else."""
    return archive.MANIFEST, archive.CHECKSUM


def test_a_second_backup_copies_only_what_is_new_and_the_oldest_goes(filled, tmp_path):
    target, settings = tmp_path / "backups", settings_of(tmp_path / "home", filled)
    made = [
        make_backup(settings, target, AT + timedelta(days=day), secrets=False, made_by=BY_SCHEDULE) for day in range(3)
    ]
    if filled.engine == "lake":
        assert made[0].linked_count == 0
        assert made[1].linked_count == len(list(made[0].folder.rglob("*.parquet"))) > 0
    assert [path.name[8:16] for path in archive.list_archives(target)] == ["20261122", "20261123", "20261124"]
    archive.drop_old(target, 1, made[2].folder)
    assert archive.list_archives(target) == [made[2].folder]
    archive.verify(archive.read_manifest(made[2].folder), lambda count: None)


def test_what_a_killed_backup_left_is_refused_and_swept_by_the_next(new_place, tmp_path):
    place, target = new_place("lake"), tmp_path / "backups"
    cut = target / "caravan-20261121T013000Z.part"
    (cut / "lake").mkdir(parents=True)
    (cut / "lake" / "catalog.sqlite").write_bytes(b"half")
    with pytest.raises(Rejected, match=r"lacks manifest\.json: the backup was not finished"):
        restore(settings_of(tmp_path / "home", LakePlace(tmp_path / "new")), cut)
    make_backup(settings_of(tmp_path / "home", place), target, AT, secrets=False)
    assert not cut.exists()


def test_a_changed_byte_stops_the_restore_before_anything_is_written(filled, tmp_path):
    made = make_backup(settings_of(tmp_path / "home", filled), tmp_path / "backups", AT, secrets=False)
    victim = next(iter(sorted(made.folder.rglob("*.parquet"))))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    target = LakePlace(tmp_path / "new" / "lake")
    with pytest.raises(Rejected, match=f"{victim.relative_to(made.folder)} was changed"):
        restore(settings_of(tmp_path / "again", target), made.folder)
    assert not target.root.exists()


def test_nothing_is_restored_over_a_warehouse_or_a_server_that_is_there(filled, tmp_path):
    home = tmp_path / "home"
    settings = settings_of(home, filled)
    write_server(home)
    made = make_backup(settings, tmp_path / "backups", AT, secrets=False)
    before = answers(filled)
    with pytest.raises(CaravanError, match="nothing is restored over"):
        restore(settings, made.folder)
    assert answers(filled) == before
    (home / "airflow" / "airflow.db").write_bytes(b"another")
    (home / "airflow" / "airflow.db-wal").write_bytes(b"of another state")
    with pytest.raises(CaravanError, match=r"airflow\.db, airflow\.db-wal in .*: nothing is restored over"):
        restore(settings_of(home, LakePlace(tmp_path / "new")), made.folder)
    assert not (tmp_path / "new").exists()


def test_alerts_that_waited_are_settled_before_the_warehouse_is_there(filled, new_place, tmp_path, monkeypatch):
    made = make_backup(settings_of(tmp_path / "home", filled), tmp_path / "backups", AT, secrets=False)
    place = LakePlace(tmp_path / "new") if filled.engine == "lake" else new_place("postgresql", migrated=False)

    def fail(session: Session, given: Archive) -> None:
        raise Retryable("cut")

    monkeypatch.setattr("caravan.warehouse.backup._settle_messages", fail)
    with pytest.raises(Retryable, match="cut"):
        restore(settings_of(tmp_path / "again", place), made.folder)
    monkeypatch.undo()
    restore(settings_of(tmp_path / "again", place), made.folder)
    with place.open() as warehouse, warehouse.read() as session:
        assert session.rows("SELECT state, error FROM ops.incident_message") == [
            ("failed", f"not sent again: restored from {made.folder.name}")
        ]
    place.close()


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
def test_what_a_killed_server_left_beside_its_database_is_refused(new_place, tmp_path, end):
    home = tmp_path / "home"
    write_server(home)
    made = make_backup(settings_of(home, new_place("lake")), tmp_path / "backups", AT, secrets=False)
    (home / "airflow" / "airflow.db").unlink()
    (home / "airflow" / f"airflow.db{end}").write_bytes(b"of another state")
    with pytest.raises(CaravanError, match=f"airflow.db{end} in .* is of another server; move it away"):
        restore(settings_of(home, LakePlace(tmp_path / "new")), made.folder)
    assert not (tmp_path / "new").exists()


def test_a_lake_comes_back_on_a_disk_of_its_own_after_a_restore_that_was_cut(new_place, tmp_path, monkeypatch):
    """The lake's folder is a link to an empty one. Its waiting alerts have been sent meanwhile."""
    place, home = new_place("lake"), tmp_path / "home"
    write_config(home)
    write_server(home)
    with place.open() as warehouse, warehouse.write() as session:
        states = ("pending", "sending", "sent")
        insert_many(session, "ops.incident_message", [{"incident_id": state, "state": state} for state in states])
    place.close()
    made = make_backup(settings_of(home, place), tmp_path / "backups", AT, secrets=False)
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    copy, again = LakePlace(tmp_path / "link"), tmp_path / "again"

    def fail(folder: Path) -> None:
        raise Retryable("cut")

    def fail_last(path: Path, target: Path) -> Path:
        if target == tmp_path / "disk" / "catalog.sqlite":
            raise Retryable("cut")
        return rename(path, target)

    monkeypatch.setattr("caravan.warehouse.backup.sync_folder", fail)
    with pytest.raises(Retryable, match="cut"):
        restore(settings_of(again, copy), made.folder)
    monkeypatch.undo()
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", fail_last)
    with pytest.raises(Retryable, match="cut"):
        restore(settings_of(again, copy), made.folder)
    monkeypatch.undo()
    assert (tmp_path / "disk" / "files").exists()
    # What they left needs no room beside what is restored.
    left = tmp_path / "disk" / ".restore.part"
    full, empty = (shutil._ntuple_diskusage(10**12, 0, free) for free in (10**4, 10**9))
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda path: full if left.exists() else empty)
    assert f"{again / 'config'} is as it was" in restore(settings_of(again, copy), made.folder)
    assert sorted(path.name for path in (again / "config").iterdir()) == ["markets", "project.yml"]
    with copy.open() as warehouse, warehouse.read() as session:
        rows = session.rows("SELECT incident_id, state FROM ops.incident_message ORDER BY 1")
    assert rows == [("pending", "failed"), ("sending", "failed"), ("sent", "sent")]
    assert not (tmp_path / "disk" / ".restore.part").exists()
    copy.close()


def test_half_a_configuration_is_never_there(new_place, tmp_path, monkeypatch):
    home, again = tmp_path / "home", tmp_path / "again"
    write_config(home)
    made = make_backup(settings_of(home, new_place("lake")), tmp_path / "backups", AT, secrets=False)
    copy, put = settings_of(again, LakePlace(tmp_path / "new")), archive.put_file

    def put_one(source: Path, target: Path) -> None:
        if target.name == "project.yml":
            raise Retryable("no room left")
        put(source, target)

    def rename_one(path: Path, target: Path) -> Path:
        # The folder may be a disk of its own.
        assert path.is_relative_to(again / "config") or not target.is_relative_to(again / "config")
        if target == again / "config" / "project.yml":
            raise Retryable("killed")
        return rename(path, target)

    rename = Path.rename
    for where, name, instead, told in (
        (archive, "put_file", put_one, "no room left"),
        (Path, "rename", rename_one, "killed"),
    ):
        monkeypatch.setattr(where, name, instead)
        with pytest.raises(Retryable, match=told):
            restore(copy, made.folder)
        monkeypatch.undo()
    assert f"{again / 'config'} restored" in restore(copy, made.folder)
    assert sorted(path.name for path in (again / "config").iterdir()) == ["markets", "project.yml"]


def test_a_configuration_that_has_changed_stays_and_the_old_one_lies_beside_it(new_place, tmp_path):
    home = tmp_path / "home"
    write_config(home)
    made = make_backup(settings_of(home, new_place("lake")), tmp_path / "backups", AT, secrets=False)
    (home / "config" / "project.yml").write_text("base_currency: USD\n")
    said = restore(settings_of(home, LakePlace(tmp_path / "new")), made.folder)
    assert any("has changed since and stays" in line for line in said)
    assert (home / "config" / "project.yml").read_text() == "base_currency: USD\n"
    assert (home / f"config-{made.folder.name}" / "project.yml").read_text() == "base_currency: EUR\n"


def test_a_full_disk_is_told_before_anything_is_copied(filled, tmp_path, monkeypatch):
    usage = shutil._ntuple_diskusage(10**12, 10**12 - 1000, 1000)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(Retryable, match="free some disk or name another folder"):
        make_backup(settings_of(tmp_path / "home", filled), tmp_path / "backups", AT, secrets=False)
    assert not list((tmp_path / "backups").glob("caravan-*"))


def test_a_restore_without_room_for_all_of_it_writes_nothing(new_place, tmp_path, monkeypatch):
    home, again = tmp_path / "home", tmp_path / "again"
    write_config(home)
    write_server(home)
    made = make_backup(settings_of(home, new_place("lake")), tmp_path / "backups", AT, secrets=False)
    size = sum((made.folder / name).stat().st_size for name in ("lake/catalog.sqlite", "airflow/airflow.db"))
    usage = shutil._ntuple_diskusage(10**12, 0, size)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(Retryable, match="what is restored takes"):
        restore(settings_of(again, LakePlace(tmp_path / "new")), made.folder)
    assert not again.exists()
    assert not (tmp_path / "new").exists()


def test_a_lake_that_lacks_a_file_is_not_backed_up_as_if_it_were_whole(new_place, tmp_path, monkeypatch):
    monkeypatch.setattr(lake, "ADOPTED_ROWS", 8)
    place = new_place("lake")
    Small(place.open(), tmp_path).deliver(*(Line(f"o{i}", 1) for i in range(10)), stamped=True)
    place.close()
    [lost] = (place.root / "files").rglob("adopted-*.parquet")
    lost.unlink()
    with pytest.raises(CaravanError, match=f"{lost.name} is missing"):
        make_backup(settings_of(tmp_path / "home", place), tmp_path / "backups", AT, secrets=False)


def test_a_backup_waits_while_files_are_removed_and_two_do_not_write_at_once(new_place, tmp_path, monkeypatch):
    place = new_place("lake")
    settings = settings_of(tmp_path / "home", place)
    with removal_lock(place.root, 0), pytest.raises(Retryable, match="copying or removing"):
        make_backup(settings, tmp_path / "backups", AT, secrets=False, lock_wait_seconds=0.1)
    with archive.new_archive(tmp_path / "backups", AT, lambda count: None):
        monkeypatch.setattr(archive, "LOCK_WAIT_SECONDS", 0.1)
        with pytest.raises(Retryable, match="writing a backup"):
            make_backup(settings, tmp_path / "backups", AT + timedelta(days=1), secrets=False)


WRITER = """
import sys
from pathlib import Path
from caravan.warehouse.lake import Lake
with Lake(Path(sys.argv[1])) as lake:
    number = 0
    while not Path(sys.argv[2]).exists():
        number += 1
        with lake.read() as session:
            rows = session.stage(f"SELECT CAST({number} AS BIGINT) AS n, i FROM range(40) AS q (i)")
        with lake.write() as session:
            session.execute("DELETE FROM mart.one WHERE n <= $old", {"old": number - 3})
            session.append_staged("mart.one", ["n", "i"], rows)
            session.execute(f"INSERT INTO mart.two SELECT CAST({number} AS BIGINT), i FROM range(3) AS q (i)")
        lake.forget_staged()
        print(number, flush=True)
"""


def test_a_backup_beside_a_writer_holds_one_committed_state(new_place, tmp_path):
    place = new_place("lake")
    with place.open() as warehouse, warehouse.write() as session:
        for table in ("mart.one", "mart.two"):
            session.execute(f"CREATE TABLE {table} (n BIGINT, i BIGINT)")
    command = [sys.executable, "-c", WRITER, str(place.root), str(tmp_path / "stop")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    states = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        settings, made = settings_of(tmp_path / "home", place), []
        for number in range(3):
            while int(writer.stdout.readline()) < 5 * (number + 1):
                pass
            made.append(make_backup(settings, tmp_path / "backups", AT + timedelta(days=number), secrets=False))
        (tmp_path / "stop").touch()
        writer.stdout.read()
    assert writer.returncode == 0
    for number, each in enumerate(made):
        copy = LakePlace(tmp_path / f"copy{number}")
        restore(settings_of(tmp_path / f"home{number}", copy), each.folder)
        with copy.open() as warehouse, warehouse.read() as session:
            one = session.rows("SELECT n, COUNT(*) FROM mart.one GROUP BY n ORDER BY n")
            two = session.rows("SELECT n, COUNT(*) FROM mart.two GROUP BY n ORDER BY n")
        newest = two[-1][0]
        assert two == [(n, 3) for n in range(1, newest + 1)]
        assert one == [(n, 40) for n in range(newest - 2, newest + 1)]
        states.append(newest)
    assert states == sorted(set(states)), "each backup is of a later state"


def test_clock_and_zone_are_utc_in_the_names(tmp_path):
    with archive.new_archive(tmp_path, datetime(2026, 1, 2, 3, 4, 5), lambda count: None) as writer:
        writer.finish({})
    [made] = archive.list_archives(tmp_path)
    assert made.name == "caravan-20260102T030405Z"
    assert archive.made_at(made).replace(tzinfo=UTC).isoformat() == "2026-01-02T03:04:05+00:00"
