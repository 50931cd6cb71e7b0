"""How late a live scheduler hands messages over, what a stop of it costs, and that what is over is never sent again.

    python tests/bench/lateness.py [--minutes 10] [--stop-minutes 120] [--days 30] [--lead-minutes 5] [--port 18700]
        [--dir DIR] [--keep]

One installation with all its DAGs unpaused, a site, and mail to a sink on loopback. First, releases that fall due at
many different seconds, to readers in four zones: lateness is when the sink had a mail, or the site its page, less the
promised instant; p95 has to be under a minute. Then Airflow is stopped while others fall due: those that may be late
leave after the start, those that may not are `missed`, in the run, as an incident and in the report; nothing is lost,
nothing leaves twice. Then the runs so far are cleared, a backfill is asked for, and last month's dates are triggered:
nothing leaves. Takes a quarter of an hour more than the two times.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from letters import Planned, Post, Sink, sleep_until  # beside this file
from live import Airflow

from caravan.assembly.outbox import open_books
from caravan.assembly.warehouse import open_warehouse
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError

PLAN, SEND, REPORT = "release_plan_hourly", "release_send_minutely", "reporting_marts_hourly"
LIMIT = timedelta(seconds=60)
ZONES = ("Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Adelaide")
READERS, READERS_OF_A_ZONE = 24, 12
CLEARED = 8


class Bench:
    """`faults`: what was not as it should be; none at the end is the point."""

    def __init__(self, folder: Path, port: int, lead: timedelta) -> None:
        self.sink = Sink()
        self.post = Post(folder, self.sink)
        self.settings = Settings.from_environment(self.post.environ)
        self.airflow = Airflow(self.post.home, port, self.post.environ)
        self.lead = lead
        self.planned: dict[str, Planned] = {}
        self.faults: list[str] = []
        self.random = random.Random(5)

    def expect(self, holds: bool, text: str) -> None:
        print(f"  {'so' if holds else 'NOT SO'}: {text}", flush=True)
        if not holds:
            self.faults.append(text)

    def start(self) -> None:
        self.sink.start()
        self.airflow.up()
        self.airflow.caravan("migrate")
        dag_ids = [each["dag_id"] for each in self.airflow.ask("GET", "/dags?limit=100")["dags"]]
        for each in dag_ids:
            self.airflow.unpause(each)
        time.sleep(5)
        self.airflow.idle([each for each in dag_ids if each != SEND], limit_s=1200)
        self.post.subscribe("letters", READERS, ZONES)
        for zone in ZONES:
            self.post.subscribe(zone.split("/")[-1].lower(), READERS_OF_A_ZONE, [zone])

    def plan(self, releases: Sequence[Planned]) -> None:
        self.planned |= {each.id: each for each in releases}
        began = datetime.now(UTC)
        self.post.commit(releases)
        self.run(PLAN)
        took, first = datetime.now(UTC) - began, min(each.due for each in releases)
        print(f"{len(releases)} releases planned in {took.total_seconds():.0f} s", flush=True)
        if datetime.now(UTC) > first:
            raise CaravanError(f"planning took until after {first:%H:%M:%S}, the first instant: this proves nothing")

    def run(self, dag_id: str) -> None:
        state = self.airflow.wait(dag_id, self.airflow.trigger(dag_id))
        self.expect(state == "success", f"{dag_id} is well")

    # -- on time ----------------------------------------------------------------------------------------------------

    def on_time(self, minutes: float) -> None:
        first = datetime.now(UTC).replace(microsecond=0) + self.lead
        span = int(minutes * 60)
        seconds = sorted(self.random.sample(range(span), 16))
        releases = [
            Planned(f"utc-{number:02}", first + timedelta(seconds=second), timedelta(hours=1))
            for number, second in enumerate(seconds)
        ]
        for number, zone in enumerate(ZONES):
            minute = (first + timedelta(seconds=span * (number + 1) / 5)).replace(second=0)
            releases.append(Planned(f"local-{number}", minute, timedelta(hours=1), zone))
        self.plan(releases)
        sleep_until(max(each.due for each in releases) + timedelta(seconds=15))
        self.settled([each.id for each in releases])
        self.tell_lateness(releases)
        self.tell_runs()

    def tell_lateness(self, releases: Sequence[Planned]) -> None:
        ids = {each.id for each in releases}
        mails = [at - self.planned[release].due for release, _, at in self.sink.came if release in ids]
        pages = []
        for each in releases:
            if each.zone is None:
                page = self.post.home / "site" / "de-DE" / each.id / "index.html"
                pages.append(datetime.fromtimestamp(page.stat().st_mtime, UTC) - each.due)
        print(f"\n{'lateness, seconds':<20} {'count':>6} {'p50':>7} {'p95':>7} {'max':>7}")
        for name, found in (("mails", mails), ("pages", pages)):
            late = sorted(each.total_seconds() for each in found)
            p50, p95 = statistics.median(late), late[-(-len(late) * 95 // 100) - 1]
            print(f"{name:<20} {len(late):>6} {p50:>7.1f} {p95:>7.1f} {late[-1]:>7.1f}", flush=True)
            self.expect(p95 < LIMIT.total_seconds(), f"95 of 100 {name} are less than {LIMIT} late")
            self.expect(late[0] >= 0, f"no {name} leave early")
        self.expect_at_sink(releases)

    def tell_runs(self) -> None:
        """How long a run takes, and how long after its minute its first task begins."""
        runs = self.airflow.ask("GET", f"/dags/{SEND}/dagRuns?limit=100&order_by=-run_after")["dag_runs"]
        ended = [each for each in runs if each["run_type"] == "scheduled" and each["end_date"]]
        for name, begin, end in (
            ("run begins after", "run_after", "start_date"),
            ("run takes", "start_date", "end_date"),
        ):
            took = sorted((_time(each[end]) - _time(each[begin])).total_seconds() for each in ended)
            print(f"{name:<20} {len(took):>6} {statistics.median(took):>7.1f} {took[-1 - len(took) // 20]:>7.1f} "
                  f"{took[-1]:>7.1f}")  # fmt: skip

    # -- what is so -------------------------------------------------------------------------------------------------

    def readers(self, each: Planned) -> list[str]:
        count = READERS_OF_A_ZONE if each.zone else READERS
        return [f"{each.list}-{number}@example.com" for number in range(count)]

    def expect_at_sink(self, releases: Sequence[Planned], *, missed: Sequence[Planned] = ()) -> None:
        came = Counter((release, to) for release, to, _ in self.sink.came)
        gone = {each.id for each in missed}
        ought = {(each.id, to): 0 if each.id in gone else 1 for each in releases for to in self.readers(each)}
        wrong = {key: came[key] for key, count in ought.items() if came[key] != count}
        left = sum(ought.values())
        self.expect(not wrong, f"the sink got {left} of {len(ought)} mails, once each (otherwise: {len(wrong)})")

    def states(self) -> Counter[tuple[str, str]]:
        """How many messages, by release and state."""
        with open_books(self.settings) as books:
            return Counter((each.key.object_id, each.state) for each in books.outbox.find(limit=100_000))

    def settled(self, releases: Sequence[str], limit_s: float = 900) -> None:
        began, open_ = time.monotonic(), {"planned", "claimed", "handed_over"}
        while waiting := [key for key in self.states() if key[0] in releases and key[1] in open_]:
            if time.monotonic() - began > limit_s:
                raise CaravanError(f"still open after {limit_s:.0f} s: {waiting}")
            time.sleep(2)

    @contextmanager
    def reading(self) -> Iterator[Any]:
        with open_warehouse(self.settings, read_only=True) as warehouse, warehouse.read() as session:
            yield session

    # -- a stop -----------------------------------------------------------------------------------------------------

    def stop(self, minutes: float) -> None:
        """Half of what falls due may be late; of the other half, what falls due after the start is on time."""
        stop, short = timedelta(minutes=minutes), timedelta(minutes=max(1, int(min(10, minutes / 4))))
        down = datetime.now(UTC).replace(microsecond=0) + self.lead
        begins = [down + stop * part for part in (0.05, 0.2, 0.35, 0.5)]
        long = [Planned(f"long-{n}", each, timedelta(hours=4)) for n, each in enumerate(begins)]
        late = [Planned(f"short-{n}", each, short) for n, each in enumerate(begins)]
        after = [Planned("after", down + stop + timedelta(minutes=4), short)]
        self.plan([*long, *late, *after])
        before = len(self.sink.came)
        sleep_until(down)
        self.airflow.down()
        print(f"Airflow stands still for {minutes:g} minutes; short is {short}", flush=True)
        sleep_until(down + stop)
        self.expect(len(self.sink.came) == before, "nothing leaves meanwhile")
        self.airflow.up()
        sleep_until(after[0].due)
        self.settled([each.id for each in (*long, *late, *after)])
        self.expect_at_sink([*long, *late, *after], missed=late)
        self.expect_told(late)

    def expect_told(self, missed: Sequence[Planned]) -> None:
        count = sum(READERS + 1 for _ in missed)  # the page of each as well
        states = self.states()
        self.expect(
            all(states[each.id, "missed"] == READERS + 1 for each in missed),
            f"the {count} messages that were too late are `missed`",
        )
        totals = Counter[str]()
        for (_, state), number in states.items():
            totals[state] += number
        print(f"  planned {totals.total()} = " + " + ".join(f"{state} {n}" for state, n in sorted(totals.items())))
        self.expect(totals.total() == totals["accepted"] + totals["missed"], "all were accepted or missed")
        self.expect(totals["missed"] == count, "none of the others was missed")
        self.run(PLAN)
        self.run(REPORT)
        with self.reading() as session:
            incidents = session.rows(
                "SELECT what FROM ops.incident WHERE kind = 'task_failed' AND dag_id = $dag AND subject = 'verdict'",
                {"dag": SEND},
            )
            (shown,) = session.rows("SELECT SUM(missed_count), SUM(message_count) FROM mart.rpt_release__on_time")
        self.expect(len(incidents) == 1, f"one incident tells of it ({[what for (what,) in incidents]})")
        self.expect(tuple(map(int, shown)) == (count, totals.total()), "the report's model counts the same")
        page = (self.settings.report_dir / "releases.html").read_text()
        self.expect(all(each.id in page for each in missed) and "missed" in page, "the report's page shows them")

    # -- again ------------------------------------------------------------------------------------------------------

    def again(self, days: int) -> None:
        before, standing = len(self.sink.came), self.states()
        runs = [(PLAN, self.runs_with_work(PLAN)[0]), *((SEND, run) for run in self.runs_with_work(SEND)[:CLEARED])]
        for dag_id, run in runs:
            self.airflow.ask("POST", f"/dags/{dag_id}/dagRuns/{run}/clear", json={"dry_run": False})
        for dag_id, run in runs:
            self.airflow.wait(dag_id, run)
        self.expect(len(runs) > 2, f"{len(runs)} runs of both DAGs were cleared and ran again")

        last_month = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0) - timedelta(days=30)
        for dag_id in (PLAN, SEND):
            told = self.airflow.caravan(
                "airflow", "backfill", "create", "--dag-id", dag_id, "--from-date", f"{last_month:%Y-%m-%d}",
                "--to-date", f"{last_month + timedelta(days=29):%Y-%m-%d}", check=False,
            )  # fmt: skip
            refused = told.returncode != 0 and "does not allow backfill" in told.stdout + told.stderr
            self.expect(refused, f"`airflow backfill create --dag-id {dag_id}` is refused")

        old = [last_month + timedelta(days=number) for number in range(days)]
        self.airflow.caravan("airflow", "dags", "trigger", SEND, "--logical-date", old[0].isoformat())
        # A run that plans looks at every release: one of them is enough.
        runs = [(PLAN, self.run_for(PLAN, old[0])), *((SEND, self.run_for(SEND, day)) for day in old[1:])]
        for dag_id, run in runs:
            self.airflow.wait(dag_id, run)
        self.airflow.idle([PLAN])
        self.expect(bool(runs), f"{len(runs) + 1} runs for days of last month were triggered")
        self.expect(len(self.sink.came) == before, f"the sink has {before} mails, as before all that")
        self.expect(self.states() == standing, "no message has moved")

    def runs_with_work(self, dag_id: str) -> list[str]:
        """Ids of ended runs whose mapped tasks did something, the oldest first."""
        task = {PLAN: "plan", SEND: "send"}[dag_id]
        found = self.airflow.ask(
            "GET", f"/dags/{dag_id}/dagRuns/~/taskInstances?task_id={task}&state=success&limit=500&order_by=start_date"
        )["task_instances"]
        return list(dict.fromkeys(each["dag_run_id"] for each in found if each["task_id"] == task))

    def run_for(self, dag_id: str, day: datetime) -> str:
        asked = {"logical_date": day.isoformat(), "conf": {}}
        return str(self.airflow.ask("POST", f"/dags/{dag_id}/dagRuns", json=asked)["dag_run_id"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def live_through(folder: Path, given: argparse.Namespace) -> int:
    bench = Bench(folder, given.port, timedelta(minutes=given.lead_minutes))
    try:
        bench.start()
        for name, part in (
            ("on time", lambda: bench.on_time(given.minutes)),
            ("a stop", lambda: bench.stop(given.stop_minutes)),
            ("again", lambda: bench.again(given.days)),
        ):
            print(f"\n{name}, from {datetime.now(UTC):%H:%M:%S} UTC", flush=True)
            part()
    except requests.HTTPError as error:
        print(error.response.text, file=sys.stderr)
        raise
    finally:
        bench.airflow.down()
        bench.sink.stop()
    for fault in bench.faults:
        print(f"FAILED: {fault}")
    if not bench.faults:
        print("passed")
    return int(bool(bench.faults))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="over which messages fall due")
    parser.add_argument("--stop-minutes", type=float, default=120)
    parser.add_argument("--lead-minutes", type=float, default=5, help="to plan in before the first falls due")
    parser.add_argument("--days", type=int, default=30, help="of last month that are triggered")
    parser.add_argument("--port", type=int, default=18700)
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    if given.stop_minutes < 8 or given.days < 2:
        parser.error("--stop-minutes: at least 8, for a start takes two; --days: at least 2")
    folder = Path(tempfile.mkdtemp(prefix="caravan-lateness-", dir=given.dir))
    try:
        return live_through(folder, given)
    finally:
        print(f"kept: {folder}") if given.keep else shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
