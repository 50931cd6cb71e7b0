"""Shops and marketplaces through the steps of sales_orders_daily, over real HTTP: what is asked, loaded and healed."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from change_sources import MarketStand, Sale, WooStand

from caravan import INCLUDE_DIR
from caravan.assembly import inboxes, sales, services
from caravan.assembly.warehouse import open_warehouse
from caravan.clients.http.limits import Limits
from caravan.config.settings import Settings
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured, Rejected, Retryable
from caravan.core.scope import RunScope
from caravan.core.window import Window
from caravan.warehouse.store import Store

DAY = datetime.now(UTC).date() - timedelta(days=5)
SHOP = """
code: shop
name: Shop
kind: own
source: woocommerce
connection: shop_demo
zone: Europe/Berlin
entities:
  order_line:
    rules:
      - name: cancelled
        when: {status: {equals: cancelled}}
        kind: cancellation
"""
MARKET = """
code: market
name: Market
kind: marketplace
source: marketplace
connection: marketplace_demo
zone: UTC
"""
QUICK = Limits(attempts=2, first_wait_seconds=0, pull_seconds=60)


def on(day: int, hour: float = 10) -> datetime:
    return datetime.combine(DAY, time()) + timedelta(days=day, hours=hour)


def sale(order: int, day: int = 0, changed: float = 12, **more: Any) -> Sale:
    """Placed on a day after DAY. `changed`: hours after DAY began."""
    return Sale(order, on(0, changed), on(day), **more)


SALES = [sale(number, number % 3, price=f"{number}.25") for number in range(1, 91)]


class World:
    """Two stand-ins and a project whose channels ask them."""

    def __init__(self, home: Path) -> None:
        self.home, self.shop, self.market = home, WooStand(), MarketStand()
        self.at(24)

    def at(self, hours: float) -> None:
        """The clock of both services: hours after DAY began."""
        for stand in (self.shop, self.market):
            stand.faults.clock = lambda: on(0, hours)

    def configure(self, code: str, text: str) -> None:
        (self.home / "config" / "channels" / f"{code}.yml").write_text(text)

    def scope(self, **more: Any) -> RunScope:
        return RunScope("run", "sales_orders_daily", Window.of_days(DAY, DAY + timedelta(days=4)), **more)

    def collect(self, channel: str = "shop", *, reload: bool = False, dry_run: bool = False) -> dict[str, int]:
        return sales.collect(self.scope(dry_run=dry_run), channel, reload=reload)

    def names(self, entity: str = "order_line", channel: str = "shop") -> list[str]:
        """Of the answers that were loaded."""
        return [
            row[0]
            for row in rows(
                f"SELECT delivery_name FROM ops.load WHERE channel_code = '{channel}' AND entity = '{entity}' "
                "AND state IN ('loaded', 'empty') ORDER BY started_at"
            )
        ]


def since(hours: float) -> str:
    return f"changes since {on(0, hours) - timedelta(minutes=10):%Y-%m-%dT%H:%M:%SZ}"


def rows(sql: str) -> list[Any]:
    with open_warehouse(Settings.from_environment(), read_only=True) as warehouse, warehouse.read() as session:
        return session.rows(sql)


Days = dict[date, tuple[int, int, Decimal]]
"""Orders, lines and gross by local day."""


def by_day(source: str, order: str) -> Days:
    found = rows(f"SELECT order_local_date, count(DISTINCT {order}), count(*), sum(amount) FROM {source} GROUP BY 1")
    return {day: (orders, lines, gross) for day, orders, lines, gross in found}


def stored(channel: str) -> Days:
    """In raw, of the newest versions."""
    newest = (
        f"SELECT * FROM raw.file_drop__order_line WHERE channel_code = '{channel}' "
        "QUALIFY row_number() OVER (PARTITION BY row_key ORDER BY version DESC) = 1"
    )
    return by_day(f"({newest}) AS r WHERE r.change = 'row'", "order_id")


def facts(channel: str) -> Days:
    return by_day(f"mart.fct_order_line WHERE channel_code = '{channel}'", "order_key")


def truth(sold: list[Sale]) -> Days:
    counts = Counter(each.placed.date() for each in sold)
    gross = {day: sum(Decimal(each.price) for each in sold if each.placed.date() == day) for day in counts}
    return {day: (count, count, gross[day]) for day, count in counts.items()}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[World, dict[str, Connection]]]:
    world = World(Path())
    with ExitStack() as stack:
        connections = [stack.enter_context(stand.serve()) for stand in (world.shop, world.market)]
        yield world, {each.conn_id: each for each in connections}


@pytest.fixture
def world(
    served: tuple[World, dict[str, Connection]], tmp_path: Path, lakes: Any, monkeypatch: pytest.MonkeyPatch
) -> World:
    world, connections = served
    for stand in (world.shop, world.market):
        stand.begin()
    world.home = tmp_path
    world.at(24)
    world.shop.put(*SALES)
    world.market.put(*SALES)
    shutil.copytree(INCLUDE_DIR / "config", tmp_path / "config", ignore=shutil.ignore_patterns("channels"))
    (tmp_path / "config" / "channels").mkdir()
    world.configure("shop", SHOP)
    world.configure("market", MARKET)
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path))
    monkeypatch.setenv("CARAVAN_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("CARAVAN_WAREHOUSE", f"lake://{lakes.migrated(tmp_path / 'lake').root}")
    for conn_id, each in connections.items():
        given = {"conn_type": "http", "host": each.host, "login": each.login, "password": each.password}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({**given, "extra": dict(each.extra)}))
    monkeypatch.setattr(inboxes, "open_source", partial(services.open_source, limits=QUICK))
    return world


def build(world: World) -> None:
    sales.stage(world.scope())
    sales.validate(world.scope())
    sales.build(world.scope())


@pytest.mark.slow
def test_what_is_stored_is_what_the_services_have(world: World) -> None:
    assert sales.list_channels(world.scope()) == ["market", "shop"]
    for channel, answers, count in (("market", 1, 90), ("shop", 3, 180)):
        totals = world.collect(channel)
        assert (totals["deliveries"], totals["received"], totals["loaded"]) == (answers, count, count)
        assert stored(channel) == truth(SALES)
    build(world)
    for channel in ("market", "shop"):
        assert facts(channel) == truth(SALES)

    world.at(48)
    moved = replace(sale(6, 2, changed=40), price="8.00")
    now = [moved if each.order == 6 else each for each in SALES]
    for stand, channel in ((world.market, "market"), (world.shop, "shop")):
        stand.put(moved)
        assert world.collect(channel)["loaded"] == (1 if channel == "market" else 2)
    touched = (
        "SELECT DISTINCT slice_date FROM ops.dirty_slice WHERE model_name = 'stg.file_drop__order_line' ORDER BY 1"
    )
    assert rows(touched) == [(DAY,), (DAY + timedelta(days=2),)], "the day it was on, and the day it is on"
    build(world)
    for channel in ("market", "shop"):
        assert stored(channel) == facts(channel) == truth(now)


def test_an_answer_with_nothing_in_it_says_up_to_when_all_is_known(world: World) -> None:
    world.collect()
    assert world.names() == ["all changes"]
    world.at(25)
    assert world.collect()["loaded"] == 0
    world.at(26)
    world.collect()
    assert world.names() == world.names("refund") == ["all changes", since(24), since(25)]
    assert not rows("SELECT * FROM ops.load WHERE state NOT IN ('loaded', 'empty')")
    world.at(27)
    world.shop.put(sale(99, changed=26.5))
    assert world.collect()["loaded"] == 2


@pytest.mark.slow
def test_refunds_of_a_shop_lower_net_sales_by_what_goods_cost_without_tax(world: World) -> None:
    world.shop.put(sale(200, price="40.00"))
    item = {"id": 9, "quantity": -1, "total": "-40.00", "total_tax": "-7.60", "meta_data": []}
    named = [{"id": 1, "key": "_refunded_item_id", "value": "2000"}]
    postage = {"id": 10, "total": "-5.00", "total_tax": "-0.95", "meta_data": []}
    times = world.shop.shop.times("created", on(1))
    lists = {"line_items": [{**item, "meta_data": named}], "shipping_lines": [postage], "fee_lines": []}
    world.shop.shop.refunds = {200: [{"id": 300, "amount": "53.55", "reason": "late", **times, **lists}]}
    world.shop.shop.touch(200, on(1), refunds=[{"id": 300, "reason": "late", "total": "-53.55"}])
    world.at(48)
    world.collect()
    build(world)
    given_back = "SELECT line_id, net_status, amount FROM mart.fct_refund ORDER BY line_id"
    assert rows(given_back) == [("2000", "counted", 40), ("shipping-10", "charge", 5)]
    assert rows("SELECT refunded_amount, net_amount FROM mart.fct_order WHERE order_id = '200'") == [(40, 0)]


def test_since_is_the_first_day_asked_for(world: World) -> None:
    world.configure("shop", f"{SHOP}since: {DAY + timedelta(days=1)}\n")
    world.shop.put(sale(99, changed=30))
    assert world.collect()["loaded"] == 2
    (name,) = world.names()
    assert name.startswith(f"changes since {DAY}T2"), "midnight of Berlin, less the overlap"


@pytest.mark.parametrize(
    "entity",
    [pytest.param("order", marks=pytest.mark.slow), "order_line", pytest.param("refund", marks=pytest.mark.slow)],
)
def test_a_run_killed_between_two_entities_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, entity: str
) -> None:
    world.collect()
    world.at(30)
    world.shop.put(sale(99, changed=29))
    load = Store.load

    def killed(store: Store, run_id: str, load_id: str, channel: str, of: str, *given: Any, **more: Any) -> Any:
        if of == entity:
            raise KeyboardInterrupt
        return load(store, run_id, load_id, channel, of, *given, **more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "load", killed)
        world.collect()
    # Much later: what was loaded of the first entity must not hide the order from the second.
    world.at(60)
    world.collect()
    assert world.names()[-1] == since(24)
    for table in ("raw.file_drop__order", "raw.file_drop__order_line"):
        assert rows(f"SELECT count(DISTINCT order_id), count(*) FROM {table} WHERE change = 'row'") == [(91, 91)]
    world.at(61)
    world.collect()
    assert world.names()[-1] == since(60)


def test_one_entity_that_is_refused_keeps_nothing_else_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    parse = inboxes.parse

    def refusing(delivery: Any, *given: Any, **more: Any) -> Any:
        if delivery.entity == "order":
            raise Rejected("TEST_REFUSED", "cannot be read")
        return parse(delivery, *given, **more)

    with monkeypatch.context() as patch, pytest.raises(Rejected, match=r"1 refused\n.*shop order all changes"):
        patch.setattr(inboxes, "parse", refusing)
        world.collect()
    assert stored("shop") == truth(SALES)
    world.at(48)
    assert world.collect()["loaded"] == 90
    assert world.names("order") == ["all changes"], "it was asked from the beginning again"


def test_an_answer_that_cannot_be_used_is_asked_for_once(world: World) -> None:
    world.collect()
    once = len(world.shop.faults.requests)
    world.shop.faults.always = "undated"
    with pytest.raises(Rejected, match="3 refused") as caught:
        world.collect(reload=True)
    assert str(caught.value).count("DATE_MISSING") == 3
    assert len(world.shop.faults.requests) == 2 * once


def test_an_outage_is_one_channels_own_and_heals_by_itself(world: World) -> None:
    world.collect()
    world.at(48)
    late = sale(99, 1, changed=40)
    world.shop.put(late)
    world.market.put(late)
    world.shop.faults.always = "down"
    with pytest.raises(Retryable, match="GET /wp-json/wc/v3/orders answered 500; tried 2 times"):
        world.collect()
    assert world.collect("market")["loaded"] == 91
    assert stored("shop") == truth(SALES)
    world.shop.faults.always = "ok"
    world.at(72)
    assert world.collect()["loaded"] == 2
    assert stored("shop") == stored("market") == truth([*SALES, late])


def test_a_service_that_wants_to_be_left_alone_says_for_how_long(world: World) -> None:
    world.shop.faults.always, world.shop.faults.wait_seconds = "busy", 3600
    with pytest.raises(Retryable) as caught:
        world.collect()
    assert caught.value.after == timedelta(hours=1)


def test_reload_asks_anew_and_takes_out_what_a_rule_sets_aside(world: World) -> None:
    world.collect()
    world.at(30)
    world.shop.put(sale(99, changed=29))
    world.collect()
    rule = "      - {name: test_order, when: {order_id: {one_of: ['1', '99']}}, quarantine: ours}\n"
    world.configure("shop", SHOP + rule)
    world.at(36)
    totals = world.collect(reload=True)
    assert (totals["unchanged"], totals["quarantined"], totals["deleted"]) == (89 + 91, 2, 2)
    assert world.names()[-1] == "all changes"
    assert stored("shop") == truth(SALES[1:])


def test_a_dry_run_says_from_when_it_would_ask_and_asks_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.collect("market")
    caplog.set_level(logging.INFO)
    asked = len(world.market.faults.requests)
    assert world.collect("market", dry_run=True)["deliveries"] == 1
    assert f"would load {since(24)}" in caplog.text
    world.collect("market", dry_run=True, reload=True)
    assert "would load all changes" in caplog.text
    assert len(world.market.faults.requests) == asked


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("", "there is no connection 'shop_demo'"),
        ('{"conn_type": "aws", "login": "a", "password": "b"}', "is of the type 'aws'; a woocommerce needs `http`"),
        ('{"conn_type": "http", "host": "http://127.0.0.1"}', "needs the consumer key as login"),
        ('{"conn_type": "http", "host": "http://shop.invalid", "login": "a", "password": "b"}', "https://"),
    ],
)
def test_a_connection_that_cannot_be_used(
    world: World, monkeypatch: pytest.MonkeyPatch, variable: str, message: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DEMO", variable)
    with pytest.raises(Misconfigured, match=message):
        world.collect()
    assert world.shop.faults.requests == []
