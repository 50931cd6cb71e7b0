"""`caravan calendar`: the days of a market as Caravan sees them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from caravan.cli.steps import To, console, dates, say
from caravan.config.settings import Settings
from caravan.core.errors import Fault, Misconfigured, nearest

if TYPE_CHECKING:
    from caravan.config.markets import Market
    from caravan.core.calendar import Calendar

DAYS_SHOWN = 14
"""From today, where nothing else is asked for."""


def calendar(
    market: Annotated[str, typer.Argument(help="Code of a market, e.g. DE.")],
    start: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First local day; today if absent.")
    ] = None,
    end: To = None,
) -> None:
    """Show a market's local days: holidays, hours, changes of the clock; two weeks from today if no dates are given."""
    first, last = dates(start, end)
    today = datetime.now(UTC).date()
    first = first or today
    show_calendar(Settings.from_environment(), market, first, last or first + timedelta(days=DAYS_SHOWN), today)


def show_calendar(settings: Settings, code: str, first: date, end: date, today: date) -> None:
    """Print a line for each local day in `[first, end)`, and what nobody knows yet of the days to come."""
    from caravan.config.calendars import business_calendar, outdated
    from caravan.config.loader import load

    markets = load(settings.config_dir).markets
    market = markets.get(code.upper())
    if market is None:
        raise Misconfigured([Fault("MARKET", f"there is no market '{code}'{nearest(code.upper(), markets)}")])
    shown = business_calendar(market, end, first)
    console().print(calendar_table(market, shown))
    open_hours = float((shown.spine.ends - shown.spine.starts).sum()) / 3600
    say(f"{market.name}, {market.zone}, {shown.first} to {shown.end}: open for {open_hours:,.2f} hours")
    if shown.ends_because:
        say(f"nothing is known from {shown.end} on: {shown.ends_because}")
    for notice in outdated(market, today):
        say(f"to be renewed: {notice}")


def calendar_table(market: Market, shown: Calendar) -> Table:
    """A row for each local day; a line above each first day of a week."""
    from caravan.core.calendar import hours_text

    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for title in ("day", "", "holiday or exception", "open, local time", "hours", "clock", "peak event"):
        table.add_column(
            title, justify="right" if title == "hours" else "left", no_wrap=title in ("day", "", "open, local time")
        )
    midnights = shown.midnights
    seconds = shown.spine.open_seconds(midnights[:-1], midnights[1:])
    reasons = {each.date: each.reason for each in market.overrides}
    for index, day in enumerate(shown.days):
        if index and market.time.on(day.date).week_of(day.date) == day.date:
            table.add_section()
        length = int(midnights[index + 1] - midnights[index])
        worked = "worked weekend day" if day.is_weekend and day.spans and not day.is_override else None
        table.add_row(
            str(day.date),
            f"{day.date:%a}",
            # A list of holidays in `overrides` gives both names: they are one.
            Text(", ".join(dict.fromkeys(n for n in (day.holiday_name, reasons.get(day.date), worked) if n))),
            hours_text(day.spans) or ("weekend" if day.is_weekend and not day.holiday_name else "closed"),
            f"{int(seconds[index]) / 3600:g}",
            "" if length == 86_400 else f"{length / 3600:g} h long",
            Text(market.peak_event(day.date) or ""),
        )
    return table
