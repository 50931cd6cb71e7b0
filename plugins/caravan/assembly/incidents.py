"""What goes wrong, recorded and told: the book of incidents with its targets."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import ParamSpec

from caravan.assembly.connections import current
from caravan.assembly.outbox import stuck
from caravan.assembly.warehouse import open_warehouse, utc_now
from caravan.clients.notify import http, spool
from caravan.clients.notify.smtp import SmtpTarget
from caravan.config.alerts import Alerts, Target, load_alerts, usable_alerts
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError, Retryable
from caravan.core.incidents import Changes, Incident, Openings, RunEnd, Sighting, incident_id
from caravan.functions.ops import checks
from caravan.functions.ops.delivery import Messenger, deliver
from caravan.functions.ops.incidents import Covers, adopt, judge_run, nothing, observe, severity_of
from caravan.functions.ops.messages import describe, tell, trial
from caravan.warehouse import watched
from caravan.warehouse.incidents import IncidentBook
from caravan.warehouse.migrations import migrate
from caravan.warehouse.port import Warehouse

log = logging.getLogger(__name__)

P = ParamSpec("P")
SWITCH = "CARAVAN_ALERTS"
"""`off`: incidents are recorded, and nobody is told. For the demo, and while trying things out."""

RECORD_WAIT_SECONDS = 30.0
"""A callback has little time: what cannot be written by then is told all the same, and recorded by the watch."""


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
        with open_book(settings) as (warehouse, book):
            _adopt_spooled(book, settings)  # what was told unrecorded is no silent failure
            being_told = list(spool_of(settings).waiting())
            with warehouse.read() as session:
                blocks = checks.failed_checks(checks.Blocked(*row) for row in watched.blocked_parts(session))
                is_explained = bool(watched.blocked_parts(session, (end.dag_id, end.run_id)))
                ends = watched.window_ends(session, end.dag_id)
            own = [each for each in book.open_incidents() if each.sighting.dag_id == end.dag_id]
            waiting = stuck(settings, own, utc_now())

            def decide(standing: Sequence[Incident], told: Openings) -> Changes:
                sightings, covers = judge_run(end, what, _beside(standing, being_told), is_explained, ends)

                def covered(incident: Incident) -> bool:
                    is_over = covers(incident) and incident.key not in waiting
                    return is_over or incident.sighting.kind == "check_failed"

                return observe(
                    standing, told, [*sightings, *blocks], covered, known_alerts(settings).targets, utc_now()
                )

            carry_out(book.change(decide), book, settings)
    except Exception as problem:
        # As in `see`: tasks that failed have told it themselves; the last one, and those that were killed, have not.
        log.warning("cannot be recorded now: %s", describe(problem))
        place = spool_of(settings)
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
        with open_book(settings) as (_, book):
            record_sightings(book, settings, sightings, covers)
    except Exception as error:
        # Whatever keeps the warehouse from taking it must not keep people from knowing it.
        log.warning("cannot be recorded now: %s", describe(error))
        if not sightings:
            raise
        _tell_unrecorded(settings, sightings)


def waits_once_told(look: Callable[P, dict[str, int]]) -> Callable[P, dict[str, int]]:
    """A step of the watch. While the warehouse takes nothing because its disk is full it waits for the next watch.

    That is no incident of its own once somebody has been told of the disk; Retryable otherwise. Whatever else keeps
    the warehouse from answering keeps the watch red: what it does not look at meanwhile nobody has been told.
    """

    @functools.wraps(look)
    def waiting(*given: P.args, **more: P.kwargs) -> dict[str, int]:
        try:
            return look(*given, **more)
        except Retryable as error:
            told = spool_of(Settings.from_environment()).told()
            full = [incident.key for incident in told if incident.sighting.kind == "disk_low"]
            if not full:
                raise
            log.warning("nothing can be recorded: %s. Told already: %s", error, ", ".join(full))
            return {"not recorded": len(told)}

    return waiting


@waits_once_told
def send_messages() -> dict[str, int]:
    """Record what could not be recorded when it was seen, and send what waits; messages by what became of them."""
    settings = Settings.from_environment()
    with open_book(settings) as (_, book):
        _adopt_spooled(book, settings)
        spool_of(settings).clear(time.time())
        return dict(_deliver(book, settings))


def open_incidents() -> list[Incident]:
    """Oldest first. CaravanError when the warehouse's tables are of an earlier version."""
    settings = Settings.from_environment()
    with open_warehouse(settings, read_only=True) as warehouse:
        with warehouse.read() as session:
            if not session.columns("ops.incident"):
                raise CaravanError("the warehouse has no table ops.incident yet: run `./caravan migrate`")
        return IncidentBook(warehouse, utc_now).open_incidents()


def close(number: str) -> Incident:
    """End the open incident whose id ends so, and tell whoever was told of it. Raises CaravanError if none does."""
    found = [each for each in open_incidents() if each.incident_id.endswith(number)]
    if len(found) != 1 or not number:
        raise CaravanError(f"{len(found)} open incidents have an id that ends with '{number}': see `caravan alerts`")
    see((), lambda incident: incident.incident_id == found[0].incident_id)
    return found[0]


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


def known_alerts(settings: Settings) -> Alerts:
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


def spool_of(settings: Settings) -> spool.Spool:
    return spool.Spool(settings.home / "alerts")


@contextlib.contextmanager
def open_book(settings: Settings) -> Iterator[tuple[Warehouse, IncidentBook]]:
    with open_warehouse(settings, lock_wait_seconds=RECORD_WAIT_SECONDS) as warehouse:
        migrate(warehouse)
        yield warehouse, IncidentBook(warehouse, utc_now)


def record_sightings(book: IncidentBook, settings: Settings, sightings: Sequence[Sighting], covers: Covers) -> None:
    targets = known_alerts(settings).targets
    changes = book.change(lambda standing, told: observe(standing, told, sightings, covers, targets, utc_now()))
    carry_out(changes, book, settings)


def _adopt_spooled(book: IncidentBook, settings: Settings) -> None:
    """Record what could not be recorded when it was seen."""
    targets = known_alerts(settings).targets

    def record(late: Incident, told_of: Sequence[str]) -> None:
        book.change(lambda standing, told: adopt(standing, told, late, told_of, targets))

    spool_of(settings).hand_over(record)


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


def carry_out(changes: Changes, book: IncidentBook, settings: Settings) -> None:
    """To the task's log, whatever becomes of the messages, and to the targets.

    Where there is nothing new to tell, what waits is left to the watch's own step: a target that is down is not to be
    asked by every step and every run.
    """
    for incident in changes.opened:
        # What made a task fail stands in this log already.
        more = "" if incident.sighting.kind == "task_failed" else f"\n{incident.sighting.what}"
        log.error("incident: %s%s", tell(incident, "opened").subject, more)
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
    targets = known_alerts(settings).targets
    known = {incident.key for incident in _readable_incidents()}
    place = spool_of(settings)
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
