"""Scratch folders: gone with their work, swept after a kill, and never taken from the living."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from caravan.core.errors import CaravanError, Retryable
from caravan.warehouse import scratch
from caravan.warehouse.scratch import Scratch

WORKER = """
import sys
from pathlib import Path
from caravan.warehouse.scratch import Scratch

made = Scratch(Path(sys.argv[1]))
(made.path / "deep").mkdir()
(made.path / "deep" / "rows").write_text("half a load")
print(made.path, flush=True)
sys.stdin.read()
made.close()
"""


class Worker:
    """Another process with a scratch folder below `parent`."""

    def __init__(self, parent: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)},
        )
        assert self._process.stdout is not None
        self.path = Path(self._process.stdout.readline().strip())
        assert (self.path / "deep" / "rows").exists()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=30)

    def finish(self) -> None:
        self._process.communicate("", timeout=30)
        assert self._process.returncode == 0


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(tmp_path)
    yield worker
    worker.kill()


def test_it_is_there_for_its_work_and_gone_after_it(tmp_path: Path) -> None:
    parent = tmp_path / "home" / "staging"
    with Scratch(parent) as folder:
        assert folder.parent == parent
        (folder / "rows").write_text("x")
    assert list(parent.iterdir()) == []


def test_two_at_once_are_two(tmp_path: Path) -> None:
    with Scratch(tmp_path) as first, Scratch(tmp_path) as second:
        assert first != second
        assert first.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_the_next_one_sweeps_what_the_killed_left_and_leaves_the_living_alone(tmp_path: Path, living: Worker) -> None:
    (tmp_path / "of somebody else").mkdir()
    (tmp_path / f"{scratch.PREFIX}file").touch()
    killed = Worker(tmp_path)
    killed.kill()
    assert (killed.path / "deep" / "rows").exists()
    with Scratch(tmp_path) as folder:
        assert set(tmp_path.iterdir()) == {
            folder, living.path, tmp_path / "of somebody else", tmp_path / f"{scratch.PREFIX}file",
        }  # fmt: skip
        assert (living.path / "deep" / "rows").read_text() == "half a load"
    living.finish()
    assert not living.path.exists()


def test_a_folder_swept_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, made = tempfile.mkdtemp, []

    def make_and_meet_a_sweep(**options: str) -> str:
        made.append(make(**options))
        if len(made) == 1:
            scratch._sweep(tmp_path)
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_meet_a_sweep)
    with Scratch(tmp_path) as folder:
        assert [Path(path) for path in made][1:] == [folder]
        assert list(tmp_path.iterdir()) == [folder]


def test_the_lock_of_a_removed_file_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening and locking, a sweep removes the file and the folder's maker puts a new one there."""
    lock = tmp_path / scratch.LOCK
    try_lock = scratch.try_lock

    def come_late(handle):
        lock.rename(tmp_path / "removed")
        lock.touch()
        return try_lock(handle)

    monkeypatch.setattr(scratch, "try_lock", come_late)
    assert scratch._take(tmp_path) is None


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, Retryable), (errno.EROFS, CaravanError), (errno.EACCES, CaravanError)]
)
def test_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    def fail(**options: str) -> str:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tempfile, "mkdtemp", fail)
    with pytest.raises(CaravanError, match=f"{tmp_path} cannot be written: {os.strerror(code)}") as caught:
        Scratch(tmp_path)
    assert type(caught.value) is kind
