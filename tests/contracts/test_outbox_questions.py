"""What the outbox is asked: messages by name, how outlets do, what has changed; on both engines."""

from __future__ import annotations

from dataclasses import replace

from outboxes import LEASE, MINUTE, NOW, claim, intention

from caravan.core.outbox import Accepted, Key, Refused, Traffic, Unknown
from caravan.warehouse.ledger import SqliteLedger, as_text
from caravan.warehouse.outbox import StoredOutbox


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


def test_earlier_revisions_on_their_way_are_undecided(outbox):
    keys = [Key("release", "autumn", number, "newsletter", "de-DE") for number in (1, 2, 3, 4, 5)]
    others = [replace(keys[0], target="fr-FR"), replace(keys[0], outlet="site"), replace(keys[0], object_id="winter")]
    outbox.plan([intention(key=key) for key in (*keys[:4], *others)], NOW, "me")
    by_revision = {each.key.revision: each for each in claim(outbox) if each.key in keys}
    outbox.record(outbox.begin(by_revision[1], NOW), Accepted("p1"), NOW)
    outbox.record(outbox.begin(by_revision[2], NOW), Unknown("?"), NOW)
    outbox.begin(by_revision[3], NOW)

    def undecided(key: Key) -> list[tuple[int, str]]:
        return [(each.key.revision, each.state) for each in outbox.undecided_before(key)]

    assert undecided(keys[4]) == [(2, "unknown"), (3, "handed_over"), (4, "claimed")]
    assert undecided(keys[2]) == [(2, "unknown")] and undecided(keys[0]) == []


def test_when_an_outlet_was_last_sent_to(outbox):
    outbox.plan([intention("a"), intention("b")], NOW, "me")
    assert outbox.last_at("newsletter", NOW) is None
    first, second = claim(outbox)
    assert outbox.last_at("newsletter", NOW) == NOW and outbox.last_at("site", NOW) is None
    outbox.record(outbox.begin(first, NOW - MINUTE), Accepted(), NOW)
    outbox.skip(second, "no", NOW)
    assert outbox.last_at("newsletter", NOW) == NOW - MINUTE
    assert outbox.last_at("newsletter", NOW + 2 * LEASE) == NOW - MINUTE


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
