"""What is so in the demo: what each delivery holds and what was really sold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path


@dataclass(frozen=True)
class DeliveryTruth:
    """One file, or one entity of a service's answer, loaded in its turn: received = loaded + unchanged + duplicate +
    quarantined.

    `loaded`: rows that are new or differ from the version before. `deleted`: rows of earlier deliveries that this
    complete one lacks. `moved`: loaded rows whose order has another local date than before. `refused`: the reason
    for which the whole file is; all counts are 0 then.
    """

    channel_code: str
    entity: str
    name: str
    received: int
    loaded: int
    unchanged: int
    duplicate: int
    quarantined: Mapping[str, int]
    deleted: int
    moved: int
    refused: str | None = None


@dataclass(frozen=True)
class SalesTruth:
    """Sales of a channel on a local date in one market, in the channel's currency, once all is delivered.

    `orders`: orders with goods sold, cancelled later or not. `units`: goods sold and not cancelled. `gross`,
    `cancelled`, `refunded`: as positive amounts; net = gross - cancelled - refunded. `refunded`: for orders of this
    date, given back whenever. `charge`, `adjustment`: signed. `new_customers`: whose first order with goods sold, in
    this channel, is of this date.
    """

    channel_code: str
    market_code: str
    currency_code: str
    order_local_date: date
    orders: int
    units: Decimal
    gross: Decimal
    cancelled: Decimal
    refunded: Decimal
    net: Decimal
    charge: Decimal
    adjustment: Decimal
    new_customers: int = 0


@dataclass(frozen=True)
class RefundTruth:
    """What a channel gave back on a local date, and whether it is taken off the net sales of its orders."""

    channel_code: str
    refund_local_date: date
    net_status: str
    refunds: int
    amount: Decimal


@dataclass(frozen=True)
class PaymentTruth:
    """What a payment company says of a channel's payments on a local date. `amount`: above 0, whatever the kind;
    `received`: what came less what was taken back."""

    channel_code: str
    payment_local_date: date
    payment_kind: str
    link_status: str
    payments: int
    amount: Decimal
    received: Decimal


@dataclass(frozen=True)
class ShipmentTruth:
    """What left on a local date with a carrier (`party_code`), and how much of it was delivered (`delivered`) by the
    last file."""

    channel_code: str
    shipment_local_date: date
    shipment_kind: str
    link_status: str
    party_code: str
    shipments: int
    delivered: int
    pieces: int
    weight_kg: Decimal
    freight: Decimal


@dataclass(frozen=True)
class OfferTruth:
    """What a product costs buyers and us on a day, and how many there are, by the channel's last word of that day."""

    channel_code: str
    market_code: str
    country_code: str
    sku: str
    offer_local_date: date
    price: Decimal
    cost: Decimal
    stock: int
    availability: str


@dataclass(frozen=True)
class CustomerTruth:
    """A customer with orders with goods sold, `orders` of them, cancelled later or not, the first on a local date.

    What no channel says: `rate`, orders a week from the first one to `last_alive_date`, after which there is none; no
    date if they still are a customer at the world's end. Dated later can be a quote that is accepted, an order that is
    moved by hand. See demo/buyers.py.
    """

    channel_code: str
    customer_id: str
    first_order_date: date
    rate: float
    last_alive_date: date | None
    orders: int


@dataclass(frozen=True)
class CampaignTruth:
    """A campaign, first and last day on the shop's clock, `spend` by day in the channel's currency.

    `attributed_`: orders whose origin names it, whether the channel delivers origins or not. `incremental_`: those of
    them that would not be without it. Orders are those with goods sold, cancelled later or not; amounts are of goods,
    less cancellations and returns; refunds of money are not taken off. See demo/campaigns.py.
    """

    code: str
    utm_campaign: str
    method: str
    channel_code: str
    first: date
    last: date
    currency_code: str
    spend: Mapping[str, Decimal]
    attributed_orders: int
    attributed_amount: Decimal
    incremental_orders: int
    incremental_amount: Decimal
    incremental_order_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Truth:
    """`deliveries`: of channels, in the order in which they came. `sales`: sorted by channel, date and market.
    `refunds`: by channel, date and status. `payments`, `shipments`, `offers`: by the fields before their figures.
    `rates`: exchange rates that a person supplied. `asked`: channels whose service is asked; the answers after the
    first bring nothing new. `customers`: by channel and name. `campaigns`: by channel, those that begin and end within
    the world's days. Nothing delivered tells how either of them is."""

    seed: int
    first: date
    last: date
    deliveries: tuple[DeliveryTruth, ...]
    sales: tuple[SalesTruth, ...]
    rates: tuple[DeliveryTruth, ...] = ()
    refunds: tuple[RefundTruth, ...] = ()
    asked: tuple[str, ...] = ()
    payments: tuple[PaymentTruth, ...] = ()
    shipments: tuple[ShipmentTruth, ...] = ()
    offers: tuple[OfferTruth, ...] = ()
    customers: tuple[CustomerTruth, ...] = ()
    campaigns: tuple[CampaignTruth, ...] = ()

    def of_channel(self, code: str) -> tuple[DeliveryTruth, ...]:
        return tuple(delivery for delivery in self.deliveries if delivery.channel_code == code)

    def quarantined(self) -> dict[str, int]:
        """Rows in quarantine by reason, over all deliveries."""
        totals: dict[str, int] = {}
        for delivery in (*self.deliveries, *self.rates):
            for reason, count in delivery.quarantined.items():
                totals[reason] = totals.get(reason, 0) + count
        return dict(sorted(totals.items()))


def as_json(truth: Truth) -> str:
    """Dates in ISO form, amounts as text."""
    return json.dumps(asdict(truth), ensure_ascii=False, indent=1, sort_keys=True, default=str)


def write_truth(truth: Truth, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_json(truth) + "\n", encoding="utf-8")
