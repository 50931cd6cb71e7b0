"""What the demo's services know when they are asked, and what is wrong in it: planted, so that it is known.

A shop (WooCommerce) and a marketplace. They answer with what is so by `Ledger.clock`, their own; `Ledger.answers` is
what one question for everything has to bring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Literal

from caravan.core.entities import EntityName
from caravan.demo.campaigns import running
from caravan.demo.catalogue import SERVICES, Shop
from caravan.demo.deliveries import File, Row, scaled
from caravan.demo.world import CANCELLING, Crowd, Order, Refund

REFUND_EVERY = 12
"""Of the paid orders of a day in the shop, each so many-th gets its first line's money back two days on."""
SUM_DAY, POSTAGE_DAY = 6, 8
"""Counted from the first of the days: on these (on the next one with postage) an order gets a sum back, or a line and
the postage as well."""
_REFUNDED_SUM = Decimal("50.00")

FlawName = Literal["currency_unknown", "currency_other", "unpaid", "total_unreadable", "cells_too_many"]


@dataclass(frozen=True)
class Flaw:
    """An order of its own that has to be refused. `reasons`: by the entities whose rows are."""

    day: int
    name: FlawName
    reasons: Mapping[EntityName, str]


FLAWS: Mapping[str, tuple[Flaw, ...]] = {
    "webshop_se": (
        Flaw(3, "currency_unknown", {"order": "CURRENCY_UNKNOWN", "order_line": "CURRENCY_UNKNOWN"}),
        Flaw(5, "currency_other", {"order": "RULE_OTHER_CURRENCY", "order_line": "RULE_OTHER_CURRENCY"}),
        Flaw(9, "total_unreadable", {"order_line": "NUMBER_INVALID"}),
        Flaw(12, "unpaid", {"order": "RULE_UNPAID", "order_line": "RULE_UNPAID"}),
    ),
    "marketplace_au": (
        Flaw(4, "currency_other", {"order_line": "RULE_OTHER_CURRENCY"}),
        Flaw(7, "cells_too_many", {"order_line": "KEY_EMPTY"}),
        Flaw(13, "unpaid", {"order_line": "FIELD_MISSING"}),
    ),
}


@dataclass(frozen=True)
class Entry:
    """An order as the service has it, with its refunds."""

    order: Order
    refunds: tuple[Refund, ...] = ()
    flaw: Flaw | None = None


@dataclass(frozen=True)
class Ledger:
    """`entries`: by the time of their last change. `correction`: the first of them as it is once it has been read: it
    changes before all else has. `clock`: what the service takes for now, UTC without zone."""

    shop: Shop
    entries: tuple[Entry, ...]
    correction: Entry
    clock: datetime

    def answers(self, name: str) -> list[File]:
        """By entity: all that a question for everything brings, one version after another. `name`: the question's."""
        shown = (*self.entries, self.correction)
        found: dict[EntityName, list[Row]] = {"order_line": [row for each in shown for row in _lines(each)]}
        if self.shop.code == "webshop_se":
            found["order"] = [_row(each, "order", 0) for each in shown]
            found["refund"] = [
                Row(each.order, each.order.lines[0], refund=refund) for each in shown for refund in each.refunds
            ]
        delivered = self.clock.replace(tzinfo=UTC)
        return [File(self.shop.code, entity, name, delivered, tuple(rows)) for entity, rows in sorted(found.items())]


def ledger(code: str, seed: int, days: Sequence[date], past: Sequence[date] = (), scale: float = 1) -> Ledger:
    """`days`: local days of the shop on which something is planted; `past`: those before, with orders alone."""
    shop = scaled(SERVICES[code], scale)
    crowd = Crowd(shop, Random(f"{seed}/{code}"), running(code, (*past, *days), scale))
    clock = datetime.combine(days[-1] + timedelta(days=1), time(5))
    by_day = crowd.orders([*past, *days])
    orders = {day: [_lived(order, clock.replace(tzinfo=UTC)) for order in by_day[day]] for day in (*past, *days)}
    if code == "marketplace_au":  # it names no buyers, so nobody can count them
        orders = {day: [replace(order, customer_id=None) for order in orders[day]] for day in orders}
    entries = [Entry(order) for day in orders for order in orders[day]]
    if code == "webshop_se":
        refunds = _refunds(orders, days)
        entries = [_refunded(each, refunds.get(each.order.order_id, ())) for each in entries]
    entries += [_flawed(crowd, flaw, days[flaw.day]) for flaw in FLAWS[code]]
    entries.sort(key=lambda each: (each.order.updated, each.order.order_id))
    return Ledger(shop, tuple(entries), _correction(code, entries, clock), clock)


def _lines(entry: Entry) -> list[Row]:
    return [_row(entry, "order_line", number) for number in range(len(entry.order.lines))]


def _row(entry: Entry, entity: EntityName, number: int) -> Row:
    reason = entry.flaw.reasons.get(entity) if entry.flaw else None
    return Row(entry.order, entry.order.lines[number], reason)


def _lived(order: Order, now: datetime) -> Order:
    """Sent on the third day; called off within hours."""
    if order.status in CANCELLING:
        return replace(order, updated=order.placed + timedelta(hours=3))
    sent = order.placed + timedelta(days=2)
    return replace(order, status="completed", updated=sent) if sent < now else order


def _refunds(orders: Mapping[date, Sequence[Order]], days: Sequence[date]) -> Mapping[str, tuple[Refund, ...]]:
    """By order. Each has one: its first line, that and the postage, or a sum for nothing in particular."""
    found: dict[str, tuple[Refund, ...]] = {}
    has_postage = False
    for index, (bought, day) in enumerate(zip(days, days[2:], strict=False)):
        moment = datetime.combine(day, time(12, 5), UTC)
        paid = [order for order in orders[bought] if order.status not in CANCELLING]
        for order in paid[1::REFUND_EVERY]:
            found[order.order_id] = (Refund(order.order_id + "7", 1, moment, order.lines[0].amount, "Defekt"),)
        if index == SUM_DAY:
            whole = paid[0]
            found[whole.order_id] = (Refund(whole.order_id + "8", None, moment, _REFUNDED_SUM, "Kompensation"),)
        small = [order for order in paid if order.lines[-1].role == "charge" and order.order_id not in found]
        if index >= POSTAGE_DAY and small and not has_postage:
            found[small[0].order_id] = _with_postage(small[0], moment)
            has_postage = True
    return found


def _with_postage(order: Order, moment: datetime) -> tuple[Refund, ...]:
    goods, postage, number = order.lines[0], order.lines[-1], order.order_id + "9"
    return (
        Refund(number, goods.number, moment, goods.amount, "Ångrat köp"),
        Refund(number, postage.number, moment, postage.amount, "Ångrat köp", is_charge=True),
    )


def _refunded(entry: Entry, refunds: tuple[Refund, ...]) -> Entry:
    """A refund changes its order."""
    if not refunds:
        return entry
    changed = max(entry.order.updated, *(refund.moment for refund in refunds))
    return Entry(replace(entry.order, updated=changed), refunds)


def _flawed(crowd: Crowd, flaw: Flaw, day: date) -> Entry:
    """Of one line, so that nothing of it counts."""
    order = crowd.order(day)
    return Entry(replace(order, status="paid", lines=order.lines[:1]), flaw=flaw)


def _correction(code: str, entries: Sequence[Entry], clock: datetime) -> Entry:
    """An hour ago: in the shop one piece more of the first article, in the marketplace the whole order called off."""
    first = next(each for each in entries if each.order.status == "completed" and not (each.refunds or each.flaw)).order
    changed = replace(first, updated=(clock - timedelta(hours=1)).replace(tzinfo=UTC))
    if code == "marketplace_au":
        return Entry(replace(changed, status="cancelled"))
    more = replace(first.lines[0], quantity=first.lines[0].quantity + 1)
    return Entry(replace(changed, lines=(more, *first.lines[1:])))
