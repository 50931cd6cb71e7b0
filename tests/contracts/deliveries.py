"""Deliveries of order lines, and of what else is told of orders and products, for tests, from a few words each."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from caravan.core.entities import ENTITIES, QUARANTINE_COLUMNS
from caravan.warehouse.catalog import Catalog
from caravan.warehouse.port import Warehouse
from caravan.warehouse.raw import Appended, Batch, append, compare
from caravan.warehouse.raw_tables import RAW, STAMP

LINES = RAW["raw.file_drop__order_line"]
ORDERS = RAW["raw.file_drop__order"]
REFUNDS = RAW["raw.file_drop__refund"]
PAYMENTS = RAW["raw.file_drop__payment"]
SHIPMENTS = RAW["raw.file_drop__shipment"]
OFFERS = RAW["raw.file_drop__offer"]
OBSERVED = datetime(2026, 3, 1, 12)

ARROW = {
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "VARCHAR": pa.string(),
    "UUID": pa.string(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "DECIMAL(18,4)": pa.decimal128(18, 4),
}


def day(number: int) -> date:
    """Day 1 is Monday, 2 February 2026; day 29 the first Monday of March."""
    return date.fromordinal(date(2026, 2, 1).toordinal() + number)


_EVENTS = [entity.event for entity in ENTITIES.values()]
_MOMENTS = [entity.moment for entity in ENTITIES.values()]


@dataclass(frozen=True)
class Line:
    """An order line; with `line` None a header. In another table, what was given back or paid for it, how it was sent,
    or what its product cost."""

    order: str
    day: int
    amount: str = "10"
    line: str | None = "1"
    channel: str = "shop"
    customer: str | None = "c1"
    sku: str = "sku1"
    market: str = "DE"
    country: str = "DE"
    currency: str = "EUR"
    kind: str = "sale"
    quantity: str = "1"
    updated: datetime | None = None
    status: str | None = None
    copy: str = ""
    """Tells apart rows that share order and line number."""
    party: str | None = None
    hour: int = 9

    def but(self, **changes: object) -> Line:
        return replace(self, **changes)

    @property
    def key(self) -> str:
        return _uuid(self.channel, self.order, str(self.line), self.copy)

    def values(self) -> dict[str, object]:
        amount, quantity = Decimal(self.amount), Decimal(self.quantity)
        return {
            "row_number": 1,
            "row_key": self.key,
            "payload_hash": _uuid(repr(self)),
            "channel_code": self.channel,
            "market_code": self.market,
            "country_code": self.country,
            "country_name": self.country,
            "currency_code": self.currency,
            **dict.fromkeys((f"{event}_local_date" for event in _EVENTS), day(self.day)),
            **dict.fromkeys(("refund_id", "payment_id", "shipment_id"), self.copy),
            "order_id": self.order,
            "line_id": self.line,
            **dict.fromkeys(_MOMENTS, datetime.combine(day(self.day), time(self.hour))),
            "updated_at": self.updated,
            "status": self.status,
            "flow": "domestic",
            "customer_id": self.customer,
            "sku": self.sku,
            "product_name": f"Product {self.sku}",
            "quantity": quantity,
            "unit_price": amount / quantity,
            "total_amount": amount,
            "amount": amount,
            "line_kind": self.kind,
            "party": self.party,
            "payer_id": self.customer,
            "payment_kind": "capture" if self.kind == "sale" else "chargeback",
            **dict.fromkeys(("freight_amount", "price"), abs(amount)),
            "cost_amount": abs(amount) / 2,
            **dict.fromkeys(("piece_count", "stock_count", "weight_kg"), quantity),
        }


@dataclass(frozen=True)
class Bad:
    """A row in quarantine. `key`: None where it cannot be read."""

    key: str | None = None
    reason: str = "NOT_A_NUMBER"
    raw: str = "{}"


def _uuid(*words: str) -> str:
    return str(uuid.UUID(hashlib.md5("\0".join(words).encode()).hexdigest()))


def write_parquet(path: Path, rows: Sequence[Line], table=LINES, load_id: str | None = None) -> Path:
    """`load_id`: write the columns of STAMP too, and types as a table of the lake has them."""
    stamp = {"version": 1, "change": "row", "load_id": load_id, "observed_at": OBSERVED} if load_id else {}
    values = [{**row.values(), **stamp} for row in rows]
    kinds = {**table.columns, **(STAMP if stamp else {})}
    columns = {name: pa.array([_scaled(row.get(name)) for row in values], ARROW[kind]) for name, kind in kinds.items()}
    plain = pa.table(columns)
    if load_id:
        # Arrow writes a UUID as text; only DuckDB writes it as one.
        typed = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in kinds.items())
        _memory().register("plain", plain)
        _memory().execute(f"COPY (SELECT {typed} FROM plain) TO '{path}' (FORMAT parquet)")
    else:
        pq.write_table(plain, path)
    return path


@cache
def _memory() -> duckdb.DuckDBPyConnection:
    """One for all files: to open it takes longer than to write one."""
    return duckdb.connect()


def _scaled(value: object) -> object:
    return value.quantize(Decimal("0.0001")) if isinstance(value, Decimal) else value


def batch_of(
    folder: Path,
    rows: Sequence[Line],
    table=LINES,
    channel: str = "shop",
    complete: bool = False,
    max_deleted_share: str = "1",
    stamped: bool = False,
    load_id: str | None = None,
    quarantined: Sequence[Bad] = (),
    supersedes: Sequence[str] = (),
    has_keys: bool = True,
    reload: bool = False,
) -> Batch:
    load_id = load_id or uuid.uuid4().hex
    path = folder / f"{load_id}.parquet"
    return Batch(
        table=table,
        paths=[write_parquet(path, rows, table, load_id if stamped else None)] if rows else [],
        row_count=len(rows),
        load_id=load_id,
        observed_at=OBSERVED,
        scope_value=channel,
        stamped=stamped,
        complete=complete,
        max_deleted_share=Decimal(max_deleted_share),
        quarantined=[write_quarantined(folder / f"{load_id}-bad.parquet", quarantined)] if quarantined else [],
        supersedes=supersedes,
        has_keys=has_keys,
        reload=reload,
    )


def write_quarantined(path: Path, rows: Sequence[Bad]) -> Path:
    values = {
        "row_number": pa.array(range(1, len(rows) + 1), pa.int64()),
        "row_key": pa.array([row.key for row in rows], pa.string()),
        "field_name": pa.array(["amount"] * len(rows)),
        "reason_code": pa.array([row.reason for row in rows]),
        "message": pa.array([None] * len(rows), pa.string()),
        "raw_row": pa.array([row.raw for row in rows]),
    }
    assert list(values) == list(QUARANTINE_COLUMNS)
    pq.write_table(pa.table(values), path)
    return path


def deliver(
    warehouse: Warehouse, catalog: Catalog, folder: Path, rows: Sequence[Line], table=LINES, **options: object
) -> Appended:
    """Append as the store does: compare from a snapshot, then write under the lock."""
    batch = batch_of(folder, rows, table, **options)
    with warehouse.read() as session:
        comparison = compare(session, batch)
    with warehouse.write() as session:
        appended = append(session, catalog, batch, comparison)
    warehouse.forget_staged()
    return appended
