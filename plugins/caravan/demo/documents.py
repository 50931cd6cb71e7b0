"""What stands beside orders: payments, waybills and prices, and how those who write them do so."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from caravan.demo.catalogue import CATALOGUE, Product

_RESULTS = {"capture": "支付成功", "failed": "支付失败", "chargeback": "拒付退回"}
_CARRIERS = {"sf_express": "顺丰速运", "unknown": "极兔速递"}


@dataclass(frozen=True)
class Payment:
    """A transaction of import_cn's payment company. `order_id`: None where it names none. `moment`: UTC, whole seconds.
    `amount`: in CNY."""

    payment_id: str
    order_id: str | None
    moment: datetime
    kind: Literal["capture", "failed", "chargeback"]
    amount: Decimal
    payer_id: str | None = None

    @property
    def key(self) -> Hashable:
        return self.payment_id


@dataclass(frozen=True)
class Shipment:
    """A waybill of import_cn's carrier. `moment`, `arrived`: when it left and was delivered, UTC, whole seconds.

    `party`: by our code, `unknown` for one that nobody has configured. `freight`: in CNY.
    """

    shipment_id: str
    order_id: str
    moment: datetime
    arrived: datetime | None
    party: str
    weight_kg: Decimal
    pieces: int
    freight: Decimal
    consignee_id: str | None = None

    @property
    def key(self) -> Hashable:
        return self.shipment_id


@dataclass(frozen=True)
class Offer:
    """What an article of wholesale_gb costs buyers and us in GBP, and how many pieces there are. `moment`: UTC."""

    product: Product
    moment: datetime
    cost: Decimal
    stock: int
    availability: Literal["in_stock", "backorder"]

    @property
    def key(self) -> Hashable:
        return self.product.sku, self.moment


Document = Payment | Shipment | Offer


def written(document: Document) -> dict[str, Any]:
    """As the one who writes it does: column to value."""
    if isinstance(document, Payment):
        return _payment(document)
    return _waybill(document) if isinstance(document, Shipment) else _price(document)


def _payment(payment: Payment) -> dict[str, Any]:
    return {
        "交易号": payment.payment_id,
        "商户订单号": payment.order_id or "",
        "交易时间": _local(payment.moment, "import_cn", "%Y-%m-%d %H:%M:%S"),
        "交易状态": _RESULTS[payment.kind],
        "付款人": payment.payer_id or "",
        "金额": f"{payment.amount:.2f}",
    }


def _waybill(shipment: Shipment) -> dict[str, Any]:
    arrived = shipment.arrived
    return {
        "运单号": shipment.shipment_id,
        "订单号": shipment.order_id,
        "承运商": _CARRIERS[shipment.party],
        "发货时间": _local(shipment.moment, "import_cn", "%Y-%m-%d %H:%M:%S"),
        "签收时间": _local(arrived, "import_cn", "%Y-%m-%d %H:%M:%S") if arrived else "",
        "状态": "已签收" if arrived else "运输中",
        "收件人": shipment.consignee_id or "",
        "重量": f"{shipment.weight_kg:.2f}",
        "件数": str(shipment.pieces),
        "运费": f"{shipment.freight:.2f}",
    }


def _price(offer: Offer) -> dict[str, Any]:
    return {
        "Item": offer.product.sku,
        "Description": offer.product.name,
        "As of": _local(offer.moment, "wholesale_gb", "%Y-%m-%d %H:%M"),
        "Net price": f"{offer.product.price:.2f}",
        "Cost": f"{offer.cost:.2f}",
        "Pieces": str(offer.stock),
        "State": {"in_stock": "In stock", "backorder": "Back order"}[offer.availability],
    }


def _local(moment: datetime, code: str, form: str) -> str:
    return moment.astimezone(ZoneInfo(CATALOGUE[code].zone)).strftime(form)
