"""An outlet of whose mails too much came back hands over nothing more, until a person has looked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from release_world import Box, ReleaseWorld, agreed

from caravan.assembly import feedback, reporting
from caravan.cli import main as cli
from caravan.clients.mail import mailbox
from caravan.core.errors import Misconfigured, Rejected
from caravan.core.feedback import Feedback, Received
from caravan.functions.outbox import feedback as rules
from caravan.reporting.outgoing import Outlet

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    """Of two mails one says something here."""
    world = ReleaseWorld(tmp_path, monkeypatch)
    monkeypatch.setattr(feedback, "utc_now", lambda: world.now)
    monkeypatch.setattr(rules, "FEW", 2)
    monkeypatch.setattr(rules, "CHANCE", Decimal(0))
    outlet = world.config / "outlets" / "letter.yml"
    outlet.write_text(outlet.read_text() + "bounces: {connection: imap_bounces}\n")
    monkeypatch.setenv("AIRFLOW_CONN_IMAP_BOUNCES", '{"conn_type": "imap", "host": "127.0.0.1"}')
    monkeypatch.setattr(mailbox, "receive", lambda *given: [])
    world.people(*agreed("anna"), *agreed("ben"))
    world.approve()
    world.plan()
    world.send()
    yield world
    world.controller.stop()


def complain(world: ReleaseWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.desk() as desk:
        anna = next(each for each in desk.outbox.find() if each.key.target == "anna@example.com")
    found = Feedback(
        kind="complaint", raw_id="raw", message_id=anna.message_id, provider_id=None, at=world.now, detail="abuse"
    )
    monkeypatch.setattr(mailbox, "receive", lambda *given: [Received((found,), lambda: None)])


def waits(world: ReleaseWorld) -> str:
    """Somebody new is on the list; what becomes of their mail."""
    world.people(*agreed("anna"), *agreed("ben"), *agreed("cara"))
    world.plan()
    world.now += MINUTE
    world.send()
    return world.states()["cara@example.com"]


def test_it_stops_until_it_is_lifted_and_is_judged_anew_then(world, monkeypatch, caplog, capsys):
    assert feedback.collect("letter") == {}
    complain(world, monkeypatch)
    stopped = "OUTLET_STOPPED: letter: since 2026-11-25 09:30 UTC nothing leaves: 1 of 2 mails were called spam"
    with pytest.raises(Rejected, match=stopped):
        feedback.collect("letter")
    assert waits(world) == "planned"
    assert "1 held: the outlet is stopped: 1 of 2 mails were called spam" in caplog.text
    with pytest.raises(Rejected, match=stopped):
        feedback.collect("letter")

    (mark,) = (Outlet(each).mark for each in reporting.traffic(world.settings, world.now) if each.outlet == "letter")
    assert mark == ("bad", "stopped")
    assert cli.main(["outbox", "list"]) == 0
    assert "letter: stopped since 2026-11-25 09:30 UTC, nothing leaves: 1 of 2 mails" in capsys.readouterr().out
    with world.desk() as desk:
        (cara,) = desk.outbox.find(state="planned")
    assert cli.main(["outbox", "explain", cara.message_id]) == 0
    assert "its outlet is stopped: 1 of 2 mails were called spam" in capsys.readouterr().out

    assert cli.main(["outbox", "lift", "letter", "--why", "that list is gone"]) == 0
    world.send()
    assert world.states()["cara@example.com"] == "accepted"
    assert feedback.collect("letter") == {"told before": 1}, "the complaint was about a mail of before"
    with pytest.raises(Rejected, match="NOT_STOPPED"):
        feedback.lift("letter", "Li", "again")
    with pytest.raises(Misconfigured, match="there is no outlet 'leter'; did you mean 'letter'"):
        feedback.lift("leter", "Li", "again")


def test_without_queue_and_mailbox_it_is_judged_by_what_its_server_says_at_once(world, monkeypatch):
    async def refuse(self, server, session, envelope, address, options) -> str:
        envelope.rcpt_tos.append(address)
        return "550 5.1.1 User unknown" if address.startswith("cara") else "250 OK"

    path = world.config / "outlets" / "letter.yml"
    path.write_text(path.read_text().replace("bounces: {connection: imap_bounces}\n", ""))
    assert feedback.list_outlets() == ["letter"] and feedback.collect("letter") == {}
    monkeypatch.setattr(Box, "handle_RCPT", refuse, raising=False)
    assert waits(world) == "rejected"
    with pytest.raises(Rejected, match="1 of 3 mails went to addresses that there are not"):
        feedback.collect("letter")
    feedback.lift("letter", "Li", "seen")
    world.now += MINUTE
    assert feedback.collect("letter") == {}


def test_a_list_is_stopped_in_the_middle(world, monkeypatch):
    world.people(*agreed("anna"), *agreed("ben"), *agreed("cara"), *agreed("dan"))
    world.plan()
    world.now += MINUTE
    taken, handle = [], world.box.handle_DATA

    async def stop_after_one(server, session, envelope):
        with world.desk() as desk:
            desk.stops.stop("letter", "too much", world.now)
        taken.append(envelope.rcpt_tos)
        return await handle(server, session, envelope)

    monkeypatch.setattr(world.box, "handle_DATA", stop_after_one)
    assert world.send()["letter"] == {"accepted": 1, "held": 1}
    assert len(taken) == 1
