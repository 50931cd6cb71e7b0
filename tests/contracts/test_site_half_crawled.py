"""A crawl that did not come to every page tells nothing of what it has not seen: no orphan, no missing return."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from crawl_world import Site, page, sitemap, text
from fixture_site import tables_of
from test_site_checks import CASES, CATALOGUE, IMPLEMENTED

from caravan.cli.main import main
from caravan.clients.crawl.facts import CrawlFacts
from caravan.config.site_checks import Check
from caravan.functions.site.audit import audit

UNASKED = {"outcome": "skipped", "reason": "budget_pages", "status": None}
OF_ALL_PAGES = {
    "hreflang-cluster-incomplete": "the market's pages",
    "hreflang-unlinked-target": "a link to it",
    "link-orphan-page": "a link to it",
    "link-score-drop": "its links",
    "link-single-inlink": "a second link to it",
    "link-too-deep": "a shorter way to it",
    "market-without-pages": "the market's pages",
    "sitemap-missing-page": "the sitemap that lists it",
}
"""Checks that fire where something is nowhere, and what may be where the crawl did not come to."""


def test_what_tells_that_something_is_nowhere_needs_the_whole_site():
    assert {check.id for check in CATALOGUE.checks if "complete_crawl" in check.needs} == set(OF_ALL_PAGES)


@pytest.mark.parametrize("check_id", OF_ALL_PAGES)
def test_half_a_crawl_does_not_evaluate_it(check_id, tmp_path):
    tables, inputs = tables_of(CASES[check_id]["fires"])
    catalogue = CATALOGUE.only([check_id])
    with CrawlFacts(tables, catalogue.script(), tmp_path, inputs, threads=1, of_crawl=()) as facts:
        (verdict,) = audit(facts, catalogue.checks)
        assert facts.issues().num_rows == 0
    assert (verdict.outcome, verdict.reason) == ("not_evaluated", "Without a complete crawl this cannot be judged.")


@pytest.mark.parametrize("is_known", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["known", "unknown"])
@pytest.mark.parametrize(
    "check", [each for each in IMPLEMENTED if len(CASES[each.id]["passes"]["site"]) > 1], ids=lambda check: check.id
)
def test_a_page_that_was_not_asked_makes_no_check_fire(check: Check, is_known: bool, tmp_path: Path) -> None:
    """`is_known`: the crawl met its address."""
    case = CASES[check.id]["passes"]
    catalogue = CATALOGUE.only([check.id])
    for path in case["site"]:
        rest = {other: given for other, given in case["site"].items() if other != path}
        tables, inputs = tables_of(case | {"site": rest | {path: UNASKED} if is_known else rest})
        with CrawlFacts(tables, catalogue.script(), tmp_path, inputs, threads=1, of_crawl=()) as facts:
            audit(facts, catalogue.checks)
            assert facts.issues().to_pylist() == [], f"without {path}"


def test_a_budget_invents_no_orphans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"/p{number}" for number in range(30)]
    pages = {path: page(f"Page {path}", [*paths[number + 1 : number + 4], "/"]) for number, path in enumerate(paths)}
    pages |= {"/": page("home", paths[:2]), "/robots.txt": text("User-agent: *\nDisallow:\n")}
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path / "home"))
    with Site(pages.get).serve() as served:
        pages["/sitemap.xml"] = sitemap([served.url + path for path in paths])
        out = tmp_path / "out"
        assert (
            main(["site", "crawl", served.url, "--private", "--rate", "500", "--out", str(out), "--max-pages", "10"])
            == 0
        )
    reasons = {row["check_id"]: row["reason"] for row in pq.read_table(out / "check.parquet").to_pylist()}
    assert reasons["link-orphan-page"] == "Without a complete crawl this cannot be judged."
    assert {row["check_id"] for row in pq.read_table(out / "issue.parquet").to_pylist()}.isdisjoint(OF_ALL_PAGES)
