"""A watch over a lake whose disk is really full: a small one of its own, in a mount namespace of this process.

    unshare --user --map-root-user --mount python full_disk.py FOLDER

Prints, as JSON, what each step of four watches gave: two while the disk is full, two after.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from caravan.assembly import incidents, ops
from caravan.config.settings import Settings
from caravan.core.errors import Retryable

STEPS: list[Callable[[], Any]] = [
    ops.check_sources,
    lambda: ops.check_runs(lambda *asked: ([], [], {})),
    ops.check_machine,
    ops.check_configuration,
    incidents.send_messages,
    ops.verdict,
]


def watch() -> list[Any]:
    found: list[Any] = []
    for step in STEPS:
        try:
            found.append(step())
        except Retryable as error:
            found.append(str(error))
    return found


def main(folder: Path) -> None:
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "lake", str(disk)], check=True)
    os.environ["CARAVAN_WAREHOUSE"] = f"lake://{disk / 'lake'}"
    with incidents.open_book(Settings.from_environment()):
        ops.beat()
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65_536))
    full = [watch(), watch()]
    ballast.unlink()
    print(json.dumps([*full, watch(), watch()]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
