"""Own sites through Airflow: crawled over HTTP, one of them down for a night; and how one is found in search."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, datetime, time, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from lake_template import migrated_lake

sys.path.append(str(Path(__file__).resolve().parents[1] / "contracts"))
from crawl_world import Reply, Site, page, text
from search_world import DAY, NOON, searches, truth

import caravan.assembly
from caravan import INCLUDE_DIR
from caravan.assembly import site, site_crawl, site_search, warehouse
from caravan.cli import run as runner
from caravan.cli.run import RunResult
from caravan.config.settings import Settings
from caravan.core.incidents import RunEnd
from caravan.demo.servers.search_console import PROPERTY, Console, serve_console

CRAWL, SEARCH = "site_crawl_nightly", "site_search_daily"
NIGHT = datetime(2026, 3, 2, 2, 15)
CRAWLED = """\
code: {code}
name: The {code}
start_urls: ['{url}/']
private_addresses: true
limits: {{requests_per_second: 500}}
"""
FOUND = f"search_console:\n  property_url: {PROPERTY}\n  connection: search_console_demo\n"


class World:
    """An installation without sites. `told`: what the callbacks were called for."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.config, self.now = home / "config", NIGHT
        (self.config / "sites").mkdir(parents=True)
        (self.config / "channels").mkdir()
        for name in ("project.yml", "markets", "privacy", "parties.yml", "methods.yml"):
            (self.config / name).symlink_to(INCLUDE_DIR / "config" / name)
        patch.setenv("CARAVAN_HOME", str(home))
        patch.setenv("CARAVAN_CONFIG", str(self.config))
        patch.setenv("CARAVAN_WAREHOUSE", f"lake://{migrated_lake(home / 'lake')}")
        for module in (site, site_crawl, site_search, warehouse):
            patch.setattr(module, "utc_now", lambda: self.now)
        patch.setattr(runner, "LONGEST_RETRY_DELAY", timedelta(0))
        self.told: list[tuple[Any, ...]] = []
        incidents = ModuleType("caravan.assembly.incidents")
        for name in ("task_failed", "run_ended"):
            setattr(incidents, name, lambda *arguments: self.told.append(arguments))
        patch.setitem(sys.modules, incidents.__name__, incidents)
        patch.setattr(caravan.assembly, "incidents", incidents, raising=False)

    def configure(self, code: str, config: str) -> None:
        (self.config / "sites" / f"{code}.yml").write_text(config)

    def rows(self, sql: str) -> list[Any]:
        with warehouse.open_warehouse(Settings.from_environment(), read_only=True) as opened, opened.read() as session:
            return session.rows(sql)

    def ended(self) -> RunEnd:
        """How the last run did, by what is told of it."""
        end = self.told[-1][0]
        assert isinstance(end, RunEnd)
        return end


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path / "home", monkeypatch)


@pytest.fixture
def sites(world: World) -> Iterator[dict[str, Site]]:
    """A shop and a blog, each on a host of its own."""
    with ExitStack() as stack:
        served = {}
        for code in ("blog", "shop"):
            pages: dict[str, Reply] = {
                "/robots.txt": text("User-agent: *\nDisallow:\n"),
                "/": page(f"Home of the {code}", ["/pots", "/lost"]),
                "/pots": page(f"Pots of the {code}", ["/"]),
            }
            served[code] = stack.enter_context(Site(pages.get).serve())
            world.configure(code, CRAWLED.format(code=code, url=served[code].url))
        yield served


@pytest.fixture(scope="module")
def dags(airflow_database: None) -> Any:
    """Of this file alone: a run shortens their retry delays."""
    return runner.load_dags()


def run(dags: Any, dag_id: str, **conf: Any) -> tuple[RunResult, str]:
    said: list[str] = []
    return runner.execute(dags, dag_id, conf, False, said.append), "\n".join(said)


def mapped(said: str) -> list[str]:
    """The mapped tasks that ran."""
    return sorted(line.strip() for line in said.splitlines() if line.endswith("]"))


def crawled(*codes: str) -> list[str]:
    return sorted(f"site.{task} [{code}]" for task in ("crawl", "audit", "load", "announce") for code in codes)


def facts(world: World) -> list[tuple[str, date, int, int]]:
    """Site, day, pages, and issues of what is lost."""
    return world.rows(
        "SELECT site_code, crawl_date, COUNT(*), (SELECT COUNT(*) FROM mart.fct_site_issue AS issue "
        "WHERE issue.site_code = page.site_code AND issue.crawl_date = page.crawl_date "
        "AND check_id = 'response-4xx') "
        "FROM mart.fct_page AS page GROUP BY site_code, crawl_date ORDER BY site_code, crawl_date"
    )


def test_a_site_that_is_down_for_a_night_fails_alone_and_a_run_of_one_site_leaves_the_others(world, sites, dags):
    result, said = run(dags, CRAWL)
    assert result, said
    assert mapped(said) == crawled("blog", "shop")
    first = NIGHT.date()
    assert facts(world) == [("blog", first, 3, 1), ("shop", first, 3, 1)]

    world.now += timedelta(days=1)
    sites["blog"].die()
    asked = len(sites["shop"].log)
    result, said = run(dags, CRAWL)
    assert sorted(result.failures) == ["site.crawl [blog]", "verdict"], said
    assert result.failures["site.crawl [blog]"].startswith("NOTHING_READ: blog: ")
    assert "site.crawl (1 of 2)" in result.failures["verdict"]
    assert sorted(result.not_run) == ["site.announce", "site.audit", "site.load"], "of the blog"
    assert mapped(said) == sorted(["site.crawl [blog]", *crawled("shop")]), "what cannot succeed is tried once"
    again = {path: status for _, path, status, _ in sites["shop"].log[asked:]}
    assert (again["/"], again["/pots"], again["/lost"]) == (304, 304, 404)
    second = world.now.date()
    assert facts(world) == [("blog", first, 3, 1), ("shop", first, 3, 1), ("shop", second, 3, 1)]
    assert world.rows("SELECT check_id, change, url FROM mart.fct_site_change") == [], "nothing has changed"

    asked = len(sites["shop"].log)
    result, said = run(dags, CRAWL, sites=["blog"])
    assert sorted(result.failures) == ["site.crawl [blog]", "verdict"], said
    assert (mapped(said), len(sites["shop"].log)) == (["site.crawl [blog]"], asked)
    assert world.ended().asked == ("blog",), "what may be wrong with the shop is not over by it"

    result, said = run(dags, CRAWL, sites=["shopp"])
    assert sorted(result.failures) == ["list_sites", "verdict"], said
    assert "did you mean 'shop'?" in result.failures["list_sites"]
    assert mapped(said) == []
    states = world.rows("SELECT state FROM ops.run ORDER BY run_id")
    assert [state for (state,) in states] == ["success", "failed", "failed"], "without sites to crawl there is no run"


def test_how_a_site_is_found_in_search_is_collected_site_by_site(world, dags, monkeypatch):
    console = Console(searches={DAY: searches(count=20)})
    world.configure("demo", FOUND)
    world.now = datetime.combine(DAY + timedelta(days=5), time()) + NOON
    console.faults.clock = lambda: world.now
    with serve_console(console) as connection:
        account = {"conn_type": connection.kind, "host": connection.host, "extra": connection.extra}
        monkeypatch.setenv("AIRFLOW_CONN_SEARCH_CONSOLE_DEMO", json.dumps(account))
        window = {"window_start": f"{DAY}", "window_end": f"{DAY + timedelta(days=2)}"}
        result, said = run(dags, SEARCH, **window)
        assert result, said
        assert mapped(said) == ["collect [demo]"]
        (shown,) = world.rows("SELECT SUM(click_count), SUM(impression_count) FROM mart.fct_search_query_day")
        assert shown == truth(searches(count=20))["day"][()][:2]

        asked = len(console.requests)
        result, said = run(dags, SEARCH, **window, dry_run=True)
        assert result, said
        assert len(console.requests) == asked
