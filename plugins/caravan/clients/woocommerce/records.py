"""An order of WooCommerce's REST API v3 as canonical records. Pure: no request, no clock.

Sources: "Order properties", "Order refund properties" and their examples in WooCommerce REST API Docs v3
(woocommerce/woocommerce-rest-api-docs, wp-api-v3). The meta keys of order attribution are those that WooCommerce 8.5
and newer write.

| ours | theirs |
|---|---|
| order_id | `id`; `number` may be anything that a plugin makes of it |
| ordered_at, updated_at | `date_created_gmt`, `date_modified_gmt`; else the shop's local times, in the channel's zone |
| country | `shipping.country`, else `billing.country`: what needs no shipping has no shipping address |
| customer_id | `customer_id`; none for guests, which are all `0` |
| utm_source, utm_medium, utm_campaign | `_wc_order_attribution_utm_source` and so on, of `meta_data` |
| referrer_url | `_wc_order_attribution_referrer`, of `meta_data` |
| coupon_code | the codes of `coupon_lines`, joined by commas |

A line of each of `line_items`, `shipping_lines` and `fee_lines`. The line ids of postage and fees begin with
`shipping-` and `fee-` (those of goods are numbers), so that a rule makes them charges: see `CHARGES` in
`config/services.py`. A coupon is
no line: `total` of the goods is after it, and it would count twice.

Amounts of lines are without tax, as WooCommerce keeps them, and `tax_amount` is beside. `amount` is exactly their
`total`: `price` is a rounded float, so `unit_price` is subtotal / quantity to four decimals (fewer where the quantity
has some) and `discount_amount` what is left, including less than a ten-thousandth for each unit. Totals of the order
are as stated, with tax.

A refund is a record for each line it gives money back for, with that line's id and, as lines are, without tax. What its
stated `amount` holds beyond them and their tax is one record without a line: all of it when it names none, as
WooCommerce's own analytics takes it.

What cannot be taken apart is passed on as it is: `parse` quarantines it with a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from caravan.clients.http.lines import priced
from caravan.clients.http.source import Record

_ATTRIBUTION = {
    "_wc_order_attribution_utm_source": "utm_source",
    "_wc_order_attribution_utm_medium": "utm_medium",
    "_wc_order_attribution_utm_campaign": "utm_campaign",
    "_wc_order_attribution_referrer": "referrer_url",
}
_GUEST = "0"
_REFUNDED_ITEM = "_refunded_item_id"
_CENT = Decimal("0.01")
"""Less is a rounding of tax."""


def order_records(order: object) -> Iterator[Record]:
    """The header and the lines of an order as `Caller` reads it: every number is text."""
    if not isinstance(order, dict):
        yield "order", order
        return
    shared = _shared(order)
    totals = {
        "total_amount": order.get("total"),
        "shipping_amount": order.get("shipping_total"),
        "discount_amount": order.get("discount_total"),
        "tax_amount": order.get("total_tax"),
    }
    yield "order", {**shared, **totals}
    for section, read in (("line_items", _goods), ("shipping_lines", _shipping), ("fee_lines", _fee)):
        items = order.get(section)
        if not isinstance(items, list):
            yield "order_line", {**shared, section: items}
            continue
        for item in items:
            line = read(item) if isinstance(item, dict) else {section: item}
            yield "order_line", {**shared, **line}


def refund_records(order: Mapping[str, Any], refund: object) -> Iterator[Record]:
    """`order`: that it belongs to; it says where and in which currency."""
    if not isinstance(refund, dict):
        yield "refund", refund
        return
    shared = _shared(order)
    about = {
        **{name: shared[name] for name in ("order_id", "country", "currency")},
        "refund_id": refund.get("id"),
        "refunded_at": _moment(refund, "date_created"),
        "reason": refund.get("reason"),
    }
    try:
        lines = [_given_back(prefix, item) for prefix, item in _refund_items(refund)]
        rest = Decimal(refund["amount"]) - sum(line.with_tax for line in lines)
    except (ArithmeticError, KeyError, TypeError, ValueError):
        yield "refund", {**about, "amount": refund.get("amount")}
        return
    for line in lines:
        if line.fields["amount"] != "0":
            yield "refund", {**about, **line.fields}
    if not lines or abs(rest) >= _CENT:
        yield "refund", {**about, "amount": str(rest)}


@dataclass(frozen=True)
class _GivenBack:
    fields: Mapping[str, Any]
    with_tax: Decimal


def _refund_items(refund: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for section, prefix in (("line_items", ""), ("shipping_lines", "shipping-"), ("fee_lines", "fee-")):
        for item in refund.get(section, ()):
            yield prefix, item


def _given_back(prefix: str, item: Mapping[str, Any]) -> _GivenBack:
    """An item of a refund has the quantity and totals of what went out, negative."""
    total, tax = -Decimal(item["total"]), -Decimal(item.get("total_tax") or 0)
    named = [each["value"] for each in item.get("meta_data", ()) if each["key"] == _REFUNDED_ITEM]
    quantity = Decimal(item.get("quantity") or 0)
    fields = {
        "line_id": f"{prefix}{(named or [item['id']])[0]}",
        "sku": prefix.rstrip("-") or item.get("sku") or _product(item),
        "quantity": str(-quantity) if quantity else None,
        "amount": str(total) if total else "0",
    }
    return _GivenBack(fields, total + tax)


def _shared(order: Mapping[str, Any]) -> dict[str, Any]:
    """What header and lines have in common."""
    customer = order.get("customer_id")
    return {
        "order_id": order.get("id"),
        "ordered_at": _moment(order, "date_created"),
        "updated_at": _moment(order, "date_modified"),
        "status": order.get("status"),
        "country": _within(order, "shipping", "country") or _within(order, "billing", "country"),
        "currency": order.get("currency"),
        "customer_id": None if customer == _GUEST else customer,
        "coupon_code": _coupons(order.get("coupon_lines")),
        **_attribution(order.get("meta_data")),
    }


def _goods(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "line_id": item.get("id"),
        "sku": item.get("sku") or _product(item),
        "product_name": item.get("name"),
        **priced(item.get("quantity"), item.get("subtotal"), item.get("total")),
        "tax_amount": item.get("total_tax"),
    }


def _shipping(item: Mapping[str, Any]) -> dict[str, Any]:
    return _charge("shipping", item, item.get("method_title"))


def _fee(item: Mapping[str, Any]) -> dict[str, Any]:
    return _charge("fee", item, item.get("name"))


def _charge(kind: str, item: Mapping[str, Any], name: object) -> dict[str, Any]:
    return {
        "line_id": f"{kind}-{item['id']}" if isinstance(item.get("id"), str) else None,
        "sku": kind,
        "product_name": name,
        "quantity": "1",
        "unit_price": item.get("total"),
        "tax_amount": item.get("total_tax"),
    }


def _product(item: Mapping[str, Any]) -> str | None:
    """Goods without an SKU are known by their number; a product that was deleted keeps a line without either."""
    variation, product = item.get("variation_id"), item.get("product_id")
    number = variation if isinstance(variation, str) and variation != "0" else product
    return f"product-{number}" if isinstance(number, str) else None


def _moment(record: Mapping[str, Any], name: str) -> object:
    """With its zone where it is known: a shop's local time means two moments in the night the clocks go back."""
    moment = record.get(f"{name}_gmt")
    if isinstance(moment, str) and moment:
        return moment if moment.endswith("Z") else f"{moment}Z"
    return moment or record.get(name)


def _within(order: Mapping[str, Any], section: str, name: str) -> object:
    content = order.get(section)
    return content.get(name) if isinstance(content, dict) else None


def _coupons(lines: object) -> str | None:
    codes = [line.get("code") for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    return ",".join(code for code in codes if isinstance(code, str)) or None


def _attribution(meta: object) -> dict[str, Any]:
    entries = [entry for entry in meta if isinstance(entry, dict)] if isinstance(meta, list) else []
    return {
        _ATTRIBUTION[entry["key"]]: entry.get("value")
        for entry in entries
        if isinstance(entry.get("key"), str) and entry["key"] in _ATTRIBUTION
    }
