"""What goes wrong outside: a taken catalog, a full disk, a server that is gone. Nothing is half written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from caravan.core.errors import CaravanError, Retryable
from caravan.warehouse import lake as lake_module
from caravan.warehouse.lake import Lake
from caravan.warehouse.postgres import Postgres

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


def test_opening_a_lake_whose_catalog_is_locked(lake, hold_catalog):
    hold_catalog()
    # DuckLake reads an existing catalog without locking it; a first opening would have to wait.
    assert count(lake.open(read_only=True)) == 1


def test_a_lake_that_does_not_exist_is_not_made_by_looking(tmp_path):
    with pytest.raises(CaravanError, match="there is no warehouse at"):
        Lake(tmp_path / "nothing", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_retryable_and_its_password_stays_secret(tmp_path):
    with pytest.raises(Retryable, match=r"PostgreSQL at localhost/shop does not answer") as caught:
        Postgres(f"postgresql://someone:hush@/shop?host={tmp_path}")
    assert "hush" not in str(caught.value)


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
