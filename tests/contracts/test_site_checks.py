"""Every implemented check of the catalogue fires on the page that has the defect, and passes where nothing has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixture_site import ORIGIN, tables_of

from caravan.clients.crawl.facts import CrawlFacts
from caravan.config.site_checks import CATEGORIES, Check, load_site_checks
from caravan.functions.site.audit import Verdict, audit

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "site_checks"


def _read(path: Path) -> dict[str, Any]:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {}


CATALOGUE = load_site_checks()
CASES: dict[str, Any] = {
    check_id: cases for path in sorted(FIXTURES.glob("*.yml")) for check_id, cases in _read(path).items()
}
IMPLEMENTED = [check for check in CATALOGUE.checks if check.is_implemented]


def judge(check: Check, case: dict[str, Any], tmp_path: Path) -> tuple[Verdict, list[dict[str, Any]]]:
    tables, inputs = tables_of(case)
    with CrawlFacts(tables, CATALOGUE.only([check.id]).script(), tmp_path, inputs, threads=1) as facts:
        (verdict,) = audit(facts, [check])
        return verdict, facts.issues().to_pylist()


def test_every_implemented_check_has_both_cases_and_no_other_has_any():
    assert {check.id for check in IMPLEMENTED} == set(CASES)
    assert {check_id: set(cases) for check_id, cases in CASES.items() if set(cases) != {"fires", "passes"}} == {}


def test_cases_stand_in_the_file_of_their_category():
    assert {path.stem for path in FIXTURES.glob("*.yml")} <= set(CATEGORIES)
    for path in FIXTURES.glob("*.yml"):
        assert {CATALOGUE[check_id].category for check_id in _read(path)} <= {path.stem}


@pytest.mark.parametrize("check", IMPLEMENTED, ids=lambda check: check.id)
def test_it_fires_where_the_defect_is(check, tmp_path):
    case = CASES[check.id]["fires"]
    verdict, issues = judge(check, case, tmp_path)
    assert verdict.outcome == "fired", verdict.reason
    expected = case["at"] if isinstance(case["at"], dict) else dict.fromkeys(case["at"], 1)
    assert {issue["url"].removeprefix(ORIGIN): issue["affected_count"] for issue in issues} == expected
    for issue in issues:
        evidence = json.loads(issue["evidence"])
        assert evidence["total"] == issue["affected_count"]
        assert len(evidence["items"]) <= 20
    for text in case.get("says", ()):
        assert text in "\n".join(issue["evidence"] for issue in issues)


@pytest.mark.parametrize("check", IMPLEMENTED, ids=lambda check: check.id)
def test_it_passes_where_it_is_not(check, tmp_path):
    verdict, issues = judge(check, CASES[check.id]["passes"], tmp_path)
    assert issues == []
    assert verdict.outcome == "passed", verdict.reason
