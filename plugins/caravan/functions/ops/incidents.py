"""When an incident opens, is only counted, and closes; who is told of it. Pure: what is, and what is seen, in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from caravan.config.alerts import Target
from caravan.core.incidents import Changes, Incident, Message, Openings, RunEnd, Severity, Sighting, incident_id

Covers = Callable[[Incident], bool]
"""Whether a look would have seen this incident, were it still there."""


def observe(
    standing: Iterable[Incident],
    told: Openings,
    sightings: Iterable[Sighting],
    covers: Covers,
    targets: Sequence[Target],
    now: datetime,
) -> Changes:
    """What a look at things changes.

    `standing`: the open incidents. A thing seen again counts, and is told to targets that have no message of it: nobody
    had named them when it opened. One that `covers` and was not seen is over.
    """
    known = {incident.key: incident for incident in standing}
    seen_now = {sighting.key: sighting for sighting in sightings}
    opened = tuple(
        Incident(incident_id(key, now), sighting, now, now) for key, sighting in seen_now.items() if key not in known
    )
    seen = tuple(
        replace(
            incident,
            # Its severity, and so who is told, stays that of the opening.
            sighting=replace(seen_now[key], severity=incident.sighting.severity),
            last_seen_at=now,
            seen_count=incident.seen_count + 1,
        )
        for key, incident in known.items()
        if key in seen_now
    )
    closed = tuple(
        replace(incident, closed_at=now) for key, incident in known.items() if key not in seen_now and covers(incident)
    )
    messages = [message for incident in (*opened, *seen) for message in _openings(incident, told, targets)]
    messages += [
        Message(incident.incident_id, "closed", name)
        for incident in closed
        for name, state in sorted(told.get(incident.incident_id, {}).items())
        if state != "failed"
    ]
    return Changes(opened, seen, closed, tuple(messages))


def _openings(
    incident: Incident, told: Openings, targets: Iterable[Target], already_told: Collection[str] = ()
) -> list[Message]:
    """Its opening messages for the targets that have none yet. `already_told`: also one that is hidden by a fault."""
    wanting = (target.name for target in targets if target.wants(incident.sighting))
    return [
        Message(incident.incident_id, "opened", name, "sent" if name in already_told else "pending")
        for name in dict.fromkeys([*already_told, *wanting])
        if name not in told.get(incident.incident_id, {})
    ]


def adopt(
    standing: Iterable[Incident],
    told: Openings,
    late: Incident,
    already_told: Collection[str],
    targets: Sequence[Target],
) -> Changes:
    """Record an incident that was told, or was to be told, while it could not be recorded."""
    for incident in standing:
        if incident.key == late.key:
            if late.opened_at <= incident.last_seen_at:
                return Changes()
            sighting = replace(late.sighting, severity=incident.sighting.severity)
            count = incident.seen_count + 1
            seen = replace(incident, sighting=sighting, last_seen_at=late.opened_at, seen_count=count)
            return Changes(seen=(seen,), messages=tuple(_openings(seen, told, targets, already_told)))
    return Changes(opened=(late,), messages=tuple(_openings(late, told, targets, already_told)))


def nothing(incident: Incident) -> bool:
    """A look that sees one thing says nothing about others."""
    return False


def of_kinds(*kinds: str) -> Covers:
    """A look that sees everything of these kinds."""
    return lambda incident: incident.sighting.kind in kinds


def severity_of(tier: int) -> Severity:
    """Tier 1 is what the next working day needs."""
    return "critical" if tier == 1 else "warning"


def judge_run(
    end: RunEnd,
    error: str | None,
    standing: Iterable[Incident],
    is_explained: bool,
    window_ends: Mapping[str, datetime] = MappingProxyType({}),
) -> tuple[list[Sighting], Covers]:
    """What a run's end says about its failed tasks: what is seen, and what is over.

    A task tells its own failure when it fails, by name (`collect [shop_fr]`). Here the run is counted: an instance
    that failed in silence, because it was killed, is seen now; a task all of whose instances went well is over; and
    of one that failed in part, those whose own instance failed, then those seen last, are what failed. A run of some
    channels only ends what was wrong with these (`collect [shop_fr]`), and with tasks that have no parts; with its last
    task, what it told itself. `error`: what the last task failed with;
    `is_explained`: that has an incident of its own. `window_ends`: of the DAG's runs; a run of older days than those
    that failed says nothing about them.
    """
    own = [i for i in standing if i.sighting.kind == "task_failed" and i.sighting.dag_id == end.dag_id]
    sightings: list[Sighting] = []
    stays: set[str] = set()

    def sight(task_id: str, what: str) -> None:
        sightings.append(
            Sighting(
                "task_failed",
                severity_of(end.tier),
                task_id,
                what,
                dag_id=end.dag_id,
                task_id=task_id,
                run_id=end.run_id,
                link=end.link,
            )
        )

    failed = {task_id: states.count("failed") for task_id, states in end.states.items() if task_id != end.last_task}
    for task_id in {i.sighting.task_id for i in own} | failed.keys():
        incidents = [i for i in own if i.sighting.task_id == task_id]
        if task_id == end.last_task or task_id is None:
            continue
        states = end.states.get(task_id, ())
        counted = Counter(states)
        told = [(i, _own_state(i, states)) for i in incidents if i.sighting.run_id == end.run_id]
        # What was not cleared with the run keeps its state, and was told in an earlier attempt.
        this_run = [
            i
            for i, state in sorted(told, key=lambda pair: (pair[1] == "failed", pair[0].last_seen_at), reverse=True)
            if state == "failed" or (state is None and (end.started_at is None or i.last_seen_at >= end.started_at))
        ]
        if counted["failed"] > len(this_run):
            sight(task_id, "It failed without a word: it was killed, or its worker was lost. Its log may say why.")
            stays |= {i.key for i in incidents}
            continue
        if task_id in end.states and counted["success"] + counted["failed"] < max(1, counted.total()):
            stays |= {i.key for i in incidents}  # it, or a part of it, was not tried
            continue
        stays |= {i.key for i in this_run[: counted["failed"]]}
        if end.asked:
            ran = {task_id, *(f"{task_id} [{each}]" for each in end.asked)}
            stays |= {i.key for i in incidents if i.sighting.subject not in ran}
    if error is not None:
        # What has failed before it is what the last task fails for: one thing, told once.
        if not any(failed.values()) and not is_explained:
            sight(end.last_task, error)
        stays |= {i.key for i in own if i.sighting.task_id == end.last_task}
    if end.asked:
        stays |= {i.key for i in own if i.sighting.task_id == end.last_task and i.sighting.run_id != end.run_id}
    mine = window_ends.get(end.run_id)
    for incident in own:
        theirs = window_ends.get(incident.sighting.run_id or "")
        if mine is not None and theirs is not None and mine < theirs:
            stays.add(incident.key)
    own_keys = {i.key for i in own}
    return sightings, lambda incident: incident.key in own_keys and incident.key not in stays


_MAPPED = re.compile(r"/mapped/(\d+)")
"""In the link of a mapped task's instance."""


def _own_state(incident: Incident, states: Sequence[str]) -> str | None:
    """The state of the instance that told this failure in this run; None where that cannot be said."""
    if mapped := _MAPPED.search(incident.sighting.link or ""):
        index = int(mapped[1])
        return states[index] if index < len(states) else None
    return states[0] if len(states) == 1 else None
