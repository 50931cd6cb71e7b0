"""The record of incidents and of what was told, and what the watch reads, on both engines."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from alerted import DISK, NOON, STALE

from caravan.assembly import ops
from caravan.config.alerts import Target
from caravan.core.incidents import Changes, Sighting
from caravan.functions.ops.incidents import nothing, observe, of_kinds
from caravan.warehouse import watched
from caravan.warehouse.evidence import insert
from caravan.warehouse.incidents import IncidentBook

MAIL = Target(name="mail", kind="smtp", connection="smtp_alerts", sender="a@example.com", to=("b@example.com",))
CHAT = Target(name="chat", kind="webhook", connection="http_alerts")


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


def look(book: IncidentBook, clock: Clock, *sightings: Sighting, covers=nothing) -> Changes:
    return book.change(lambda standing, told: observe(standing, told, sightings, covers, [MAIL, CHAT], clock.now))


def test_an_incident_opens_counts_closes_and_opens_anew(warehouse):
    clock = Clock()
    book = IncidentBook(warehouse, clock)
    look(book, clock, DISK, STALE)
    clock.now += timedelta(minutes=15)
    look(book, clock, replace(DISK, what="99.5 % are used"), covers=of_kinds("disk_low"))
    first, second = sorted(book.open_incidents(), key=lambda incident: incident.key)
    assert (first.sighting.what, first.seen_count, first.opened_at) == ("99.5 % are used", 2, NOON)
    assert second.sighting == STALE
    look(book, clock, covers=of_kinds("disk_low", "stale"))
    assert book.open_incidents() == []
    clock.now += timedelta(minutes=15)
    assert look(book, clock, DISK).opened
    with warehouse.read() as session:
        rows = session.rows("SELECT phase, target, COUNT(*) FROM ops.incident_message GROUP BY 1, 2 ORDER BY 1, 2")
    assert rows == [("closed", "chat", 2), ("closed", "mail", 2), ("opened", "chat", 3), ("opened", "mail", 3)]


def test_of_two_who_see_one_thing_at_once_the_second_counts(place):
    """Both have read that nothing is open; the second one decides anew under the lock."""
    clock = Clock()
    mine, other = IncidentBook(place.open(), clock), IncidentBook(place.open(), clock)
    calls = 0

    def decide(standing, told):
        nonlocal calls
        calls += 1
        return observe(standing, told, [DISK], nothing, [MAIL], clock.now)

    def interrupted(standing, told):
        changes = decide(standing, told)
        if calls == 1:
            assert changes.opened
            with_other.append(look(other, clock, DISK))
        return changes

    with_other: list[Changes] = []
    changes = mine.change(interrupted)
    assert with_other[0].opened and not changes.opened and changes.seen
    assert [incident.seen_count for incident in mine.open_incidents()] == [2]


def test_a_message_is_claimed_by_one_and_by_another_when_that_one_has_died(place):
    clock = Clock()
    mine, other = IncidentBook(place.open(), clock), IncidentBook(place.open(), clock)
    look(mine, clock, DISK)
    limit = timedelta(minutes=10)
    taken = mine.claim(limit, skip=["chat"])
    assert [(message.target, message.attempt_count) for message, _ in taken] == [("mail", 1)]
    assert taken[0][1].sighting == DISK
    assert [message.target for message, _ in other.claim(limit)] == ["chat"]
    assert other.claim(limit) == []
    clock.now += timedelta(minutes=11)
    assert [message.attempt_count for message, _ in other.claim(limit)] == [2, 2]
    mine.settle(taken[0][0], "sent")
    clock.now += timedelta(minutes=11)
    assert [message.target for message, _ in other.claim(limit)] == ["chat"]


def test_nothing_is_written_when_nothing_has_changed(place):
    warehouse = place.open(observer=lambda phase: pytest.fail(f"a write: {phase}"))
    book = IncidentBook(warehouse, Clock())
    assert not look(book, Clock(), covers=of_kinds("disk_low"))
    assert book.claim(timedelta(minutes=10)) == []
    assert book.open_incidents() == []


def test_what_the_watch_reads(warehouse):
    load = {
        "load_id": "l1", "run_id": "r1", "dag_id": "sales", "channel_code": "fr", "entity": "order",
        "state": "loaded", "received_count": 3, "started_at": NOON, "ended_at": NOON, "delivered_at": NOON,
    }  # fmt: skip
    with warehouse.write() as session:
        insert(session, "ops.load", load)
        insert(session, "ops.load", load | {"load_id": "l2", "received_count": 2})
        insert(session, "ops.load", load | {"load_id": "l3", "state": "empty", "received_count": 0})
        insert(session, "ops.load", load | {"load_id": "l4", "state": "refused", "started_at": NOON.replace(year=2027)})
        run = {"run_id": "r1", "dag_id": "sales", "started_at": NOON, "ended_at": NOON.replace(hour=13)}
        insert(session, "ops.run", run)
        day = timedelta(days=1)
        whole = {"dag_id": "sales", "run_id": "scheduled__1", "window_end": NOON}
        insert(session, "ops.run", whole | {"started_at": NOON - day, "ended_at": NOON})
        insert(session, "ops.load", load | {"load_id": "l5", "run_id": "scheduled__1", "started_at": NOON - 9 * day})
        for number, task in enumerate(("list_channels", "collect (2 of 2)"), 2):  # before it looked at a delivery
            failed = {"state": "failed", "message": f"task stage: x\ntask {task}: its log says why"}
            insert(session, "ops.run", run | {"run_id": f"scheduled__{number}"} | failed)
        block = {"model_name": "mart.x", "slice_date": NOON.date(), "part_value": "fr", "run_id": "r1"}
        block |= {"cause_model": "stg.a", "cause_kind": "distribution", "reason": "key: twice"}
        insert(session, "ops.blocked_slice", block)
        insert(session, "ops.blocked_slice", block | {"cause_model": "stg.b", "slice_date": date(2026, 3, 1)})
        insert(session, "ops.blocked_slice", block | {"part_value": "jp", "cause_kind": "unvalidated"})
    with warehouse.read() as session:
        assert watched.last_loads(session) == {"fr": NOON}
        assert watched.last_deliveries(session) == {"fr": NOON}
        assert watched.loaded_by_day(session, NOON - timedelta(days=1)) == {"fr": {NOON.date(): 5}}
        assert watched.loaded_by_day(session, NOON + timedelta(days=1)) == {}
        assert watched.last_run_day(session, "sales", ops.ASKING) == (NOON - day).date()
        assert watched.window_ends(session, "sales") == {"scheduled__1": NOON}
        assert watched.last_run_day(session, "other", ops.ASKING) is None
        found = [row for row in watched.recent_runs(session, NOON) if row[1] == "r1"]
        assert found == [("sales", "r1", None, None, NOON, NOON.replace(hour=13), None)]
        blocked = [("fr", ("stg.a", "stg.b"), date(2026, 3, 1), NOON.date(), "key: twice")]
        assert watched.blocked_parts(session) == blocked
        assert watched.blocked_parts(session, ("sales", "r1")) == blocked
        assert watched.blocked_parts(session, ("other", "r1")) == []
        assert watched.newest_record(session) == NOON
        assert abs(watched.engine_clock(session) - ops.utc_now()) < timedelta(seconds=20)
        assert (watched.orders_by_day(session, NOON.date()), watched.newest_days(session)) == ({}, {})


@pytest.mark.parametrize(
    ("state", "message", "asked"),
    [
        ("success", "", True),
        ("success", None, True),
        ("failed", "channel disabled: x", True),
        ("failed", "task build: its log says why", True),
        ("failed", "task collect (8 of 8): its log says why", False),
    ],
)
def test_a_run_asked_its_channels_though_nothing_new_lay_anywhere(warehouse, state, message, asked):
    run = {"run_id": "scheduled__1", "dag_id": "sales", "started_at": NOON, "ended_at": NOON}
    with warehouse.write() as session:
        insert(session, "ops.run", run | {"state": state, "message": message})
    with warehouse.read() as session:
        assert watched.last_run_day(session, "sales", ops.ASKING) == (NOON.date() if asked else None)
