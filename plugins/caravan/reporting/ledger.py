"""Reads the sales figures: each period once, for all pages that show a part of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal

from caravan.config.types import OTHER_MARKET
from caravan.core.window import slice_of
from caravan.reporting.sales import (
    CHANNEL_DAY,
    PRODUCT_WEEK,
    RANGES,
    USUAL_DAYS,
    ChannelSeries,
    Period,
    ProductSales,
    Sales,
    Sold,
    Totals,
    known_sum,
    largest_first,
)
from caravan.reporting.tables import Reader
from caravan.warehouse.port import Row, Session

DAILY_UP_TO = 31
"""Days that are drawn one by one; more are drawn in whole weeks."""
TOP_PRODUCTS = 25

# Amounts in another base currency (of slices built before it was changed) must not enter a sum.
_IN_BASE = "CASE WHEN base_currency_code = $base THEN {0} END"
_NET_BASE = f"SUM({_IN_BASE.format('net_amount_base')})"
# A rate exists per day and currency, so a group has one for all of its orders or for none.
_BASE_ORDERS = (
    "CAST(SUM(CASE WHEN base_currency_code = $base AND net_amount_base IS NOT NULL "
    "THEN order_count ELSE 0 END) AS BIGINT)"
)
_WEEK_NET_BASE = f"SUM({_IN_BASE.format('net_before_refunds_amount_base')})"
"""Of products: refunds are known by order."""
_ORDERS = "CAST(SUM(order_count) AS BIGINT)"
_IN_PERIOD = "order_local_date >= $from_day AND order_local_date <= $to_day"


def read_sales(session: Session, days: int = USUAL_DAYS, market: str | None = None) -> Sales | None:
    """None while no order has reached the marts."""
    ledger = open_ledger(session)
    return ledger.sales(days, market) if ledger else None


def open_ledger(session: Session) -> Ledger | None:
    """None while no order has reached the marts."""
    reader = Reader(session)
    for first_day, last_day in reader.rows(
        (CHANNEL_DAY,), f"SELECT MIN(order_local_date), MAX(order_local_date) FROM {CHANNEL_DAY}"
    ):
        if last_day is not None:
            return Ledger(reader, first_day, last_day)
    return None


@dataclass(frozen=True)
class _Cell:
    """Sums of one market, channel and currency."""

    market: str
    channel: str
    currency: str
    order_count: int
    unit_count: Decimal
    gross: Decimal | None
    cancelled: Decimal | None
    refunded: Decimal | None
    net: Decimal | None
    base_order_count: int
    net_base: Decimal | None
    unknown_customer_order_count: int


class Ledger:
    """What all sales pages are made of. A period is read once, for all markets."""

    def __init__(self, reader: Reader, first_day: date, last_day: date) -> None:
        self.reader = reader
        self.first_day = first_day
        self.last_day = last_day
        rows = reader.rows(
            (CHANNEL_DAY,),
            f"SELECT MAX(base_currency_code) FROM {CHANNEL_DAY} WHERE order_local_date = $last_day",
            {"last_day": last_day},
        )
        self.base = str(rows[0][0])
        self.channel_names = reader.names("mart.dim_channel", "channel_code")
        self.market_names = self._market_names()
        self._cells: dict[Period, list[_Cell]] = {}
        self._customers: dict[Period, dict[str | None, tuple[int, int]]] = {}
        self._days: dict[str, list[Row]] | None = None

    def sales(self, days: int = USUAL_DAYS, market: str | None = None) -> Sales:
        """`days`: one of RANGES."""
        period = Period(self.last_day - timedelta(days=days - 1), self.last_day)
        earlier = Period(period.first - timedelta(days=days), period.first - timedelta(days=1))
        cells = self.cells(period, market)
        seen = {cell.market for cell in cells}
        channels = self.sold(cells, lambda cell: cell.channel, self.channel_names)
        grain, slices = self.slices(period)
        week = slice_of(self.last_day - timedelta(days=6), "week")
        weeks = Period(week - timedelta(days=7 * (RANGES[days] - 1)), week + timedelta(days=6))
        return Sales(
            days=days,
            market_code=market,
            first_day=self.first_day,
            base_currency=self.base,
            latest=self.totals(period, market),
            before=self.totals(earlier, market),
            markets=self.sold(cells, lambda cell: cell.market, self.market_names),
            channels=channels,
            quiet_markets=tuple(sorted(name for code, name in self.market_names.items() if code not in seen)),
            unrated_currencies=tuple(
                sorted({cell.currency for cell in cells if cell.base_order_count < cell.order_count})
            ),
            grain=grain,
            slices=slices,
            series=self.series(channels, grain, slices, market),
            product_weeks=weeks,
            products=self.products(weeks, market),
        )

    def cells(self, period: Period, market: str | None) -> list[_Cell]:
        if period not in self._cells:
            rows = self.reader.rows(
                (CHANNEL_DAY,),
                f"SELECT market_code, channel_code, currency_code, {_ORDERS}, SUM(unit_count), SUM(gross_amount), "
                f"SUM(cancelled_amount), SUM(refunded_amount), SUM(net_amount), {_BASE_ORDERS}, {_NET_BASE}, "
                "CAST(SUM(unknown_customer_order_count) AS BIGINT) "
                f"FROM {CHANNEL_DAY} WHERE {_IN_PERIOD} GROUP BY market_code, channel_code, currency_code",
                {"base": self.base, "from_day": period.first, "to_day": period.last},
            )
            self._cells[period] = [_Cell(*row) for row in rows]
        return [cell for cell in self._cells[period] if market in (None, cell.market)]

    def totals(self, period: Period, market: str | None) -> Totals:
        cells = self.cells(period, market)
        orders, base_orders, no_customer = (
            sum(getattr(cell, name) for cell in cells) if cells else None
            for name in ("order_count", "base_order_count", "unknown_customer_order_count")
        )
        net = known_sum(cell.net_base for cell in cells)
        customers, new = self.customers(period, market)
        if customers == 0:  # nobody, or nobody whose number is known
            customers, new = (None, None) if orders else (0, 0)
        return Totals(period, self.first_day <= period.first, orders, base_orders, net, no_customer, customers, new)

    def customers(self, period: Period, market: str | None) -> tuple[int | None, int | None]:
        """All, and those whose first order lies in the period."""
        needs = ("mart.fct_order", "mart.dim_customer")
        if not self.reader.has(*needs):
            return None, None
        if period not in self._customers:
            span = {"from_day": period.first, "to_day": period.last}
            # Distinct customers cannot be added up over days or markets, so they are counted over the whole period.
            self._customers[period] = {
                None if key == "all" else code: (all_count, new_count)
                for key in ("all", "market")
                for code, all_count, new_count in self.reader.rows(needs, _customer_sql(key), span)
            }
        return self._customers[period].get(market, (0, 0))

    def sold(self, cells: Iterable[_Cell], code: Callable[[_Cell], str], names: Mapping[str, str]) -> tuple[Sold, ...]:
        """One row for each code and currency."""
        groups: dict[tuple[str, str], list[_Cell]] = defaultdict(list)
        for cell in cells:
            groups[code(cell), cell.currency].append(cell)
        rows = []
        for (key, currency), group in groups.items():
            sums: dict[str, Any] = {
                name: known_sum(getattr(cell, name) for cell in group)
                for name in ("gross", "cancelled", "refunded", "net", "net_base")
            }
            counts: dict[str, Any] = {
                name: sum(getattr(cell, name) for cell in group)
                for name in ("order_count", "unit_count", "base_order_count")
            }
            rows.append(Sold(key, names.get(key, key), currency, **sums, **counts))
        return tuple(sorted(rows, key=lambda row: largest_first(row.net_base, f"{row.name} {row.currency_code}")))

    def slices(self, period: Period) -> tuple[Literal["day", "week"], tuple[date, ...]]:
        """Days or whole weeks that are drawn, from the first with data on: a part of a week would look like a fall."""
        known = max(period.first, self.first_day)
        if (period.last - known).days >= DAILY_UP_TO:
            end = slice_of(period.last + timedelta(days=1), "week")
            return "week", tuple(_steps(slice_of(known + timedelta(days=6), "week"), end, 7))
        return "day", tuple(_steps(known, period.last + timedelta(days=1), 1))

    def series(
        self, channels: Iterable[Sold], grain: Literal["day", "week"], slices: tuple[date, ...], market: str | None
    ) -> tuple[ChannelSeries, ...]:
        drawn = set(slices)
        points: dict[str, dict[date, Decimal | None]] = defaultdict(dict)
        for channel, day, net in self.days(market):
            at = slice_of(day, grain)
            if at in drawn:
                before = points[channel].get(at)
                points[channel][at] = before if net is None else net + (before or 0)
        found: dict[str, list[Sold]] = defaultdict(list)
        for row in channels:
            found[row.code].append(row)
        every = [
            ChannelSeries(
                code,
                rows[0].name,
                dict(sorted(points[code].items())),
                known_sum(row.net_base for row in rows),
                sum(row.order_count for row in rows),
            )
            for code, rows in found.items()
        ]
        return tuple(sorted(every, key=lambda one: largest_first(one.net_base, one.name)))

    def days(self, market: str | None) -> Iterator[Row]:
        """Channel, day and net in base currency, of the longest range."""
        if self._days is None:
            self._days = defaultdict(list)
            for code, *row in self.reader.rows(
                (CHANNEL_DAY,),
                f"SELECT market_code, channel_code, order_local_date, {_NET_BASE} FROM {CHANNEL_DAY} "
                f"WHERE {_IN_PERIOD} GROUP BY market_code, channel_code, order_local_date",
                {"base": self.base, "from_day": self.last_day - timedelta(days=max(RANGES)), "to_day": self.last_day},
            ):
                self._days[code].append(tuple(row))
        codes = self._days.keys() if market is None else {market} & self._days.keys()
        return (row for code in codes for row in self._days[code])

    def products(self, weeks: Period, market: str | None) -> tuple[ProductSales, ...]:
        # A SKU is a channel's own: only with the same name it is taken for the same product elsewhere.
        rows = self.reader.rows(
            (PRODUCT_WEEK,),
            f"""
            WITH by_channel AS (
                SELECT
                    channel_code, sku, MAX(product_name) AS product_name, {_ORDERS} AS order_count,
                    SUM(unit_count) AS unit_count, {_WEEK_NET_BASE} AS net_base
                FROM {PRODUCT_WEEK}
                WHERE week_start_date >= $from_day AND week_start_date <= $to_day
                    {"AND market_code = $market" if market else ""}
                GROUP BY channel_code, sku
            )
            SELECT
                sku, product_name, MIN(channel_code), COUNT(*), {_ORDERS}, SUM(unit_count), SUM(net_base) AS net_base
            FROM by_channel
            GROUP BY sku, product_name, CASE WHEN product_name IS NULL THEN channel_code END
            ORDER BY net_base DESC NULLS LAST, sku, product_name LIMIT {TOP_PRODUCTS}
            """,
            {"base": self.base, "from_day": weeks.first, "to_day": weeks.last} | ({"market": market} if market else {}),
        )
        return tuple(
            ProductSales(
                sku,
                name or sku,
                self.channel_names.get(str(channel), str(channel)) if many == 1 else f"{many} channels",
                orders,
                units,
                net,
            )
            for sku, name, channel, many, orders, units, net in rows
        )

    def _market_names(self) -> dict[str, str]:
        names = self.reader.names("mart.dim_market", "market_code")
        names[OTHER_MARKET] = f"{names.get(OTHER_MARKET, 'Other countries')} ({OTHER_MARKET})"
        for (code,) in self.reader.rows((CHANNEL_DAY,), f"SELECT DISTINCT market_code FROM {CHANNEL_DAY}"):
            names.setdefault(code, code)  # taken off the configuration, its orders stay
        return names


def _customer_sql(key: Literal["all", "market"] | str) -> str:
    return (
        f"SELECT {'NULL' if key == 'all' else 'o.market_code'}, COUNT(DISTINCT o.customer_key), "
        "COUNT(DISTINCT CASE WHEN c.first_order_local_date >= $from_day THEN o.customer_key END) "
        "FROM mart.fct_order AS o INNER JOIN mart.dim_customer AS c ON o.customer_key = c.customer_key "
        "WHERE o.order_kind = 'sale' AND o.order_local_date >= $from_day AND o.order_local_date <= $to_day"
        + ("" if key == "all" else " GROUP BY o.market_code")
    )


def _steps(first: date, end: date, days: int) -> Iterator[date]:
    while first < end:
        yield first
        first += timedelta(days=days)
