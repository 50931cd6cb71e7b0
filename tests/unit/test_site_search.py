"""Which days of search data are due, what a site's file may say, and what a row is worth."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from caravan import INCLUDE_DIR
from caravan.clients.search.answers import read_row
from caravan.clients.search.rows import country_code, digest
from caravan.config.loader import check, load
from caravan.config.search import SearchConsoleSource, load_search_sites
from caravan.core.errors import Rejected
from caravan.core.search import Measures, ended_at
from caravan.core.window import DayRange
from caravan.functions.site.search import days_to_ask

TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 20)
"""Noon in California."""
SOURCE = SearchConsoleSource(
    property_url="sc-domain:a.example", connection="search_console_a", settle_days=1, restate_days=2
)


def ago(number: int) -> date:
    return TODAY - timedelta(days=number)


def read(number: int, age_days: float) -> tuple[date, datetime]:
    """A day so many days ago, read when it had been over for so long."""
    return ago(number), ended_at(ago(number)) + timedelta(days=age_days)


@pytest.mark.parametrize(
    ("window", "last_read", "expected"),
    [
        # the newest days, of settle_days + restate_days, whatever the window
        ((40, 39), [], [40, 3, 2, 1]),
        ((1, 0), [], [3, 2, 1]),
        # not one that lasts, or is ahead
        ((0, -3), [], [3, 2, 1]),
        # one that was read before its numbers had settled, and no other
        ((1, 0), [read(9, 2.9), read(8, 3), read(7, 5), read(2, 0.5)], [3, 1, 9, 2]),
        # a settled one in the window is asked for again
        ((8, 7), [read(8, 3), read(2, 0.5)], [3, 1, 8, 2]),
        # those that were missed since the newest day read
        ((5, 4), [read(9, 9), read(8, 8)], [7, 6, 5, 3, 2, 1]),
        # not those before a window that is older than what was read
        ((30, 29), [read(9, 9), read(8, 8)], [30, 3, 2, 1]),
        # 16 months are kept
        ((500, 485), [], [487, 486, 3, 2, 1]),
    ],
    ids=["newest", "scheduled", "ahead", "unsettled", "settled", "outage", "backfill", "history"],
)
def test_days_that_are_due(window, last_read, expected):
    found = days_to_ask(DayRange(ago(window[0]), ago(window[1])), SOURCE, dict(last_read), NOW)
    assert found == [ago(number) for number in expected]


def test_before_midnight_in_california_it_is_still_yesterday():
    window = DayRange(ago(1), ago(0))
    assert max(days_to_ask(window, SOURCE, {}, datetime(2026, 11, 20, 7, 59))) == ago(2)
    assert max(days_to_ask(window, SOURCE, {}, datetime(2026, 11, 20, 8))) == ago(1)


def test_read_longest_ago_comes_first():
    window = DayRange(ago(30), ago(26))
    times = {ago(30): NOW, ago(29): NOW - timedelta(hours=2), ago(28): NOW - timedelta(hours=1)}
    assert days_to_ask(window, SOURCE, times, NOW) == [ago(27), ago(3), ago(2), ago(1), ago(29), ago(28), ago(30)]


GOOD = "search_console:\n  property_url: https://a.example/\n  connection: search_console_a\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (GOOD, None),
        (GOOD.replace("https://a.example/", "sc-domain:shop.a.example"), None),
        ("name: of other keys nothing is said here\n" + GOOD, None),
        (GOOD.replace("https://a.example/", "https://a.example"), "is no property of Search Console"),
        (GOOD.replace("https://a.example/", "a.example"), "is no property of Search Console"),
        (GOOD.replace("https://a.example/", "sc-domain:https://a.example/"), "is no property of Search Console"),
        (GOOD + "  restate_days: -1\n", "restate_days"),
        (GOOD + "  data_state: fresh\n", "'fresh' is not known"),
        (GOOD.replace("connection", "connexion"), "unknown key 'connexion'; did you mean 'connection'?"),
        ("search_console:\n", "expected `key: value` lines"),
    ],
)
def test_what_a_sites_file_may_say(tmp_path: Path, text: str, fault: str | None) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "shop.yml").write_text(text)
    (tmp_path / "sites" / "plain.yml").write_text("name: without search data\n")
    (tmp_path / "sites" / "off.yml").write_text(GOOD + "  enabled: false\n")
    (tmp_path / "sites" / "closed.yml").write_text("enabled: false\n" + GOOD)
    found = load_search_sites(tmp_path)
    if fault is None:
        assert (list(found.sources), found.faults) == (["shop"], ())
        assert (found.sources["shop"].settle_days, found.sources["shop"].restate_days) == (3, 4)
    else:
        assert found.sources == {}
        assert fault in "\n".join(map(str, found.faults))
        assert {each.channel for each in found.faults} == {"shop"}
        assert all(each.where.startswith("sites/shop.yml:") for each in found.faults)


def test_check_tells_of_a_sites_fault_and_loading_goes_on(tmp_path):
    config = tmp_path / "config"
    shutil.copytree(INCLUDE_DIR / "config", config)
    before = check(config)
    (config / "sites").mkdir(exist_ok=True)
    (config / "sites" / "shop.yml").write_text(GOOD.replace("connection", "connexion"))
    told = [str(fault) for fault in check(config) if fault not in before]
    assert any(line.startswith("sites/shop.yml:3 search_console.connexion: unknown key") for line in told), told
    assert load(config).channels


def test_without_sites_there_is_nothing_to_ask(tmp_path):
    assert load_search_sites(tmp_path).sources == {}


ROW = {"keys": ["tea", "deu"], "clicks": "1", "impressions": "19", "ctr": "0.05", "position": "4.894736842105263"}


def test_the_sum_of_positions_is_whole():
    assert read_row(ROW, 2, "here").measures == Measures(1, 19, 93)
    assert read_row({**ROW, "impressions": "1E+2", "position": "1"}, 2, "here").measures == Measures(1, 100, 100)
    nothing = {"clicks": "0", "impressions": "0", "position": "0"}
    assert read_row(nothing, 0, "here").measures == Measures(0, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"keys": ["tea"]}, {"keys": "te"}, {"keys": ["tea", None]}, {"clicks": None}, {"clicks": "-1"},
        {"clicks": "0.5"}, {"impressions": "NaN"}, {"impressions": True}, {"position": "Infinity"}, {"position": ""},
    ],
    ids=str,
)  # fmt: skip
def test_a_row_that_is_none(change):
    with pytest.raises(Rejected, match="ANSWER_UNEXPECTED: here sent a row without"):
        read_row({**ROW, **change}, 2, "here")


@pytest.mark.parametrize("row", [None, "row", [], {}])
def test_what_is_no_row_at_all(row):
    with pytest.raises(Rejected, match="ANSWER_UNEXPECTED"):
        read_row(row, 2, "here")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("deu", "DE"),
        ("DEU", "DE"),
        ("gbr", "GB"),
        ("chn", "CN"),
        ("hkg", "HK"),
        ("xkk", "XK"),
        ("zzz", "ZZ"),
        ("", "ZZ"),
    ],
)
def test_countries_as_google_writes_them(given, code):
    assert country_code(given) == code


def test_a_key_is_of_all_its_parts():
    assert digest("a", "bc") != digest("ab", "c")
    assert digest("1:a", "") != digest("1", "a")
    assert digest("\ud800") != digest("?")
