"""The report: one HTML file with inline SVG that asks nothing of the outside."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from caravan.core.window import to_utc_naive
from caravan.reporting import charts, formats, templates
from caravan.reporting.formats import counted, money, whole_money
from caravan.reporting.operations import RECENT, Blocked, Finding, Operations, read_operations
from caravan.reporting.sales import Period, Sales, ratio, read_sales
from caravan.warehouse.port import Session

STALE_AFTER = timedelta(hours=48)
"""A channel that delivers daily has then missed a day and has had another one to make up for it."""


CHANNELS_DRAWN = 12


@dataclass(frozen=True)
class Notice:
    """What a reader has to know before believing the figures."""

    kind: Literal["bad", "warn", "info", "good"]
    head: str
    text: str
    anchor: str = ""
    link: str = "Details"


def render(
    session: Session,
    target_dir: Path,
    now: datetime,
    title: str = "Sales report",
    *,
    stale_after: timedelta = STALE_AFTER,
) -> Path:
    """Write `target_dir`/index.html from one snapshot and return its path; the old file stays until then.

    `now`: UTC; what "hours since" counts from. Tables that are not built yet count as empty.
    """
    moment = to_utc_naive(now)
    sales = read_sales(session)
    operations = read_operations(session, moment, stale_after)
    environment = templates.environment()
    environment.filters["days"] = templates.marking_unknown(_days)
    page = environment.get_template("index.html.j2").render(
        title=title,
        now=moment,
        sales=sales,
        ops=operations,
        notices=notices(sales, operations),
        charts=_charts(sales) if sales else None,
        comparison=_comparison(sales) if sales else None,
        ratio=ratio,
        stale_hours=formats.count(int(stale_after.total_seconds() // 3600)),
    )
    target_dir.mkdir(parents=True, exist_ok=True)
    target = target_dir / "index.html"
    _write_atomically(target, page)
    return target


def notices(sales: Sales | None, operations: Operations) -> list[Notice]:
    """What is missing from the figures, worst first; one line saying so when nothing is."""
    found = [*_refusals(operations), *_checks(operations), *_gaps(sales, operations)]
    found.sort(key=lambda notice: ("bad", "warn", "info").index(notice.kind))
    if sales and not found:
        judged = "no check failed when it last ran" if operations.passed_count else "no check has run yet"
        text = (
            f"Every delivery of the last {RECENT.days} days was read, every load adds up, {judged}, no slice is held."
        )
        found.append(Notice("good", "Nothing is known to be missing.", text))
    return found


def _refusals(operations: Operations) -> list[Notice]:
    found = []
    if operations.refused:
        deliveries = counted(len(operations.refused), "delivery was", "deliveries were")
        names = sorted({formats.isolated(row.channel) for row in operations.refused})
        text = f"({_list(names)}); the rows are not in these figures."
        found.append(Notice("bad", f"{deliveries} refused", text, "loads"))
    totals = operations.load_totals
    if totals and totals.unreconciled_count:
        loads = counted(totals.unreconciled_count, "load does", "loads do")
        found.append(Notice("bad", f"{loads} not add up:", "rows were lost or counted twice.", "loads"))
    return found


def _checks(operations: Operations) -> list[Notice]:
    found = []
    if operations.blocked:
        spans = [f"{formats.isolated(row.part or 'all')} {_span(row)}" for row in operations.blocked]
        text = f"{_list(spans)}: a check failed; the last good figures stand, or none."
        found.append(Notice("bad", "Held back:", text, "quality"))
    failed = sum(row.slice_count for row in operations.findings if row.outcome in ("fail", "error"))
    warned = sum(row.slice_count for row in operations.findings if row.outcome == "warn")
    if failed:
        found.append(Notice("bad", f"{counted(failed, 'check')} failed", "or could not be computed.", "quality"))
    if warned:
        found.append(Notice("info", f"{counted(warned, 'check')} warned:", "the rows are included.", "quality"))
    return found


def _gaps(sales: Sales | None, operations: Operations) -> list[Notice]:
    found = []
    if operations.stale:
        names = [
            f"{formats.isolated(row.name)} ({'never delivered' if row.age_hours is None else f'{row.age_hours:,} h'})"
            for row in operations.stale
        ]
        found.append(Notice("warn", "Stale:", f"no delivery for too long from {_list(names)}.", "freshness"))
    if sales:
        latest, base = sales.latest, sales.base_currency
        unrated = (latest.order_count or 0) - (latest.base_order_count or 0)
        if unrated:
            text = f"({_list(sales.unrated_currencies)}); amounts in {base} leave them out."
            found.append(
                Notice("warn", f"{counted(unrated, 'order has', 'orders have')} no exchange rate", text, "markets")
            )
        if latest.unknown_customer_order_count:
            orders = counted(latest.unknown_customer_order_count, "order carries", "orders carry")
            found.append(Notice("info", f"{orders} no customer number", "and count for no customer."))
    if operations.quarantine:
        rows = counted(sum(row.row_count for row in operations.quarantine), "row is", "rows are")
        found.append(Notice("info", f"{rows} in quarantine", "and in no figure.", "quarantine"))
    if operations.waiting_slice_count:
        slices = counted(operations.waiting_slice_count, "slice waits", "slices wait")
        found.append(Notice("info", f"{slices} to be rebuilt;", "the next run of reporting_marts_hourly does so."))
    return found


def _list(words: tuple[str, ...] | list[str], shown: int = 4) -> str:
    """a, b, c and 3 more."""
    more = len(words) - shown
    return ", ".join(words[:shown]) + (f" and {more} more" if more > 0 else "")


def _span(item: Blocked | Finding) -> str:
    return formats.days(item.first_slice, item.last_slice)


def _charts(sales: Sales) -> dict[str, Any]:
    base = sales.base_currency
    span = formats.days(sales.latest.period.first, sales.latest.period.last)
    markets = [charts.Bar(name, net, whole_money(net, base)) for name, net in sales.by_market()]
    products = [charts.Bar(row.name, row.net_base, whole_money(row.net_base, base)) for row in sales.products]
    return {
        "markets": charts.bars(markets, f"Net sales by market, {span}", _described(markets)),
        "products": charts.bars(products, "Best products of the week", _described(products)) if products else "",
        "channels": [
            (
                channel,
                charts.columns(
                    sales.slices,
                    channel.points,
                    base,
                    f"Net sales of {channel.name} by {sales.grain}",
                    f"{money(channel.net_base, base)} from {formats.days(sales.slices[0], sales.slices[-1])}",
                ),
            )
            for channel in sales.channels[:CHANNELS_DRAWN]
        ],
    }


def _described(bars: list[charts.Bar]) -> str:
    return "; ".join(f"{bar.label}: {bar.text}" for bar in bars)


def _comparison(sales: Sales) -> Callable[[Decimal | int | None, Decimal | int | None, str], str]:
    def compare(latest: Decimal | int | None, before: Decimal | int | None, shown: str) -> str:
        """The change against the 30 days before, where both are known and whole."""
        if not sales.before.is_whole:
            return ""
        if latest is None or before is None or before <= 0:
            return f"before: {shown}"
        return f"{formats.change(Decimal(latest) / Decimal(before) - 1)}, before: {shown}"

    return compare


def _days(item: Period | Blocked | Finding) -> str:
    return formats.days(item.first, item.last) if isinstance(item, Period) else _span(item)


def _write_atomically(target: Path, text: str) -> None:
    """Readers see the old file or the new one, whole."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}.", suffix=".part", delete=False
    ) as part:
        try:
            part.write(text)
            part.flush()
            os.fsync(part.fileno())
            os.chmod(part.name, 0o644)
            os.replace(part.name, target)
        except BaseException:
            os.unlink(part.name)
            raise
