"""Killed writers leave no wrong number: the bench of tests/bench/kill.py, with few kills."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_bench(*options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    command = [sys.executable, str(ROOT / "tests/bench/kill.py"), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize(
    ("engine", "kills", "in_transaction"),
    [
        ("lake", 2, 1),
        pytest.param("lake", 10, 4, marks=pytest.mark.slow),
        pytest.param("postgresql", 10, 4, marks=pytest.mark.slow),
    ],
)
def test_killed_writers_leave_no_wrong_number(engine, kills, in_transaction):
    hands = "2" if kills == 2 else "4"
    done = run_bench(
        "--engine", engine, "--kills", str(kills), "--in-transaction", str(in_transaction), "--counts", "50",
        "--workers", hands,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    table = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    assert int(table["total"]) >= kills
    assert int(table["in_transaction"]) >= in_transaction
    assert "wrong 0;" in done.stdout


def test_a_wrong_count_is_noticed():
    sys.path.insert(0, str(ROOT / "tests/bench"))
    import kill

    monday, tuesday = str(kill.day(1)), str(kill.day(8))
    right = [(kill.FCT, monday, 50, 100), (kill.WEEK, monday, 350, 350), (kill.WEEK, tuesday, 50, 150)]
    wrong = [
        (kill.FCT, monday, 49, 98),  # a line is missing
        (kill.FCT, monday, 100, 150),  # two states at once
        (kill.FCT, monday, 50, 51),  # a mixture of two states
        (kill.WEEK, monday, 300, 300),  # a day is missing
        (kill.WEEK, monday, 350, 351),
        (kill.WEEK, str(kill.day(15)), 50, 50),  # a slice that nobody delivered
    ]
    assert [kill.is_right(seen) for seen in right + wrong] == [True] * len(right) + [False] * len(wrong)
