"""What doctor makes of what it sees: each fault is named, with what to do."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from caravan.cli import doctor_machine
from caravan.cli.doctor import write_json
from caravan.cli.doctor_machine import judge_backup, judge_clock, judge_disks, judge_upkeep, lake_files
from caravan.cli.finding import Finding, guarded
from caravan.config.settings import Settings
from caravan.config.types import Backups
from caravan.functions.ops.checks import Reading

GB = 10**9
NOW = datetime(2026, 11, 22, 12)
OFF = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("used_gb", "total_gb", "state", "words"),
    [
        (10, 100, "ok", "90.0 GB free, 10 % used"),
        (99, 100, "failed", "99.0 % are used, 1.0 GB are free; the limit is 90 %. free some: `./caravan upkeep`"),
        (990, 1000, "failed", "99.0 % are used, 10.0 GB are free"),
        (90, 100, "failed", "90.0 % are used"),
        (3, 4.5, "failed", "1.5 GB free; at least 2 are wanted; free some"),
        (0, 0, "failed", "0.0 GB free"),
    ],
)
def test_a_disk_that_is_nearly_full(used_gb: float, total_gb: float, state: str, words: str) -> None:
    (found,) = judge_disks({"/srv": (int(used_gb * GB), int(total_gb * GB))}, 90)
    assert (found.subject, found.state) == ("disk", state)
    assert found.what.startswith("/srv: ") and words in found.what


def test_what_a_disk_keeps_for_root_is_nobodys_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine.shutil, "disk_usage", lambda path: (300 * GB, 30 * GB, 80 * GB))
    (found,) = doctor_machine.disks(Settings(tmp_path, tmp_path, f"lake://{tmp_path}/lake"), 90)
    assert "80.0 GB free, 27 % used" in found.what


def reading(name: str, off: timedelta) -> Reading:
    """Our clock is ahead by `off`."""
    return Reading(name, NOW - off, NOW, NOW)


@pytest.mark.parametrize(
    ("readings", "newest", "state", "words"),
    [
        ([reading("the file system", OFF)], None, "failed", "it is 10 min 0 s ahead of the file system"),
        ([reading("connection clock", -OFF)], None, "failed", "it is 10 min 0 s behind connection clock"),
        ([], NOW + OFF, "failed", "the warehouse's newest record is 10 min 0 s in the future"),
        ([reading("connection clock", OFF)], None, "failed", "Set it (`timedatectl set-ntp true`"),
        ([reading("connection clock", OFF / 20)], NOW - OFF, "ok", "connection clock, the warehouse's newest record"),
        ([reading("the file system", OFF / 20)], NOW, "note", "compared with the file system, the warehouse's newest"),
        ([], None, "note", "compared with nothing; not with a server outside"),
    ],
)
def test_a_clock_that_is_off(readings: list[Reading], newest: datetime | None, state: str, words: str) -> None:
    found = judge_clock(readings, newest, NOW, 120, ["a server outside"])
    assert found.state == state
    assert words in found.what
    assert "not with a server outside" in found.what, "what was not compared is told, whatever was found"


@pytest.mark.parametrize(
    ("last", "state", "words"),
    [
        (None, "note", "has never run: switch on the DAG ops_warehouse_daily"),
        (NOW - timedelta(days=9), "note", "last ran 9 days ago"),
        (NOW - timedelta(days=1), "ok", "last ran 2026-11-21 12:00 UTC"),
    ],
)
def test_upkeep_that_does_not_run(last: datetime | None, state: str, words: str) -> None:
    found = judge_upkeep(last, NOW)
    assert (found.state, words in found.what) == (state, True)


@pytest.mark.parametrize(
    ("target", "made", "state", "words"),
    [
        (None, [], "note", "none is made: name a folder in `backup.target`"),
        ("backups", [], "failed", "`./caravan backup {home}/backups` makes one now"),
        ("backups", ["caravan-20261115T120000Z"], "failed", "is the last, 7 days old; one was due every 1 days"),
        ("backups", ["caravan-20261115T120000Z", "caravan-20261122T110000Z"], "ok", "110000Z is the last of 2"),
    ],
)
def test_a_backup_that_is_missing_or_old(
    tmp_path: Path, target: str | None, made: list[str], state: str, words: str
) -> None:
    for name in made:
        (tmp_path / "backups" / name).mkdir(parents=True)
        (tmp_path / "backups" / name / "manifest.json").touch()
    found = judge_backup(Backups(target=target), tmp_path, NOW)
    assert found.state == state
    assert words.format(home=tmp_path) in found.what


def test_a_catalog_that_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/a.parquet").write_bytes(b"x" * 10)
    catalog = tmp_path / "catalog.sqlite"
    with sqlite3.connect(catalog) as connection:
        connection.execute("CREATE TABLE a (b TEXT)")
        connection.executemany("INSERT INTO a VALUES (?)", [("word" * 500,)] * 200)
        connection.execute("CREATE INDEX c ON a (b)")
    connection.close()
    assert [(found.subject, found.state) for found in lake_files(tmp_path)] == [("lake", "ok"), ("catalog", "ok")]
    content = bytearray(catalog.read_bytes())
    content[8192:40000] = bytes(31808)
    catalog.write_bytes(content)
    lake, found = lake_files(tmp_path)
    assert "1 files" in lake.what
    assert found.state == "failed" and "is damaged" in found.what and "`./caravan restore`" in found.what
    catalog.write_bytes(b"no database at all, but long enough to be looked at" * 9)
    _, found = lake_files(tmp_path)
    assert (found.state, "is damaged: file is not a database" in found.what) == ("failed", True)


def test_a_check_that_fails_is_a_finding() -> None:
    def fail() -> list[Finding]:
        raise ZeroDivisionError("by zero")

    assert guarded("sums", fail) == [Finding("sums", "failed", "ZeroDivisionError: by zero")]


@pytest.mark.parametrize(
    ("states", "worst"), [(["ok"], "ok"), (["ok", "note", "ok"], "note"), (["note", "failed", "ok"], "failed")]
)
def test_monitoring_gets_the_worst_state(states: list[str], worst: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_json([Finding(f"check {number}", state, "seen") for number, state in enumerate(states)])  # type: ignore[arg-type]
    told = json.loads(capsys.readouterr().out)
    assert told["state"] == worst
    assert told["findings"][0] == {"subject": "check 0", "state": states[0], "what": "seen"}
