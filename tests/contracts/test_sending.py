"""Handing over what is due: each message once, at its instant, and never what must not go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from caravan.core.errors import CaravanError, Fault, Misconfigured
from caravan.core.outbox import (
    Accepted,
    Cap,
    Caps,
    Content,
    Domains,
    Intention,
    Key,
    Message,
    Outcome,
    Refused,
    Skip,
    Unknown,
    Wait,
    domain_rate,
)
from caravan.functions.outbox.sending import Pace, Sender
from caravan.warehouse.ledger import FILE, SqliteLedger
from caravan.warehouse.outbox import StoredOutbox

NOW = datetime(2026, 11, 25, 8, 30)
MINUTE = timedelta(minutes=1)


@dataclass
class World:
    """A clock that moves when somebody sleeps, a carrier and a gate that do as they are told."""

    outbox: StoredOutbox
    now: datetime = NOW
    is_repeatable: bool = False
    answers: dict[str, list[Outcome | Exception]] = field(default_factory=dict)
    held: dict[str, Wait | Skip] = field(default_factory=dict)
    evidence: dict[str, Accepted | Refused] = field(default_factory=dict)
    sent: list[tuple[str, datetime]] = field(default_factory=list)
    on_ask: Callable[[], None] = lambda: None
    why: Callable[[Content], str | None] = lambda content: None

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def hand_over(self, message: Message) -> Outcome:
        self.sent.append((message.key.target, self.now))
        answer = (self.answers.get(message.key.target) or [Accepted()]).pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def find(self, message: Message) -> Accepted | Refused | None:
        return self.evidence.get(message.key.target)

    def ask(self, message: Message, now: datetime) -> Wait | Skip | None:
        self.on_ask()
        return self.held.get(message.key.target)

    def plan(self, *targets: str, content_hash: str = "c", **given: datetime) -> None:
        times = {"planned_for": NOW, "not_after": NOW + 60 * MINUTE} | given
        keys = [Key("release", "autumn", 1, "newsletter", target) for target in targets]
        self.outbox.plan([Intention(key, content_hash=content_hash, **times) for key in keys], NOW, "me")

    @property
    def sender(self) -> Sender:
        pace = Pace(batch=2, longest_wait=10 * MINUTE)
        return Sender(
            self.outbox, "release", "newsletter", self, self, "one", lambda: self.now, self.sleep, pace, held=self.why
        )

    def states(self) -> dict[str, str]:
        return {each.key.target: each.state for each in self.outbox.find()}

    def reasons(self) -> dict[str, str | None]:
        return {each.key.target: each.reason for each in self.outbox.find()}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with SqliteLedger(tmp_path / FILE) as ledger:
        yield World(StoredOutbox(ledger))


def test_each_is_sent_once_and_again_nothing_is(world):
    world.plan("a", "b", "c")
    assert world.sender.send_due(NOW + MINUTE) == Counter(accepted=3)
    assert world.sender.send_due(NOW + MINUTE) == Counter()
    assert sorted(target for target, _ in world.sent) == ["a", "b", "c"]


def test_what_falls_due_before_the_next_tick_waits_for_its_instant(world):
    world.plan("a", planned_for=NOW + timedelta(seconds=20))
    world.plan("b", planned_for=NOW + 2 * MINUTE)
    assert world.sender.send_due(NOW + MINUTE) == Counter(accepted=1)
    assert world.sent == [("a", NOW + timedelta(seconds=20))]


def test_what_nobody_can_tell_of_one_does_not_hold_up_the_others(world, caplog):
    def ask() -> None:
        world.on_ask = lambda: None
        raise OverflowError("@".join(("secret", "example.com")))

    world.plan("a", "b", "c")
    world.on_ask = ask
    assert world.sender.send_due(NOW + MINUTE) == Counter(accepted=2, waiting=1)
    assert "OverflowError" in world.reasons().values()
    assert "in ask" in caplog.text and "secret@" not in caplog.text


def test_a_long_list_ends_its_turn_after_a_batch_and_goes_on_in_the_next(world):
    for number, target in enumerate("abcde"):
        world.plan(target, planned_for=NOW + timedelta(seconds=10 * number))
    assert world.sender.send_due(NOW + MINUTE, NOW) == Counter()
    assert world.sender.send_due(NOW + MINUTE, NOW + timedelta(seconds=25)) == Counter(accepted=4), "two batches of two"
    assert world.states()["e"] == "planned"
    assert world.sender.send_due(NOW + MINUTE, NOW + MINUTE) == Counter(accepted=1)


def test_nothing_is_sent_late_and_nothing_before_its_embargo(world):
    world.plan("late", not_after=NOW - MINUTE)
    world.plan("held", embargo_until=NOW + 5 * MINUTE)
    assert world.sender.send_due(NOW + MINUTE) == Counter(missed=1, waiting=1)
    assert world.sent == []
    world.now = NOW + 5 * MINUTE
    assert world.sender.send_due(NOW + 6 * MINUTE) == Counter(accepted=1)
    assert world.sent == [("held", NOW + 5 * MINUTE)]


def test_messages_keep_their_distance_and_those_that_do_not_leave_take_no_time(world):
    each, slow = {"newsletter": timedelta(seconds=1)}, {"slow": timedelta(seconds=5)}

    def spacing(message: Message) -> dict[str, timedelta]:
        return each | (slow if message.key.target.endswith("slow") else {})

    for place, target in enumerate(("a.slow", "b", "no", "nor", "c.slow")):
        world.plan(target, planned_for=NOW - timedelta(seconds=9 - place))
    world.held = {"no": Skip("withdrawn"), "nor": Skip("withdrawn")}
    sender = replace(world.sender, spacing=spacing)
    assert sender.send_due(NOW + MINUTE) == Counter(accepted=3, skipped=2)
    sent = [(target, (at - NOW).total_seconds()) for target, at in world.sent]
    assert sent == [("a.slow", 0), ("b", 1), ("c.slow", 5)]


@pytest.mark.parametrize(("count", "per_second", "apart", "fast_seconds"), [(200, 10, 5, 10), (60, 1, 3, 46)])
def test_a_domain_that_is_slow_holds_no_other_up(world, count, per_second, apart, fast_seconds):
    """Every other mail goes to it, by a rate of its own; the others are as fast as the outlet is."""
    targets = [f"a{number}@{'slow' if number % 2 else f'd{number}'}.example" for number in range(count)]
    world.plan(*targets, not_after=NOW + 600 * MINUTE)
    each, slow, batch = timedelta(seconds=1 / per_second), timedelta(seconds=apart), min(100, 30 * per_second)
    sender = replace(
        world.sender,
        pace=Pace(batch=batch),
        spacing=lambda message: {"newsletter": each, domain_rate("newsletter", message.key.target): slow},
        domains=Domains("newsletter", slow, batch * each, timedelta(seconds=30)),
    )
    sender.send_due(NOW + MINUTE, NOW + MINUTE)
    at = {domain: [when for target, when in world.sent if ("@slow" in target) == domain] for domain in (True, False)}
    assert len(at[False]) == count / 2
    assert max(at[False]) <= NOW + timedelta(seconds=fast_seconds + 1)
    assert all(after - before >= slow for before, after in pairwise(at[True]))
    assert len(at[True]) >= 60 / apart - 2, "and it is as fast as it may be"
    assert world.now < NOW + 2 * MINUTE, "the turn ends"
    waiting = world.outbox.find(state="planned")
    assert waiting and not any(each.attempt for each in waiting), "nothing is written of those that wait"


def test_the_gate_is_asked_for_each_at_the_last_moment(world):
    world.held = {
        "a": Skip("withdrawn"),
        "b": Wait(NOW + 30 * MINUTE, "quiet hours"),
        "d": Wait(NOW + 61 * MINUTE, "quiet hours"),
    }
    world.plan("a", "b", "c", "d")
    assert world.sender.send_due(NOW + MINUTE) == Counter(skipped=1, waiting=1, accepted=1, missed=1)
    assert world.states() == {"a": "skipped", "b": "planned", "c": "accepted", "d": "missed"}
    assert world.reasons() == {"a": "withdrawn", "b": "quiet hours", "c": None, "d": "quiet hours until it is too late"}
    assert [target for target, _ in world.sent] == ["c"]


def test_who_has_had_enough_is_skipped_and_takes_no_time(world):
    for object_id in ("autumn", "winter", "spring"):
        keys = [Key("release", object_id, 1, "newsletter", target) for target in "ab"]
        world.outbox.plan([Intention(key, NOW, NOW + MINUTE, "c", subject=key.target) for key in keys], NOW, "me")
    caps, second = Caps((Cap(2, 1),)), timedelta(seconds=1)
    sender = replace(world.sender, caps=caps, spacing=lambda message: {"newsletter": second})
    assert sender.send_due(NOW + MINUTE) == Counter(accepted=4, skipped=2)
    assert Counter(target for target, _ in world.sent) == {"a": 2, "b": 2}
    assert [at for _, at in world.sent] == [NOW + number * second for number in range(4)]
    skipped = world.outbox.find(state="skipped")
    assert [each.reason for each in skipped] == ["over the cap of 2 in 1 days"] * 2


def test_what_is_held_is_not_written_about_and_leaves_when_it_may(world):
    world.plan(*"abcde")
    world.why = lambda content: "revoked"
    (before,) = world.outbox.changes((0, ""), 9)[-1:]
    for _ in range(60):
        assert world.sender.send_due(world.now + MINUTE) == Counter(held=5)
        world.now += MINUTE
    assert world.outbox.logged_at(before["changed_seq"] + 1) is None
    world.why = lambda content: None
    assert world.sender.send_due(world.now + MINUTE) == Counter(accepted=5)


def test_what_is_held_in_the_middle_of_a_list_stays_and_is_missed_in_the_end(world):
    world.plan(*"abcde")
    world.why = lambda content: "revoked" if world.sent else None
    assert world.sender.send_due(NOW + MINUTE) == Counter(accepted=1, held=1), "of a batch of two; the others wait"
    assert sorted(world.states().values()) == ["accepted", *["planned"] * 4]
    world.now = NOW + 61 * MINUTE
    assert world.outbox.recover(world.now) == {"missed": 4}


def test_what_nobody_can_tell_of_one_content_holds_no_other(world):
    world.plan("a")
    world.plan("b", content_hash="d")

    def why(content: Content) -> str | None:
        if content[2] == "c":
            raise CaravanError("the file is torn")
        return None

    world.why = why
    assert world.sender.send_due(NOW + MINUTE) == Counter(held=1, accepted=1)
    assert [target for target, _ in world.sent] == ["b"]


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (Accepted("4711"), "accepted", None),
        (Refused("550 no such user"), "rejected", "550 no such user"),
        (Refused("451 later", MINUTE), "planned", "451 later"),
        (Unknown("no answer"), "unknown", "no answer"),
        (ConnectionResetError("text with an address"), "unknown", "ConnectionResetError"),
    ],
)
def test_what_comes_of_it(world, answer, state, reason):
    world.answers = {"a": [answer]}
    world.plan("a")
    world.sender.send_due(NOW + MINUTE)
    assert (world.states(), world.reasons()) == ({"a": state}, {"a": reason})


def test_refused_for_now_comes_back_later_and_later_until_it_is_too_late(world):
    world.answers = {"a": [Refused("451", timedelta(seconds=1))] * 20}
    world.plan("a", not_after=NOW + 50 * MINUTE)
    for _ in range(60):
        world.sender.send_due(world.now + MINUTE)
        world.now += MINUTE
        world.outbox.recover(world.now)
    assert world.states() == {"a": "missed"}
    assert [(at - NOW) / MINUTE for _, at in world.sent] == [0, 1, 3, 7, 15, 25, 35, 45]


def test_who_says_when_is_asked_then(world):
    world.answers = {"a": [Refused("429", 30 * MINUTE), Accepted()]}
    world.plan("a")
    world.sender.send_due(NOW + MINUTE)
    world.now = NOW + 29 * MINUTE
    assert world.sender.send_due(world.now + MINUTE) == Counter()
    assert world.sender.send_due(NOW + 31 * MINUTE) == Counter(accepted=1)
    assert [(at - NOW) / MINUTE for _, at in world.sent] == [0, 30]


def test_to_wait_is_no_refusal(world):
    world.plan("a")
    for minutes in range(10, 50, 10):
        world.held = {"a": Wait(NOW + minutes * MINUTE, "quiet hours")}
        world.sender.send_due(world.now + MINUTE)
        world.now = NOW + minutes * MINUTE
    world.held, world.answers = {}, {"a": [Refused("451", MINUTE)]}
    world.sender.send_due(world.now + MINUTE)
    assert world.states() == {"a": "planned"}
    world.now += MINUTE
    assert world.sender.send_due(world.now + MINUTE) == Counter(accepted=1)


def test_an_unknown_is_never_sent_again(world):
    world.answers = {"a": [Unknown("no answer")]}
    world.plan("a")
    for _ in range(3):
        world.sender.send_due(world.now + MINUTE)
        assert world.sender.settle() in (Counter(unsettled=1), Counter())
        world.now += MINUTE
    assert len(world.sent) == 1
    world.now = NOW + timedelta(hours=25)
    assert world.sender.settle() == Counter(settled=1)
    assert world.states() == {"a": "operator"}


@pytest.mark.parametrize(("found", "state"), [(Accepted("id"), "accepted"), (Refused("bounced"), "rejected")])
def test_evidence_settles_it(world, found, state):
    world.answers, world.evidence = {"a": [Unknown("no answer")]}, {"a": found}
    world.plan("a")
    world.sender.send_due(NOW + MINUTE)
    world.now += MINUTE
    assert world.sender.settle() == Counter(settled=1)
    assert world.states() == {"a": state}


def test_what_is_known_not_to_have_arrived_is_sent_again_while_it_is_in_time(world):
    not_now = Refused("is not there", timedelta(0))
    world.answers, world.evidence = {"a": [Unknown("cut"), Unknown("cut"), Accepted()]}, {"a": not_now}
    world.plan("a")
    world.sender.send_due(NOW + MINUTE)
    for _ in range(6):
        world.now += 5 * MINUTE
        world.sender.settle()
        world.sender.send_due(world.now + MINUTE)
    assert world.states() == {"a": "accepted"}
    assert len(world.sent) == 3


def test_what_is_known_not_to_have_arrived_is_refused_when_it_is_too_late(world):
    world.answers, world.evidence = {"a": [Unknown("cut")]}, {"a": Refused("is not there", timedelta(0))}
    world.plan("a")
    world.sender.send_due(NOW + MINUTE)
    world.now += timedelta(days=20)
    assert world.sender.settle() == Counter(settled=1)
    assert world.states() == {"a": "rejected"}


def test_where_again_changes_nothing_it_is_handed_over_again(world):
    world.is_repeatable, world.answers = True, {"a": [Unknown("no answer"), Accepted()]}
    world.plan("a")
    world.sender.send_due(NOW + MINUTE)
    world.now += MINUTE
    assert world.sender.settle() == Counter(settled=1)
    assert world.sender.send_due(world.now + MINUTE) == Counter(accepted=1)


def test_refused_credentials_turn_the_outlet_off_and_lose_nothing(world):
    world.answers = {target: [Misconfigured([Fault("connection mail", "login refused")])] for target in "abc"}
    world.plan("a", "b", "c")
    with pytest.raises(Misconfigured, match="login refused"):
        world.sender.send_due(NOW + MINUTE)
    assert len(world.sent) == 1
    assert set(world.states().values()) == {"planned"}
    world.answers, world.now = {}, NOW + 2 * MINUTE
    assert world.sender.send_due(NOW + 3 * MINUTE) == Counter(accepted=3)


def test_who_has_lost_the_claim_does_not_send(world):
    world.plan("a")

    def sleep_through() -> None:
        world.now, world.on_ask = NOW + 11 * MINUTE, lambda: None
        world.outbox.recover(world.now)

    world.on_ask = sleep_through
    assert world.sender.send_due(NOW + MINUTE) == Counter(lost=1, accepted=1)
    assert world.sent == [("a", NOW + 11 * MINUTE)]


def test_a_clock_that_jumps_sends_nothing_twice(world):
    world.plan("a", "b")
    world.sender.send_due(NOW + MINUTE)
    for jump in (-timedelta(days=1), timedelta(days=400), timedelta(0)):
        world.now = NOW + jump
        world.outbox.recover(world.now)
        world.sender.send_due(world.now + MINUTE)
        world.sender.settle()
    assert sorted(target for target, _ in world.sent) == ["a", "b"]
