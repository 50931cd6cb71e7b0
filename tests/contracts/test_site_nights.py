"""The steps of site_crawl_nightly over real HTTP, on both engines: each night of a site that somebody works on."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from crawl_world import Site, page, text, to
from engines import one_engine, slow_on_lake
from site_nights import DAG, REPORTING, World

from caravan.assembly import reporting, site, site_crawl
from caravan.clients.crawl.locks import hold_hosts
from caravan.config.settings import Settings
from caravan.config.site_checks import load_site_checks
from caravan.core.errors import Misconfigured, Rejected, Retryable


@pytest.fixture
def world(new_place: Any, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    pages = {
        "/robots.txt": text("User-agent: *\nDisallow:\n"),
        "/": page("Home of the shop", ["/de/pots", "/fr/pots", "/de/lost", "/de/moved"]),
        "/de/pots": page("Pots of all sizes", ["/"]),
        "/fr/pots": page("Pots de toutes tailles", ["/"]),
        "/de/moved": page("Cups of all sizes", ["/"]),
    }
    with Site(pages.get).serve() as served:
        yield World(tmp_path / "home", new_place(engine), served, pages, monkeypatch)


@pytest.fixture
def few_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what the steps do with issues, whichever checks found them."""
    every = load_site_checks()
    few = every.only([check.id for check in every.checks if check.category in ("metadata", "response")])
    monkeypatch.setattr(site_crawl, "load_site_checks", lambda: few)


@slow_on_lake
def test_three_nights_of_a_site_that_somebody_works_on(world):
    world.night()
    assert world.changes(0) == set(), "the first crawl has nothing to compare with"
    assert world.rows("SELECT COUNT(*) FROM mart.fct_page WHERE is_indexable") == [(4,)]
    assert ("response-4xx",) in world.rows("SELECT check_id FROM mart.fct_site_issue WHERE url LIKE '%/de/lost'")

    world.pages["/de/lost"] = page("It is back where it was", ["/"])
    world.pages["/de/moved"] = to("/de/cups")
    world.pages["/de/cups"] = page("Cups of all sizes", ["/"])
    asked = len(world.served.log)
    world.night()
    again = [(path, status) for _, path, status, _ in world.served.log[asked:]]
    assert ("/de/pots", 304) in again, "what has not changed is not sent again"
    changes = world.changes(1)
    assert {("response-4xx", "fixed", "/de/lost"), ("", "added", "/de/lost"), ("", "moved", "/de/moved")} <= changes
    assert ("", "added", "/de/cups") in changes
    assert not [each for each in changes if each[2] in ("/de/pots", "/fr/pots")]

    del world.pages["/de/lost"]
    world.night()
    assert ("response-4xx", "regressed", "/de/lost") in world.changes(2)
    health = world.rows("SELECT crawl_date, is_complete, judged_count, error_page_count FROM mart.rpt_site__health")
    assert [(complete, judged, errors >= 1) for _, complete, judged, errors in sorted(health)] == [
        (True, 5, True),
        (True, 5, False),
        (True, 5, True),
    ]
    markets = world.rows("SELECT DISTINCT market_code FROM mart.rpt_site__market")
    assert {"DE", "FR", "ZZ"} <= {market for (market,) in markets}
    states = world.rows("SELECT dag_id, state FROM ops.run")
    assert states.count((DAG, "success")) == 3


def hide_the_end(world: World) -> None:
    """As if the newest crawl had not come to its end."""
    path = max((world.home / "site" / "crawls" / "shop").iterdir()) / "run.json"
    record = json.loads(path.read_text())
    record["certificate"]["stopped"] = "stopped before it was through"
    path.write_text(json.dumps(record))


@one_engine
@pytest.mark.usefixtures("few_checks")
def test_what_a_complete_crawl_found_changed_is_announced(world):
    (world.home / "config" / "outlets").mkdir()
    (world.home / "config" / "outlets" / "search.yml").write_text(
        "code: search\nname: Search\nkind: indexnow\nkey: 26ecd1ada8034912\n"
    )
    maps = f"sitemaps: [{{url: '{world.served.url}/map.xml', folder: web}}]"
    world.configure(f"announce: {{outlet: search, {maps}}}\n")

    def night() -> tuple[dict[str, int], set[str]]:
        run = world.crawl()
        if world.number == 3:
            hide_the_end(world)
        world.step("audit", "shop", run)
        told = world.step("announce", "shop", run)
        world.now += timedelta(days=1)
        days = re.findall(r"<loc>([^<]*)</loc><lastmod>", (world.home / "web" / "map.xml").read_text())
        return told, {url.removeprefix(world.served.url) for url in days}

    assert night() == ({"listed": 4, "messages": 0, "told": 0, "over_cap": 0}, set())
    world.pages["/de/pots"] = page("Pots of many sizes", ["/"])
    del world.pages["/fr/pots"]
    assert night() == ({"listed": 3, "messages": 1, "told": 2, "over_cap": 0}, {"/de/pots"})
    world.pages["/fr/pots"] = page("Pots de retour", ["/"])
    assert night() == ({}, {"/de/pots"}), "half a crawl announces nothing"
    assert night() == ({"listed": 4, "messages": 1, "told": 1, "over_cap": 0}, {"/de/pots", "/fr/pots"})


@one_engine
@pytest.mark.usefixtures("few_checks")
def test_what_was_audited_before_its_file_asked_for_it_is_not_announced(world):
    run = world.crawl()
    world.step("audit", "shop", run)
    assert world.step("announce", "shop", run) == {}
    world.configure("announce: {outlet: search}\n")
    with pytest.raises(Misconfigured, match="shop"):
        world.step("announce", "shop", run)
    (world.home / "config" / "outlets").mkdir()
    (world.home / "config" / "outlets" / "search.yml").write_text(
        "code: search\nname: Search\nkind: indexnow\nkey: 26ecd1ada8034912\n"
    )
    with pytest.raises(Rejected, match="NOT_AUDITED: shop: its file had no `announce` when 20260302T021500Z was"):
        world.step("announce", "shop", run)


@one_engine
def test_any_step_may_be_done_again(world):
    run = world.night()
    tables = {
        name: world.rows(f"SELECT * FROM {name}")
        for name in ("mart.fct_page", "mart.fct_site_issue", "mart.fct_site_check", "mart.rpt_site__health")
    }
    world.step("audit", "shop", run)
    world.step("load", "shop", run, DAG)
    world.step("load", "shop", "another run", DAG)
    world.step("build", run, DAG)
    reporting.drain(run, REPORTING)
    for name, rows in tables.items():
        assert rows, name
        assert sorted(world.rows(f"SELECT * FROM {name}"), key=repr) == sorted(rows, key=repr), name


@one_engine
@pytest.mark.usefixtures("few_checks")
def test_two_runs_do_not_write_into_one_crawl(world):
    run = world.crawl()
    root = world.home / "site" / "crawls" / "shop"
    before = sorted(root.rglob("*"))
    with site.hold(root, Settings.from_environment(), "audits shop"):
        for step in (("audit", "shop", run), ("load", "shop", run, DAG)):
            with pytest.raises(Retryable, match=r"crawls/shop is in use: process [0-9]+ audits shop since"):
                world.step(*step)
    assert sorted(root.rglob("*")) == before
    world.step("audit", "shop", run)
    assert world.step("load", "shop", run, DAG)["page"] == 5, "the home page, and those that it leads to"


@one_engine
def test_sites_of_one_host_take_turns(world, monkeypatch, caplog):
    monkeypatch.setattr(site, "_LOOK_AGAIN_SECONDS", 0.01)
    world.configure(code="blog")
    locks = world.home / "site" / "hosts"
    with ThreadPoolExecutor() as pool:
        with hold_hosts(locks, [world.served.host], "crawls the shop"):
            waiting = pool.submit(world.step, "crawl", "blog")
            while "waits for its turn" not in caplog.text:
                assert not waiting.done(), waiting.result()
            assert world.served.log == []
        assert waiting.result()["fetched"] == 5
    assert "is being crawled: process" in caplog.text and "crawls the shop since" in caplog.text

    monkeypatch.setattr(site_crawl, "CRAWL_SECONDS", 0.05)
    with (
        hold_hosts(locks, [world.served.host], "crawls the shop"),
        pytest.raises(Retryable, match=r"is being crawled: process [0-9]+ crawls the shop since"),
    ):
        world.step("crawl", "blog")


@one_engine
@pytest.mark.usefixtures("few_checks")
def test_a_gate_fails_the_run_and_names_the_page_until_it_is_suppressed(world):
    gate = "gate: [response-4xx]\n"
    world.configure(gate)
    with pytest.raises(Rejected, match=r"(?s)GATE.*shop: response-4xx at .*/de/lost"):
        world.night()
    assert world.rows("SELECT state FROM ops.run WHERE dag_id = 'site_crawl_nightly'") == [("failed",)]
    world.configure(
        gate
        + "suppressions: [{check: response-4xx, urls: /de/lost, owner: Ada, reason: relaunch, expires: 2026-03-10}]\n"
    )
    world.night()
    suppressed = world.rows(
        "SELECT url, suppressed_by, is_suppressed FROM mart.fct_site_issue WHERE check_id = 'response-4xx'"
    )
    assert suppressed == [(f"{world.served.url}/de/lost", "Ada", True)]
    assert world.rows("SELECT suppressed_count, error_count FROM mart.rpt_site__health") == [(1, 0)]
    newest = max(world.home.glob("site/crawls/shop/*/report.html")).parent
    told = (newest / "report.html").read_text()
    assert "Left so for now" in told and "relaunch" in told, "the crawl's own report says the same"
    with open(newest / "issues.csv", newline="") as file:
        issues = list(csv.DictReader(file))
    assert [row["url"] for row in issues if row["is_suppressed"] == "True"] == [f"{world.served.url}/de/lost"]
    world.now = world.now.replace(day=10)
    world.night()
    world.now += timedelta(days=1)
    with pytest.raises(Rejected, match=r"(?s)GATE.*shop: response-4xx at .*/de/lost"):
        world.night()


@one_engine
@pytest.mark.usefixtures("few_checks")
def test_a_check_that_is_switched_off_leaves_no_issue_open(world, caplog):
    night = world.now.date()
    world.night()
    world.configure("gate: [response-4xx]\nchecks: {off: [response-4xx]}\n")
    world.night()
    world.configure()
    world.night()
    assert "check response-4xx of the gate was not evaluated: It is switched off." in caplog.text
    found = world.rows("SELECT crawl_date, change FROM mart.fct_site_issue WHERE check_id = 'response-4xx'")
    assert sorted(found) == [(night, None), (night + timedelta(days=2), None)]
    assert not [each for number in (1, 2) for each in world.changes(number) if each[0] == "response-4xx"]


@one_engine
@pytest.mark.usefixtures("few_checks")
def test_a_site_that_is_gone_for_a_night_ends_nothing(world):
    world.night()
    before = world.rows("SELECT COUNT(*) FROM mart.fct_site_issue")
    kept = dict(world.pages)
    world.pages.clear()
    with pytest.raises(
        Rejected, match=r"NOTHING_READ: shop: no page could be read: its addresses answered 404 \(\d+\)$"
    ):
        world.night()
    world.pages["/robots.txt"] = text("broken", 503)
    with pytest.raises(Rejected, match=r"NOTHING_READ: shop: no page could be read: \S+: its robots.txt answered 503$"):
        world.night()
    assert world.rows("SELECT COUNT(*) FROM mart.fct_site_issue") == before
    world.pages.update(kept)
    world.now += timedelta(days=1)
    world.night()
    assert {change for _, change, _ in world.changes(2)} <= {"added"}


@one_engine
@pytest.mark.usefixtures("few_checks")
def test_a_faulty_file_disables_its_site_alone(world):
    world.configure("gate: [no-such-check]\n", code="blog")
    assert world.step("list_sites", "run", DAG) == ["shop"]
    with pytest.raises(Misconfigured, match="blog"):
        world.step("list_sites", "run", DAG, ["blog"])
    with pytest.raises(Misconfigured, match="shop"):
        world.step("crawl", "shopp")
    with pytest.raises(Rejected, match=r"RUN_INCOMPLETE.*\n  - site disabled: sites/blog.yml.*no-such-check"):
        world.step("verdict", "run", DAG)
    assert world.rows("SELECT state FROM ops.run") == [("failed",)]
    world.step("list_sites", "one", DAG, ["shop"])
    world.step("verdict", "one", DAG, [], ["shop"])
    assert world.rows("SELECT state FROM ops.run WHERE run_id = 'one'") == [("success",)]


@one_engine
@pytest.mark.usefixtures("few_checks")
def test_authorities_that_cannot_be_used_fail_the_crawl_and_name_the_file(world):
    world.configure("authorities: /nowhere/own.pem\n")
    with pytest.raises(Misconfigured, match=r"sites/shop.yml authorities: there is no file /nowhere/own.pem"):
        world.step("crawl", "shop")
    own = world.home / "own.pem"
    own.write_text("no certificate")
    world.configure(f"authorities: {own}\n")
    with pytest.raises(Misconfigured, match=f"sites/shop.yml authorities: {own} cannot be read as certificates"):
        world.step("crawl", "shop")


@one_engine
@pytest.mark.usefixtures("few_checks")
def test_a_run_of_some_sites_is_judged_by_their_gates_alone(world):
    world.configure("gate: [response-4xx]\n")
    world.configure(code="blog")
    run = world.crawl()
    world.step("audit", "shop", run)
    world.step("verdict", run, DAG, [], ["blog"])
    for asked in ([], ["shop"]):
        with pytest.raises(Rejected, match=r"GATE.*\n  - shop: response-4xx at "):
            world.step("verdict", run, DAG, [], asked)


@one_engine
@pytest.mark.usefixtures("few_checks")
def test_what_a_check_blocked_fails_the_verdict(world, monkeypatch):
    world.step("list_sites", "run", DAG)
    blocked = "mart.fct_page 2026-03-02 DE: the key is not unique"
    monkeypatch.setattr("caravan.warehouse.store.Store.failures", lambda store, run_id: [blocked])
    with pytest.raises(Rejected, match=f"RUN_INCOMPLETE.*\n  - {blocked}"):
        world.step("verdict", "run", DAG)
