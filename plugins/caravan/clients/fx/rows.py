"""Judged rates as Parquet files of raw.fx__rate's columns, and of quarantine's."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from caravan.core.entities import QUARANTINE_COLUMNS
from caravan.core.rates import Judged, RateSource

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_SCHEMA = pa.schema(
    [
        ("row_key", pa.string()),
        ("payload_hash", pa.string()),
        ("source_code", pa.string()),
        ("rate_date", pa.date32()),
        ("base_currency_code", pa.string()),
        ("currency_code", pa.string()),
        ("rate", pa.decimal128(18, 8)),
        ("stated_source", pa.string()),
    ]
)
_QUARANTINE = pa.schema(
    [(name, pa.int64() if kind == "BIGINT" else pa.string()) for name, kind in QUARANTINE_COLUMNS.items()]
)


@dataclass(frozen=True)
class RateRows:
    """received = rows in `accepted` + duplicate + quarantined."""

    accepted: tuple[Path, ...]
    quarantined: tuple[Path, ...]
    accepted_count: int
    received_count: int
    duplicate_count: int = 0
    quarantined_count: int = 0
    rule_counts: Mapping[str, int] = field(default_factory=dict)
    first_local_date: date | None = None
    last_local_date: date | None = None


def row_key(source: str, day: date, currency: str, file: str = "") -> str:
    """The key of a source's rate of a day: a corrected one is a new version of the same row. `file`: of a source whose
    files state rates each on its own."""
    return digest(f"{source}/{file}/{day}/{currency}" if file else f"{source}/{day}/{currency}")


def as_number(text: str) -> Decimal | None:
    """As strict as amounts of orders: no exponent, no NaN, nothing between digits; None for what is no number."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def digest(text: str) -> str:
    return str(uuid.UUID(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()))


def write_rows(source: RateSource, judged: Judged, folder: Path, file: str = "") -> RateRows:
    folder.mkdir(parents=True, exist_ok=True)
    accepted = [
        {
            "row_key": row_key(source, rate.rate_date, rate.currency, file),
            "payload_hash": digest(f"{rate.base}/{rate.rate.normalize():f}/{rate.stated_source or ''}"),
            "source_code": source,
            "rate_date": rate.rate_date,
            "base_currency_code": rate.base,
            "currency_code": rate.currency,
            "rate": rate.rate,
            "stated_source": rate.stated_source,
        }
        for rate in judged.accepted
    ]
    quarantined = [
        {
            "row_number": bad.row_number,
            "row_key": row_key(source, bad.rate_date, bad.currency, file) if bad.rate_date and bad.currency else None,
            "field_name": bad.field_name,
            "reason_code": bad.reason_code,
            "message": bad.message,
            "raw_row": bad.raw_row,
        }
        for bad in judged.bad
    ]
    days = [rate.rate_date for rate in judged.accepted]
    return RateRows(
        accepted=_written(accepted, _SCHEMA, folder / "accepted.parquet"),
        quarantined=_written(quarantined, _QUARANTINE, folder / "quarantined.parquet"),
        accepted_count=len(accepted),
        received_count=len(accepted) + len(quarantined) + judged.duplicate_count,
        duplicate_count=judged.duplicate_count,
        quarantined_count=len(quarantined),
        first_local_date=min(days, default=None),
        last_local_date=max(days, default=None),
    )


def _written(rows: Sequence[Mapping[str, object]], schema: pa.Schema, path: Path) -> tuple[Path, ...]:
    if not rows:
        return ()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)
    return (path,)
