"""People who order: the same ones on every computer for the same seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Literal
from zoneinfo import ZoneInfo

from caravan.core.entities import LineKind
from caravan.demo.catalogue import Product, Shop

CANCELLING = ("cancelled", "refunded")
"""States that turn an order's goods into a cancellation."""

_UNIT = {"JPY": Decimal(1)}
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Origin:
    """Where a buyer came from."""

    source: str
    medium: str
    campaign: str
    click_id: str
    referrer: str


DIRECT = Origin("", "", "", "", "")
_ORIGINS = (
    DIRECT,
    DIRECT,
    Origin("google", "cpc", "autumn", "Cj0KCQ", "https://www.google.com/"),
    Origin("newsletter", "email", "october", "", ""),
    Origin("instagram", "social", "makers", "", "https://www.instagram.com/"),
)


@dataclass(frozen=True)
class Line:
    """`role`: what the line is whatever becomes of its order."""

    number: int
    product: Product
    quantity: int
    discount: Decimal = Decimal(0)
    role: Literal["goods", "charge", "adjustment"] = "goods"

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.product.price - self.discount


@dataclass(frozen=True)
class Order:
    """`placed`, `updated`: UTC, whole seconds. `customer_id`: None for a guest."""

    order_id: str
    placed: datetime
    updated: datetime
    status: str
    country: str
    customer_id: str | None
    origin: Origin
    lines: tuple[Line, ...]

    def kind(self, line: Line) -> LineKind:
        if line.role != "goods":
            return line.role
        return "cancellation" if line.quantity < 0 or self.status in CANCELLING else "sale"

    def local_date(self, zone: ZoneInfo) -> date:
        return self.placed.astimezone(zone).date()


@dataclass(frozen=True)
class Refund:
    """Money given back for an order, or for one line of it. `moment`: UTC, whole minutes. `is_charge`: of postage."""

    refund_id: str
    line_number: int | None
    moment: datetime
    amount: Decimal
    reason: str
    is_charge: bool = False


class Crowd:
    """The buyers of one shop. Draws from one random stream, so the order of calls is part of the result."""

    def __init__(self, shop: Shop, rng: Random) -> None:
        self.shop = shop
        self.rng = rng
        self._order_count = 0
        self._country_of: dict[str, str] = {}

    def orders(self, days: Sequence[date]) -> dict[date, list[Order]]:
        """Orders by the shop's local day, each day in the order of its times. Every day is there."""
        by_day: defaultdict[date, list[Order]] = defaultdict(list)
        for day in days:
            weekend = 6 if day.weekday() >= 5 else 0
            for _ in range(self.shop.orders_a_day + weekend + self.rng.randrange(-5, 6)):
                order = self.order(day)
                by_day[day].append(order)
                if self.shop.refunds and self.rng.random() < 0.05:
                    refund_day = day + timedelta(days=self.rng.randrange(2, 6))
                    if refund_day <= days[-1]:
                        by_day[refund_day].append(self._refund(order, refund_day))
        return {day: sorted(by_day[day], key=lambda each: (each.placed, each.order_id)) for day in days}

    def order(self, day: date) -> Order:
        """One order of a day, of one to four articles."""
        self._order_count += 1
        placed = self._moment(day)
        customer, country = self._buyer()
        lines = self._goods()
        status = "cancelled" if not self.shop.refunds and self.rng.random() < 0.04 else "paid"
        return Order(
            order_id=f"{self.shop.prefix}{100_000 + self._order_count}",
            placed=placed,
            updated=placed,
            status=status,
            country=country,
            customer_id=customer,
            origin=self.rng.choice(_ORIGINS),
            lines=tuple(lines),
        )

    def correction(self, day: date) -> Order:
        """A bookkeeper's line, up or down."""
        self._order_count += 1
        placed = self._moment(day)
        amount = Decimal(self.rng.randrange(-4000, 4000)) / 100
        line = Line(1, Product("AJUSTE", "Ajuste contábil", amount), 1, role="adjustment")
        order_id = f"AJ{100_000 + self._order_count}"
        return Order(order_id, placed, placed, "paid", self.shop.countries[0], None, DIRECT, (line,))

    def _moment(self, day: date) -> datetime:
        rng = self.rng
        local = time(rng.choice(self.shop.hours), rng.randrange(60), rng.randrange(60))
        return datetime.combine(day, local, ZoneInfo(self.shop.zone)).astimezone(UTC)

    def _buyer(self) -> tuple[str | None, str]:
        if self._country_of and self.rng.random() < 0.4:
            customer = self.rng.choice(list(self._country_of))
            return customer, self._country_of[customer]
        abroad = self.shop.countries[1:]
        country = self.rng.choice(abroad) if abroad and self.rng.random() < 0.15 else self.shop.countries[0]
        if self.rng.random() < 0.04:
            return None, country
        customer = f"{self.shop.prefix}-K{10_001 + len(self._country_of)}"
        self._country_of[customer] = country
        return customer, country

    def _goods(self) -> list[Line]:
        rng, shop = self.rng, self.shop
        lines = []
        for number, product in enumerate(rng.sample(shop.products, rng.choice((1, 1, 2, 2, 2, 3, 3, 4))), start=1):
            quantity = rng.choice((1, 1, 1, 1, 2, 2, 3)) if product.price < 1000 or shop.currency == "JPY" else 1
            discount = Decimal(0)
            if shop.discounts and rng.random() < 0.15:
                discount = (quantity * product.price / 10).quantize(_UNIT.get(shop.currency, _CENT), ROUND_HALF_UP)
            lines.append(Line(number, product, quantity, discount))
        total = sum(line.amount for line in lines)
        if shop.postage and total < shop.free_postage_from:
            lines.append(Line(len(lines) + 1, shop.postage, 1, role="charge"))
        if shop.voucher and total > 100 and rng.random() < 0.1:
            lines.append(Line(len(lines) + 1, shop.voucher, 1, role="charge"))
        return lines

    def _refund(self, order: Order, day: date) -> Order:
        """One piece of the first article comes back, under a number of its own."""
        moment = self._moment(day)
        first = order.lines[0]
        line = replace(first, quantity=-1, discount=Decimal(0))
        return replace(order, order_id=f"R{order.order_id}", placed=moment, updated=moment, lines=(line,))
