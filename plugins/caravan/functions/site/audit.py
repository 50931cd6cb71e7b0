"""The site audit: every check of the catalogue asked of one crawl, with one of three outcomes.

fired: found something. passed: there was something to judge, and nothing was found. not evaluated: an input is absent,
nothing was there to judge, or the check itself is broken; that is never a pass. A broken check stops no other.

Where nothing was there to judge the check was asked all the same: what it had found before is over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

from caravan.config.site_checks import INPUTS, JUDGED, Check
from caravan.core.errors import Rejected

EVIDENCE_ITEMS = 20
"""Of one issue; how many there are in all is told beside them."""

_UNKNOWN = "is_unknown"
_OWN = frozenset(["page_key", "url", "affected_count", _UNKNOWN])
"""Columns of a check's rows that are no evidence."""

_log = logging.getLogger(__name__)

Outcome = Literal["fired", "passed", "not_evaluated"]


class Facts(Protocol):
    """One crawl as tables, with the views of the catalogue. Raises Rejected for SQL that fails."""

    @property
    def inputs(self) -> frozenset[str]:
        """Those of `INPUTS` that are there."""
        ...

    def count(self, rows: str) -> int:
        """Of a view, or of what else stands behind FROM."""
        ...

    def columns(self, sql: str, parameters: Mapping[str, object]) -> Sequence[str]:
        """What the rows of a SELECT are called; none is computed."""
        ...

    def record(self, sql: str, parameters: Mapping[str, object]) -> tuple[int, int, int]:
        """Keep the rows of a SELECT: how many are issues, how many they affect, and how many are places that cannot be
        judged."""
        ...


@dataclass(frozen=True)
class Verdict:
    """`judged_count`: rows of the check's view; None where it could not be asked. `reason`: why it was not evaluated,
    one sentence that also holds for several checks."""

    check: Check
    outcome: Outcome
    judged_count: int | None = None
    issue_count: int = 0
    affected_count: int = 0
    reason: str | None = None
    is_broken: bool = False
    """The check failed as such: a defect of the catalogue, or too little memory."""

    @property
    def was_asked(self) -> bool:
        """All that it needs was there; perhaps nothing to judge."""
        return self.judged_count is not None


def audit(facts: Facts, checks: Iterable[Check]) -> list[Verdict]:
    """Ask every check, in order. The issues are kept by `facts`."""
    return [_verdict(facts, check) for check in checks]


def _verdict(facts: Facts, check: Check) -> Verdict:
    absent = [INPUTS[name] for name in check.needs if name not in facts.inputs]
    if absent:
        return Verdict(check, "not_evaluated", reason=f"Without {_listed(absent)} this cannot be judged.")
    if check.sql is None or check.over is None:
        return Verdict(check, "not_evaluated", reason=f"Not built yet: it waits for {check.later}.")
    try:
        judged = facts.count(check.judges)
        if judged:
            parameters = {name: _number(limit) for name, limit in check.limits.items()}
            sql = issue_sql(check, facts.columns(check.sql, parameters))
            issues, affected, unknown = facts.record(sql, parameters)
            judged -= unknown
    except Rejected as error:
        _log.error("check %s is broken and was not evaluated: %s", check.id, error.message)
        return Verdict(check, "not_evaluated", reason=f"The check is broken: {error.message}", is_broken=True)
    if not judged:
        none = f"There was nothing to judge: the crawl found no {JUDGED.get(check.over, check.over)}."
        return Verdict(check, "not_evaluated", judged, reason=none)
    return Verdict(check, "fired" if issues else "passed", judged, issues, affected)


def issue_sql(check: Check, columns: Sequence[str]) -> str:
    """The issues of a check: what its rows of one place say, in one row. `is_unknown`: they only say that it cannot be
    judged. `columns`: of its rows.

    Raises Rejected where nothing says which place is meant.
    """
    place = next((name for name in ("page_key", "url") if name in columns), None)
    if place is None:
        raise Rejected("NO_PLACE", f"its rows have neither page_key nor url, but {', '.join(columns)}")
    sure = f" FILTER (WHERE NOT found.{_UNKNOWN})" if _UNKNOWN in columns else ""
    evidence = [name for name in columns if name not in _OWN]
    affected = ("SUM(found.affected_count)" if "affected_count" in columns else "COUNT(*)") + sure
    # The first in order of their text: the same whatever the threads did, and bounded while it is computed.
    packed = ", ".join(f'"{name}" := found."{name}"' for name in evidence)
    items = f"MIN(CAST(TO_JSON(STRUCT_PACK({packed})) AS VARCHAR), {EVIDENCE_ITEMS}){sure}" if evidence else "[]"
    return f"""
SELECT
    '{check.id}' AS check_id,
    {check.version} AS check_version,
    '{check.severity}' AS severity,
    '{check.category}' AS category,
    judged.market_code,
    judged.page_key,
    judged.url,
    CAST({affected} AS BIGINT) AS affected_count,
    '{{"total":' || CAST({affected} AS BIGINT) || ',"items":[' || ARRAY_TO_STRING({items}, ',') || ']}}' AS evidence,
    {f"BOOL_AND(found.{_UNKNOWN})" if sure else "FALSE"} AS {_UNKNOWN}
FROM (
{check.sql}
) AS found
INNER JOIN {check.judges} AS judged ON found.{place} = judged.{place}
GROUP BY judged.market_code, judged.page_key, judged.url
"""


def _number(limit: Decimal) -> int | float:
    return int(limit) if limit == limit.to_integral_value() else float(limit)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
