"""What is missing from the figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from caravan.reporting import formats
from caravan.reporting.formats import counted
from caravan.reporting.links import QUALITY, QUARANTINE
from caravan.reporting.operations import RECENT, Blocked, Finding, Freshness, Operations
from caravan.reporting.sales import Sales


@dataclass(frozen=True)
class Notice:
    """What a reader has to know before believing the figures."""

    kind: Literal["bad", "warn", "info", "good"]
    head: str
    text: str
    target: str = ""
    """A page of the report, from its first folder on, and a part of it."""


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
        found.append(Notice("bad", f"{deliveries} refused", text, f"{QUALITY}#loads"))
    for look, why in (
        ("failed", "not all could be read at the last try; the next one asks for it again."),
        ("faulty", "the channel's file has a fault: ./caravan check says which."),
    ):
        if unread := [row for row in operations.unread if row.last_look == look]:
            found.append(Notice("bad", "Not collected:", f"{_list(_silent(unread))}: {why}", f"{QUALITY}#freshness"))
    totals = operations.load_totals
    if totals and totals.unreconciled_count:
        loads = counted(totals.unreconciled_count, "load does", "loads do")
        found.append(Notice("bad", f"{loads} not add up:", "rows were lost or counted twice.", f"{QUALITY}#loads"))
    return found


def _checks(operations: Operations) -> list[Notice]:
    found = []
    if operations.blocked:
        spans = [f"{formats.isolated(row.part or 'all')} {span(row)}" for row in operations.blocked]
        text = f"{_list(spans)}: a check failed; the last good figures stand, or none."
        found.append(Notice("bad", "Held back:", text, f"{QUALITY}#quality"))
    failed = sum(row.slice_count for row in operations.findings if row.outcome in ("fail", "error"))
    warned = sum(row.slice_count for row in operations.findings if row.outcome == "warn")
    if failed:
        found.append(
            Notice("bad", f"{counted(failed, 'check')} failed", "or could not be computed.", f"{QUALITY}#quality")
        )
    if warned:
        found.append(
            Notice("info", f"{counted(warned, 'check')} warned:", "the rows are included.", f"{QUALITY}#quality")
        )
    return found


def _gaps(sales: Sales | None, operations: Operations) -> list[Notice]:
    found = []
    if operations.stale:
        text = f"no delivery for too long from {_list(_silent(operations.stale))}."
        found.append(Notice("warn", "Stale:", text, f"{QUALITY}#freshness"))
    if sales:
        latest, base = sales.latest, sales.base_currency
        unrated = (latest.order_count or 0) - (latest.base_order_count or 0)
        if unrated:
            text = f"({_list(sales.unrated_currencies)}); amounts in {base} leave them out."
            found.append(
                Notice(
                    "warn",
                    f"{counted(unrated, 'order has', 'orders have')} no exchange rate",
                    text,
                    "index.html#markets",
                )
            )
        if latest.unknown_customer_order_count:
            orders = counted(latest.unknown_customer_order_count, "order carries", "orders carry")
            found.append(Notice("info", f"{orders} no customer number", "and count for no customer."))
    if operations.quarantine:
        rows = counted(sum(row.row_count for row in operations.quarantine), "row is", "rows are")
        found.append(Notice("info", f"{rows} in quarantine", "and in no figure.", QUARANTINE))
    if operations.waiting_slice_count:
        slices = counted(operations.waiting_slice_count, "slice waits", "slices wait")
        found.append(Notice("info", f"{slices} to be rebuilt;", "the next run of reporting_marts_hourly does so."))
    return found


def _silent(rows: Iterable[Freshness]) -> list[str]:
    """Channels, and for how long nothing has come."""
    return [f"{formats.isolated(row.name)} ({_age(row.age_hours)})" for row in rows]


def _age(hours: int | None) -> str:
    if hours is None:
        return "never delivered"
    return f"{hours:,} h" if hours else "under an hour"


def _list(words: tuple[str, ...] | list[str], shown: int = 4) -> str:
    """a, b, c and 3 more."""
    more = len(words) - shown
    return ", ".join(words[:shown]) + (f" and {more} more" if more > 0 else "")


def span(item: Blocked | Finding) -> str:
    return formats.days(item.first_slice, item.last_slice)
