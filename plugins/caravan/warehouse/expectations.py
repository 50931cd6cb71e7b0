"""Runs suites of distribution checks with Great Expectations, one slice of a table at a time.

Each slice is one query; its rows become a pandas frame per part, and no more than one slice is in
memory. Great Expectations is imported on first use: it costs about 10 CPU-seconds, then about
0.04 s per part of a slice with five checks.
"""

from __future__ import annotations

import importlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

from caravan.warehouse.port import Row, Session
from caravan.warehouse.quality import Outcome, QualityResult
from caravan.warehouse.suites import Expectation, Suite, check_suites, is_number_type, load_suites

__all__ = ["check_suites", "load_suites", "validate"]


def validate(session: Session, suites: Sequence[Suite], slices: Mapping[str, Sequence[date]]) -> list[QualityResult]:
    """Judge the named slices (table to first days of slices); tables without a suite are passed over.

    One result per check, slice and part that has rows. A slice without rows has no result: that rows
    are missing is a matter of freshness and volume. Raises nothing for bad data.
    """
    results: list[QualityResult] = []
    for suite in suites:
        for day in sorted(set(slices.get(suite.table, ()))):
            for part, rows in _parts(session, suite, day).items():
                results.extend(_judge(suite, day, part, rows))
    return results


def _parts(session: Session, suite: Suite, day: date) -> dict[str | None, list[Row]]:
    """The slice's rows by part; the columns of a row are the part, then the suite's columns."""
    chosen = [f"COALESCE({suite.part}, '') AS part" if suite.part else "'' AS part"]
    # A frame holds Decimal as objects: 20 times slower, and Great Expectations refuses to average them.
    chosen += [f"CAST({c} AS DOUBLE) AS {c}" if is_number_type(t) else c for c, t in suite.columns.items()]
    condition = f" AND ({suite.where})" if suite.where else ""
    rows = session.rows(
        f"SELECT {', '.join(chosen)} FROM {suite.table} WHERE {suite.slice_column} = $slice_date{condition} ORDER BY 1",
        {"slice_date": day},
    )
    parts: dict[str | None, list[Row]] = {}
    for row in rows:
        parts.setdefault(str(row[0]) if suite.part else None, []).append(row[1:])
    return parts


def _judge(suite: Suite, day: date, part: str | None, rows: list[Row]) -> Iterator[QualityResult]:
    def result(check: Expectation, outcome: Outcome, checked: int, failed: int | None, message: str) -> QualityResult:
        return QualityResult(
            suite.table, check.name, "distribution", check.severity, day, part, outcome, checked, failed, message
        )

    due = [check for check in suite.expectations if len(rows) >= check.min_rows]
    found = _run(due, _frame(suite, rows)) if due else {}
    for check in suite.expectations:
        if check not in due:
            yield result(check, "pass", 0, 0, f"not judged: {len(rows)} rows, at least {check.min_rows} needed")
            continue
        answer = found.get(check.name)
        error = "Great Expectations gave no result" if answer is None else _exception(answer["exception_info"])
        if answer is None or error is not None:
            yield result(check, "error", len(rows), None, f"could not be computed: {error}")
            continue
        detail = answer["result"]
        checked = len(rows)
        if check.kind.row_wise:
            # Except for `not_be_null` a missing value breaks no row-wise check.
            checked = detail["element_count"] - detail.get("missing_count", 0)
        passed = bool(answer["success"])
        message = _row_wise_message(check, detail, checked) if check.kind.row_wise else _message(check, detail, passed)
        failed = detail["unexpected_count"] if check.kind.row_wise else None
        yield result(check, "pass" if passed else check.severity, checked, failed, message)


def _frame(suite: Suite, rows: list[Row]) -> Any:
    pandas = importlib.import_module("pandas")
    frame = pandas.DataFrame.from_records(rows, columns=list(suite.columns), index=range(len(rows)))
    # Stated types, since a column that is wholly missing would have none.
    kinds = {
        name: "float64" if is_number_type(sql_type) else "str" if sql_type == "VARCHAR" else "object"
        for name, sql_type in suite.columns.items()
    }
    return frame.astype(kinds)


@cache
def _great_expectations() -> tuple[Any, Any]:
    """The module, and one batch definition that serves every frame of this process."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import: it would report to its vendor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gx = importlib.import_module("great_expectations")
        bars = importlib.import_module("great_expectations.data_context.types.base").ProgressBarsConfig
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = bars(globally=False)
    asset = context.data_sources.add_pandas("slice").add_dataframe_asset("slice")
    return gx, asset.add_batch_definition_whole_dataframe("slice")


def _gx_suite(checks: Sequence[Expectation]) -> Any:
    gx, _ = _great_expectations()
    made = []
    for check in checks:
        name = "".join(word.capitalize() for word in check.type.split("_"))
        made.append(getattr(gx.expectations, name)(**check.kwargs, meta={"name": check.name}))
    return gx.ExpectationSuite(name="slice", expectations=made)


def _run(checks: Sequence[Expectation], frame: Any) -> dict[str, dict[str, Any]]:
    """success, result and exception_info by check name: results come in no order."""
    _, batches = _great_expectations()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers = batches.get_batch({"dataframe": frame}).validate(_gx_suite(checks), result_format="BASIC")
    return {
        answer.expectation_config.meta["name"]: {
            "success": answer.success,
            "result": answer.result,
            "exception_info": answer.exception_info,
        }
        for answer in answers.results
    }


def _exception(info: Mapping[str, Any]) -> str | None:
    """What an expectation raised. Flat when nothing was, else (mostly) a dict keyed by metric."""
    flat = [info] if "raised_exception" in info else [item for item in info.values() if isinstance(item, Mapping)]
    for item in flat:
        if item.get("raised_exception"):
            return str(item.get("exception_message") or "no message").splitlines()[0]
    return None


def _message(check: Expectation, detail: Mapping[str, Any], passed: bool) -> str:
    says = check.kind.says.format(**check.kwargs)
    if "quantile_ranges" in check.kwargs:
        ranges = check.kwargs["quantile_ranges"]
        values = detail["observed_value"]["values"]
        told = [
            f"{_number(quantile)} {_compared(says, value, limits, bool(good))}"
            for quantile, value, limits, good in zip(
                ranges["quantiles"], values, ranges["value_ranges"], detail["details"]["success_details"], strict=True
            )
            if passed or not good
        ]
        return "; ".join(told)
    limits = (check.kwargs.get("min_value"), check.kwargs.get("max_value"))
    return _compared(says, detail["observed_value"], limits, passed)


def _compared(says: str, value: Any, limits: Sequence[Any], passed: bool) -> str:
    """`mean of unit_price 812.4 is outside 0.5 to 500`."""
    if value is None or value != value:
        return f"{says}: there is no value at all; expected {_range(*limits)}"
    if None in limits:
        return f"{says} {_number(value)} is {'' if passed else 'not '}{_range(*limits)}"
    return f"{says} {_number(value)} is {'within' if passed else 'outside'} {_range(*limits)}"


def _row_wise_message(check: Expectation, detail: Mapping[str, Any], checked: int) -> str:
    """`12 of 48 customer_id (25 %) are missing; at most 20 % may be`. Never shows a value: it may be personal."""
    if checked == 0:
        return f"not judged: every {check.kwargs['column']} is missing"
    limits = _range(check.kwargs.get("min_value"), check.kwargs.get("max_value"))
    says = check.kind.says.format(
        range=limits,
        value_set=" or ".join(check.kwargs.get("value_set", ())),
        regex=check.kwargs.get("regex", ""),
    )
    share = 100 * detail["unexpected_count"] / checked
    allowed = 100 * (1 - check.kwargs["mostly"])
    return (
        f"{detail['unexpected_count']} of {checked} {check.kwargs['column']} ({_number(share, 2)} %) are {says}; "
        f"at most {_number(allowed, 2)} % may be"
    )


def _range(low: Any, high: Any) -> str:
    if low is None:
        return f"at most {_number(high)}" if high is not None else "any"
    return f"at least {_number(low)}" if high is None else f"{_number(low)} to {_number(high)}"


def _number(value: Any, digits: int = 4) -> str:
    return f"{float(value):.{digits}f}".rstrip("0").rstrip(".")
