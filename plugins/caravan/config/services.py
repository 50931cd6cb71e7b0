"""Channels that are asked over HTTP for what changed. What they deliver is known: nobody has to map a column.

The records are those of `clients/woocommerce/records.py` and `clients/marketplace/records.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from caravan.config.frozen import Day
from caravan.config.places import CONN_ID
from caravan.config.types import Channel, Condition, EntitySource, FileChannel, FileFormat, Rule
from caravan.core.entities import ENTITIES, EntityName
from caravan.core.zones import to_utc

CHARGES = Rule(name="charge", when={"line_id": Condition(matches="^(shipping|fee)-")}, kind="charge")
"""Lines that are no goods: the clients give them such ids. Comes before a channel's own rules."""

_TOTALS = ("total_amount", "shipping_amount", "discount_amount", "tax_amount")
_FOLLOWING = ("flow", "click_id")
"""Fields of ours that no service states."""
_UNKNOWN_TO_REPORTS = ("customer_id", "utm_source", "utm_medium", "utm_campaign", "referrer_url")
"""The marketplace's report names no buyer, and not where one came from."""


class ServiceEntity(EntitySource):
    """What a person may say about an entity: constants, values and rules. The rest is the service's."""

    columns: dict[str, str] = {}


class ServiceChannel(Channel):
    """A shop or a marketplace with an account of ours."""

    is_asked = True
    gives: ClassVar[Mapping[EntityName, tuple[str, ...]]]
    """The fields that its records have, by entity."""

    connection: Annotated[str, Field(pattern=CONN_ID)]
    delivery: Literal["changes"] = "changes"
    format: FileFormat = FileFormat(type="ndjson")
    since: Day | None = None
    """The first day that is asked for, in `zone`; all there is when absent, or as far back as the client goes."""
    overlap_minutes: Annotated[int, Field(ge=0, le=1_440)] = 10
    """Asked for again each time: an order whose change was still being written when the service answered has an
    older change time than that answer. Ten minutes are longer than any request of a shop lasts."""
    entities: Annotated[dict[EntityName, ServiceEntity], Field(validate_default=True)] = {}

    @field_validator("entities")
    @classmethod
    def _completed(cls, given: dict[EntityName, ServiceEntity]) -> dict[EntityName, ServiceEntity]:
        """Every entity that the service has, with its columns; of those given the settings."""
        found = {}
        for name, fields in cls.gives.items():
            settings = given.get(name, ServiceEntity())
            rules = (CHARGES, *settings.rules) if "line_id" in fields else settings.rules
            found[name] = settings.model_copy(update={"columns": {f: f for f in fields}, "rules": rules})
        return found

    @property
    def begin(self) -> datetime | None:
        """When `since` begins: UTC without zone."""
        return to_utc(datetime.combine(self.since, time()), self.zone) if self.since else None

    def shares_orders(self, other: ServiceChannel) -> bool:
        """Whether one order would come by both."""
        return self.connection == other.connection


def _fields(entity: EntityName, *absent: str) -> tuple[str, ...]:
    return tuple(name for name in ENTITIES[entity].field_names if name not in {*absent, *_FOLLOWING})


class ShopChannel(ServiceChannel):
    """A WooCommerce shop."""

    gives = {
        "order": _fields("order"),
        "order_line": _fields("order_line"),
        "refund": _fields("refund", "updated_at", "status"),
    }
    source: Literal["woocommerce"]


class MarketplaceChannel(ServiceChannel):
    """A marketplace of the shape of Amazon's Selling Partner API."""

    gives = {"order_line": _fields("order_line", *_UNKNOWN_TO_REPORTS)}
    source: Literal["marketplace"]
    marketplace_ids: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Which of the account's; those of the connection's extra `marketplace_ids` when absent."""

    def shares_orders(self, other: ServiceChannel) -> bool:
        ids, others = set(self.marketplace_ids or ()), set(getattr(other, "marketplace_ids", None) or ())
        return super().shares_orders(other) and (not ids or not others or bool(ids & others))


CHANNELS: Mapping[str, type[Channel]] = {
    "file_drop": FileChannel,
    "woocommerce": ShopChannel,
    "marketplace": MarketplaceChannel,
}
"""By `source`."""
SERVICES = frozenset(name for name, model in CHANNELS.items() if issubclass(model, ServiceChannel))
