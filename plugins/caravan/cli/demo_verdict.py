"""What `caravan demo` found, beside what is so: tables of it, and every difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from caravan.cli.run import RunResult
    from caravan.demo.truth import DeliveryTruth, Truth
    from caravan.warehouse.port import Session

T = TypeVar("T")

DAG_ID = "sales_orders_daily"
COUNTS = ("received", "loaded", "unchanged", "duplicate", "quarantined", "refused")


@dataclass(frozen=True)
class Found:
    """What ops.load and ops.quarantine say about one delivery. `refused`: the reason, for the whole file."""

    channel_code: str
    entity: str
    name: str
    started_at: datetime
    """UTC, without zone."""
    refused: str | None
    reasons: tuple[tuple[str, int], ...]
    received: int
    loaded: int
    unchanged: int
    duplicate: int
    quarantined: int
    deleted: int
    moved: int

    @property
    def is_nothing_new(self) -> bool:
        return not (self.loaded or self.duplicate or self.quarantined or self.deleted or self.moved or self.refused)


def failed_checks(session: Session, since: datetime) -> list[str]:
    """Quality checks that failed since then: none is planted."""
    rows = session.rows(
        "SELECT model_name, check_name, part_value, COUNT(*), MIN(message) FROM ops.quality_result "
        "WHERE outcome IN ('fail', 'error') AND checked_at >= $since GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        {"since": since},
    )
    return [
        f"  {model} {part or ''}: check {name} failed {count} times: {text}" for model, name, part, count, text in rows
    ]


def unrated(session: Session) -> list[str]:
    """Orders without an exchange rate: there is one for each currency and day."""
    rows = session.rows(
        "SELECT currency_code, COUNT(*) FROM mart.fct_order WHERE fx_status = 'missing' GROUP BY 1 ORDER BY 1"
    )
    return [f"  {count} orders in {currency} have no exchange rate" for currency, count in rows]


_BY_KEY = {
    "refunds": (
        3,
        "SELECT channel_code, refund_local_date, net_status, COUNT(*), SUM(amount) FROM mart.fct_refund "
        "GROUP BY 1, 2, 3",
    ),
    "payments": (
        4,
        "SELECT channel_code, payment_local_date, payment_kind, link_status, COUNT(*), SUM(amount), "
        "SUM(received_amount) FROM mart.fct_payment GROUP BY 1, 2, 3, 4",
    ),
    "shipments": (
        5,
        "SELECT channel_code, shipment_local_date, shipment_kind, link_status, party_code, COUNT(*), "
        "COUNT(delivered_at), SUM(piece_count), SUM(weight_kg), SUM(freight_amount) FROM mart.fct_shipment "
        "GROUP BY 1, 2, 3, 4, 5",
    ),
    "offers": (
        5,
        "SELECT channel_code, market_code, country_code, sku, offer_local_date, price, cost_amount, stock_count, "
        "availability FROM mart.fct_offer_day",
    ),
}
"""By the truth's name for it, what the marts hold, in the order of the truth's fields: so many columns are the key."""


def wrong_figures(truth: Truth, session: Session) -> list[str]:
    """What is not, to the cent and the piece, so: sales by channel, market and day, all else by its key."""
    pairs: list[tuple[str, Mapping[Any, tuple[Any, ...]], Mapping[Any, tuple[Any, ...]]]] = [
        ("sales", true_sales(truth), counted_sales(session))
    ]
    for what, (keys, sql) in _BY_KEY.items():
        ought = [tuple(vars(each).values()) for each in getattr(truth, what)]
        pairs.append((what, _keyed(ought, keys), _keyed(session.rows(sql), keys)))
    return [
        f"  {what} of {' '.join(map(str, key))}: {_told(is_.get(key))} instead of {_told(ought.get(key))}"
        for what, ought, is_ in pairs
        for key in sorted(ought.keys() | is_.keys())
        if is_.get(key) != ought.get(key)
    ]


def _keyed(rows: Iterable[tuple[Any, ...]], keys: int) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Of a key that comes twice, the figures of both."""
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in rows:
        found[tuple(row[:keys])] = (*found.get(tuple(row[:keys]), ()), *row[keys:])
    return found


Figures = Mapping[tuple[str, date, str], tuple[Any, ...]]
"""By channel, local day and market, in the order of FIGURES."""

FIGURES = ("orders", "units", "gross", "cancelled", "refunded", "net", "new")
_NOT_SHOWN = FIGURES.index("cancelled")
"""Gross less refunded and net: the table fits into 80 columns without it."""


def true_sales(truth: Truth) -> Figures:
    return {
        (each.channel_code, each.order_local_date, each.market_code): (
            *(each.orders, each.units, each.gross, each.cancelled, each.refunded, each.net, each.new_customers),
        )
        for each in truth.sales
    }


def counted_sales(session: Session) -> Figures:
    rows = session.rows(
        "SELECT channel_code, order_local_date, market_code, SUM(order_count), SUM(unit_count), SUM(gross_amount), "
        "SUM(cancelled_amount), SUM(refunded_amount), SUM(net_amount), SUM(new_customer_count) "
        "FROM mart.rpt_sales__channel_day GROUP BY 1, 2, 3"
    )
    return {(row[0], row[1], row[2]): tuple(row[3:]) for row in rows}


def sales_table(counted: Figures, ought: Figures) -> Table:
    """By channel, what was counted and below it what is so."""
    table = _figures_table("Counted, below it what is so; channels' currencies (net: less cancelled)")
    is_, so = _by_channel(counted), _by_channel(ought)
    for channel in sorted(is_.keys() | so.keys()):
        table.add_row(channel, *_shown(is_.get(channel)))
        style = "dim" if is_.get(channel) == so.get(channel) else "bold red"
        table.add_row("  truth", *_shown(so.get(channel)), style=style)
    return table


def truth_table(ought: Figures) -> Table:
    """By channel, what is so."""
    table = _figures_table("What is so; channels' currencies (net: less cancelled; new: first orders)")
    for channel, totals in sorted(_by_channel(ought).items()):
        table.add_row(channel, *_shown(totals))
    return table


def _figures_table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("channel", no_wrap=True)
    for name in _chosen(FIGURES):
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _chosen(row: Sequence[T]) -> Sequence[T]:
    return [*row[:_NOT_SHOWN], *row[_NOT_SHOWN + 1 :]]


def _by_channel(figures: Figures) -> dict[str, list[Decimal]]:
    totals: dict[str, list[Decimal]] = {}
    for (channel, _, _), row in figures.items():
        before = totals.get(channel, [Decimal(0)] * len(row))
        totals[channel] = [total + Decimal(value) for total, value in zip(before, row, strict=True)]
    return totals


def _shown(totals: Sequence[Decimal] | None) -> list[str]:
    """Counts whole, amounts with cents where there are any."""
    if totals is None:
        return ["-"] * len(_chosen(FIGURES))
    return [f"{total:,.0f}" if total == total.to_integral_value() else f"{total:,.2f}" for total in _chosen(totals)]


def _told(figures: tuple[object, ...] | None) -> str:
    return "nothing" if figures is None else " ".join(map(str, figures))


def read_found(session: Session) -> list[Found]:
    """The last word of ops.load on every delivery, in the order of loading. A refused file is tried by every run."""
    reasons: dict[str, list[tuple[str, int]]] = {}
    for load_id, reason, count in session.rows(
        "SELECT load_id, reason_code, COUNT(*) FROM ops.quarantine GROUP BY load_id, reason_code ORDER BY 1, 2"
    ):
        reasons.setdefault(load_id, []).append((reason, count))
    found: dict[tuple[str, str, str], Found] = {}
    for load_id, started_at, channel, entity, name, refused, *counts in session.rows(
        "SELECT load_id, started_at, channel_code, entity, delivery_name, "
        "CASE WHEN state = 'refused' THEN reason_code END, received_count, loaded_count, unchanged_count, "
        "duplicate_count, quarantined_count, deleted_count, moved_count FROM ops.load "
        "WHERE (table_name LIKE 'raw.file_drop__%' OR channel_code = 'rates_user') AND delivery_name IS NOT NULL "
        "ORDER BY started_at, load_id"
    ):
        quarantined = tuple(reasons.get(load_id, ()))
        found[channel, entity, name] = Found(channel, entity, name, started_at, refused, quarantined, *counts)
    return list(found.values())


def loads_table(found: Sequence[Found]) -> Table:
    """Rows by channel; `refused` counts files."""
    totals: dict[str, Counter[str]] = {}
    for each in found:
        row = totals.setdefault(each.channel_code, Counter())
        row.update({name: getattr(each, name) for name in COUNTS[:-1]})
        row["refused"] += each.refused is not None
    table = Table(title="What was loaded: rows (refused: files)", title_justify="left", box=box.SIMPLE)
    table.show_footer, table.pad_edge, table.collapse_padding = True, False, True  # fits into 80 columns
    everything = sum(totals.values(), Counter[str]())
    table.add_column("channel", footer="all", no_wrap=True)
    for name in COUNTS:
        table.add_column(name, justify="right", no_wrap=True, footer=f"{everything[name]:,}")
    for channel, row in sorted(totals.items()):
        table.add_row(channel, *(f"{row[name]:,}" for name in COUNTS))
    return table


def differences(truth: Truth, found: Iterable[Found]) -> list[str]:
    """Where the warehouse does not hold exactly what was planted; empty when it does."""
    by_name = {(each.channel_code, each.entity, each.name): each for each in found}
    lines = []
    for planted in (*truth.deliveries, *truth.rates):
        where = f"{planted.channel_code} {planted.entity} {planted.name}"
        each = by_name.pop((planted.channel_code, planted.entity, planted.name), None)
        if each is None:
            lines.append(f"  {where}: was not collected")
            continue
        lines += [
            f"  {where}: {name} {is_} instead of {ought}"
            for name, is_, ought in _compared(planted, each)
            if is_ != ought
        ]
    # A service that is asked again says once more what it changed in the last minutes before it was asked first.
    repeated = {key for key, each in by_name.items() if key[0] in truth.asked and each.is_nothing_new}
    lines += [f"  {' '.join(key)}: is no file of the demo" for key in by_name if key not in repeated]
    return lines


def _compared(planted: DeliveryTruth, each: Found) -> list[tuple[str, object, object]]:
    counts = ("received", "loaded", "unchanged", "duplicate", "deleted", "moved", "refused")
    pairs: list[tuple[str, object, object]] = [(name, getattr(each, name), getattr(planted, name)) for name in counts]
    return [
        *pairs,
        ("quarantined", each.quarantined, sum(planted.quarantined.values())),
        ("reasons", dict(each.reasons), dict(planted.quarantined)),
    ]


def unexpected_failures(truth: Truth, result: RunResult) -> list[str]:
    """Tasks that failed though nothing planted is meant to make them fail."""
    refused = {f"collect [{each.channel_code}]" for each in truth.deliveries if each.refused}
    expected = refused | ({"verdict"} if refused else set())
    lines = [f"  {name} failed: {text}" for name, text in result.failures.items() if name not in expected]
    lines += [f"  {name} did not fail" for name in sorted(expected - result.failures.keys())]
    lines += [f"  {name} did not run" for name in result.not_run]
    lines += [f"  {each.dag_id} {each.state}: {dict(each.failures)}" for each in result.downstream if not each]
    return lines if result.downstream else [*lines, "  no DAG followed: the report is not up to date"]


def summary(truth: Truth, new_count: int) -> list[str]:
    """What was found, in words; `new_count`: deliveries that this run loaded."""
    quarantined = truth.quarantined()
    reasons = ", ".join(f"{reason} {count}" for reason, count in quarantined.items())
    lines = [] if new_count else ["Nothing new was loaded: files are known by their content, services had nothing."]
    lines.append(f"Exactly the planted defects were found: {sum(quarantined.values())} rows in quarantine ({reasons}).")
    refunds = sum(each.refunds for each in truth.refunds if each.net_status == "counted")
    lines.append(
        f"Counted = truth in all {len(truth.sales):,} rows of market, channel and local day: orders, units, gross, "
        f"net, refunds, new customers. {refunds:,} refunds were taken off the days of their orders."
    )
    payments = sum(each.payments for each in truth.payments)
    shipments = sum(each.shipments for each in truth.shipments)
    lines.append(
        f"So are all {payments:,} payments, {shipments:,} shipments and {len(truth.offers):,} prices with stock."
    )
    lines += [
        f"{DAG_ID} failed by design: {each.name} of {each.channel_code} was planted broken ({each.refused}), and the "
        "verdict names it; all other deliveries went through."
        for each in truth.deliveries
        if each.refused
    ]
    return lines
