"""What tests need that start Airflow as a person does: the command line, and a free port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from caravan import PROJECT_ROOT


def caravan(home: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, without the suite's Airflow settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "CARAVAN"))}
    return subprocess.run(
        [sys.executable, "-P", "-m", "caravan", *arguments],
        env={
            **kept,
            "CARAVAN_HOME": str(home),
            "PYTHONPATH": str(PROJECT_ROOT / "plugins"),
            "COLUMNS": "200",
            **environ,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )


def free_port() -> int:
    """A port with two free ones after it."""
    for port in range(18500, 19500, 10):
        sockets = [socket.socket() for _ in range(3)]
        try:
            for offset, each in enumerate(sockets):
                each.bind(("127.0.0.1", port + offset))
            return port
        except OSError:
            continue
        finally:
            for each in sockets:
                each.close()
    raise AssertionError("no free port")
