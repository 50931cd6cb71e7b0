"""Market files: what is refused and how it reads, what holds on which day, and the calendars that come of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from market_case import market_text

from caravan import INCLUDE_DIR, PROJECT_ROOT
from caravan.config.calendars import business_calendar, contact_spine, horizon, outdated, registry_version
from caravan.config.document import read
from caravan.config.loader import load
from caravan.config.market_faults import read_market
from caravan.config.markets import FIRST_DAY, Market
from caravan.core.calendar import hours_text
from caravan.core.errors import Misconfigured, Rejected
from caravan.core.zones import to_utc

MARKETS = load(INCLUDE_DIR / "config").markets
END = date(2028, 1, 1)

# Line numbers below count in this text: a market of the house's, with two versions of its money.
TEXT = market_text().replace(
    "  - {source: law, currency: NOK, tax_display: incl, vat_pct: 25}\n",
    "  - {source: law, currency: NOK, tax_display: incl, vat_pct: 24, valid_to: 2020-01-01}\n"
    "  - {source: law, currency: NOK, tax_display: incl, vat_pct: 25, valid_from: 2020-01-01}\n",
)


def faults_of(tmp_path: Path, text: str, name: str = "no") -> list[str]:
    path = tmp_path / f"{name}.yml"
    path.write_text(text, encoding="utf-8")
    document, faults = read(path, f"{name}.yml")
    if document is None:
        return [str(fault) for fault in faults]
    return [str(fault) for fault in [*faults, *read_market(document, name, {"GDPR", "PIPL"})[1]]]


def market(text: str = TEXT) -> Market:
    return Market.model_validate(yaml.load(text, Loader=yaml.CBaseLoader))


def test_the_text_of_these_tests_is_sound(tmp_path: Path) -> None:
    assert faults_of(tmp_path, TEXT) == []


FAULTS = [  # what is replaced, by what, where the fault is, a part of its message
    # dated versions
    (
        "valid_from: 2020-01-01",
        "valid_from: 2019-07-01",
        "7 money[1].valid_from",
        "2019-07-01 overlaps the version bef",
    ),
    ("valid_from: 2020-01-01", "valid_from: 2020-02-01", "7 money[1].valid_from", "nothing holds from 2020-01-01 to"),
    (", valid_from: 2020-01-01", "", "7 money[1].valid_from", "is required: only the first version"),
    (", valid_to: 2020-01-01", "", "7 money[1].valid_from", "which has no valid_to; end that one on 2020-01-01"),
    (
        "valid_to: 2020-01-01",
        "valid_to: 2020-01-01, valid_from: 2015-01-01",
        "6 money[0].valid_from",
        "from 2010-01-01 to",
    ),
    ("valid_from: 2020-01-01", "valid_from: 2020-01-01, valid_to: 2030-01-01", "7 money[1].valid_to", "2030-01-01 on"),
    ("valid_from: 2020-01-01", "valid_from: 2020-01-01, valid_to: 2020-01-01", "7 money[1].valid_to", "is not after"),
    ("valid_to: 2020-01-01", "valid_to: 2020-02-30", "6 money[0].valid_to", "is no day of the calendar"),
    ("valid_to: 2020-01-01", "valid_to: 20200101", "6 money[0].valid_to", "'20200101' is no day (like 2026-10-30)"),
    ("valid_to: 2020-01-01", "valid_too: 2020-01-01", "6 money[0].valid_too", "did you mean 'valid_to'?"),
    (
        "{source: law, currency: NOK, tax_display: incl, vat_pct: 24",
        "{tax_display: incl, vat_pct: 1",
        "6 money[0].currency",
        "is required",
    ),
    ("privacy:\n  - {source: law, regime: GDPR, residency: DE}\n", "privacy: []\n", "16 privacy", "is empty"),
    ("contact:\n  - {source: house}\n", "", "1 contact", "is required"),
    ("calendar:\n  - ", "calendar:\n    ", "12 calendar", "expected a list"),
    # money
    (
        "currency: NOK, tax_display: incl, vat_pct: 25",
        "currency: HRK, tax_display: incl, vat_pct: 25",
        "7 money[1].currency",
        "'HRK' ended on 2023-01-01, when EUR took",
    ),
    (
        "currency: NOK, tax_display: incl, vat_pct: 25",
        "currency: BGN, tax_display: incl, vat_pct: 25",
        "7 money[1].currency",
        "'BGN' ended on 2026-01-01, when EUR took",
    ),
    (
        "currency: NOK, tax_display: incl, vat_pct: 25",
        "currency: NKR, tax_display: incl, vat_pct: 25",
        "7 money[1].currency",
        "no ISO 4217 code",
    ),
    ("vat_pct: 25", "vat_pct: 25, cash_rounding: 0.001", "7 money[1].cash_rounding", "smallest unit of NOK, 0.01"),
    ("vat_pct: 25", "vat_pct: 25, cash_rounding: 0", "7 money[1].cash_rounding", "no positive multiple"),
    ("vat_pct: 25", "vat_pct: 25, cash_rounding: 1 kr", "7 money[1].cash_rounding", "'1 kr' is no number"),
    ("vat_pct: 25", "vat_pct: 25, rounding: half-up", "7 money[1].rounding", "did you mean 'half_up'?"),
    ("vat_pct: 25", "vat_pct: 250", "7 money[1].vat_pct", "less than 100"),
    # language
    ("languages: [en]", "languages: [nb_NO]", "9 language[0].languages[0]", "no language tag of BCP 47"),
    ("languages: [en]", "languages: [en, xx-YY]", "9 language[0].languages[1]", "no language tag of BCP 47"),
    ("languages: [en]", "languages: [en, en]", "9 language[0].languages[1]", "given twice"),
    ("languages: [en]", "languages: []", "9 language[0].languages", "is empty"),
    (
        "languages: [en]",
        "languages: [nb], fallback: {nb: da, da: nb}",
        "9 language[0].fallback.nb",
        "nb -> da -> nb never ends",
    ),
    (
        "languages: [en]",
        "languages: [nb, sv], fallback: {nb: en}",
        "9 language[0].fallback",
        "nb at en, that of sv at sv",
    ),
    (
        "languages: [en]",
        "languages: [nb], fallback: {nb: english}",
        "9 language[0].fallback.nb",
        "'english' is no language",
    ),
    # time
    ("zone: Europe/Oslo", "zone: Europe/Olso", "4 zone", "'Europe/Olso' is no IANA time zone"),
    ("zone: Europe/Oslo", "zone: Europe/Oslo\nfurther_zones: [Arctic/Oslo]", "5 further_zones[0]", "no IANA time zone"),
    (
        "[00:00-24:00]",
        "[17:00-09:00]",
        "11 time[0].hours.daily[0]",
        "ends before it starts; what runs past midnight is",
    ),
    ("[00:00-24:00]", "[9-17]", "11 time[0].hours.daily[0]", "'9-17' is no time of day (like 09:00-12:30)"),
    ("[00:00-24:00]", "[25:00-26:00]", "11 time[0].hours.daily[0]", "starts after its day has ended"),
    ("[00:00-24:00]", "[09:00-12:00, 11:00-17:00]", "11 time[0].hours.daily", "hours overlap"),
    ("[00:00-24:00]", "[08:00-17:00, 22:00-33:00]", "11 time[0].hours.daily", "hours overlap"),
    (
        "{daily: [00:00-24:00]}",
        "{mon-thu: [09:00-17:00], thu: [09:00-20:00]}",
        "11 time[0].hours.thu",
        "thu is in 'mon-thu'",
    ),
    ("{daily: [00:00-24:00]}", "{mo-fr: [09:00-17:00]}", "11 time[0].hours.mo-fr", "'mo-fr' names no days"),
    ("{daily: [00:00-24:00]}", "{sun: [22:00-26:00], mon: [01:00-05:00]}", "11 time[0].hours.mon", "hours overlap"),
    ("{daily: [00:00-24:00]}", "{}", "11 time[0].hours", "the market is never open"),
    ("weekend: []", "weekend: [sun]", "11 time[0].hours.daily", "sun is in the weekend"),
    (
        "weekend: [], week_start: mon, hours: {daily: [00:00-24:00]}",
        "weekend: [sat], week_start: mon, hours: {fri: [22:00-26:00]}",
        "11 time[0].hours.fri",
        "sat is in the weekend",
    ),
    ("week_start: mon", "week_start: monday", "11 time[0].week_start", "did you mean 'mon'?"),
    (
        "week_start: mon",
        "week_start: mon, fiscal_year_start: 02-30",
        "11 time[0].fiscal_year_start",
        "does not have the form",
    ),
    # holidays and exceptions
    ("holidays: library", "holiday_country: XX", "13 calendar[0].holiday_country", "knows no 'XX'; name its country"),
    ("holidays: library", "subdivision: XX", "13 calendar[0].subdivision", "'XX' is no subdivision of NO"),
    ("holidays: library", "categories: [bank]", "13 calendar[0].categories[0]", "'bank' is no category of NO"),
    (
        "holidays: library",
        "holidays: none, subdivision: X",
        "13 calendar[0].subdivision",
        "means nothing with `holidays: none`",
    ),
    ("holidays: library", "holidays: overrides", "13 calendar[0].holidays", "there are no `overrides`"),
    (
        "{source: law, holidays: library}",
        "{source: law, holidays: overrides}\noverrides: [{date: 2026-05-01, hours: closed, reason: x}]",
        "13 calendar[0].holidays",
        "would end on its first day, 2010-01-01: `overrides` is the list of holidays and has none of 2010; add",
    ),
    ("holidays: library", "holiday_country: RW", "13 calendar[0].holidays", "does not cover 2010; upgrade it"),
    (
        "contact:",
        "overrides: [{date: 2026-05-01, hours: shut, reason: x}]\ncontact:",
        "14 overrides[0].hours",
        "none of: open, closed",
    ),
    (
        "contact:",
        "overrides: [{date: 2026-05-01, hours: [12:00-10:00], reason: x}]\ncontact:",
        "14 overrides[0].hours",
        "ends before it starts",
    ),
    (
        "contact:",
        "overrides: [{date: 2026-05-01, hours: [20:00-26:00], reason: x}]\ncontact:",
        "14 overrides[0].hours",
        "24:00 at the latest",
    ),
    (
        "contact:",
        "overrides: [{date: 2026-05-01, hours: closed, reason: x}, {date: 2026-05-01, hours: open, reason: y}]\n"
        "contact:",
        "14 overrides[1].date",
        "given twice",
    ),
    (
        "contact:",
        "peak_events: [{name: Sale, source: x, dates: [2026-06-30/2026-06-01]}]\ncontact:",
        "14 peak_events[0].dates[0]",
        "ends before it starts",
    ),
    # contact and privacy
    (
        "{source: house}",
        "{source: house, channels: {fax: {send: {daily: [09:00-17:00]}}}}",
        "15 contact[0].channels.fax",
        "'fax' is not known",
    ),
    (
        "{source: house}",
        "{source: house, channels: {sms: {send: {daily: [22:00-31:00]}, quiet: [21:00-08:00]}}}",
        "15 contact[0].channels.sms",
        "leave 0 minutes a week",
    ),
    (
        "{source: house}",
        "{source: house, channels: {sms: {send: {mon: [08:00-08:59]}}}}",
        "15 contact[0].channels.sms",
        "leave 59 minutes a week",
    ),
    (
        "{source: house}",
        "{source: house, channels: {sms: {send: {daily: [09:00-17:00]}, quiet: [08:00-08:00]}}}",
        "15 contact[0].channels.sms.quiet[0]",
        "no quiet hours",
    ),
    ("residency: DE", "residency: Germany", "17 privacy[0].residency", "does not have the form"),
    ("residency: DE", "residency: XX", "17 privacy[0].residency", "'XX' is no ISO 3166-1 code"),
    ("regime: GDPR", "regime: GPDR", "17 privacy[0].regime", "no file privacy/gpdr.yml; did you mean 'GDPR'?"),
    ("regime: GDPR", "regime: PURPOSES", "17 privacy[0].regime", "there is no file privacy/purposes.yml"),
    ("regime: GDPR", "regime: gdpr", "17 privacy[0].regime", "does not have the form"),
]


@pytest.mark.parametrize(("old", "new", "where", "message"), FAULTS)
def test_a_fault_is_told_with_line_and_field(tmp_path: Path, old: str, new: str, where: str, message: str) -> None:
    assert old in TEXT
    found = faults_of(tmp_path, TEXT.replace(old, new, 1))
    assert [fault for fault in found if fault.startswith(f"no.yml:{where}: ") and message in fault], found


def test_faults_of_one_file_come_together(tmp_path: Path) -> None:
    text = TEXT.replace("Europe/Oslo", "Oslo").replace("valid_from: 2020", "valid_from: 2019").replace("[en]", "[xx]")
    assert [fault.split(": ")[0] for fault in sorted(faults_of(tmp_path, text))] == [
        "no.yml:4 zone",
        "no.yml:7 money[1].valid_from",
        "no.yml:9 language[0].languages[0]",
    ]


def test_what_may_look_odd_and_is_right(tmp_path: Path) -> None:
    for old, new in [
        ("{daily: [00:00-24:00]}", "{sun: [22:00-26:00], mon: [02:00-05:00], fri-sat: [08:00-12:00, 12:00-13:00]}"),
        ("currency: NOK, tax_display: incl, vat_pct: 24", "currency: LVL, tax_display: incl, vat_pct: 24"),
        ("contact:", "overrides: [{date: 2026-05-17, hours: [10:00-12:00], reason: x}]\ncontact:"),
        (
            "  - {source: law, holidays: library}\n",
            "  - {source: house, holidays: none, valid_to: 2026-01-01}\n"
            "  - {source: law, holidays: overrides, valid_from: 2026-01-01}\n"
            "overrides: [{date: 2026-05-01, hours: closed, reason: x}]\n",
        ),
        ("languages: [en]", "languages: [nb-NO, se], fallback: {nb-NO: nb, nb: en, se: nb}"),
        ("{source: house}", "{source: house, channels: {sms: {send: {fri: [23:00-25:00]}, quiet: [02:00-08:00]}}}"),
    ]:
        text = TEXT.replace(old, new, 1)
        if "LVL" in new:  # ended before its version does
            assert len(faults_of(tmp_path, text)) == 1
            text = text.replace("2020-01-01", "2014-01-01")
        assert faults_of(tmp_path, text) == []


# --- rules by date ----------------------------------------------------------------------------------

ON_A_DAY: list[tuple[str, str, Callable[[Market, date], object], object]] = [
    ("DE", "2020-06-30", lambda m, d: m.money.on(d).vat_pct, Decimal(19)),
    ("DE", "2020-07-01", lambda m, d: m.money.on(d).vat_pct, Decimal(16)),
    ("DE", "2021-01-01", lambda m, d: m.money.on(d).vat_pct, Decimal(19)),
    ("SE", "2010-09-30", lambda m, d: m.money.on(d).cash_rounding, Decimal("0.50")),
    ("SE", "2010-10-01", lambda m, d: m.money.on(d).cash_rounding, Decimal("1.00")),
    ("JP", "2021-03-31", lambda m, d: m.money.on(d).tax_display, "excl"),
    ("JP", "2021-04-01", lambda m, d: m.money.on(d).tax_display, "incl"),
    ("AE", "2021-12-31", lambda m, d: m.time.on(d).weekend, ("fri", "sat")),
    ("AE", "2022-01-01", lambda m, d: m.time.on(d).weekend, ("sat", "sun")),
    ("GB", "2020-12-31", lambda m, d: m.privacy.on(d).regime, "GDPR"),
    ("GB", "2021-01-01", lambda m, d: m.privacy.on(d).regime, "UK_GDPR"),
    ("DE", "2026-11-22", lambda m, d: m.currency_on(d), "EUR"),
    # weeks, years, events
    ("DE", "2026-11-22", lambda m, d: m.time.on(d).week_of(d), date(2026, 11, 16)),
    ("US", "2026-11-22", lambda m, d: m.time.on(d).week_of(d), date(2026, 11, 22)),
    ("US", "2026-11-21", lambda m, d: m.time.on(d).week_of(d), date(2026, 11, 15)),
    ("JP", "2026-03-31", lambda m, d: m.time.on(d).fiscal_year(d), 2025),
    ("JP", "2026-04-01", lambda m, d: m.time.on(d).fiscal_year(d), 2026),
    ("AU", "2026-06-30", lambda m, d: m.time.on(d).fiscal_year(d), 2025),
    ("AE", "2026-03-01", lambda m, d: m.peak_event(d), "رمضان"),
    ("AE", "2026-03-20", lambda m, d: m.peak_event(d), None),
    ("CN", "2026-11-11", lambda m, d: m.peak_event(d), "双11"),
    ("AE", "2026-03-01", lambda m, d: m.language.on(d).direction, "rtl"),
    ("AE", "2026-03-01", lambda m, d: m.language.on(d).chain("ar-AE"), ("ar-AE", "ar", "en")),
]


@pytest.mark.parametrize(("code", "day", "ask", "answer"), ON_A_DAY)
def test_what_holds_on_a_day(code: str, day: str, ask: Callable[[Market, date], object], answer: object) -> None:
    assert ask(MARKETS[code], date.fromisoformat(day)) == answer


def test_a_day_that_no_version_covers_is_an_error() -> None:
    with pytest.raises(Misconfigured, match="money: no version holds on 2009-12-31"):
        market(TEXT.replace("vat_pct: 24", "vat_pct: 24, valid_from: 2010-01-01")).money.on(date(2009, 12, 31))


HOURS = [  # market, day, local hours
    ("DE", "2026-12-24", "09:00-13:00"),  # an exception
    ("DE", "2026-10-02", "09:00-18:00"),
    ("FR", "2026-07-13", "09:00-12:30 14:00-17:30"),
    ("FR", "2026-07-14", None),
    ("GB", "2022-09-19", None),  # the state funeral, from the package
    ("US", "2026-07-03", None),  # the 4th is a Saturday
    ("JP", "2026-12-31", None),  # a bank holiday
    ("JP", "2026-05-06", None),  # in the place of a holiday on Sunday
    ("CN", "2026-10-01", None),
    ("CN", "2026-10-10", "09:00-12:00 13:30-18:30"),  # a Saturday that is worked
    ("CN", "2026-10-17", None),
    ("BR", "2026-07-09", None),  # São Paulo's own
    ("AE", "2021-12-24", None),  # Fridays: weekend, then half a day
    ("AE", "2022-01-07", "07:30-12:00"),
    ("SE", "2026-06-19", None),  # Midsummer's Eve
    ("AU", "2026-10-05", None),  # Labour Day in New South Wales
    ("ZZ", "2026-12-25", "00:00-24:00"),
]


@pytest.mark.parametrize(("code", "day", "hours"), HOURS)
def test_hours_of_a_day(code: str, day: str, hours: str | None) -> None:
    assert hours_text(business_calendar(MARKETS[code], END).day(date.fromisoformat(day)).spans) == hours


def test_holidays_are_named_in_the_markets_language() -> None:
    named = [
        ("DE", "2026-10-03", "Tag der Deutschen Einheit"),
        ("JP", "2026-11-03", "文化の日"),
        ("CN", "2026-10-01", "国庆节"),
        ("BR", "2026-09-07", "Independência do Brasil"),
        ("AE", "2026-12-02", "اليوم الوطني"),
        ("US", "2026-11-26", "Thanksgiving Day"),
    ]
    for code, day, name in named:
        assert business_calendar(MARKETS[code], END).day(date.fromisoformat(day)).holiday_name == name


def test_no_two_markets_are_alike() -> None:
    day = date(2026, 11, 22)
    countries = [each for code, each in MARKETS.items() if code != "ZZ"]
    assert len(countries) == 10
    for one, other in combinations(countries, 2):
        assert one.time.on(day).hours != other.time.on(day).hours, (one.code, other.code)
        if one.currency != other.currency:
            same = (one.money.on(day).rounding, one.money.on(day).cash_rounding, one.money.on(day).tax_display)
            theirs = other.money.on(day)
            # Sterling, dollar and euro know no rounding of cash; their prices differ in what they hold.
            if same == (theirs.rounding, theirs.cash_rounding, theirs.tax_display):
                assert {one.currency, other.currency} == {"EUR", "GBP"}


# --- years that nobody knows ------------------------------------------------------------------------


def test_a_year_that_is_not_announced_ends_the_calendar() -> None:
    china = business_calendar(MARKETS["CN"], END)
    last = china.end.year
    assert date(2027, 1, 1) <= china.end < END or last == 2028, "the package knows 2027: raise the years of this test"
    with pytest.raises(Rejected, match=r"lies outside .*does not have what was announced for"):
        china.spine.next_open(to_utc(datetime(last, 3, 1), "Asia/Shanghai"))
    (notice, *_) = map(str, outdated(MARKETS["CN"], date(last - 1, 6, 1)))
    assert notice.startswith(f"markets/cn.yml calendar: ends on {last}-01-01: holidays ")


def test_days_that_a_person_adds_make_a_year_known() -> None:
    announced = {"date": f"{END.year - 1}-02-06", "hours": "open", "reason": "调休"}
    text = (INCLUDE_DIR / "config/markets/cn.yml").read_text(encoding="utf-8")
    document = yaml.load(text, Loader=yaml.CBaseLoader) | {"overrides": [announced]}
    china = business_calendar(Market.model_validate(document), END)
    assert china.end == END
    assert hours_text(china.day(date(END.year - 1, 2, 6)).spans) == "09:00-12:00 13:30-18:30"


LISTED = TEXT.replace("holidays: library", "holidays: overrides") + (
    "overrides:\n"
    + "".join(f"  - {{date: {year}-05-17, hours: closed, reason: national day}}\n" for year in range(2010, 2027))
)


def test_a_list_of_holidays_covers_its_years_and_no_more() -> None:
    known = business_calendar(market(LISTED), END)
    assert (known.first, known.end) == (FIRST_DAY, date(2027, 1, 1))
    assert known.day(date(2026, 5, 17)).spans == ()
    assert known.ends_because == "`overrides` is the list of holidays and has none of 2027; add them"
    assert [str(each) for each in outdated(market(LISTED), date(2026, 1, 1))] == [
        f"markets/no.yml calendar: ends on 2027-01-01: {known.ends_because}"
    ]
    gap = market(LISTED.replace("2015-05-17", "2014-05-18"))
    assert business_calendar(gap, END).end == date(2015, 1, 1)


def test_the_closed_days_of_a_list_are_holidays() -> None:
    listed = market(
        LISTED.replace("2025-05-17, hours: closed", "2025-05-17, hours: [10:00-12:00]").replace(
            "{source: house}",
            "{source: house, channels: {phone: {send: {daily: [09:00-17:00]}, on_holidays: false}, "
            "email: {send: {daily: [09:00-17:00]}}}}",
        )
    )
    day = business_calendar(listed, END).day(date(2026, 5, 17))
    assert (day.holiday_name, day.is_override, day.spans) == ("national day", True, ())
    assert business_calendar(listed, END).day(date(2025, 5, 17)).holiday_name is None
    noon = [datetime(year, 5, 17, 10) for year in (2025, 2026)]
    assert [bool(contact_spine(listed, "phone", END).is_open(at)) for at in noon] == [True, False]
    assert [bool(contact_spine(listed, "email", END).is_open(at)) for at in noon] == [True, True]
    # A closed day is a holiday only where the list is one.
    bridge = "overrides: [{date: 2026-05-15, hours: closed, reason: bridge}]\n"
    assert business_calendar(market(TEXT + bridge), END).day(date(2026, 5, 15)).holiday_name is None


def test_lists_in_the_past_only_are_told_and_stop_nothing(tmp_path: Path) -> None:
    text = TEXT + "peak_events: [{name: Romjulssalg, source: custom, dates: [2024-12-27/2024-12-31]}]\n"
    assert faults_of(tmp_path, text) == []
    assert list(outdated(market(text), date(2024, 12, 31))) == []
    assert [str(each) for each in outdated(market(text), date(2025, 1, 1))] == [
        "markets/no.yml peak_events[0].dates: 'Romjulssalg' has no date after 2024-12-31; add the next"
    ]
    with pytest.raises(Rejected, match="the calendar of NO ends on 2027-01-01"):
        business_calendar(market(LISTED), END, date(2027, 1, 1))


def test_a_year_before_the_package_knows_the_country_ends_the_calendar() -> None:
    nowhere = market(TEXT.replace("holidays: library", "holiday_country: DE"))
    assert business_calendar(nowhere, END).end == END
    assert business_calendar(nowhere, date(2102, 1, 1)).end == date(2101, 1, 1)


def test_the_registry_version_follows_rules_and_zones() -> None:
    now = registry_version(market(), END)
    assert now == registry_version(market(), END)
    assert now != registry_version(market(TEXT.replace("vat_pct: 25", "vat_pct: 26")), END)
    assert now != registry_version(market(TEXT.replace("Europe/Oslo", "Europe/Berlin")), END)
    assert horizon(date(2026, 12, 31)) == END


# --- contact ----------------------------------------------------------------------------------------

SENT = [  # market, channel, zone of the recipient, planned there, goes out there
    ("FR", "phone", None, "2026-11-20 13:30", "2026-11-20 14:00"),
    ("FR", "phone", None, "2026-11-20 20:00", "2026-11-23 10:00"),
    ("FR", "phone", None, "2026-11-11 11:00", "2026-11-12 10:00"),  # a holiday
    ("FR", "phone", None, "2023-02-28 13:30", "2023-02-28 13:30"),  # before the decree
    ("FR", "email", None, "2026-11-11 11:00", "2026-11-11 11:00"),
    ("US", "sms", None, "2026-11-20 21:30", "2026-11-21 08:00"),
    ("US", "sms", "America/Los_Angeles", "2026-11-20 07:30", "2026-11-20 08:00"),
    ("US", "email", None, "2026-11-20 21:30", "2026-11-21 08:00"),  # quiet, although the window is open
    ("CN", "sms", None, "2026-11-20 12:30", "2026-11-20 13:30"),
    ("AE", "phone", None, "2026-11-20 12:30", "2026-11-23 09:00"),
    ("JP", "email", None, "2026-11-20 23:00", "2026-11-21 08:00"),
]


@pytest.mark.parametrize(("code", "channel", "zone", "planned", "sent"), SENT)
def test_contact_windows(code: str, channel: str, zone: str | None, planned: str, sent: str) -> None:
    spine = contact_spine(MARKETS[code], channel, END, zone)  # type: ignore[arg-type]
    at, goes_out = (to_utc(datetime.fromisoformat(t), zone or MARKETS[code].zone) for t in (planned, sent))
    assert spine.next_open(at) == goes_out


def test_a_channel_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(Rejected, match="market DE does not allow the contact channel 'sms'"):
        contact_spine(MARKETS["DE"], "sms", END)
    with pytest.raises(Rejected, match="market ZZ does not allow"):
        contact_spine(MARKETS["ZZ"], "email", END)


def test_a_channel_is_open_only_while_a_version_allows_it() -> None:
    text = TEXT.replace(
        "  - {source: house}\n",
        "  - {source: house, valid_to: 2026-06-01}\n"
        "  - {source: law, valid_from: 2026-06-01, channels: {sms: {send: {daily: [09:00-17:00]}}}}\n",
    )
    spine = contact_spine(market(text), "sms", END)
    assert spine.next_open(datetime(2026, 1, 1)) == datetime(2026, 6, 1, 7)


def test_the_guides_example_is_sound(tmp_path: Path) -> None:
    guide = (PROJECT_ROOT / "docs" / "add-a-market.md").read_text(encoding="utf-8")
    _, _, rest = guide.partition("```yaml\n# include/config/markets/ch.yml\n")
    example = rest.partition("```")[0]
    assert example and faults_of(tmp_path, example, "ch") == []
