"""What the watch notices, told and over: the whole way."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from alerted import STALE, fail

from caravan.assembly import incidents, ops
from caravan.config.settings import BY_HAND
from caravan.core.errors import CaravanError, Misconfigured
from caravan.core.incidents import Due
from caravan.warehouse.evidence import insert


def test_only_what_a_scheduler_runs_beats(site, monkeypatch):
    monkeypatch.setenv(BY_HAND, "1")
    assert (ops.beat(), ops.last_beat()) == ("", None)


def test_a_clock_outside_that_is_dead_keeps_no_other_from_being_read(site, monkeypatch):
    site.mail_server()
    with (site.home / "config/alerts.yml").open("a") as file:
        file.write("clock: {connection: not_there}\n")
    real = ops.utc_now
    monkeypatch.setattr(ops, "utc_now", lambda: real() + timedelta(minutes=10))
    with pytest.raises(Misconfigured, match="not_there"):
        ops.check_machine()
    assert site.subjects()[-1] == "clock is wrong"


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
    ahead = re.search(r"it is (10 min 0|9 min 59) s ahead of the file system", site.box.mails[1].get_payload())
    assert ahead, "what the reading itself took is in doubt"
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


def test_a_market_that_was_given_up_is_closed_by_hand_and_told_once(site):
    site.mail_server()
    silent = replace(STALE, kind="zero_rows", subject="channel shop_fr, market BR", channel_code="shop_fr")
    incidents.see([silent, replace(STALE, kind="disk_low", severity="critical")])
    number = next(each.incident_id for each in incidents.open_incidents() if each.sighting.kind == "zero_rows")
    for wrong in ("", "none"):
        with pytest.raises(CaravanError, match=r"^\d open incidents have an id that ends with"):
            incidents.close(wrong)
    assert incidents.close(number[-8:]).sighting == silent
    assert [each.sighting.kind for each in incidents.open_incidents()] == ["disk_low"]
    incidents.send_messages()
    assert [subject for subject in site.subjects() if "market BR" in subject][1:] == [
        "over: channel shop_fr, market BR delivered nothing"
    ]
