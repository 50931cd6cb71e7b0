"""Which rates can be right: a table of yesterday's and today's, and the files that state them."""

from __future__ import annotations

import io
import os
import random
import time
import zipfile
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from caravan.clients.fx import ecb
from caravan.clients.fx.user_files import UserRates, read_rates
from caravan.config import document
from caravan.config.types import Project
from caravan.config.validation import validate
from caravan.core.errors import Misconfigured, Rejected
from caravan.core.rates import KnownRate, Limits, Rate, RateBook, Reading, judge

D = Decimal
MONDAY = date(2026, 3, 2)
LIMITS = Limits(max_carry_days=7, max_daily_change=D("0.2"))


def day(number: int) -> date:
    return date.fromordinal(MONDAY.toordinal() + number)


def known(rate, on=-1, source="bundled", currency="AED", base="EUR"):
    return KnownRate(source, day(on), currency, base, D(rate))


def stated(rate, on=0, currency="AED", base="EUR", number=1, **more):
    return Rate(number, day(on), currency, D(rate), base, **more)


def reasons(rates, before=(), source="user", today=MONDAY):
    judged = judge(Reading(rates), source, before, LIMITS, today)
    assert len(rates) == len(judged.accepted) + len(judged.bad) + judged.duplicate_count
    return [bad.reason_code for bad in judged.bad]


@pytest.mark.parametrize(
    ("rate", "reason"),
    [
        ({"rate": "4.00"}, []),
        ({"rate": "4.80"}, []),  # exactly 20 %
        ({"rate": "4.81"}, ["RATE_SPIKE"]),
        ({"rate": "3.20"}, []),
        ({"rate": "3.19"}, ["RATE_SPIKE"]),
        ({"rate": "400"}, ["RATE_SPIKE"]),  # 100 times yesterday's
        ({"rate": "400", "is_confirmed": True}, []),
        ({"rate": "0"}, ["RATE_NOT_POSITIVE"]),
        ({"rate": "-4.00"}, ["RATE_NOT_POSITIVE"]),
        ({"rate": "0", "is_confirmed": True}, ["RATE_NOT_POSITIVE"]),
        ({"rate": "1e10", "currency": "VND"}, ["RATE_INEXACT"]),
        ({"rate": "0.000000123", "currency": "VND"}, ["RATE_INEXACT"]),
        ({"rate": "0.00000012", "currency": "VND"}, []),
        ({"rate": "4", "currency": "XXQ"}, ["CURRENCY_UNKNOWN"]),
        ({"rate": "4", "currency": "EUR"}, ["CURRENCY_IS_BASE"]),
        ({"rate": "4", "base": "AED"}, ["CURRENCY_IS_BASE"]),
        ({"rate": "4", "base": "XXQ"}, ["CURRENCY_UNKNOWN"]),
        ({"rate": "3.6725", "base": "USD"}, []),
        ({"rate": "367.25", "base": "USD"}, ["RATE_SPIKE"]),
        ({"rate": "3.6725", "base": "TWD"}, ["BASE_RATE_UNKNOWN"]),
        ({"rate": "0.1", "base": "SAR", "currency": "OMR"}, ["BASE_RATE_UNKNOWN"]),  # a base against a base
        ({"rate": "9.9e9", "base": "USD", "currency": "VND"}, ["RATE_INEXACT"]),  # once it is for one euro
        ({"rate": "4", "on": 1}, []),
        ({"rate": "4", "on": 2}, ["RATE_IN_FUTURE"]),
    ],
    ids=str,
)
def test_a_rate_is_measured_against_the_one_before(rate, reason):
    before = [known("4.00"), known("1.0891", currency="USD", on=0), known("3.75", currency="SAR", base="USD", on=0)]
    assert reasons([stated(**rate)], before) == reason


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ([], []),  # nothing is known: nothing to measure against
        ([known("1", on=-7)], ["RATE_SPIKE"]),
        ([known("1", on=-8)], ["RATE_SPIKE"]),  # not carried any more, and a leap all the same
        ([known("1", on=-366)], ["RATE_SPIKE"]),
        ([known("1", on=-367)], []),  # too old to say anything
        ([known("1", on=1)], []),  # a later rate says nothing about an earlier day
        ([known("1", on=-1), known("4", on=0, source="fetched")], []),  # another source of the same day
        ([known("4", on=-1), known("1", on=0, source="fetched")], ["RATE_SPIKE"]),
        ([known("1", on=0, source="user")], []),  # a person corrects the own rate
        ([known("1", on=-1), known("4", on=-1, source="user")], []),  # a person's holds before the bundled one
    ],
    ids=str,
)
def test_what_a_rate_is_measured_against(before, reason):
    assert reasons([stated("4.00")], before) == reason


@pytest.mark.parametrize("carry", [0, 7])
def test_a_rate_that_stays_wrong_is_not_accepted_when_the_right_one_is_too_old_to_be_carried(carry):
    wrong = [stated("108", number, currency="USD", number=number + 1) for number in range(12)]
    judged = judge(Reading(wrong), "fetched", [known("1.08", currency="USD")], Limits(carry, D("0.2")), day(20))
    assert (len(judged.bad), judged.accepted) == (12, ())


def test_each_good_rate_is_the_measure_of_the_next_and_a_bad_one_is_not():
    rates = [
        stated("4.0", 0, number=1),
        stated("400", 1, number=2),
        stated("4.1", 2, number=3),
        stated("4.9", 3, number=4),
    ]
    judged = judge(Reading(list(reversed(rates))), "user", [known("3.9")], LIMITS, day(3))
    assert [(each.rate_date, each.rate) for each in judged.accepted] == [
        (day(0), 4),
        (day(2), D("4.1")),
        (day(3), D("4.9")),
    ]
    assert [(bad.row_number, bad.reason_code, bad.field_name) for bad in judged.bad] == [(2, "RATE_SPIKE", "rate")]
    assert "4.1" not in judged.bad[0].message and f"+9900.0% from 4 of {day(0)} (user)" in judged.bad[0].message


def test_a_move_that_was_confirmed_is_the_measure_of_the_days_after_it():
    rates = [stated("8", 0, is_confirmed=True, number=1), stated("8.1", 1, number=2)]
    assert reasons(rates, [known("4")], today=day(1)) == []
    confirmed_by_a_person = [known("4"), known("8", on=0, source="user")]
    assert reasons([stated("8.1")], confirmed_by_a_person, source="fetched") == []


def test_rates_of_one_day_repeated_are_duplicates_and_contradicting_ones_are_neither_taken():
    same = judge(Reading([stated("4"), stated("4.00", number=2)]), "user", [], LIMITS, day(0))
    assert (len(same.accepted), same.duplicate_count, same.bad) == (1, 1, ())
    other = judge(
        Reading([stated("4"), stated("4.01", number=2), stated("2", 1, number=3)]), "user", [], LIMITS, day(1)
    )
    assert [bad.reason_code for bad in other.bad] == ["RATE_AMBIGUOUS", "RATE_AMBIGUOUS"]
    assert [each.rate_date for each in other.accepted] == [day(1)]


def test_a_cross_rate_uses_a_base_stated_in_the_same_file():
    rates = [stated("3.6725", base="USD", number=1), stated("1.09", currency="USD", number=2)]
    assert reasons(rates) == []
    book = RateBook.of([known("3.6725", 0, base="USD"), known("1.09", 0, currency="USD")], 7)
    assert book.measure("AED", day(3), "user") == (D("3.6725") * D("1.09"), day(0), "bundled")
    assert book.in_euro(D(1), "USD", day(7)) == D("1.09")
    assert book.in_euro(D(1), "USD", day(8)) is None


def test_no_sequence_of_rates_makes_a_leap_that_nobody_confirmed():
    """Whatever is stated, in any order: of what is accepted no rate is more than 20 % from the one that held."""
    chance = random.Random(3)
    for _ in range(200):
        rates = [
            stated(
                str(D(chance.choice([4, 4, 4, 40, 400, -4, 0])) + D(chance.randrange(100)) / 100), number, number=number
            )
            for number in chance.sample(range(20), 12)
        ]
        accepted = judge(Reading(rates), "user", [known("4")], LIMITS, day(30)).accepted
        series = [(day(-1), D(4)), *((each.rate_date, each.rate) for each in accepted)]
        assert all(rate > 0 for _, rate in series)
        assert all(abs(new / old - 1) <= D("0.2") for (_, old), (_, new) in pairwise(series))


# Files of a person

HEADER = "date,currency,rate,source\n"


def test_a_file_of_a_person():
    content = (
        "\ufeffDate, Currency ,RATE,source,base,confirmed\r\n"
        '2026-03-02,aed,3.6725,"Central Bank, UAE",usd,\r\n'
        "\r\n"
        "2026-03-03,VND,28000,bank,,yes\r\n"
    )
    first, second = read_rates(content.encode(), "rates.csv").rates
    assert (first.row_number, first.rate_date, first.currency, first.base, first.rate) == (
        1,
        MONDAY,
        "AED",
        "USD",
        D("3.6725"),
    )
    assert (first.stated_source, first.is_confirmed) == ("Central Bank, UAE", False)
    assert (second.row_number, second.base, second.is_confirmed) == (2, "EUR", True)


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        ("2026-03-02,AED,4", "", "FIELDS_TOO_FEW"),
        ("2026-03-02,AED,4,bank,yes", "", "FIELDS_TOO_MANY"),
        (",AED,4,bank", "date", "FIELD_MISSING"),
        ("2026-03-02,,4,bank", "currency", "FIELD_MISSING"),
        ("2026-03-02,AED,,bank", "rate", "FIELD_MISSING"),
        ("2026-03-02,AED,4, ", "source", "FIELD_MISSING"),
        ("02.03.2026,AED,4,bank", "date", "DATE_INVALID"),
        ("2026-02-30,AED,4,bank", "date", "DATE_INVALID"),
        ("20260302,AED,4,bank", "date", "DATE_INVALID"),
        ("0002-03-02,AED,4,bank", "date", "DATE_INVALID"),
        ('2026-03-02,AED,"3,67",bank', "rate", "NUMBER_INVALID"),
        ("2026-03-02,AED,four,bank", "rate", "NUMBER_INVALID"),
        ("2026-03-02,AED,4e1,bank", "rate", "NUMBER_INVALID"),
        ("2026-03-02,AED,4_0,bank", "rate", "NUMBER_INVALID"),
        ("2026-03-02,AED,٤,bank", "rate", "NUMBER_INVALID"),
        ("2026-03-02,AED,NaN,bank", "rate", "NUMBER_INVALID"),
        ("2026-03-02,AED,Infinity,bank", "rate", "NUMBER_INVALID"),
    ],
)
def test_a_row_that_cannot_be_read_is_told_with_its_field(row, field, reason):
    reading = read_rates(f"{HEADER}2026-03-01,AED,4,bank\n{row}\n".encode(), "rates.csv")
    assert len(reading.rates) == 1
    (bad,) = reading.bad
    assert (bad.row_number, bad.field_name, bad.reason_code) == (2, field, reason)
    assert bad.raw_row and bad.message
    named = row.startswith("2026-03-02") and "AED" in row
    assert not named or (bad.rate_date, bad.currency) == (MONDAY, "AED"), "the rate known for it stays"


def test_a_word_that_may_mean_yes_is_asked_about():
    reading = read_rates(b"date,currency,rate,source,confirmed\n2026-03-02,AED,4,bank,maybe\n", "rates.csv")
    assert [(bad.field_name, bad.reason_code) for bad in reading.bad] == [("confirmed", "WORD_UNKNOWN")]


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        (b"", "COLUMN_MISSING", "no column 'date'"),
        (b"date,currency,rate\n", "COLUMN_MISSING", "no column 'source'"),
        (b"date;currency;rate;source\n", "COLUMN_MISSING", "use commas"),
        (b"date,currency,rate,source,confrimed\n", "COLUMN_UNKNOWN", "did you mean 'confirmed'"),
        (b"date,currency,rate,rate,source\n", "COLUMN_UNKNOWN", "there twice"),
        ("date,currency,rate,source\n2026-03-02,AED,4,Zürich\n".encode("latin-1"), "ENCODING_INVALID", "UTF-8"),
        (HEADER.encode() + b'2026-03-02,AED,4,"bank\n', "CSV_INVALID", "line 2"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(content, code, told):
    with pytest.raises(Rejected, match=r"rates\.csv") as refused:
        read_rates(content, "rates.csv")
    assert refused.value.code == code
    assert told in refused.value.message


def test_which_files_of_a_folder_are_read(tmp_path, monkeypatch):
    """One that cannot be opened is refused alone, one that is gone is no delivery, and none is left out unsaid."""
    for name, age in (("AED.CSV", 100), ("future.csv", -1000), ("gone.csv", 100), ("locked.csv", 100), ("new.csv", 0)):
        (tmp_path / name).write_text(HEADER)
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    (tmp_path / "notes.txt").write_text("")
    opened = Path.read_bytes

    def read_bytes(path):
        if path.name == "locked.csv":
            raise PermissionError(13, "Permission denied")
        if path.name == "gone.csv":
            path.unlink()
        return opened(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    inbox = UserRates(tmp_path, tmp_path / "scratch")
    taken, locked = inbox.deliveries()
    assert (taken.name, inbox.read(taken).rates) == ("AED.CSV", [])
    with pytest.raises(Rejected, match=r"locked\.csv: cannot be read \(Permission denied\)") as refused:
        inbox.read(locked)
    assert refused.value.code == "FILE_UNREADABLE"
    waiting = inbox.waiting()
    assert sorted(waiting) == ["future.csv", "new.csv"] and "in the future" in waiting["future.csv"]


def test_a_folder_that_cannot_be_looked_into_is_told(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    inbox = UserRates(tmp_path, tmp_path / "scratch")
    for look in (inbox.deliveries, inbox.waiting):
        with pytest.raises(Misconfigured, match=rf"{tmp_path}: cannot be read \(Permission denied\): let the user"):
            look()


# The ECB's file


def zipped(text: str, name: str = "eurofxref-hist.csv", more: int = 0) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
        for number in range(more):
            archive.writestr(f"{number}.csv", text)
    return target.getvalue()


ECB = "Date,USD,JPY,HRK,\n2026-03-03,1.09,163.5,N/A,\n2026-03-02,1.08,162,,\n2026-02-27,1.07,1e2,x,\n"


def test_the_ecbs_file_from_a_day_on():
    reading = ecb.read_history(zipped(ECB), MONDAY, "ecb")
    assert [(each.rate_date, each.currency, each.rate) for each in reading.rates] == [
        (day(1), "USD", D("1.09")), (day(1), "JPY", D("163.5")), (day(0), "USD", D("1.08")), (day(0), "JPY", D(162)),
    ]  # fmt: skip
    assert not reading.bad
    bad = ecb.read_history(zipped(ECB), day(-3), "ecb").bad
    assert [(each.currency, each.reason_code, each.raw_row) for each in bad] == [
        ("JPY", "NUMBER_INVALID", '{"Date": "2026-02-27", "JPY": "1e2"}'),
        ("HRK", "NUMBER_INVALID", '{"Date": "2026-02-27", "HRK": "x"}'),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>Service unavailable</html>",
        zipped(ECB)[:-30],
        zipped(ECB, more=1),
        zipped("<html></html>"),
        zipped("Datum,USD\n2026-03-02,1.08\n"),
        zipped("Date,USD,\n"),
        zipped("Date,USD,\nyesterday,1.08,\n"),
        zipped("Date,JPY,\n2026-03-02,162,\n"),
    ],
    ids=[
        "nothing",
        "a page",
        "cut off",
        "two files",
        "a page in a zip",
        "renamed field",
        "no day",
        "no date",
        "no dollar",
    ],
)
def test_what_is_no_history_of_rates_is_refused(content):
    with pytest.raises(Rejected, match="ecb") as refused:
        ecb.read_history(content, MONDAY, "ecb")
    assert refused.value.code == "RATES_UNREADABLE"


def test_the_bundle_has_every_rate_it_says(tmp_path):
    """The engine's way of reading it against the row-by-row one, over half a year."""
    since = date.fromordinal(ecb.bundle_end().toordinal() - 180)
    written = ecb.write_rates(tmp_path / "rates.parquet")
    assert pq.read_metadata(written.path).num_rows == written.row_count > 200_000
    rows = pq.read_table(written.path, filters=[("rate_date", ">=", since)]).to_pylist()
    read = ecb.read_history(ecb._bundle(), since, "bundle").rates
    assert len(read) > 3000
    assert {(row["rate_date"], row["currency_code"], row["rate"]) for row in rows} == {
        (each.rate_date, each.currency, each.rate) for each in read
    }
    assert {(row["source_code"], row["base_currency_code"]) for row in rows} == {("bundled", "EUR")}


# Settings


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("max_carry_days", "15", "less than or equal to 14"),
        ("max_carry_days", "-1", "greater than or equal to 0"),
        ("max_carry_days", "a week", "'a week' is no whole number"),
        ("max_daily_change", "0", "greater than 0"),
        ("max_source_difference", "one", "'one' is no number"),
        ("fetch_url", "ftp://ecb/rates.zip", "does not have the form"),
        ("fetch_urll", "http://127.0.0.1/", "did you mean 'fetch_url'"),
    ],
)
def test_a_wrong_setting_is_told_with_its_line(tmp_path, setting, value, told):
    path = tmp_path / "project.yml"
    path.write_text(f"base_currency: EUR\nfx:\n  {setting}: {value}\n")
    found, faults = document.read(path, "project.yml")
    assert found and not faults
    project, (fault,) = validate(found, Project)
    assert project is None
    assert fault.where == f"project.yml:3 fx.{setting}"
    assert told in fault.message
