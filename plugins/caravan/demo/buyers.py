"""The customers of a shop: how often each of them buys and for how long, which nobody is told.

The model is Pareto/NBD (Schmittlein, Morrison & Colombo 1987, "Counting Your Customers: Who Are They and What Will They
Do Next?", Management Science 33/1). From the first order on, a customer orders at random (Poisson) at a rate of their
own until a day after which they never do again. Over customers, rates are gamma distributed with shape RATE_SHAPE and
mean RATE orders a week; each has a risk of leaving of their own, gamma distributed with shape LIFE_SHAPE, so that lives
are Pareto distributed with mean LIFE days. Rate and life know nothing of each other. BG/NBD (Fader, Hardie & Lee 2005,
"Counting Your Customers the Easy Way", Marketing Science 24/2) tells nearly the same story and fits as well.

Of each order of a usual day, known customers have the chance that their rates make up of all orders of a usual week;
all others are of newcomers, or of guests. A shop begins with nobody, so at first all are new; over 120 days two of five
orders are of customers who bought before. What campaigns bring comes on top (demo/campaigns.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from random import Random

from caravan.demo.catalogue import Shop

RATE_SHAPE, RATE = 0.8, 0.25
LIFE_SHAPE, LIFE = 2.5, 28
GUESTS = 0.04
"""Of those who are not known, so many leave no name."""
ABROAD = 0.15
WEEKEND = 6
"""More orders on a Saturday or a Sunday."""
_LONGEST_LIFE = 3650


@dataclass(frozen=True)
class Buyer:
    """`first`, `last`: the days, on the shop's clock, of the first order and of the end: later there is none. `rate`:
    orders a week in between."""

    customer_id: str
    country: str
    first: date
    last: date
    rate: float


class Buyers:
    """Those who buy in one shop. Draws from the shop's one random stream."""

    def __init__(self, shop: Shop, rng: Random) -> None:
        self.shop = shop
        self.rng = rng
        self._week = 7 * shop.orders_a_day + 2 * WEEKEND
        self._all: list[Buyer] = []
        self._day: date | None = None
        self._known: tuple[list[Buyer], list[float]] = [], []

    def next(self, day: date) -> tuple[Buyer | None, str]:
        """Who orders next, None for a guest, and where they live."""
        known, rates = self._alive(day)
        if known and self.rng.random() * self._week < rates[-1]:
            return self._one_of(known, rates)
        return self.newcomer(day)

    def known(self, day: date) -> tuple[Buyer | None, str]:
        """One who bought before, drawn by their rates; a newcomer while there is nobody."""
        known, rates = self._alive(day)
        return self._one_of(known, rates) if known and rates[-1] > 0 else self.newcomer(day)

    def newcomer(self, day: date) -> tuple[Buyer | None, str]:
        """A customer's first order, or a guest's."""
        rng, abroad = self.rng, self.shop.countries[1:]
        country = rng.choice(abroad) if abroad and rng.random() < ABROAD else self.shop.countries[0]
        if rng.random() < GUESTS:
            return None, country
        rate = round(rng.gammavariate(RATE_SHAPE, RATE / RATE_SHAPE), 4)
        risk = rng.gammavariate(LIFE_SHAPE, 1 / (LIFE * (LIFE_SHAPE - 1)))
        days = int(min(rng.expovariate(risk), _LONGEST_LIFE)) if risk else _LONGEST_LIFE
        number = f"{10_001 + len(self._all)}"
        customer_id = f"{self.shop.prefix}-K{number}" if self.shop.prefix else number
        buyer = Buyer(customer_id, country, day, day + timedelta(days=days), rate)
        self._all.append(buyer)
        return buyer, country

    def _one_of(self, known: Sequence[Buyer], rates: Sequence[float]) -> tuple[Buyer, str]:
        buyer = self.rng.choices(known, cum_weights=rates)[0]
        return buyer, buyer.country

    def _alive(self, day: date) -> tuple[list[Buyer], list[float]]:
        """Customers who came before this day and still buy on it, with the running sum of their rates."""
        if day != self._day:
            known = [each for each in self._all if each.first < day <= each.last]
            self._day, self._known = day, (known, list(accumulate(each.rate for each in known)))
        return self._known
