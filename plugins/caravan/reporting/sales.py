"""The sales figures of the report, for a number of days and all markets or one. NULL stays None.

Ratios are ratios of sums. Days end with the last one that has an order anywhere, so that pages can be compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

CHANNEL_DAY = "mart.rpt_sales__channel_day"
PRODUCT_WEEK = "mart.rpt_sales__product_week"

RANGES = {7: 1, 28: 4, 90: 13, 365: 52}
"""Days that a page may cover, and of how many whole weeks it shows the products."""
USUAL_DAYS = 28


def ratio(part: Decimal | int | None, whole: Decimal | int | None) -> Decimal | None:
    """None where either is unknown or the whole is not positive."""
    if part is None or whole is None or whole <= 0:
        return None
    return Decimal(part) / Decimal(whole)


def known_sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Of what is known; None where nothing is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None


def largest_first(amount: Decimal | None, name: str) -> tuple[bool, Decimal, str]:
    """To sort by; unknown amounts come last."""
    return amount is None, -(amount or Decimal(0)), name


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
class Sold:
    """One market or channel and currency over the latest period."""

    code: str
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
    """Of the whole period, days outside whole weeks included."""
    order_count: int


@dataclass(frozen=True)
class ProductSales:
    """One product of some weeks over all channels that sell it under the same SKU and name."""

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
    """The figures of `days` days up to `latest.period.last`, of one market or of all."""

    days: int
    market_code: str | None
    first_day: date
    """From when on orders of any market are known."""
    base_currency: str
    latest: Totals
    before: Totals
    markets: tuple[Sold, ...]
    """Largest net in base currency first, unknown last; a market without orders is in `quiet_markets`."""
    channels: tuple[Sold, ...]
    quiet_markets: tuple[str, ...]
    unrated_currencies: tuple[str, ...]
    """Currencies of orders in the latest period that have no rate."""
    grain: Literal["day", "week"]
    slices: tuple[date, ...]
    series: tuple[ChannelSeries, ...]
    product_weeks: Period
    """Whole weeks from Monday to Sunday."""
    products: tuple[ProductSales, ...]


def by_name(rows: Iterable[Sold]) -> list[tuple[str, Decimal | None]]:
    """Name and net in base currency over all currencies, largest first."""
    sums: dict[str, list[Decimal | None]] = defaultdict(list)
    for row in rows:
        sums[row.name].append(row.net_base)
    found = [(name, known_sum(amounts)) for name, amounts in sums.items()]
    return sorted(found, key=lambda item: largest_first(item[1], item[0]))
