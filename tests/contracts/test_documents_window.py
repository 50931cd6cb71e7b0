"""Payments, shipments and offers from files to facts: run twice, over a wider window, changed and replayed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from engines import slow_on_lake
from sales_world import CHANNEL, MONDAY, World, line

DOCUMENTS = """
  payment:
    files: "payment/*.csv"
    sign: signed
    columns: {payment_id: id, order_id: order, paid_at: at, party: by, status: state, payer_id: payer, amount: sum}
    constants: {currency: SEK}
    values: {party: {PP: paypal}}
    rules:
      - {name: taken_back, when: {amount: {below: 0}}, kind: chargeback}
  shipment:
    files: "shipment/*.csv"
    columns: {shipment_id: id, order_id: order, shipped_at: at, delivered_at: there, party: by, freight_amount: freight}
    constants: {currency: EUR}
  offer:
    files: "offer/*.csv"
    columns: {sku: sku, offered_at: at, price: price, stock_count: stock}
    constants: {currency: EUR, country: DE}
"""
HEADERS = {
    "payment": "id,order,at,by,state,payer,sum\n",
    "shipment": "id,order,at,there,by,freight\n",
    "offer": "sku,at,price,stock\n",
}


def deliver(world: World, entity: str, *rows: str) -> None:
    """A file of the entity, named by its first row."""
    world.deliver_as(entity, f"{rows[0][:2]}-{len(rows)}.csv", HEADERS[entity], [f"{row}\n" for row in rows])


def at(day: int, hour: int = 12) -> str:
    return f"{MONDAY + timedelta(days=day)} {hour:02}:00"


@pytest.fixture
def shop(world: World) -> World:
    """Everything there is of a channel comes in each file of orders, and what is new in the others."""
    told = CHANNEL.replace("delivery: changes", "delivery: complete\nmax_deleted_share: 1") + DOCUMENTS
    for entity in ("payment", "shipment"):
        told = told.replace(f"  {entity}:\n", f"  {entity}:\n    delivery: changes\n")
    world.write_channel(told)
    world.deliver("orders.csv", [line(f"a{day}", day, money="EUR") for day in range(3)])
    return world


def payments(world: World) -> dict[str, tuple[Any, ...]]:
    rows = world.rows(
        "SELECT payment_id, payment_local_date, link_status, order_local_date, market_code, party_code, party, "
        "received_amount, fx_status <> 'missing' AND received_amount_base <> received_amount FROM mart.fct_payment"
    )
    return {row[0]: (_day(row[1]), row[2], _day(row[3]), *row[4:7], int(row[7]), row[8]) for row in rows}


def shipments(world: World) -> dict[str, tuple[Any, ...]]:
    rows = world.rows(
        "SELECT shipment_id, shipment_local_date, link_status, party_code, party, freight_amount_base, delivered_at "
        "FROM mart.fct_shipment"
    )
    return {row[0]: (_day(row[1]), *row[2:5], int(row[5]), row[6] is not None) for row in rows}


def offers(world: World) -> dict[int | None, tuple[Any, ...]]:
    rows = world.rows(
        "SELECT offer_local_date, price, statement_count, availability, market_code FROM mart.fct_offer_day"
    )
    return {_day(row[0]): (int(row[1]), *row[2:]) for row in rows}


def _day(day: Any) -> int | None:
    return None if day is None else (day - MONDAY).days


# As test_sales_window.py's longest: on the lake in `make test-all`; test_engines_agree.py compares both in `make test`.
@slow_on_lake
def test_documents_of_orders_end_in_the_same_rows_whatever_the_window(shop: World) -> None:
    deliver(
        shop, "payment", f"p0,a0,{at(0)},PP,done,k1,20", f"p1,a1,{at(5)},Purse,done,k1,20",
        f"p2,late,{at(1)},PP,done,k1,20", f"p3,,{at(1)},,done,,-5", f"p4,a0,{at(1)},PP,done,k1,0",
    )  # fmt: skip
    deliver(shop, "shipment", f"w0,a0,{at(1)},,Mule,4", f"w1,a1,{at(1)},,DHL,4")
    deliver(shop, "offer", f"sku-1,{at(0, 6)},10,5", f"sku-1,{at(0, 18)},9,0", f"sku-1,{at(1, 6)},8,")
    shop.run(0, 3)
    assert payments(shop) == {
        "p0": (0, "linked", 0, "DE", "paypal", "paypal", 20, True),
        "p1": (5, "linked", 1, "DE", "unknown", "Purse", 20, True),
        "p2": (1, "order_unknown", None, "DE", "paypal", "paypal", 20, True),
        "p3": (1, "order_not_named", None, "DE", "unknown", None, -5, True),
    }
    mule, dhl = (1, "linked", "unknown", "Mule", 4, False), (1, "linked", "dhl", "DHL", 4, False)
    assert shipments(shop) == {"w0": mule, "w1": dhl}
    assert offers(shop) == {0: (9, 2, "out_of_stock", "DE"), 1: (8, 1, "unknown", "DE")}
    reasons = shop.rows("SELECT entity, reason_code FROM ops.quarantine")
    assert reasons == [("payment", "SIGN_UNEXPECTED")]
    told = shop.rows(
        "SELECT model_name, check_name, SUM(failed_count) FROM ops.quality_result "
        "WHERE failed_count > 0 AND outcome = 'warn' AND model_name LIKE 'mart.fct_%' GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert told == [
        ("mart.fct_payment", "order_known", 1),
        ("mart.fct_payment", "order_named", 1),
        ("mart.fct_payment", "party_known", 1),
        ("mart.fct_shipment", "party_known", 1),
    ]
    first = shop.tables()
    shop.run(0, 3)
    assert shop.tables() == first, "run twice"
    shop.run(-3, 12)
    assert shop.tables() == first, "over a wider window"

    # A payment is taken back, a shipment left later than was told and has arrived, an order comes at last, a day's last
    # word changes, and somebody says who Mule is.
    deliver(shop, "payment", f"p0,a0,{at(0)},PP,dispute,k1,-20")
    deliver(shop, "shipment", f"w0,a0,{at(2)},{at(4)},Mule,4")
    deliver(shop, "offer", f"sku-1,{at(0, 20)},7,2")
    orders = [line(f"a{day}", day, money="EUR") for day in range(3)]
    shop.deliver("orders-2.csv", [*orders, line("late", 9, money="EUR")])
    shop.add_party("Mule", "carrier")
    shop.run(20, 21)
    assert payments(shop)["p0"] == (0, "linked", 0, "DE", "paypal", "paypal", -20, True)
    assert payments(shop)["p2"] == (1, "linked", 9, "DE", "paypal", "paypal", 20, True)
    assert shipments(shop) == {"w0": (2, "linked", "mule", "Mule", 4, True), "w1": dhl}
    assert offers(shop) == {0: (7, 3, "in_stock", "DE"), 1: (8, 1, "unknown", "DE")}
    changed = shop.tables()
    shop.run(0, 21)
    assert shop.tables() == changed, "a replay of everything"
    sums = shop.rows(
        "SELECT entity FROM ops.load WHERE received_count <> "
        "loaded_count + unchanged_count + duplicate_count + quarantined_count"
    )
    assert sums == []
