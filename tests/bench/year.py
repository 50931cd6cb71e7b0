"""The real year in one run: process start and Great Expectations apart; DAG parse; what Airflow adds per task.

    python tests/bench/year.py --file DIR/online_retail.parquet

Fails over the floor: 180 s for the run without process start and `validate`. The goal is 60 s.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOOR_SECONDS, GOAL_SECONDS = 180, 60
FEW, MANY = 3, 43
"""Channels of the runs that tell what a task costs beside its own work."""

PARSE = """
import time, sys
from pathlib import Path
from caravan.cli.private_airflow import start_private_airflow
from caravan.cli.run import load_dags
from caravan.config.settings import Settings
start_private_airflow(Settings.from_environment())
load_dags()
began = time.monotonic(); bag = load_dags(); assert len(bag.dags) == 2; print(time.monotonic() - began)
"""
TASKS = """
import sys, time
sys.path.insert(0, "tests/flows")
import stand_in_assembly as stand_in
stand_in.ANSWERS["sales"]["list_channels"] = [f"channel_{i}" for i in range(int(sys.argv[1]))]
stand_in.install()
from caravan.cli.run import run_dag
from datetime import date
began = time.monotonic()
result = run_dag("sales_orders_daily", date(2026, 1, 1), date(2026, 1, 2), say=lambda line: None)
assert result, result
print(time.monotonic() - began)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="caravan-year-") as folder:
        home = Path(folder)
        configure(home, given.file)
        environment = {
            **os.environ,
            "CARAVAN_HOME": str(home),
            "CARAVAN_CONFIG": str(home / "config"),
            "PYTHONPATH": str(ROOT / "plugins"),
        }
        measure(environment, "-c", TASKS, str(FEW))  # makes the metadata database that later runs copy
        began = time.monotonic()
        command = [sys.executable, "-P", "-m", "caravan", "run", "sales_orders_daily"]
        command += ["--from", "2010-12-01", "--to", "2011-12-11", "--downstream"]
        said = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        total = time.monotonic() - began
        tasks = re.findall(r"^  (\w+(?: \[\w+\])?)$.*?^    ok, ([\d.]+) s", said, flags=re.MULTILINE | re.DOTALL)
        assert len(tasks) == 10, said
        for name, seconds in tasks:
            print(f"  {name:<28} {float(seconds):6.1f} s")
        validate = sum(float(seconds) for name, seconds in tasks if name == "validate")
        start = total - sum(float(seconds) for _, seconds in tasks)
        work = total - start - validate
        parts = f"start {start:.1f} s, Great Expectations {validate:.1f} s, work {work:.1f} s"
        print(f"real year: {total:.1f} s, of it {parts}")
        parse = measure(environment, "-c", PARSE)
        few = min(measure(environment, "-c", TASKS, str(FEW)) for _ in range(2))
        many = min(measure(environment, "-c", TASKS, str(MANY)) for _ in range(2))
        print(f"DAG parse: {parse:.2f} s for all DAGs, modules loaded")
        print(
            f"overhead per task: {(many - few) / (MANY - FEW):.3f} s ({MANY} against {FEW} mapped tasks without work)"
        )
    print(
        f"work {work:.1f} s (floor {FLOOR_SECONDS}, goal {GOAL_SECONDS}{', reached' if work <= GOAL_SECONDS else ''})"
    )
    return int(work > FLOOR_SECONDS)


def configure(home: Path, source: Path) -> None:
    shutil.copytree(ROOT / "include" / "config", home / "config", ignore=shutil.ignore_patterns("channels"))
    (home / "config" / "channels").mkdir()
    shutil.copy(ROOT / "tests" / "real" / "online_retail" / "online_retail.yml", home / "config" / "channels")
    folder = home / "incoming" / "online_retail"
    folder.mkdir(parents=True)
    shutil.copyfile(source, folder / source.name)


def measure(environment: dict[str, str], *arguments: str) -> float:
    done = subprocess.run(
        [sys.executable, "-P", *arguments], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    sys.exit(main())
