"""The watch: what is to be noticed, asked of the warehouse, the schedules and the machine."""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from caravan.assembly import incidents
from caravan.assembly.connections import current
from caravan.assembly.warehouse import utc_now
from caravan.clients.notify import http, spool
from caravan.config import loader
from caravan.config.alerts import Alerts
from caravan.config.settings import BY_HAND, Settings
from caravan.core.incidents import Changes, Due, Incident, Openings, Sighting
from caravan.functions.ops import checks
from caravan.functions.ops.incidents import nothing, observe, of_kinds
from caravan.warehouse import watched

log = logging.getLogger(__name__)

COLLECTOR = "sales_orders_daily"
"""The DAG by whose runs it is judged whether a channel delivered."""
ASKING = ("list_channels", "collect")
"""Its tasks that ask the channels for deliveries."""


def beat() -> str:
    """Write the file of the heartbeat, and ask its URL where there is one; returns the file.

    Nothing, and an empty name, in a run by hand: the heartbeat is to say that the scheduler lives.
    """
    if os.environ.get(BY_HAND):
        log.info("no heartbeat: no scheduler began this run; one that lives beats every quarter of an hour")
        return ""
    settings = Settings.from_environment()
    spool.write_beat(beat_file(settings), utc_now())
    incidents.spool_of(settings).folder.mkdir(
        parents=True, exist_ok=True
    )  # while there is room: a full disk makes no folder
    connection = incidents.known_alerts(settings).heartbeat.connection
    if connection:
        http.beat(current().get(connection))
    return str(beat_file(settings))


@incidents.waits_once_told
def check_sources() -> dict[str, int]:
    """Stale and silent channels and markets, and slices that a failed check holds back."""
    settings = Settings.from_environment()
    channels = loader.load(settings.config_dir).channels
    enabled = [code for code, channel in channels.items() if channel.enabled]
    now = utc_now()
    since = now - checks.HISTORY
    limits = incidents.known_alerts(settings).stale_after_hours
    with incidents.open_book(settings) as (warehouse, book):
        with warehouse.read() as session:
            news, newest = watched.last_loads(session), watched.newest_days(session)
            loaded = watched.loaded_by_day(session, since)
            last_run = watched.last_run_day(session, COLLECTOR, ASKING)
            orders, delivered = watched.orders_by_day(session, since.date()), watched.last_deliveries(session)
            blocked = [checks.Blocked(*row) for row in watched.blocked_parts(session)]
        sightings = [
            *checks.stale_sources(news, newest, enabled, limits, now),
            *checks.silent_sources(loaded, enabled, last_run),
            *checks.silent_markets(orders, delivered, enabled),
            *checks.failed_checks(blocked),
        ]
        kinds = ("stale", "zero_rows", "check_failed")

        def covers(incident: Incident) -> bool:
            if incident.sighting.kind == "zero_rows":
                return checks.has_delivered_again(incident, news, orders, enabled)
            return incident.sighting.kind in kinds

        incidents.record_sightings(book, settings, sightings, covers)
    return _counted(sightings, *kinds)


DueRuns = Callable[[Alerts, datetime, Mapping[str, datetime]], tuple[list[Due], list[Due], dict[str, str]]]
"""caravan.orchestration.schedules.due_runs"""


@incidents.waits_once_told
def check_runs(due_runs: DueRuns) -> dict[str, int]:
    """Runs that are late, and DAG files that cannot be read. `due_runs`: what the schedules ask for, by when."""
    settings = Settings.from_environment()
    alerts = incidents.known_alerts(settings)
    with incidents.open_book(settings) as (warehouse, book):
        with warehouse.read() as session:
            runs = [checks.Run(*row) for row in watched.recent_runs(session, utc_now() - timedelta(days=70))]
        # One for each DAG at most: the DAG is what is known as late.
        since = {str(i.sighting.dag_id): i.opened_at for i in book.open_incidents() if i.sighting.kind == "run_late"}
        dues, missed, errors = due_runs(alerts, utc_now(), since)
        judged = {due.dag_id for due in dues}
        # A later run does not do what a missed one was to do, unless its window is wider. But nothing makes up for it
        # by itself: it is not waited for when all is well again, and would hide that the next one is late.
        given_up = {
            due.dag_id: remark
            for due in missed
            if checks.late_runs([due], runs, alerts) and (remark := checks.given_up(due, runs))
        }
        standing = [due for due in missed if due.dag_id not in given_up]
        late = {sighting.key: sighting for sighting in checks.late_runs([*dues, *standing], runs, alerts)}
        sightings = [*late.values(), *checks.broken_dags(errors)]

        def covers(incident: Incident) -> bool:
            # A DAG whose file is broken asks for no run, and is late all the same.
            is_late = incident.sighting.kind == "run_late" and (not errors or incident.sighting.dag_id in judged)
            return is_late or incident.sighting.kind == "dag_broken"

        def remarked(incident: Incident) -> Incident:
            remark = given_up.get(incident.sighting.dag_id or "") if incident.sighting.kind == "run_late" else None
            what = f"{incident.sighting.what} {remark}" if remark else incident.sighting.what
            return replace(incident, sighting=replace(incident.sighting, what=what))

        def decide(standing: Sequence[Incident], told: Openings) -> Changes:
            changes = observe(standing, told, sightings, covers, alerts.targets, utc_now())
            return replace(changes, closed=tuple(map(remarked, changes.closed)))

        incidents.carry_out(book.change(decide), book, settings)
    return _counted(sightings, "run_late", "dag_broken")


@incidents.waits_once_told
def check_machine() -> dict[str, int]:
    """Disks that are nearly full, and this machine's clock."""
    settings = Settings.from_environment()
    alerts = incidents.known_alerts(settings)
    disks = {}
    for folder in _disks(settings):
        _, used, free = shutil.disk_usage(folder)
        disks[str(folder)] = used, used + free  # as df does: what is kept for root is nobody's room
    low = checks.low_disks(disks, alerts.disk.used_pct)
    incidents.see(low, of_kinds("disk_low"))  # by itself: a full disk is told though the warehouse may not open
    readings = [_reading_of("the file system", lambda: spool.file_time(settings.home))]
    silent: Exception | None = None
    if conn_id := alerts.clock.connection:
        try:
            readings.append(_reading_of(f"connection {conn_id}", lambda: http.outside_time(current().get(conn_id))))
        except Exception as error:
            silent = error  # the other clocks are read all the same
    with incidents.open_book(settings) as (warehouse, book):
        with warehouse.read() as session:
            newest = watched.newest_record(session)
            readings.append(_reading_of("the warehouse", lambda: watched.engine_clock(session)))
        wrong = checks.wrong_clock(readings, newest, utc_now(), alerts.clock.limit_seconds)
        incidents.record_sightings(book, settings, wrong, nothing if silent else of_kinds("clock_off"))
    if silent:
        raise silent
    return _counted([*low, *wrong], "disk_low", "clock_off")


@incidents.waits_once_told
def check_configuration() -> dict[str, int]:
    settings = Settings.from_environment()
    faulty = checks.faulty_configuration(loader.check(settings.config_dir))
    incidents.see(faulty, of_kinds("config_fault"))
    return _counted(faulty, "config_fault")


@incidents.waits_once_told
def verdict() -> dict[str, int]:
    """Open incidents by kind. The watch itself is well: what it found has been told."""
    return dict(Counter(incident.sighting.kind for incident in incidents.open_incidents()))


def beat_file(settings: Settings) -> Path:
    return settings.home / "heartbeat"


def last_beat() -> datetime | None:
    """UTC without zone; None when there has been none."""
    return spool.read_beat(beat_file(Settings.from_environment()))


def _counted(sightings: Sequence[Sighting], *kinds: str) -> dict[str, int]:
    return {kind: sum(sighting.kind == kind for sighting in sightings) for kind in kinds}


def _disks(settings: Settings) -> list[Path]:
    """The folders that fill up, one for each disk."""
    folders = [settings.home]
    if settings.lake_root is not None:
        folders.append(settings.lake_root)
    there = [folder for folder in folders if folder.exists()]
    return list({folder.stat().st_dev: folder for folder in reversed(there)}.values())


def _reading_of(name: str, ask: Callable[[], datetime]) -> checks.Reading:
    before = utc_now()
    theirs = ask()
    return checks.Reading(name, theirs, before, utc_now())
