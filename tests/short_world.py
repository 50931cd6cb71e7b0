"""Two months of dates and rates: 18 years of the one and 27 of the other take longer than everything else in a test."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from caravan.assembly import calendar
from caravan.clients.fx import ecb

MONDAY = date(2026, 3, 2)


def few_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar, "FIRST_DAY", date(2026, 2, 1))
    monkeypatch.setattr(calendar.calendars, "horizon", lambda today: date(2026, 4, 1))


def write_few_rates(folder: Path) -> Path:
    """The rates around Monday, in a file."""
    full = ecb.write_rates(folder / "full.parquet")
    rates = pq.read_table(
        full.path,
        filters=[("rate_date", ">=", MONDAY - timedelta(days=20)), ("rate_date", "<", MONDAY + timedelta(days=20))],
    )
    pq.write_table(rates, full.path)
    return full.path


def use_rates(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    def write_rates(target: Path) -> ecb.RateFile:
        shutil.copyfile(file, target)
        return ecb.RateFile(target, pq.read_metadata(target).num_rows, ecb.bundle_hash())

    monkeypatch.setattr(ecb, "write_rates", write_rates)
