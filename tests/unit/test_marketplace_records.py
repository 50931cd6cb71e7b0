"""Rows of the marketplace's order report as canonical records."""

from __future__ import annotations

from pathlib import Path

import pytest

from caravan.clients.marketplace.records import COLUMNS, row_records
from caravan.clients.marketplace.report import Report, read_rows
from caravan.core.entities import ENTITIES
from caravan.core.errors import Rejected

ROW = {
    "amazon-order-id": "404-1234567-1234567",
    "purchase-date": "2026-10-25T00:30:15+00:00",
    "last-updated-date": "2026-11-02T09:04:41+00:00",
    "order-status": "Shipped",
    "product-name": "Mug",
    "sku": "MUG-1",
    "quantity": "2",
    "currency": "EUR",
    "item-price": "29.00",
    "item-tax": "4.63",
    "ship-country": "FR",
}


def lines(**changes: str) -> list[dict]:
    row = {**ROW, **{name.replace("_", "-"): value for name, value in changes.items()}}
    found = list(row_records(list(row), list(row.values()), 1))
    assert {entity for entity, _ in found} == {"order_line"}
    return [{name: value for name, value in line.items() if value is not None} for _, line in found]


def test_a_row():
    assert lines(item_promotion_discount="4.00", promotion_ids="AUTUMN-5") == [
        {
            "order_id": "404-1234567-1234567",
            "line_id": "item-1-MUG-1",
            "ordered_at": "2026-10-25T00:30:15+00:00",
            "updated_at": "2026-11-02T09:04:41+00:00",
            "status": "Shipped",
            "country": "FR",
            "currency": "EUR",
            "coupon_code": "AUTUMN-5",
            "sku": "MUG-1",
            "product_name": "Mug",
            "quantity": "2",
            "unit_price": "14.5000",
            "discount_amount": "4.0000",
            "tax_amount": "4.63",
        }
    ]


def test_every_field_is_one_of_the_entity():
    for line in lines(shipping_price="3.00", gift_wrap_price="1.00"):
        assert set(line) <= set(ENTITIES["order_line"].field_names)


def test_postage_and_gift_wrap_are_lines_of_their_own():
    _, *charges = lines(shipping_price="4.90", shipping_tax="0.78", ship_promotion_discount="4.90", gift_wrap_price="2")
    told = ("line_id", "sku", "quantity", "unit_price", "discount_amount", "tax_amount")
    assert [[line.get(name) for name in told] for line in charges] == [
        ["shipping-1-MUG-1", "shipping", "1", "4.90", "4.90", "0.78"],
        ["fee-1-MUG-1", "fee", "1", "2", None, None],
    ]


@pytest.mark.parametrize("price", ["", "0", "0.00"])
def test_no_postage_is_no_line(price):
    assert len(lines(shipping_price=price)) == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("2", "14.5000", "0.0000")),
        ({"item_promotion_discount": "29.00"}, ("2", "14.5000", "29.0000")),
        ({"quantity": "0", "item_price": "0.00"}, ("0", "0", "0.00")),
        ({"item_price": ""}, ("2", None, None)),
        ({"item_price": "29,00"}, ("2", "29,00", None)),
        ({"item_promotion_discount": "four"}, ("2", "four", None)),
        ({"quantity": "two"}, ("two", "29.00", None)),
    ],
)
def test_amounts(changes, expected):
    (line,) = lines(**changes)
    assert tuple(line.get(name) for name in ("quantity", "unit_price", "discount_amount")) == expected


def test_a_row_of_another_width_has_no_key():
    assert list(row_records(list(ROW), ["404-1", "x"], 0)) == [("order_line", {"cells": ["404-1", "x"]})]


def test_the_needed_columns_are_those_that_a_line_requires():
    assert set(COLUMNS) <= set(ROW)


@pytest.mark.parametrize(
    ("content", "charset", "code"),
    [
        (b"amazon-order-id\tsku\r\n\xfc\t1\r\n", "utf-8", "ENCODING_INVALID"),
        (b"amazon-order-id\tsku\r\n", "utf-99", "ENCODING_INVALID"),
        (b"a\t" + b"x" * (2 << 20), "utf-8", "REPORT_UNEXPECTED"),
    ],
    ids=["other bytes", "unknown encoding", "endless cell"],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content, charset, code):
    path = tmp_path / "report.txt"
    path.write_bytes(content)
    with pytest.raises(Rejected) as refused:
        list(read_rows(Report("50001", path, charset)))
    assert refused.value.code == code


def test_quotes_are_text_and_blank_lines_no_rows(tmp_path: Path):
    path = tmp_path / "report.txt"
    path.write_bytes(b'a\tb\r\n"1\t2"\r\n\r\n')
    assert list(read_rows(Report("50001", path, "utf-8"))) == [["a", "b"], ['"1', '2"']]
