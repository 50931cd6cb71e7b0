"""How each channel of the demo writes its files. Knows nothing of the configuration that has to read them."""

from __future__ import annotations

import csv
import io
import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pyarrow
import pyarrow.parquet

from caravan.demo.catalogue import CATALOGUE
from caravan.demo.world import CANCELLING, DIRECT, Line, Order, Refund

Shape = Literal["whole", "short", "long", "cut"]
"""short, long: a CSV row with cells missing or too many. cut: a JSON line that ends in the middle."""

Record = Mapping[str, Any]
"""Column name to value, in the order of the columns."""

Encode = Callable[[tuple[str, ...], Sequence[tuple[Record, Shape]]], bytes]
"""Columns, and records with their shapes, as the bytes of a file."""


@dataclass(frozen=True)
class Dialect:
    """`record`: an order's line as the shop writes it; for headers, the order, whichever its line."""

    code: str
    record: Callable[[Order, Line], Record]
    encode: Encode

    @property
    def columns(self) -> tuple[str, ...]:
        """The header of a file, rows or not."""
        shop = CATALOGUE[self.code]
        line, moment = Line(1, shop.products[0], 1), datetime(2026, 1, 1, tzinfo=UTC)
        order = Order("", moment, moment, "paid", shop.countries[0], None, DIRECT, (line,))
        return tuple(self.record(order, line))

    def file(self, records: Sequence[tuple[Record, Shape]]) -> bytes:
        return self.encode(self.columns, records)


def gzip_stored(content: bytes) -> bytes:
    """Gzip without compression: the same bytes whichever zlib a Python was built with."""
    blocks = [content[start : start + 0xFFFF] for start in range(0, len(content), 0xFFFF)] or [b""]
    body = b"".join(
        struct.pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) + block for block in blocks
    )
    return b"\x1f\x8b\x08" + b"\0" * 6 + b"\xff" + body + struct.pack("<II", zlib.crc32(content), len(content))


def _csv(encoding: str, delimiter: str = ",") -> Encode:
    def encode(columns: tuple[str, ...], records: Sequence[tuple[Record, Shape]]) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
        writer.writerow(columns)
        for record, shape in records:
            cells = [record[column] for column in columns]
            writer.writerow(cells[:-2] if shape == "short" else [*cells, "?", "?"] if shape == "long" else cells)
        # Spreadsheets mark UTF-16 by its first bytes; Python's codec would take this computer's byte order.
        if encoding == "utf-16":
            return b"\xff\xfe" + text.getvalue().encode("utf-16-le")
        return text.getvalue().encode(encoding)

    return encode


def _gzipped_csv(columns: tuple[str, ...], records: Sequence[tuple[Record, Shape]]) -> bytes:
    return gzip_stored(_csv("utf-8")(columns, records))


def _ndjson(columns: tuple[str, ...], records: Sequence[tuple[Record, Shape]]) -> bytes:
    lines = []
    for record, shape in records:
        nested: dict[str, Any] = {}
        for path, value in record.items():
            *outer, name = path.split(".")
            inside = nested
            for step in outer:
                inside = inside.setdefault(step, {})
            inside[name] = value
        line = json.dumps(nested, ensure_ascii=False)
        lines.append(line[: len(line) // 2] if shape == "cut" else line)
    return "".join(f"{line}\n" for line in lines).encode()


def _parquet(columns: tuple[str, ...], records: Sequence[tuple[Record, Shape]]) -> bytes:
    types = {
        "sold_at": pyarrow.timestamp("ms"),
        "qty": pyarrow.int32(),
        "price": pyarrow.decimal128(12, 2),
    }
    schema = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in columns])
    table = pyarrow.Table.from_pylist([dict(record) for record, _ in records], schema=schema)
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink)
    return sink.getvalue()


def _local(moment: datetime, code: str, form: str) -> str:
    return moment.astimezone(ZoneInfo(CATALOGUE[code].zone)).strftime(form)


def _number(value: Decimal, thousands: str = "", decimal: str = ".", places: int = 2) -> str:
    text = f"{value:,.{places}f}"
    return text.translate({ord(","): thousands, ord("."): decimal})


_GERMAN_COUNTRIES = {
    "DE": "Deutschland",
    "AT": "Österreich",
    "CH": "Schweiz",
    "NL": "Niederlande",
    "FR": "Frankreich",
    "SE": "Schweden",
}


def _german(order: Order, line: Line) -> Record:
    return {
        "Bestellnummer": order.order_id,
        "Position": str(line.number),
        "Bestelldatum": _local(order.placed, "shop_de", "%d.%m.%Y %H:%M:%S"),
        "Geändert am": _local(order.updated, "shop_de", "%d.%m.%Y %H:%M:%S"),
        "Status": {"paid": "bezahlt", "shipped": "versandt", "cancelled": "storniert"}[order.status],
        "Kundennummer": order.customer_id or "",
        "Lieferland": _GERMAN_COUNTRIES[order.country],
        "Artikelnummer": line.product.sku,
        "Bezeichnung": line.product.name,
        "Menge": str(line.quantity),
        "Einzelpreis": _number(line.product.price, ".", ","),
        "Währung": "EUR",
        "Zahlungsart": "Rechnung",
    }


def _french(order: Order, line: Line) -> Record:
    return {
        "N° commande": order.order_id,
        "Ligne": str(line.number),
        "Date": _local(order.placed, "shop_fr", "%d/%m/%Y %H:%M"),
        "État": "Annulée" if order.status in CANCELLING else "Payée",
        "Client": order.customer_id or "",
        "Pays": "France",
        "Référence": line.product.sku,
        "Désignation": line.product.name,
        "Quantité": str(line.quantity),
        "Prix unitaire": _number(line.product.price, " ", ","),
        "Remise": _number(line.discount, " ", ","),
        "Magasin": "Lyon",
    }


def _french_refund(order: Order, refund: Refund) -> Record:
    return {
        "N° remboursement": refund.refund_id,
        "N° commande": order.order_id,
        "Ligne": "" if refund.line_number is None else str(refund.line_number),
        "Date": _local(refund.moment, "shop_fr", "%d/%m/%Y %H:%M"),
        "Montant": _number(refund.amount, " ", ","),
        "Motif": refund.reason,
    }


def _british(order: Order, line: Line) -> Record:
    return {
        "Order": order.order_id,
        "Line": str(line.number),
        "Placed": _local(order.placed, "shop_gb", "%d/%m/%Y %H:%M:%S"),
        "Customer": order.customer_id or "",
        "Ship to": "United Kingdom",
        "SKU": line.product.sku,
        "Title": line.product.name,
        "Qty": str(line.quantity),
        "Price": _number(line.product.price),
        "Discount": _number(line.discount) if line.discount else "",
        "Coupon": "AUTUMN10" if line.discount else "",
    }


def _british_header(order: Order, line: Line) -> Record:
    discount = sum((each.discount for each in order.lines), Decimal(0))
    postage = sum((each.amount for each in order.lines if each.role == "charge"), Decimal(0))
    return {
        "Order": order.order_id,
        "Placed": _local(order.placed, "shop_gb", "%d/%m/%Y %H:%M:%S"),
        "State": "Cancelled" if order.status in CANCELLING else "Complete",
        "Customer": order.customer_id or "",
        "Ship to": "United Kingdom",
        "Total": _number(sum((each.amount for each in order.lines), Decimal(0))),
        "Postage": _number(postage),
        "Discount": _number(discount),
        "utm_source": order.origin.source,
        "utm_medium": order.origin.medium,
        "utm_campaign": order.origin.campaign,
        "gclid": f"{order.origin.click_id}-{order.order_id}" if order.origin.click_id else "",
        "Coupon": "AUTUMN10" if discount else "",
        "Referrer": order.origin.referrer,
    }


def _american(order: Order, line: Line) -> Record:
    return {
        "order.id": order.order_id,
        "order.placed_at": order.placed.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "order.updated_at": order.updated.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "order.status": order.status,
        "order.currency": "USD",
        "buyer.id": order.customer_id,
        "buyer.address.country": order.country,
        "item.position": line.number,
        "item.sku": line.product.sku,
        "item.title": line.product.name,
        "item.quantity": line.quantity,
        "item.price": str(line.product.price),
        "item.discount": str(line.discount),
        "item.tax": None,
        "origin.utm.source": order.origin.source or None,
        "origin.utm.medium": order.origin.medium or None,
        "origin.utm.campaign": order.origin.campaign or None,
    }


def _japanese(order: Order, line: Line) -> Record:
    return {
        "注文番号": order.order_id,
        "注文日時": _local(order.placed, "marketplace_jp", "%Y/%m/%d %H:%M:%S"),
        "会員番号": order.customer_id or "",
        "配送先国": "日本",
        "商品番号": line.product.sku,
        "商品名": line.product.name,
        "数量": str(line.quantity),
        "単価": _number(line.product.price, places=0),
        "備考": "返品" if line.quantity < 0 else "",
    }


def _chinese(order: Order, line: Line) -> Record:
    states = {"paid": "买家已付款", "completed": "交易成功", "cancelled": "交易关闭"}
    return {
        "订单号": order.order_id,
        "子订单号": str(line.number),
        "下单时间": _local(order.placed, "marketplace_cn", "%Y-%m-%d %H:%M:%S"),
        "更新时间": _local(order.updated, "marketplace_cn", "%Y-%m-%d %H:%M:%S"),
        "订单状态": states[order.status],
        "买家编号": order.customer_id or "",
        "收货国家": "中国",
        "商品编码": line.product.sku,
        "商品名称": line.product.name,
        "数量": str(line.quantity),
        "单价": _number(line.product.price),
        "优惠金额": _number(line.discount),
    }


def _brazilian(order: Order, line: Line) -> Record:
    return {
        "Pedido": order.order_id,
        "Item": str(line.number),
        "Data do pedido": _local(order.placed, "shop_br", "%d/%m/%Y %H:%M:%S"),
        "Situação": "Cancelado" if order.status in CANCELLING else "Pago",
        "Cliente": order.customer_id or "",
        "País": "Brasil",
        "Código": line.product.sku,
        "Descrição": line.product.name,
        "Quantidade": str(line.quantity),
        "Preço unitário": _number(line.product.price, ".", ","),
    }


def _emirati(order: Order, line: Line) -> Record:
    countries = {"AE": "United Arab Emirates", "SA": "Saudi Arabia", "OM": "Oman"}
    return {
        "invoice": order.order_id,
        "sold_at": order.placed.astimezone(ZoneInfo(CATALOGUE["partner_ae"].zone)).replace(tzinfo=None),
        "ship_country": countries[order.country],
        "currency": "AED",
        "account": order.customer_id,
        "item_code": line.product.sku,
        "item_name": line.product.name,
        "qty": line.quantity,
        "price": line.product.price,
        "branch": "Deira",
    }


def _till(order: Order, line: Line) -> Record:
    return {
        "Bon": order.order_id,
        "Zeile": str(line.number),
        "Zeit": _local(order.placed, "fair_de", "%d.%m.%Y %H:%M"),
        "Kundenkarte": order.customer_id or "",
        "Artikel": line.product.sku,
        "Bezeichnung": line.product.name,
        "Stück": str(line.quantity),
        "Preis": _number(line.product.price, "", ","),
        "Währung": "EUR",
    }


def _document(order: Order, line: Line) -> Record:
    states = {"paid": "Accepted", "cancelled": "Withdrawn", "quote": "Quote", "declined": "Declined"}
    return {
        "Document": order.order_id,
        "Position": str(line.number),
        "Dated": _local(order.placed, "wholesale_gb", "%Y-%m-%d %H:%M"),
        "Changed": _local(order.updated, "wholesale_gb", "%Y-%m-%d %H:%M"),
        "State": states[order.status],
        "Country": "United Kingdom",
        "Account": order.customer_id or "",
        "Item": line.product.sku,
        "Description": line.product.name,
        "Qty": str(line.quantity),
        "Net price": _number(line.product.price),
        "Rebate": _number(line.discount) if line.discount else "",
    }


def _declaration(order: Order, line: Line) -> Record:
    return {
        "declaration": order.order_id,
        "item_no": str(line.number),
        "paid_at": _local(order.placed, "import_cn", "%Y-%m-%d %H:%M:%S"),
        "buyer": order.customer_id or "",
        "hs_item": line.product.sku,
        "goods": line.product.name,
        "qty": str(line.quantity),
        "dutiable_value": _number(line.product.price),
    }


DIALECTS: dict[tuple[str, str], Dialect] = {
    ("shop_de", "order_line"): Dialect("shop_de", _german, _csv("windows-1252", ";")),
    ("shop_fr", "order_line"): Dialect("shop_fr", _french, _csv("utf-16", "\t")),
    ("shop_gb", "order"): Dialect("shop_gb", _british_header, _gzipped_csv),
    ("shop_gb", "order_line"): Dialect("shop_gb", _british, _gzipped_csv),
    ("shop_us", "order_line"): Dialect("shop_us", _american, _ndjson),
    ("marketplace_jp", "order_line"): Dialect("marketplace_jp", _japanese, _csv("shift_jis")),
    ("marketplace_cn", "order_line"): Dialect("marketplace_cn", _chinese, _csv("gb18030")),
    ("shop_br", "order_line"): Dialect("shop_br", _brazilian, _csv("utf-8-sig", ";")),
    ("partner_ae", "order_line"): Dialect("partner_ae", _emirati, _parquet),
    ("fair_de", "order_line"): Dialect("fair_de", _till, _csv("iso-8859-1", ";")),
    ("wholesale_gb", "order_line"): Dialect("wholesale_gb", _document, _csv("utf-8")),
    ("import_cn", "order_line"): Dialect("import_cn", _declaration, _csv("utf-8", "\t")),
}
"""By channel and entity."""

REFUNDS: dict[str, Callable[[Order, Refund], Record]] = {"shop_fr": _french_refund}
"""By channel: a refund as the shop writes it, in files of the same kind as those of its lines."""
