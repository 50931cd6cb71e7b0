"""When the failure of an outlet is over: when it has taken something again, or nothing waits for it any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from caravan import PROJECT_ROOT
from caravan.assembly import incidents
from caravan.assembly.clock import utc_now
from caravan.assembly.outbox import open_books
from caravan.config.settings import Settings
from caravan.core.errors import Fault, Misconfigured
from caravan.core.incidents import RunEnd
from caravan.core.outbox import Accepted, Intention, Key, Message, Outcome, Refused, Unknown
from caravan.warehouse.outbox import StoredOutbox

DAG = "release_send_minutely"
MINUTE = timedelta(minutes=1)
LATER = Refused("503", 5 * MINUTE)


@pytest.fixture
def outbox(site) -> Iterator[StoredOutbox]:
    with open_books(Settings.from_environment()) as books:
        yield books.outbox


def plan(outbox: StoredOutbox, name: str, outlet: str = "chat", after: timedelta = -MINUTE) -> None:
    due = utc_now() + after
    key = Key("release", name, 1, outlet, "de-DE")
    outbox.plan([Intention(key, due, due + 60 * MINUTE, "c0ffee")], utc_now(), "me")


def hand_over(outbox: StoredOutbox, outcome: Outcome, outlet: str = "chat") -> Message:
    """One message of the outlet; a refusal for now waits for its retry."""
    now = utc_now()
    (claimed,) = outbox.claim("release", outlet, "one", now, now, 10 * MINUTE, 1)
    begun = outbox.begin(claimed, now)
    assert isinstance(begun, Message)
    after = outcome.after if isinstance(outcome, Refused) else None
    outbox.record(begun, outcome, utc_now(), again_at=now + after if after else None)
    return begun


def fail(outlet: str = "chat", dag_id: str = DAG) -> None:
    refused = Misconfigured([Fault(f"connection {outlet}", "401")])
    incidents.task_failed(dag_id, "send", outlet, "r1", 1, "http://x", refused)


def run(*states: str, dag_id: str = DAG) -> list[str]:
    """The tasks of which a failure is open after a run in which `send` ended so for the outlets that it tried."""
    end = RunEnd(dag_id, "r2", 1, {"send": states, "verdict": ["running"]}, "verdict", "http://x")
    incidents.run_ended(end, None)
    return [each.sighting.subject for each in incidents.open_incidents() if each.sighting.kind == "task_failed"]


def nothing(outbox: StoredOutbox) -> None:
    pass


def miss(outbox: StoredOutbox) -> None:
    assert outbox.recover(utc_now() + 120 * MINUTE) == {"missed": 1}


def cancel(outbox: StoredOutbox) -> None:
    assert outbox.cancel("release", "autumn", 1, "withdrawn", utc_now(), "me") == 1


def decide(outbox: StoredOutbox) -> None:
    """Nobody knows whether it arrived, and a person is to say."""
    plan(outbox, "winter")
    begun = hand_over(outbox, Unknown("no answer"))
    cancel(outbox)
    (unknown,) = outbox.find(state="unknown")
    assert unknown.key == begun.key and outbox.settle(unknown, "operator", "no evidence", utc_now(), "me")


def lose(outbox: StoredOutbox) -> None:
    plan(outbox, "winter")
    hand_over(outbox, Unknown("no answer"))
    cancel(outbox)


def switch_off(outbox: StoredOutbox) -> None:
    folder = Settings.from_environment().config_dir / "outlets"
    folder.mkdir(exist_ok=True)
    text = "code: chat\nname: Chat\nkind: mastodon\nconnection: posts_chat\nenabled: false\n"
    (folder / "chat.yml").write_text(text)


def other(outcome: Outcome, outlet: str = "chat") -> Callable[[StoredOutbox], None]:
    """The other message of an outlet."""

    def take(outbox: StoredOutbox) -> None:
        plan(outbox, "winter", outlet)
        hand_over(outbox, outcome, outlet)

    return take


@pytest.mark.parametrize(
    ("since", "is_over"),
    [
        (nothing, False),
        (other(Accepted(), "site"), False),
        (other(LATER), False),
        (other(Refused("422")), False),
        (other(Accepted()), True),
        (lose, False),
        (decide, True),
        (miss, True),
        (cancel, True),
        (switch_off, True),
    ],
)
def test_an_outlet_that_waits_for_its_retry_is_still_down(outbox, monkeypatch, since, is_over):
    monkeypatch.setenv(incidents.SWITCH, "off")
    plan(outbox, "before")
    hand_over(outbox, Accepted())
    plan(outbox, "autumn")
    plan(outbox, "next year", after=timedelta(days=90))
    hand_over(outbox, LATER)
    fail()
    assert run("success", "success") == ["send [chat]"], "the others were well"
    since(outbox)
    assert run("success", "success") == ([] if is_over else ["send [chat]"])


def test_an_outlet_fails_again_and_is_one_incident_until_it_has_taken_something(site, outbox):
    site.mail_server()
    plan(outbox, "autumn")
    for _ in range(2):
        fail()
        run("success")
    plan(outbox, "winter")
    hand_over(outbox, Accepted())
    assert run("success") == []
    assert site.subjects() == [f"{DAG}: send [chat] failed", f"over: {DAG}: send [chat] failed"]


def test_other_tasks_are_over_as_ever(site, outbox):
    plan(outbox, "autumn")
    fail(dag_id="sales")
    incidents.task_failed(DAG, "send", None, "r1", 1, "http://x", None)
    incidents.task_failed(DAG, "list_outlets", None, "r1", 1, "http://x", None)
    assert run("success", dag_id="sales") == ["send", "list_outlets"]
    assert run("success") == []


def test_the_dag_and_its_task_are_called_so():
    text = (PROJECT_ROOT / "dags" / f"{DAG}.py").read_text()
    assert "def send(outlet: str)" in text and "task.op_kwargs['outlet']" in text


def test_without_an_outbox_nothing_waits(site):
    fail()
    assert run("success") == []
