"""A channel's rules as SQL."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from caravan.clients.file_drop.source import literal
from caravan.config.types import Condition, Rule
from caravan.core.entities import Entity, FieldType


def rule_condition(rule: Rule, entity: Entity, columns: Mapping[str, str]) -> str:
    """SQL that is true or false, never NULL. `columns`: canonical field to its typed column."""
    tests = [
        test
        for name, condition in rule.when.items()
        for test in _tests(columns[name], entity.field(name).type, condition)
    ]
    return f"coalesce({' AND '.join(tests)}, false)"


def _tests(column: str, kind: FieldType, condition: Condition) -> list[str]:
    tests: list[str] = []
    if condition.matches is not None:
        tests.append(f"regexp_matches(CAST({column} AS VARCHAR), {literal(condition.matches)})")
    if condition.equals is not None:
        tests.append(f"{column} = {_value(condition.equals, kind)}")
    if condition.one_of is not None:
        tests.append(f"{column} IN ({', '.join(_value(each, kind) for each in condition.one_of)})")
    if condition.below is not None:
        tests.append(f"{column} < {condition.below:f}")
    if condition.above is not None:
        tests.append(f"{column} > {condition.above:f}")
    if condition.missing is not None:
        tests.append(f"{column} IS {'' if condition.missing else 'NOT '}NULL")
    return tests


def _value(value: str | Decimal, kind: FieldType) -> str:
    return f"{Decimal(value):f}" if kind in ("money", "quantity") else literal(str(value))
