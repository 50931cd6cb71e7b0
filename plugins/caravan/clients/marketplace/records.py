"""A row of the marketplace's order report as canonical records. Pure: no request, no clock.

Source: "Order Tracking reports attributes" (Selling Partner API), columns of
GET_FLAT_FILE_ALL_ORDERS_DATA_BY_LAST_UPDATE_GENERAL.

| ours | theirs |
|---|---|
| order_id | `amazon-order-id` |
| line_id | `item-<n>-<sku>`: the report has no item ids, and an order may have an sku twice: its nth row |
| ordered_at, updated_at | `purchase-date`, `last-updated-date`, which name their offset |
| status | `item-status`, else `order-status` |
| country, currency | `ship-country`, `currency` |
| unit_price, discount_amount | so that `amount` is exactly `item-price` - `item-promotion-discount` |
| tax_amount | `item-tax` |
| coupon_code | `promotion-ids` |

Postage and gift wrap, where there is any, are lines `shipping-<n>-<sku>` and `fee-<n>-<sku>`: see `CHARGES` in
`config/services.py`. There is no buyer in this report, so no customer_id.

Not verified against the real service: that `item-price` is for the whole quantity; whether prices include tax (they
are passed on as they are); that orders still pending have no price and currency: those rows are quarantined until the
order is confirmed, which changes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from caravan.clients.http.lines import number, priced
from caravan.clients.http.source import Record

ORDER, SKU = "amazon-order-id", "sku"
COLUMNS = (ORDER, "purchase-date", "last-updated-date", SKU, "quantity", "currency", "item-price", "ship-country")
"""Without these a file is not the report."""


def row_records(columns: Sequence[str], cells: Sequence[str], nth: int) -> Iterator[Record]:
    """The lines of a row. `nth`: how often its order had its sku so far, this time included."""
    if len(cells) != len(columns):
        yield "order_line", {"cells": list(cells)}
        return
    row = {name: value for name, value in zip(columns, cells, strict=True) if value}
    shared = {
        "order_id": row.get(ORDER),
        "ordered_at": row.get("purchase-date"),
        "updated_at": row.get("last-updated-date"),
        "status": row.get("item-status") or row.get("order-status"),
        "country": row.get("ship-country"),
        "currency": row.get("currency"),
        "coupon_code": row.get("promotion-ids"),
    }
    name = f"{nth}-{row[SKU]}" if SKU in row else None
    yield (
        "order_line",
        {
            **shared,
            "line_id": name and f"item-{name}",
            "sku": row.get(SKU),
            "product_name": row.get("product-name"),
            **priced(row.get("quantity"), row.get("item-price"), _net(row, "item-price", "item-promotion-discount")),
            "tax_amount": row.get("item-tax"),
        },
    )
    for kind, price, discount, tax in (
        ("shipping", "shipping-price", "ship-promotion-discount", "shipping-tax"),
        ("fee", "gift-wrap-price", "", "gift-wrap-tax"),
    ):
        if row.get(price) and number(row[price]) != 0:
            charge = {"line_id": name and f"{kind}-{name}", "sku": kind, "quantity": "1", "unit_price": row[price]}
            yield "order_line", {**shared, **charge, "discount_amount": row.get(discount), "tax_amount": row.get(tax)}


def _net(row: Mapping[str, str], price: str, discount: str) -> Any:
    """Price less discount; what is no number of them, so that it is refused."""
    before, less = number(row.get(price)), number(row.get(discount, "0"))
    if less is None:
        return row[discount]
    return row.get(price) if before is None else f"{before - less:f}"
