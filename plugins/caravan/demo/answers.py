"""How the demo's services write an order: as WooCommerce's REST API shows it, as a row of the marketplace's report.

Knows nothing of the clients that have to read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from caravan.demo.services import Entry
from caravan.demo.world import CANCELLING, Line, Order, Refund

VAT, GST = Decimal("0.25"), Decimal("0.10")
"""Of Sweden, of Australia."""
_CENT = Decimal("0.01")
_STOCKHOLM = ZoneInfo("Europe/Stockholm")


def woocommerce_order(entry: Entry) -> dict[str, Any]:
    """With the numbers that an order of the demo has: items are numbered by order and line."""
    order = entry.order
    goods = [line for line in order.lines if line.role == "goods"]
    postage = [line for line in order.lines if line.role == "charge"]
    total = sum((line.amount for line in order.lines), Decimal(0))
    tax = sum((_tax(line.amount) for line in order.lines), Decimal(0))
    address = {"country": order.country}
    shown = {
        "id": int(order.order_id),
        "number": order.order_id,
        "status": _status(entry),
        "currency": "SEK",
        **_times("created", order.placed),
        **_times("modified", order.updated),
        "prices_include_tax": False,
        "discount_total": str(sum((line.discount for line in goods), Decimal(0))),
        "shipping_total": str(sum((line.amount for line in postage), Decimal(0))),
        "total": str(total + tax),
        "total_tax": str(tax),
        "customer_id": int(order.customer_id.rpartition("K")[2]) if order.customer_id else 0,
        "billing": address,
        "shipping": address,
        "meta_data": _attribution(order),
        "line_items": [_item(order, line) for line in goods],
        "shipping_lines": [_postage(order, line) for line in postage],
        "fee_lines": [],
        "coupon_lines": [{"id": 1, "code": "host10"}] if any(line.discount for line in goods) else [],
        "refunds": [
            {"id": int(each["id"]), "reason": each["reason"], "total": f"-{each['amount']}"}
            for each in woocommerce_refunds(entry)
        ],
    }
    return shown | _spoilt_order(entry, shown)


def woocommerce_refunds(entry: Entry) -> list[dict[str, Any]]:
    """One of the shop's refunds may be of several lines; ours are a record each."""
    by_id: dict[str, list[Refund]] = {}
    for refund in entry.refunds:
        by_id.setdefault(refund.refund_id, []).append(refund)
    return [_refund(entry.order, number, parts) for number, parts in by_id.items()]


def marketplace_rows(entry: Entry) -> list[dict[str, str]]:
    """A row for each article; postage stands beside the first. All that it writes are texts."""
    order = entry.order
    postage = sum((line.amount for line in order.lines if line.role == "charge"), Decimal(0))
    state = "Cancelled" if order.status in CANCELLING else {"paid": "Unshipped", "completed": "Shipped"}[order.status]
    rows: list[dict[str, str]] = []
    for line in order.lines:
        if line.role != "goods":
            continue
        row = {
            "amazon-order-id": order.order_id,
            "purchase-date": _offset(order.placed),
            "last-updated-date": _offset(order.updated),
            "order-status": state,
            "sales-channel": "Amazon.com.au",
            "product-name": line.product.name,
            "sku": line.product.sku,
            "item-status": state,
            "quantity": str(line.quantity),
            "currency": "AUD",
            "item-price": str(line.quantity * line.product.price),
            "item-tax": str(_taxed(line.amount, GST)),
            "item-promotion-discount": str(line.discount) if line.discount else "",
            "ship-country": order.country,
        }
        if postage and not rows:
            row["shipping-price"] = str(postage)
        rows.append(row | _spoilt_row(entry, row))
    return rows


def _status(entry: Entry) -> str:
    if entry.order.status in CANCELLING:
        return "cancelled"
    return {"paid": "processing", "completed": "completed"}[entry.order.status]


def _spoilt_order(entry: Entry, shown: dict[str, Any]) -> dict[str, Any]:
    match entry.flaw and entry.flaw.name:
        case "currency_unknown":
            return {"currency": "KRONOR"}
        case "currency_other":
            return {"currency": "NOK"}
        case "unpaid":
            return {"status": "pending"}
        case "total_unreadable":
            return {"line_items": [{**shown["line_items"][0], "total": "gratis"}]}
    return {}


def _spoilt_row(entry: Entry, row: dict[str, str]) -> dict[str, str]:
    match entry.flaw and entry.flaw.name:
        case "currency_other":
            return {"currency": "NZD"}
        case "unpaid":
            return {"currency": "", "item-price": "", "item-tax": "", "order-status": "Pending", "item-status": ""}
        case "cells_too_many":
            return {"product-name": f"{row['product-name']}\tsecond hand"}
    return {}


def _item(order: Order, line: Line) -> dict[str, Any]:
    subtotal = line.quantity * line.product.price
    return {
        "id": _number(order, line.number),
        "name": line.product.name,
        "product_id": int(line.product.sku.rpartition("-")[2]),
        "variation_id": 0,
        "quantity": line.quantity,
        "sku": line.product.sku,
        "price": float(line.amount / line.quantity),  # rounded, as WooCommerce's is
        "subtotal": str(subtotal),
        "subtotal_tax": str(_tax(subtotal)),
        "total": str(line.amount),
        "total_tax": str(_tax(line.amount)),
        "meta_data": [],
    }


def _postage(order: Order, line: Line) -> dict[str, Any]:
    return {
        "id": _number(order, line.number),
        "method_title": line.product.name,
        "total": str(line.amount),
        "total_tax": str(_tax(line.amount)),
        "meta_data": [],
    }


def _refund(order: Order, number: str, parts: Sequence[Refund]) -> dict[str, Any]:
    """Of items with their tax, which the stated amount holds; of nothing in particular, the amount alone."""
    of_lines = [part for part in parts if part.line_number is not None]
    amount = sum(part.amount for part in parts) + sum(_tax(part.amount) for part in of_lines)
    return {
        "id": int(number),
        **_times("created", parts[0].moment),
        "amount": str(amount),
        "reason": parts[0].reason,
        "line_items": [_given_back(order, part) for part in of_lines if not part.is_charge],
        "shipping_lines": [_given_back(order, part) for part in of_lines if part.is_charge],
        "fee_lines": [],
    }


def _given_back(order: Order, part: Refund) -> dict[str, Any]:
    line = next(each for each in order.lines if each.number == part.line_number)
    return {
        "id": _number(order, 50 + line.number),
        "quantity": -line.quantity,
        "sku": line.product.sku,
        "total": str(-part.amount),
        "total_tax": str(-_tax(part.amount)),
        "meta_data": [{"id": 1, "key": "_refunded_item_id", "value": str(_number(order, line.number))}],
    }


def _attribution(order: Order) -> list[dict[str, Any]]:
    origin = order.origin
    told = {
        "utm_source": origin.source,
        "utm_medium": origin.medium,
        "utm_campaign": origin.campaign,
        "referrer": origin.referrer,
    }
    return [
        {"id": number, "key": f"_wc_order_attribution_{name}", "value": value}
        for number, (name, value) in enumerate(told.items(), start=1)
        if value
    ]


def _number(order: Order, part: int) -> int:
    return int(order.order_id) * 100 + part


def _times(name: str, moment: datetime) -> dict[str, str]:
    """Both fields of a time."""
    return {
        f"date_{name}": moment.astimezone(_STOCKHOLM).replace(tzinfo=None).isoformat(),
        f"date_{name}_gmt": moment.astimezone(UTC).replace(tzinfo=None).isoformat(),
    }


def _offset(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _tax(amount: Decimal) -> Decimal:
    return _taxed(amount, VAT)


def _taxed(amount: Decimal, rate: Decimal) -> Decimal:
    return (amount * rate).quantize(_CENT, ROUND_HALF_UP)
