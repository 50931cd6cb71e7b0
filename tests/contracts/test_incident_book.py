"""The record of incidents on both engines, and the whole way from a fault to a mail, with faults on the way."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from test_notify import PLAIN, Postbox, free_port

from caravan import INCLUDE_DIR
from caravan.assembly import incidents, ops
from caravan.clients.notify import spool
from caravan.config.alerts import Target
from caravan.config.settings import BY_HAND
from caravan.core.errors import Misconfigured, Rejected, Retryable
from caravan.core.incidents import Changes, Due, RunEnd, Sighting
from caravan.functions.ops.incidents import nothing, observe, of_kinds
from caravan.warehouse import watched
from caravan.warehouse.evidence import insert
from caravan.warehouse.incidents import IncidentBook
from caravan.warehouse.lake import Lake

NOON = datetime(2026, 3, 2, 12)
MAIL = Target(name="mail", kind="smtp", connection="smtp_alerts", sender="a@example.com", to=("b@example.com",))
CHAT = Target(name="chat", kind="webhook", connection="http_alerts")
DISK = Sighting("disk_low", "critical", "disk of /x", "99.0 % are used")
STALE = Sighting("stale", "warning", "channel fr", "Nothing has come.", channel_code="fr")


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


# --- the whole way ----------------------------------------------------------------------------------------------------


class Site:
    """An installation with one mail target. `mail_server` starts it: it is down at first."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.box = Postbox()
        self.port = free_port()
        self.controllers: list[Any] = []
        config = home / "config"
        shutil.copytree(INCLUDE_DIR / "config", config)
        target = '{"name": "mail", "kind": "smtp", "connection": "smtp_alerts", "sender": "a@example.com", '
        (config / "alerts.yml").write_text("targets: [" + target + '"to": ["b@example.com"]}]\n')
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": self.port, "extra": PLAIN}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_ALERTS", json.dumps(connection))
        monkeypatch.setenv("CARAVAN_HOME", str(home))
        monkeypatch.setenv("CARAVAN_CONFIG", str(config))
        monkeypatch.setenv("CARAVAN_WAREHOUSE", f"lake://{home / 'lake'}")
        monkeypatch.delenv(incidents.SWITCH, raising=False)
        # One connection for all: to attach the lake takes longer than everything done with it.
        self.lake = Lake(home / "lake")
        monkeypatch.setattr(incidents, "open_warehouse", lambda settings, **options: contextlib.nullcontext(self.lake))
        monkeypatch.setattr(incidents, "migrate", lambda warehouse: None)

    def mail_server(self) -> None:
        from aiosmtpd.controller import Controller

        self.controllers.append(Controller(self.box, hostname="127.0.0.1", port=self.port))
        self.controllers[-1].start()

    def subjects(self) -> list[str]:
        return [str(mail["Subject"]).removeprefix("[caravan] ") for mail in self.box.mails]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lakes) -> Iterator[Site]:
    lakes.migrated(tmp_path / "lake")
    site = Site(tmp_path, monkeypatch)
    yield site
    site.lake.close()
    for controller in site.controllers:
        controller.stop()


def fail(label: str | None = "shop_fr", run_id: str = "r1") -> None:
    incidents.task_failed("sales", "collect", label, run_id, 1, "http://x", Rejected("GZIP_TRUNCATED", "it ends early"))


def end(error: Exception | None, failed: int = 0, run_id: str = "r1") -> None:
    states = {"collect": ["failed"] * failed + ["success"] * (3 - failed), "verdict": ["running"]}
    incidents.run_ended(RunEnd("sales", run_id, 1, states, "verdict", "http://x"), error)


def watch() -> None:
    """All steps of the watch that look at something, and the one that delivers."""
    ops.check_sources()
    ops.check_runs(lambda *asked: ([], [], {}))
    ops.check_machine()
    ops.check_configuration()
    incidents.send_messages()


def test_a_failure_is_told_once_and_its_end_once(site):
    site.mail_server()
    fail()
    end(Rejected("TASKS_FAILED", "collect"), failed=1)
    fail(run_id="r2")
    end(Rejected("TASKS_FAILED", "collect"), failed=1, run_id="r2")
    incidents.send_messages()
    assert site.subjects() == ["sales: collect [shop_fr] failed"]
    assert "GZIP_TRUNCATED: it ends early" in site.box.mails[0].get_payload()
    end(None, run_id="r3")
    end(None, run_id="r4")
    assert site.subjects() == ["sales: collect [shop_fr] failed", "over: sales: collect [shop_fr] failed"]
    assert incidents.open_incidents() == []


def test_a_mail_server_that_was_down_gets_each_message_once(site):
    fail()
    incidents.send_messages()
    assert {i.sighting.kind for i in incidents.open_incidents()} == {"task_failed", "target_down"}
    site.mail_server()
    assert incidents.send_messages() == {"sent": 1}
    assert incidents.send_messages() == {}
    assert site.subjects() == ["sales: collect [shop_fr] failed"]
    assert [i.sighting.kind for i in incidents.open_incidents()] == ["task_failed"]


def test_a_target_that_is_down_is_asked_once_by_a_watch(site, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(incidents.SmtpTarget, "open", lambda target: (_ for _ in ()).throw(OSError(asked.append("x"))))
    fail()
    for _ in range(2):
        asked.clear()
        watch()
        end(Rejected("TASKS_FAILED", "collect"), failed=1)
        assert asked == ["x"]
    assert max(incident.seen_count for incident in incidents.open_incidents()) == 3


def test_what_opened_before_anybody_was_named_is_told_when_it_comes_again(site, monkeypatch):
    site.mail_server()
    with monkeypatch.context() as off:
        off.setenv(incidents.SWITCH, "off")
        fail()
        fail("shop_de")
    fail(run_id="r2")
    fail(run_id="r3")
    end(None, run_id="r4")
    assert site.subjects() == ["sales: collect [shop_fr] failed", "over: sales: collect [shop_fr] failed"]


def test_a_fault_in_the_alerts_fails_no_message_of_the_target_it_hides(site):
    alerts = site.home / "config/alerts.yml"
    sound = alerts.read_text()
    fail()
    site.mail_server()
    other = '{"name": "chat", "kind": "webhook", "connection": "http_chat"}'
    alerts.write_text(sound.replace('"smtp"', '"smpt"').replace("}]", "}, " + other + "]"))
    assert incidents.send_messages() == {"pending": 1}
    alerts.write_text(sound)
    assert incidents.send_messages()["sent"] == 1
    assert site.subjects()[0] == "sales: collect [shop_fr] failed"


def test_a_sender_that_dies_before_its_record_sends_the_same_mail_once_more(site, monkeypatch):
    site.mail_server()
    with monkeypatch.context() as dying:
        dying.setattr(IncidentBook, "settle", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            fail()
    incidents.send_messages()
    assert len(site.subjects()) == 1, "somebody may still be sending it"
    later = ops.utc_now() + timedelta(minutes=11)
    monkeypatch.setattr(incidents, "utc_now", lambda: later)
    incidents.send_messages()
    incidents.send_messages()
    first, second = site.box.mails
    assert first["Message-ID"] == second["Message-ID"]


def test_what_the_warehouse_cannot_take_is_told_once_and_recorded_later(site, monkeypatch):
    """As with a full disk, or a lock that somebody holds."""
    site.mail_server()
    with monkeypatch.context() as full:
        full.setattr(IncidentBook, "change", lambda *arguments: (_ for _ in ()).throw(Retryable("no room on the disk")))
        fail()
        fail()
        end(Rejected("RUN_INCOMPLETE", "no slice"))
    assert site.subjects() == ["sales: collect [shop_fr] failed", "sales: verdict failed"]
    assert incidents.open_incidents() == []
    incidents.send_messages()
    incidents.send_messages()
    assert len(site.subjects()) == 2, "told already"
    assert {incident.sighting.subject for incident in incidents.open_incidents()} == {"collect [shop_fr]", "verdict"}
    end(None, run_id="r2")
    assert [subject for subject in site.subjects() if subject.startswith("over")] == [
        "over: sales: collect [shop_fr] failed",
        "over: sales: verdict failed",
    ]


def locked(monkeypatch) -> None:
    monkeypatch.setattr(IncidentBook, "change", lambda *arguments: (_ for _ in ()).throw(Retryable("locked")))


def test_a_failure_told_while_the_lock_was_held_is_no_silent_one_at_the_runs_end(site, monkeypatch):
    site.mail_server()
    fail("shop_de", run_id="r0")
    with monkeypatch.context() as held:
        locked(held)
        fail()
        fail("shop_de")
    end(Rejected("TASKS_FAILED", "collect"), failed=2)
    assert site.subjects() == ["sales: collect [shop_de] failed", "sales: collect [shop_fr] failed"]


def test_what_is_being_told_is_not_recorded_and_told_by_another_as_well(site, monkeypatch):
    """While one that could not record it sends, a run ends and the watch delivers."""
    site.mail_server()
    send = incidents.SmtpTarget.send
    change = IncidentBook.change

    def interrupted(target, told):
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(incidents.SmtpTarget, "send", send)
            meanwhile.setattr(IncidentBook, "change", change)
            end(Rejected("TASKS_FAILED", "collect"), failed=1)
            incidents.send_messages()
        return send(target, told)

    with monkeypatch.context() as held:
        locked(held)
        held.setattr(incidents.SmtpTarget, "send", interrupted)
        fail()
    incidents.send_messages()
    end(None, run_id="r2")
    incidents.send_messages()
    assert site.subjects() == ["sales: collect [shop_fr] failed", "over: sales: collect [shop_fr] failed"]
    assert incidents.open_incidents() == []


def test_a_killed_task_is_told_though_the_warehouse_cannot_take_it(site, monkeypatch):
    site.mail_server()
    locked(monkeypatch)
    fail()
    end(Rejected("TASKS_FAILED", "collect"), failed=1)
    assert site.subjects() == ["sales: collect [shop_fr] failed"]
    end(Rejected("TASKS_FAILED", "collect"), failed=2)
    assert site.subjects() == ["sales: collect [shop_fr] failed", "sales: collect failed"]


def test_a_failure_of_which_a_full_disk_took_the_name_alone_is_not_told_as_a_silent_one(site, monkeypatch):
    site.mail_server()
    locked(monkeypatch)
    fail()
    (path,) = (site.home / "alerts").iterdir()
    path.write_text("")
    end(Rejected("TASKS_FAILED", "collect"), failed=1)
    assert site.subjects() == ["sales: collect [shop_fr] failed"]


def test_only_what_a_scheduler_runs_beats(site, monkeypatch):
    monkeypatch.setenv(BY_HAND, "1")
    assert (ops.beat(), ops.last_beat()) == ("", None)


def test_a_disk_without_room_for_a_name_keeps_nobody_from_knowing(site, monkeypatch):
    site.mail_server()
    assert ops.beat() and (site.home / "alerts").is_dir()
    locked(monkeypatch)
    monkeypatch.setattr(spool.Spool, "put", lambda *arguments: (_ for _ in ()).throw(OSError("no space left")))
    fail()
    assert site.subjects() == ["sales: collect [shop_fr] failed"]


def test_one_target_that_cannot_even_be_asked_stops_no_other(site, monkeypatch):
    site.mail_server()
    book = site.home / "config/alerts.yml"
    bad = '{"name": "bad", "kind": "webhook", "connection": "http_bad"}, '
    book.write_text(book.read_text().replace("[{", f"[{bad}{{", 1))
    monkeypatch.setenv("AIRFLOW_CONN_HTTP_BAD", json.dumps({"conn_type": "http", "host": "x"}))
    monkeypatch.setattr(ops.http, "url_of", lambda connection: (_ for _ in ()).throw(RuntimeError("s3cret")))
    assert incidents.send_trial() == {"bad": "RuntimeError; its log says more.", "mail": "sent"}
    locked(monkeypatch)
    fail()
    assert site.subjects() == ["a test message", "sales: collect [shop_fr] failed"]


def test_a_clock_outside_that_is_dead_keeps_no_other_from_being_read(site, monkeypatch):
    site.mail_server()
    with (site.home / "config/alerts.yml").open("a") as file:
        file.write("clock: {connection: not_there}\n")
    real = ops.utc_now
    monkeypatch.setattr(ops, "utc_now", lambda: real() + timedelta(minutes=10))
    with pytest.raises(Misconfigured, match="not_there"):
        ops.check_machine()
    assert site.subjects()[-1] == "clock is wrong"


def test_what_stands_already_is_not_told_again_when_the_warehouse_cannot_take_it(site, monkeypatch):
    site.mail_server()
    fail()
    monkeypatch.setattr(IncidentBook, "change", lambda *arguments: (_ for _ in ()).throw(Retryable("locked")))
    fail()
    assert len(site.subjects()) == 1


def test_a_faulty_alerts_file_is_an_incident_itself(site):
    site.mail_server()
    (site.home / "config/alerts.yml").write_text("tragets: []\n")
    ops.check_configuration()
    fail()
    assert site.subjects() == []
    kinds = {incident.sighting.kind: incident.sighting.what for incident in incidents.open_incidents()}
    assert set(kinds) == {"config_fault", "task_failed"}
    assert "did you mean 'targets'" in kinds["config_fault"]


def test_a_channel_that_is_gone_from_under_its_limit_silences_nobody(site):
    site.mail_server()
    with (site.home / "config/alerts.yml").open("a") as file:
        file.write("stale_after_hours: {channels: {gone: 5}}\n")
    fail()
    assert site.subjects() == ["sales: collect [shop_fr] failed"]


def test_the_demo_tells_nobody(site, monkeypatch):
    site.mail_server()
    monkeypatch.setenv(incidents.SWITCH, "off")
    fail()
    assert (site.subjects(), len(incidents.open_incidents())) == ([], 1)


def test_the_watch_finds_nothing_where_all_is_well(site):
    site.mail_server()
    assert ops.beat() == str(site.home / "heartbeat")
    found = ops.check_sources() | ops.check_runs(lambda *asked: ([], [], {})) | ops.check_configuration()
    assert set(found.values()) == {0}
    assert ops.last_beat() is not None and ops.verdict() == {}


def test_a_disk_at_99_percent_and_a_clock_10_minutes_off_are_named(site, monkeypatch):
    site.mail_server()
    real = ops.utc_now
    with monkeypatch.context() as off:
        # A quarter is kept for root: `df` has 99 % of what anybody may use.
        off.setattr(ops.shutil, "disk_usage", lambda path: (132 * 10**9, 99 * 10**9, 10**9))
        off.setattr(ops, "utc_now", lambda: real() + timedelta(minutes=10))
        assert ops.check_machine() == {"disk_low": 1, "clock_off": 1}
    assert [subject.split()[-1] for subject in site.subjects()] == ["full", "wrong"]
    assert "99.0 % are used, 1.0 GB are free" in site.box.mails[0].get_payload()
    assert "10 min 0 s ahead of the file system" in site.box.mails[1].get_payload()
    monkeypatch.setattr(ops.shutil, "disk_usage", lambda path: (100 * 10**9, 50 * 10**9, 50 * 10**9))
    ops.check_machine()
    assert [subject[:5] for subject in site.subjects()[2:]] == ["over:", "over:"]


def test_a_late_run_and_a_broken_file_are_told(site):
    site.mail_server()
    due = Due("marts", 2, ops.utc_now() - timedelta(hours=9))
    run = {"run_id": "scheduled__1", "dag_id": "marts", "started_at": due.due_at - timedelta(hours=1)}
    with site.lake.write() as session:
        insert(session, "ops.run", run | {"ended_at": due.due_at})
    found = ops.check_runs(lambda *asked: ([due], [], {"x.py": "ImportError: y"}))
    assert found == {"run_late": 1, "dag_broken": 1}
    assert site.subjects() == ["marts: run is late", "file x.py cannot be read"]


@pytest.mark.parametrize("succeeds", [False, True])
def test_a_late_run_is_over_when_its_window_has_been_done_or_a_later_one_succeeds(site, succeeds):
    site.mail_server()
    asked: list[dict[str, datetime]] = []
    day = timedelta(days=1)
    before = ops.utc_now() - 9 * day
    missed, later = (Due("sales", 1, due, due - day, due) for due in (ops.utc_now() - day, ops.utc_now() - day / 2))

    def ran(run_id: str, start: datetime, end: datetime, state: str = "failed") -> None:
        window = {"window_start": start, "window_end": end, "started_at": end, "ended_at": end, "state": state}
        with site.lake.write() as session:
            insert(session, "ops.run", {"run_id": run_id, "dag_id": "sales"} | window)

    def check(newest: Due, errors=None) -> int:
        def due_runs(alerts, now, since):
            asked.append(since)
            return [newest], [missed] if "sales" in since else [], errors or {}

        return ops.check_runs(due_runs)["run_late"]

    ran("scheduled__0", before - day, before)
    assert check(missed) == 1
    (incident,) = incidents.open_incidents()
    ran("scheduled__2", later.start, later.end)
    assert check(later) == 1, "the missed window is missed still"
    assert asked == [{}, {"sales": incident.opened_at}], "the DAG files are read once each time"
    if succeeds:
        ran("scheduled__3", later.end, later.end + day, "success")
        assert check(later) == 0
        text = site.box.mails[1].get_payload(decode=True).decode()
        assert f"`./caravan run sales --from {missed.start:%Y-%m-%d} --to" in text
        return
    ran("backfill__1", missed.start, missed.end)
    ops.check_runs(lambda *asked: ([], [], {"sales.py": "SyntaxError: x"}))
    assert "run_late" in {incident.sighting.kind for incident in incidents.open_incidents()}, (
        "its file is broken: no news"
    )
    assert check(later) == 0
    assert incidents.open_incidents() == []


def test_a_source_that_stays_silent_is_not_over_because_another_weekday_has_come(site):
    site.mail_server()
    silent = replace(STALE, kind="zero_rows", subject="channel shop_fr", channel_code="shop_fr")
    incidents.see([silent])
    ops.check_sources()
    assert [incident.sighting.kind for incident in incidents.open_incidents()] == ["zero_rows"]


def test_every_target_can_be_tried(site):
    assert "cannot be reached" in incidents.send_trial()["mail"]
    site.mail_server()
    assert incidents.send_trial() == {"mail": "sent"}
    assert site.subjects() == ["a test message"]


def test_a_name_without_content_keeps_an_incident_quiet_for_a_day(tmp_path):
    place = spool.Spool(tmp_path / "alerts")
    (incident,) = observe([], {}, [DISK], nothing, [], NOON).opened
    assert place.put(incident, list)
    (path,) = place.folder.iterdir()
    path.write_text("")  # no room for more than the name
    assert not place.put(incident, lambda: pytest.fail("told again"))
    assert list(place.waiting()) == []
    place.clear(path.stat().st_mtime + 3600)
    assert path.exists()
    place.clear(path.stat().st_mtime + 25 * 3600)
    assert place.put(incident, list)


def test_what_two_record_at_once_is_recorded_by_one(tmp_path, monkeypatch):
    place = spool.Spool(tmp_path / "alerts")
    (incident,) = observe([], {}, [DISK], nothing, [], NOON).opened
    recorded: list[tuple[Any, list[str]]] = []

    def record(incident: Any, told: list[str]) -> None:
        recorded.append((incident, told))
        place.hand_over(record)

    place.put(incident, lambda: ["mail"])
    place.hand_over(record)
    assert recorded == [(incident, ["mail"])]

    place.put(incident, list)
    lock = spool.fcntl.flock

    def late(file: Any, how: int) -> None:
        """Another one has opened, recorded and removed it by now."""
        monkeypatch.setattr(spool.fcntl, "flock", lock)
        place.hand_over(record)
        lock(file, how)

    monkeypatch.setattr(spool.fcntl, "flock", late)
    place.hand_over(record)
    assert recorded[1:] == [(incident, [])]


def test_a_file_that_goes_while_the_others_are_read_is_skipped(tmp_path, monkeypatch):
    place = spool.Spool(tmp_path / "alerts")
    for incident in observe([], {}, [DISK, STALE], nothing, [], NOON).opened:
        place.put(incident, list)
    paths = place._paths()
    monkeypatch.setattr(spool.Spool, "_paths", lambda self: paths)
    paths[0].unlink()
    assert len(list(place.waiting())) == 1
    place.hand_over(lambda *found: None)
    assert list(place.waiting()) == []
