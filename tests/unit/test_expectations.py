"""Suites of distribution checks: what honest and broken slices give."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, cast

import duckdb
import pandas
import pytest

from caravan import EXPECTATIONS_DIR, SQL_DIR
from caravan.warehouse import expectations
from caravan.warehouse.catalog import load_models
from caravan.warehouse.expectations import load_suites, validate
from caravan.warehouse.measures import KINDS, Expectation, Suite
from caravan.warehouse.port import Row, Session
from caravan.warehouse.quality import QualityResult

MODELS = load_models(SQL_DIR)
TABLE = "stg.file_drop__order_line"
DAY = date(2026, 10, 1)


class MemorySession:
    """The one thing `validate` asks of a session, rows, from an in-memory DuckDB."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.asked = 0

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        self.asked += 1
        return self.connection.execute(sql, params).fetchall()


Line = dict[str, Any]


def honest_lines(channel: str, currency: str, count: int = 100) -> list[Line]:
    """Lines as a small shop has them; prices in yen are without cents."""
    dice = random.Random(f"{channel} {currency}")
    unit = {"JPY": 150, "CNY": 8}.get(currency, 1)
    return [
        {
            "channel_code": channel,
            "order_local_date": DAY,
            "order_id": f"{channel}-{number // 3}",
            "line_id": str(number),
            "customer_id": None if dice.random() < 0.4 else f"c{dice.randrange(40)}",
            "sku": f"sku-{dice.randrange(30):03d}",
            "product_name": "Teekanne",
            "quantity": Decimal(dice.randrange(1, 6)),
            "unit_price": Decimal(dice.randrange(300, 9000) * unit) / 100,
            "currency_code": currency,
            "line_kind": "sale" if dice.random() < 0.9 else "cancellation",
        }
        for number in range(count)
    ]


@pytest.fixture
def session() -> Iterator[MemorySession]:
    memory = MemorySession()
    memory.connection.execute("CREATE SCHEMA stg")
    memory.connection.execute(
        f"CREATE TABLE {TABLE} (channel_code VARCHAR, order_local_date DATE, order_id VARCHAR, line_id VARCHAR, "
        "customer_id VARCHAR, sku VARCHAR, product_name VARCHAR, quantity DECIMAL(18,4), unit_price DECIMAL(18,4), "
        "currency_code VARCHAR, line_kind VARCHAR)"
    )
    yield memory
    memory.connection.close()


def load(session: MemorySession, lines: list[Line]) -> None:
    names = list(lines[0])
    marks = ", ".join("?" for _ in names)
    session.connection.executemany(
        f"INSERT INTO {TABLE} ({', '.join(names)}) VALUES ({marks})", [list(line.values()) for line in lines]
    )


def judge(session: MemorySession, *suites: Suite) -> list[QualityResult]:
    suites = suites or load_suites(EXPECTATIONS_DIR, MODELS)
    return validate(cast(Session, session), suites, {TABLE: [DAY]})


def suite_of(*checks: Expectation, where: str | None = None) -> Suite:
    return Suite(TABLE, "order_local_date", "channel_code", where, checks)


def test_honest_slices_of_all_channels_pass(session: MemorySession) -> None:
    for channel, currency in [
        ("shop_de", "EUR"),
        ("shop_gb", "GBP"),
        ("market_jp", "JPY"),
        ("partner_ae", "AED"),
        ("cn", "CNY"),
    ]:
        load(session, honest_lines(channel, currency))
    results = judge(session)
    assert len(results) == 5 * 7
    assert {result.part_value for result in results} == {"shop_de", "shop_gb", "market_jp", "partner_ae", "cn"}
    assert [result for result in results if result.outcome != "pass" or result.checked_count == 0] == []


def _shift(line: Line) -> None:
    """The columns from sku on have moved by one: the price stands where the quantity was."""
    line["sku"], line["quantity"], line["unit_price"] = line["product_name"] * 8, line["unit_price"], Decimal(0)


@pytest.mark.parametrize(
    ("fault", "currency", "check", "message"),
    [
        (
            lambda line: line.update(unit_price=line["unit_price"] * 100),
            "EUR",
            "price_median",
            " is outside 0.2 to 1000",
        ),
        (
            lambda line: line.update(unit_price=line["unit_price"] * 100),
            "JPY",
            "price_median_tiny_unit",
            " is outside 50 to 50000",
        ),
        (
            lambda line: line.update(unit_price=line["unit_price"] * 100),
            "CNY",
            "price_median_small_unit",
            " is outside 1 to 5000",
        ),
        (
            lambda line: line.update(customer_id=None),
            "EUR",
            "customers_mostly_known",
            "100 of 100 customer_id (100 %) are missing; at most 95 % may be",
        ),
        (
            lambda line: line.update(line_kind="charge"),
            "EUR",
            "lines_mostly_sales",
            "100 of 100 line_kind (100 %) are other than sale; at most 50 % may be",
        ),
        (_shift, "EUR", "sku_length", "100 of 100 sku (100 %) are not 2 to 32 characters long; at most 10 % may be"),
        (_shift, "EUR", "price_median", "median of unit_price 0 is outside 0.2 to 1000"),
        (_shift, "EUR", "quantity_quantiles", "0.5 quantile of quantity "),
        (lambda line: line.update(order_id="1"), "EUR", "orders_differ", None),
        (
            lambda line: line.update(unit_price=None),
            "EUR",
            "price_median",
            "median of unit_price: there is no value at all; expected 0.2 to 1000",
        ),
    ],
)
def test_a_planted_fault_fails_in_its_channel_alone(
    session: MemorySession, fault: Callable[[Line], None], currency: str, check: str, message: str | None
) -> None:
    broken = honest_lines("broken", currency, count=100 if message else 600)
    for line in broken:
        fault(line)
    load(session, broken)
    load(session, honest_lines("shop_gb", "GBP"))
    failed = {result.check_name: result for result in judge(session) if result.outcome == "fail"}
    assert {result.part_value for result in failed.values()} == {"broken"}
    assert check in failed
    assert (message or "") in failed[check].message
    assert failed[check].kind == "distribution" and failed[check].slice_date == DAY


def test_a_marketplace_that_names_no_buyer_is_not_blocked_for_it(session: MemorySession) -> None:
    lines = honest_lines("market", "EUR")
    for number, line in enumerate(lines):
        line.update(customer_id=None, line_id=f"{('item', 'shipping')[number % 2]}-1-{number}")
    load(session, lines)
    assert not [result for result in judge(session) if result.outcome == "fail"]


def test_severity_decides_between_warn_and_fail(session: MemorySession) -> None:
    load(session, honest_lines("shop_de", "EUR"))
    limits = {"column": "quantity", "min_value": 900, "max_value": 1000}
    kind = "expect_column_mean_to_be_between"
    checks = (Expectation("a", kind, limits, "warn"), Expectation("b", kind, limits, "fail"))
    results = judge(session, suite_of(*checks))
    assert [(result.check_name, result.outcome, result.severity) for result in results] == [
        ("a", "warn", "warn"),
        ("b", "fail", "fail"),
    ]
    assert results[0].checked_count == 100 and results[0].failed_count is None


def test_what_great_expectations_refuses_to_judge_is_an_error_and_never_failed_data(session: MemorySession) -> None:
    load(session, honest_lines("shop_de", "EUR"))
    checks = (
        Expectation(
            "broken", "expect_column_mean_to_be_between", {"column": "quantity", "min_value": 9, "max_value": 1}
        ),
        Expectation("sound", "expect_column_values_to_not_be_null", {"column": "sku", "mostly": 0.9}),
    )
    results = judge(session, suite_of(*checks))
    assert [(result.check_name, result.outcome) for result in results] == [("broken", "error"), ("sound", "pass")]
    assert results[0].message == "could not be computed: min_value cannot be greater than max_value"


def test_where_all_is_too_little_the_library_is_not_asked(
    session: MemorySession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise AssertionError("it takes seconds to import")

    monkeypatch.setattr(expectations, "_great_expectations", refuse)
    load(session, honest_lines("shop_de", "EUR", 3))
    assert {(result.outcome, result.checked_count) for result in judge(session)} == {("pass", 0)}
    load(session, honest_lines("shop_de", "EUR", 300))
    with pytest.raises(AssertionError, match="seconds"):
        judge(session)


@pytest.mark.parametrize(
    ("count", "missing", "checked", "message"),
    [
        (19, 0, 0, "not judged: 19 rows, at least 20 needed"),
        (20, 0, 20, "0 of 20 sku (0 %) are not at least 3 characters long; at most 50 % may be"),
        (20, 8, 12, "0 of 12 sku (0 %) are not at least 3 characters long; at most 50 % may be"),
        (20, 20, 0, "not judged: every sku is missing"),
    ],
)
def test_too_little_is_not_judged(session: MemorySession, count: int, missing: int, checked: int, message: str) -> None:
    lines = honest_lines("shop_de", "EUR", count)
    for line in lines[:missing]:
        line["sku"] = None
    load(session, lines)
    kwargs = {"column": "sku", "min_value": 3, "mostly": 0.5}
    (result,) = judge(session, suite_of(Expectation("x", "expect_column_value_lengths_to_be_between", kwargs)))
    assert (result.outcome, result.checked_count, result.message) == ("pass", checked, message)


def test_where_keeps_to_some_rows_and_a_missing_part_is_a_part(session: MemorySession) -> None:
    load(session, [line | {"channel_code": None} for line in honest_lines("x", "EUR")])
    load(session, honest_lines("x", "GBP", 30))
    check = Expectation("x", "expect_table_row_count_to_be_between", {"min_value": 50}, "fail", 1)
    assert [(r.part_value, r.outcome, r.message) for r in judge(session, suite_of(check))] == [
        ("", "pass", "number of rows 100 is at least 50"),
        ("x", "fail", "number of rows 30 is not at least 50"),
    ]
    (only,) = judge(session, suite_of(check, where="currency_code = 'GBP'"))
    assert only.checked_count == 30


def test_nothing_is_said_about_slices_without_rows_or_tables_without_suites(session: MemorySession) -> None:
    load(session, honest_lines("shop_de", "EUR"))
    suites = load_suites(EXPECTATIONS_DIR, MODELS)
    assert validate(cast(Session, session), suites, {TABLE: [date(2026, 10, 2)], "mart.fct_order": [DAY]}) == []
    assert len(validate(cast(Session, session), suites, {TABLE: [DAY, DAY]})) == 7


def test_slices_are_measured_in_portions(session: MemorySession, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        load(session, [line | {"order_local_date": DAY + timedelta(days=number)} for line in honest_lines("a", "EUR")])
    days = [DAY + timedelta(days=number) for number in range(8)]
    suites = load_suites(EXPECTATIONS_DIR, MODELS)
    whole = validate(cast(Session, session), suites, {TABLE: days})
    assert len(whole) == 7 * 7
    monkeypatch.setattr(expectations, "ROWS_A_QUERY", 250)
    asked = session.asked
    again = validate(cast(Session, session), suites, {TABLE: days})
    assert sorted(map(repr, again)) == sorted(map(repr, whole))
    assert session.asked - asked == 1 + 4 * len(suites), "how many rows each day has, then two days at a time"


COLUMNS = {"number": "quantity", "text": "sku", "any": "customer_id", "none": None}
WIDE, NARROW = (0, 10_000), (2.9, 2.95)
SETS = ([f"sku-{number:03d}" for number in range(30)], ["sku-001", "it's"])


@pytest.mark.parametrize("holds", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_judges_as_great_expectations_does_of_the_rows(
    session: MemorySession, name: str, holds: bool
) -> None:
    lines = honest_lines("a", "EUR", 113)
    for line in lines[:12]:  # of the 101 that are left the median is a value
        line.update(sku=None, quantity=None, customer_id=None)
    load(session, lines)
    kind = KINDS[name]
    column = COLUMNS[kind.column_is]
    low, high = WIDE if holds else NARROW
    given: dict[str, Any] = {
        "min_value": low,
        "max_value": high,
        "value_set": SETS[0 if holds else 1],
        "quantile_ranges": {"quantiles": [0.5, 0.25], "value_ranges": [[low, high], [None, 5]]},
    }
    kwargs = {word: given[word] for word in kind.arguments} | ({"column": column} if column else {})
    kwargs |= {"mostly": 0.5 if holds else 0.95} if kind.row_wise else {}
    answer = answer_of_great_expectations(name, kwargs, lines)
    assert answer["success"] == holds
    (result,) = judge(session, suite_of(Expectation("x", name, kwargs)))
    assert result.outcome == ("pass" if holds else "fail"), (result.message, answer)
    found = answer["result"]
    if kind.row_wise:
        judged = found["element_count"] - found.get("missing_count", 0)
        assert (result.checked_count, result.failed_count) == (judged, found["unexpected_count"])
    else:
        (measured,) = expectations.measure(cast(Session, session), suite_of(Expectation("x", name, kwargs)), [DAY])
        observed = found["observed_value"]
        wanted = observed["values"] if isinstance(observed, dict) else [observed]
        assert measured.measures["x"] == pytest.approx([float(value) for value in wanted])
    assert "{" not in result.message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_what_is_no_finite_number_is_outside_every_limit(value: float | None) -> None:
    suite = suite_of(Expectation("x", "expect_column_mean_to_be_between", {"column": "quantity", "min_value": 0}))
    (result,) = expectations._judge(suite, [expectations._measured(suite, DAY, "a", 100, value)])
    assert result.outcome == "fail"
    assert result.message == "mean of quantity: there is no value at all; expected at least 0"


def test_a_quantile_is_measured_as_exactly_as_it_is_asked_for() -> None:
    ranges = {"quantiles": [0.99999, 0.00004], "value_ranges": [[0, 1], [0, 1]]}
    kwargs = {"column": "quantity", "quantile_ranges": ranges}
    check = Expectation("x", "expect_column_quantile_values_to_be_between", kwargs)
    assert [sql.split(" WITHIN")[0] for sql in check.measures] == ["PERCENTILE_CONT(0.99999)", "PERCENTILE_CONT(4e-05)"]
    assert check.says == ["0.99999 quantile of quantity", "0.00004 quantile of quantity"]


def answer_of_great_expectations(name: str, kwargs: Mapping[str, Any], lines: list[Line]) -> dict[str, Any]:
    """Its own verdict on the rows."""
    gx, batches = expectations._great_expectations()
    frame = pandas.DataFrame(lines).astype({"quantity": "float64"})
    made = getattr(gx.expectations, "".join(word.capitalize() for word in name.split("_")))(**kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(batches.get_batch({"dataframe": frame}).validate(made).to_json_dict())
