"""A thousand loads with the upkeep after each hundred: files, catalog and the time to open the lake stay flat.

Each load is one delivery through `Store.load`: rows of the last days, some new, some changed, into raw tables with
their evidence; after every fiftieth the small models are built. The upkeep runs as if its keep times had passed.

    PYTHONPATH=plugins python tests/bench/upkeep.py --loads 1000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "contracts"), str(TESTS)]

from deliveries import LINES, Line, write_parquet  # noqa: E402
from small_models import MODELS, Small, write_models  # noqa: E402

from caravan.clients.file_drop.parsed import Delivery, Parsed  # noqa: E402
from caravan.config.types import Upkeep  # noqa: E402
from caravan.warehouse.lake import Lake  # noqa: E402
from caravan.warehouse.maintenance import do, engine_chores, evidence_chores  # noqa: E402
from caravan.warehouse.migrations import migrate  # noqa: E402
from caravan.warehouse.store import Store  # noqa: E402

EVERY = 100
BUILD_EVERY = 50
ROWS_A_LOAD = 30
DAYS = 28
FLOOR = 1.5
"""How much larger each number may be after the last hundred loads than after the second."""
SLACK = {"files": 10.0, "catalog_kb": 64.0, "attach_ms": 20.0}
"""Differences below these say nothing."""
ATTACHES = 7


@dataclass(frozen=True)
class Seen:
    loads: int
    files_before: int
    files: int
    catalog_kb: float
    attach_ms: float
    seconds: float
    """Of the upkeep."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Loads with upkeep: is the lake flat?")
    parser.add_argument("--loads", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="caravan-upkeep-", ignore_cleanup_errors=True) as name:
        folder, seen = Path(name), list[Seen]()
        with Lake(folder / "lake") as lake:
            migrate(lake)
        print(f"{'loads':>6}{'files':>8}{'after':>7}{'catalog KB':>12}{'attach ms':>11}{'upkeep s':>10}")
        for first in range(0, options.loads, EVERY):
            load_many(folder, first, EVERY)
            seen.append(tend(folder, first + EVERY))
            each = seen[-1]
            print(
                f"{each.loads:>6}{each.files_before:>8}{each.files:>7}{each.catalog_kb:>12.0f}"
                f"{each.attach_ms:>11.1f}{each.seconds:>10.1f}",
                flush=True,
            )
    return judge(seen)


def load_many(folder: Path, first: int, count: int) -> None:
    catalog = write_models(folder / "sql", MODELS)
    with Lake(folder / "lake") as lake:
        store = Store(lake, catalog, "bench", {"base_currency": "EUR"}, "bench", clock)
        small = Small(lake, folder, catalog)
        for number in range(first, first + count):
            store.start_run(f"run{number}", None, "hash")
            load(store, folder, number)
            if number % BUILD_EVERY == BUILD_EVERY - 1:
                small.build()
            store.end_run(f"run{number}", "success", "")


def load(store: Store, folder: Path, number: int) -> None:
    """Orders of the last four weeks: half of the rows are new, half change one of the load before."""
    lines = [
        Line(f"o{number - i % 2}-{i}", 1 + (number + i) % DAYS, str(1 + number % 7), customer=f"c{i}")
        for i in range(ROWS_A_LOAD)
    ]
    load_id = uuid.uuid4().hex
    path = write_parquet(folder / f"{load_id}.parquet", lines, LINES, load_id)
    delivery = Delivery("shop", "order_line", path, load_id, path.stat().st_size, path.stat().st_mtime_ns)
    parsed = Parsed((path,), (), len(lines), len(lines), 0, 0)
    store.load(
        f"run{number}",
        load_id,
        "shop",
        "order_line",
        delivery,
        parsed,
        complete=False,
        max_deleted_share=Decimal(1),
        started_at=clock(),
    )
    path.unlink(missing_ok=True)


def tend(folder: Path, loads: int) -> Seen:
    root = folder / "lake"
    files_before = count_files(root)
    began = time.monotonic()
    with Lake(root) as lake:
        upkeep, later = Upkeep(snapshot_days=0, reader_hours=0), clock() + timedelta(seconds=1)
        do(evidence_chores(lake, upkeep, clock()), clock)
        do(engine_chores(lake, upkeep, later), clock)
    seconds = time.monotonic() - began
    catalog_kb = (root / "catalog.sqlite").stat().st_size / 1024
    return Seen(loads, files_before, count_files(root), catalog_kb, attach_ms(root), seconds)


def attach_ms(root: Path) -> float:
    """Processor time to open the lake and count one table, the best of some: others may be using the machine."""

    def once() -> float:
        began = time.process_time()
        with Lake(root, read_only=True) as lake, lake.read() as session:
            session.row("SELECT COUNT(*) FROM mart.fct_line")
        return (time.process_time() - began) * 1000

    return min(once() for _ in range(ATTACHES))


def count_files(root: Path) -> int:
    return sum(1 for _ in (root / "files").rglob("*.parquet"))


def clock() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def judge(seen: list[Seen]) -> int:
    early, late = seen[min(1, len(seen) - 1)], seen[-1]
    numbers: dict[str, Callable[[Seen], float]] = {
        "files": lambda each: each.files,
        "catalog_kb": lambda each: each.catalog_kb,
        "attach_ms": lambda each: each.attach_ms,
    }
    faults = [
        f"{name} {of(early):.0f} -> {of(late):.0f}"
        for name, of in numbers.items()
        if of(late) > max(of(early) * FLOOR, of(early) + SLACK[name])
    ]
    print(f"from {early.loads} to {late.loads} loads: {'FAILED: ' + ', '.join(faults) if faults else 'flat, passed'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
