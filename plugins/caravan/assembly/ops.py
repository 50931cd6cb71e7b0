"""What goes wrong, noticed, recorded and told; the watch over everything else."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from caravan.assembly.connections import current
from caravan.assembly.warehouse import open_warehouse, utc_now
from caravan.clients.notify import http, spool
from caravan.clients.notify.smtp import SmtpTarget
from caravan.config import loader
from caravan.config.alerts import Alerts, Target, load_alerts, usable_alerts
from caravan.config.settings import BY_HAND, Settings
from caravan.core.errors import CaravanError
from caravan.core.incidents import Changes, Due, Incident, Openings, RunEnd, Sighting, incident_id
from caravan.functions.ops import checks
from caravan.functions.ops.delivery import Messenger, deliver
from caravan.functions.ops.incidents import Covers, adopt, judge_run, nothing, observe, of_kinds, severity_of
from caravan.functions.ops.messages import describe, tell, trial
from caravan.warehouse import watched
from caravan.warehouse.incidents import IncidentBook
from caravan.warehouse.migrations import migrate
from caravan.warehouse.port import Warehouse

log = logging.getLogger(__name__)

SWITCH = "CARAVAN_ALERTS"
"""`off`: incidents are recorded, and nobody is told. For the demo, and while trying things out."""

RECORD_WAIT_SECONDS = 30.0
"""A callback has little time: what cannot be written by then is told all the same, and recorded by the watch."""

COLLECTOR = "sales_orders_daily"
"""The DAG by whose runs it is judged whether a channel delivered."""
ASKING = ("list_channels", "collect")
"""Its tasks that ask the channels for deliveries."""


def task_failed(
    dag_id: str, task_id: str, label: str | None, run_id: str, tier: int, link: str, error: BaseException | None
) -> None:
    """A task has failed for good. `label`: which one of a mapped task."""
    subject = f"{task_id} [{label}]" if label else task_id
    what = describe(error)
    see([Sighting("task_failed", severity_of(tier), subject, what, dag_id, task_id, run_id=run_id, link=link)])


def run_ended(end: RunEnd, error: BaseException | None) -> None:
    """A run has ended, with the error of its last task: tell what is new, and what is over."""
    settings = Settings.from_environment()
    what = describe(error) if error is not None else None
    try:
        with _open(settings) as (warehouse, book):
            _adopt_spooled(book, settings)  # what was told unrecorded is no silent failure
            being_told = list(_spool(settings).waiting())
            with warehouse.read() as session:
                blocks = checks.failed_checks(checks.Blocked(*row) for row in watched.blocked_parts(session))
                is_explained = bool(watched.blocked_parts(session, (end.dag_id, end.run_id)))
                ends = watched.window_ends(session, end.dag_id)

            def decide(standing: Sequence[Incident], told: Openings) -> Changes:
                sightings, covers = judge_run(end, what, _beside(standing, being_told), is_explained, ends)

                def covered(incident: Incident) -> bool:
                    return covers(incident) or incident.sighting.kind == "check_failed"

                return observe(standing, told, [*sightings, *blocks], covered, _alerts(settings).targets, utc_now())

            _tell(book.change(decide), book, settings)
    except Exception as problem:
        # As in `see`: tasks that failed have told it themselves; the last one, and those that were killed, have not.
        log.warning("cannot be recorded now: %s", describe(problem))
        place = _spool(settings)
        spooled = list(place.waiting())
        standing = _beside(_readable_incidents(), spooled)
        sightings, _ = judge_run(end, what, standing, is_explained=False)
        if nameless := len(list(place.folder.glob("*.json"))) - len(spooled):
            # Written on a full disk: told, and nobody can say of which task. None of them is to be told as killed.
            log.warning("%s incidents told before cannot be read: none is told as silent", nameless)
            sightings = [sighting for sighting in sightings if sighting.task_id == end.last_task]
        _tell_unrecorded(settings, sightings)


def see(sightings: Sequence[Sighting], covers: Covers = nothing) -> None:
    """Record what is wrong now, close what `covers` and is not among it, and tell whoever is to be told.

    Where the warehouse cannot take it (its disk is full, its lock held) it is told unrecorded, once.
    """
    settings = Settings.from_environment()
    try:
        with _open(settings) as (_, book):
            _record(book, settings, sightings, covers)
    except Exception as error:
        # Whatever keeps the warehouse from taking it must not keep people from knowing it.
        log.warning("cannot be recorded now: %s", describe(error))
        if not sightings:
            raise
        _tell_unrecorded(settings, sightings)


def beat() -> str:
    """Write the file of the heartbeat, and ask its URL where there is one; returns the file.

    Nothing, and an empty name, in a run by hand: the heartbeat is to say that the scheduler lives.
    """
    if os.environ.get(BY_HAND):
        log.info("no heartbeat: no scheduler began this run; one that lives beats every quarter of an hour")
        return ""
    settings = Settings.from_environment()
    spool.write_beat(beat_file(settings), utc_now())
    _spool(settings).folder.mkdir(parents=True, exist_ok=True)  # while there is room: a full disk makes no folder
    connection = _alerts(settings).heartbeat.connection
    if connection:
        http.beat(current().get(connection))
    return str(beat_file(settings))


def check_sources() -> dict[str, int]:
    """Stale and silent channels and markets, and slices that a failed check holds back."""
    settings = Settings.from_environment()
    channels = loader.load(settings.config_dir).channels
    enabled = [code for code, channel in channels.items() if channel.enabled]
    now = utc_now()
    since = now - checks.HISTORY
    limits = _alerts(settings).stale_after_hours
    with _open(settings) as (warehouse, book):
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

        _record(book, settings, sightings, covers)
    return _counted(sightings, *kinds)


DueRuns = Callable[[Alerts, datetime, Mapping[str, datetime]], tuple[list[Due], list[Due], dict[str, str]]]
"""caravan.orchestration.schedules.due_runs"""


def check_runs(due_runs: DueRuns) -> dict[str, int]:
    """Runs that are late, and DAG files that cannot be read. `due_runs`: what the schedules ask for, by when."""
    settings = Settings.from_environment()
    alerts = _alerts(settings)
    with _open(settings) as (warehouse, book):
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

        _tell(book.change(decide), book, settings)
    return _counted(sightings, "run_late", "dag_broken")


def check_machine() -> dict[str, int]:
    """Disks that are nearly full, and this machine's clock."""
    settings = Settings.from_environment()
    alerts = _alerts(settings)
    disks = {}
    for folder in _disks(settings):
        _, used, free = shutil.disk_usage(folder)
        disks[str(folder)] = used, used + free  # as df does: what is kept for root is nobody's room
    low = checks.low_disks(disks, alerts.disk.used_pct)
    see(low, of_kinds("disk_low"))  # by itself: a full disk is told though the warehouse may not open
    readings = [_reading_of("the file system", lambda: spool.file_time(settings.home))]
    silent: Exception | None = None
    if conn_id := alerts.clock.connection:
        try:
            readings.append(_reading_of(f"connection {conn_id}", lambda: http.outside_time(current().get(conn_id))))
        except Exception as error:
            silent = error  # the other clocks are read all the same
    with _open(settings) as (warehouse, book):
        with warehouse.read() as session:
            newest = watched.newest_record(session)
            readings.append(_reading_of("the warehouse", lambda: watched.engine_clock(session)))
        wrong = checks.wrong_clock(readings, newest, utc_now(), alerts.clock.limit_seconds)
        _record(book, settings, wrong, nothing if silent else of_kinds("clock_off"))
    if silent:
        raise silent
    return _counted([*low, *wrong], "disk_low", "clock_off")


def check_configuration() -> dict[str, int]:
    settings = Settings.from_environment()
    faulty = checks.faulty_configuration(loader.check(settings.config_dir))
    see(faulty, of_kinds("config_fault"))
    return _counted(faulty, "config_fault")


def send_messages() -> dict[str, int]:
    """Record what could not be recorded when it was seen, and send what waits; messages by what became of them."""
    settings = Settings.from_environment()
    with _open(settings) as (_, book):
        _adopt_spooled(book, settings)
        _spool(settings).clear(time.time())
        return dict(_deliver(book, settings))


def verdict() -> dict[str, int]:
    """Open incidents by kind. The watch itself is well: what it found has been told."""
    return dict(Counter(incident.sighting.kind for incident in open_incidents()))


def open_incidents() -> list[Incident]:
    """Oldest first. CaravanError when the warehouse's tables are of an earlier version."""
    settings = Settings.from_environment()
    with open_warehouse(settings, read_only=True) as warehouse:
        with warehouse.read() as session:
            if not session.columns("ops.incident"):
                raise CaravanError("the warehouse has no table ops.incident yet: run `./caravan migrate`")
        return IncidentBook(warehouse, utc_now).open_incidents()


def send_trial() -> dict[str, str]:
    """A test message to every target: its name, and `sent`, or what is wrong. Raises Misconfigured."""
    settings = Settings.from_environment()
    found = {}
    for target in load_alerts(settings.config_dir).targets:
        try:
            remark = _connect(target).send(trial(target.name, f"test-{uuid.uuid4().hex}"))
            found[target.name] = remark or "sent"
        except CaravanError as error:
            found[target.name] = str(error)
        except Exception as error:
            found[target.name] = describe(error)  # the others are to be tried as well
    return found


def beat_file(settings: Settings) -> Path:
    return settings.home / "heartbeat"


def last_beat() -> datetime | None:
    """UTC without zone; None when there has been none."""
    return spool.read_beat(beat_file(Settings.from_environment()))


def _alerts(settings: Settings) -> Alerts:
    """What of the file is sound; for its faults the watch opens an incident."""
    return _read_alerts(settings)[0]


def _read_alerts(settings: Settings) -> tuple[Alerts, bool]:
    """What of the file is sound, and whether that is all of it."""
    alerts, faults = usable_alerts(settings.config_dir)
    if faults:
        log.error("alerts.yml is used but for what is wrong in it: %s", "; ".join(map(str, faults)))
    if os.environ.get(SWITCH) == "off":
        alerts = alerts.model_copy(update={"targets": ()})
    return alerts, not faults


def _spool(settings: Settings) -> spool.Spool:
    return spool.Spool(settings.home / "alerts")


@contextlib.contextmanager
def _open(settings: Settings) -> Iterator[tuple[Warehouse, IncidentBook]]:
    with open_warehouse(settings, lock_wait_seconds=RECORD_WAIT_SECONDS) as warehouse:
        migrate(warehouse)
        yield warehouse, IncidentBook(warehouse, utc_now)


def _record(book: IncidentBook, settings: Settings, sightings: Sequence[Sighting], covers: Covers) -> None:
    targets = _alerts(settings).targets
    changes = book.change(lambda standing, told: observe(standing, told, sightings, covers, targets, utc_now()))
    _tell(changes, book, settings)


def _adopt_spooled(book: IncidentBook, settings: Settings) -> None:
    """Record what could not be recorded when it was seen."""
    targets = _alerts(settings).targets

    def record(late: Incident, told_of: Sequence[str]) -> None:
        book.change(lambda standing, told: adopt(standing, told, late, told_of, targets))

    _spool(settings).hand_over(record)


def _readable_incidents() -> list[Incident]:
    """The open ones; none where the warehouse cannot be read either."""
    try:
        return open_incidents()
    except Exception as error:  # what was told before may be told again: better than not at all
        log.warning("what is open already cannot be read: %s", describe(error))
        return []


def _beside(standing: Sequence[Incident], spooled: Iterable[Incident]) -> list[Incident]:
    """Both, but for what has been recorded meanwhile: of each run a failure counts once."""
    recorded = {(incident.key, incident.sighting.run_id) for incident in standing}
    return [*standing, *(each for each in spooled if (each.key, each.sighting.run_id) not in recorded)]


def _counted(sightings: Sequence[Sighting], *kinds: str) -> dict[str, int]:
    return {kind: sum(sighting.kind == kind for sighting in sightings) for kind in kinds}


def _tell(changes: Changes, book: IncidentBook, settings: Settings) -> None:
    """To the task's log, whatever becomes of the messages, and to the targets.

    Where there is nothing new to tell, what waits is left to the watch's own step: a target that is down is not to be
    asked by every step and every run.
    """
    for incident in changes.opened:
        log.error("incident: %s\n%s", tell(incident, "opened").subject, incident.sighting.what)
    for incident in changes.closed:
        log.info("over: %s", incident.key)
    if changes.messages:
        _deliver(book, settings)


def _deliver(book: IncidentBook, settings: Settings) -> Counter[str]:
    alerts, is_complete = _read_alerts(settings)
    counts = deliver(book, alerts.targets, _connect, utc_now, is_complete) if alerts.targets else Counter()
    if counts:
        log.info("messages: %s", ", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
    return counts


def _connect(target: Target) -> Messenger:
    connection = current().get(target.connection)
    if target.kind == "smtp":
        return SmtpTarget(connection, target.sender or "", target.to, datetime.now(UTC))
    return http.WebhookTarget(connection)


def _tell_unrecorded(settings: Settings, sightings: Sequence[Sighting]) -> None:
    """Tell what the warehouse could not take. A file for each keeps it from being told again, until it is recorded."""
    targets = _alerts(settings).targets
    known = {incident.key for incident in _readable_incidents()}
    place = _spool(settings)
    now = utc_now()
    for sighting in sightings:
        incident = Incident(incident_id(sighting.key, now), sighting, now, now)
        # What stands was told when it opened; its file says that this run has seen it too.
        tell_now: Callable[[], list[str]] = list if sighting.key in known else partial(_send_now, incident, targets)
        try:
            place.put(incident, tell_now)
        except OSError as error:
            # Not even room for a name: better told again than not at all.
            log.warning("cannot be noted in %s: %s", place.folder, describe(error))
            tell_now()


def _send_now(incident: Incident, targets: Sequence[Target]) -> list[str]:
    """The targets that could be told."""
    message = tell(incident, "opened")
    log.error("incident: %s\n%s", message.subject, incident.sighting.what)
    told = []
    for target in targets:
        if target.wants(incident.sighting):
            try:
                _connect(target).send(message)
                told.append(target.name)
            except Exception as error:  # the other targets are told all the same
                log.warning("target %s cannot be told: %s", target.name, describe(error))
    return told


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
