"""What shop_fr gives back, and when: planted, so that it is known whose day it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from caravan.demo.world import CANCELLING, Order, Refund

EVERY = 12
"""Of the paid orders of a day, each so many-th gets its first line's money back two days on."""
LATE_DAY = 9
"""On this day the second paid order of the first one gets everything back."""
UNKNOWN_DAY = 5
"""A refund of an order that was never delivered."""
NEGATIVE_DAY = 7
"""A refund written as a negative amount, as this shop never does."""


@dataclass(frozen=True)
class Given:
    """One row of a refund file. `reason`: why it has to be quarantined, `change`: what was overwritten."""

    day: date
    order: Order
    refund: Refund
    reason: str | None = None
    change: tuple[tuple[str, str], ...] = ()


def given_back(orders: Mapping[date, Sequence[Order]], days: Sequence[date], unknown: Order) -> list[Given]:
    """All refunds of the shop. `unknown`: an order that no file holds."""
    zone = ZoneInfo("Europe/Paris")
    found: list[Given] = []

    def give(day: date, order: Order, line_number: int | None, amount: Decimal, reason: str) -> Given:
        moment = datetime.combine(day, time(14, 5), zone)
        return Given(day, order, Refund(f"RB{len(found) + 1:04d}", line_number, moment, amount, reason))

    def paid(day: date) -> list[Order]:
        return [order for order in orders[day] if order.status not in CANCELLING]

    for bought, day in zip(days, days[2:], strict=False):
        for order in paid(bought)[::EVERY]:
            found.append(give(day, order, 1, order.lines[0].amount, "Article défectueux"))
    whole = paid(days[0])[1]
    goods = sum((line.amount for line in whole.lines if line.role == "goods"), Decimal(0))
    found.append(give(days[LATE_DAY], whole, None, goods, "Rétractation"))
    # Called off, and its money given back: cancelled already, so it must not count twice.
    off = [
        (order, later)
        for day, later in zip(days, days[3:], strict=False)
        for order in orders[day]
        if order not in paid(day)
    ]
    found += [give(later, order, None, order.lines[0].amount, "Commande annulée") for order, later in off[:1]]
    found.append(give(days[UNKNOWN_DAY], unknown, None, Decimal("12.50"), "Geste commercial"))
    negative = give(days[NEGATIVE_DAY], paid(days[1])[1], None, Decimal(8), "Erreur de saisie")
    found.append(Given(negative.day, negative.order, negative.refund, "SIGN_UNEXPECTED", (("Montant", "-8,00"),)))
    return found
