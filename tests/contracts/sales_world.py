"""A small sales project: one file channel, a warehouse of one engine, and the steps of both DAGs."""

from __future__ import annotations

import os
import shutil
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from places import Place

from caravan import INCLUDE_DIR
from caravan.assembly import reporting, sales
from caravan.assembly.warehouse import catalog
from caravan.core.scope import RunScope
from caravan.core.window import Window
from caravan.warehouse.port import Warehouse

CHANNEL = """
code: shop
name: Shop
kind: own
folder: incoming/shop
settle_seconds: 0
delivery: changes
zone: UTC
market: DE
format: {type: csv}
entities:
  order_line:
    files: "*.csv"
    columns:
      {order_id: order, line_id: line, ordered_at: at, customer_id: buyer,
       sku: sku, quantity: qty, unit_price: price, currency: money}
    constants: {country: DE}
"""
HEADER = "order,line,at,buyer,sku,qty,price,money\n"
REFUND_HEADER = "refund,order,line,at,amount,money\n"
MONDAY = date(2026, 3, 2)
LOAD_METADATA = {"load_id", "version", "known_at"}


def line(order: str, day: int, price: str = "10.00", buyer: str = "k1", money: str = "SEK") -> str:
    return f"{order},1,{MONDAY + timedelta(days=day)} 12:00,{buyer},sku-1,2,{price},{money}\n"


def refund(number: str, order: str, day: int, amount: str = "5.00", money: str = "EUR") -> str:
    return f"{number},{order},,{MONDAY + timedelta(days=day)} 12:00,{amount},{money}\n"


class World:
    """One project in a folder, with a warehouse of one engine."""

    def __init__(self, home: Path, place: Place, environment: pytest.MonkeyPatch) -> None:
        self.home, self.place, self._environment = home, place, environment
        config = home / "config"
        shutil.copytree(INCLUDE_DIR / "config", config, ignore=shutil.ignore_patterns("channels"))
        (config / "channels").mkdir()
        (config / "channels" / "shop.yml").write_text(CHANNEL)
        self.folder = home / "incoming" / "shop"
        self.folder.mkdir(parents=True)
        self.runs = 0

    def write_channel(self, text: str) -> None:
        (self.home / "config" / "channels" / "shop.yml").write_text(text)

    def add_party(self, name: str, kind: str) -> None:
        with (self.home / "config" / "parties.yml").open("a") as file:
            file.write(f"  {name.lower()}: {{name: {name}, kind: {kind}}}\n")

    def deliver_as(self, entity: str, name: str, header: str, rows: list[str]) -> None:
        """Into a folder of the entity's own."""
        self._write(self.folder / entity / name, header, rows)

    def deliver(self, name: str, lines: list[str]) -> None:
        self._write(self.folder / name, HEADER, lines)

    def deliver_refunds(self, name: str, refunds: list[str]) -> None:
        self._write(self.folder / "refunds" / name, REFUND_HEADER, refunds)

    def _write(self, path: Path, header: str, lines: list[str]) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(header + "".join(lines))
        moment = 1_770_000_000 + len(list(path.parent.iterdir()))  # in the order of delivery
        os.utime(path, (moment, moment))

    def use(self) -> None:
        url = f"lake://{self.place.root}" if self.place.engine == "lake" else self.place.dsn
        self._environment.setenv("CARAVAN_HOME", str(self.home))
        self._environment.setenv("CARAVAN_CONFIG", str(self.home / "config"))
        self._environment.setenv("CARAVAN_WAREHOUSE", url)

    def run(self, first_day: int, end_day: int) -> str:
        """One run of both DAGs' steps over these days after Monday; returns its id."""
        self.use()
        self.runs += 1
        window = Window.of_days(MONDAY + timedelta(days=first_day), MONDAY + timedelta(days=end_day))
        scope = RunScope(f"run-{self.runs}", "sales_orders_daily", window)
        for channel in sales.list_channels(scope):
            sales.collect(scope, channel)
        sales.stage(scope)
        sales.validate(scope)
        sales.build(scope)
        reporting.drain(f"marts-{self.runs}", "reporting_marts_hourly")
        return scope.run_id

    @cached_property
    def _reader(self) -> Warehouse:
        """One for all questions: to attach a lake takes longer than any of them."""
        return self.place.open()

    def rows(self, sql: str) -> list[Any]:
        with self._reader.read() as session:
            return session.rows(sql)

    def version(self, table: str) -> int:
        """How often it was written."""
        return int(self.rows(f"SELECT MAX(version) FROM ops.table_version WHERE table_name = '{table}'")[0][0])

    def tables(self) -> dict[str, list[Any]]:
        """Every stg, int, fct and rpt table, without what says which load it came by."""
        found = {}
        with self._reader.read() as session:
            for model in catalog().models:
                # What stands on the outbox, on crawls and on search data no step of sales builds.
                if (
                    model.function not in ("release", "site")
                    and model.layer != "dim"
                    and not model.name.startswith("stg.config")
                ):
                    names = ", ".join(name for name in model.column_names if name not in LOAD_METADATA)
                    found[model.name] = sorted(session.rows(f"SELECT {names} FROM {model.name}"), key=repr)
        return found
