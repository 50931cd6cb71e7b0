"""The Debian in the folder that fetch.sh filled: files are put into it, programs run in it, and end with the test."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
START_SECONDS = 30.0
_PATH = {"PATH": "/usr/sbin:/usr/bin", "LANG": "C.UTF-8"}


class Jail:
    """`user`: one of the jail's own. Paths are as they are in the jail."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        lines = (folder / "versions").read_text().splitlines()
        self.versions = dict(line.split() for line in lines)
        self._started: list[subprocess.Popen[bytes]] = []

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def fresh(self, name: str, user: str = "root", mode: int = 0o755) -> None:
        """An empty folder, whatever was there."""
        path = self.path(name)
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        path.chmod(mode)
        self.run("chown", user, name)

    def run(self, *command: str, user: str = "root", given: bytes = b"") -> str:
        """What it prints. Raises CalledProcessError with what it said."""
        done = subprocess.run(self._command(command, user), input=given, env=_PATH, capture_output=True)
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise AssertionError(f"{command[0]} in the jail ended with {done.returncode}: {said}")
        return done.stdout.decode()

    def start(self, *command: str, user: str = "root", log: str, **environment: str) -> None:
        """In the foreground of its own; ended by `stop`."""
        with self.path(log).open("ab") as file:
            started = subprocess.Popen(
                self._command(command, user),
                env=_PATH | environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self._started.append(started)

    def stop(self) -> None:
        for process in reversed(self._started):
            process.terminate()
        for process in self._started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._started.clear()

    def _command(self, command: tuple[str, ...], user: str) -> list[str]:
        return ["chroot", f"--userspec={user}:{user}", str(self.root), *command]


@contextmanager
def opened(folder: Path) -> Iterator[Jail]:
    """For one session of tests at a time."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        jail = Jail(folder)
        try:
            yield jail
        finally:
            jail.stop()


def wait_for(ask: Callable[[], T], what: str, seconds: float = START_SECONDS) -> T:
    """The first answer that is true. OSError is no answer."""
    ends = time.monotonic() + seconds
    while True:
        try:
            if answer := ask():
                return answer
        except OSError:
            pass
        if time.monotonic() > ends:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)
