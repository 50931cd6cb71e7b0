"""A refund changes its order's day whenever it comes: any order of deliveries and runs ends in the same rows."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from engines import one_engine, slow_on_lake
from sales_world import CHANNEL, MONDAY, World, line, refund

REFUNDS = """
  refund:
    files: "refunds/*.csv"
    columns: {refund_id: refund, order_id: order, line_id: line, refunded_at: at, amount: amount, currency: money}
"""


"""For what the engines have no part in; the quicker of the two over a handful of rows."""


@pytest.fixture
def shop(world: World) -> World:
    """Orders a0, a1, a2 of three days, 20.00 each, nothing given back yet."""
    world.write_channel(CHANNEL.replace("delivery: changes", "delivery: complete\nmax_deleted_share: 1") + REFUNDS)
    world.deliver("orders.csv", [line(f"a{day}", day, money="EUR") for day in range(3)])
    return world


def net(world: World) -> dict[int, int]:
    """Net sales by day after Monday."""
    rows = world.rows("SELECT order_local_date, net_amount FROM mart.rpt_sales__channel_day ORDER BY 1")
    by_order = world.rows(
        "SELECT order_local_date, SUM(gross_amount - cancelled_amount - refunded_amount) FROM mart.fct_order GROUP BY 1"
    )
    assert sorted(by_order) == sorted(rows)
    return {(day - MONDAY).days: int(amount) for day, amount in rows}


def refunded(world: World) -> dict[str, tuple[int, str]]:
    """Refund to its day after Monday and whether it counts."""
    rows = world.rows("SELECT refund_id, refund_local_date, net_status FROM mart.fct_refund ORDER BY 1")
    return {number: ((day - MONDAY).days, status) for number, day, status in rows}


@slow_on_lake
def test_a_refund_weeks_later_changes_the_day_of_its_order_and_no_other(shop: World) -> None:
    shop.run(0, 3)
    assert net(shop) == {0: 20, 1: 20, 2: 20}
    shop.deliver_refunds("1.csv", [refund("r1", "a1", 30, "5.00")])
    shop.run(30, 31)
    assert net(shop) == {0: 20, 1: 15, 2: 20}
    assert refunded(shop) == {"r1": (30, "counted")}
    by_run = shop.tables()
    written = shop.version("mart.rpt_sales__channel_day")
    shop.run(30, 31)
    assert shop.tables() == by_run, "run twice"
    assert shop.version("mart.rpt_sales__channel_day") == written, (
        "a refund that only comes again leaves its order's day alone"
    )
    shop.run(1, 2)
    assert shop.tables() == by_run, "a backfill of the order's day"


BEFORE = {
    "orders": [("moves", 0), ("given", 1), ("taken", 2), ("day", 3), ("less", 4), ("gone", 5), ("left", 6)],
    "refunds": [
        ("r1", "moves", 9), ("r2", "given", 9), ("r3", "day", 9), ("r4", "less", 9), ("r5", "gone", 9),
        ("r6", "left", 9), ("r7", "early", 1),
    ],
}  # fmt: skip
"""Each order of a day of its own, 20.00; what is given back is 5.00, and r7 of an order that is not there yet."""
AFTER = {
    "orders": [("moves", 10), ("given", 1), ("taken", 2), ("day", 3), ("less", 4), ("left", 6), ("early", 12)],
    "refunds": [
        ("r1", "moves", 9), ("r2", "taken", 9), ("r3", "day", 11), ("r4", "less", 9, "7.00"), ("r5", "gone", 9),
        ("r7", "early", 1),
    ],
}  # fmt: skip
"""An order moves, a refund is another order's, of another day, of another amount; an order and a refund are gone; the
order of the early refund has come."""


@slow_on_lake
def test_what_changes_is_made_good_on_every_day_it_touches(shop: World) -> None:
    def deliver(name: str, state: dict[str, list[Any]]) -> None:
        shop.deliver(f"{name}.csv", [line(*each, money="EUR") for each in state["orders"]])
        shop.deliver_refunds(f"{name}.csv", [refund(*each) for each in state["refunds"]])

    deliver("before", BEFORE)
    shop.run(0, 10)
    assert net(shop) == {0: 15, 1: 15, 2: 20, 3: 15, 4: 15, 5: 15, 6: 15}
    assert refunded(shop)["r7"] == (1, "order_unknown")
    deliver("after", AFTER)
    shop.run(20, 21)
    assert net(shop) == {10: 15, 1: 20, 2: 15, 3: 15, 4: 13, 6: 20, 12: 15}
    counted = {number for number, (_, status) in refunded(shop).items() if status == "counted"}
    assert counted == {"r1", "r2", "r3", "r4", "r7"}
    assert refunded(shop)["r5"] == (9, "order_unknown")
    by_run = shop.tables()
    shop.run(0, 21)
    assert shop.tables() == by_run, "a backfill of everything"


@one_engine
def test_a_refund_in_another_currency_is_not_taken_off_and_is_told(shop: World) -> None:
    shop.deliver_refunds("1.csv", [refund("r1", "a1", 9, "5.00", money="SEK"), refund("r2", "none", 9, "1.00")])
    shop.run(0, 10)
    assert net(shop) == {0: 20, 1: 20, 2: 20}
    assert refunded(shop) == {"r1": (9, "currency_differs"), "r2": (9, "order_unknown")}
    told = shop.rows(
        "SELECT check_name, outcome, failed_count FROM ops.quality_result "
        "WHERE model_name = 'mart.fct_refund' AND failed_count > 0 ORDER BY 1"
    )
    assert told == [("currency_is_the_orders", "warn", 1), ("order_known", "warn", 1)]
    rates = shop.rows("SELECT fx_status FROM mart.fct_refund WHERE refund_id = 'r1'")
    assert rates != [("missing",)], "the refund's own day and currency have a rate"


@one_engine
def test_a_blocked_day_takes_its_refunds_once_it_is_free(shop: World) -> None:
    shop.run(0, 3)
    orders = [line(f"a{day}", day, money="EUR") for day in range(3)]
    # Two currencies in one order have no sum: the key check of fct_order keeps its day.
    shop.deliver("bad.csv", [*orders, line("a1", 1, money="SEK").replace("a1,1,", "a1,2,")])
    shop.deliver_refunds("1.csv", [refund("r1", "a1", 9, "5.00")])
    shop.run(9, 10)
    assert shop.rows("SELECT model_name FROM ops.blocked_slice WHERE model_name = 'mart.fct_order'")
    assert net(shop) == {0: 20, 1: 20, 2: 20}
    shop.deliver("good.csv", [*orders[:2], line("a2", 2, price="9.00", money="EUR")])
    shop.run(20, 21)
    assert net(shop) == {0: 20, 1: 15, 2: 18}
    assert not shop.rows("SELECT 1 FROM ops.blocked_slice")


@one_engine
def test_base_amounts_add_up_at_the_rate_of_the_orders_day(shop: World) -> None:
    shop.deliver("sek.csv", [line("s", 0, price="333.33", money="SEK")])
    shop.deliver_refunds("1.csv", [refund("r1", "s", 9, "333.33", money="SEK")])
    shop.run(0, 10)
    ((gross, taken, left, status),) = shop.rows(
        "SELECT gross_amount_base, refunded_amount_base, net_amount_base, fx_status FROM mart.fct_order"
    )
    assert status == "exact"
    assert gross - taken == left > 0
    ((then,),) = shop.rows("SELECT amount_base FROM mart.fct_refund")
    assert abs(then - taken) < Decimal(2)
    assert then != taken, "the refund itself is worth what it cost on its day"


@one_engine
def test_lines_of_an_order_under_two_days_are_refunded_once(shop: World) -> None:
    shop.write_channel(CHANNEL + REFUNDS)
    shop.deliver("a.csv", [line("x", 1, money="EUR")])
    shop.run(0, 3)
    shop.deliver("b.csv", [line("x", 2, money="EUR").replace("x,1,", "x,2,")])
    shop.deliver_refunds("1.csv", [refund("r1", "x", 9, "5.00")])
    shop.run(9, 10)
    days = dict(shop.rows("SELECT order_local_date, refunded_amount FROM mart.fct_order WHERE order_id = 'x'"))
    assert days == {MONDAY + timedelta(days=1): 5, MONDAY + timedelta(days=2): 0}
