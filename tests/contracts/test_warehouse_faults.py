"""What goes wrong outside: a taken catalog, a full disk, a server that is gone. Nothing is half written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import psycopg
import pytest

from caravan.assembly.warehouse import open_warehouse
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError, Misconfigured, Retryable
from caravan.warehouse import lake as lake_module
from caravan.warehouse.lake import Lake
from caravan.warehouse.postgres import Postgres, server_name

HOLD_CATALOG = """
import sqlite3, sys
catalog = sqlite3.connect(sys.argv[1], isolation_level=None)
catalog.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lake(new_place, monkeypatch):
    monkeypatch.setattr(lake_module, "CATALOG_WAIT_MS", 100)
    place = new_place("lake", migrated=False)
    with place.open().write() as session:
        session.execute("CREATE TABLE main.counted (n INTEGER)")
        session.execute("INSERT INTO main.counted VALUES (1)")
    return place


@pytest.fixture
def hold_catalog(lake):
    """Another process holds the catalog as long as the returned one lives."""
    holders = []

    def hold() -> subprocess.Popen[str]:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD_CATALOG, str(lake.root / "catalog.sqlite")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        holders.append(holder)
        assert holder.stdout.readline() == "held\n"
        return holder

    yield hold
    for holder in holders:
        if holder.returncode is None:
            holder.communicate(timeout=30)


def count(warehouse):
    with warehouse.read() as session:
        return session.row("SELECT COUNT(*) FROM main.counted")[0]


def test_a_catalog_locked_by_another_process_is_retryable_and_nothing_is_half_written(lake, hold_catalog):
    warehouse = lake.open()
    holder = hold_catalog()
    message = r"catalog.*locked by another process.*catalog\.sqlite"
    with pytest.raises(Retryable, match=message) as caught, warehouse.write() as session:
        session.execute("INSERT INTO main.counted VALUES (2)")
    assert caught.value.after is not None
    assert count(warehouse) == 1  # a reader never waits
    holder.communicate(timeout=30)
    assert count(warehouse) == 1
    with warehouse.write() as session:
        session.execute("INSERT INTO main.counted VALUES (3)")
    assert count(lake.open()) == 2


def test_a_writer_waits_for_a_catalog_that_comes_free(lake, hold_catalog, monkeypatch):
    monkeypatch.setattr(lake_module, "CATALOG_WAIT_MS", 20_000)
    warehouse = lake.open()
    holder = hold_catalog()
    release = threading.Timer(1.0, holder.communicate, kwargs={"timeout": 30})
    release.start()
    started = time.monotonic()
    with warehouse.write() as session:
        waited = time.monotonic() - started
        session.execute("INSERT INTO main.counted VALUES (2)")
    release.join()
    assert 0.5 < waited < 15
    assert count(warehouse) == 2


def test_a_catalog_locked_after_the_transaction_began_is_retryable(lake, hold_catalog):
    """Nothing waits here: SQLite cannot let a transaction wait that has read."""
    warehouse = lake.open()
    with pytest.raises(Retryable, match="locked by another process"), warehouse.write() as session:
        session.execute("INSERT INTO main.counted VALUES (2)")
        holder = hold_catalog()
    holder.communicate(timeout=30)
    assert count(warehouse) == 1


def test_opening_a_lake_whose_catalog_is_locked(lake, hold_catalog):
    hold_catalog()
    # DuckLake reads an existing catalog without locking it; a first opening would have to wait.
    assert count(lake.open(read_only=True)) == 1


def test_a_lake_that_does_not_exist_is_not_made_by_looking(tmp_path):
    with pytest.raises(CaravanError, match="there is no warehouse at"):
        Lake(tmp_path / "nothing", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_lake_in_a_folder_with_any_name(tmp_path):
    with Lake(tmp_path / 'it\'s "mine"; 50 %') as lake:
        with lake.write() as session:
            session.execute("CREATE TABLE main.counted (n INTEGER)")
            staged = session.stage("SELECT 1 AS n")
            session.execute(f"INSERT INTO main.counted SELECT n FROM {staged} AS s")
        assert count(lake) == 1


STAGE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from caravan.warehouse.lake import Lake
from caravan.warehouse.postgres import Postgres

engine, where = sys.argv[1:]
warehouse = Lake(Path(where)) if engine == "lake" else Postgres(where)
with warehouse.read() as session:
    session.stage("SELECT 1 AS n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_opening_sweeps_what_a_killed_process_staged(place, tmp_path, monkeypatch):
    shared = tmp_path / "tmp"
    shared.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(shared))

    def folders():
        return set(tmp_path.rglob("caravan-scratch-*"))

    living = place.open()
    with living.read() as session:
        relation = session.stage("SELECT 1 AS n")
    of_the_living = folders()
    assert len(of_the_living) == 1
    where = str(place.root) if place.engine == "lake" else place.dsn
    environment = {**os.environ, "TMPDIR": str(shared), "PYTHONPATH": ":".join(path for path in sys.path if path)}
    killed = subprocess.run([sys.executable, "-c", STAGE_AND_DIE, place.engine, where], env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert len(folders()) == 2
    second = place.open()
    assert len(folders()) == 2
    assert of_the_living < folders()
    with living.read() as session:
        assert session.rows(f"SELECT n FROM {relation} AS s") == [(1,)]
    second.close()
    living.close()
    assert folders() == set()


def test_files_on_the_way_to_a_server_lie_in_our_home(new_place, tmp_path):
    place = new_place("postgresql")
    settings = Settings(tmp_path / "home", tmp_path, place.dsn)
    with open_warehouse(settings):
        assert len(list(settings.staging_dir.iterdir())) == 1
    assert list(settings.staging_dir.iterdir()) == []


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://:::bad",
        "postgresql://someone:hush@host:port/shop",
        "postgresql://someone:hush@[::1/shop",
        "postgresql://someone:hush%zz@host/shop",
        "postgresql://someone:hush@host/shop?shade=blue",
    ],
)
def test_what_is_no_address_of_a_server_is_a_fault_of_configuration(dsn):
    with pytest.raises(Misconfigured, match="CARAVAN_WAREHOUSE: is no address of a PostgreSQL database") as caught:
        Postgres(dsn)
    assert "hush" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("dsn", "name"),
    [
        ("postgresql://", "localhost/"),
        ("postgresql://someone:hush@db.example:5433/shop?sslmode=require", "db.example/shop"),
        ("postgresql://one,two/shop", "one,two/shop"),
        ("postgresql:///shop?host=/run/postgresql", "localhost/shop"),
    ],
)
def test_a_server_is_named_without_its_password(dsn, name):
    assert server_name(dsn) == name


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ("DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$", "extend file"),
        ("DO $$ BEGIN RAISE EXCEPTION 'out of memory' USING ERRCODE = 'out_of_memory'; END $$", "out of memory"),
        # A limit that the server's owner has set, really met.
        (
            "SET LOCAL temp_file_limit = '64kB'; SET LOCAL work_mem = '64kB'; "
            "SELECT md5(i::text) AS word FROM generate_series(1, 50000) AS r (i) ORDER BY word",
            "temp_file_limit",
        ),
    ],
)
def test_a_server_without_room_is_retryable_and_says_so(new_place, failing, said):
    warehouse = new_place("postgresql").open()
    with warehouse.write() as session:
        session.execute("CREATE TABLE ops.counted (n INTEGER)")
    with pytest.raises(Retryable, match=f"no room on PostgreSQL at .*{said}"), warehouse.write() as session:
        session.execute("INSERT INTO ops.counted VALUES (1)")
        warehouse._connection.execute(failing)
    with warehouse.write() as session:
        assert session.row("SELECT COUNT(*) FROM ops.counted") == (0,)


def test_a_server_that_is_not_there_is_retryable_and_its_password_stays_secret(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(Retryable, match=r"PostgreSQL at localhost/shop does not answer") as caught:
        Postgres(f"postgresql://someone:hush@/shop?host={tmp_path}")
    assert "hush" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_connection_cut_in_mid_transaction_is_retryable_and_rolled_back(new_place):
    place = new_place("postgresql")
    with place.open().write() as session:
        session.execute("CREATE TABLE ops.counted (n INTEGER)")
    victim = place.open()
    with pytest.raises(Retryable, match="does not answer"), victim.write() as session:
        session.execute("INSERT INTO ops.counted VALUES (1)")
        with psycopg.connect(place.dsn, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        session.execute("INSERT INTO ops.counted VALUES (2)")
    with place.open(lock_wait_seconds=5).write() as session:
        assert session.row("SELECT COUNT(*) FROM ops.counted") == (0,)


# A disk that is really full: a file system of a few megabytes, mounted in a namespace of the child's own. Where
# mounting is not allowed only the second way remains: a limit on the size of every file the child writes.

FULL_DISK = """
import json, os, resource, sys
from pathlib import Path
from caravan.core.errors import Retryable
from caravan.warehouse.lake import Lake

folder, way, what = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
GOOD = "SELECT COUNT(*), MIN(n), MAX(n) FROM main.good"

def read_good():
    with Lake(folder / "lake", read_only=True) as reader, reader.read() as session:
        return list(session.row(GOOD))

lake = Lake(folder / "lake", memory_limit="300MB")
with lake.write() as session:
    session.execute("CREATE TABLE main.good (n BIGINT, word VARCHAR)")
    session.execute("INSERT INTO main.good SELECT i, md5(CAST(i AS VARCHAR)) FROM range(1000) AS r (i)")
seen = {"before": read_good()}

filler = folder / "filler"
if way == "disk":
    with filler.open("wb") as file:
        disk = os.statvfs(folder)
        room = 200_000 if what == "commit" else 2_000_000
        file.write(b"x" * max(0, disk.f_bavail * disk.f_frsize - room))
else:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))

error = None
for number in range(2000):
    try:
        with lake.write() as session:
            session.execute("DELETE FROM main.good WHERE n < 500")
            if what == "rows":
                session.execute("INSERT INTO main.good SELECT i, md5(CAST(i AS VARCHAR)) FROM range(2000000) AS r (i)")
            elif what == "stage":
                session.stage("SELECT i, md5(CAST(i AS VARCHAR)) AS word FROM range(2000000) AS r (i)")
            else:
                # No rows to write: it is the catalog that finds no room.
                for i in range(200):
                    session.execute(f"CREATE TABLE main.t{number}_{i} (n INTEGER)")
                session.execute("INSERT INTO main.good VALUES (1, 'one'), (2, 'two')")
        seen["before"] = read_good()
    except Exception as raised:
        error = raised
        break
seen.update(error=type(error).__name__, text=str(error), full=read_good())
if way == "disk":
    filler.unlink()
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
with lake.write() as session:
    session.execute("INSERT INTO main.good VALUES (5000, 'after')")
seen["after"] = read_good()
print(json.dumps(seen))
"""


def run_on_a_full_disk(folder: Path, way: str, what: str) -> dict:
    command = [sys.executable, "-c", FULL_DISK, str(folder), way, what]
    if way == "disk":
        mount = f'mount -t tmpfs -o size=24m none {folder} && exec "$@"'
        command = ["unshare", "-m" if os.geteuid() == 0 else "-Urm", "sh", "-c", mount, "sh", *command]
        if subprocess.run([*command[:5], f"mount -t tmpfs none {folder}"], capture_output=True).returncode:
            pytest.skip("mounting a small file system is not allowed here; the limit on file size still is tested")
    environment = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("way", "what"),
    [("disk", "rows"), ("disk", "stage"), ("disk", "commit"), ("file size", "rows"), ("file size", "stage")],
)
def test_a_full_disk_is_retryable_and_the_last_good_state_stands(tmp_path, way, what):
    seen = run_on_a_full_disk(tmp_path, way, what)
    assert seen["error"] == "Retryable", seen
    assert "no room to write the lake at" in seen["text"] and "free some disk" in seen["text"]
    assert seen["full"] == seen["before"]
    assert seen["after"] == [seen["before"][0] + 1, seen["before"][1], 5000]
