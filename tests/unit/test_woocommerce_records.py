"""WooCommerce's orders as canonical records, from an order of the documented shape."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from caravan.clients.http.answers import read_json
from caravan.clients.woocommerce.records import order_records, refund_records
from caravan.config.services import CHARGES
from caravan.core.entities import ENTITIES

DOCUMENTED = Path(__file__).parents[1] / "fixtures" / "woocommerce" / "order.json"


def read(order: object) -> dict:
    """As `Caller` gives it: all numbers are text."""
    return read_json(json.dumps(order).encode(), dict, "test")


@pytest.fixture
def order() -> dict:
    return read_json(DOCUMENTED.read_bytes(), dict, "test")


def lines(order: object) -> list[dict]:
    return [record for entity, record in order_records(order) if entity == "order_line"]


def line(**item: object) -> dict:
    """Of an order with this one item, changed from a sound one."""
    sound = {"id": 1, "sku": "A", "name": "a", "quantity": 2, "subtotal": "6.00", "total": "6.00", "total_tax": "0.00"}
    item = {name: value for name, value in {**sound, **item}.items() if value != "GONE"}
    (only,) = lines(read({"id": 7, "line_items": [item], "shipping_lines": [], "fee_lines": []}))
    return only


def test_the_documented_order(order):
    shared = {
        "order_id": "90412",
        "ordered_at": "2026-10-25T00:30:15Z",
        "updated_at": "2026-11-02T09:04:41Z",
        "status": "processing",
        "country": "FR",
        "currency": "EUR",
        "customer_id": "318",
        "coupon_code": "autumn5",
        "utm_source": "newsletter",
        "utm_medium": "email",
        "utm_campaign": "autumn-26",
        "referrer_url": "https://search.example/",
    }
    (header,) = [record for entity, record in order_records(order) if entity == "order"]
    assert header == shared | {
        "total_amount": "48.29",
        "shipping_amount": "4.90",
        "discount_amount": "5.00",
        "tax_amount": "7.39",
    }
    own = [{name: value for name, value in each.items() if name not in shared} for each in lines(order)]
    assert own == [
        {
            "line_id": "5501",
            "sku": "TEA-3",
            "product_name": "Tea, three tins",
            "quantity": "3",
            "unit_price": "3.3333",
            "discount_amount": "0.9999",
            "tax_amount": "1.71",
        },
        {
            "line_id": "5502",
            "sku": "product-81",
            "product_name": "Mug - blue",
            "quantity": "2",
            "unit_price": "14.5000",
            "discount_amount": "4.0000",
            "tax_amount": "4.75",
        },
        {
            "line_id": "shipping-5503",
            "sku": "shipping",
            "product_name": "Flat rate",
            "quantity": "1",
            "unit_price": "4.90",
            "tax_amount": "0.93",
        },
        {
            "line_id": "fee-5505",
            "sku": "fee",
            "product_name": "Gift wrap",
            "quantity": "1",
            "unit_price": "2.00",
            "tax_amount": "0.00",
        },
    ]


def test_the_lines_and_their_taxes_add_up_to_the_stated_total(order):
    total = sum(
        Decimal(each["quantity"]) * Decimal(each["unit_price"])
        - Decimal(each.get("discount_amount", 0))
        + Decimal(each["tax_amount"])
        for each in lines(order)
    )
    assert total == Decimal(order["total"])


def test_every_field_is_one_of_the_entity_and_every_record_has_its_key(order):
    found = list(order_records(order))
    assert len(found) == 5
    for entity, record in found:
        assert set(record) <= set(ENTITIES[entity].field_names)
        assert all(record[name] for name in ENTITIES[entity].key)


def test_nothing_personal_is_passed_on(order):
    spooled = json.dumps(list(order_records(order)))
    assert not [word for word in ("Erika", "erika@", "Muster", "Rue", "5550100", "192.0.2.17") if word in spooled]


def given_back(order: dict, **refund: object) -> list[dict]:
    times = {"date_created_gmt": "2026-11-02T09:04:41", "reason": "One tin dented"}
    return [record for _, record in refund_records(order, read({"id": 90560, **times, **refund}))]


def item(number: int, total: str, tax: str, **more: object) -> dict:
    named = {"id": 1, "key": "_refunded_item_id", "value": str(number)}
    return {"id": number + 500, "quantity": -1, "total": total, "total_tax": tax, "meta_data": [named], **more}


def test_a_refund_that_names_no_line_is_one_sum(order):
    assert given_back(order, amount="3.57", line_items=[]) == [
        {
            "refund_id": "90560",
            "order_id": "90412",
            "refunded_at": "2026-11-02T09:04:41Z",
            "country": "FR",
            "currency": "EUR",
            "amount": "3.57",
            "reason": "One tin dented",
        }
    ]


def test_a_refund_of_lines_is_a_record_for_each_without_tax(order):
    found = given_back(
        order,
        amount="26.80",
        line_items=[item(315, "-12.00", "-2.28", sku="TEA", quantity=-2), item(316, "0.00", "0.00", quantity=0)],
        shipping_lines=[item(317, "-4.90", "-0.93", quantity=None)],
        fee_lines=[item(318, "-1.00", "-0.19", quantity=0)],
    )
    assert [(row.get("line_id"), row.get("sku"), row.get("quantity"), row["amount"]) for row in found] == [
        ("315", "TEA", "2", "12.00"),
        ("shipping-317", "shipping", None, "4.90"),
        ("fee-318", "fee", None, "1.00"),
        (None, None, None, "5.50"),
    ]
    assert {row["refund_id"] for row in found} == {"90560"}


@pytest.mark.parametrize(
    ("amount", "expected"),
    [("14.28", ["12.00"]), ("14.285", ["12.00"]), ("14.00", ["12.00", "-0.28"]), (None, [None]), ("abc", ["abc"])],
)
def test_what_does_not_add_up_is_passed_on_to_be_seen(order, amount, expected):
    rows = given_back(order, amount=amount, line_items=[item(315, "-12.00", "-2.28")])
    assert [row["amount"] for row in rows] == expected


@pytest.mark.parametrize("broken", ["?", [3], [{"id": 3}], [item(315, "abc", "0")], {"a": "b"}])
def test_a_refund_with_items_that_are_none_comes_whole(order, broken):
    assert [row["amount"] for row in given_back(order, amount="3.57", line_items=broken)] == ["3.57"]


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"shipping": {"country": ""}}, "country", "DE"),
        ({"shipping": None}, "country", "DE"),
        ({"shipping": "FR"}, "country", "DE"),
        ({"customer_id": "0"}, "customer_id", None),
        ({"date_created_gmt": None}, "ordered_at", "2026-10-25T02:30:15"),
        ({"date_created_gmt": "2026-10-25T00:30:15Z"}, "ordered_at", "2026-10-25T00:30:15Z"),
        ({"date_created_gmt": {"at": "1"}}, "ordered_at", {"at": "1"}),
        ({"coupon_lines": []}, "coupon_code", None),
        ({"coupon_lines": [{"code": "a"}, "?", {"code": "b"}]}, "coupon_code", "a,b"),
        ({"coupon_lines": None}, "coupon_code", None),
        ({"meta_data": [{"key": ["?"]}, {"key": "_wc_order_attribution_utm_source"}]}, "utm_source", None),
        ({"total": ["48.29"]}, "total_amount", ["48.29"]),
        ({"id": None}, "order_id", None),
    ],
)
def test_headers(order, changes, field, expected):
    (header,) = [record for entity, record in order_records({**order, **changes}) if entity == "order"]
    assert header.get(field) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, ("2", "3.0000", "0.0000")),
        ({"total": "5.00"}, ("2", "3.0000", "1.0000")),
        ({"quantity": 3, "subtotal": "10.00", "total": "10.00"}, ("3", "3.3333", "-0.0001")),
        ({"quantity": 7, "subtotal": "99.99", "total": "0.00"}, ("7", "14.2843", "99.9901")),
        ({"quantity": 0, "subtotal": "4.00", "total": "4.00"}, ("0", "0", "-4.00")),
        ({"quantity": -1, "subtotal": "-6.00", "total": "-6.00"}, ("-1", "6.0000", "0.0000")),
        ({"quantity": 1.5}, ("1.5", "4.000", "0.0000")),
        ({"quantity": 1.5, "subtotal": "5.00", "total": "5.00"}, ("1.5", "3.333", "-0.0005")),
        ({"quantity": 20, "subtotal": "10.00", "total": "10.00"}, ("20", "0.5000", "0.0000")),
        ({"subtotal": 6.1, "total": 6.1}, ("2", "3.0500", "0.0000")),
        # What is no number is passed on in a field where it is refused.
        ({"quantity": "two"}, ("two", "6.00", None)),
        ({"subtotal": {"net": "6.00"}}, ("2", {"net": "6.00"}, None)),
        ({"total": "6,00"}, ("2", "6,00", None)),
        ({"total": "GONE"}, ("2", None, None)),
        ({"subtotal": "GONE"}, ("2", None, None)),
        ({"total": "1e3"}, ("2", "1e3", None)),
        ({"total": True}, ("2", True, None)),
    ],
)
def test_amounts(item, expected):
    made = line(**item)
    assert (made["quantity"], made["unit_price"], made.get("discount_amount")) == expected


@pytest.mark.parametrize(
    ("item", "sku"),
    [
        ({"sku": "A"}, "A"),
        ({"sku": "", "product_id": 5}, "product-5"),
        ({"sku": None, "product_id": 5, "variation_id": 6}, "product-6"),
        ({"sku": "GONE", "product_id": 5, "variation_id": 0}, "product-5"),
        ({"sku": "", "product_id": 0, "variation_id": 0}, "product-0"),
        ({"sku": ""}, None),
    ],
)
def test_goods_without_an_sku(item, sku):
    assert line(**item)["sku"] == sku


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"line_items": None}, {"line_items": None}),
        ({"line_items": {"1": {}}}, {"line_items": {"1": {}}}),
        ({"line_items": ["?"]}, {"line_items": "?"}),
        ({"fee_lines": "none"}, {"fee_lines": "none"}),
    ],
)
def test_lines_that_cannot_be_taken_apart_are_one_record_without_a_key(order, changes, left):
    broken = [each for each in lines({**order, **changes}) if "line_id" not in each]
    assert [{name: each[name] for name in left} for each in broken] == [left]


@pytest.mark.parametrize("record", [None, "text", ["list"], True])
def test_what_is_no_order_is_passed_on_as_it_is(record):
    assert list(order_records(record)) == [("order", record)]


def test_an_order_without_lines_is_a_header_alone(order):
    empty = {**order, "line_items": [], "shipping_lines": [], "fee_lines": []}
    assert [entity for entity, _ in order_records(empty)] == ["order"]


def test_the_rule_for_charges_is_a_rule():
    assert CHARGES.kind == "charge"
