"""People who order: the same ones on every computer for the same seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from caravan.core.entities import LineKind
from caravan.demo.buyers import WEEKEND, Buyer, Buyers
from caravan.demo.catalogue import Product, Shop

if TYPE_CHECKING:
    from caravan.demo.campaigns import Running

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
_ORGANIC = (
    *(DIRECT, DIRECT, DIRECT, DIRECT),
    *(Origin("google", "organic", "", "", "https://www.google.com/"),) * 3,
    Origin("homestories", "referral", "", "", "https://homestories.example/"),
    Origin("newsletter", "email", "weekly", "", ""),
)
"""Of those whom no campaign claims, as often as they stand here."""


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
    """`placed`, `updated`: UTC, whole seconds. `customer_id`: None for a guest, and where a channel names nobody.

    Of the last two no channel tells. `is_incremental`: would not be without the campaign that its origin names.
    """

    order_id: str
    placed: datetime
    updated: datetime
    status: str
    country: str
    customer_id: str | None
    origin: Origin
    lines: tuple[Line, ...]
    buyer: Buyer | None = None
    is_incremental: bool = False

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

    def __init__(self, shop: Shop, rng: Random, campaigns: Sequence[Running] = ()) -> None:
        self.shop = shop
        self.rng = rng
        self.campaigns = campaigns
        self._buyers = Buyers(shop, rng)
        self._order_count = 0

    def orders(self, days: Sequence[date]) -> dict[date, list[Order]]:
        """Orders by the shop's local day, each day in the order of its times. Every day is there."""
        by_day: defaultdict[date, list[Order]] = defaultdict(list)
        for day in days:
            weekend = WEEKEND if day.weekday() >= 5 else 0
            usual = self.shop.orders_a_day + weekend + self.rng.randrange(-5, 6)
            for order in [*(self.order(day) for _ in range(usual)), *self._brought(day)]:
                by_day[day].append(order)
                if self.shop.refunds and self.rng.random() < 0.05:
                    refund_day = day + timedelta(days=self.rng.randrange(2, 6))
                    if refund_day <= days[-1]:
                        by_day[refund_day].append(self._refund(order, refund_day))
        return {day: sorted(by_day[day], key=lambda each: (each.placed, each.order_id)) for day in days}

    def order(self, day: date) -> Order:
        """One order of a day, of one to four articles."""
        return self._order(day, *self._buyers.next(day), self._origin(day))

    def _brought(self, day: date) -> Iterator[Order]:
        """The orders that would not be without the day's campaigns: of newcomers, of mail by those who are known."""
        for campaign in self.campaigns:
            count = self._arrivals(campaign.lift) if campaign.is_on(day) else 0
            draw = self._buyers.known if campaign.is_to_known else self._buyers.newcomer
            for _ in range(count):
                yield replace(self._order(day, *draw(day), campaign.origin), is_incremental=True)

    def _arrivals(self, mean: float) -> int:
        """How many come in a day on which so many do on average, each at a random time."""
        count, passed = 0, self.rng.expovariate(mean) if mean else 1.0
        while passed < 1:
            count += 1
            passed += self.rng.expovariate(mean)
        return count

    def _origin(self, day: date) -> Origin:
        """Of an order that comes anyway: some of them by the way of a campaign."""
        draw = self.rng.random()
        for campaign in self.campaigns:
            if campaign.is_on(day):
                draw -= campaign.claim
                if draw < 0:
                    return campaign.origin
        return self.rng.choice(_ORGANIC)

    def _order(self, day: date, buyer: Buyer | None, country: str, origin: Origin) -> Order:
        self._order_count += 1
        placed = self._moment(day)
        lines = self._goods()
        status = "cancelled" if not self.shop.refunds and self.rng.random() < 0.04 else "paid"
        return Order(
            order_id=f"{self.shop.prefix}{100_000 + self._order_count}",
            placed=placed,
            updated=placed,
            status=status,
            country=country,
            customer_id=buyer.customer_id if buyer else None,
            origin=origin,
            lines=tuple(lines),
            buyer=buyer,
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
