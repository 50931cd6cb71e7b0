"""The sales steps over a file channel, end to end on both engines: any order of runs ends in the same rows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from places import Place

from caravan import INCLUDE_DIR, SQL_DIR
from caravan.assembly import reporting, sales
from caravan.clients.fx import ecb
from caravan.core.errors import Rejected
from caravan.core.scope import RunScope
from caravan.core.window import Window
from caravan.warehouse.catalog import load_models

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
MONDAY = date(2026, 3, 2)
LOAD_METADATA = {"load_id", "version"}


def line(order: str, day: int, price: str = "10.00", buyer: str = "k1", money: str = "SEK") -> str:
    return f"{order},1,{MONDAY + timedelta(days=day)} 12:00,{buyer},sku-1,2,{price},{money}\n"


FIRST = [line(f"a{day}", day, buyer=f"k{day % 2}") for day in range(3)]
CHANGED = [line("a1", 4, price="11.00", buyer="k1")]
"""Order a1 is of Friday now, and dearer."""


@pytest.fixture(scope="session")
def few_rates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rates around the days used: 27 years of them take longer than everything else."""
    full = ecb.write_rates(tmp_path_factory.mktemp("rates") / "full.parquet")
    rates = pq.read_table(
        full.path,
        filters=[("rate_date", ">=", MONDAY - timedelta(days=20)), ("rate_date", "<", MONDAY + timedelta(days=20))],
    )
    pq.write_table(rates, full.path)
    return full.path


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

    def deliver(self, name: str, lines: list[str]) -> None:
        path = self.folder / name
        path.write_text(HEADER + "".join(lines))
        moment = 1_770_000_000 + len(list(self.folder.iterdir()))  # in the order of delivery
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
        sales.build(scope)
        reporting.drain(f"marts-{self.runs}", "reporting_marts_hourly")
        return scope.run_id

    def rows(self, sql: str) -> list[Any]:
        with self.place.open() as warehouse, warehouse.read() as session:
            return session.rows(sql)

    def tables(self) -> dict[str, list[Any]]:
        """Every stg, int, fct and rpt table, without what says which load it came by."""
        found = {}
        for model in load_models(SQL_DIR).models:
            if model.layer != "dim" and not model.name.startswith("stg.config"):
                names = ", ".join(name for name in model.column_names if name not in LOAD_METADATA)
                found[model.name] = sorted(self.rows(f"SELECT {names} FROM {model.name}"), key=repr)
        return found


@pytest.fixture
def world(
    new_place: Any, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_rates: Path
) -> Iterator[World]:
    def write_rates(target: Path) -> ecb.RateFile:
        shutil.copyfile(few_rates, target)
        return ecb.RateFile(target, pq.read_metadata(target).num_rows, ecb.bundle_hash())

    monkeypatch.setattr(ecb, "write_rates", write_rates)
    yield World(tmp_path / "one", new_place(engine), monkeypatch)


def test_any_order_of_windows_ends_in_the_same_rows(
    world: World, new_place: Any, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deliver("first.csv", FIRST)
    for day in range(3):
        world.run(day, day + 1)
    by_day = world.tables()
    assert all(by_day[name] for name in ("mart.fct_order", "mart.rpt_sales__channel_day", "int.sales__customer_order"))
    world.run(1, 2)
    assert world.tables() == by_day, "run twice"
    world.run(-1, 6)
    assert world.tables() == by_day, "over a wider window"

    world.deliver("second.csv", CHANGED)
    world.run(4, 5)
    changed = world.tables()
    assert changed != by_day
    world.run(0, 2)
    assert world.tables() == changed, "a replay of the first window keeps the newer version"
    totals = dict(world.rows("SELECT order_local_date, total_amount FROM mart.rpt_sales__channel_day"))
    assert MONDAY + timedelta(days=1) not in totals
    assert totals[MONDAY + timedelta(days=4)] == 22

    at_once = World(tmp_path / "other", new_place(engine), monkeypatch)
    at_once.deliver("first.csv", FIRST)
    at_once.deliver("second.csv", CHANGED)
    at_once.run(0, 5)
    assert at_once.tables() == changed, "the same deliveries in one run of a new warehouse"


def test_a_missing_an_empty_and_a_broken_delivery_are_three_answers(world: World) -> None:
    def loads() -> list[Any]:
        return world.rows(
            "SELECT state, reason_code, received_count FROM ops.load WHERE channel_code = 'shop' ORDER BY started_at"
        )

    world.run(0, 1)
    assert loads() == [("missing", None, 0)]
    world.deliver("empty.csv", [])
    world.run(0, 1)
    assert loads()[1:] == [("empty", None, 0)]
    (world.folder / "other.csv").write_text("order;line\nx;1\n")
    with pytest.raises(
        Rejected, match=r"DELIVERIES_REFUSED: shop: 1 refused\n  - COLUMN_MISSING: shop order_line other.csv"
    ):
        world.run(0, 1)
    assert [load[:2] for load in loads()[2:]] == [("refused", "COLUMN_MISSING")]


def test_a_refused_delivery_keeps_no_other_back_and_fails_the_verdict(world: World) -> None:
    (world.folder / "a_broken.csv").write_text("no,such,columns\n1,2,3\n")
    world.deliver("b_good.csv", FIRST)
    with pytest.raises(Rejected):
        world.run(0, 6)
    assert world.rows("SELECT COUNT(*) FROM raw.file_drop__order_line") == [(3,)]
    scope = RunScope("run-1", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=6)))
    with pytest.raises(
        Rejected, match=r"RUN_INCOMPLETE: 2 failed:\n  - task collect.*\n  - shop order_line a_broken.csv"
    ):
        sales.verdict(scope, ["collect"])
    assert world.rows("SELECT state FROM ops.run WHERE run_id = 'run-1'") == [("failed",)]


def test_after_the_mapping_is_corrected_a_reload_brings_the_quarantined_rows(world: World) -> None:
    world.deliver("first.csv", [*FIRST[:2], line("odd", 1, money="KRONA")])
    world.run(0, 2)
    assert world.rows("SELECT reason_code, field_name, row_number FROM ops.quarantine") == [
        ("CURRENCY_UNKNOWN", "currency", 3)
    ]
    channel = world.home / "config" / "channels" / "shop.yml"
    channel.write_text(channel.read_text() + "    values: {currency: {KRONA: SEK}}\n")
    scope = RunScope("reload", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=1)))
    assert sales.collect(scope, "shop")["received"] == 0, "the same bytes are not read twice by themselves"
    counts = sales.collect(scope, "shop", reload=True)
    assert (counts["received"], counts["loaded"], counts["unchanged"], counts["quarantined"]) == (3, 1, 2, 0)
    assert world.rows("SELECT COUNT(*) FROM ops.quarantine") == [(0,)]


def prices(world: World) -> dict[str, int]:
    found = world.rows("SELECT order_id, unit_price FROM stg.file_drop__order_line ORDER BY 1")
    return {order: int(price) for order, price in found}


def test_an_older_delivery_that_is_mended_later_does_not_overwrite_a_newer_one(world: World) -> None:
    world.deliver("1.csv", [line("a", 0, "10")])
    whole = (world.folder / "1.csv").read_bytes()
    moment = (world.folder / "1.csv").stat().st_mtime
    (world.folder / "1.csv").write_text("broken\n1\n")
    world.deliver("2.csv", [line("a", 0, "20")])
    with pytest.raises(Rejected):
        world.run(0, 1)
    (world.folder / "1.csv").write_bytes(whole)
    os.utime(world.folder / "1.csv", (moment, moment))
    world.run(0, 1)
    assert prices(world) == {"a": 20}


def test_a_reload_that_stops_half_way_leaves_the_newest_rows(world: World) -> None:
    world.deliver("1.csv", [line("a", 0, "10"), line("b", 0, "10")])
    world.deliver("2.csv", [line("a", 0, "20")])
    world.run(0, 1)
    (world.folder / "2.csv").rename(world.home / "out of reach")
    scope = RunScope("reload", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=1)))
    sales.collect(scope, "shop", reload=True)
    sales.stage(scope)
    assert prices(world) == {"a": 20, "b": 10}


def test_a_complete_channel_is_what_its_newest_delivery_says(world: World) -> None:
    channel = world.home / "config" / "channels" / "shop.yml"
    channel.write_text(channel.read_text().replace("delivery: changes", "delivery: complete\nmax_deleted_share: 1"))
    first, second = [line("a", 0, "10"), line("b", 0, "10")], [line("a", 0, "20")]
    for name, content in (("1.csv", first), ("2.csv", second), ("3.csv", first)):
        world.deliver(name, content)
        world.run(0, 1)
    assert prices(world) == {"a": 10, "b": 10}, "it returned to what it was"
    world.deliver("0.csv", second)
    os.utime(world.folder / "0.csv", (1_760_000_000, 1_760_000_000))
    world.run(0, 1)
    assert prices(world) == {"a": 10, "b": 10}, "an older one came late"


def test_a_dry_run_changes_nothing(world: World) -> None:
    world.deliver("first.csv", FIRST)
    world.use()
    scope = RunScope("dry", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=6)), dry_run=True)
    assert sales.list_channels(scope) == ["shop"]
    assert sales.collect(scope, "shop")["deliveries"] == 1
    assert (sales.stage(scope), sales.validate(scope), sales.build(scope)) == ({}, {}, {})
    sales.verdict(scope)
    for table in ("ops.run", "ops.load", "raw.file_drop__order_line", "ops.model"):
        assert world.rows(f"SELECT COUNT(*) FROM {table}") == [(0,)], table
