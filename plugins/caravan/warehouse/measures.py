"""The expectations that suites may use: what each measures of a slice, as SQL, and how a person says it.

The names and their arguments are those of Great Expectations; so is what is measured (a test compares them on the same
rows), except that a quantile between two values is interpolated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from caravan.warehouse.quality import Severity

MIN_ROWS = 20
"""Below this a share or a mean says little: the slice is not judged."""

Limits = tuple[float | None, float | None]


@dataclass(frozen=True)
class Kind:
    """`sql`: the measure of all rows, or of a row-wise kind the condition that a row has to fulfil, where its column is
    not NULL."""

    says: str
    """Of the whole column (`mean of {column}`), or of the values that broke a row-wise check."""
    sql: str
    arguments: frozenset[str]
    column_is: Literal["any", "number", "text", "none"] = "any"
    """none: the expectation is about the table."""
    row_wise: bool = False


RANGE = frozenset({"min_value", "max_value"})
NOT_NULL = "expect_column_values_to_not_be_null"
_PERCENTILE = "PERCENTILE_CONT({fraction}) WITHIN GROUP (ORDER BY CAST({column} AS DOUBLE))"

KINDS: dict[str, Kind] = {
    "expect_column_mean_to_be_between": Kind("mean of {column}", "AVG({column})", RANGE, "number"),
    "expect_column_median_to_be_between": Kind(
        "median of {column}", _PERCENTILE.replace("{fraction}", "0.5"), RANGE, "number"
    ),
    "expect_column_stdev_to_be_between": Kind(
        "standard deviation of {column}", "STDDEV_SAMP({column})", RANGE, "number"
    ),
    "expect_column_sum_to_be_between": Kind("sum of {column}", "SUM({column})", RANGE, "number"),
    "expect_column_quantile_values_to_be_between": Kind(
        "{quantile} quantile of {column}", _PERCENTILE, frozenset({"quantile_ranges"}), "number"
    ),
    "expect_column_proportion_of_unique_values_to_be_between": Kind(
        "share of different {column} values",
        "COUNT(DISTINCT {column}) / NULLIF(CAST(COUNT({column}) AS DOUBLE), 0)",
        RANGE,
    ),
    "expect_column_unique_value_count_to_be_between": Kind(
        "number of different {column} values", "COUNT(DISTINCT {column})", RANGE
    ),
    "expect_table_row_count_to_be_between": Kind("number of rows", "COUNT(*)", RANGE, "none"),
    NOT_NULL: Kind("missing", "{column} IS NOT NULL", frozenset(), row_wise=True),
    "expect_column_values_to_be_between": Kind("outside {range}", "{within}", RANGE, "number", row_wise=True),
    "expect_column_values_to_be_in_set": Kind(
        "other than {value_set}", "{column} IN ({values})", frozenset({"value_set"}), "text", row_wise=True
    ),
    "expect_column_value_lengths_to_be_between": Kind(
        "not {range} characters long", "{length_within}", RANGE, "text", row_wise=True
    ),
}


@dataclass(frozen=True)
class Expectation:
    """One check. `kwargs`: as Great Expectations takes them, the column among them."""

    name: str
    type: str
    kwargs: Mapping[str, Any]
    severity: Severity = "fail"
    min_rows: int = MIN_ROWS

    @property
    def kind(self) -> Kind:
        return KINDS[self.type]

    @property
    def measures(self) -> list[str]:
        """SQL aggregates. Of a row-wise check: how many rows are judged, and how many of them fulfil it."""
        if not self.kind.row_wise:
            return [self.kind.sql.format(**words) for words in self._words()]
        (words,) = self._words()
        judged = "*" if self.type == NOT_NULL else words["column"]
        return [f"COUNT({judged})", f"COUNT(CASE WHEN {self.kind.sql.format(**words)} THEN 1 END)"]

    @property
    def says(self) -> list[str]:
        """For each limit: what is held against it; of a row-wise check, what is wrong with a row."""
        return [self.kind.says.format(**words) for words in self._words()]

    @property
    def limits(self) -> list[Limits]:
        """Of each measure; of a row-wise check, of the share of rows that fulfil it."""
        if self.kind.row_wise:
            return [(self.kwargs["mostly"], None)]
        if ranges := self.kwargs.get("quantile_ranges"):
            return [(low, high) for low, high in ranges["value_ranges"]]
        return [self._range]

    @property
    def _range(self) -> Limits:
        return self.kwargs.get("min_value"), self.kwargs.get("max_value")

    def _words(self) -> list[dict[str, str]]:
        """What the texts of the kind may mention, for each measure."""
        column, values = str(self.kwargs.get("column", "")), self.kwargs.get("value_set", ())
        words = {
            "column": column,
            "range": show_range(self._range),
            "within": _within(column, self._range),
            "length_within": _within(f"LENGTH({column})", self._range),
            "value_set": " or ".join(values),
            "values": ", ".join(_quoted(value) for value in values),
        }
        quantiles: Sequence[float] = self.kwargs.get("quantile_ranges", {}).get("quantiles", ())
        return [words | {"quantile": show_number(each, 8), "fraction": repr(each)} for each in quantiles] or [words]


@dataclass(frozen=True)
class Suite:
    """Checks over the same rows of one table."""

    table: str
    slice_column: str
    part: str | None
    where: str | None
    """A condition in portable SQL that keeps the rows to judge; None for all."""
    expectations: tuple[Expectation, ...]


def is_number_type(sql_type: str) -> bool:
    return sql_type.startswith("DECIMAL") or sql_type in ("BIGINT", "INTEGER", "DOUBLE")


def show_range(limits: Limits) -> str:
    low, high = limits
    if low is None:
        return f"at most {show_number(high)}" if high is not None else "any"
    return f"at least {show_number(low)}" if high is None else f"{show_number(low)} to {show_number(high)}"


def show_number(value: Any, digits: int = 4) -> str:
    return f"{float(value):.{digits}f}".rstrip("0").rstrip(".")


def _within(measured: str, limits: Limits) -> str:
    low, high = limits
    return " AND ".join(
        [f"{measured} >= {low!r}"] * (low is not None) + [f"{measured} <= {high!r}"] * (high is not None)
    )


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
