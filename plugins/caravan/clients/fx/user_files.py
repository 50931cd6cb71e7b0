"""Rates that a person states: CSV files with the columns date, currency, rate, source; optional: base, confirmed."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from caravan.clients.fx.rows import RateRows, as_number, write_rows
from caravan.core.errors import Fault, Misconfigured, Rejected, nearest
from caravan.core.rates import EURO, BadRate, Judged, Rate, RateSource, Reading

REQUIRED = ("date", "currency", "rate", "source")
OPTIONAL = ("base", "confirmed")
SETTLE_S = 60
"""A file is read once it has not changed for this long: nobody is still writing it."""
_FIRST_YEAR = 1970
"""As of orders: an earlier one is a typing error."""
_CONFIRMED = {"": False, "no": False, "yes": True}


@dataclass(frozen=True)
class UserDelivery:
    """`delivered_at`: when the file was last written, UTC without zone. `fault`: why it has no content."""

    name: str
    content_hash: str
    delivered_at: datetime
    content: bytes
    fault: str = ""


@dataclass(frozen=True)
class UserRates:
    """The files *.csv, or *.CSV, of `folder`. `scratch`: space for rows of one run."""

    folder: Path
    scratch: Path
    settle_s: int = SETTLE_S
    source: RateSource = "user"
    restates: bool = True

    def deliveries(self) -> Sequence[UserDelivery]:
        found = []
        for path, written in self._files():
            if self._unsettled(written):
                continue
            content, fault = b"", ""
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                fault = f"{path.name}: cannot be read ({error.strerror}): check its permissions"
            modified = datetime(1970, 1, 1) + timedelta(microseconds=written // 1000)
            found.append(UserDelivery(path.name, hashlib.sha256(content).hexdigest(), modified, content, fault))
        return sorted(found, key=lambda delivery: (delivery.delivered_at, delivery.name))

    def waiting(self) -> Mapping[str, str]:
        return {path.name: reason for path, written in self._files() if (reason := self._unsettled(written))}

    def read(self, delivery: UserDelivery) -> Reading:
        """Raises Rejected for what cannot be opened, is no UTF-8, has no header that names the columns, or breaks CSV's
        quoting."""
        if delivery.fault:
            raise Rejected("FILE_UNREADABLE", delivery.fault)
        return read_rates(delivery.content, delivery.name)

    def write(self, delivery: UserDelivery, judged: Judged) -> RateRows:
        return write_rows(self.source, judged, self.scratch / delivery.content_hash, delivery.name)

    def discard(self, delivery: UserDelivery) -> None:
        shutil.rmtree(self.scratch / delivery.content_hash, ignore_errors=True)

    def _files(self) -> Iterator[tuple[Path, int]]:
        """Each file, and when it was written, in ns. Raises Misconfigured when the folder cannot be looked into."""
        try:
            for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    if path.suffix.lower() == ".csv" and path.is_file():
                        yield path, path.stat().st_mtime_ns
        except OSError as error:
            message = f"cannot be read ({error.strerror}): let the user that runs Caravan read it"
            raise Misconfigured([Fault(str(self.folder), message)]) from error

    def _unsettled(self, written: int) -> str:
        """Why not to read a file yet; empty when it may be read."""
        age = time.time() - written / 1e9
        if age < -self.settle_s:
            return "its date lies in the future: save it again, or set the clock right"
        return f"changed less than {self.settle_s} seconds ago" if age < self.settle_s else ""


def read_rates(content: bytes, name: str) -> Reading:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Rejected("ENCODING_INVALID", f"{name}: is no UTF-8: {error}; save it as CSV UTF-8") from error
    reader = csv.reader(io.StringIO(text), strict=True)
    rates: list[Rate] = []
    bad: list[BadRate] = []
    try:
        header = [word.strip().lower() for word in next(reader, [])]
        _check_header(header, name)
        number = 0
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            number += 1
            row = _row(number, header, cells)
            if isinstance(row, Rate):
                rates.append(row)
            else:
                bad.append(row)
    except csv.Error as error:
        raise Rejected("CSV_INVALID", f"{name}, line {reader.line_num}: {error}") from error
    return Reading(rates, bad)


def _check_header(header: Sequence[str], name: str) -> None:
    wanted = f"the first line must name {','.join(REQUIRED)} (and may name {','.join(OPTIONAL)})"
    if len(header) == 1 and ";" in header[0]:
        raise Rejected("COLUMN_MISSING", f"{name}: is parted by `;`: use commas, and a point in numbers; {wanted}")
    for column in REQUIRED:
        if column not in header:
            raise Rejected("COLUMN_MISSING", f"{name}: has no column '{column}'; {wanted}")
    for column in header:
        if column not in REQUIRED + OPTIONAL or header.count(column) > 1:
            hint = nearest(column, REQUIRED + OPTIONAL)
            raise Rejected("COLUMN_UNKNOWN", f"{name}: column '{column}' is not known or there twice{hint}; {wanted}")


def _row(number: int, header: Sequence[str], cells: Sequence[str]) -> Rate | BadRate:
    raw_row = json.dumps(dict(zip(header, cells, strict=False)) if len(cells) <= len(header) else cells)

    given = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
    # Read first: of a row that is bad, the rate known for its day and currency stays.
    day, currency = _day(given.get("date", "")), given.get("currency", "").upper()

    def bad(field: str, code: str, message: str) -> BadRate:
        return BadRate(number, field, code, message, raw_row, day, currency or None)

    if len(cells) != len(header):
        code = "FIELDS_TOO_FEW" if len(cells) < len(header) else "FIELDS_TOO_MANY"
        return bad("", code, f"{len(cells)} values for {len(header)} columns")
    for name in REQUIRED:
        if not given[name]:
            return bad(name, "FIELD_MISSING", f"'{name}' is empty")
    if day is None:
        return bad("date", "DATE_INVALID", f"'{given['date']}' is no day (like 2026-10-30)")
    rate = as_number(given["rate"])
    if rate is None:
        return bad("rate", "NUMBER_INVALID", f"'{given['rate']}' is no number (like 3.6725)")
    confirmed = _CONFIRMED.get(given.get("confirmed", "").lower())
    if confirmed is None:
        return bad("confirmed", "WORD_UNKNOWN", f"'{given['confirmed']}' is neither yes nor empty")
    base = given.get("base", "").upper() or EURO
    return Rate(number, day, currency, rate, base, given["source"], confirmed, raw_row)


def _day(text: str) -> date | None:
    with contextlib.suppress(ValueError):
        # Ten characters: fromisoformat takes 20261030 and weeks as well.
        day = date.fromisoformat(text) if len(text) == 10 else None
        return day if day and day.year >= _FIRST_YEAR else None
    return None
