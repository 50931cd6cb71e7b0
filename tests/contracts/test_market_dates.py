"""Markets and their days in the warehouse: written once, anew only where a rule changed, and true to the spine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from caravan import INCLUDE_DIR, SQL_DIR
from caravan.assembly.calendar import _code_version as code_version
from caravan.config.calendars import business_calendar
from caravan.config.loader import load
from caravan.config.markets import Market
from caravan.functions.markets import calendar
from caravan.warehouse.catalog import load_models
from caravan.warehouse.runner import Runner
from caravan.warehouse.store import Store

MARKETS = load(INCLUDE_DIR / "config").markets
TODAY, FIRST, END = date(2026, 3, 2), date(2026, 1, 1), date(2027, 1, 1)
FEW = {code: MARKETS[code] for code in ("AU", "CN", "DE", "ZZ")}

ON_ONE_ENGINE = pytest.mark.parametrize("engine", ["lake"])


@pytest.fixture
def store(warehouse):
    return Store(
        warehouse, load_models(SQL_DIR), "dag", {"base_currency": "EUR"}, "revision", lambda: datetime(2026, 3, 2)
    )


def put(store: Store, markets: dict[str, Market], run_id: str = "run", code_version: str = "1") -> list[str]:
    return calendar.put_markets(markets, TODAY, FIRST, END, code_version, run_id, store)


def rows(store: Store, sql: str) -> list[Any]:
    with store.warehouse.read() as session:
        return list(session.rows(sql))


def changed(code: str, edit: Callable[[dict[str, Any]], None]) -> dict[str, Market]:
    """The markets, one of them with its file edited."""
    text = (INCLUDE_DIR / f"config/markets/{code.lower()}.yml").read_text(encoding="utf-8")
    document = yaml.load(text, Loader=yaml.CBaseLoader)
    edit(document)
    return FEW | {code: Market.model_validate(document)}


def anew(store: Store) -> list[tuple[str, date]]:
    """The days that have more than one version."""
    found = rows(store, "SELECT market_code, local_date FROM raw.config__market_date WHERE version > 1 ORDER BY 1, 2")
    return [(code, day) for code, day in found]


def test_days_are_written_once(store):
    assert put(store, FEW) == ["AU", "CN", "DE", "ZZ"]
    assert rows(store, "SELECT COUNT(*) FROM raw.config__market_date") == [(4 * 365,)]
    with store.warehouse.read() as session:
        before = session.rows("SELECT * FROM ops.table_version ORDER BY 1")
    assert put(store, FEW, "run2") == []
    assert rows(store, "SELECT * FROM ops.table_version ORDER BY 1") == before
    # Other code computes the days again and finds them the same.
    assert put(store, FEW, "run3", code_version="2") == ["AU", "CN", "DE", "ZZ"]
    assert anew(store) == []


@ON_ONE_ENGINE
def test_an_exception_changes_its_day_and_no_other(store):
    put(store, FEW)
    closed = {"date": "2026-06-15", "hours": "closed", "reason": "moving"}
    assert put(store, changed("DE", lambda file: file["overrides"].append(closed))) == ["DE"]
    assert anew(store) == [("DE", date(2026, 6, 15))]
    newest = "SELECT open_seconds, is_override FROM raw.config__market_date WHERE version = 2"
    assert rows(store, newest) == [(0, True)]


@ON_ONE_ENGINE
def test_a_rule_that_begins_tomorrow_changes_no_earlier_day(store):
    put(store, FEW)
    tomorrow = TODAY + timedelta(days=1)

    def shorter_hours(file: dict[str, Any]) -> None:
        (version,) = file["time"]
        file["time"] = [
            version | {"valid_to": str(tomorrow)},
            version | {"valid_from": str(tomorrow), "hours": {"mon-fri": ["10:00-16:00"]}},
        ]

    assert put(store, changed("DE", shorter_hours)) == ["DE"]
    assert anew(store) and min(day for _, day in anew(store)) == tomorrow
    # A rule of money touches no day at all, only the market.
    put(store, FEW, "back")
    count = len(rows(store, "SELECT 1 FROM raw.config__market_date"))
    put(store, changed("AU", lambda file: file["money"][0].update(vat_pct="12")))
    assert len(rows(store, "SELECT 1 FROM raw.config__market_date")) == count
    assert rows(store, "SELECT vat_pct FROM raw.config__market WHERE market_code = 'AU' ORDER BY version DESC")[0] == (
        12,
    )


@ON_ONE_ENGINE
def test_a_run_that_is_cut_off_before_the_end_is_done_again(store, monkeypatch):
    whole = store.put_reference

    def dies(table: str, *rest: Any) -> None:
        if table == calendar.MARKET:
            raise KeyboardInterrupt
        whole(table, *rest)

    monkeypatch.setattr(store, "put_reference", dies)
    with pytest.raises(KeyboardInterrupt):
        put(store, FEW)
    monkeypatch.setattr(store, "put_reference", whole)
    assert put(store, FEW, "again") == ["AU", "CN", "DE", "ZZ"]
    assert rows(store, "SELECT COUNT(*), MAX(version) FROM raw.config__market_date") == [(4 * 365, 1)]


@ON_ONE_ENGINE
def test_a_market_without_a_calendar_is_told_and_stops_no_other(store, caplog):
    nowhere = changed("DE", lambda file: file["calendar"][0].update(holiday_country="GW"))  # known from 2023
    assert put(store, nowhere) == ["AU", "CN", "ZZ"]
    assert "no days of DE are written: OUTSIDE_CALENDAR" in caplog.text
    assert rows(store, "SELECT COUNT(*) FROM raw.config__market") == [(4,)]
    assert rows(store, "SELECT DISTINCT market_code FROM raw.config__market_date ORDER BY 1") == [
        ("AU",),
        ("CN",),
        ("ZZ",),
    ]


def test_what_computes_a_rows_values_is_in_the_version_of_the_code(monkeypatch):
    read, whole = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or whole(path))
    code_version.__wrapped__()
    folders = [f"{path.parent.name}/{path.name}" for path in read]
    assert set(folders) >= {"config/markets.py", "config/calendars.py", "markets/calendar.py", "core/calendar.py"}


def test_the_days_of_the_marts_are_those_of_the_calendar(store):
    put(store, FEW)
    chosen = [model for model in store.catalog.models if "config__market" in model.name or "dim_market" in model.name]
    assert len(chosen) == 4
    Runner(store.warehouse, store.catalog, {}, "dag", "marts").build(chosen)
    assert rows(store, "SELECT market_code, week_start_day, currency_code FROM mart.dim_market ORDER BY 1") == [
        ("AU", "mon", "AUD"),
        ("CN", "mon", "CNY"),
        ("DE", "mon", "EUR"),
        ("ZZ", "mon", "EUR"),
    ]
    names = "market_code, local_date, utc_start_at, utc_end_at, day_length_min, open_seconds, is_dst_change"
    days = rows(store, f"SELECT {names} FROM mart.dim_market_date ORDER BY 1, 2")
    assert len(days) == 4 * 365
    for code, market in FEW.items():
        spine = business_calendar(market, END, FIRST).spine
        own = [row[1:] for row in days if row[0] == code]
        assert [end for _, _, end, *_ in own[:-1]] == [start for _, start, *_ in own[1:]], (
            "a day ends as the next begins"
        )
        assert sum(row[3] for row in own) == 525_600
        assert [row[4] for row in own] == [spine.open_seconds(start, end) for _, start, end, *_ in own]
        turns = {row[0]: row[3] for row in own if row[5]}
        assert turns == {
            "AU": {date(2026, 4, 5): 1500, date(2026, 10, 4): 1380},
            "DE": {date(2026, 3, 29): 1380, date(2026, 10, 25): 1500},
        }.get(code, {})


DAYS = [  # market, day: weekend, holiday, exception, hours, first day of its week, ISO week, fiscal year, event
    ("DE", "2026-12-24", (False, None, True, "09:00-13:00", "2026-12-21", "2026-W52", 2026, None)),
    ("DE", "2026-11-27", (False, None, False, "09:00-18:00", "2026-11-23", "2026-W48", 2026, "Black Friday")),
    ("CN", "2026-02-14", (True, None, False, "09:00-12:00 13:30-18:30", "2026-02-09", "2026-W07", 2026, None)),
    ("CN", "2026-02-17", (False, "春节", False, None, "2026-02-16", "2026-W08", 2026, "春节")),
    ("AU", "2026-06-30", (False, None, False, "08:30-17:00", "2026-06-29", "2026-W27", 2025, "EOFY sales")),
    ("ZZ", "2026-01-01", (False, None, False, "00:00-24:00", "2025-12-29", "2026-W01", 2026, None)),
]


@ON_ONE_ENGINE
def test_single_days(store):
    put(store, FEW)
    names = "is_weekend, holiday_name, is_override, opening_hours, week_start_date, iso_week, fiscal_year, peak_event"
    for code, day, expected in DAYS:
        where = f"market_code = '{code}' AND local_date = CAST('{day}' AS DATE)"
        (row,) = rows(store, f"SELECT {names} FROM raw.config__market_date WHERE {where}")
        assert tuple(str(value) if isinstance(value, date) else value for value in row) == expected, (code, day)
