"""A small sound configuration, to be spoilt."""

from __future__ import annotations

import shutil
from pathlib import Path

from market_case import market_text

from caravan import INCLUDE_DIR

PROJECT = """\
base_currency: EUR
published_marts:
  - mart.rpt_sales__channel_day
"""

# Line numbers in the tests below count in this text.
CHANNEL = """\
code: shop_no
name: Butikk
kind: own
folder: incoming/shop_no
delivery: changes
zone: Europe/Oslo
market: NO
home_country: NO
format:
  type: csv
  delimiter: ";"
  datetime: "%d.%m.%Y %H:%M"
entities:
  order_line:
    files: orders_*.csv
    columns:
      order_id: Order
      line_id: Line
      ordered_at: Date
      country: Country
      status: State
      sku: Article
      quantity: Qty
      unit_price: Price
    constants:
      currency: NOK
    values:
      country: {Norge: NO, Sverige: SE}
      status: {Avbestilt: cancelled}
    rules:
      - name: cancelled
        when: {status: {equals: cancelled}}
        kind: cancellation
      - name: returned
        when: {quantity: {below: 0}}
        kind: cancellation
"""


def write_config(tmp_path: Path) -> Path:
    """A sound configuration: one market, ZZ, one channel."""
    folder = tmp_path / "config"
    (folder / "markets").mkdir(parents=True)
    (folder / "channels").mkdir()
    shutil.copytree(INCLUDE_DIR / "config" / "privacy", folder / "privacy")
    (folder / "project.yml").write_text(PROJECT)
    (folder / "markets" / "no.yml").write_text(market_text())
    (folder / "markets" / "zz.yml").write_text(market_text("ZZ", currency="EUR", zone="UTC"))
    (folder / "channels" / "shop_no.yml").write_text(CHANNEL)
    (folder / "channels" / "steady.yml").write_text(
        CHANNEL.replace("code: shop_no", "code: steady").replace("incoming/shop_no", "incoming/steady")
    )
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"the test replaces {old!r}, which is not in {path.name}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
