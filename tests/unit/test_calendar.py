"""The spine of open seconds: golden spans, changes of the clock both ways, and laws that hold for any calendar."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.core import calendar
from caravan.core.calendar import Calendar, Spine, Week
from caravan.core.errors import Rejected
from caravan.core.zones import Clock, to_utc

H = 3600
DAILY = tuple(range(7))
FOR_EVER = {"first": date(2026, 1, 1), "end": date(2027, 1, 1)}


def week(*spans: tuple[float, float], on: tuple[int, ...] = (0, 1, 2, 3, 4), weekend: tuple[int, ...] = (5, 6)) -> Week:
    """The same hours, in hours after midnight, on these weekdays."""
    seconds = tuple((int(start * H), int(end * H)) for start, end in spans)
    return Week(tuple(seconds if day in on else () for day in range(7)), frozenset(weekend))


def market(zone: str, *weeks: Week, **changes: object) -> Calendar:
    return Calendar(**{"zone": zone, "weeks": weeks, **FOR_EVER, **changes})  # type: ignore[arg-type]


BERLIN = market("Europe/Berlin", week((9, 18)))
BERLIN_NIGHTS = market("Europe/Berlin", week((0, 4), on=DAILY, weekend=()))
NEW_YORK = market("America/New_York", week((9, 17)))
RIYADH = market(
    "Asia/Riyadh",
    week((9, 13), (14, 18), on=(6, 0, 1, 2, 3), weekend=(4, 5)),
    holidays={date(2026, 9, 23): "National Day"},
)
GOLDEN = [  # minutes, computed independently by interval arithmetic
    (BERLIN, "2026-03-27 17:00", "2026-03-30 10:00", 120, 3840),
    (BERLIN, "2026-10-23 17:00", "2026-10-26 10:00", 120, 3960),
    (BERLIN_NIGHTS, "2026-03-29 00:00", "2026-03-30 00:00", 180, 1380),
    (BERLIN_NIGHTS, "2026-10-25 00:00", "2026-10-26 00:00", 300, 1500),
    (NEW_YORK, "2026-03-06 16:30", "2026-03-09 09:15", 45, 3825),
    (RIYADH, "2026-09-22 12:30", "2026-09-24 15:00", 570, 3030),
    (RIYADH, "2026-09-24 17:00", "2026-09-27 10:00", 120, 3900),
]


@pytest.mark.parametrize(("market", "start", "end", "business", "elapsed"), GOLDEN)
def test_golden_spans(market: Calendar, start: str, end: str, business: int, elapsed: int) -> None:
    a, b = (to_utc(datetime.fromisoformat(text), market.zone) for text in (start, end))
    assert calendar.open_seconds(market, a, b) == business * 60
    around_the_clock = Calendar(market.zone, market.first, market.end, (week((0, 24), on=DAILY, weekend=()),))
    assert calendar.open_seconds(around_the_clock, a, b) == elapsed * 60 == (b - a).total_seconds()


# --- local times ------------------------------------------------------------------------------------

LOCAL = [  # zone, local time, as a start, as an end
    ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29 01:00", "2026-03-29 01:00"),  # in a gap: the first after it
    ("Europe/Berlin", "2026-03-29 03:00", "2026-03-29 01:00", "2026-03-29 01:00"),
    ("Europe/Berlin", "2026-10-25 02:30", "2026-10-25 00:30", "2026-10-25 01:30"),  # twice: the first, the second
    ("Europe/Berlin", "2026-10-25 03:00", "2026-10-25 02:00", "2026-10-25 02:00"),
    ("America/Sao_Paulo", "2018-11-04 00:00", "2018-11-04 03:00", "2018-11-04 03:00"),  # midnight itself is skipped
    ("America/Havana", "2026-11-01 00:30", "2026-11-01 04:30", "2026-11-01 05:30"),  # midnight comes twice
    ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04 14:45", "2026-04-04 15:15"),  # half an hour
    ("Asia/Kathmandu", "2026-05-01 09:00", "2026-05-01 03:15", "2026-05-01 03:15"),  # +05:45
    ("Pacific/Kiritimati", "2026-05-01 09:00", "2026-04-30 19:00", "2026-04-30 19:00"),  # +14
    ("Pacific/Apia", "2011-12-29 12:00", "2011-12-29 22:00", "2011-12-29 22:00"),  # -10 ...
    ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30 10:00", "2011-12-30 10:00"),  # ... a day that never was ...
    ("Pacific/Apia", "2011-12-31 12:00", "2011-12-30 22:00", "2011-12-30 22:00"),  # ... and +14
]


@pytest.mark.parametrize(("zone", "local", "start", "end"), LOCAL)
def test_local_times(zone: str, local: str, start: str, end: str) -> None:
    moment = datetime.fromisoformat(local)
    assert to_utc(moment, zone) == datetime.fromisoformat(start)
    assert to_utc(moment, zone, is_end=True) == datetime.fromisoformat(end)


def test_a_clock_agrees_with_zoneinfo_where_local_time_is_plain() -> None:
    for zone in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham", "Africa/Casablanca"):
        clock = Clock(zone, date(2026, 1, 1), date(2027, 1, 1))
        midday = [datetime(2026, 1, 1, 12) + timedelta(days=day) for day in range(365)]
        local = np.array([(moment - datetime(1970, 1, 1)) // timedelta(seconds=1) for moment in midday])
        expected = [int(moment.replace(tzinfo=ZoneInfo(zone)).timestamp()) for moment in midday]
        assert clock.starts(local).tolist() == clock.ends(local).tolist() == expected


def test_days_follow_each_other_without_gap_or_overlap() -> None:
    for zone, missing in (("Pacific/Apia", date(2011, 12, 30)), ("America/Havana", None), ("America/Sao_Paulo", None)):
        whole = Calendar(zone, date(2011, 1, 1), date(2013, 1, 1), (week((0, 24), on=DAILY, weekend=()),))
        lengths = np.diff(whole.midnights)
        assert lengths.sum() == whole.midnights[-1] - whole.midnights[0]
        empty = [whole.days[index].date for index in np.flatnonzero(lengths <= 0)]
        assert empty == ([missing] if missing else [])
        assert whole.spine.open_seconds(whole.midnights[:-1], whole.midnights[1:]).tolist() == lengths.tolist()


def test_a_day_ends_at_the_first_of_two_midnights() -> None:
    evenings = market("America/Havana", week((22, 24), on=DAILY, weekend=()))  # on 1 November 00:00 comes twice
    before, after = (to_utc(datetime(2026, *day), "America/Havana") for day in ((10, 31), (11, 1)))
    assert calendar.open_seconds(evenings, before, after) == 2 * H
    assert calendar.next_open(evenings, after) == datetime(2026, 11, 2, 3)


# --- one day ----------------------------------------------------------------------------------------

MIDNIGHT = market("UTC", week((22, 26), on=(4,), weekend=()))  # Fridays to Saturday 02:00
ONE_DAY = [  # calendar, day, hours
    (BERLIN, "2026-06-01", "09:00-18:00"),
    (BERLIN, "2026-06-06", None),
    (RIYADH, "2026-09-24", "09:00-13:00 14:00-18:00"),
    (RIYADH, "2026-09-23", None),
    (RIYADH, "2026-09-25", None),
    (MIDNIGHT, "2026-06-05", "22:00-24:00"),
    (MIDNIGHT, "2026-06-06", "00:00-02:00"),
    (MIDNIGHT, "2026-06-04", None),
    # A holiday closes the part of its own day alone.
    (market("UTC", *MIDNIGHT.weeks, holidays={date(2026, 6, 5): "x"}), "2026-06-05", None),
    (market("UTC", *MIDNIGHT.weeks, holidays={date(2026, 6, 5): "x"}), "2026-06-06", "00:00-02:00"),
    (market("UTC", *MIDNIGHT.weeks, holidays={date(2026, 6, 6): "x"}), "2026-06-05", "22:00-24:00"),
    # Override, then holiday, then weekend, then hours.
    (market("UTC", week((9, 17)), worked=frozenset([date(2026, 6, 6)])), "2026-06-06", "09:00-17:00"),
    (market("UTC", week((9, 17)), overrides={date(2026, 6, 6): ((3600, 7200),)}), "2026-06-06", "01:00-02:00"),
    (market("UTC", week((9, 17)), overrides={date(2026, 6, 6): None}), "2026-06-06", "09:00-17:00"),
    (market("UTC", week((9, 17)), overrides={date(2026, 6, 5): ()}), "2026-06-05", None),
    (
        market("UTC", week((9, 17)), holidays={date(2026, 6, 5): "x"}, overrides={date(2026, 6, 5): None}),
        "2026-06-05",
        "09:00-17:00",
    ),
    (
        market("UTC", week((9, 17)), holidays={date(2026, 6, 6): "x"}, worked=frozenset([date(2026, 6, 6)])),
        "2026-06-06",
        None,
    ),
]


@pytest.mark.parametrize(("market", "day", "hours"), ONE_DAY)
def test_what_decides_a_day(market: Calendar, day: str, hours: str | None) -> None:
    assert calendar.hours_text(market.day(date.fromisoformat(day)).spans) == hours


def test_a_worked_weekend_day_has_the_hours_of_the_first_working_day() -> None:
    friday_saturday = week((8, 12), on=(6,), weekend=(4, 5))
    assert friday_saturday.working_day == ((8 * H, 12 * H),)
    assert Week((((0, H),), *[()] * 6)).working_day == ((0, H),)


def test_rules_change_on_their_day() -> None:
    """The Emirates moved their weekend on 2022-01-01."""
    before = Week(week((8, 15), on=(6, 0, 1, 2, 3)).hours, frozenset([4, 5]), None, date(2022, 1, 1))
    after = Week(week((8, 16)).hours, frozenset([5, 6]), date(2022, 1, 1), None)
    moved = Calendar("Asia/Dubai", date(2021, 1, 1), date(2023, 1, 1), (before, after))
    open_days = {day.date: bool(day.spans) for day in moved.days}
    assert not open_days[date(2021, 12, 31)] and open_days[date(2022, 1, 7)]  # Fridays
    assert open_days[date(2021, 12, 26)] and not open_days[date(2022, 1, 2)]  # Sundays


# --- questions --------------------------------------------------------------------------------------

QUESTIONS = [  # instant, next opening, an hour of work later
    ("2026-06-01 06:59:59", "2026-06-01 07:00:00", "2026-06-01 08:00:00"),  # Monday, before nine in Berlin
    ("2026-06-01 07:00:00", "2026-06-01 07:00:00", "2026-06-01 08:00:00"),
    ("2026-06-01 15:30:00", "2026-06-01 15:30:00", "2026-06-02 07:30:00"),
    ("2026-06-01 15:00:00", "2026-06-01 15:00:00", "2026-06-01 16:00:00"),  # to the end, not to tomorrow's start
    ("2026-06-01 16:00:00", "2026-06-02 07:00:00", "2026-06-02 08:00:00"),  # closed from the end on
    ("2026-06-05 16:00:00", "2026-06-08 07:00:00", "2026-06-08 08:00:00"),
]


@pytest.mark.parametrize(("at", "opening", "hour_later"), QUESTIONS)
def test_the_next_opening_and_the_end_of_an_hours_work(at: str, opening: str, hour_later: str) -> None:
    moment = datetime.fromisoformat(at)
    assert calendar.next_open(BERLIN, moment) == datetime.fromisoformat(opening)
    assert BERLIN.spine.add(moment, H) == datetime.fromisoformat(hour_later)
    assert BERLIN.spine.add(moment, 0) == moment


def test_every_form_of_instant_gives_the_same_answer() -> None:
    texts = [at for at, _, _ in QUESTIONS]
    expected = [opening for _, opening, _ in QUESTIONS]
    moments = np.array(texts, dtype="datetime64[ns]")
    seconds = moments.astype("datetime64[s]").astype(np.int64)
    spine = BERLIN.spine
    assert spine.next_open(moments).tolist() == np.array(expected, dtype="datetime64[ns]").tolist()
    assert spine.next_open(moments).dtype == moments.dtype
    assert spine.next_open(seconds).tolist() == np.array(expected, dtype="datetime64[s]").astype(int).tolist()
    assert [spine.next_open(int(each)) for each in seconds] == spine.next_open(seconds).tolist()
    later = spine.open_seconds(moments, moments + np.timedelta64(1, "D"))
    assert later.tolist() == [
        spine.open_seconds(datetime.fromisoformat(text), datetime.fromisoformat(text) + timedelta(days=1))
        for text in texts
    ]
    aware = datetime(2026, 6, 1, 5, tzinfo=UTC)
    assert spine.next_open(aware) == datetime(2026, 6, 1, 7)
    assert spine.next_open(datetime(2026, 6, 1, 8, 0, 0, 500)) == datetime(2026, 6, 1, 8, 0, 0, 500)
    assert spine.open_seconds(moments, moments[::-1]).sum() == 0  # backwards is negative
    with pytest.raises(TypeError, match="instants are whole seconds"):
        spine.next_open(np.array([1.5]))  # type: ignore[type-var]


@pytest.mark.parametrize("at", ["2025-12-31 22:59:59", "2026-12-31 23:00:01"])
def test_an_instant_outside_the_range_is_an_error(at: str) -> None:
    moment, inside = datetime.fromisoformat(at), datetime(2026, 6, 1)
    for ask in (
        lambda: BERLIN.spine.open_seconds(moment, inside),
        lambda: BERLIN.spine.open_seconds(inside, moment),
        lambda: BERLIN.spine.open_seconds(np.array([inside, moment], dtype="M8[s]"), np.array([inside] * 2, "M8[s]")),
        lambda: BERLIN.spine.next_open(moment),
        lambda: BERLIN.spine.add(moment, 1),
    ):
        with pytest.raises(Rejected, match=f"{at} UTC lies outside the calendar's range, 2025-12-31 23:00:00 to"):
            ask()


def test_an_answer_outside_the_range_is_an_error_that_says_why() -> None:
    known = market("Europe/Berlin", week((9, 18)), ends_because="2027 is not announced yet")
    with pytest.raises(Rejected, match=r"has no opening after it in .*: 2027 is not announced yet"):
        known.spine.next_open(datetime(2026, 12, 31, 18))
    with pytest.raises(Rejected, match="has not as many open seconds after it"):
        known.spine.add(datetime(2026, 12, 31, 16, 59), 61)
    assert known.spine.add(datetime(2026, 12, 31, 16, 59), 60) == datetime(2026, 12, 31, 17)
    with pytest.raises(Rejected, match="2027-01-01 lies outside the calendar, 2026-01-01 to 2027-01-01: 2027 is not"):
        known.day(date(2027, 1, 1))
    with pytest.raises(ValueError, match="forwards"):
        known.spine.add(datetime(2026, 6, 1), -1)


# --- sending ----------------------------------------------------------------------------------------

QUIET = market("Europe/Berlin", week((21, 32), on=DAILY, weekend=()))  # 21:00 to 08:00
SENDING = market("Europe/Berlin", week((0, 24), on=DAILY, weekend=())).spine.minus(QUIET.spine)
LATENESS = timedelta(hours=6)
SENDS = [  # planned on the local clock, sent (UTC); None when it is missed
    ("2026-06-01 12:00", "2026-06-01 10:00"),
    ("2026-06-01 21:00", None),  # would wait for eleven hours
    ("2026-06-02 02:00", "2026-06-02 06:00"),
    ("2026-06-02 01:59", None),
    ("2026-03-29 02:30", "2026-03-29 06:00"),  # in the gap: from 03:00 on it waits for 08:00
    ("2026-10-25 02:30", None),  # the first 02:30: six and a half hours to go, for the clock goes back
    ("2026-10-25 03:00", "2026-10-25 07:00"),
]


@pytest.mark.parametrize(("planned", "sent"), SENDS)
def test_when_a_message_goes_out(planned: str, sent: str | None) -> None:
    requested = to_utc(datetime.fromisoformat(planned), "Europe/Berlin")
    found = calendar.send_window(SENDING, requested, LATENESS)
    assert found == (datetime.fromisoformat(sent) if sent else None)


def test_a_send_is_planned_with_or_without_a_zone() -> None:
    planned = datetime(2026, 6, 2, 2, tzinfo=ZoneInfo("Europe/Berlin"))
    assert calendar.send_window(SENDING, planned, LATENESS) == datetime(2026, 6, 2, 6)


def test_a_send_without_a_later_opening_is_missed_unless_one_beyond_the_end_would_do() -> None:
    planned = datetime(2026, 12, 31, 18)  # five hours before the calendar ends in Berlin, an hour after it closed
    for hours in (1, 4.99):
        assert calendar.send_window(BERLIN.spine, planned, timedelta(hours=hours)) is None
    for lateness in (timedelta(hours=5), timedelta.max):
        with pytest.raises(Rejected, match="has no opening after it"):
            calendar.send_window(BERLIN.spine, planned, lateness)


def test_a_send_planned_in_an_overlap_goes_out_once_at_the_first() -> None:
    nights = market("Europe/Berlin", week((2, 3), on=DAILY, weekend=())).spine
    planned = to_utc(datetime(2026, 10, 25, 2, 30), "Europe/Berlin")
    assert calendar.send_window(nights, planned, timedelta(0)) == planned == datetime(2026, 10, 25, 0, 30)
    # Both times 02:00 to 03:00 are open, and quiet when they are quiet.
    assert nights.open_seconds(datetime(2026, 10, 25), datetime(2026, 10, 25, 4)) == 2 * H
    assert (
        BERLIN_NIGHTS.spine.minus(nights).open_seconds(datetime(2026, 10, 24, 22), datetime(2026, 10, 25, 4)) == 3 * H
    )


def test_what_is_open_less_what_is_quiet() -> None:
    def spine(*spans: tuple[int, int]) -> Spine:
        starts, ends = np.array(spans, dtype=np.int64).reshape(-1, 2).T
        return Spine.of(starts, ends, 0, 100)

    cases = [
        ([(10, 20)], [], [(10, 20)]),
        ([], [(10, 20)], []),
        ([(10, 20)], [(10, 20)], []),
        ([(10, 20)], [(0, 100)], []),
        ([(10, 20)], [(12, 14), (16, 18)], [(10, 12), (14, 16), (18, 20)]),
        ([(10, 20), (30, 40)], [(15, 35)], [(10, 15), (35, 40)]),
        ([(10, 20)], [(20, 30), (0, 10)], [(10, 20)]),
        ([(10, 20), (20, 30), (25, 40)], [(39, 50)], [(10, 39)]),  # touching and overlapping ones are one
        ([(10, 40), (15, 20), (30, 50)], [], [(10, 50)]),
    ]
    for these, those, left in cases:
        found = spine(*these).minus(spine(*those))
        assert list(zip(found.starts.tolist(), found.ends.tolist(), strict=True)) == left, (these, those)


# --- laws -------------------------------------------------------------------------------------------

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "UTC"]
BORDERS = [0, 4, 6, 8, 9.5, 12, 13.25, 18, 22, 24]
"""None inside an hour that comes twice: what such a border means is in the tables above."""
YEAR = (datetime(2026, 1, 3), datetime(2026, 12, 28))
instants = st.datetimes(*YEAR).map(lambda moment: moment.replace(microsecond=0))


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    weekend = draw(st.sets(st.sampled_from(DAILY), max_size=3))
    hours = []
    for day in range(7):
        borders = sorted(draw(st.sets(st.sampled_from(BORDERS), max_size=4)))
        spans = tuple((int(a * H), int(b * H)) for a, b in zip(borders[::2], borders[1::2], strict=False))
        hours.append(() if day in weekend else spans)
    days = st.dates(date(2026, 1, 1), date(2026, 12, 31))
    return market(
        draw(st.sampled_from(ZONES)),
        Week(tuple(hours), frozenset(weekend)),
        holidays=dict.fromkeys(draw(st.sets(days, max_size=20)), "holiday"),
        overrides=draw(st.dictionaries(days, st.sampled_from([None, (), ((H, 5 * H),)]), max_size=20)),
    )


@given(zone=st.sampled_from(ZONES), a=instants, b=instants)
@settings(max_examples=60, deadline=None)
def test_around_the_clock_is_elapsed_time(zone: str, a: datetime, b: datetime) -> None:
    always = market(zone, week((0, 24), on=DAILY, weekend=()))
    assert len(always.spine.starts) == 1
    assert always.spine.open_seconds(a, b) == (b - a).total_seconds()


@given(any_market=calendars(), a=instants, b=instants, c=instants, seconds=st.integers(1, 10**6))
@settings(max_examples=60, deadline=None)
def test_laws_of_a_spine(any_market: Calendar, a: datetime, b: datetime, c: datetime, seconds: int) -> None:
    spine = any_market.spine
    assert spine.open_seconds(a, b) + spine.open_seconds(b, c) == spine.open_seconds(a, c)
    try:
        opening, later = spine.next_open(a), spine.add(a, seconds)
    except Rejected:
        return  # nothing is open after it
    assert opening >= a and spine.is_open(opening) and spine.open_seconds(a, opening) == 0
    assert spine.open_seconds(a, later) == seconds > spine.open_seconds(a, later - timedelta(seconds=1))


@given(any_market=calendars(), day=st.dates(date(2026, 1, 2), date(2026, 12, 31)))
@settings(max_examples=40, deadline=None)
def test_a_rule_that_begins_on_a_day_changes_no_earlier_one(any_market: Calendar, day: date) -> None:
    (old,) = any_market.weeks
    until, new = Week(old.hours, old.weekend, None, day), Week(week((1, 2), on=DAILY).hours, frozenset(), day, None)
    changed = Calendar(
        any_market.zone,
        any_market.first,
        any_market.end,
        (until, new),
        any_market.holidays,
        overrides=any_market.overrides,
    )
    border = int(any_market.midnights[(day - any_market.first).days])

    def before(spine: Spine) -> list[tuple[int, int]]:
        spans = zip(spine.starts.tolist(), spine.ends.tolist(), strict=True)
        return [(start, min(end, border)) for start, end in spans if start < border]

    assert before(changed.spine) == before(any_market.spine)


def minutes_open(any_market: Calendar, first: datetime, count: int) -> list[int]:
    """Open minutes up to each minute, one by one on the wall clock: the slow way."""
    zone, total = ZoneInfo(any_market.zone), [0]
    for minute in range(count):
        local = (first + timedelta(minutes=minute)).replace(tzinfo=UTC).astimezone(zone)
        second = local.hour * H + local.minute * 60
        is_open = any(start <= second < end for start, end in any_market.day(local.date()).spans)
        total.append(total[-1] + is_open)
    return total


@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("Europe/Berlin", datetime(2026, 10, 18)),  # the clock goes back on the 25th
        ("America/New_York", datetime(2026, 3, 2)),  # and forward on the 8th
        ("Asia/Kathmandu", datetime(2026, 6, 1)),  # 45 minutes
        ("Pacific/Chatham", datetime(2026, 3, 30)),  # 45 minutes, and back on 5 April
        ("Australia/Lord_Howe", datetime(2026, 9, 28)),  # half an hour forward on 4 October
    ],
)
def test_random_spans_agree_with_counting_minutes(zone: str, first: datetime) -> None:
    dice = random.Random(zone)
    shop = market(
        zone,
        week((0, 4), (8, 12), (13.25, 24), on=(6, 0, 1, 2, 3), weekend=(4, 5)),
        holidays={(first + timedelta(days=8)).date(): "holiday"},
        overrides={(first + timedelta(days=5)).date(): ((4 * H, 9 * H),)},
    )
    count = 14 * 1440
    counted = minutes_open(shop, first, count)
    spans = [sorted(dice.sample(range(count + 1), 2)) for _ in range(2000)]
    a, b = np.array(spans).T * 60 + int(first.replace(tzinfo=UTC).timestamp())
    assert shop.spine.open_seconds(a, b).tolist() == [60 * (counted[to] - counted[of]) for of, to in spans]
    assert 0 < counted[-1] < count
