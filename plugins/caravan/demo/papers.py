"""What Chinese customs want beside the order of an import: its payment and its waybill. What comes, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_UP, Decimal
from random import Random
from typing import Literal
from zoneinfo import ZoneInfo

from caravan.core.entities import EntityName
from caravan.demo.catalogue import TRADE
from caravan.demo.deliveries import WEEK, File, Row, document_row, morning_after, weeks
from caravan.demo.documents import Payment, Shipment
from caravan.demo.world import Order

CODE = "import_cn"
NOBODYS = "PT999999"
"""An order that nobody knows."""
NAMELESS_DAY, NOBODYS_DAY, CHARGEBACK_DAY = 3, 4, 13
"""Counted from the first of the days on which something is planted. On the last of these, the buyer of the first order
since then takes the money back."""
RETRIED, UNREADABLE, FOREIGN = 1, 2, 4
"""Of the orders since then, by number: paid at the second attempt; its amount unreadable until the next file; carried
by a company that nobody has configured."""
_DAY_MINUTES = 24 * 60

_Told = tuple[date, Row]
"""A row, and the local day on which it is told: it is in the file of that week."""


def plan(files: Sequence[File], seed: int, days: Sequence[date], past: Sequence[date]) -> list[File]:
    """Payments and waybills of the orders in these files. `days`, `past`: as for `trade.plan`."""
    by_id = {row.order.order_id: row.order for file in files for row in file.rows}
    orders = sorted(by_id.values(), key=lambda order: (order.placed, order.order_id))
    new = [order for order in orders if _day(order.placed) >= days[0]]
    told: tuple[tuple[EntityName, str, list[_Told]], ...] = (
        ("payment", "payments_{}.tsv", [*_paid(orders, new), *_odd_payments(new, days)]),
        ("shipment", "waybills_{}.tsv", _carried(orders, new, days, Random(f"{seed}/{CODE}/waybills"))),
    )
    return [file for entity, name, rows in told for file in _weekly(entity, name, rows, days, past)]


def _weekly(
    entity: EntityName, name: str, told: Sequence[_Told], days: Sequence[date], past: Sequence[date]
) -> Iterator[File]:
    """Of what was told twice in a week, each waybill on its way and then there, the last word."""
    for file_name, first, last in weeks(name, days, past):
        good = {row.document.key: row for day, row in told if first <= day <= last and row.document and not row.reason}
        bad = [row for day, row in told if first <= day <= last and row.reason]
        if rows := (*good.values(), *bad):
            yield File(CODE, entity, file_name, morning_after(last), rows)


def _paid(orders: Sequence[Order], new: Sequence[Order]) -> Iterator[_Told]:
    """Each order is paid once, whole, with its duty, at the time that it is declared with."""
    for order in orders:
        day, paid = _day(order.placed), _payment(order, "Z")
        if order == new[UNREADABLE]:
            yield day, document_row(paid, "NUMBER_INVALID", {"金额": "见附件"})
            day += timedelta(days=WEEK)
        yield day, document_row(paid)


def _odd_payments(new: Sequence[Order], days: Sequence[date]) -> list[_Told]:
    retried = _payment(new[RETRIED], "F", "failed")
    taken_back, nameless, nobodys = (_noon(days[each]) for each in (CHARGEBACK_DAY, NAMELESS_DAY, NOBODYS_DAY))
    found = [
        replace(_payment(new[0], "C", "chargeback"), moment=taken_back),
        Payment("Z900001", None, nameless, "capture", Decimal(88)),
        Payment("Z900002", NOBODYS, nobodys, "capture", Decimal(168)),
    ]
    failed = replace(retried, moment=retried.moment - timedelta(minutes=3))
    return [
        (_day(retried.moment), document_row(failed)),  # told with the good one, though it may be of the day before
        *((_day(each.moment), document_row(each)) for each in found),
    ]


def _payment(order: Order, prefix: str, kind: Literal["capture", "failed", "chargeback"] = "capture") -> Payment:
    amount = sum((line.amount for line in order.lines), Decimal(0))
    number = f"{prefix}{order.order_id.removeprefix(TRADE[CODE].prefix)}"
    return Payment(number, order.order_id, order.placed, kind, amount, order.customer_id)


def _carried(orders: Sequence[Order], new: Sequence[Order], days: Sequence[date], rng: Random) -> list[_Told]:
    """Each order leaves within three days and arrives within a week. What comes after the last of the days, no file
    tells."""
    told: list[_Told] = []
    early = [order for order in new if _day(order.placed) < days[WEEK]][-1]
    for order in orders:
        shipment = _shipment(order, rng)
        if order == new[FOREIGN]:
            shipment = replace(shipment, party="unknown")
        if order == early:  # told before it has left
            told.append((_day(order.placed), document_row(shipment, "FIELD_MISSING", {"发货时间": ""})))
        told.append((_day(shipment.moment), document_row(shipment)))
        arrived = shipment.moment + timedelta(minutes=rng.randrange(_DAY_MINUTES, 4 * _DAY_MINUTES))
        told.append((_day(arrived), document_row(replace(shipment, arrived=arrived))))
    noon = _noon(days[NOBODYS_DAY])
    stray = Shipment("SF900001", NOBODYS, noon, None, "sf_express", Decimal("1.20"), 1, Decimal(24))
    return [*told, (days[NOBODYS_DAY], document_row(stray))]


def _shipment(order: Order, rng: Random) -> Shipment:
    """18 CNY, and 6 for each kilogram that it begins."""
    left = order.placed + timedelta(minutes=rng.randrange(_DAY_MINUTES, 3 * _DAY_MINUTES))
    pieces = sum(line.quantity for line in order.lines if line.role == "goods")
    weight = pieces * Decimal(rng.randrange(30, 90)) / 100
    return Shipment(
        shipment_id=f"SF{order.order_id.removeprefix(TRADE[CODE].prefix)}",
        order_id=order.order_id,
        moment=left,
        arrived=None,
        party="sf_express",
        weight_kg=weight,
        pieces=pieces,
        freight=18 + 6 * weight.to_integral_value(ROUND_UP),
        consignee_id=order.customer_id,
    )


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), ZoneInfo(TRADE[CODE].zone)).astimezone(UTC)


def _day(moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(TRADE[CODE].zone)).date()
