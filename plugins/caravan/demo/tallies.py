"""The truth about payments, shipments and offers: what there is of them once all is delivered."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

from caravan.config.types import OTHER_MARKET, Channel
from caravan.demo.catalogue import CATALOGUE
from caravan.demo.deliveries import Row
from caravan.demo.documents import Offer, Payment, Shipment
from caravan.demo.truth import OfferTruth, PaymentTruth, ShipmentTruth
from caravan.demo.world import Order

_ZoneOf = Callable[[Order], ZoneInfo]

_DIRECTIONS = {"capture": 1, "chargeback": -1}
"""Of money, by kind of payment; else none moves."""


def payments(code: str, rows: Iterable[Row], known: Container[str], zone_of: _ZoneOf) -> list[PaymentTruth]:
    """`rows`: one for each payment. `known`: numbers of orders."""
    groups: dict[tuple[date, str, str], list[Payment]] = {}
    for row in rows:
        if isinstance(each := row.document, Payment):
            key = (row.order.local_date(zone_of(row.order)), each.kind, _link_status(each.order_id, known))
            groups.setdefault(key, []).append(each)
    return [
        PaymentTruth(code, *key, len(found), amount, amount * _DIRECTIONS.get(key[1], 0))
        for key, found in sorted(groups.items())
        for amount in [sum((each.amount for each in found), Decimal(0))]
    ]


def shipments(code: str, rows: Iterable[Row], known: Container[str], zone_of: _ZoneOf) -> list[ShipmentTruth]:
    """`rows`: one for each shipment. `known`: numbers of orders."""
    groups: dict[tuple[date, str, str, str], list[Shipment]] = {}
    for row in rows:
        if isinstance(each := row.document, Shipment):
            day = row.order.local_date(zone_of(row.order))
            groups.setdefault((day, "outbound", _link_status(each.order_id, known), each.party), []).append(each)
    return [
        ShipmentTruth(
            code,
            *key,
            shipments=len(found),
            delivered=sum(1 for each in found if each.arrived),
            pieces=sum(each.pieces for each in found),
            weight_kg=sum((each.weight_kg for each in found), Decimal(0)),
            freight=sum((each.freight for each in found), Decimal(0)),
        )
        for key, found in sorted(groups.items())
    ]


def offers(channel: Channel, rows: Iterable[Row], zone_of: _ZoneOf) -> list[OfferTruth]:
    """`rows`: one for each product and day."""
    found = [
        OfferTruth(
            channel_code=channel.code,
            market_code=channel.market or OTHER_MARKET,
            country_code=CATALOGUE[channel.code].countries[0],
            sku=each.product.sku,
            offer_local_date=row.order.local_date(zone_of(row.order)),
            price=each.product.price,
            cost=each.cost,
            stock=each.stock,
            availability=each.availability,
        )
        for row in rows
        if isinstance(each := row.document, Offer)
    ]
    return sorted(found, key=lambda offer: (offer.sku, offer.offer_local_date))


def _link_status(order_id: str | None, known: Container[str]) -> str:
    if order_id is None:
        return "order_not_named"
    return "linked" if order_id in known else "order_unknown"
