"""What suites measure is the same on both engines: each kind, on rows whose measures one can work out by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from caravan.warehouse.expectations import measure
from caravan.warehouse.measures import KINDS, Expectation, Suite
from caravan.warehouse.port import Warehouse

DAY = date(2026, 3, 2)
ROWS = [("1.5000", "a"), ("2.5000", "it''s"), ("2.5000", "a"), ("9.5000", "äöü"), (None, None)]
WORDS: dict[str, Any] = {
    "expect_column_mean_to_be_between": ({}, [4]),
    "expect_column_median_to_be_between": ({}, [2.5]),
    "expect_column_stdev_to_be_between": ({}, [13.666666666666666**0.5]),
    "expect_column_sum_to_be_between": ({}, [16]),
    "expect_column_quantile_values_to_be_between": (
        {"quantile_ranges": {"quantiles": [0.5, 0.9], "value_ranges": [[1, 2], [1, None]]}},
        [2.5, 2.5 + 0.7 * 7],
    ),
    "expect_column_proportion_of_unique_values_to_be_between": ({}, [0.75]),
    "expect_column_unique_value_count_to_be_between": ({}, [3]),
    "expect_table_row_count_to_be_between": ({}, [5]),
    "expect_column_values_to_not_be_null": ({}, [5, 4]),
    "expect_column_values_to_be_between": ({"min_value": 2.0, "max_value": 9.5}, [4, 3]),
    "expect_column_values_to_be_in_set": ({"value_set": ["a", "it's"]}, [4, 3]),
    "expect_column_value_lengths_to_be_between": ({"min_value": 3.0}, [4, 2]),
}


def test_every_kind_is_here() -> None:
    assert WORDS.keys() == KINDS.keys()


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_measures_the_same_on_both_engines(warehouse: Warehouse, name: str) -> None:
    kwargs, expected = WORDS[name]
    column = {"text": "sku", "number": "price", "any": "price", "none": None}[KINDS[name].column_is]
    kwargs = {**kwargs, "column": column, "mostly": 0.5} if column else kwargs
    suite = Suite("stg.measured", "day", "channel", "channel <> 'other'", (Expectation("x", name, kwargs),))
    with warehouse.write() as session:
        session.execute("CREATE TABLE stg.measured (day DATE, channel VARCHAR, price DECIMAL(18, 4), sku VARCHAR)")
        for channel in ("shop", "other"):
            rows = ", ".join(
                f"(CAST('{DAY}' AS DATE), '{channel}', CAST({price or 'NULL'} AS DECIMAL(18, 4)), "
                + (f"'{sku}')" if sku else "NULL)")
                for price, sku in ROWS
            )
            session.execute(f"INSERT INTO stg.measured (day, channel, price, sku) VALUES {rows}")
        (found,) = measure(session, suite, [DAY])
    assert (found.day, found.part, found.row_count) == (DAY, "shop", 5)
    assert found.measures["x"] == pytest.approx(expected)
