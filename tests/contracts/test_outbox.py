"""The outbox on both engines: one row a key, no transition that is not in the table, a log that cannot be edited."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from places import LakePlace

from caravan import PROJECT_ROOT
from caravan.core.outbox import (
    TRANSITIONS,
    Accepted,
    Cap,
    Caps,
    Intention,
    Key,
    Message,
    Refused,
    Skip,
    State,
    Traffic,
    Unknown,
    Wait,
)
from caravan.warehouse.ledger import FILE, Ledger, PostgresLedger, SqliteLedger, as_text
from caravan.warehouse.outbox import StoredOutbox

NOW = datetime(2026, 11, 25, 8, 30)
MINUTE = timedelta(minutes=1)
LEASE = timedelta(minutes=10)


def intention(target: str = "a@example.com", **change: object) -> Intention:
    key = Key("release", "autumn", 1, "newsletter", target)
    given = {"planned_for": NOW, "not_after": NOW + 4 * 60 * MINUTE, "content_hash": "c0ffee", "subject": target}
    return Intention(**({"key": key} | given | change))  # type: ignore[arg-type]


@pytest.fixture
def open_ledger(engine: str, new_place, tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    place = new_place(engine, migrated=False)
    opened: list[Ledger] = []

    def another() -> Ledger:
        is_lake = isinstance(place, LakePlace)
        opened.append(SqliteLedger(tmp_path / FILE) if is_lake else PostgresLedger(place.dsn))
        return opened[-1]

    yield another
    for ledger in opened:
        ledger.close()


@pytest.fixture
def outbox(open_ledger: Callable[[], Ledger]) -> StoredOutbox:
    return StoredOutbox(open_ledger())


def claim(outbox: StoredOutbox, worker: str = "one", now: datetime = NOW, limit: int = 10, held=()) -> list[Message]:
    found = outbox.claim("release", "newsletter", worker, now, now + MINUTE, LEASE, limit, held)
    return sorted(found, key=lambda each: each.key.target)


def test_what_is_held_is_counted_and_not_claimed(outbox):
    others = [intention("b", content_hash="other"), intention("late", planned_for=NOW + MINUTE)]
    outbox.plan([intention("a"), *others], NOW, "me")
    first, other = ("autumn", 1, "c0ffee"), ("autumn", 1, "other")
    assert outbox.due("release", "newsletter", NOW + MINUTE) == {first: 1, other: 1}
    assert outbox.due("release", "site", NOW + MINUTE) == {}
    assert claim(outbox, held=[first, other]) == []
    assert [each.key.target for each in claim(outbox, held={first: 1})] == ["b"]
    assert [each.key.target for each in claim(outbox)] == ["a"]


def states(outbox: StoredOutbox) -> dict[str, str]:
    return {each.key.target: each.state for each in outbox.find()}


def test_a_key_is_planned_once_whatever_is_planned_again(outbox):
    assert outbox.plan([intention("a"), intention("b"), intention("a")], NOW, "me") == 2
    changed = [intention("a", content_hash="other", payload={"name": "B"}), intention("c")]
    assert outbox.plan(changed, NOW, "me") == 1
    assert outbox.plan([], NOW, "me") == 0
    assert {each.key.target: each.intention.content_hash for each in outbox.find()} == dict.fromkeys("abc", "c0ffee")
    assert outbox.plan([replace(intention("a"), key=replace(intention("a").key, revision=2))], NOW, "me") == 1


def test_what_is_planned_comes_back_as_it_was(outbox):
    given = intention(
        "ü@exämple.de",
        embargo_until=NOW - MINUTE,
        market_code="DE",
        locale="de-DE",
        purpose="marketing_email",
        variant="b",
        payload={"first_name": "Zoë <b>", "number": 3},
    )
    outbox.plan([given], NOW, "me")
    (found,) = outbox.find()
    assert found == Message(given, "planned", 0, NOW, changed_at=NOW)
    assert outbox.get(given.key.message_id) == found
    assert outbox.get("0" * 32) is None


def test_the_way_of_a_message(outbox):
    outbox.plan([intention()], NOW, "me")
    (message,) = claim(outbox)
    assert (message.state, message.attempt, message.worker, message.lease_until) == ("claimed", 1, "one", NOW + LEASE)
    assert claim(outbox, "two") == []
    begun = outbox.begin(message, NOW)
    assert begun is not None
    assert outbox.record(begun, Accepted("4711"), NOW + MINUTE)
    found = outbox.get(message.message_id)
    assert (found.state, found.provider_id, found.changed_at) == ("accepted", "4711", NOW + MINUTE)
    moved = [(each.from_state, each.to_state, each.actor) for each in outbox.events(message.message_id)]
    assert moved == [
        ("planned", "claimed", "one"),
        ("claimed", "handed_over", "one"),
        ("handed_over", "accepted", "one"),
    ]
    assert outbox.verify() is None


def test_questions_by_name(outbox):
    first = replace(intention("de-DE"), key=Key("release", "autumn", 1, "newsletter", "de-DE"))
    revisions = [replace(first, key=replace(first.key, revision=number)) for number in (1, 2, 3, 4)]
    other = replace(first, key=Key("service", "ticket", 1, "newsletter", "de-DE"))
    outbox.plan([*revisions, other, intention("late", planned_for=NOW + MINUTE)], NOW, "me")
    for message in outbox.claim("release", "newsletter", "one", NOW, NOW + MINUTE / 2, LEASE, 10):
        answer = Refused("no") if message.key.revision == 3 else Accepted(f"p{message.key.revision}")
        outbox.record(outbox.begin(message, NOW), answer, NOW)
    assert [
        outbox.accepted_before(each.key) and outbox.accepted_before(each.key).provider_id for each in revisions
    ] == [
        None,
        "p1",
        "p2",
        "p2",
    ]
    assert outbox.accepted_before(replace(first.key, revision=9, target="fr-FR")) is None
    assert [each.state for each in outbox.find(function="service")] == ["planned"]
    assert {each.key.revision for each in outbox.find(state="accepted", object_id="autumn")} == {1, 2, 4}
    assert len(outbox.find()) == 6 and len(outbox.find(limit=2)) == 2 and outbox.find(state="missed") == []
    assert outbox.named(first.key.message_id[:9]) == [outbox.get(first.key.message_id)]
    assert len(outbox.named("")) == 2 and len(outbox.named("", 9)) == 6 and outbox.named("g") == []
    assert [outbox.overdue(NOW + hours * 60 * MINUTE) for hours in (4, 5)] == [0, 2]


def test_how_each_outlet_does(outbox):
    outbox.plan([intention(name, not_after=NOW + 9 * MINUTE) for name in "abcd"], NOW, "me")
    outbox.plan([intention("missed", planned_for=NOW - 9 * MINUTE, not_after=NOW - MINUTE)], NOW, "me")
    outbox.recover(NOW)
    outbox.plan([intention("to come", planned_for=NOW + 5 * MINUTE, not_after=NOW + 9 * MINUTE)], NOW, "me")
    outbox.plan([intention(key=Key("release", "autumn", 1, "site", "de-DE"))], NOW, "me")
    for message, answer in zip(claim(outbox, limit=3), (Accepted(), Unknown("?"), Unknown("?")), strict=True):
        outbox.record(outbox.begin(message, NOW), answer, NOW)
    assert outbox.settle(outbox.find(state="unknown")[0], "operator", "no evidence", NOW, "me")
    for outlet, name in (("feed", "done"), ("push", "taken back")):
        outbox.plan([intention(key=Key("release", name, 1, outlet, "x"))], NOW, "me")
    (done,) = outbox.claim("release", "feed", "one", NOW - MINUTE, NOW + MINUTE, LEASE, 1)
    outbox.record(outbox.begin(done, NOW - MINUTE), Accepted(), NOW)
    outbox.cancel("release", "taken back", 1, "withdrawn", NOW, "me")
    week = NOW - 7 * 24 * 60 * MINUTE
    assert outbox.traffic(NOW + MINUTE, week) == [
        Traffic("feed", 0, 0, 0, 0, 0, 0, NOW - MINUTE),
        Traffic("newsletter", 1, 1, 0, 1, 1, 1, NOW),
        Traffic("push", 0, 0, 0, 0, 0, 0, None),
        Traffic("site", 0, 1, 0, 0, 0, 0, None),
    ]
    assert outbox.traffic(NOW + 10 * MINUTE, NOW + MINUTE)[1] == Traffic("newsletter", 0, 0, 2, 1, 1, 0, NOW)


def test_how_outlets_do_is_not_asked_of_all_that_has_ever_left(tmp_path):
    steps = []
    for settled in (10, 1000):
        with SqliteLedger(tmp_path / str(settled)) as ledger:
            outbox = StoredOutbox(ledger)
            outbox.plan([intention(f"{number}", planned_for=NOW - MINUTE) for number in range(settled)], NOW, "me")
            outbox.plan([intention("to come", planned_for=NOW + 5 * MINUTE)], NOW, "me")
            with ledger.write() as transaction:
                left = "UPDATE outbox_message SET state = 'accepted', handed_over_at = :at WHERE due_at < :at"
                transaction.rows(left, {"at": as_text(NOW)})
            steps.append(0)

            def step() -> None:
                steps[-1] += 1

            ledger._connection.set_progress_handler(step, 1)
            assert outbox.traffic(NOW, NOW) == [Traffic("newsletter", 1, 0, 0, 0, 0, 0, NOW)]
    assert 0 < steps[1] < 2 * steps[0]


def test_due_alone_and_the_earliest_first(outbox):
    outbox.plan([intention("late", planned_for=NOW + MINUTE), intention("b"), intention("a")], NOW, "me")
    outbox.plan([intention("first", planned_for=NOW - MINUTE)], NOW, "me")
    assert claim(outbox, limit=1)[0].key.target == "first"
    assert {each.key.target for each in claim(outbox)} == {"a", "b"}
    assert claim(outbox) == []
    assert outbox.claim("promotion", "newsletter", "one", NOW, NOW + LEASE, LEASE, 10) == []
    assert outbox.claim("release", "site", "one", NOW, NOW + LEASE, LEASE, 10) == []


def test_a_claim_that_has_ended_is_nobody_s(outbox):
    outbox.plan([intention()], NOW, "me")
    (mine,) = claim(outbox)
    assert outbox.begin(mine, NOW + LEASE) is None, "its lease is over"
    assert outbox.recover(NOW + LEASE + MINUTE) == {"planned": 1}
    (theirs,) = claim(outbox, "two", NOW + LEASE + MINUTE)
    assert outbox.begin(mine, NOW) is None
    assert not outbox.skip(mine, "no", NOW)
    assert outbox.begin(theirs, NOW + LEASE + MINUTE) is not None


def test_who_dies_in_the_act_leaves_it_unknown_and_may_still_know(outbox):
    outbox.plan([intention("a"), intention("b"), intention("c")], NOW, "me")
    begun = [outbox.begin(each, NOW) for each in claim(outbox)]
    later = NOW + LEASE + MINUTE
    assert outbox.recover(later) == {"unknown": 3}
    assert outbox.recover(later) == {}
    assert outbox.record(begun[0], Accepted("4711"), later), "it was only slow"
    assert outbox.record(begun[1], Refused("550"), later)
    assert not outbox.record(begun[2], Unknown("no answer"), later), "known already"
    assert states(outbox) == {"a": "accepted", "b": "rejected", "c": "unknown"}
    assert [each.key.target for each in outbox.unsettled("release", "newsletter", later + MINUTE, 10)] == ["c"]


def test_refused_for_now_is_due_again(outbox):
    outbox.plan([intention()], NOW, "me")
    begun = outbox.begin(claim(outbox)[0], NOW)
    assert outbox.record(begun, Refused("slow down", MINUTE), NOW, again_at=NOW + 5 * MINUTE)
    assert claim(outbox, now=NOW + MINUTE) == []
    (again,) = claim(outbox, now=NOW + 5 * MINUTE)
    assert (again.attempt, again.intention.planned_for) == (2, NOW)
    assert [each.to_state for each in outbox.events(again.message_id)][-3:] == ["rejected", "planned", "claimed"]


def test_too_late_is_missed_and_taken_back_is_cancelled(outbox):
    outbox.plan([intention("late", not_after=NOW - MINUTE), intention("a"), intention("b")], NOW, "me")
    assert outbox.recover(NOW) == {"missed": 1}
    (first,) = claim(outbox, limit=1)
    assert outbox.cancel("release", "autumn", 1, "withdrawn", NOW, "me") == 1
    assert outbox.miss(first, NOW)
    assert states(outbox) == {"late": "missed", "a": "cancelled", "b": "cancelled"} | {first.key.target: "missed"}


def test_however_many_are_taken_back_each_is_in_the_log(outbox):
    outbox.plan([intention(f"t{number:04}") for number in range(1100)], NOW, "me")
    claim(outbox, limit=50)
    assert outbox.cancel("release", "autumn", 1, "withdrawn", NOW, "maria") == 1050
    assert outbox.recover(NOW + LEASE + MINUTE) == {"planned": 50}
    assert outbox.cancel("release", "autumn", 1, "withdrawn", NOW, "maria") == 50
    assert outbox.counts() == [("release", "newsletter", "cancelled", 1100)]
    last = [outbox.events(each.message_id)[-1] for each in outbox.find(limit=30)]
    assert {(each.from_state, each.to_state, each.actor) for each in last} == {("planned", "cancelled", "maria")}
    assert outbox.verify() is None


def test_of_people_those_stay_planned_who_are_kept(outbox, open_ledger):
    def keep(targets: str) -> dict[str, int]:
        ids = {intention(target).key.message_id for target in targets}
        return dict(outbox.keep_only("release", "autumn", 1, "newsletter", ids.__contains__, NOW, "maria"))

    elsewhere = replace(intention("e"), key=Key("release", "autumn", 2, "newsletter", "e"))
    outbox.plan(map(intention, "abcd"), NOW, "me")
    (held,) = claim(outbox, limit=1)
    outbox.plan([intention("seed", subject=None), elsewhere], NOW, "me")
    left = "abcd".replace(held.key.target, "")
    assert keep(left[0]) == {"claimed": 1, "cancelled": 2}
    assert keep(left[:2] + held.key.target) == {"planned": 1}
    expected = {held.key.target: "claimed", left[0]: "planned", left[1]: "planned", left[2]: "cancelled"}
    assert states(outbox) == {**expected, "seed": "planned", "e": "planned"}
    with open_ledger().write() as transaction:
        transaction.rows("INSERT INTO outbox_restored VALUES (:at, :at)", {"at": as_text(NOW)})
    assert keep("abcd") == {}, "what was promised before a restore may have left"
    outbox.cancel("release", "autumn", 1, "a newer revision", NOW, "me")
    assert keep("abcd") == {}
    assert outbox.verify() is None


def test_a_person_decides_what_nobody_knows(outbox):
    outbox.plan([intention(target) for target in "abc"], NOW, "me")
    for message in claim(outbox):
        outbox.record(outbox.begin(message, NOW), Unknown("no answer"), NOW)
    decided = dict(zip("abc", ("operator", "planned", "accepted"), strict=True))
    for message in outbox.find():
        assert outbox.settle(message, decided[message.key.target], "seen in the mailbox", NOW, "maria", "id")
        assert outbox.events(message.message_id)[-1].actor == "maria"
    assert states(outbox) == decided


@pytest.mark.parametrize("state", get_args(State))
def test_no_other_way_than_those_of_the_table(outbox, state):
    outbox.plan([intention()], NOW, "me")
    message = replace(outbox.find()[0], state=state)
    for to in set(get_args(State)) - TRANSITIONS[state]:
        with pytest.raises(ValueError, match=f"does not go from {state} to {to}"):
            outbox.settle(message, to, "", NOW, "me")
    assert states(outbox) == {"a@example.com": "planned"}


@pytest.mark.parametrize(
    ("caps", "purpose", "subject", "now", "answer"),
    [
        (Caps((Cap(3, 7),)), "news", "x", NOW, None),
        (Caps((Cap(2, 7),)), "news", "x", NOW, Skip("over the cap of 2 in 7 days")),
        (Caps((Cap(3, 1), Cap(1, 7))), "news", "x", NOW, Skip("over the cap of 1 in 7 days")),
        (Caps((Cap(2, 7),), frozenset({"contract"})), "contract", "x", NOW, None),
        (Caps((Cap(2, 7),), frozenset({"contract"})), None, "x", NOW, Skip("over the cap of 2 in 7 days")),
        (Caps((Cap(1, 7),), frozenset({"news", "law"})), "other", "x", NOW, None),
        (Caps((Cap(2, 7),)), "news", "y", NOW, None),
        (Caps((Cap(2, 7),)), "news", None, NOW, None),
        (Caps((Cap(2, 1),)), "news", "x", NOW + 24 * 60 * MINUTE, Skip("over the cap of 2 in 1 days")),
        (Caps((Cap(2, 1),)), "news", "x", NOW + (24 * 60 + 1) * MINUTE, None),
        (Caps(), "news", "x", NOW, None),
    ],
)
def test_often_enough_is_enough_but_not_for_what_has_to_be_said(outbox, caps, purpose, subject, now, answer):
    """Two count: one that was accepted and one that may have arrived; not one that was refused."""
    for number, outcome in enumerate((Accepted(), Unknown("?"), Refused("550"))):
        sent = intention("x", key=Key("release", str(number), 1, "newsletter", "x"), purpose="news")
        outbox.plan([sent], NOW, "me")
        outbox.record(outbox.begin(claim(outbox)[0], NOW), outcome, NOW)
    late = {"planned_for": now, "not_after": now + MINUTE}
    outbox.plan([intention("x", subject=subject, purpose=purpose, **late)], NOW, "me")
    (message,) = claim(outbox, now=now)
    begun = outbox.begin(message, now, {"newsletter": MINUTE}, caps)
    assert (begun if answer else begun.state) == (answer or "handed_over")
    assert outbox.get(message.message_id).state == ("claimed" if answer else "handed_over")


def test_two_outlets_at_once_do_not_go_beyond_a_cap(outbox, open_ledger):
    """Each has claimed its message for the same person before the other hands its own over."""
    other, caps = StoredOutbox(open_ledger()), Caps((Cap(1, 7),))
    keys = [Key("release", "autumn", 1, outlet, "x") for outlet in ("newsletter", "post")]
    outbox.plan([intention(key=key, subject="x") for key in keys], NOW, "me")
    (mine,), (theirs,) = claim(outbox), other.claim("release", "post", "two", NOW, NOW + MINUTE, LEASE, 1)
    assert isinstance(outbox.begin(mine, NOW, caps=caps), Message)
    assert other.begin(theirs, NOW, caps=caps) == Skip("over the cap of 1 in 7 days")
    outbox.record(replace(mine, state="handed_over"), Refused("550"), NOW)
    assert isinstance(other.begin(theirs, NOW, caps=caps), Message), "what was refused has reached nobody"


def test_the_mirror_gets_each_change_once(outbox):
    outbox.plan([intention("a"), intention("b")], NOW, "me")
    seen = outbox.changes((0, ""), 10)
    assert {(row["target"], row["state"], row["planned_at"]) for row in seen} == {
        (target, "planned", "2026-11-25T08:30:00.000000") for target in ("a", "b")
    }
    last = seen[-1]["changed_seq"], seen[-1]["message_id"]
    assert outbox.changes(last, 10) == []
    (claimed,) = claim(outbox, limit=1)
    (changed,) = outbox.changes(last, 10)
    assert (changed["target"], changed["state"]) == (claimed.key.target, "claimed")
    assert outbox.counts() == [("release", "newsletter", "claimed", 1), ("release", "newsletter", "planned", 1)]


@pytest.mark.parametrize(
    ("edit", "first_wrong"),
    [
        ("UPDATE outbox_event SET at = '2020-01-01T00:00:00.000000' WHERE seq = 2", 2),
        ("DELETE FROM outbox_event WHERE seq = 2", 3),
        ("UPDATE outbox_event SET actor = 'nobody' WHERE seq = 3", 3),
        ("DELETE FROM outbox_event WHERE seq = 3", 3),
    ],
)
def test_who_edits_the_log_is_found_out(outbox, open_ledger, edit, first_wrong):
    outbox.plan([intention("a"), intention("b")], NOW, "me")
    claim(outbox)
    assert outbox.verify() is None
    with open_ledger().write() as transaction:
        transaction.rows(edit)
    assert outbox.verify() == first_wrong


def test_nobody_else_reads_whom_we_write_to(tmp_path):
    with SqliteLedger(tmp_path / FILE) as ledger:
        StoredOutbox(ledger)
        assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == dict.fromkeys(
            (FILE, f"{FILE}-wal", f"{FILE}-shm"), 0o600
        )


def test_an_error_inside_leaves_nothing(open_ledger):
    def die(phase: str) -> None:
        if phase == "planned":
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        StoredOutbox(open_ledger(), die).plan([intention()], NOW, "me")
    outbox = StoredOutbox(open_ledger())
    assert outbox.find() == [] and outbox.verify() is None


def test_a_rate_is_of_the_outlet_whoever_sends(outbox, open_ledger):
    outbox.plan([intention(target) for target in "abcd"], NOW, "me")
    other, spacing = StoredOutbox(open_ledger()), {"newsletter": timedelta(seconds=2)}
    first, second, third, fourth = claim(outbox)
    assert isinstance(outbox.begin(first, NOW, spacing), Message)
    soon, free = NOW + timedelta(seconds=1.5), NOW + timedelta(seconds=2)
    assert other.begin(second, soon, spacing) == Wait(free, "its rate")
    assert states(outbox)["b"] == "claimed" and outbox.verify() is None, "whoever has to wait has not begun"
    assert isinstance(other.begin(second, soon, {"post": timedelta(hours=1)}), Message), "another's rate is no concern"
    assert isinstance(other.begin(third, free, spacing), Message)
    before = NOW - timedelta(seconds=1)
    assert other.begin(fourth, before, spacing) == Wait(free + timedelta(seconds=2), "its rate"), (
        "its clock was read before the lock"
    )
    assert isinstance(other.begin(fourth, NOW - 60 * MINUTE, spacing), Message), (
        "a clock that went back waits for nobody"
    )


def test_a_domain_has_a_rate_of_its_own_and_the_longest_wait_counts(outbox):
    outbox.plan([intention(target) for target in "abc"], NOW, "me")
    first, second, third = claim(outbox)
    each, slow = timedelta(seconds=1), timedelta(seconds=30)
    outbox.begin(first, NOW, {"n": each, "n slow.example": slow})
    assert outbox.begin(second, NOW, {"n": each, "n slow.example": slow}) == Wait(NOW + slow, "its rate")
    assert outbox.begin(third, NOW, {"n": each, "n fast.example": slow}) == Wait(NOW + each, "its rate")
    assert isinstance(outbox.begin(third, NOW + each, {"n": each, "n fast.example": slow}), Message)


def test_what_is_remembered_of_domains_does_not_grow_for_ever(outbox, open_ledger):
    outbox.plan([intention(target) for target in "ab"], NOW, "me")
    for message, at in zip(claim(outbox), (NOW, NOW + MINUTE), strict=True):
        outbox.begin(message, at, {f"n {message.key.target}.example": MINUTE})
    outbox.recover(NOW + timedelta(days=1, seconds=1))
    with open_ledger().read() as transaction:
        assert transaction.rows("SELECT name FROM outbox_rate") == [("n b.example",)]


WORKER = """
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from caravan.warehouse.ledger import PostgresLedger, SqliteLedger
from caravan.warehouse.outbox import StoredOutbox
place, name = sys.argv[1:]
ledger = PostgresLedger(place) if "://" in place else SqliteLedger(Path(place))
outbox, now = StoredOutbox(ledger), datetime(2026, 11, 25, 8, 30)
minutes = timedelta(minutes=10)
print("ready", flush=True)
sys.stdin.readline()
while found := outbox.claim("release", "newsletter", name, now, now + minutes, minutes, 3):
    for message in found:
        if outbox.begin(message, now):
            print(message.key.target, flush=True)
"""


def at_once(script: str, place: str) -> list[list[str]]:
    """The lines that two processes say that are told to begin together."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script, place, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT / "plugins")},
        )
        for name in ("one", "two")
    ]
    for worker in workers:
        assert worker.stdout and worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return [worker.communicate(timeout=60)[0].splitlines() for worker in workers]


@pytest.fixture
def place(engine: str, outbox: StoredOutbox, new_place, tmp_path: Path) -> str:
    """Of the outbox, for another process."""
    return str(tmp_path / FILE) if engine == "lake" else new_place.places[0].dsn


def test_two_workers_at_once_never_have_the_same(outbox, place):
    targets = [f"t{number:03}" for number in range(60)]
    outbox.plan([intention(target) for target in targets], NOW, "me")
    sent = at_once(WORKER, place)
    assert sorted(sent[0] + sent[1]) == targets
    assert outbox.verify() is None


RATED = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from caravan.core.outbox import Accepted
from caravan.functions.outbox.sending import Pace, Sender
from caravan.warehouse.ledger import PostgresLedger, SqliteLedger
from caravan.warehouse.outbox import StoredOutbox
place, name = sys.argv[1:]
ledger = PostgresLedger(place) if "://" in place else SqliteLedger(Path(place))
class Carrier:
    is_repeatable = False
    def hand_over(self, message):
        print(message.key.target, flush=True)
        return Accepted()
class Gate:
    def ask(self, message, now):
        return None
clock = lambda: datetime.now(UTC).replace(tzinfo=None)
spacing = {"newsletter": timedelta(milliseconds=50)}
sender = Sender(StoredOutbox(ledger), "release", "newsletter", Carrier(), Gate(), name, clock, time.sleep,
                Pace(batch=2), lambda message: spacing)
print("ready", flush=True)
sys.stdin.readline()
sender.send_due(clock() + timedelta(minutes=1))
"""


def test_two_workers_at_once_are_no_faster_than_the_rate(outbox, open_ledger, place):
    now = datetime.now(UTC).replace(tzinfo=None)
    times = {"planned_for": now, "not_after": now + MINUTE}
    outbox.plan([intention(f"t{number:02}", **times) for number in range(20)], now, "me")
    said = at_once(RATED, place)
    assert sorted(line for lines in said for line in lines) == [f"t{number:02}" for number in range(20)]
    assert all(said), "both send"
    with open_ledger().read() as transaction:
        rows = transaction.rows("SELECT handed_over_at FROM outbox_message ORDER BY handed_over_at")
    times = [datetime.fromisoformat(row[0]) for row in rows]
    assert min(after - before for before, after in pairwise(times)) >= timedelta(milliseconds=50)


CAPPED = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from caravan.core.outbox import Cap, Caps, Message
from caravan.warehouse.ledger import PostgresLedger, SqliteLedger
from caravan.warehouse.outbox import StoredOutbox
place, name = sys.argv[1:]
outbox = StoredOutbox(PostgresLedger(place) if "://" in place else SqliteLedger(Path(place)))
now, minutes = datetime(2026, 11, 25, 8, 30), timedelta(minutes=10)
found = outbox.claim("release", name, name, now, now + minutes, minutes, 100)
print("ready", flush=True)
sys.stdin.readline()
for message in found:
    if isinstance(outbox.begin(message, now, caps=Caps((Cap(1, 1),))), Message):
        print(message.key.target, flush=True)
"""


def test_two_workers_at_once_write_to_nobody_more_often_than_a_cap_allows(outbox, place):
    people = [f"t{number:02}" for number in range(40)]
    keys = [Key("release", "autumn", 1, outlet, person) for person in people for outlet in ("one", "two")]
    outbox.plan([intention(key.target, key=key) for key in keys], NOW, "me")
    said = at_once(CAPPED, place)
    assert sorted(line for lines in said for line in lines) == people
    assert outbox.verify() is None
