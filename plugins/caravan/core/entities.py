"""The canonical entities that channels deliver, before any engine or file format.

A channel's configuration maps its own columns onto these fields; `raw.<source>__<entity>` holds them
typed. Types are DuckDB's names within the portable set of docs/decisions/0003-portable-sql.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EntityName = Literal["order", "order_line"]
FieldType = Literal["text", "timestamp", "money", "quantity", "country", "currency", "flow"]

SQL_TYPES: dict[FieldType, str] = {
    "text": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "money": "DECIMAL(18,4)",
    "quantity": "DECIMAL(18,4)",
    "country": "VARCHAR",
    "currency": "VARCHAR",
    "flow": "VARCHAR",
}


@dataclass(frozen=True)
class EntityField:
    """One field a channel may map. `required`: a row without a value is quarantined."""

    name: str
    type: FieldType
    required: bool = False

    @property
    def sql_type(self) -> str:
        return SQL_TYPES[self.type]


@dataclass(frozen=True)
class Entity:
    name: EntityName
    fields: tuple[EntityField, ...]
    key: tuple[str, ...]
    """The natural key within a channel; a channel that cannot deliver it has none (`key: none`)."""

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
    key=("order_id",),
    fields=(
        EntityField("order_id", "text", required=True),
        EntityField("ordered_at", "timestamp", required=True),
        EntityField("updated_at", "timestamp"),
        EntityField("status", "text"),
        EntityField("country", "country", required=True),
        EntityField("currency", "currency", required=True),
        EntityField("flow", "flow"),
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
    key=("order_id", "line_id"),
    fields=(
        EntityField("order_id", "text", required=True),
        EntityField("line_id", "text"),
        EntityField("ordered_at", "timestamp", required=True),
        EntityField("updated_at", "timestamp"),
        EntityField("status", "text"),
        EntityField("country", "country", required=True),
        EntityField("currency", "currency", required=True),
        EntityField("flow", "flow"),
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

ENTITIES: dict[str, Entity] = {entity.name: entity for entity in (ORDER, ORDER_LINE)}

LineKind = Literal["sale", "cancellation", "charge", "adjustment"]
LINE_KINDS: tuple[LineKind, ...] = ("sale", "cancellation", "charge", "adjustment")
"""sale: goods sold. cancellation: goods taken back (negative). charge: postage, fees, discounts and other
lines that are no goods. adjustment: corrections of stock or books. A channel's rules assign them."""

OrderKind = Literal["sale", "cancellation"]
"""cancellation: the header says that the whole order was called off; its goods count as taken back."""

FLOWS = ("export", "import", "domestic")

COMMON_COLUMNS: tuple[tuple[str, str], ...] = (
    ("row_number", "BIGINT"),
    ("row_key", "UUID"),
    ("payload_hash", "UUID"),
    ("channel_code", "VARCHAR"),
    ("market_code", "VARCHAR"),
    ("country_code", "VARCHAR"),
    ("country_name", "VARCHAR"),
    ("currency_code", "VARCHAR"),
    ("order_local_date", "DATE"),
)
"""What parsing adds to every row. `row_number`: 1 for the first data record of the file. `country_name`: as
delivered. `country`, `currency` become `country_code`, `currency_code`."""


def parsed_columns(entity: Entity) -> dict[str, str]:
    """Columns (name to DuckDB type) of a parsed delivery of this entity, in order."""
    columns = dict(COMMON_COLUMNS)
    for field in entity.fields:
        if field.type not in ("country", "currency"):
            columns[field.name] = field.sql_type
    if entity is ORDER_LINE:
        columns["amount"] = SQL_TYPES["money"]
    columns |= dict.fromkeys(judged_columns(entity), "VARCHAR")
    return columns


def judged_columns(entity: Entity) -> tuple[str, str]:
    """What rules make of a row: its kind, and the rule that said so."""
    return ("line_kind", "line_rule") if entity is ORDER_LINE else ("order_kind", "order_rule")


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
