"""`caravan demo` for real, twice: exactly what was planted, then nothing new."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from caravan import PROJECT_ROOT

pytestmark = pytest.mark.slow


def test_demo_finds_what_was_planted_and_a_second_one_nothing_new(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "CARAVAN"))}

    def demo() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "caravan", "demo", "--home", str(tmp_path / "demo")],
            env={**kept, "PYTHONPATH": str(PROJECT_ROOT / "plugins"), "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )

    first = demo()
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Exactly the planted defects were found" in first.stdout
    assert "Counted = truth in all" in first.stdout
    assert "Nothing new was loaded" not in first.stdout
    assert (tmp_path / "demo/report/index.html").exists()
    second = demo()
    assert second.returncode == 0, second.stdout + second.stderr
    assert "Nothing new was loaded" in second.stdout
    for each in (first, second):
        assert "Web sites: all" in each.stdout, "crawled anew each time"
