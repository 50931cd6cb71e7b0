"""What a check found, in one form for structural and distribution checks: a row of `ops.quality_result`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

CheckKind = Literal["structure", "distribution"]
Severity = Literal["fail", "warn"]
Outcome = Literal["pass", "warn", "fail", "error"]


@dataclass(frozen=True)
class QualityResult:
    """One check on one slice, or one part of a slice.

    outcome: `warn` or `fail` when the data broke the check, as its severity says; `error` when the
    check itself could not be computed, which says nothing about the data.
    """

    model_name: str
    check_name: str
    kind: CheckKind
    severity: Severity
    slice_date: date | None
    """None for a model without slices."""
    part_value: str | None
    """The value of the model's part column, e.g. a channel; None when the check covers the whole slice."""
    outcome: Outcome
    checked_count: int
    """Rows judged; 0 with outcome `pass` when there were too few to judge."""
    failed_count: int | None
    """Rows that broke the check; None where it judges rows together, as a mean does."""
    message: str
