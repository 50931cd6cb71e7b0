"""Suites of distribution checks: what include/expectations may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from caravan import EXPECTATIONS_DIR, SQL_DIR
from caravan.core.errors import Misconfigured
from caravan.warehouse.catalog import load_models
from caravan.warehouse.expectations import check_suites, load_suites
from caravan.warehouse.measures import Expectation, Suite

MODELS = load_models(SQL_DIR)
TABLE = "stg.file_drop__order_line"
GOOD = """\
suites:
  - table: stg.file_drop__order_line
    part: channel_code
    expectations:
      - name: price_mean
        expectation: expect_column_mean_to_be_between
        column: unit_price
        min_value: 0.5
        max_value: 500
"""


def faults_of(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "sales.yml").write_text(text, encoding="utf-8")
    return [str(fault) for fault in check_suites(tmp_path, SQL_DIR)]


def test_the_shipped_suites_have_no_fault() -> None:
    assert check_suites(EXPECTATIONS_DIR, SQL_DIR) == []
    checks = [check for suite in load_suites(EXPECTATIONS_DIR, MODELS) for check in suite.expectations]
    assert len(checks) >= 5


def test_a_good_suite_is_read(tmp_path: Path) -> None:
    assert faults_of(tmp_path, GOOD) == []
    (suite,) = load_suites(tmp_path, MODELS)
    assert suite == Suite(
        table=TABLE,
        slice_column="order_local_date",
        part="channel_code",
        where=None,
        expectations=(
            Expectation(
                name="price_mean",
                type="expect_column_mean_to_be_between",
                kwargs={"column": "unit_price", "min_value": 0.5, "max_value": 500.0},
                severity="fail",
                min_rows=20,
            ),
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        ("suites:", "suite:", ":1 suite", "did you mean 'suites'?"),
        ("suites:", "- suites:", ":1", "is no mapping"),
        ("order_line\n", "order_lin\n", ":2 suites[0].table", "did you mean 'stg.file_drop__order_line'?"),
        ("stg.file_drop__order_line", "stg.config__market", ":2 suites[0].table", "has no slices"),
        ("stg.file_drop__order_line", "mart.fct_order_line", ":2 suites[0].table", "is no stg table"),
        ("part: channel_code", "part: market_code", ":3 suites[0].part", "judged as it is blocked: by channel_code"),
        ("part: channel_code", "parts: channel_code", ":3 suites[0].parts", "did you mean 'part'?"),
        ("part: channel_code", "where: (1", ":3 suites[0].where", "does not parse"),
        ("part: channel_code", "where: line_knd = 'sale'", ":3 suites[0].where", "did you mean 'line_kind'?"),
        ("part: channel_code", "where: SELECT 1", ":3 suites[0].where", "no query"),
        ("part: channel_code", "where: sku LIKE 'x%'", ":3 suites[0].where", "use starts_with"),
        ("column_mean_to", "column_men_to", ":6 suites[0].expectations[0].expectation", "; there are expect_"),
        (
            "column: unit_price",
            "column: unit_pric",
            ":7 suites[0].expectations[0].column",
            "did you mean 'unit_price'?",
        ),
        ("column: unit_price", "column: sku", ":7 suites[0].expectations[0].column", "a number, and sku is VARCHAR"),
        ("column: unit_price", "severity: warn", ":5 suites[0].expectations[0]", "needs column"),
        ("min_value: 0.5", "min_vale: 0.5", ":8 suites[0].expectations[0].min_vale", "did you mean 'min_value'?"),
        ("min_value: 0.5", "min_value: none", ":8 suites[0].expectations[0].min_value", "'none' is no number"),
        ("min_value: 0.5", "min_value: nan", ":8 suites[0].expectations[0].min_value", "'nan' is no number"),
        ("min_value: 0.5", "min_value: 501", ":5 suites[0].expectations[0]", "min_value 501 is above max_value 500"),
        ("min_value: 0.5", "severity: bad", ":8 suites[0].expectations[0].severity", "neither fail nor warn"),
        ("min_value: 0.5", "min_rows: 0", ":8 suites[0].expectations[0].min_rows", "no number of rows"),
        ("min_value: 0.5", "min_rows: 2.5", ":8 suites[0].expectations[0].min_rows", "no number of rows"),
        ("name: price_mean", "name: Price mean", ":5 suites[0].expectations[0].name", "lower case"),
        ("name: price_mean", "name: amount_known", ":5 suites[0].expectations[0].name", "already a check of"),
        ("name: price_mean", "severity: warn", ":5 suites[0].expectations[0]", "needs name"),
        ("min_value: 0.5", "column: sku", ":8 suites[0].expectations[0].column", "given twice"),
    ],
)
def test_faults_name_the_line_and_the_nearest_word(
    tmp_path: Path, old: str, new: str, where: str, message: str
) -> None:
    assert old in GOOD
    faults = faults_of(tmp_path, GOOD.replace(old, new))
    assert any(fault.split(": ")[0].endswith(where) and message in fault for fault in faults), faults


@pytest.mark.parametrize(
    ("expectation", "message"),
    [
        ("expect_column_values_to_not_be_null, column: sku", "a check in _models.yml"),
        ("expect_column_values_to_not_be_null, column: sku, mostly: 1", "a check in _models.yml"),
        ("expect_column_values_to_not_be_null, column: sku, mostly: 0.5, min_value: 1", "unknown key"),
        ("expect_column_values_to_be_in_set, column: sku, mostly: 0.5, value_set: a", "must be a list"),
        ("expect_column_values_to_be_in_set, column: quantity, mostly: 0.5, value_set: [a]", "needs text"),
        ("expect_column_mean_to_be_between, column: unit_price", "can never fail"),
        ("expect_table_row_count_to_be_between, column: sku, min_value: 1", "unknown key"),
        ("expect_column_quantile_values_to_be_between, column: quantity, quantile_ranges: 3", "must be a mapping"),
        (
            "expect_column_quantile_values_to_be_between, column: quantity, "
            "quantile_ranges: {quantiles: [0.5, 2], value_ranges: [[1, 5]]}",
            "2 quantiles and 1 value_ranges: give one range for each",
        ),
        (
            "expect_column_quantile_values_to_be_between, column: quantity, "
            "quantile_ranges: {quantiles: [2], value_ranges: [[1, 5]]}",
            "2 is no share from 0 to 1",
        ),
        (
            "expect_column_quantile_values_to_be_between, column: quantity, "
            "quantile_ranges: {quantiles: [0.5, null], value_ranges: [[1, 5], [1, 5]]}",
            "'null' is no number",
        ),
        ("expect_column_values_to_be_in_set, column: sku, mostly: 0.5, value_set: [a, null]", "must be text"),
        ("expect_column_values_to_be_in_set, column: sku, mostly: 0.5, value_set: [{a: b}]", "must be text"),
        (
            "expect_column_quantile_values_to_be_between, column: quantity, "
            "quantile_ranges: {quantiles: [0.5], value_ranges: [[5, 1]]}",
            "min_value 5 is above max_value 1",
        ),
    ],
)
def test_arguments_fit_the_expectation(tmp_path: Path, expectation: str, message: str) -> None:
    text = f"suites:\n- table: {TABLE}\n  expectations:\n  - {{name: x, expectation: {expectation}}}\n"
    faults = faults_of(tmp_path, text)
    assert any(message in fault for fault in faults), faults


def test_all_faults_of_all_files_come_in_one_report(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(GOOD.replace("unit_price", "unit_prize").replace("500", "x"), encoding="utf-8")
    (tmp_path / "b.yml").write_text("suites: no list", encoding="utf-8")
    with pytest.raises(Misconfigured, match="3 faults found"):
        load_suites(tmp_path, MODELS)


def test_one_name_stands_for_one_check_of_a_table(tmp_path: Path) -> None:
    (fault,) = faults_of(tmp_path, GOOD + GOOD.removeprefix("suites:\n"))
    assert "sales.yml:13 suites[1]" in fault and "stands already at" in fault and "sales.yml:5 suites[0]" in fault
