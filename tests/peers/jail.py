"""The Debian in the folder that fetch.sh filled: files are put into it, programs run in it, and end with the test."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
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
        self.root = folder.resolve() / "root"
        lines = (folder / "versions").read_text().splitlines()
        self.versions = dict(line.split() for line in lines)

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
        """In the background; ended by `stop`."""
        full, env = self._command(command, user), _PATH | environment
        with self.path(log).open("ab") as file:
            subprocess.Popen(full, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def stop(self) -> None:
        """Whatever runs in the jail: servers fork, and outlive their parents."""
        for number, seconds in ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)):
            for process in self.running():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)
            with contextlib.suppress(AssertionError):
                wait_for(lambda: not self.running(), "what runs in the jail ends", seconds)

    def running(self) -> list[int]:
        """The processes whose root is the jail."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if os.readlink(process / "root") == str(self.root):
                    found.append(int(process.name))
        return found

    def _command(self, command: tuple[str, ...], user: str) -> list[str]:
        return ["chroot", f"--userspec={user}:{user}", str(self.root), *command]


@contextmanager
def opened(folder: Path) -> Iterator[Jail]:
    """For one session of tests at a time."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        jail = Jail(folder)
        jail.stop()  # what a session that was killed has left
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
