"""The outbox on both engines: one row a key, no transition that is not in the table, a log that cannot be edited."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from outboxes import LEASE, MINUTE, NOW, claim, intention, states

from caravan.core.outbox import TRANSITIONS, Accepted, Key, Message, Refused, State, Unknown
from caravan.warehouse.ledger import FILE, SqliteLedger, as_text
from caravan.warehouse.outbox import StoredOutbox


def test_what_is_held_is_counted_and_not_claimed(outbox):
    others = [intention("b", content_hash="other"), intention("late", planned_for=NOW + MINUTE)]
    outbox.plan([intention("a"), *others], NOW, "me")
    first, other = ("autumn", 1, "c0ffee"), ("autumn", 1, "other")
    assert outbox.due("release", "newsletter", NOW + MINUTE) == {first: 1, other: 1}
    assert outbox.due("release", "site", NOW + MINUTE) == {}
    assert claim(outbox, held=[first, other]) == []
    assert [each.key.target for each in claim(outbox, held={first: 1})] == ["b"]
    assert [each.key.target for each in claim(outbox)] == ["a"]


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


@pytest.mark.parametrize("theirs", ["a\ud800b", "a\0b"])
@pytest.mark.parametrize(
    ("outcome", "found"), [(Accepted, ("accepted", "a?b", None)), (Unknown, ("unknown", None, "a?b"))]
)
def test_what_others_say_is_kept_whatever_characters_it_has(outbox, theirs, outcome, found):
    outbox.plan([intention()], NOW, "me")
    begun = outbox.begin(claim(outbox)[0], NOW)
    assert outbox.record(begun, outcome(theirs), NOW)
    message = outbox.get(begun.message_id)
    assert (message.state, message.provider_id, message.reason) == found
    assert outbox.verify() is None


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
