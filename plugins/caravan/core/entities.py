"""The canonical entities that channels deliver, before any engine or file format.

A channel's configuration maps its own columns onto these fields; `raw.<source>__<entity>` holds them
typed. Types are DuckDB's names within the portable set of docs/decisions/0003-portable-sql.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

EntityName = Literal["order", "order_line", "refund", "payment", "shipment", "offer"]
FieldType = Literal["text", "timestamp", "money", "quantity", "country", "currency", "choice"]

SQL_TYPES: dict[FieldType, str] = {
    "text": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "money": "DECIMAL(18,4)",
    "quantity": "DECIMAL(18,4)",
    "country": "VARCHAR",
    "currency": "VARCHAR",
    "choice": "VARCHAR",
}

FLOWS = ("export", "import", "domestic")
AVAILABILITIES = ("in_stock", "out_of_stock", "preorder", "backorder", "discontinued")
"""Those of product pages and feeds: schema.org's ItemAvailability, written as feeds write them."""


@dataclass(frozen=True)
class EntityField:
    """One field a channel may map. `required`: a row without a value is quarantined; `positive`: one of 0 or less."""

    name: str
    type: FieldType
    required: bool = False
    positive: bool = False
    choices: tuple[str, ...] = ()
    """Of a choice: the words it may be, in lower case."""

    @property
    def column(self) -> str:
        """What it is called once it is typed."""
        return f"{self.name}_code" if self.type in ("country", "currency") else self.name

    @property
    def sql_type(self) -> str:
        return SQL_TYPES[self.type]


LineKind = Literal["sale", "cancellation", "charge", "adjustment"]
LINE_KINDS: tuple[LineKind, ...] = ("sale", "cancellation", "charge", "adjustment")
"""sale: goods sold. cancellation: goods taken back (negative). charge: postage, fees, discounts and other
lines that are no goods. adjustment: corrections of stock or books. A channel's rules assign them."""

OrderKind = Literal["sale", "cancellation"]
"""cancellation: the header says that the whole order was called off; its goods count as taken back."""

RefundKind = Literal["sale", "charge"]
"""What was given back: money for goods sold, or postage and fees, which net sales do not hold anyway."""

PaymentKind = Literal["capture", "authorization", "chargeback", "failed"]
"""capture: money that came. authorization: money promised or reserved, no more. chargeback: money that the payer took
back through the payment company; what we give back ourselves is a refund. failed: an attempt that brought nothing."""

ShipmentKind = Literal["outbound", "return"]
"""Which way the goods went: to the buyer, or back."""

OfferKind = Literal["offer"]

RuleKind = Literal[LineKind, OrderKind, RefundKind, PaymentKind, ShipmentKind, OfferKind]
RULE_KINDS: tuple[RuleKind, ...] = tuple(dict.fromkeys(get_args(RuleKind)))


@dataclass(frozen=True)
class Entity:
    name: EntityName
    event: Literal["order", "refund", "payment", "shipment", "offer"]
    """What happens at the row's moment; its local date slices the table."""
    moment: str
    """The field that says when."""
    fields: tuple[EntityField, ...]
    key: tuple[str, ...]
    """The natural key within a channel; a channel that cannot deliver it has none (`key: none`)."""
    kinds: tuple[str, ...]
    """What rules may make of a row; the first is what it is without one."""
    optional_key: tuple[str, ...] = ()
    """Parts of the key that a row may lack: a refund of a whole order names no line."""
    needs_key: bool = False
    """Whether `key: none` is refused."""
    outgoing: tuple[str, ...] = ()
    """Kinds whose money leaves us: a file that writes amounts with their direction has them below 0."""
    accumulates: bool = False
    """Whether a row says how things were at its moment: a later delivery takes nothing of it back, unless told so."""
    computes_amount: bool = False
    """Whether parsing adds `amount`: quantity x unit_price - discount_amount."""

    @property
    def local_date(self) -> str:
        """The column of the moment's local date."""
        return f"{self.event}_local_date"

    @property
    def future_reason(self) -> str:
        """The reason code of a row whose moment is ahead of the clock."""
        return f"{self.event.upper()}_IN_FUTURE"

    @property
    def required_key(self) -> tuple[str, ...]:
        return tuple(name for name in self.key if name not in self.optional_key)

    def field(self, name: str) -> EntityField:
        return next(field for field in self.fields if field.name == name)

    @property
    def field_names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)


_ORIGIN = (
    EntityField("utm_source", "text"),
    EntityField("utm_medium", "text"),
    EntityField("utm_campaign", "text"),
    EntityField("click_id", "text"),
    EntityField("coupon_code", "text"),
    EntityField("referrer_url", "text"),
)
"""Where a buyer came from, where the source says so."""

ORDER = Entity(
    name="order",
    event="order",
    moment="ordered_at",
    key=("order_id",),
    needs_key=True,
    kinds=get_args(OrderKind),
    fields=(
        EntityField("order_id", "text", required=True),
        EntityField("ordered_at", "timestamp", required=True),
        EntityField("updated_at", "timestamp"),
        EntityField("status", "text"),
        EntityField("country", "country", required=True),
        EntityField("currency", "currency", required=True),
        EntityField("flow", "choice", choices=FLOWS),
        EntityField("customer_id", "text"),
        EntityField("total_amount", "money"),
        EntityField("shipping_amount", "money"),
        EntityField("discount_amount", "money"),
        EntityField("tax_amount", "money"),
        *_ORIGIN,
    ),
)

ORDER_LINE = Entity(
    name="order_line",
    event="order",
    moment="ordered_at",
    key=("order_id", "line_id"),
    kinds=LINE_KINDS,
    computes_amount=True,
    fields=(
        EntityField("order_id", "text", required=True),
        EntityField("line_id", "text"),
        EntityField("ordered_at", "timestamp", required=True),
        EntityField("updated_at", "timestamp"),
        EntityField("status", "text"),
        EntityField("country", "country", required=True),
        EntityField("currency", "currency", required=True),
        EntityField("flow", "choice", choices=FLOWS),
        EntityField("customer_id", "text"),
        EntityField("sku", "text", required=True),
        EntityField("product_name", "text"),
        EntityField("quantity", "quantity", required=True),
        EntityField("unit_price", "money", required=True),
        EntityField("discount_amount", "money"),
        EntityField("tax_amount", "money"),
        *_ORIGIN,
    ),
)

REFUND = Entity(
    name="refund",
    event="refund",
    moment="refunded_at",
    key=("refund_id", "line_id"),
    optional_key=("line_id",),
    kinds=get_args(RefundKind),
    fields=(
        EntityField("refund_id", "text"),
        EntityField("order_id", "text", required=True),
        EntityField("line_id", "text"),
        EntityField("refunded_at", "timestamp", required=True),
        EntityField("updated_at", "timestamp"),
        EntityField("status", "text"),
        EntityField("country", "country"),
        EntityField("currency", "currency", required=True),
        EntityField("sku", "text"),
        EntityField("quantity", "quantity"),
        EntityField("amount", "money", required=True, positive=True),
        EntityField("reason", "text"),
    ),
)
"""Money given back for an order: a row for each line of it, or one for the order."""

PAYMENT = Entity(
    name="payment",
    event="payment",
    moment="paid_at",
    key=("payment_id",),
    needs_key=True,
    kinds=get_args(PaymentKind),
    outgoing=("chargeback",),
    fields=(
        EntityField("payment_id", "text", required=True),
        EntityField("order_id", "text"),
        EntityField("split_group_id", "text"),
        EntityField("paid_at", "timestamp", required=True),
        EntityField("updated_at", "timestamp"),
        EntityField("status", "text"),
        EntityField("party", "text"),
        EntityField("payment_method", "text"),
        EntityField("payer_id", "text"),
        EntityField("country", "country"),
        EntityField("currency", "currency", required=True),
        EntityField("amount", "money", required=True, positive=True),
    ),
)
"""A transaction of a payment company (`party`). Payments of one `split_group_id` pay for one order together."""

SHIPMENT = Entity(
    name="shipment",
    event="shipment",
    moment="shipped_at",
    key=("shipment_id",),
    needs_key=True,
    kinds=get_args(ShipmentKind),
    fields=(
        EntityField("shipment_id", "text", required=True),
        EntityField("order_id", "text"),
        EntityField("shipped_at", "timestamp", required=True),
        EntityField("delivered_at", "timestamp"),
        EntityField("updated_at", "timestamp"),
        EntityField("status", "text"),
        EntityField("party", "text"),
        EntityField("consignee_id", "text"),
        EntityField("country", "country"),
        EntityField("weight_kg", "quantity"),
        EntityField("piece_count", "quantity"),
        EntityField("currency", "currency"),
        EntityField("freight_amount", "money"),
        EntityField("insured_amount", "money"),
    ),
)
"""A waybill of a carrier (`party`), from the moment it left."""

OFFER = Entity(
    name="offer",
    event="offer",
    moment="offered_at",
    key=("sku", "country", "offered_at"),
    needs_key=True,
    kinds=get_args(OfferKind),
    accumulates=True,
    fields=(
        EntityField("sku", "text", required=True),
        EntityField("offered_at", "timestamp", required=True),
        EntityField("updated_at", "timestamp"),
        EntityField("country", "country", required=True),
        EntityField("currency", "currency", required=True),
        EntityField("price", "money", required=True),
        EntityField("cost_amount", "money"),
        EntityField("stock_count", "quantity"),
        EntityField("availability", "choice", choices=AVAILABILITIES),
    ),
)
"""What a product cost buyers of a country at a moment, what it cost us, and how many there were."""

ENTITIES: dict[str, Entity] = {entity.name: entity for entity in (ORDER, ORDER_LINE, REFUND, PAYMENT, SHIPMENT, OFFER)}

COMMON_COLUMNS: tuple[tuple[str, str], ...] = (
    ("row_number", "BIGINT"),
    ("row_key", "UUID"),
    ("payload_hash", "UUID"),
    ("channel_code", "VARCHAR"),
    ("market_code", "VARCHAR"),
    ("country_code", "VARCHAR"),
    ("country_name", "VARCHAR"),
    ("currency_code", "VARCHAR"),
)
"""What parsing adds to every row, beside the local date of its moment. `row_number`: 1 for the first data record of
the file. `country_name`: as delivered. `country`, `currency` become `country_code`, `currency_code`."""


def parsed_columns(entity: Entity) -> dict[str, str]:
    """Columns (name to DuckDB type) of a parsed delivery of this entity, in order."""
    columns = dict(COMMON_COLUMNS) | {entity.local_date: "DATE"}
    for field in entity.fields:
        if field.column == field.name:
            columns[field.name] = field.sql_type
    if entity.computes_amount:
        columns["amount"] = SQL_TYPES["money"]
    columns |= dict.fromkeys(judged_columns(entity), "VARCHAR")
    return columns


def judged_columns(entity: Entity) -> tuple[str, str]:
    """What rules make of a row: its kind, and the rule that said so."""
    word = "line" if entity is ORDER_LINE else entity.name
    return f"{word}_kind", f"{word}_rule"


def derived_columns(entity: Entity) -> set[str]:
    """What markets, rules and names of countries make of a delivered row: no part of its identity, as they may change
    and it stays the same row."""
    computed = {"amount"} if entity.computes_amount else set()
    return {"market_code", "country_code", "flow", entity.local_date, *computed, *judged_columns(entity)}


QUARANTINE_COLUMNS: dict[str, str] = {
    "row_number": "BIGINT",
    "row_key": "UUID",
    "field_name": "VARCHAR",
    "reason_code": "VARCHAR",
    "message": "VARCHAR",
    "raw_row": "VARCHAR",
}
"""One row per quarantined input row, under its first fault. `row_key`: NULL where its key cannot be read.
`raw_row`: the row as delivered, as JSON."""

RULE_REASON = "RULE_"
"""How the reason code of a row begins that a rule of the channel's configuration sets aside."""
