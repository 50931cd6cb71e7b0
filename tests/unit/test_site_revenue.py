"""What products earned in 28 days, or why nobody can say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from caravan.warehouse.site_inputs import NO_SALES, revenue

TODAY = date(2026, 3, 29)


class Sales:
    """A session over orders alone. `lines`: days before today, market, number, amount."""

    def __init__(self, *lines: tuple[int, str, str | None, str | None]) -> None:
        self.tables = duckdb.connect()
        self.tables.execute(
            "CREATE SCHEMA mart; CREATE TABLE mart.fct_order_line (order_local_date DATE, market_code VARCHAR,"
            " sku VARCHAR, net_before_refunds_amount_base DECIMAL(18, 4))"
        )
        for days, *line in lines:
            self.tables.execute(
                "INSERT INTO mart.fct_order_line VALUES (?, ?, ?, ?)", [TODAY - timedelta(days=days), *line]
            )

    def columns(self, table: str) -> Mapping[str, str]:
        return {"sku": "VARCHAR"} if table == "mart.fct_order_line" else {}

    def rows(self, sql: str, parameters: Mapping[str, Any] = {}) -> Sequence[tuple[Any, ...]]:
        return self.tables.execute(sql, dict(parameters)).fetchall()


def test_four_weeks_are_added_up_by_market_and_product():
    found = revenue(
        Sales(
            (29, "DE", "pot", "1000"), (28, "DE", "pot", "1"), (1, "DE", "pot", "2"), (5, "FR", "pot", "4"),
            (5, "DE", "cup", None), (5, "DE", None, "8"), (0, "DE", "pot", "1000"), (-1, "DE", "pot", "1000"),
        ), TODAY
    )  # fmt: skip
    assert found.problem is None
    assert found.amounts == {("DE", "pot"): Decimal(3), ("FR", "pot"): Decimal(4), ("DE", "cup"): Decimal(0)}


@pytest.mark.parametrize(
    ("days", "covered"),
    [
        ((40, 1), None),
        ((21, 1), None),
        ((20, 1), 20),  # they begin late
        ((40, 8), None),
        ((40, 9), 20),  # they end early
        ((40, 29), 0),
        ((1,), 1),
    ],
)
def test_what_fewer_days_earned_is_not_told_as_that_of_four_weeks(days, covered):
    found = revenue(Sales(*((each, "DE", "pot", "5") for each in days)), TODAY)
    problem = None if covered is None else f"the warehouse has sales of {covered} of the 28 days before"
    assert (found.problem, bool(found.amounts)) == (problem, covered is None)


def test_without_any_sale_nothing_is_known():
    assert revenue(Sales(), TODAY) == NO_SALES
    assert revenue(Sales((-3, "DE", "pot", "5")), TODAY) == NO_SALES
