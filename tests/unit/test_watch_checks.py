"""What the watch finds wrong, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from caravan.config.alerts import Alerts, Staleness
from caravan.core.errors import Fault
from caravan.core.incidents import Due, Incident, Sighting
from caravan.functions.ops import checks
from caravan.functions.ops.checks import Reading, Run

NOW = datetime(2026, 3, 30, 12)  # a Monday
TODAY = NOW.date()


def weeks(*ago: int, day: date = TODAY) -> dict[date, int]:
    return {day - timedelta(weeks=week): 5 for week in ago}


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


@pytest.mark.parametrize(
    ("last", "limits", "stale"),
    [
        (NOW - hours(47), Staleness(), False),
        (NOW - hours(49), Staleness(), True),
        (NOW - hours(49), Staleness(channels={"fr": 192}), False),
        (NOW - hours(193), Staleness(channels={"fr": 192}), True),
        (NOW - hours(5), Staleness(default=4), True),
        (None, Staleness(), False),
    ],
)
def test_a_source_is_stale_when_nothing_has_come_for_too_long(last, limits, stale):
    loads = {} if last is None else {"fr": last}
    found = checks.stale_sources(loads, {}, ["fr"], limits, NOW)
    assert [sighting.subject for sighting in found] == (["channel fr"] if stale else [])


@pytest.mark.parametrize(("hours_ago", "stale"), [(100, False), (121, True)])
def test_a_source_that_is_no_channel_has_a_limit_of_its_own(hours_ago, stale):
    limits = Staleness(sources={"rates_fetched": 120, "never": 1})
    found = checks.stale_sources({"rates_fetched": NOW - hours(hours_ago)}, {}, [], limits, NOW)
    assert [sighting.subject for sighting in found] == (["source rates_fetched"] if stale else [])


@pytest.mark.parametrize(
    ("newest", "stale"),
    [(TODAY - timedelta(days=3), False), (TODAY - timedelta(days=4), True), (None, False)],
)
def test_a_market_is_stale_when_its_newest_order_is_too_old(newest, stale):
    """72 hours, counted from the end of that day."""
    days = {} if newest is None else {("de", "SE"): newest}
    found = checks.stale_sources({"de": NOW}, days, ["de"], Staleness(markets={"de": {"SE": 72}}), NOW)
    assert [(each.channel_code, each.market_code) for each in found] == ([("de", "SE")] if stale else [])


@pytest.mark.parametrize(
    ("case", "rows", "day", "silent"),
    [
        ("as every week", weeks(0, 1, 2, 3, 4), TODAY, False),
        ("nothing, as never before", weeks(1, 2, 3, 4), TODAY, True),
        ("nothing, as two weeks ago", weeks(1, 3, 4), TODAY, False),
        ("too new to know", weeks(1, 2, 3), TODAY, False),
        ("an empty file is nothing", {**weeks(1, 2, 3, 4), TODAY: 0}, TODAY, True),
        ("other weekdays say nothing", weeks(1, 2, 3, 4, day=TODAY - timedelta(days=1)), TODAY, False),
        ("nothing has run", weeks(1, 2, 3, 4), None, False),
    ],
)
def test_a_source_is_silent_when_it_delivered_on_that_weekday_in_each_of_four_weeks(case, rows, day, silent):
    found = checks.silent_sources({"fr": rows}, ["fr"], day)
    assert [sighting.kind for sighting in found] == (["zero_rows"] if silent else [])
    assert checks.silent_sources({"fr": rows}, [], day) == [], "a channel that is switched off"


@pytest.mark.parametrize(
    ("case", "orders", "delivered", "silent"),
    [
        ("sold", weeks(0, 1, 2, 3, 4), TODAY + timedelta(days=2), False),
        ("sold nothing", weeks(1, 2, 3, 4), TODAY + timedelta(days=2), True),
        ("the delivery is not so far yet", weeks(1, 2, 3, 4), TODAY, False),
        ("seldom sells", weeks(1, 2, 4), TODAY + timedelta(days=2), False),
    ],
)
def test_a_market_is_silent_on_a_day_that_its_channel_has_delivered(case, orders, delivered, silent):
    moment = datetime.combine(delivered, NOW.time())
    found = checks.silent_markets({("de", "SE"): orders}, {"de": moment}, ["de"])
    assert [sighting.subject for sighting in found] == (["channel de, market SE"] if silent else [])


@pytest.mark.parametrize(
    ("case", "market", "loaded", "orders", "over"),
    [
        ("nothing has come", None, NOW - hours(30), {}, False),
        ("something has", None, NOW + hours(1), {}, True),
        ("never anything", None, None, {}, False),
        ("the market has sold nothing", "SE", NOW + hours(30), {TODAY - timedelta(days=3): 5}, False),
        ("the market has sold", "SE", NOW + hours(30), {TODAY - timedelta(days=1): 5}, True),
    ],
)
def test_silence_is_over_when_something_has_come(case, market, loaded, orders, over):
    sighting = Sighting("zero_rows", "warning", "x", "y", channel_code="de", market_code=market)
    incident = Incident("i", sighting, NOW, NOW)
    loads = {"de": loaded} if loaded else {}
    assert checks.has_delivered_again(incident, loads, {("de", "SE"): orders}, ["de"]) is over
    assert checks.has_delivered_again(incident, {}, {}, []), "a channel that is switched off"


# --- late runs --------------------------------------------------------------------------------------------------------

DAY = timedelta(days=1)
DUE_AT = datetime(2026, 3, 30, 3)
DAILY = Due("sales", 1, DUE_AT, DUE_AT - hours(27), DUE_AT - hours(3))
HOURLY = Due("marts", 1, DUE_AT)


def run(
    dag_id: str = "sales",
    day: int = 0,
    ended: bool = True,
    name: str = "scheduled__x",
    days: int = 1,
    start: datetime | None = None,
) -> Run:
    first = DUE_AT - hours(27) + DAY * day
    started = start or first + hours(27)
    return Run(dag_id, name, first, first + DAY * days, started, started + hours(1) if ended else None)


OLDER = run(day=-1)


@pytest.mark.parametrize(
    ("case", "due", "runs", "says"),
    [
        ("done", DAILY, [OLDER, run()], None),
        ("a wider window did it", DAILY, [OLDER, run(name="manual__x", day=-20, days=30)], None),
        ("has not begun", DAILY, [OLDER], "has not begun"),
        ("only the day before was done again", DAILY, [OLDER, run(day=-1, name="manual__x")], "has not begun"),
        ("has not ended", DAILY, [OLDER, run(ended=False)], "has been running since 2026-03-30 03:00"),
        ("the one before has not ended", DAILY, [run(day=-2), run(day=-1, ended=False)], "has been running since"),
        ("the scheduler never ran it", DAILY, [run(day=-1, name="manual__x")], None),
        ("the scheduler's first run came later", DAILY, [run(day=1)], None),
        ("nothing at all", DAILY, [], None),
        ("hourly: one since", HOURLY, [run("marts", start=DUE_AT - hours(1)), run("marts", start=DUE_AT)], None),
        ("hourly: none since", HOURLY, [run("marts", start=DUE_AT - hours(1))], "has not begun"),
        (
            "hourly: the one since goes on",
            HOURLY,
            [run("marts", start=DUE_AT - hours(1)), run("marts", start=DUE_AT + hours(1), ended=False)],
            "has been running",
        ),
        ("another DAG's runs", HOURLY, [OLDER, run()], None),
    ],
)
def test_a_run_is_late(case, due, runs, says):
    found = checks.late_runs([due], runs, Alerts())
    assert len(found) == (says is not None)
    assert all(says in sighting.what and sighting.severity == "critical" for sighting in found)


@pytest.mark.parametrize(
    ("case", "due", "later", "says"),
    [
        ("a later run went well", DAILY, {}, "--from 2026-03-29 --to 2026-03-30`"),
        ("a later run failed", DAILY, {"state": "failed"}, None),
        ("an older run went well", DAILY, {"start": DAILY.start}, None),
        ("another DAG's", DAILY, {"dag_id": "marts"}, None),
        ("the scheduler makes up for it", replace(DAILY, catchup=True), {}, None),
        ("no window", HOURLY, {"dag_id": "marts"}, None),
    ],
)
def test_a_missed_window_is_given_up(case, due, later, says):
    run = replace(Run("sales", "r", DAILY.end, DUE_AT + DAY, DUE_AT, DUE_AT, "success"), **later)
    said = checks.given_up(due, [run])
    assert says in said if says else said is None


# --- the machine ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("used", "low"), [(89, False), (90, True), (99, True), (100, True)])
def test_a_disk_is_low_from_its_limit_on(used, low):
    found = checks.low_disks({"/data": (used * 10**9, 100 * 10**9)}, 90)
    assert [sighting.subject for sighting in found] == (["disk of /data"] if low else [])
    assert all(f"{used}.0 % are used" in sighting.what for sighting in found)


@pytest.mark.parametrize(
    ("case", "minutes", "took_s", "says"),
    [
        ("right", 0, 1, None),
        ("a little off", 1, 1, None),
        ("ten minutes ahead", -10, 1, "10 min 0 s ahead of a server"),
        ("ten minutes behind", 10, 0, "10 min 0 s behind a server"),
        ("a slow answer proves nothing", 3, 240, None),
    ],
)
def test_a_clock_is_wrong(case, minutes, took_s, says):
    reading = Reading("a server", NOW + timedelta(minutes=minutes), NOW, NOW + timedelta(seconds=took_s))
    found = checks.wrong_clock([reading], None, NOW, 120)
    assert [says in sighting.what for sighting in found] == ([True] if says else [])


@pytest.mark.parametrize(("minutes", "wrong"), [(-500, False), (1, False), (10, True)])
def test_a_record_from_the_future_means_a_wrong_clock(minutes, wrong):
    found = checks.wrong_clock([], NOW + timedelta(minutes=minutes), NOW, 120)
    assert len(found) == wrong


def test_faults_of_one_file_are_one_incident():
    faults = [Fault("a.yml:1", "x", "fr"), Fault("a.yml:2", "y", "fr"), Fault("markets/de.yml:1", "z")]
    found = {sighting.subject: sighting for sighting in checks.faulty_configuration(faults)}
    assert set(found) == {"channel fr", "configuration"}
    assert "a.yml:2: y" in found["channel fr"].what
    assert [found[name].severity for name in sorted(found)] == ["warning", "critical"]


def test_a_part_that_is_held_back_is_one_incident_for_all_its_models():
    (found,) = checks.failed_checks([checks.Blocked("shop_fr", ("stg.a", "stg.b"), TODAY, TODAY, "key: twice")])
    assert (found.kind, found.subject) == ("check_failed", "shop_fr")
    assert "stg.a, stg.b" in found.what


def test_a_file_that_cannot_be_read_is_told_by_its_last_line():
    (found,) = checks.broken_dags({"x.py": "Traceback\n  File\nImportError: no y"})
    assert found.what == "The file cannot be read: ImportError: no y"
    (found,) = checks.broken_dags({"x.py": "Traceback\n" + "  File\n" * 500 + "ImportError: no y"})
    assert found.what == "The file cannot be read: ImportError: no y"
