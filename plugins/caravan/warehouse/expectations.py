"""Runs suites of distribution checks: measured in the warehouse, judged by Great Expectations.

One query measures what a suite asks of every slice and part (a channel, a market); the rows stay where they are.
Great Expectations sees one row of measures for each slice and part, and judges all of them in one call: on the rows
themselves it takes 20 ms for each slice and channel, a minute for a first load (docs/decisions/0015). It is imported
on first use, by the first slice with rows enough to be judged: that costs about 6 CPU-seconds.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from caravan.warehouse.measures import Expectation, Limits, Suite, show_number, show_range
from caravan.warehouse.port import Session
from caravan.warehouse.quality import Outcome, QualityResult
from caravan.warehouse.slices import on_days
from caravan.warehouse.suites import check_suites, load_suites

__all__ = ["check_suites", "load_suites", "validate"]

ROWS_A_QUERY = 2_000_000
"""A median needs all its values at once: this many bound the memory."""


def validate(session: Session, suites: Sequence[Suite], slices: Mapping[str, Sequence[date]]) -> list[QualityResult]:
    """Judge the named slices (table to first days of slices); tables without a suite are passed over.

    One result per check, slice and part that has rows. A slice without rows has no result: that rows
    are missing is a matter of freshness and volume. Bad data raises nothing, an engine's failure does.
    """
    results: list[QualityResult] = []
    for table, days_of in {suite.table: suite.slice_column for suite in suites}.items():
        for days in _portions(session, table, days_of, sorted(set(slices.get(table, ())))):
            for suite in suites:
                if suite.table == table:
                    results.extend(_judge(suite, measure(session, suite, days)))
    return results


@dataclass(frozen=True)
class Measured:
    """A slice's part. `measures`: by check, in the order of `Expectation.measures`; None where there is no value."""

    day: date
    part: str | None
    row_count: int
    measures: Mapping[str, Sequence[float | None]]


def _portions(session: Session, table: str, slice_column: str, days: Sequence[date]) -> Iterator[list[date]]:
    """The days in runs of ROWS_A_QUERY rows, or one day."""
    if len(days) < 2:
        yield from ([day] for day in days)
        return
    counts: dict[date, int] = dict(
        session.rows(
            f"SELECT {slice_column}, COUNT(*) FROM {table} WHERE {on_days(slice_column, days)} GROUP BY {slice_column}"
        )
    )
    portion: list[date] = []
    row_count = 0
    for day in sorted(counts):
        if portion and row_count + counts[day] > ROWS_A_QUERY:
            yield portion
            portion, row_count = [], 0
        portion.append(day)
        row_count += counts[day]
    if portion:
        yield portion


def measure(session: Session, suite: Suite, days: Sequence[date]) -> list[Measured]:
    """Each slice and part that has rows, by day and part."""
    part = f"COALESCE({suite.part}, '')" if suite.part else "''"
    measures = [f"CAST({sql} AS DOUBLE)" for check in suite.expectations for sql in check.measures]
    condition = f" AND ({suite.where})" if suite.where else ""
    rows = session.rows(
        f"SELECT {suite.slice_column}, {part}, COUNT(*), {', '.join(measures)} FROM {suite.table} "
        f"WHERE {on_days(suite.slice_column, days)}{condition} GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return [_measured(suite, *row) for row in rows]


def _measured(suite: Suite, day: date, part: str, row_count: int, *values: float | None) -> Measured:
    # What is no finite number is no value that could lie within limits.
    left = (value if value is not None and math.isfinite(value) else None for value in values)
    measures = {check.name: [next(left) for _ in check.measures] for check in suite.expectations}
    return Measured(day, part if suite.part else None, row_count, measures)


def _judge(suite: Suite, found: Sequence[Measured]) -> Iterator[QualityResult]:
    is_any_judged = any(each.row_count >= check.min_rows for each in found for check in suite.expectations)
    verdicts = _run(suite, found) if is_any_judged else {}
    for index, slice_ in enumerate(found):
        for check in suite.expectations:
            outcome, checked, failed, message = _told(check, slice_, verdicts.get(check.name, ()), index)
            yield QualityResult(
                suite.table,
                check.name,
                "distribution",
                check.severity,
                slice_.day,
                slice_.part,
                outcome,
                checked,
                failed,
                message,
            )


Verdict = Sequence[frozenset[int]] | str
"""For each measure of a check the slices that are outside its limits, by their place; or why it cannot be judged."""


def _told(check: Expectation, slice_: Measured, verdict: Verdict, index: int) -> tuple[Outcome, int, int | None, str]:
    """Outcome, rows checked, rows that failed, and a sentence."""
    if slice_.row_count < check.min_rows:
        return "pass", 0, 0, f"not judged: {slice_.row_count} rows, at least {check.min_rows} needed"
    if isinstance(verdict, str):
        return "error", slice_.row_count, None, f"could not be computed: {verdict}"
    values = slice_.measures[check.name]
    if check.kind.row_wise:
        return _told_of_rows(check, slice_, is_failed=index in verdict[0])
    outside = [value is None or index in failed for value, failed in zip(values, verdict, strict=True)]
    lines = [
        _compared(says, value, limits, is_outside)
        for says, value, limits, is_outside in zip(check.says, values, check.limits, outside, strict=True)
        if is_outside or not any(outside)
    ]
    return check.severity if any(outside) else "pass", slice_.row_count, None, "; ".join(lines)


def _told_of_rows(check: Expectation, slice_: Measured, *, is_failed: bool) -> tuple[Outcome, int, int | None, str]:
    """`12 of 48 customer_id (25 %) are missing; at most 20 % may be`. Never shows a value: it may be personal."""
    known, fulfilling = (int(value or 0) for value in slice_.measures[check.name])
    if known == 0:
        return "pass", 0, 0, f"not judged: every {check.kwargs['column']} is missing"
    broken = known - fulfilling
    message = (
        f"{broken} of {known} {check.kwargs['column']} ({show_number(100 * broken / known, 2)} %) are {check.says[0]}; "
        f"at most {show_number(100 * (1 - check.kwargs['mostly']), 2)} % may be"
    )
    return check.severity if is_failed else "pass", known, broken, message


@cache
def _great_expectations() -> tuple[Any, Any]:
    """The module, and one batch definition that serves every frame of this process."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import: it would report to its vendor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gx = importlib.import_module("great_expectations")
        base = importlib.import_module("great_expectations.data_context.types.base")
    for name in ("great_expectations", base.__name__):  # the latter sets a level of its own
        logging.getLogger(name).setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = base.ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("slices").add_dataframe_asset("slices")
    return gx, asset.add_batch_definition_whole_dataframe("slices")


def _run(suite: Suite, found: Sequence[Measured]) -> dict[str, Verdict]:
    """By check. Beside others, slices with too few rows are judged as well: it costs nothing, and nobody looks."""
    gx, batches = _great_expectations()
    columns: dict[str, list[float]] = {}
    expectations = []
    for check in suite.expectations:
        judged = [_judged(check, slice_) for slice_ in found]
        for number, (low, high) in enumerate(check.limits):
            column = f"{check.name}_{number}"
            columns[column] = [math.nan if (value := values[number]) is None else value for values in judged]
            between = gx.expectations.ExpectColumnValuesToBeBetween
            expectations.append(between(column=column, min_value=low, max_value=high, meta={"column": column}))
    frame = importlib.import_module("pandas").DataFrame(columns, dtype="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers = batches.get_batch({"dataframe": frame}).validate(
            gx.ExpectationSuite(name="slices", expectations=expectations), result_format="COMPLETE"
        )
    outside = {answer.expectation_config.meta["column"]: _outside(answer) for answer in answers.results}
    verdicts: dict[str, Verdict] = {}
    for check in suite.expectations:
        columns_of = [outside[f"{check.name}_{number}"] for number in range(len(check.limits))]
        errors = [each for each in columns_of if isinstance(each, str)]
        verdicts[check.name] = errors[0] if errors else [each for each in columns_of if not isinstance(each, str)]
    return verdicts


def _judged(check: Expectation, slice_: Measured) -> Sequence[float | None]:
    """What is held against the limits: the measures, of a row-wise check the share of rows that fulfil it."""
    values = slice_.measures[check.name]
    if not check.kind.row_wise:
        return values
    known, fulfilling = values
    return [fulfilling / known if known and fulfilling is not None else None]


def _outside(answer: Any) -> frozenset[int] | str:
    """Places of the rows that are outside the limits, or what judging them raised."""
    error = _exception(answer.exception_info)
    if error is not None:
        return error
    places = frozenset(answer.result.get("unexpected_index_list") or ())
    return places if places or answer.success else "Great Expectations does not say where"


def _exception(info: Mapping[str, Any]) -> str | None:
    """What an expectation raised. Flat when nothing was, else (mostly) a dict keyed by metric."""
    flat = [info] if "raised_exception" in info else [item for item in info.values() if isinstance(item, Mapping)]
    for item in flat:
        if item.get("raised_exception"):
            return str(item.get("exception_message") or "no message").splitlines()[0]
    return None


def _compared(says: str, value: float | None, limits: Limits, is_outside: bool) -> str:
    """`mean of unit_price 812.4 is outside 0.5 to 500`."""
    if value is None:
        return f"{says}: there is no value at all; expected {show_range(limits)}"
    if None in limits:
        return f"{says} {show_number(value)} is {'not ' if is_outside else ''}{show_range(limits)}"
    return f"{says} {show_number(value)} is {'outside' if is_outside else 'within'} {show_range(limits)}"
