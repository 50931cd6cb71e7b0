"""The sales figures of the report. Ratios are ratios of sums; NULL stays None."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from caravan.config.types import OTHER_MARKET
from caravan.core.window import slice_of
from caravan.reporting.tables import Reader
from caravan.warehouse.port import Session

PERIOD_DAYS = 30
DAILY_UP_TO = 60
"""Days of data that are drawn day by day; a longer history is drawn in whole weeks."""
WEEKS_SHOWN = 53
TOP_PRODUCTS = 10

CHANNEL_DAY = "mart.rpt_sales__channel_day"
PRODUCT_WEEK = "mart.rpt_sales__product_week"

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


def ratio(part: Decimal | int | None, whole: Decimal | int | None) -> Decimal | None:
    """None where either is unknown or the whole is not positive."""
    if part is None or whole is None or whole <= 0:
        return None
    return Decimal(part) / Decimal(whole)


@dataclass(frozen=True)
class Period:
    """Calendar days, both included."""

    first: date
    last: date


@dataclass(frozen=True)
class Totals:
    """One period over all channels. Customers are counted as each channel numbers them."""

    period: Period
    is_whole: bool
    """False when the data begin after the period does."""
    order_count: int | None
    base_order_count: int | None
    """Orders whose amounts are known in the base currency."""
    net_base: Decimal | None
    unknown_customer_order_count: int | None
    customer_count: int | None
    new_customer_count: int | None
    """Customers whose first order lies in the period; the others are returning."""

    @property
    def aov_base(self) -> Decimal | None:
        return ratio(self.net_base, self.base_order_count)

    @property
    def returning_customer_count(self) -> int | None:
        if self.customer_count is None or self.new_customer_count is None:
            return None
        return self.customer_count - self.new_customer_count


@dataclass(frozen=True)
class MarketSales:
    """One market and currency over the latest period."""

    market_code: str
    name: str
    currency_code: str
    order_count: int
    unit_count: Decimal
    gross: Decimal | None
    cancelled: Decimal | None
    refunded: Decimal | None
    net: Decimal | None
    base_order_count: int
    net_base: Decimal | None

    @property
    def aov(self) -> Decimal | None:
        return ratio(self.net, self.order_count)

    @property
    def aov_base(self) -> Decimal | None:
        return ratio(self.net_base, self.base_order_count)


@dataclass(frozen=True)
class ChannelSeries:
    """Net in base currency by slice; a slice without a row is absent, one without a rate is None."""

    channel_code: str
    name: str
    points: Mapping[date, Decimal | None]
    net_base: Decimal | None


@dataclass(frozen=True)
class ProductSales:
    """One product of a week over all channels that sell it under the same SKU and name."""

    sku: str
    name: str
    channels: str
    """The channel's name, or how many channels."""
    order_count: int
    unit_count: Decimal
    net_base: Decimal | None
    """Before refunds."""


@dataclass(frozen=True)
class Sales:
    """All sales figures, as of `latest.period.last`, the last day with an order."""

    first_day: date
    base_currency: str
    latest: Totals
    before: Totals
    markets: tuple[MarketSales, ...]
    """Largest net in base currency first, unknown last; a market without orders is in `quiet_markets`."""
    quiet_markets: tuple[str, ...]
    unrated_currencies: tuple[str, ...]
    """Currencies of orders in the latest period that have no rate."""
    grain: Literal["day", "week"]
    slices: tuple[date, ...]
    channels: tuple[ChannelSeries, ...]
    product_week: date
    products: tuple[ProductSales, ...]

    def by_market(self) -> list[tuple[str, Decimal | None]]:
        """Name and net in base currency of each market over its currencies, largest first."""
        sums: dict[str, Decimal | None] = {}
        for row in self.markets:
            known = sums.get(row.name)
            if row.net_base is not None:
                known = (known or Decimal(0)) + row.net_base
            sums[row.name] = known
        return sorted(sums.items(), key=lambda item: _largest_first(item[1], item[0]))


def _largest_first(amount: Decimal | None, name: str) -> tuple[bool, Decimal, str]:
    return amount is None, -(amount or Decimal(0)), name


def read_sales(session: Session) -> Sales | None:
    """None while no order has reached the marts."""
    reader = Reader(session)
    for first_day, last_day in reader.rows(
        (CHANNEL_DAY,), f"SELECT MIN(order_local_date), MAX(order_local_date) FROM {CHANNEL_DAY}"
    ):
        if last_day is not None:
            return _Sales(reader, first_day, last_day).read()
    return None


class _Sales:
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

    def read(self) -> Sales:
        period = Period(self.last_day - timedelta(days=PERIOD_DAYS - 1), self.last_day)
        earlier = Period(period.first - timedelta(days=PERIOD_DAYS), period.first - timedelta(days=1))
        market_names = self.reader.names("mart.dim_market", "market_code")
        market_names[OTHER_MARKET] = f"{market_names.get(OTHER_MARKET, 'Other countries')} ({OTHER_MARKET})"
        channel_names = self.reader.names("mart.dim_channel", "channel_code")
        markets = self.markets(period, market_names)
        seen = {row.market_code for row in markets}
        grain, slices, channels = self.series(channel_names)
        week = slice_of(self.last_day - timedelta(days=6), "week")
        return Sales(
            first_day=self.first_day,
            base_currency=self.base,
            latest=self.totals(period),
            before=self.totals(earlier),
            markets=tuple(markets),
            quiet_markets=tuple(sorted(name for code, name in market_names.items() if code not in seen)),
            unrated_currencies=tuple(
                sorted({row.currency_code for row in markets if row.base_order_count < row.order_count})
            ),
            grain=grain,
            slices=slices,
            channels=channels,
            product_week=week,
            products=self.products(week, channel_names),
        )

    def totals(self, period: Period) -> Totals:
        span = {"from_day": period.first, "to_day": period.last}
        orders, base_orders, net, no_customer = self.reader.rows(
            (CHANNEL_DAY,),
            f"SELECT {_ORDERS}, {_BASE_ORDERS}, {_NET_BASE}, CAST(SUM(unknown_customer_order_count) AS BIGINT) "
            f"FROM {CHANNEL_DAY} WHERE order_local_date >= $from_day AND order_local_date <= $to_day",
            {"base": self.base, **span},
        )[0]
        # Distinct customers cannot be added up over days, so they are counted over the whole period.
        counted = self.reader.rows(
            ("mart.fct_order", "mart.dim_customer"),
            "SELECT COUNT(DISTINCT o.customer_key), COUNT(DISTINCT CASE WHEN c.first_order_local_date >= $from_day "
            "THEN o.customer_key END) FROM mart.fct_order AS o "
            "INNER JOIN mart.dim_customer AS c ON o.customer_key = c.customer_key "
            "WHERE o.order_kind = 'sale' AND o.order_local_date >= $from_day AND o.order_local_date <= $to_day",
            span,
        )
        customers, new = counted[0] if counted else (None, None)
        if customers == 0:  # nobody, or nobody whose number is known
            customers, new = (None, None) if orders else (0, 0)
        return Totals(period, self.first_day <= period.first, orders, base_orders, net, no_customer, customers, new)

    def markets(self, period: Period, names: Mapping[str, str]) -> list[MarketSales]:
        rows = self.reader.rows(
            (CHANNEL_DAY,),
            f"SELECT market_code, currency_code, {_ORDERS}, SUM(unit_count), SUM(gross_amount), "
            f"SUM(cancelled_amount), SUM(refunded_amount), SUM(net_amount), {_BASE_ORDERS}, {_NET_BASE} "
            f"FROM {CHANNEL_DAY} WHERE order_local_date >= $from_day AND order_local_date <= $to_day "
            "GROUP BY market_code, currency_code",
            {"base": self.base, "from_day": period.first, "to_day": period.last},
        )
        markets = [MarketSales(row[0], names.get(row[0], row[0]), *row[1:]) for row in rows]
        return sorted(markets, key=lambda row: _largest_first(row.net_base, f"{row.name} {row.currency_code}"))

    def series(
        self, names: Mapping[str, str]
    ) -> tuple[Literal["day", "week"], tuple[date, ...], tuple[ChannelSeries, ...]]:
        grain: Literal["day", "week"] = "day" if (self.last_day - self.first_day).days < DAILY_UP_TO else "week"
        if grain == "day":
            first, last, step = self.first_day, self.last_day, 1
        else:  # whole weeks: a part of one would look like a fall
            last = slice_of(self.last_day + timedelta(days=1), "week") - timedelta(days=1)
            first = slice_of(self.first_day + timedelta(days=6), "week")
            first = max(first, last - timedelta(days=7 * WEEKS_SHOWN - 1))
            step = 7
        rows = self.reader.rows(
            (CHANNEL_DAY,),
            f"SELECT channel_code, order_local_date, {_NET_BASE} FROM {CHANNEL_DAY} "
            "WHERE order_local_date >= $from_day AND order_local_date <= $to_day "
            "GROUP BY channel_code, order_local_date ORDER BY channel_code, order_local_date",
            {"base": self.base, "from_day": first, "to_day": last},
        )
        points: dict[str, dict[date, Decimal | None]] = defaultdict(dict)
        for channel, day, net in rows:
            at = slice_of(day, grain)
            before = points[channel].get(at)
            points[channel][at] = before if net is None else net + (before or 0)
        channels = [
            ChannelSeries(code, names.get(code, code), series, _sum(series.values())) for code, series in points.items()
        ]
        slices = tuple(first + timedelta(days=offset) for offset in range(0, (last - first).days + 1, step))
        return grain, slices, tuple(sorted(channels, key=lambda c: _largest_first(c.net_base, c.name)))

    def products(self, week: date, names: Mapping[str, str]) -> tuple[ProductSales, ...]:
        # A SKU is a channel's own: only with the same name it is taken for the same product elsewhere.
        rows = self.reader.rows(
            (PRODUCT_WEEK,),
            f"""
            WITH by_channel AS (
                SELECT
                    channel_code, sku, MAX(product_name) AS product_name, {_ORDERS} AS order_count,
                    SUM(unit_count) AS unit_count, {_WEEK_NET_BASE} AS net_base
                FROM {PRODUCT_WEEK} WHERE week_start_date = $week GROUP BY channel_code, sku
            )
            SELECT
                sku, product_name, MIN(channel_code), COUNT(*), {_ORDERS}, SUM(unit_count), SUM(net_base) AS net_base
            FROM by_channel
            GROUP BY sku, product_name, CASE WHEN product_name IS NULL THEN channel_code END
            ORDER BY net_base DESC NULLS LAST, sku, product_name LIMIT {TOP_PRODUCTS}
            """,
            {"base": self.base, "week": week},
        )
        return tuple(
            ProductSales(
                sku, name or sku, names.get(channel, channel) if many == 1 else f"{many} channels", orders, units, net
            )
            for sku, name, channel, many, orders, units, net in rows
        )


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None
