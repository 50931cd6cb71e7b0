"""When an incident opens, counts, closes, and who is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from caravan.config.alerts import Target
from caravan.core.errors import Fault, Misconfigured, Rejected, Retryable
from caravan.core.incidents import KINDS, Changes, Incident, Message, RunEnd, Sighting, incident_id
from caravan.functions.ops.delivery import deliver
from caravan.functions.ops.incidents import adopt, judge_run, nothing, observe, of_kinds
from caravan.functions.ops.messages import LONGEST, describe, runbook, tell, tidy

NOON = datetime(2026, 3, 2, 12)
LATER = NOON + timedelta(minutes=15)
MAIL = Target(name="mail", kind="smtp", connection="smtp_alerts", sender="a@example.com", to=("b@example.com",))
CHAT = Target(name="chat", kind="webhook", connection="http_alerts", severities=("critical",))
STALE = Sighting("stale", "warning", "channel shop_fr", "Nothing has come.", channel_code="shop_fr")
DISK = Sighting("disk_low", "critical", "disk of /x", "99.0 % are used")


def opened(sighting: Sighting, at: datetime = NOON) -> Incident:
    return Incident(incident_id(sighting.key, at), sighting, at, at)


def messages(changes: Changes) -> list[tuple[str, str]]:
    return [(message.phase, message.target) for message in changes.messages]


def test_a_new_thing_opens_and_every_target_of_its_severity_is_told():
    changes = observe([], {}, [STALE, DISK], nothing, [MAIL, CHAT], NOON)
    assert [incident.key for incident in changes.opened] == [STALE.key, DISK.key]
    assert len({incident.incident_id for incident in changes.opened}) == 2
    assert messages(changes) == [("opened", "mail"), ("opened", "mail"), ("opened", "chat")]


def test_a_thing_seen_again_only_counts():
    worse = replace(STALE, what="Still nothing.", severity="critical")
    before = opened(STALE)
    told = {before.incident_id: {"mail": "sent"}}
    changes = observe([before], told, [worse], of_kinds("stale"), [MAIL, CHAT], LATER)
    assert (changes.opened, changes.closed, changes.messages) == ((), (), ())
    (seen,) = changes.seen
    assert (seen.seen_count, seen.opened_at, seen.last_seen_at) == (2, NOON, LATER)
    assert (seen.sighting.what, seen.sighting.severity) == ("Still nothing.", "warning")


def test_a_thing_no_longer_seen_closes_and_those_who_were_told_are_told():
    before = opened(STALE)
    told = {before.incident_id: {"mail": "sent", "pager": "pending", "chat": "failed"}}
    changes = observe([before], told, [], of_kinds("stale"), [MAIL, CHAT], LATER)
    assert [incident.closed_at for incident in changes.closed] == [LATER]
    assert messages(changes) == [("closed", "mail"), ("closed", "pager")]


@pytest.mark.parametrize(("state", "told"), [(None, ["mail", "chat"]), ("sent", ["chat"]), ("failed", ["chat"])])
def test_a_thing_seen_again_is_told_to_a_target_that_is_new(state, told):
    before = opened(DISK)
    has = {before.incident_id: {"mail": state}} if state else {}
    assert messages(observe([before], has, [DISK], nothing, [MAIL, CHAT], LATER)) == [("opened", name) for name in told]


def test_a_look_at_other_things_closes_nothing():
    assert not observe([opened(STALE)], {}, [], of_kinds("disk_low"), [MAIL], LATER)
    assert not observe([opened(STALE)], {}, [], nothing, [MAIL], LATER)


def test_a_thing_that_comes_back_is_a_new_incident():
    again = observe([], {}, [STALE], nothing, [MAIL], LATER)
    assert again.opened[0].incident_id != opened(STALE).incident_id


def test_what_was_told_unrecorded_is_recorded_as_told():
    late = opened(DISK)
    assert adopt([opened(DISK)], {}, late, ["mail"], [MAIL]) == Changes()
    before = opened(DISK, NOON - timedelta(hours=1))
    again = adopt([before], {before.incident_id: {"mail": "sent"}}, late, [], [MAIL, CHAT])
    assert [(seen.last_seen_at, seen.seen_count) for seen in again.seen] == [(NOON, 2)]
    assert messages(again) == [("opened", "chat")]
    assert adopt([], {}, late, ["mail"], []).messages == (Message(late.incident_id, "opened", "mail", "sent"),)
    changes = adopt([], {}, late, ["mail"], [MAIL, CHAT])
    assert changes.opened == (late,)
    assert [(message.target, message.state) for message in changes.messages] == [("mail", "sent"), ("chat", "pending")]


# --- the end of a run -------------------------------------------------------------------------------------------------


def failure(subject: str, run_id: str = "r1", at: datetime = NOON) -> Incident:
    task_id = subject.partition(" ")[0]
    sighting = Sighting("task_failed", "critical", subject, "no", "sales", task_id, run_id=run_id)
    return opened(sighting, at)


def mapped(incident: Incident, index: int) -> Incident:
    link = f"http://x/dags/sales/runs/r/tasks/collect/mapped/{index}?try_number=4"
    return replace(incident, sighting=replace(incident.sighting, link=link))


FR, JP, BUILD = failure("collect [fr]"), failure("collect [jp]"), failure("build")
ALL_WELL = {"collect": ["success", "success"], "build": ["success"], "verdict": ["running"]}


@pytest.mark.parametrize(
    ("case", "states", "standing", "options", "seen", "over"),
    [
        ("all is well", ALL_WELL, [FR, BUILD], {}, [], ["collect [fr]", "build"]),
        ("another DAG's", ALL_WELL, [replace(FR, sighting=replace(FR.sighting, dag_id="x"))], {}, [], []),
        ("one failed and said so", {"collect": ["success", "failed"]}, [FR], {}, [], []),
        (
            "one failed, another is mended",
            {"collect": ["success", "failed"]},
            [FR, failure("collect [jp]", "r0")],
            {},
            [],
            ["collect [jp]"],
        ),
        (
            "cleared, and one of two failed again",
            {"collect": ["success", "failed"]},
            [replace(FR, last_seen_at=LATER), JP],
            {},
            [],
            ["collect [jp]"],
        ),
        ("killed in silence", {"collect": ["success", "failed"]}, [], {}, ["collect"], []),
        (
            "killed in silence beside one that spoke",
            {"collect": ["failed", "failed"]},
            [FR, failure("collect [jp]", "r0")],
            {},
            ["collect"],
            [],
        ),
        (
            "never got so far",
            {"collect": ["failed", "success"], "build": ["upstream_failed"]},
            [FR, BUILD],
            {},
            [],
            [],
        ),
        ("asked for other channels only", ALL_WELL, [FR, BUILD], {"asked": ["de", "es"]}, [], ["build"]),
        (
            "asked for that channel again",
            {"collect": ["success"]},
            [FR, JP],
            {"asked": ["fr"]},
            [],
            ["collect [fr]"],
        ),
        ("asked for it, and it failed", {"collect": ["failed"]}, [FR, JP], {"asked": ["fr"]}, [], []),
        ("some channels are well again", ALL_WELL, [failure("verdict", "r0")], {"asked": ["fr"]}, [], []),
        ("the same ones are cleared", ALL_WELL, [failure("verdict")], {"asked": ["fr"]}, [], ["verdict"]),
        (
            "cleared: the one that had failed is well, another is killed",
            {"collect": ["success", "failed"]},
            [FR],
            {"started_at": LATER},
            ["collect"],
            [],
        ),
        (
            "cleared: one of two mapped ones, and it is well",
            {"collect": ["success", "failed"]},
            [mapped(FR, 0), mapped(JP, 1)],
            {"started_at": LATER},
            [],
            ["collect [fr]"],
        ),
        (
            "cleared: the one that spoke is well, the other is killed",
            {"collect": ["success", "failed"]},
            [mapped(FR, 0)],
            {"started_at": LATER},
            ["collect"],
            [],
        ),
        (
            "cleared while the run went on",
            {"collect": ["success", "failed"]},
            [mapped(FR, 0), mapped(failure("collect [jp]", "r0"), 0)],
            {"started_at": NOON},
            ["collect"],
            [],
        ),
        ("cleared: the last task alone", {"build": ["failed"]}, [BUILD], {"started_at": LATER}, [], []),
        ("a run of older days", ALL_WELL, [FR, failure("build", "newer")], {}, [], ["collect [fr]"]),
        ("a run of the same days or newer", ALL_WELL, [failure("build", "older")], {}, [], ["build"]),
        ("the task is no longer in the DAG", {"stage": ["success"]}, [BUILD], {}, [], ["build"]),
        ("only the last task failed", ALL_WELL, [], {"error": "no slice"}, ["verdict"], []),
        ("what it failed for is told already", ALL_WELL, [], {"error": "no slice", "explained": True}, [], []),
        ("the last task is well again", ALL_WELL, [failure("verdict")], {}, [], ["verdict"]),
        ("the last task fails again", ALL_WELL, [failure("verdict")], {"error": "no"}, ["verdict"], []),
    ],
)
def test_the_end_of_a_run(case, states, standing, options, seen, over):
    error, explained = options.get("error"), options.get("explained", False)
    if "failed" in str(states) and error is None:
        error = "TASKS_FAILED: 1"
    asked, started_at = options.get("asked", ()), options.get("started_at")
    end = RunEnd("sales", "r1", 1, states, "verdict", "http://x", asked, started_at)
    window_ends = {"older": NOON - timedelta(days=1), "r1": NOON, "newer": LATER}
    sightings, covers = judge_run(end, error, standing, explained, window_ends)
    assert [sighting.subject for sighting in sightings] == seen
    seen_again = {sighting.key for sighting in sightings}
    assert [i.sighting.subject for i in standing if covers(i) and i.key not in seen_again] == over


# --- delivery ---------------------------------------------------------------------------------------------------------


class Book:
    """The record, in memory. `locked`: how often `settle` finds it locked."""

    locked = 0

    def __init__(self) -> None:
        self.incidents: dict[str, Incident] = {}
        self.messages: dict[tuple[str, str, str], Message] = {}

    def see(self, *sightings: Sighting, targets=(MAIL, CHAT), covers=nothing) -> None:
        self.change(lambda standing, told: observe(standing, told, sightings, covers, targets, NOON))

    def change(self, decide) -> Changes:
        told: dict[str, dict[str, str]] = {}
        for message in self.messages.values():
            if message.phase == "opened":
                told.setdefault(message.incident_id, {})[message.target] = message.state
        changes = decide([i for i in self.incidents.values() if not i.closed_at], told)
        self.incidents |= {i.incident_id: i for i in (*changes.opened, *changes.seen, *changes.closed)}
        self.messages |= {(m.incident_id, m.phase, m.target): m for m in changes.messages}
        return changes

    def claim(self, abandoned_after, skip=()):
        waiting = [m for m in self.messages.values() if m.state == "pending" and m.target not in skip]
        return [(message, self.incidents[message.incident_id]) for message in waiting]

    def settle(self, message, state, error=None) -> None:
        if self.locked:
            self.locked -= 1
            raise Retryable("locked")
        key = (message.incident_id, message.phase, message.target)
        self.messages[key] = replace(message, state=state, error=error)

    def states(self, target: str) -> list[str]:
        return [m.state for m in self.messages.values() if m.target == target]


class Post:
    """Targets that answer as they are told to; `got`: (target, subject)."""

    def __init__(self, **errors: Exception) -> None:
        self.errors = errors
        self.got: list[tuple[str, str]] = []
        self.asked: list[str] = []

    def connect(self, target: Target):
        post = self

        class Line:
            def send(self, told) -> None:
                post.asked.append(target.name)
                if target.name in post.errors:
                    raise post.errors[target.name]
                post.got.append((target.name, told.subject.removeprefix("[caravan] ")))

        return Line()

    def deliver(self, book: Book, targets=(MAIL, CHAT), is_complete=True):
        return dict(deliver(book, targets, self.connect, lambda: LATER, is_complete))


def test_each_message_is_sent_once():
    book, post = Book(), Post()
    book.see(DISK)
    assert post.deliver(book) == {"sent": 2}
    book.see(DISK)
    assert post.deliver(book) == {}
    assert post.got == [("mail", "disk of /x is nearly full"), ("chat", "disk of /x is nearly full")]


@pytest.mark.parametrize("error", [Retryable("no answer"), Misconfigured([Fault("c", "no")]), OSError("x")])
def test_a_target_that_is_down_keeps_its_messages_and_the_others_are_told_once(error):
    pager = Target(name="pager", kind="webhook", connection="http_pager")
    book, post = Book(), Post(mail=error)
    book.see(DISK, STALE, targets=(MAIL, pager))
    post.deliver(book, (MAIL, pager))
    assert post.asked.count("mail") == 1, "a server that is down costs one timeout, not one for each message"
    post.deliver(book, (MAIL, pager))
    assert book.states("mail") == ["pending", "pending"]
    assert [subject for _, subject in post.got].count("target mail cannot be told") == 1
    assert {target for target, _ in post.got} == {"pager"}

    again = Post()
    again.deliver(book, (MAIL, pager))
    assert sorted(again.got) == [
        ("mail", "channel shop_fr has no news"),
        ("mail", "disk of /x is nearly full"),
        ("pager", "over: target mail cannot be told"),
    ]
    assert Post().deliver(book, (MAIL, pager)) == {}


def test_a_message_refused_for_good_is_not_tried_again():
    book, post = Book(), Post(chat=Rejected("WEBHOOK_REFUSED", "400"))
    book.see(DISK)
    assert post.deliver(book) == {"sent": 2, "failed": 1}
    assert post.got[-1] == ("mail", "target chat cannot be told")
    assert post.deliver(book) == {}
    book.see(covers=of_kinds("disk_low"))
    assert Post().deliver(book) == {"sent": 1}, "who was never told is not told of the end"


def test_a_lock_held_after_sending_leaves_no_message_that_is_sent_again():
    book, post = Book(), Post()
    book.see(DISK)
    book.locked = 3
    assert post.deliver(book) == {"sent": 2}
    assert set(book.states("mail")) == {"sent"}


def test_the_message_of_a_target_that_is_gone_fails():
    book = Book()
    book.see(DISK)
    assert Post().deliver(book, (MAIL,)) == {"sent": 1, "failed": 1}


def test_the_messages_of_a_target_that_a_fault_hides_wait():
    book = Book()
    book.see(DISK)
    Post(chat=Retryable("no answer")).deliver(book)
    post = Post()
    assert post.deliver(book, (MAIL,), is_complete=False) == {"pending": 1}
    assert post.got == [], "nobody knows whether it answers again"
    assert post.deliver(book) == {"sent": 2}
    assert post.got == [("chat", "disk of /x is nearly full"), ("mail", "over: target chat cannot be told")]


# --- the text ---------------------------------------------------------------------------------------------------------


def test_a_message_says_what_where_since_when_and_what_to_do():
    sighting = Sighting(
        "task_failed", "critical", "collect [shop_fr]", "GZIP_TRUNCATED: it ends early",
        "sales_orders_daily", "collect", run_id="scheduled__x", link="http://127.0.0.1:8080/dags/x",
    )  # fmt: skip
    incident = opened(sighting)
    told = tell(incident, "opened")
    assert told.subject == "[caravan] sales_orders_daily: collect [shop_fr] failed"
    for part in ("GZIP_TRUNCATED", "scheduled__x", "2026-03-02 12:00 UTC", sighting.link, "docs/runbooks/sales_orders"):
        assert part in told.text
    over = tell(replace(incident, closed_at=LATER), "closed")
    assert over.subject == "[caravan] over: sales_orders_daily: collect [shop_fr] failed"
    assert "2026-03-02 12:15 UTC" in over.text
    assert told.message_id != over.message_id
    assert told.message_id == tell(incident, "opened").message_id


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_title_and_a_page_that_exists(kind):
    from caravan import PROJECT_ROOT

    sighting = Sighting(kind, "warning", "x", "y", dag_id="sales_orders_daily")
    assert tell(opened(sighting), "opened").text
    page, _, anchor = runbook(sighting).partition("#")
    headings = [
        line.removeprefix("## ").lower().replace(" ", "-")
        for line in (PROJECT_ROOT / page).read_text().splitlines()
        if line.startswith("## ")
    ]
    assert headings
    assert not anchor or anchor in headings


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, "It failed without an error; its log may say why."),
        (Rejected("GZIP_TRUNCATED", "a.gz ends early"), "GZIP_TRUNCATED: a.gz ends early"),
        (KeyError("jo@example.com"), "KeyError; its log says more."),
        (Rejected("X", "jo.doe@shop.example.com"), "X: ***@***"),
        (Retryable("https://me:secret@host/x is gone"), "https://***@host/x is gone"),
        (Retryable("https://me:sec@ret@host/x is gone"), "https://***@host/x is gone"),
    ],
)
def test_an_error_is_told_without_rows_people_and_passwords(error, told):
    assert describe(error) == told


def test_a_long_error_is_cut():
    assert len(tidy("x" * 5000)) <= LONGEST + 4
