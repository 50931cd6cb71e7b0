"""What the pages of the report draw, each with its numbers in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from markupsafe import Markup

from caravan.reporting import charts, formats
from caravan.reporting.formats import money, whole_money
from caravan.reporting.quarantine import Quarantined
from caravan.reporting.sales import ChannelSeries, Sales, by_name

CHANNELS_DRAWN = 12
BARS_DRAWN = 10


class Drawings:
    """Of one page of sales; each is drawn when a template asks for it."""

    def __init__(self, sales: Sales) -> None:
        self.sales = sales
        self.drawn_series = sales.series[:CHANNELS_DRAWN]

    def markets(self) -> Markup:
        base = self.sales.base_currency
        bars = [charts.Bar(name, net, whole_money(net, base)) for name, net in by_name(self.sales.markets)]
        period = self.sales.latest.period
        return charts.bars(bars, f"Net sales by market, {formats.days(period.first, period.last)}", _described(bars))

    def products(self) -> Markup:
        base, weeks = self.sales.base_currency, self.sales.product_weeks
        bars = [
            charts.Bar(row.name, row.net_base, whole_money(row.net_base, base))
            for row in self.sales.products[:BARS_DRAWN]
        ]
        return charts.bars(bars, f"Best products, {formats.days(weeks.first, weeks.last)}", _described(bars))

    def channel(self, series: ChannelSeries) -> Markup:
        sales, base = self.sales, self.sales.base_currency
        known = [(day, amount) for day, amount in series.points.items() if amount is not None]
        span = formats.days(sales.slices[0], sales.latest.period.last)
        text = f"{money(series.net_base, base)} in all, {span}"
        if known:
            (low_day, low), (high_day, high) = (end(known, key=lambda point: point[1]) for end in (min, max))
            at = "week of " if sales.grain == "week" else ""
            text += f"; highest {money(high, base)}, {at}{formats.day(high_day)}"
            text += f"; lowest {money(low, base)}, {at}{formats.day(low_day)}"
        title = f"Net sales of {series.name} by {sales.grain}"
        return charts.columns(sales.slices, series.points, base, title, text, is_alone=len(sales.series) == 1)


def reasons(rows: Iterable[Quarantined]) -> Markup | None:
    """Rows in quarantine by reason over all channels; None where there is none."""
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row.reason_code] += row.row_count
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:BARS_DRAWN]
    bars = [charts.Bar(in_words(code), Decimal(count), formats.count(count)) for code, count in largest]
    return charts.bars(bars, "Rows in quarantine by reason", _described(bars)) if bars else None


def in_words(code: str) -> str:
    """NUMBER_INVALID is "number invalid"."""
    return code.replace("_", " ").lower()


def _described(bars: list[charts.Bar]) -> str:
    return "; ".join(f"{bar.label}: {bar.text}" for bar in bars)
