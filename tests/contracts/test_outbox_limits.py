"""How fast outlets are sent to, and how often people: asked in the transaction that hands over; on both engines."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from outboxes import LEASE, MINUTE, NOW, claim, intention, states

from caravan.core.outbox import Accepted, Cap, Caps, Domains, Key, Message, Refused, Skip, Unknown, Wait
from caravan.warehouse.outbox import StoredOutbox, doubt

SECOND = timedelta(seconds=1)


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


BY_NEWSLETTER = Skip("it has reached them by newsletter, or may have")


@pytest.mark.parametrize(
    ("outcome", "change", "subject", "answer"),
    [
        (None, {}, "x", BY_NEWSLETTER),
        (Accepted(), {}, "x", BY_NEWSLETTER),
        (Unknown("?"), {}, "x", BY_NEWSLETTER),
        (Refused("550"), {}, "x", None),
        (Accepted(), {"revision": 2}, "x", None),
        (Accepted(), {"object_id": "winter"}, "x", None),
        (Accepted(), {"function": "loyalty"}, "x", None),
        (Accepted(), {"target": "y"}, "x", None),
        (Accepted(), {}, None, None),
    ],
)
def test_a_revision_reaches_nobody_by_a_second_outlet(outbox, open_ledger, outcome, change, subject, answer):
    """Both are claimed before either is handed over."""
    other, first = StoredOutbox(open_ledger()), Key("release", "autumn", 1, "newsletter", "x")
    second = replace(first, **{"outlet": "post", **change})
    outbox.plan([intention(key=key, subject=subject) for key in (first, second)], NOW, "me")
    mine = next(each for each in claim(outbox) if each.key == first)
    (theirs,) = other.claim(second.function, "post", "two", NOW, NOW + MINUTE, LEASE, 1)
    begun = outbox.begin(mine, NOW)
    if outcome:
        outbox.record(begun, outcome, NOW)
    found = other.begin(theirs, NOW)
    assert (found if answer else found.state) == (answer or "handed_over")
    assert outbox.get(second.message_id).state == ("claimed" if answer else "handed_over")


def test_what_may_have_left_before_a_restore_reaches_nobody_by_a_second_outlet(outbox, open_ledger):
    doubted, new = (Key("release", "autumn", 1, outlet, "x") for outlet in ("post", "newsletter"))
    outbox.plan([intention(key=doubted, subject="x")], NOW, "me")
    with open_ledger().write() as transaction:
        assert doubt(transaction, NOW - MINUTE, NOW) == 1
    outbox.plan([intention(key=new, subject="x")], NOW, "me")
    (message,) = claim(outbox)
    assert outbox.begin(message, NOW) == Skip("it has reached them by post, or may have")
    outbox.settle(outbox.get(doubted.message_id), "rejected", "not there", NOW, "Li")
    assert isinstance(outbox.begin(message, NOW), Message)


def test_a_rate_is_of_the_outlet_whoever_sends(outbox, open_ledger):
    outbox.plan([intention(target) for target in "abcd"], NOW, "me")
    other, spacing = StoredOutbox(open_ledger()), {"newsletter": timedelta(seconds=2)}
    first, second, third, fourth = claim(outbox)
    assert isinstance(outbox.begin(first, NOW, spacing), Message)
    soon, free = NOW + timedelta(seconds=1.5), NOW + timedelta(seconds=2)
    assert other.begin(second, soon, spacing) == Wait(free, "its rate", "newsletter")
    assert states(outbox)["b"] == "claimed" and outbox.verify() is None, "whoever has to wait has not begun"
    assert isinstance(other.begin(second, soon, {"post": timedelta(hours=1)}), Message), "another's rate is no concern"
    assert isinstance(other.begin(third, free, spacing), Message)
    before = NOW - timedelta(seconds=1)
    assert other.begin(fourth, before, spacing) == Wait(free + timedelta(seconds=2), "its rate", "newsletter"), (
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
    assert outbox.begin(second, NOW, {"n": each, "n slow.example": slow}) == Wait(
        NOW + slow, "its rate", "n slow.example"
    )
    assert outbox.begin(third, NOW, {"n": each, "n fast.example": slow}) == Wait(NOW + each, "its rate", "n")
    assert isinstance(outbox.begin(third, NOW + each, {"n": each, "n fast.example": slow}), Message)


@pytest.mark.parametrize(
    ("last_at", "batch", "limit", "taken"),
    [
        (None, 5, 9, {"x": 3, "y": 1}),
        (0, 5, 9, {"x": 2, "y": 1}),
        (0, 2, 9, {"y": 1}),
        (0, 2, 1, {"y": 1}),
        (8, 5, 9, {"y": 1}),
    ],
)
def test_of_a_domain_no_more_is_claimed_than_has_room(outbox, last_at, batch, limit, taken):
    """One in two seconds to each. What is full hides no other, however many of it come first."""
    key = Key("release", "summer", 1, "newsletter", "z@x")
    outbox.plan([intention("z@x", key=key)], NOW - MINUTE, "me")
    (before,) = claim(outbox)
    targets = ("a@x", "b@X", "c@x", "d@x", "e@x")
    outbox.plan([intention(target, planned_for=NOW - MINUTE) for target in targets], NOW, "me")
    outbox.plan([intention("f@y")], NOW, "me")
    if last_at is not None:
        outbox.begin(before, NOW + last_at * SECOND, {"n x": 2 * SECOND})
    domains = Domains("n", 2 * SECOND, batch * SECOND, 5 * SECOND)

    def claimed(now: datetime) -> Counter[str]:
        found = outbox.claim("release", "newsletter", "two", now, NOW + MINUTE, LEASE, limit, (), domains)
        return Counter(each.key.target[-1].lower() for each in found)

    assert claimed(NOW) == taken
    if last_at == 8:
        assert claimed(NOW) == {}, "too long to wait for"
        assert claimed(NOW + 6 * SECOND) == {"x": 1}, "nothing else is due: so it is waited for"


def test_what_is_remembered_of_domains_does_not_grow_for_ever(outbox, open_ledger):
    outbox.plan([intention(target) for target in "ab"], NOW, "me")
    for message, at in zip(claim(outbox), (NOW, NOW + MINUTE), strict=True):
        outbox.begin(message, at, {f"n {message.key.target}.example": MINUTE})
    outbox.recover(NOW + timedelta(days=1, seconds=1))
    with open_ledger().read() as transaction:
        assert transaction.rows("SELECT name FROM outbox_rate") == [("n b.example",)]
