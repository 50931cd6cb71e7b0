"""Collect and stage one huge delivery, against a bare DuckDB insert of the same file.

    python tests/bench/bulk.py [--lines 20000000] [--times 4] [--dir DIR]

Prints rows per second of both and their ratio, and the peak memory of collect and stage at one and at `--times`
the size. Fails under the floor: 1/8 of the bare insert's rows per second, or memory that grows by more than 10 %.
Each measurement is a process of its own. Needs about 300 bytes of disk a line.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import duckdb

FLOOR, GOAL, MEMORY_GROWTH = 1 / 8, 1 / 3, 1.10
LINES_A_DAY = 60_000
FIRST_DAY = date(2020, 1, 1)
"""Early enough that 80 million lines end before today: an order from the future is no good row."""
CHANNEL = """
code: bulk
name: Generated lines
kind: own
folder: incoming/bulk
settle_seconds: 0
delivery: changes
zone: UTC
market: DE
format: {type: parquet}
entities:
  order_line:
    files: "*.parquet"
    columns:
      order_id: order_no
      line_id: line_no
      ordered_at: ordered_at
      updated_at: changed_at
      status: status
      country: country
      currency: currency
      customer_id: customer
      sku: sku
      product_name: title
      quantity: quantity
      unit_price: price
"""


def generate(path: Path, lines: int) -> None:
    """Orders of three lines in the order of time, 60,000 lines a day."""
    duckdb.connect().execute(
        f"""COPY (
            WITH numbered AS (
                SELECT i, i // 3 AS number, hash(i // 3) AS dice, hash(i) AS line_dice,
                       TIMESTAMP '{FIRST_DAY}'
                       + to_microseconds((i // 3) * 3 * (86400000000 // {LINES_A_DAY})) AS moment
                FROM range({lines}) AS r (i)
            )
            SELECT 'A' || lpad(CAST(number AS VARCHAR), 9, '0') AS order_no, CAST(i % 3 + 1 AS VARCHAR) AS line_no,
                   moment AS ordered_at, moment AS changed_at,
                   CASE WHEN i % 50 = 0 THEN 'cancelled' ELSE 'paid' END AS status,
                   ['DE', 'FR', 'AT', 'NL'][CAST(dice % 4 + 1 AS BIGINT)] AS country, 'EUR' AS currency,
                   'C' || CAST(dice % 500000 AS VARCHAR) AS customer,
                   'SKU-' || CAST(line_dice % 20000 AS VARCHAR) AS sku,
                   'Product number ' || CAST(line_dice % 20000 AS VARCHAR) AS title,
                   CAST(line_dice % 5 + 1 AS INTEGER) AS quantity,
                   CAST(CAST(line_dice % 10000 AS DECIMAL(18,2)) / 100 AS DECIMAL(18,2)) AS price
            FROM numbered) TO '{path}' (FORMAT parquet)"""
    )


def bare_insert(source: Path, home: Path) -> dict[str, float]:
    connection = duckdb.connect(str(home / "bare.duckdb"))
    began = time.monotonic()
    connection.execute(f"CREATE TABLE lines AS SELECT * FROM read_parquet('{source}')")
    return {"seconds": time.monotonic() - began}


def collect_and_stage(source: Path, home: Path, lines: int) -> dict[str, float]:
    import caravan
    from caravan.assembly import sales
    from caravan.core.scope import RunScope
    from caravan.core.window import Window

    config = home / "config"
    shutil.copytree(caravan.INCLUDE_DIR / "config", config, ignore=shutil.ignore_patterns("channels"))
    (config / "channels").mkdir()
    (config / "channels" / "bulk.yml").write_text(CHANNEL)
    folder = home / "incoming" / "bulk"
    folder.mkdir(parents=True)
    os.link(source, folder / source.name)
    os.environ.update(CARAVAN_HOME=str(home), CARAVAN_CONFIG=str(config))
    scope = RunScope("bulk", "sales_orders_daily", Window.of_days(FIRST_DAY, FIRST_DAY + timedelta(days=1)))
    sales.list_channels(scope)
    began = time.monotonic()
    counts = sales.collect(scope, "bulk")
    collected = time.monotonic()
    staged = sales.stage(scope)
    ended = time.monotonic()
    assert counts["loaded"] == lines, counts
    assert staged["stg.file_drop__order_line"] == lines, staged
    return {
        "seconds": ended - began,
        "collect_seconds": collected - began,
        "stage_seconds": ended - collected,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure(what: str, source: Path, lines: int, workdir: Path) -> dict[str, float]:
    """One measurement in a process of its own, in a folder that is deleted after it."""
    home = Path(tempfile.mkdtemp(prefix=f"{what}-", dir=workdir))
    try:
        command = [sys.executable, __file__, "--measure", what, str(source), str(home), str(lines)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return dict(json.loads(done.stdout.splitlines()[-1]))
    finally:
        shutil.rmtree(home)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=20_000_000)
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        what, source, home, lines = given.measure
        found = (
            bare_insert(Path(source), Path(home))
            if what == "bare"
            else collect_and_stage(Path(source), Path(home), int(lines))
        )
        print(json.dumps(found))
        return 0

    with tempfile.TemporaryDirectory(prefix="caravan-bulk-", dir=given.dir) as folder:
        workdir = Path(folder)
        peaks = {}
        ratio = 0.0
        for times in (1, given.times):
            lines = given.lines * times
            source = workdir / f"{lines}.parquet"
            generate(source, lines)
            ours = measure("ours", source, lines, workdir)
            peaks[times] = ours["peak_mb"]
            print(
                f"{lines:>12,} lines: collect {ours['collect_seconds']:.1f} s, stage {ours['stage_seconds']:.1f} s, "
                f"{lines / ours['seconds']:,.0f} rows/s, peak {ours['peak_mb']:,.0f} MB",
                flush=True,
            )
            if times == 1:
                bare = measure("bare", source, lines, workdir)
                ratio = bare["seconds"] / ours["seconds"]
                speed = f"{lines / bare['seconds']:,.0f} rows/s"
                print(f"{lines:>12,} lines: bare DuckDB insert {bare['seconds']:.1f} s, {speed}", flush=True)
            source.unlink()
    growth = peaks[given.times] / peaks[1]
    reached = ", reached" if ratio >= GOAL else ""
    print(f"ratio of rows per second {ratio:.3f} (floor {FLOOR:.3f}, goal {GOAL:.3f}{reached})")
    print(f"memory at {given.times} times the size: {growth:.2f} times (at most {MEMORY_GROWTH:.2f})")
    return int(ratio < FLOOR or growth > MEMORY_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
