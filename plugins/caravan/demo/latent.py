"""What no delivery says: how customers really are, and what campaigns really brought."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

from caravan.demo.campaigns import Running
from caravan.demo.catalogue import CATALOGUE
from caravan.demo.truth import CampaignTruth, CustomerTruth
from caravan.demo.world import Order


def customer_truths(
    code: str, bought: Collection[Order], zone_of: Callable[[Order], ZoneInfo], end: date
) -> list[CustomerTruth]:
    """Of a channel's customers, by their names. `bought`: orders with goods sold. `end`: the world's last day."""
    of_customer: dict[str, list[Order]] = {}
    for order in bought:
        if order.customer_id:
            of_customer.setdefault(order.customer_id, []).append(order)
    return [
        _customer(code, of_customer[customer_id], zone_of, end)
        for customer_id in sorted(of_customer, key=lambda each: (len(each), each))
    ]


def _customer(code: str, orders: Sequence[Order], zone_of: Callable[[Order], ZoneInfo], end: date) -> CustomerTruth:
    buyer = orders[0].buyer
    assert buyer is not None, f"{orders[0].order_id} names a customer who is nobody"
    return CustomerTruth(
        channel_code=code,
        customer_id=buyer.customer_id,
        first_order_date=min(order.local_date(zone_of(order)) for order in orders),
        rate=buyer.rate,
        last_alive_date=buyer.last if buyer.last <= end else None,
        orders=len(orders),
    )


def campaign_truths(
    campaigns: Sequence[Running], orders: Collection[Order], bought: Collection[Order], left: Mapping[str, Decimal]
) -> list[CampaignTruth]:
    """`orders`: all of the campaigns' channel; `bought`: those of them with goods sold. `left`: by order, what of its
    goods was sold and neither cancelled nor taken back."""
    return [_campaign(each, orders, bought, left) for each in campaigns]


def _campaign(
    running: Running, orders: Collection[Order], bought: Collection[Order], left: Mapping[str, Decimal]
) -> CampaignTruth:
    campaign = running.campaign
    mine = [order for order in orders if order.origin == running.origin]
    attributed = [order for order in bought if order.origin == running.origin]
    incremental = sorted(order.order_id for order in attributed if order.is_incremental)
    return CampaignTruth(
        code=campaign.code,
        utm_campaign=campaign.origin.campaign,
        method=campaign.method,
        channel_code=campaign.channel_code,
        first=running.first,
        last=running.last,
        currency_code=CATALOGUE[campaign.channel_code].currency,
        spend={day.isoformat(): amount for day, amount in running.spend().items()},
        attributed_orders=len(attributed),
        attributed_amount=sum((left[order.order_id] for order in mine), Decimal(0)),
        incremental_orders=len(incremental),
        incremental_amount=sum((left[order.order_id] for order in mine if order.is_incremental), Decimal(0)),
        incremental_order_ids=tuple(incremental),
    )
