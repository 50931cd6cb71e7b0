"""Structural checks of computed rows, before they replace anything: keys and row conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from caravan.warehouse.catalog import Check, Model
from caravan.warehouse.port import Session
from caravan.warehouse.quality import QualityResult
from caravan.warehouse.raw import ROWS_A_PASS, key_ranges

_KEY_CHECK = "key_unique"


@dataclass(frozen=True)
class Verdicts:
    """`failed`: slices and parts that must not be replaced, with the reason. `failed_whole`: the same
    for a model without slices."""

    results: tuple[QualityResult, ...] = ()
    failed: dict[tuple[date, str], str] = field(default_factory=dict)
    failed_whole: str | None = None

    def merged(self, other: Verdicts) -> Verdicts:
        return Verdicts(
            self.results + other.results, {**self.failed, **other.failed}, self.failed_whole or other.failed_whole
        )

    def summary(self) -> str:
        warned = sum(1 for result in self.results if result.outcome == "warn")
        blocked = len(self.failed) + (1 if self.failed_whole else 0)
        names = ", ".join(sorted({result.check_name for result in self.results if result.outcome == "warn"}))
        found = [f"{blocked} blocked"] * bool(blocked) + [f"{warned} warnings ({names})"] * bool(warned)
        return ", ".join(found) or "all checks passed"


def judge(session: Session, model: Model, relations: Sequence[str]) -> Verdicts:
    """Check the computed rows: the key is there and unique, each row condition holds.

    One passing result for each check; a failing one for each slice and part that fails.
    """
    verdicts = Verdicts()
    checks = (*_key_present(model), *model.checks)
    rows = [row for relation in relations for row in session.rows(_row_checks_sql(model, checks, relation))]
    checked = sum(row[2] for row in rows)
    for number, check in enumerate(checks):
        found = [
            _result(model, check.name, check.severity, row[0], row[1], row[2], row[3 + number])
            for row in rows
            if row[3 + number]
        ]
        verdicts = verdicts.merged(_verdicts(model, check.name, check.severity, checked, found))
    duplicates: list[QualityResult] = []
    for relation in _together(model, relations):
        total = int(session.row(f"SELECT COUNT(*) FROM {relation} AS q")[0])
        for condition in _passes(model, total):
            rows = session.rows(_duplicate_sql(model, relation, condition))
            duplicates += [_result(model, _KEY_CHECK, "fail", day, part, None, count) for day, part, count in rows]
    return verdicts.merged(_verdicts(model, _KEY_CHECK, "fail", 0, duplicates))


def _together(model: Model, relations: Sequence[str]) -> Sequence[str]:
    """Relations whose keys may repeat one another, as one."""
    if len(relations) < 2 or model.slice_column in model.key:
        return relations
    return ["(" + " UNION ALL ".join(f"SELECT r.* FROM {relation} AS r" for relation in relations) + ")"]


def judge_key_across_slices(
    session: Session, model: Model, relations: Sequence[str], stays: str, free: str
) -> Verdicts:
    """Check that no computed key stands in a row that stays. Inside the transaction that replaces.

    `stays`: the condition for rows `t` of the table that stay, `free`: for computed rows `q` that are to be written.
    """
    if not session.row(f"SELECT COUNT(*) FROM {model.name} AS t WHERE {stays}")[0]:
        return Verdicts()
    found: list[QualityResult] = []
    same = " AND ".join(f"t.{column} = q.{column}" for column in model.key)
    for relation in relations:
        rows = session.rows(
            f"SELECT {_where(model, 'q')}, COUNT(*) FROM {relation} AS q WHERE ({free}) AND EXISTS (SELECT 1 FROM "
            f"{model.name} AS t WHERE ({stays}) AND {same}) GROUP BY 1, 2"
        )
        found += [_result(model, _KEY_CHECK, "fail", day, part, None, count) for day, part, count in rows]
    return _verdicts(model, _KEY_CHECK, "fail", None, found)


def _key_present(model: Model) -> tuple[Check, ...]:
    return (Check("key_present", " AND ".join(f"{column} IS NOT NULL" for column in model.key), "fail"),)


def _where(model: Model, alias: str) -> str:
    """Slice and part of a row, for grouping."""
    day = f"{alias}.{model.slice_column}" if model.slice_column else "CAST(NULL AS DATE)"
    part = f"COALESCE({alias}.{model.part}, '')" if model.part else "CAST(NULL AS VARCHAR)"
    return f"{day} AS slice_date, {part} AS part_value"


def _row_checks_sql(model: Model, checks: Sequence[Check], relation: str) -> str:
    """Rows of slice, part, rows checked, then the rows that break each check: one scan for all."""
    broken = ", ".join(f"SUM(CASE WHEN {check.holds} THEN 0 ELSE 1 END)" for check in checks)
    return f"SELECT {_where(model, 'q')}, COUNT(*), {broken} FROM {relation} AS q GROUP BY 1, 2 ORDER BY 1, 2"


def _passes(model: Model, total: int) -> list[str]:
    """Conditions that split the keys into parts that fit in memory; a UUID key can be split."""
    kinds = {column.name: column.type for column in model.columns}
    splittable = [column for column in model.key if kinds.get(column) == "UUID"]
    if total <= ROWS_A_PASS or not splittable:
        return ["TRUE"]
    key = splittable[0]
    return [
        f"q.{key} >= CAST('{low}' AS UUID)" + (f" AND q.{key} < CAST('{high}' AS UUID)" if high else "")
        for low, high in key_ranges(-(-total // ROWS_A_PASS))
    ]


def _duplicate_sql(model: Model, relation: str, condition: str) -> str:
    """Slices and parts that hold a key more than once; a key over two slices fails both."""
    keys = ", ".join(f"q.{column}" for column in model.key)
    same = " AND ".join(f"q.{column} = d.{column}" for column in model.key)
    return (
        f"WITH d AS (SELECT {keys} FROM {relation} AS q WHERE {condition} GROUP BY {keys} HAVING COUNT(*) > 1) "
        f"SELECT {_where(model, 'q')}, COUNT(*) FROM {relation} AS q INNER JOIN d ON {same} GROUP BY 1, 2 ORDER BY 1, 2"
    )


def _result(
    model: Model, name: str, severity: str, day: date | None, part: str | None, checked: int | None, broken: int
) -> QualityResult:
    of = f" of {checked}" if checked is not None else ""
    what = "share a key" if name == _KEY_CHECK else f"break {name}"
    return QualityResult(
        model_name=model.name,
        check_name=name,
        kind="structure",
        severity="fail" if severity == "fail" else "warn",
        slice_date=day,
        part_value=part,
        outcome="fail" if severity == "fail" else "warn",
        checked_count=int(checked or 0),
        failed_count=int(broken),
        message=f"{int(broken)}{of} rows {what}",
    )


def _verdicts(model: Model, name: str, severity: str, checked: int | None, found: Sequence[QualityResult]) -> Verdicts:
    """`checked` None: say nothing when nothing was found."""
    if not found:
        if checked is None:
            return Verdicts()
        passed = QualityResult(
            model.name, name, "structure", "fail" if severity == "fail" else "warn", None, None, "pass", checked, 0, ""
        )
        return Verdicts((passed,))
    if severity != "fail":
        return Verdicts(tuple(found))
    if model.slice_column is None:
        return Verdicts(tuple(found), failed_whole=f"{name}: {found[0].message}")
    failed = {(r.slice_date, r.part_value or ""): f"{name}: {r.message}" for r in found if r.slice_date is not None}
    return Verdicts(tuple(found), failed)
