"""Windows of whole days, run after a delay: scheduled, by hand, backfilled, and after a pause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction

from caravan.orchestration import timetables
from caravan.orchestration.timetables import WindowTimetable

DAILY = WindowTimetable("0 0 * * *", delay=timedelta(hours=3))


def at(text: str) -> pendulum.DateTime:
    return pendulum.instance(datetime.fromisoformat(text).replace(tzinfo=UTC))


def interval(start: str, end: str) -> DataInterval:
    return DataInterval(at(start), at(end))


@pytest.mark.parametrize(
    ("timetable", "last", "window", "run_after"),
    [
        (DAILY, interval("2026-03-01", "2026-03-02"), interval("2026-03-02", "2026-03-03"), "2026-03-03T03:00"),
        (DAILY, None, interval("2026-01-01", "2026-01-02"), "2026-01-02T03:00"),
        (
            WindowTimetable("0 * * * *", delay=timedelta(minutes=10)),
            interval("2026-03-01T22:00", "2026-03-01T23:00"),
            interval("2026-03-01T23:00", "2026-03-02T00:00"),
            "2026-03-02T00:10",
        ),
        # A local day is 23 hours long when the clocks go forward.
        (
            WindowTimetable("0 0 * * *", "Europe/Berlin", timedelta(hours=1)),
            interval("2026-03-27T23:00", "2026-03-28T23:00"),
            interval("2026-03-28T23:00", "2026-03-29T22:00"),
            "2026-03-29T23:00",
        ),
    ],
)
def test_a_scheduled_run_gets_the_next_window_after_the_delay(timetable, last, window, run_after):
    restriction = TimeRestriction(earliest=at("2026-01-01"), latest=None, catchup=True)
    info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
    assert info.data_interval == window
    assert info.run_after == at(run_after)


@pytest.mark.parametrize(
    ("now", "delay_hours", "last", "window"),
    [
        # due at 03:00: before it, the day before yesterday is the latest whose run is due
        ("2026-03-10T02:59", 3, None, interval("2026-03-08", "2026-03-09")),
        ("2026-03-10T03:00", 3, None, interval("2026-03-09", "2026-03-10")),
        # back after a pause, within the delay: the window that was due yesterday is not skipped
        ("2026-03-10T01:00", 3, interval("2026-03-05", "2026-03-06"), interval("2026-03-08", "2026-03-09")),
        # nothing was missed
        ("2026-03-10T12:00", 3, interval("2026-03-09", "2026-03-10"), interval("2026-03-10", "2026-03-11")),
        # a delay longer than the window must not postpone the run for ever
        ("2026-03-10T12:00", 30, None, interval("2026-03-08", "2026-03-09")),
    ],
)
def test_without_catchup_the_last_window_that_is_due_is_run(monkeypatch, now, delay_hours, last, window):
    monkeypatch.setattr(timetables.clock, "utcnow", lambda: at(now))
    timetable = WindowTimetable("0 0 * * *", delay=timedelta(hours=delay_hours))
    restriction = TimeRestriction(earliest=at("2010-12-01"), latest=None, catchup=False)
    info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
    assert info.data_interval == window


def test_before_its_first_day_a_dag_waits_for_that_day():
    restriction = TimeRestriction(earliest=at("2126-01-01"), latest=None, catchup=False)
    info = DAILY.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert info.data_interval == interval("2126-01-01", "2126-01-02")


def test_no_run_starts_after_the_last_day():
    restriction = TimeRestriction(earliest=at("2010-12-01"), latest=at("2011-01-01"), catchup=True)
    last = interval("2011-01-01", "2011-01-02")
    assert DAILY.next_dagrun_info(last_automated_data_interval=last, restriction=restriction) is None


@pytest.mark.parametrize("moment", ["2026-03-10T00:00", "2026-03-10T02:00", "2026-03-10T23:59"])
def test_a_manual_run_gets_the_last_whole_day(moment):
    assert DAILY.infer_manual_data_interval(run_after=at(moment)) == interval("2026-03-09", "2026-03-10")


def test_a_backfill_gets_one_whole_day_a_run(bag):
    from airflow.serialization.serialized_objects import DagSerialization

    dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(bag.dags["sales_orders_daily"]))
    runs = list(dag.iter_dagrun_infos_between(at("2011-02-27"), at("2011-03-01")))
    assert [run.data_interval for run in runs] == [
        interval("2011-02-27", "2011-02-28"),
        interval("2011-02-28", "2011-03-01"),
        interval("2011-03-01", "2011-03-02"),
    ]


@pytest.mark.parametrize(
    "timetable",
    [DAILY, WindowTimetable("30 6 * * 1", "Asia/Tokyo", timedelta(minutes=90)), WindowTimetable("0 * * * *")],
)
def test_a_timetable_survives_the_metadata_database(timetable):
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable

    # Through Airflow's own encoding: it refuses a class that no plugin registers.
    again = decode_timetable(encode_timetable(timetable))
    assert type(again) is WindowTimetable
    assert again.serialize() == timetable.serialize()
    assert (again.zone, again.delay, again.description) == (timetable.zone, timetable.delay, timetable.description)
