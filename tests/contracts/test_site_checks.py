"""Every implemented check of the catalogue fires on the page that has the defect, and passes where nothing has it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from fixture_site import ORIGIN, tables_of

from caravan.clients.crawl import facts as facts_module
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


Judge = Callable[[Check, dict[str, Any]], tuple[Verdict, list[dict[str, Any]], list[str]]]
"""Its verdict, issues and the places that it cannot judge tonight."""


@pytest.fixture(scope="module")
def same_in_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with the empty tables and the lists of codes: to make them takes longer than to judge a case."""
    connection = facts_module._connect(tmp_path_factory.mktemp("facts"), "1GB", 1)
    facts_module._make_tables(connection, {}, {})
    facts_module._make_codes(connection)
    yield connection
    connection.close()


@pytest.fixture
def judge(same_in_all: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Judge:
    """Judges in a transaction that is never committed: no case sees what another wrote."""

    def connect(*_: object) -> duckdb.DuckDBPyConnection:
        return same_in_all.cursor().begin()

    def judged(check: Check, case: dict[str, Any]) -> tuple[Verdict, list[dict[str, Any]], list[str]]:
        tables, inputs = tables_of(case)
        with CrawlFacts(tables, CATALOGUE.only([check.id]).script(), tmp_path, inputs) as facts:
            (verdict,) = audit(facts, [check])
            unknown = facts.rows("SELECT check_id, url FROM unknown")
            assert {check_id for check_id, _ in unknown} <= {check.id}
            return verdict, facts.issues().to_pylist(), [url for _, url in unknown]

    monkeypatch.setattr(facts_module, "_connect", connect)
    monkeypatch.setattr(facts_module, "_empty_tables", lambda: "SELECT 1")
    monkeypatch.setattr(facts_module, "_make_codes", lambda connection: None)
    return judged


def test_a_case_leaves_nothing_to_the_next(judge: Judge, same_in_all: duckdb.DuckDBPyConnection) -> None:
    check = IMPLEMENTED[0]
    assert judge(check, CASES[check.id]["fires"])[0].outcome == "fired"
    found = same_in_all.execute("SELECT COUNT(*) FROM page").fetchall()
    made = same_in_all.execute("SELECT table_name FROM duckdb_tables() WHERE table_name = 'issue'").fetchall()
    assert (found, made) == ([(0,)], [])


def test_every_implemented_check_has_both_cases_and_no_other_has_any():
    assert {check.id for check in IMPLEMENTED} == set(CASES)
    expected = {
        check.id: {"fires", "passes"} | ({"unknown"} if "is_unknown" in str(check.sql) else set())
        for check in IMPLEMENTED
    }
    assert {check_id: set(cases) for check_id, cases in CASES.items()} == expected


def test_cases_stand_in_the_file_of_their_category():
    assert {path.stem for path in FIXTURES.glob("*.yml")} <= set(CATEGORIES)
    for path in FIXTURES.glob("*.yml"):
        assert {CATALOGUE[check_id].category for check_id in _read(path)} <= {path.stem}


@pytest.mark.parametrize("check", IMPLEMENTED, ids=lambda check: check.id)
def test_it_fires_where_the_defect_is(check, judge):
    case = CASES[check.id]["fires"]
    verdict, issues, unknown = judge(check, case)
    assert verdict.outcome == "fired", verdict.reason
    expected = case["at"] if isinstance(case["at"], dict) else dict.fromkeys(case["at"], 1)
    assert {issue["url"].removeprefix(ORIGIN): issue["affected_count"] for issue in issues} == expected
    assert not set(unknown) & {issue["url"] for issue in issues}
    for issue in issues:
        evidence = json.loads(issue["evidence"])
        assert evidence["total"] == issue["affected_count"]
        assert len(evidence["items"]) <= 20
    for text in case.get("says", ()):
        assert text in "\n".join(issue["evidence"] for issue in issues)


@pytest.mark.parametrize("check", IMPLEMENTED, ids=lambda check: check.id)
def test_it_passes_where_it_is_not(check, judge):
    verdict, issues, unknown = judge(check, CASES[check.id]["passes"])
    assert issues == unknown == []
    assert verdict.outcome == "passed", verdict.reason


@pytest.mark.parametrize("check_id", [check_id for check_id, cases in CASES.items() if "unknown" in cases])
def test_it_says_nothing_of_what_cannot_be_told_tonight(check_id, judge):
    case = CASES[check_id]["unknown"]
    verdict, issues, unknown = judge(CATALOGUE[check_id], case)
    assert sorted(url.removeprefix(ORIGIN) for url in unknown) == sorted(case["at"])
    assert issues == [] and verdict.outcome != "fired"
    assert verdict.was_asked and (verdict.outcome == "passed") == bool(verdict.judged_count)


@pytest.mark.parametrize(
    ("prefix", "below"),
    [
        ("/de", {"/de", "/de/", "/de/pots", "/de?a=1"}),
        ("/de/", {"/de/", "/de/pots"}),
        ("/de-", {"/de-at/"}),
        ("/", {"/", "/de", "/de/", "/de/pots", "/de?a=1", "/de-at/", "/design", "/de.html"}),
        (None, {"/", "/de", "/de/", "/de/pots", "/de?a=1", "/de-at/", "/design", "/de.html"}),
    ],
)
def test_a_market_has_the_pages_below_its_prefix(prefix, below, tmp_path):
    site = dict.fromkeys(("/", "/de", "/de/", "/de/pots", "/de?a=1", "/de-at/", "/design", "/de.html"), "")
    market = {"market_code": "DE", "prefix": prefix, "locales": ["de-DE"]}
    tables, inputs = tables_of({"site": site, "inputs": {"market": [market]}})
    with CrawlFacts(tables, CATALOGUE.script("page_market"), tmp_path, inputs, threads=1) as facts:
        found = facts.rows("SELECT url FROM page JOIN page_market USING (page_key) WHERE market_code = 'DE'")
    assert {url.removeprefix(ORIGIN) for (url,) in found} == below
