"""The whole way from a failure to a mail, with faults on the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from alerted import DISK, NOON, STALE, end, fail, watch
from test_notify import PLAIN, Postbox, free_port

from caravan import INCLUDE_DIR, PROJECT_ROOT
from caravan.assembly import incidents, ops
from caravan.clients.notify import smtp, spool
from caravan.core.connections import Connection
from caravan.core.errors import Rejected, Retryable
from caravan.functions.ops.incidents import nothing, observe
from caravan.warehouse.incidents import IncidentBook


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

    def refuse(*given: object) -> None:
        asked.append("x")
        raise OSError

    monkeypatch.setattr(smtp, "open_server", refuse)
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


def test_a_full_disk_is_one_incident_and_the_watch_that_cannot_write_is_none(site, monkeypatch):
    site.mail_server()
    with monkeypatch.context() as full:
        locked(full)
        with pytest.raises(Retryable):
            full.setattr(IncidentBook, "claim", IncidentBook.change)
            incidents.send_messages()
        incidents.see([DISK])
        assert incidents.send_messages() == {"not recorded": 1}
    assert site.subjects() == ["disk of /x is nearly full"]
    incidents.send_messages()
    assert [each.sighting.kind for each in incidents.open_incidents()] == ["disk_low"]
    assert len(site.subjects()) == 1


CAN_MOUNT = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], check=False).returncode == 0


@pytest.mark.skipif(not CAN_MOUNT, reason="this machine lets nobody make a mount namespace")
def test_a_really_full_disk_is_told_once_and_over_once(tmp_path, monkeypatch):
    box = Postbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    shutil.copytree(INCLUDE_DIR / "config", tmp_path / "config")
    target = {
        "name": "mail",
        "kind": "smtp",
        "connection": "smtp_alerts",
        "sender": "a@example.com",
        "to": ["b@example.com"],
    }
    (tmp_path / "config" / "alerts.yml").write_text(json.dumps({"targets": [target], "disk": {"used_pct": 99}}))
    mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": controller.port, "extra": PLAIN}
    environ = {
        "PYTHONPATH": str(PROJECT_ROOT / "plugins"),
        "CARAVAN_HOME": str(tmp_path / "home"),
        "CARAVAN_CONFIG": str(tmp_path / "config"),
        "AIRFLOW_CONN_SMTP_ALERTS": json.dumps(mail),
    }
    (tmp_path / "home").mkdir()
    script = Path(__file__).with_name("full_disk.py")
    try:
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", sys.executable, str(script), str(tmp_path)],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        controller.stop()
    assert done.returncode == 0, done.stderr
    first, second, third, fourth = json.loads(done.stdout.splitlines()[-1])
    assert all("can be neither written nor read: it is full" in found for found in first[:2]), "nobody knows yet"
    waits = {"not recorded": 1}
    assert first[2:] == [waits] * 4 and second == [waits] * 6
    assert third[-1] == {"disk_low": 1}, "recorded now"
    assert fourth[-2:] == [{}, {}], "over, and told as it was seen"
    assert [str(mail["Subject"]).split(" ", 2)[1] for mail in box.mails] == ["disk", "over:"]


def test_what_nobody_was_told_of_keeps_the_watch_red(site, monkeypatch):
    locked(monkeypatch)
    incidents.see([DISK])  # the mail server is down
    with pytest.raises(Retryable):
        incidents.send_messages()


def test_that_something_else_was_told_lets_no_watch_wait(site, monkeypatch):
    """A lock that is held for hours: what is late or silent meanwhile would be told to nobody."""
    site.mail_server()
    locked(monkeypatch)
    fail()
    assert site.subjects() == ["sales: collect [shop_fr] failed"]
    for step in (ops.check_sources, ops.check_configuration):
        with pytest.raises(Retryable):
            step()


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
    monkeypatch.setattr(Connection, "url", lambda connection: (_ for _ in ()).throw(RuntimeError("s3cret")))
    assert incidents.send_trial() == {"bad": "RuntimeError; its log says more.", "mail": "sent"}
    locked(monkeypatch)
    fail()
    assert site.subjects() == ["a test message", "sales: collect [shop_fr] failed"]


def test_what_stands_already_is_not_told_again_when_the_warehouse_cannot_take_it(site, monkeypatch):
    site.mail_server()
    fail()
    monkeypatch.setattr(IncidentBook, "change", lambda *arguments: (_ for _ in ()).throw(Retryable("locked")))
    fail()
    assert len(site.subjects()) == 1


def test_the_demo_tells_nobody(site, monkeypatch):
    site.mail_server()
    monkeypatch.setenv(incidents.SWITCH, "off")
    fail()
    assert (site.subjects(), len(incidents.open_incidents())) == ([], 1)


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
