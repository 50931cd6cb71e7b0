"""What payment companies and carriers say of an order, through the parser: keys, kinds and signs of their own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from file_drop_case import Result, channel, csv_text, parse_text

from caravan.core.entities import ENTITIES

FIELDS = {
    "payment": {
        "payment_id": "P1", "order_id": "A1", "split_group_id": "", "paid_at": "2024-05-01 22:30:00", "status": "Done",
        "party": "PayPal", "payment_method": "card", "payer_id": "k", "country": "DE", "currency": "EUR", "amount": "5",
    },
    "shipment": {
        "shipment_id": "W1", "order_id": "A1", "shipped_at": "2024-05-01 22:30:00", "delivered_at": "2024-05-03 09:00",
        "status": "Done", "party": "DHL", "consignee_id": "k1", "country": "JP", "weight_kg": "1.25",
        "piece_count": "2", "currency": "EUR", "freight_amount": "4.90", "insured_amount": "50",
    },
    "offer": {
        "sku": "s1", "offered_at": "2024-05-01 22:30:00", "country": "DE", "currency": "EUR", "price": "9.99",
        "cost_amount": "4", "stock_count": "3", "availability": "In_Stock",
    },
}  # fmt: skip
"""A good row of each entity."""


def rows(entity: str, *changes: dict[str, str], without: Sequence[str] = (), **source: object) -> Result:
    """Good rows with these changes; columns `without` are not delivered at all."""
    fields = [name for name in FIELDS[entity] if name not in without]
    of = channel(fields, entity=entity, **source)
    lines = [[{**FIELDS[entity], **change}[name] for name in fields] for change in changes or ({},)]
    return parse_text(csv_text([fields, *lines]), of)


def test_a_payment_as_it_comes() -> None:
    (row,) = rows("payment", {"split_group_id": "s1"}).rows
    assert row["payment_local_date"].isoformat() == "2024-05-02", "half past midnight in Berlin"
    named = ("payment_id", "order_id", "split_group_id", "party", "payment_method", "payer_id", "country_code")
    assert [row[name] for name in named] == ["P1", "A1", "s1", "PayPal", "card", "k", "DE"]
    assert (row["status"], row["amount"], row["payment_kind"], row["payment_rule"]) == ("done", 5, "capture", None)


def test_a_shipment_as_it_comes() -> None:
    (row,) = rows("shipment").rows
    assert row["shipment_local_date"].isoformat() == "2024-05-02", "by the clock of where it goes to"
    named = ("shipment_id", "order_id", "party", "consignee_id", "country_code", "market_code", "status")
    assert [row[name] for name in named] == ["W1", "A1", "DHL", "k1", "JP", "JP", "done"]
    measured = ("weight_kg", "piece_count", "freight_amount", "insured_amount")
    assert [str(row[name]) for name in measured] == ["1.2500", "2.0000", "4.9000", "50.0000"]
    assert (row["delivered_at"].isoformat(), row["shipment_kind"]) == ("2024-05-03T09:00:00", "outbound")


def test_an_offer_as_it_comes() -> None:
    (row,) = rows("offer").rows
    assert row["offer_local_date"].isoformat() == "2024-05-02"
    assert (row["sku"], row["market_code"], row["availability"], row["stock_count"]) == ("s1", "DE", "in_stock", 3)
    assert (str(row["price"]), str(row["cost_amount"]), row["offer_kind"]) == ("9.9900", "4.0000", "offer")
    assert not {"order_id", "customer_id"} & row.keys()


REQUIRED = [
    ("payment", {"payment_id": ""}, "payment_id", "KEY_EMPTY"),
    ("payment", {"paid_at": ""}, "paid_at", "FIELD_MISSING"),
    ("payment", {"paid_at": "2099-05-01"}, "paid_at", "PAYMENT_IN_FUTURE"),
    ("payment", {"currency": "EURO"}, "currency", "CURRENCY_UNKNOWN"),
    ("payment", {"amount": ""}, "amount", "FIELD_MISSING"),
    ("payment", {"amount": "0"}, "amount", "SIGN_UNEXPECTED"),
    ("payment", {"amount": "-5"}, "amount", "SIGN_UNEXPECTED"),
    ("shipment", {"shipment_id": ""}, "shipment_id", "KEY_EMPTY"),
    ("shipment", {"shipped_at": ""}, "shipped_at", "FIELD_MISSING"),
    ("shipment", {"shipped_at": "2099-05-01"}, "shipped_at", "SHIPMENT_IN_FUTURE"),
    ("shipment", {"delivered_at": "soon"}, "delivered_at", "TIMESTAMP_INVALID"),
    ("shipment", {"weight_kg": "heavy"}, "weight_kg", "NUMBER_INVALID"),
    ("offer", {"sku": ""}, "sku", "KEY_EMPTY"),
    ("offer", {"offered_at": ""}, "offered_at", "KEY_EMPTY"),
    ("offer", {"offered_at": "today"}, "offered_at", "TIMESTAMP_INVALID"),
    ("offer", {"offered_at": "2099-05-01"}, "offered_at", "OFFER_IN_FUTURE"),
    ("offer", {"country": ""}, "country", "KEY_EMPTY"),
    ("offer", {"country": "Atlantis"}, "country", "COUNTRY_UNKNOWN"),
    ("offer", {"price": ""}, "price", "FIELD_MISSING"),
    ("offer", {"availability": "maybe"}, "availability", "AVAILABILITY_UNKNOWN"),
]


@pytest.mark.parametrize(("entity", "change", "field", "reason"), REQUIRED)
def test_what_is_quarantined(entity: str, change: dict[str, str], field: str, reason: str) -> None:
    assert rows(entity, {}, change).reasons == [(2, field, reason)]


OPTIONAL = [
    ("payment", ("order_id", "split_group_id", "status", "party", "payment_method", "payer_id", "country")),
    ("shipment", ("order_id", "delivered_at", "status", "party", "consignee_id", "country", "weight_kg", "currency")),
    ("shipment", ("piece_count", "freight_amount", "insured_amount")),
    ("offer", ("cost_amount", "stock_count", "availability")),
]


@pytest.mark.parametrize(("entity", "fields"), OPTIONAL)
def test_what_need_not_be_delivered(entity: str, fields: tuple[str, ...]) -> None:
    empty = rows(entity, dict.fromkeys(fields, ""))
    assert (empty.counts, rows(entity, without=fields).counts) == ((1, 1, 0, 0), (1, 1, 0, 0))
    columns = [ENTITIES[entity].field(name).column for name in fields]
    assert {empty.rows[0][column] for column in columns} == {None}


@pytest.mark.parametrize(("entity", "change"), [("payment", {"payment_id": "P2"}), ("shipment", {"shipment_id": "W2"})])
def test_a_row_is_named_by_its_own_number(entity: str, change: dict[str, str]) -> None:
    other = {"order_id": "A2", "status": "late"}
    result = rows(entity, {}, other, change)
    assert result.counts == (3, 2, 1, 0), "the last one with a number counts"
    assert result.column("order_id") == ["A2", "A1"]
    assert rows(entity).column("row_key") == rows(entity, other).column("row_key")


OFFERS_APART = [{"sku": "s2"}, {"country": "AT"}, {"offered_at": "2024-05-01 22:30:01"}]


def test_an_offer_is_named_by_product_country_and_moment() -> None:
    same = {"price": "8.00", "stock_count": "0", "offered_at": "2024-05-01T22:30:00Z", "country": "Germany"}
    result = rows("offer", {}, *OFFERS_APART, same)
    assert result.counts == (5, 4, 1, 0)
    assert len(set(result.column("row_key"))) == 4
    assert sorted(map(str, result.column("price"))) == ["8.0000", "9.9900", "9.9900", "9.9900"]


def test_a_quarantined_offer_keeps_its_last_good_version_where_its_key_is_readable() -> None:
    (good,) = rows("offer").column("row_key")
    bad = rows("offer", {"price": ""}, {"price": "", "offered_at": "today"}, {"country": "Atlantis"}, {"sku": "s\0"})
    assert [row["row_key"] for row in bad.quarantined] == [good, None, None, None]


CHARGEBACK = {"name": "taken_back", "when": {"status": {"equals": "dispute"}}, "kind": "chargeback"}
SIGNS = [
    # sign, amount of a capture, of a chargeback, what becomes of them
    ("positive", "5", "3", [(5, "capture"), (3, "chargeback")]),
    ("negative", "-5", "-3", [(5, "capture"), (3, "chargeback")]),
    ("signed", "5", "-3", [(5, "capture"), (3, "chargeback")]),
    ("signed", "-5", "3", []),
    ("positive", "5", "-3", [(5, "capture")]),
    ("signed", "0", "0", []),
]


@pytest.mark.parametrize(("sign", "capture", "chargeback", "expected"), SIGNS)
def test_amounts_are_above_0_and_the_kind_says_the_direction(
    sign: str, capture: str, chargeback: str, expected: list[tuple[int, str]]
) -> None:
    given = {"amount": capture}, {"payment_id": "P2", "status": "Dispute", "amount": chargeback}
    result = rows("payment", *given, sign=sign, rules=[CHARGEBACK])
    assert [(row["amount"], row["payment_kind"]) for row in result.rows] == expected
    assert {reason for _, _, reason in result.reasons} <= {"SIGN_UNEXPECTED"}
    assert len(result.reasons) == 2 - len(expected)


def test_a_rule_sees_the_amount_as_it_was_delivered() -> None:
    rule = {"name": "taken_back", "when": {"amount": {"below": 0}}, "kind": "chargeback"}
    result = rows("payment", {}, {"payment_id": "P2", "amount": "-3"}, sign="signed", rules=[rule])
    assert [(row["amount"], row["payment_kind"]) for row in result.rows] == [(5, "capture"), (3, "chargeback")]
    untold = rows("payment", {"amount": "-3"}, sign="signed")
    assert (
        untold.quarantined[0]["message"] == "'-3' is not above 0, or below it for a chargeback; `sign` says which it is"
    )
