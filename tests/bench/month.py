"""A month of nights under one live scheduler, with what goes wrong in a year.

    python tests/bench/month.py [--days 30] [--port 18680] [--dir DIR] [--keep]

The demo's shops deliver day by day; each day is one run of `sales_orders_daily` over that day's window, of
`reporting_marts_hourly` and of the watch. In between: a shop's folder vanishes, a file is poisoned, the disk is full,
the scheduler is killed, a task is killed, the mail server is dead. Each must be noticed once by each target, under its
own name, and be over once it is mended; every other shop's files must be loaded by the run of their day; and the
month must end in what was really sold. Takes about 40 minutes. The lake lies on a small disk of its own (tmpfs in a
namespace of this process: no root needed), so that it can be filled.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from live import Airflow, Hook, Mailbox, phases_told  # beside this file

from caravan import INCLUDE_DIR
from caravan.assembly.warehouse import open_warehouse
from caravan.config.loader import load
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError
from caravan.demo.catalogue import SHOPS
from caravan.demo.deliveries import TRUNCATED_DAY
from caravan.demo.orders import DEFAULT_END, generate
from caravan.demo.truth import Truth

SALES, REPORTING, WATCH = DAGS = ("sales_orders_daily", "reporting_marts_hourly", "ops_watch_quarterhourly")
LAKE_DISK = "512m"
INSIDE = "CARAVAN_MONTH_INSIDE"

FOLDER_GONE, FOLDER_BACK = 5, 7
POISON_REMOVED = TRUNCATED_DAY + 3
DISK_FULL = 15
SCHEDULER_KILLED = 18
TASK_KILLED = 21
MAIL_DEAD, MAIL_BACK = 23, 25

EXPECTED = {
    ("task_failed", "collect [shop_fr]"): {"mail", "hook"},
    ("task_failed", "collect [shop_gb]"): {"mail", "hook"},
    ("task_failed", "collect [shop_br]"): {"mail", "hook"},
    ("disk_low", "disk of "): {"mail", "hook"},
    ("target_down", "target mail"): {"hook"},
}
"""Each incident of the month, and the targets that are told of its beginning and its end, once each."""


@dataclass
class Month:
    """`faults`: what was not as it should be; none at the end is the point."""

    home: Path
    lake: Path
    store: Path
    settings: Settings
    truth: Truth
    days: list[date]
    airflow: Airflow
    mail: Mailbox
    hook: Hook
    faults: list[str] = field(default_factory=list)
    run_of_day: dict[date, str] = field(default_factory=dict)

    def expect(self, holds: bool, text: str) -> None:
        if not holds:
            self.faults.append(text)
            print(f"  NOT SO: {text}", flush=True)

    # -- a day ------------------------------------------------------------------------------------------------------

    def live(self, index: int) -> None:
        day = self.days[index]
        began = time.monotonic()
        self.before(index)
        delivered = self.deliver(day)
        run = self.airflow.trigger(SALES, window_start=f"{day}", window_end=f"{day + timedelta(days=1)}")
        self.run_of_day[day] = run
        self.during(index, run)
        state = self.airflow.wait(SALES, run)
        self.airflow.idle(DAGS)
        self.watch()
        expected = "failed" if self.is_red(index) else "success"
        self.expect(state == expected, f"day {index}: the run of {day} is {state} instead of {expected}")
        self.check_loaded(index, delivered, run)
        took = time.monotonic() - began
        print(f"day {index + 1:>2} {day}: {len(delivered)} files, {state}, {took:.0f} s{self.note(index)}", flush=True)

    def note(self, index: int) -> str:
        return {
            FOLDER_GONE: "; the folder of shop_fr is gone",
            FOLDER_BACK: "; it is back",
            TRUNCATED_DAY: "; a truncated file came from shop_gb",
            POISON_REMOVED: "; it was moved away, as the runbook says",
            DISK_FULL: "; the lake's disk was full for a while",
            SCHEDULER_KILLED: "; the scheduler was killed",
            TASK_KILLED: "; a task was killed",
            MAIL_DEAD: "; the mail server is dead, the folder of shop_br is gone",
            MAIL_BACK: "; both are back",
        }.get(index, "")

    def is_red(self, index: int) -> bool:
        return (
            FOLDER_GONE <= index < FOLDER_BACK
            or TRUNCATED_DAY <= index < POISON_REMOVED
            or MAIL_DEAD <= index < MAIL_BACK
        )

    def watch(self) -> None:
        self.airflow.wait(WATCH, self.airflow.trigger(WATCH))

    def deliver(self, day: date) -> list[str]:
        """Move the files written in the morning after `day` to where they are looked for; `channel/name` of each."""
        moved = []
        for path in sorted(each for code in SHOPS for each in self.store.glob(f"incoming/{code}/*")):
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
            if written == day + timedelta(days=1):
                target = self.folder_of(path.parent.name) / path.name
                shutil.copy2(path, target)
                moved.append(f"{path.parent.name}/{path.name}")
        return moved

    def folder_of(self, channel: str) -> Path:
        """Where a channel's files go; while its own folder is gone they pile up beside it."""
        own = self.home / "incoming" / channel
        return own if own.exists() else self.aside(channel)

    def aside(self, channel: str) -> Path:
        return self.home / "gone" / channel

    # -- what goes wrong --------------------------------------------------------------------------------------------

    def before(self, index: int) -> None:
        if index == FOLDER_GONE:
            self.take_away("shop_fr")
        if index == FOLDER_BACK:
            self.bring_back("shop_fr")
        if index == POISON_REMOVED:
            day = self.days[TRUNCATED_DAY]
            (self.home / "incoming" / "shop_gb" / f"lines_{day:%Y%m%d}.csv.gz").unlink()
        if index == DISK_FULL:
            self.fill_disk()
        if index == MAIL_DEAD:
            self.mail.stop()
            self.take_away("shop_br")
        if index == MAIL_BACK:
            self.mail.start()
            self.bring_back("shop_br")

    def during(self, index: int, run: str) -> None:
        if index == DISK_FULL:
            self.until(run, lambda tasks: any(state == "up_for_retry" for _, state in tasks), "a task waits to retry")
            self.watch()
            self.expect(
                any("disk" in subject for _, subject in self.mail.messages), "a full disk: nobody had a mail about it"
            )
            self.ballast.unlink()
        if index == SCHEDULER_KILLED:
            self.until(run, lambda tasks: ("stage", "running") in tasks or ("stage", "success") in tasks, "stage runs")
            self.kill_scheduler()
        if index == TASK_KILLED:
            self.until(run, lambda tasks: ("build", "running") in tasks, "build runs")
            self.kill_task(run)

    def until(self, run: str, holds: Callable[[list[tuple[str, str]]], bool], what: str, limit_s: float = 300) -> None:
        began = time.monotonic()
        while not holds(self.airflow.tasks(SALES, run)):
            if time.monotonic() - began > limit_s:
                raise CaravanError(f"waited {limit_s:.0f} s in vain until {what}: {self.airflow.tasks(SALES, run)}")
            time.sleep(0.1)

    def take_away(self, channel: str) -> None:
        self.aside(channel).parent.mkdir(exist_ok=True)
        (self.home / "incoming" / channel).rename(self.aside(channel))

    def bring_back(self, channel: str) -> None:
        self.aside(channel).rename(self.home / "incoming" / channel)

    @property
    def ballast(self) -> Path:
        return self.lake.parent / "ballast"

    def fill_disk(self) -> None:
        with self.ballast.open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65_536))
                file.flush()

    def kill_scheduler(self) -> None:
        self.expect(bool(self.airflow.kill("airflow", "scheduler")), "no scheduler process was found to be killed")
        began = time.monotonic()
        while self.airflow.caravan("heartbeat", "--max-age", "30s", check=False).returncode == 0:
            if time.monotonic() - began > 180:
                self.expect(False, "the heartbeat went on without a scheduler")
                break
            time.sleep(5)
        # As the runbook says.
        self.airflow.caravan("down", check=False)
        self.airflow.up()

    def kill_task(self, run: str) -> None:
        self.expect(self.airflow.kill_task(SALES, run, "build"), "no process of the task was found to be killed")

    # -- what is to be so -------------------------------------------------------------------------------------------

    def check_loaded(self, index: int, delivered: list[str], run: str) -> None:
        """Every file of the day, but those of shops that are away, was loaded by the run of the day, whole."""
        with self.reading() as session:
            found = {
                (channel, name): (load_run, state, received, loaded, quarantined)
                for channel, name, load_run, state, received, loaded, quarantined in session.rows(
                    "SELECT channel_code, delivery_name, run_id, state, received_count, loaded_count, "
                    "quarantined_count FROM ops.load WHERE run_id = $run AND delivery_name IS NOT NULL",
                    {"run": run},
                )
            }
        planted = {(each.channel_code, each.name): each for each in self.truth.deliveries}
        for key in (tuple(each.split("/", 1)) for each in delivered):
            channel, name = key
            if self.aside(channel).exists():
                self.expect(key not in found, f"day {index}: {channel} {name} was loaded out of a folder that is gone")
                continue
            ought = planted[channel, name]
            is_ = found.get((channel, name))
            state = "refused" if ought.refused else "loaded" if ought.received else "empty"
            wanted = (run, state, ought.received, ought.loaded, sum(ought.quarantined.values()))
            self.expect(is_ == wanted, f"day {index}: {channel} {name} is {is_} instead of {wanted}")

    def check_sales(self) -> None:
        with self.reading() as session:
            rows = session.rows(
                "SELECT channel_code, market_code, currency_code, order_local_date, SUM(gross_amount), "
                "SUM(cancelled_amount), SUM(net_amount), SUM(unit_count) FROM mart.rpt_sales__channel_day "
                "GROUP BY 1, 2, 3, 4"
            )
        zero = Decimal(0)
        sold = {
            tuple(row[:4]): tuple(Decimal(value or 0) for value in row[4:])
            for row in rows
            if any(Decimal(value or 0) != zero for value in row[4:])
        }
        ought = {
            (each.channel_code, each.market_code, each.currency_code, each.order_local_date): (
                each.gross,
                each.cancelled,
                each.net,
                each.units,
            )
            for each in self.truth.sales
            if any((each.gross, each.cancelled, each.net, each.units))
        }
        wrong = [key for key in sold.keys() | ought.keys() if sold.get(key) != ought.get(key)]
        self.expect(len(ought) > 8 * len(self.days) / 2, f"there is too little to compare: {len(ought)} totals")
        self.expect(not wrong, f"{len(wrong)} of {len(ought)} totals are wrong, as {sorted(wrong)[:3]}")
        print(
            f"{len(ought)} totals by shop, market and day compared with what was sold: {len(wrong)} wrong", flush=True
        )

    def check_incidents(self) -> None:
        with self.reading() as session:
            rows = session.rows(
                "SELECT kind, subject, dag_id, opened_at, closed_at, incident_id FROM ops.incident ORDER BY opened_at"
            )
        print("incidents:", flush=True)
        for kind, subject, dag_id, opened_at, closed_at, _ in rows:
            print(f"  {kind:<12} {dag_id or '':<20} {subject:<32} {opened_at:%H:%M:%S} to {closed_at or 'now'}")
        for (kind, subject), targets in EXPECTED.items():
            found = [row for row in rows if row[0] == kind and row[1].startswith(subject)]
            self.expect(len(found) == 1, f"{kind} {subject}: {len(found)} incidents instead of one")
            self.expect(all(row[4] for row in found), f"{kind} {subject}: is not over")
            for name, box in (("mail", self.mail), ("hook", self.hook)):
                told = Counter(phase for row in found for phase in phases_told(box.messages, row[5]))
                wanted = Counter({"opened": 1, "closed": 1}) if name in targets else Counter()
                self.expect(told == wanted, f"{kind} {subject}: {name} was told {dict(told)} instead of {dict(wanted)}")
        others = [
            row for row in rows if not any(row[0] == kind and row[1].startswith(start) for kind, start in EXPECTED)
        ]
        self.expect(not others, f"incidents that nobody planted: {[row[:3] for row in others]}")

    @contextlib.contextmanager
    def reading(self) -> Iterator[Any]:
        with open_warehouse(self.settings, read_only=True) as warehouse, warehouse.read() as session:
            yield session


def configure(home: Path) -> Path:
    """The project's own configuration, with two targets."""
    config = home / "config"
    shutil.copytree(INCLUDE_DIR / "config", config)
    path = config / "alerts.yml"
    alerts = yaml.safe_load(path.read_text())
    alerts["targets"] = [
        {
            "name": "mail",
            "kind": "smtp",
            "connection": "smtp_alerts",
            "sender": "caravan@example.com",
            "to": ["night@example.com"],
        },
        {"name": "hook", "kind": "webhook", "connection": "http_alerts"},
    ]
    alerts["stale_after_hours"] = {"default": 8000}
    path.write_text(yaml.safe_dump(alerts))
    return config


def live_through(folder: Path, days: int, port: int) -> int:
    home, store = folder / "home", folder / "store"
    lake = folder / "disk" / "lake"
    home.mkdir()
    config = configure(folder)
    mail, hook = Mailbox(), Hook()
    environ = {
        **os.environ,
        "CARAVAN_HOME": str(home),
        "CARAVAN_CONFIG": str(config),
        "CARAVAN_WAREHOUSE": f"lake://{lake}",
        "AIRFLOW_CONN_SMTP_ALERTS": json.dumps(
            {
                "conn_type": "smtp",
                "host": "127.0.0.1",
                "port": mail.port,
                "extra": {"disable_tls": True, "disable_ssl": True},
            }
        ),
        "AIRFLOW_CONN_HTTP_ALERTS": json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{hook.port}/"}),
    }
    settings = Settings.from_environment(environ)
    truth = generate(store, load(config), end=DEFAULT_END, days=days)
    calendar = [truth.first + timedelta(days=number) for number in range(days)]
    for channel in load(config).channels.values():
        (home / channel.folder).mkdir(parents=True)
    airflow = Airflow(home, port, environ)
    month = Month(home, lake, store, settings, truth, calendar, airflow, mail, hook)
    mail.start()
    began = time.monotonic()
    try:
        airflow.up()
        airflow.caravan("migrate")
        for dag_id in DAGS:
            airflow.unpause(dag_id)
        time.sleep(5)
        airflow.idle(DAGS)
        for index in range(days):
            month.live(index)
        month.check_sales()
        month.check_incidents()
    except BaseException:
        tail = (home / "airflow" / "server.log").read_text(errors="replace").splitlines()[-30:]
        print("\n".join(tail), file=sys.stderr)
        raise
    finally:
        airflow.down()
        mail.stop()
    minutes = (time.monotonic() - began) / 60
    for fault in month.faults:
        print(f"  - {fault}")
    print(f"{days} days in {minutes:.0f} min: {'passed' if not month.faults else f'{len(month.faults)} faults'}")
    return int(bool(month.faults))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--port", type=int, default=18680)
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    if given.days <= MAIL_BACK + 1:
        parser.error(f"--days: what goes wrong takes {MAIL_BACK + 2} days")
    if not os.environ.get(INSIDE):
        inside = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, __file__, *sys.argv[1:]]
        os.execvpe(inside[0], inside, {**os.environ, INSIDE: "1"})
    folder = Path(tempfile.mkdtemp(prefix="caravan-month-", dir=given.dir))
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={LAKE_DISK}", "lake", str(disk)], check=True)
    try:
        return live_through(folder, given.days, given.port)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
        if given.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
