"""`caravan calendar`: what a person sees of a market's days."""

from __future__ import annotations

from datetime import date

import pytest
import yaml

from caravan import INCLUDE_DIR
from caravan.cli.calendar import calendar_table, show_calendar
from caravan.cli.check import find_notices
from caravan.cli.main import main
from caravan.config.calendars import business_calendar
from caravan.config.loader import load
from caravan.config.markets import Market
from caravan.config.settings import Settings
from caravan.core.errors import Misconfigured

MARKETS = load(INCLUDE_DIR / "config").markets
ROWS = [  # market, day, what its row says
    ("DE", "2026-12-24", ["Thu", "Heiligabend", "09:00-13:00", "4", "", ""]),
    ("DE", "2026-12-25", ["Fri", "Erster Weihnachtstag", "closed", "0", "", ""]),
    ("DE", "2026-10-25", ["Sun", "", "weekend", "0", "25 h long", ""]),
    ("DE", "2026-11-27", ["Fri", "", "09:00-18:00", "9", "", "Black Friday"]),
    ("CN", "2026-02-14", ["Sat", "worked weekend day", "09:00-12:00 13:30-18:30", "8", "", ""]),
    ("US", "2026-03-08", ["Sun", "", "weekend", "0", "23 h long", ""]),
]


def cells(code: str, first: date, end: date) -> list[list[str]]:
    table = calendar_table(MARKETS[code], business_calendar(MARKETS[code], end, first))
    return [list(row) for row in zip(*[[str(cell) for cell in column.cells] for column in table.columns], strict=True)]


@pytest.mark.parametrize(("code", "day", "row"), ROWS)
def test_a_day(code: str, day: str, row: list[str]) -> None:
    first = date.fromisoformat(day)
    assert cells(code, first, date.fromordinal(first.toordinal() + 1)) == [[day, *row]]


def test_a_holiday_of_the_markets_own_list_is_named_once() -> None:
    text = (INCLUDE_DIR / "config/markets/de.yml").read_text(encoding="utf-8")
    listed = [{"date": f"{year}-10-03", "hours": "closed", "reason": "Einheit"} for year in range(2010, 2027)]
    document = yaml.load(text, Loader=yaml.CBaseLoader) | {
        "calendar": [{"source": "law", "holidays": "overrides"}],
        "overrides": listed,
    }
    market = Market.model_validate(document)
    table = calendar_table(market, business_calendar(market, date(2026, 10, 4), date(2026, 10, 3)))
    assert [str(cell) for cell in table.columns[2].cells] == ["Einheit"]


@pytest.mark.parametrize(("code", "before"), [("DE", "2026-11-22"), ("US", "2026-11-21")])
def test_a_line_ends_each_week_of_the_market(code: str, before: str) -> None:
    first, end = date(2026, 11, 19), date(2026, 11, 26)
    table = calendar_table(MARKETS[code], business_calendar(MARKETS[code], end, first))
    days = [str(cell) for cell in table.columns[0].cells]
    assert [day for day, row in zip(days, table.rows, strict=True) if row.end_section] == [before]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calendar", "de", "--from", "2026-12-21", "--to", "2026-12-28"]) == 0
    assert "Germany, Europe/Berlin, 2026-12-21 to 2026-12-28: open for 31.00 hours" in capsys.readouterr().out
    assert main(["calendar", "DE"]) == 0
    assert main(["calendar", "DD"]) == 2
    assert "there is no market 'DD'" in capsys.readouterr().err
    assert main(["calendar", "DE", "--from", "2026-12-21"]) == 2


def test_what_runs_out_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    far = date(2099, 1, 1)
    show_calendar(Settings.from_environment(), "CN", date(2026, 3, 1), date(2026, 3, 3), far)
    assert "to be renewed: markets/cn.yml peak_events[0].dates: '春节' has no date after" in capsys.readouterr().out
    notices = [str(notice) for notice in find_notices(INCLUDE_DIR / "config", far)]
    assert {notice.split()[0] for notice in notices} == {
        f"markets/{code.lower()}.yml" for code in MARKETS if code != "ZZ"
    }
    with pytest.raises(Misconfigured):
        show_calendar(Settings.from_environment(), "XX", date(2026, 3, 1), date(2026, 3, 3), far)
