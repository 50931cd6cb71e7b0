"""Refunds through the parser: the same layers as orders, with a moment, a day and a key of their own."""

from __future__ import annotations

import pytest
from file_drop_case import Result, channel, parse_text

from caravan.config.types import Channel
from caravan.core.entities import ENTITIES, REFUND, parsed_columns
from caravan.warehouse.raw_tables import RAW

FIELDS = ("refund_id", "order_id", "line_id", "refunded_at", "currency", "amount")
GOOD = "R1,A1,1,2024-05-01 10:00:00,EUR,5.00\n"


def refunds(*rows: str, of: Channel | None = None, fields: tuple[str, ...] = FIELDS, **source: object) -> Result:
    of = of or channel(fields, entity="refund", **source)
    return parse_text(",".join(fields) + "\n" + "".join(rows), of)


def test_a_refund_has_its_own_day() -> None:
    result = refunds(GOOD)
    assert result.rows[0]["refund_local_date"].isoformat() == "2024-05-01"
    assert (result.rows[0]["market_code"], result.rows[0]["amount"]) == (None, 5)
    assert not {"order_local_date", "flow"} & parsed_columns(REFUND).keys()
    assert RAW["raw.file_drop__refund"].date_column == "refund_local_date"


def test_a_rule_tells_postage_from_goods() -> None:
    rule = {"name": "postage", "when": {"line_id": {"equals": "P"}}, "kind": "charge"}
    result = refunds(GOOD, GOOD.replace(",1,", ",P,"), rules=(rule,))
    assert sorted(zip(result.column("line_id"), result.column("refund_kind"), strict=True)) == [
        ("1", "sale"),
        ("P", "charge"),
    ]


LATE = "2024-05-01 22:30:00"
"""Half past midnight in Berlin, morning in Tokyo, evening in New York."""


@pytest.mark.parametrize(
    ("settings", "country", "day"),
    [
        ({}, "DE", "2024-05-02"),
        ({}, "", "2024-05-01"),
        ({"zone": "Europe/Berlin"}, "", "2024-05-01"),  # 22:30 there
        ({"zone": "America/New_York"}, "", "2024-05-01"),
        ({}, "BR", "2024-05-01"),  # ZZ, whose zone is UTC
        ({"market": "JP"}, "DE", "2024-05-02"),
        ({"business_zone": "America/New_York", "market": "JP"}, "DE", "2024-05-01"),
    ],
)
def test_the_local_day_is_the_channels_or_the_countrys(settings: dict[str, str], country: str, day: str) -> None:
    fields = (*FIELDS, "country")
    of = channel(fields, entity="refund", settings=settings)
    result = refunds(f"R1,A1,1,{LATE},EUR,5.00,{country}\n", of=of, fields=fields)
    assert [each.isoformat() for each in result.column("refund_local_date")] == [day]


def test_without_a_country_the_day_is_that_of_the_channels_zone() -> None:
    of = channel(FIELDS, entity="refund", settings={"zone": "Asia/Tokyo"})
    result = refunds("R1,A1,1,2024-05-01T23:00:00Z,EUR,5.00\n", of=of)
    assert [each.isoformat() for each in result.column("refund_local_date")] == ["2024-05-02"]


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        (",A1,1,2024-05-01,EUR,5\n", "refund_id", "KEY_EMPTY"),
        ("R1,,1,2024-05-01,EUR,5\n", "order_id", "FIELD_MISSING"),
        ("R1,A1,1,,EUR,5\n", "refunded_at", "FIELD_MISSING"),
        ("R1,A1,1,2024-05-01,,5\n", "currency", "FIELD_MISSING"),
        ("R1,A1,1,2024-05-01,EUR,\n", "amount", "FIELD_MISSING"),
        ("R1,A1,1,2024-05-01,EUR,-5\n", "amount", "SIGN_UNEXPECTED"),
        ("R1,A1,1,2024-05-01,EUR,0.00\n", "amount", "SIGN_UNEXPECTED"),
        ("R1,A1,1,2099-05-01,EUR,5\n", "refunded_at", "REFUND_IN_FUTURE"),
    ],
)
def test_what_is_quarantined(row: str, field: str, reason: str) -> None:
    assert refunds(GOOD, row).reasons == [(2, field, reason)]


def test_a_channel_that_writes_refunds_as_negative_amounts_says_so() -> None:
    result = refunds(GOOD.replace("5.00", "-5.00"), GOOD.replace("R1", "R2"), sign="negative")
    assert result.column("amount") == [5]
    assert result.reasons == [(2, "amount", "SIGN_UNEXPECTED")]
    assert result.quarantined[0]["message"] == "'5.00' is not below 0; `sign` says which it is"


def test_a_refund_is_named_by_its_number_and_the_line_where_there_is_one() -> None:
    whole = GOOD.replace("A1,1,", "A1,,")
    result = refunds(GOOD, GOOD.replace("A1,1,", "A1,2,"), whole, whole.replace("5.00", "6.00"))
    assert result.counts == (4, 3, 1, 0)
    assert sorted(result.column("amount")) == [5, 5, 6]
    fields = tuple(name for name in FIELDS if name != "line_id")
    unmapped = refunds("R1,A1,2024-05-01 10:00:00,EUR,6.00\n", fields=fields)
    assert unmapped.column("row_key") == [row["row_key"] for row in result.rows if row["amount"] == 6]


def test_without_a_key_refunds_that_differ_in_their_amount_are_two() -> None:
    result = refunds(GOOD, GOOD.replace("5.00", "6.00"), GOOD, key="none", duplicate_rows="keep")
    assert result.counts == (3, 3, 0, 0)
    assert len(set(result.column("row_key"))) == 3


def test_rules_set_refunds_aside() -> None:
    rules = [{"name": "pending", "when": {"status": {"equals": "pending"}}, "quarantine": "not paid out yet"}]
    fields = (*FIELDS, "status")
    of = channel(fields, entity="refund", rules=rules)
    result = refunds(GOOD.strip() + ",Pending\n", GOOD.strip() + ",done\n", of=of, fields=fields)
    assert result.reasons == [(1, "status", "RULE_PENDING")]
    assert result.parsed.rule_counts == {"pending": 1}


def test_every_entity_has_a_moment_and_a_table() -> None:
    for name, entity in ENTITIES.items():
        assert entity.field(entity.moment).required
        assert RAW[f"raw.file_drop__{name}"].date_column in parsed_columns(entity)
