"""Repetitions, orders over midnight, rules, and the hashes that everything after parsing relies on."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from file_drop_case import LINE, LINE_FIELDS, Result, channel, csv_text, parse_bytes, parse_lines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caravan.clients.file_drop import repetition
from caravan.core.entities import ENTITIES, parsed_columns

KEYED = (*LINE_FIELDS, "updated_at")
HASHED = list(parsed_columns(ENTITIES["order_line"]))[3:]
"""All but row_number, row_key and payload_hash."""


@pytest.fixture(params=[2_000_000, 3], ids=["one pass", "many passes"])
def passes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repetition, "ROWS_PER_PASS", request.param)


# A second implementation of the hashes, from their description.


def md5(parts: list[str | None]) -> uuid.UUID:
    escaped = ["\x1e" if part is None else part.replace("\x1e", "\x1e0").replace("\x1f", "\x1e1") for part in parts]
    return uuid.UUID(hashlib.md5("\x1f".join(escaped).encode()).hexdigest())


def content(value: Any) -> str | None:
    if isinstance(value, datetime):
        whole = value.replace(tzinfo=UTC, microsecond=0)
        return str(int(whole.timestamp()) * 1_000_000 + value.microsecond)
    return None if value is None else str(value)


def payload(row: dict[str, Any]) -> uuid.UUID:
    return md5([content(row[name]) for name in HASHED])


def delivered(row: dict[str, Any]) -> uuid.UUID:
    """Without what configuration makes of it: a new rule or market must not make it another row."""
    derived = ("market_code", "country_code", "flow", "order_local_date", "amount", "line_kind", "line_rule")
    return md5([content(row[name]) for name in HASHED if name not in derived])


def test_a_new_rule_makes_a_new_version_of_the_same_row() -> None:
    rule = {"name": "gift", "when": {"sku": {"equals": LINE[LINE_FIELDS.index("sku")]}}, "kind": "charge"}
    before, after = (parse_lines([LINE], channel(key="none", rules=rules)).rows[0] for rules in ([], [rule]))
    assert (before["line_kind"], after["line_kind"]) == ("sale", "charge")
    assert before["row_key"] == after["row_key"]
    assert before["payload_hash"] != after["payload_hash"]


def test_the_hashes_of_one_row_never_change() -> None:
    """Stored rows carry these values: a change here makes every row of every warehouse a new version."""
    fields = (*LINE_FIELDS, "customer_id", "product_name", "discount_amount", "updated_at")
    line = (*LINE[:2], "2024-05-01 10:00:00.25", "Germany", *LINE[4:], "C7", "Größe; 靴下", "0.5", "2024-05-02")
    (row,) = parse_lines([line], channel(fields), fields).rows
    assert row["payload_hash"] == payload(row) == uuid.UUID("873dba8c-09f2-7249-0165-858d3d5fb8af")
    assert row["row_key"] == md5(["shop", "order_line", "A1", "1"]) == uuid.UUID("155baf13-61e5-1de3-caf1-b0ba0e04d1c5")
    (row,) = parse_lines([line], channel(fields, key="none"), fields).rows
    assert row["payload_hash"] == payload(row) == uuid.UUID("873dba8c-09f2-7249-0165-858d3d5fb8af")
    assert row["row_key"] == md5([str(delivered(row)), "1"]) == uuid.UUID("ea6f9a7a-42d4-b990-11ce-ce704f780a26")


def test_the_hash_tells_texts_apart_that_joining_would_confuse() -> None:
    fields = (*LINE_FIELDS, "product_name", "utm_source")
    pairs = [("a\x1fb", "c"), ("a", "b\x1fc"), ("a\x1e1b", "c"), ("", "\x1e"), ("\x1e", ""), ("", "")]
    lines = [(*LINE, *pair) for pair in pairs]
    result = parse_lines(lines, channel(fields, key="none"), fields)
    assert result.counts == (6, 6, 0, 0)
    assert [payload(row) for row in result.rows] == result.column("payload_hash")
    assert len(set(result.column("payload_hash"))) == 6


# Natural keys


def kept(result: Result) -> list[tuple[int, str]]:
    return [(row["row_number"], row["order_id"]) for row in result.rows]


def test_of_one_key_the_newest_row_stands(passes: None) -> None:
    updates = [
        ("A1", "2024-05-03"), ("A1", "2024-05-05"), ("A1", "2024-05-04"),  # the newest is in the middle
        ("A2", ""), ("A2", "2024-05-01"), ("A2", ""),  # a time is newer than none
        ("A3", ""), ("A3", ""),  # else the last
        ("A4", "2024-05-01"), ("A4", "2024-05-01"),
        ("A5", ""),
        (" A5\u200b", ""),  # cleaned to the same order id
    ]  # fmt: skip
    lines = [(order_id, *LINE[1:], updated_at) for order_id, updated_at in updates]
    result = parse_lines(lines, channel(KEYED), KEYED)
    assert kept(result) == [(2, "A1"), (5, "A2"), (8, "A3"), (10, "A4"), (12, "A5")]
    assert result.counts == (12, 5, 7, 0)
    assert len(set(result.column("row_key"))) == 5


def test_quarantined_rows_are_no_duplicates() -> None:
    result = parse_lines([LINE, (*LINE[:6], "x", "1"), (*LINE[:6], "3", "1")], channel())
    assert kept(result) == [(3, "A1")]
    assert (result.counts, result.reasons) == ((3, 1, 1, 1), [(2, "quantity", "NUMBER_INVALID")])


def test_orders_have_one_row_for_each_order_id() -> None:
    fields = ("order_id", "ordered_at", "updated_at", "country", "currency", "total_amount")
    rows = [
        ("A1", "2024-05-01", "2024-05-01", "DE", "EUR", "10.00"),
        ("A1", "2024-05-01", "2024-05-02", "DE", "EUR", "12.50"),
        ("A2", "2024-05-01", "", "DE", "EUR", "1.00001"),
        ("A3", "2024-05-01", "", "DE", "EUR", ""),
    ]
    result = parse_lines(rows, channel(fields, entity="order"), fields)
    assert [(row["order_id"], row["total_amount"]) for row in result.rows] == [("A1", Decimal("12.5000")), ("A3", None)]
    assert result.reasons == [(3, "total_amount", "TOO_MANY_DECIMALS")]
    assert result.counts == (4, 2, 1, 1)


# Rows without a key

REPEATED = [LINE, ("A2", *LINE[1:]), LINE, LINE, ("A2", *LINE[1:]), ("A3", *LINE[1:])]


def test_identical_rows_are_numbered_by_occurrence(passes: None) -> None:
    result = parse_lines(REPEATED, channel(key="none", duplicate_rows="keep"))
    assert result.counts == (6, 6, 0, 0)
    expected = [md5([str(delivered(row)), str(n)]) for row, n in zip(result.rows, [1, 1, 2, 3, 2, 1], strict=True)]
    assert result.column("row_key") == expected
    assert len(set(expected)) == 6


def test_identical_rows_may_be_dropped(passes: None) -> None:
    result = parse_lines(REPEATED, channel(key="none", duplicate_rows="drop"))
    assert kept(result) == [(1, "A1"), (2, "A2"), (6, "A3")]
    assert result.counts == (6, 3, 3, 0)
    assert result.column("row_key") == [md5([str(delivered(row)), "1"]) for row in result.rows]


def test_rows_that_differ_in_one_field_are_not_identical() -> None:
    lines = [LINE, (*LINE[:6], "2.01", LINE[7]), (*LINE[:2], "2024-05-01 10:00:00.000001", *LINE[3:])]
    assert parse_lines(lines, channel(key="none", duplicate_rows="drop")).counts == (3, 3, 0, 0)


# Orders over midnight


def test_an_order_over_midnight_has_the_date_of_its_earliest_line(passes: None) -> None:
    lines = [
        ("A1", "1", "2024-05-02 00:00:10", *LINE[3:]),
        ("A1", "2", "2024-05-01 23:59:50", *LINE[3:]),
        ("A1", "3", "2024-05-02 00:00:20", *LINE[3:]),
        ("A2", "1", "2024-05-02 00:00:20", *LINE[3:]),
        ("A3", "1", "2024-05-01 23:00:00", "JP", *LINE[4:]),  # 2 May in Tokyo, 1 May in UTC
        ("A3", "2", "2024-05-01 23:00:01", "BR", *LINE[4:]),
    ]
    result = parse_lines(lines, channel(settings={"zone": "Europe/Berlin", "business_zone": None}))
    first, second = date(2024, 5, 1), date(2024, 5, 2)
    assert result.column("order_local_date") == [first, first, first, second, second, second]
    assert result.column("payload_hash") == [payload(row) for row in result.rows]
    keys = [md5(["shop", "order_line", row["order_id"], row["line_id"]]) for row in result.rows]
    assert result.column("row_key") == keys
    assert (result.parsed.first_local_date, result.parsed.last_local_date) == (first, second)


@pytest.mark.parametrize("repeats", ["keep", "drop"])
def test_over_midnight_without_a_key_and_with_repetitions(passes: None, repeats: str) -> None:
    late, early = ("A1", "1", "2024-05-02 00:10:00", *LINE[3:]), ("A1", "1", "2024-05-01 23:50:00", *LINE[3:])
    of = channel(key="none", duplicate_rows=repeats, settings={"business_zone": "UTC"})
    result = parse_lines([late, early, late, ("A2", *LINE[1:])], of)
    assert set(result.column("order_local_date")) == {date(2024, 5, 1)}
    occurrence = {1: 1, 2: 1, 3: 2, 4: 1}
    assert [row["row_number"] for row in result.rows] == ([1, 2, 3, 4] if repeats == "keep" else [1, 2, 4])
    for row in result.rows:
        assert row["payload_hash"] == payload(row)
        assert row["row_key"] == md5([str(delivered(row)), str(occurrence[row["row_number"]])])


def test_a_left_out_version_does_not_date_the_order(passes: None) -> None:
    lines = [
        ("A1", "1", "2024-05-01 10:00:00", *LINE[3:], "2024-05-01"),
        ("A1", "1", "2024-05-03 10:00:00", *LINE[3:], "2024-05-03"),  # the order was moved
        ("A1", "2", "2024-05-03 10:00:00", *LINE[3:], "2024-05-03"),
    ]
    result = parse_lines(lines, channel(KEYED), KEYED)
    assert result.column("order_local_date") == [date(2024, 5, 3)] * 2
    assert result.counts == (3, 2, 1, 0)


# Rules

RULES: list[tuple[dict[str, Any], list[str]]] = [
    ({"order_id": {"matches": "^C"}}, ["C1"]),
    ({"sku": {"equals": "POST"}}, ["A2"]),
    ({"sku": {"one_of": ["POST", "FEE", "it's"]}}, ["A2", "A3"]),
    ({"quantity": {"below": "0"}}, ["A4", "C1"]),
    ({"quantity": {"above": "2"}}, ["A5"]),
    ({"unit_price": {"equals": "9.95"}}, ["A1", "A2", "A3", "A4", "A6", "C1"]),
    ({"quantity": {"below": "0"}, "order_id": {"matches": "^A"}}, ["A4"]),
    ({"customer_id": {"missing": True}}, ["A1", "A2", "A3", "A4", "A5", "C1"]),
    ({"customer_id": {"missing": False}}, ["A6"]),
    ({"customer_id": {"equals": "X"}}, ["A6"]),
    ({"customer_id": {"matches": "."}, "quantity": {"below": "100", "above": "1"}}, ["A6"]),
    ({"country": {"equals": "DE"}, "currency": {"equals": "EUR"}, "sku": {"matches": "(?i)^post"}}, ["A2"]),
]
RULED = (*LINE_FIELDS, "customer_id")
RULED_LINES = [
    (*LINE, ""), ("A2", *LINE[1:5], "POST", *LINE[6:], ""), ("A3", *LINE[1:5], "FEE", *LINE[6:], ""),
    ("A4", *LINE[1:6], "-1", LINE[7], ""), ("A5", *LINE[1:6], "5", "0", ""), ("A6", *LINE[1:], "X"),
    ("C1", *LINE[1:6], "-2", LINE[7], ""),
]  # fmt: skip


@pytest.mark.parametrize(("when", "expected"), RULES)
def test_conditions(when: dict[str, Any], expected: list[str]) -> None:
    rules = [{"name": "found", "when": when, "kind": "adjustment"}]
    result = parse_lines(RULED_LINES, channel(RULED, rules=rules), RULED)
    assert [row["order_id"] for row in result.rows if row["line_rule"] == "found"] == expected
    assert {row["line_kind"] for row in result.rows if row["line_rule"] is None} == {"sale"}
    assert result.parsed.rule_counts == {"found": len(expected)}


def test_the_first_rule_that_holds_decides() -> None:
    rules = [
        {"name": "cancelled", "when": {"order_id": {"matches": "^C"}}, "kind": "cancellation"},
        {"name": "strange", "when": {"customer_id": {"equals": "X"}}, "quarantine": "a customer who isn't one"},
        {"name": "correction", "when": {"quantity": {"below": "0"}}, "kind": "adjustment"},
        {"name": "charge", "when": {"sku": {"matches": "POST|FEE"}}, "kind": "charge"},
        {"name": "never", "when": {"sku": {"equals": "nothing"}}, "quarantine": "never"},
    ]
    lines = [*RULED_LINES, RULED_LINES[1]]
    result = parse_lines(lines, channel(RULED, rules=rules, key="none"), RULED)
    assert {row["order_id"]: (row["line_kind"], row["line_rule"]) for row in result.rows} == {
        "A1": ("sale", None),
        "A2": ("charge", "charge"),
        "A3": ("charge", "charge"),
        "A4": ("adjustment", "correction"),
        "A5": ("sale", None),
        "C1": ("cancellation", "cancelled"),
    }
    assert result.reasons == [(6, "customer_id", "RULE_STRANGE")]
    assert result.quarantined[0]["message"] == "a customer who isn't one"
    # A repetition left out later is counted too.
    assert result.parsed.rule_counts == {"cancelled": 1, "strange": 1, "correction": 1, "charge": 3, "never": 0}
    assert result.counts == (8, 6, 1, 1)


@pytest.mark.parametrize(
    ("key", "change", "names_its_row"),
    [
        ("natural", {"quantity": "two"}, True),
        ("natural", {"order_id": " A1 ", "country": "Atlantis"}, True),
        ("natural", {"line_id": ""}, False),
        ("natural", {"order_id": ""}, False),
        ("none", {"quantity": "two"}, False),
    ],
)
def test_a_quarantined_row_names_the_row_it_stands_for(key: str, change: dict[str, str], names_its_row: bool) -> None:
    good = dict(zip(LINE_FIELDS, LINE, strict=True))
    lines = [list(good.values()), list((good | change).values())]
    result = parse_lines(lines, channel(LINE_FIELDS, key=key), LINE_FIELDS)
    assert len(result.rows) == len(result.quarantined) == 1
    assert (result.quarantined[0]["row_key"] == result.rows[0]["row_key"]) is names_its_row
    assert (result.quarantined[0]["row_key"] is not None) is names_its_row


def test_a_header_may_cancel_its_order() -> None:
    fields = ("order_id", "ordered_at", "country", "currency", "status")
    lines = [(f"A{n}", "2024-05-01", "DE", "EUR", status) for n, status in enumerate(("Paid", "CANCELLED", ""))]
    rules = [{"name": "called_off", "when": {"status": {"equals": "cancelled"}}, "kind": "cancellation"}]
    result = parse_lines(lines, channel(fields, entity="order", rules=rules), fields)
    assert result.column("order_kind") == ["sale", "cancellation", "sale"]
    assert result.column("order_rule") == [None, "called_off", None]
    assert result.parsed.rule_counts == {"called_off": 1}


def test_rules_may_quarantine_orders() -> None:
    fields = ("order_id", "ordered_at", "country", "currency", "total_amount")
    rules = [{"name": "worthless", "when": {"total_amount": {"equals": "0"}}, "quarantine": "no value"}]
    lines = [("A1", "2024-05-01", "DE", "EUR", "0.00"), ("A2", "2024-05-01", "DE", "EUR", "1")]
    result = parse_lines(lines, channel(fields, entity="order", rules=rules), fields)
    assert (result.reasons, result.parsed.rule_counts) == ([(1, "total_amount", "RULE_WORTHLESS")], {"worthless": 1})
    assert result.column("order_id") == ["A2"]


# Whatever comes

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
ANY_LINE = st.tuples(
    st.sampled_from(["A1", "A2", "C1", ""]) | ANY_TEXT,
    st.sampled_from(["1", "2", ""]),
    st.sampled_from(["2024-05-01 23:59:59", "2024-05-02", "2030-01-01", "1.5.2024", ""]),
    st.sampled_from(["DE", "Japan", "nowhere", ""]),
    st.sampled_from(["EUR", "usd", "?"]),
    st.sampled_from(["S1", ""]) | ANY_TEXT,
    st.sampled_from(["1", "-2", "0.00001", "x"]),
    st.sampled_from(["9.95", "0.0001", "99999999999999", ""]),
    st.sampled_from(["2024-05-01", "2024-05-02", ""]),
)
SOURCES = [{"key": "natural"}, {"key": "none", "duplicate_rows": "keep"}, {"key": "none", "duplicate_rows": "drop"}]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=st.lists(ANY_LINE, max_size=12), source=st.sampled_from(SOURCES), ragged=st.booleans())
def test_every_row_is_accounted_for_and_parsing_is_repeatable(
    lines: list[tuple[str, ...]], source: dict[str, str], ragged: bool
) -> None:
    data = (csv_text([KEYED, *lines]) + ("A1,1\n" if ragged else "")).encode()
    rules = [{"name": "cancelled", "when": {"order_id": {"matches": "^C"}}, "kind": "cancellation"}]
    first, second = (parse_bytes(data, channel(KEYED, rules=rules, **source)) for _ in range(2))
    received, accepted, duplicate, quarantined = first.counts
    assert received == len(lines) + ragged == accepted + duplicate + quarantined
    assert (first.rows, first.quarantined, first.counts) == (second.rows, second.quarantined, second.counts)
    keys = first.column("row_key")
    assert len(set(keys)) == len(keys)
    assert first.column("payload_hash") == [payload(row) for row in first.rows]
    dates: dict[str, set[date]] = {}
    for row in first.rows:
        dates.setdefault(row["order_id"], set()).add(row["order_local_date"])
    assert all(len(each) == 1 for each in dates.values())
