"""The append-only tables that deliveries fill, as the migrations make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from caravan.core.entities import ENTITIES, parsed_columns


@dataclass(frozen=True)
class RawTable:
    """`columns`: what a delivery brings, DuckDB types. `date_column`: the local date that slices it. `scope`: the
    column whose value one delivery covers."""

    name: str
    columns: Mapping[str, str]
    date_column: str | None = None
    scope: str | None = None
    has_updated_at: bool = False


STAMP = {"version": "INTEGER", "change": "VARCHAR", "load_id": "VARCHAR", "observed_at": "TIMESTAMP"}
"""What a load adds to each row."""

_KEYS = {"row_key": "UUID", "payload_hash": "UUID"}
_TEXT = "VARCHAR"

RAW: dict[str, RawTable] = {
    table.name: table
    for table in (
        *(
            RawTable(
                f"raw.file_drop__{name}",
                parsed_columns(entity),
                "order_local_date",
                "channel_code",
                has_updated_at=True,
            )
            for name, entity in ENTITIES.items()
        ),
        RawTable(
            "raw.ecb__fx_rate",
            {**_KEYS, "rate_date": "DATE", "currency_code": _TEXT, "rate": "DECIMAL(18,6)"},
            "rate_date",
        ),
        RawTable(
            "raw.config__market",
            {**_KEYS, **dict.fromkeys(("market_code", "name", "country_code", "currency_code", "zone"), _TEXT)},
        ),
        RawTable(
            "raw.config__channel",
            {
                **_KEYS,
                **dict.fromkeys(
                    ("channel_code", "name", "kind", "source", "delivery", "market_code", "reporting_zone"), _TEXT
                ),
            },
        ),
    )
}
