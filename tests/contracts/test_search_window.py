"""The steps of site_search_daily over real HTTP, on both engines: any order of runs ends in the same rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from engines import one_engine, slow_on_lake
from places import Place
from search_world import DAY, NOON, PAGES, searches, truth

from caravan import INCLUDE_DIR, SQL_DIR
from caravan.assembly import site_search, warehouse
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured, Rejected, Retryable
from caravan.core.scope import RunScope
from caravan.core.window import Window
from caravan.demo.servers.search_console import PROPERTY, Console, Search, serve_console
from caravan.warehouse.catalog import load_models

SITE = f"search_console:\n  property_url: {PROPERTY}\n  connection: search_console_demo\n"
LOAD_METADATA = {"load_id", "version"}
MARKETS = {"DE": "DE", "FR": "FR", "US": "US", "JP": "JP"}
"""Of the countries that are searched from, those with a market in include/config."""
NIGHTS = 12
"""For what the engines have no part in."""


def on(number: int) -> date:
    return DAY + timedelta(days=number)


def history(days: int = 5) -> dict[date, list[Search]]:
    """A part of each day's searches is counted only when it is some days old."""
    return {
        on(number): [
            replace(search, counted_after=place % 5) for place, search in enumerate(searches(seed=number, count=30))
        ]
        for number in range(days)
    }


class World:
    """A project whose one site has a property of the stand-in, and a warehouse of one engine."""

    def __init__(
        self, home: Path, place: Place, console: Console, connection: Connection, environment: pytest.MonkeyPatch
    ) -> None:
        self.home, self.place, self.console, self._environment = home, place, console, environment
        (home / "config" / "sites").mkdir(parents=True)
        for name in ("project.yml", "markets", "privacy", "parties.yml", "methods.yml"):
            (home / "config" / name).symlink_to(INCLUDE_DIR / "config" / name)
        (home / "config" / "channels").mkdir()
        self.configure(SITE)
        account = {"conn_type": connection.kind, "host": connection.host, "extra": connection.extra}
        environment.setenv("AIRFLOW_CONN_SEARCH_CONSOLE_DEMO", json.dumps(account))
        for module in (site_search, warehouse):
            environment.setattr(module, "utc_now", lambda: console.faults.now)
        self.runs = 0

    def configure(self, text: str, site: str = "demo") -> None:
        (self.home / "config" / "sites" / f"{site}.yml").write_text(text)

    def use(self) -> None:
        url = f"lake://{self.place.root}" if self.place.engine == "lake" else self.place.dsn
        self._environment.setenv("CARAVAN_HOME", str(self.home))
        self._environment.setenv("CARAVAN_CONFIG", str(self.home / "config"))
        self._environment.setenv("CARAVAN_WAREHOUSE", url)

    def at(self, day: date) -> None:
        """Noon in California."""
        self.console.faults.clock = lambda: datetime.combine(day, time()) + NOON

    def scope(self, first: date, end: date, **more: Any) -> RunScope:
        self.runs += 1
        return RunScope(f"run-{self.runs}", "site_search_daily", Window.of_days(first, end), **more)

    def collect(self, first: date, end: date, **more: Any) -> dict[str, int]:
        self.use()
        scope = self.scope(first, end, **more)
        (site,) = site_search.list_sites(scope)
        return site_search.collect(scope, site)

    def run(self, first: date, end: date) -> RunScope:
        """All steps over these UTC days."""
        self.use()
        scope = self.scope(first, end)
        for site in site_search.list_sites(scope):
            site_search.collect(scope, site)
        site_search.build(scope)
        site_search.verdict(scope)
        return scope

    def night(self, day: date) -> None:
        """The scheduled run for a UTC day, made the day after."""
        self.at(day + timedelta(days=1))
        self.run(day, day + timedelta(days=1))

    def rows(self, sql: str) -> list[Any]:
        with self.place.open() as opened, opened.read() as session:
            return session.rows(sql)

    def tables(self) -> dict[str, list[Any]]:
        """Every table of search, without what says which load a row came by."""
        found = {}
        for model in load_models(SQL_DIR).models:
            if "search" in model.name:
                names = ", ".join(name for name in model.column_names if name not in LOAD_METADATA)
                found[model.name] = sorted(self.rows(f"SELECT {names} FROM {model.name}"), key=repr)
        return found


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Console, Connection]]:
    console = Console()
    with serve_console(console) as connection:
        yield console, connection


@pytest.fixture
def world(
    new_place: Any,
    engine: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    served: tuple[Console, Connection],
) -> World:
    console, connection = served
    tokens = console.tokens
    vars(console).update(vars(Console(searches=history(), tokens=tokens)))
    return World(tmp_path / "one", new_place(engine), console, connection, monkeypatch)


def as_counted(world: World, table: str, columns: str) -> dict[str, Any]:
    found = world.rows(
        f"SELECT search_local_date, {columns}, click_count, impression_count, position_sum FROM {table} "
        "WHERE NOT is_other"
    )
    return {tuple(row[:-3]): tuple(row[-3:]) for row in found}


def expected(found: dict[date, list[Search]], breakdown: str) -> dict[str, Any]:
    return {
        (day, *key): counts for day, each in found.items() for key, counts in truth(each, MARKETS)[breakdown].items()
    }


# Most of a minute on the lake; what it has a part in is in the next test as well.
@slow_on_lake
def test_any_order_of_windows_ends_in_the_same_rows(
    world: World, new_place: Any, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(NIGHTS):
        world.night(on(number))
    nightly = world.tables()
    of_key = "market_code, country_code, device"
    assert as_counted(world, "mart.fct_search_day", f"{of_key}, page_url") == expected(history(), "page")
    assert as_counted(world, "mart.fct_search_query_day", f"{of_key}, query_text") == expected(history(), "query")

    world.run(on(NIGHTS - 1), on(NIGHTS))
    assert world.tables() == nightly, "run twice"
    world.run(on(-3), on(NIGHTS + 1))
    assert world.tables() == nightly, "over a wider window"

    changed = {**history(), on(1): searches(seed=99, count=25)}
    world.console.restate(on(1), *changed[on(1)])
    world.night(on(NIGHTS))
    assert world.tables() == nightly, "a settled day is not asked for again unasked"
    world.run(on(1), on(2))
    after = world.tables()
    assert after != nightly
    assert as_counted(world, "mart.fct_search_day", f"{of_key}, page_url") == expected(changed, "page")
    world.run(on(0), on(1))
    assert world.tables() == after, "a replay of the first window keeps the rest"

    other = World(
        tmp_path / "other",
        new_place(engine),
        world.console,
        site_search.current().get("search_console_demo"),
        monkeypatch,
    )
    other.run(on(0), on(5))
    assert other.tables() == after, "the same days in one run of a new warehouse"


def test_totals_reconcile_across_layers(world: World) -> None:
    world.at(on(NIGHTS))
    world.run(on(0), on(5))
    sums = "SUM(click_count), SUM(impression_count), SUM(position_sum)"
    for day, found in history().items():
        of_day = truth(found)
        (total,) = world.rows(
            f"SELECT {sums} FROM stg.search_console__row WHERE breakdown = 'day' AND search_local_date = '{day}'"
        )
        (by_query,) = world.rows(f"SELECT {sums} FROM mart.fct_search_query_day WHERE search_local_date = '{day}'")
        (by_page,) = world.rows(f"SELECT {sums} FROM mart.fct_search_day WHERE search_local_date = '{day}'")
        assert tuple(map(int, total)) == tuple(map(int, by_query)) == of_day["day"][()]
        pages = of_day["country_device_by_page"].values()
        assert tuple(map(int, by_page)) == tuple(sum(each[place] for each in pages) for place in range(3))
        assert by_page[1] > by_query[1], "two pages of one result are an impression each"
    (other,) = world.rows("SELECT COUNT(*) FROM mart.fct_search_query_day WHERE is_other")
    assert other[0] > 0, "rare queries are in the remainder"
    loads = world.rows(
        "SELECT received_count, loaded_count + unchanged_count + duplicate_count + quarantined_count FROM ops.load"
    )
    assert len(loads) == 5 and all(received == parts for received, parts in loads)


@slow_on_lake
def test_a_day_that_has_not_settled_is_asked_for_again_and_what_it_lacks_is_gone(world: World) -> None:
    tea = Search("tea", "deu", "MOBILE", {PAGES[0]: 1}, 10, 1)
    world.console.searches = {on(0): [tea, replace(tea, query="coffee"), replace(tea, shown={PAGES[1]: 2})]}
    world.at(on(3))
    assert world.collect(on(1), on(2))["days"] == 1
    world.console.restate(on(0), tea)
    world.at(on(6))
    totals = world.collect(on(4), on(5))
    assert (totals["days"], totals["deleted"]) == (1, 2), "the query and the page that are gone"
    dirty = world.rows("SELECT slice_date FROM ops.dirty_slice WHERE model_name = 'stg.search_console__row'")
    assert {row[0] for row in dirty if row[0]} == {on(0)}
    site_search.build(world.scope(on(4), on(5)))
    assert as_counted(world, "mart.fct_search_day", "page_url") == {(on(0), PAGES[0]): (1, 10, 10)}
    assert as_counted(world, "mart.fct_search_query_day", "query_text") == {(on(0), "tea"): (1, 10, 10)}
    world.at(on(9))
    assert world.collect(on(7), on(8))["days"] == 1, "it had not settled when it was read last"
    assert world.collect(on(7), on(8))["days"] == 0, "now it has"


@one_engine
def test_an_unchanged_day_adds_no_version_and_makes_nothing_stale(world: World) -> None:
    world.at(on(NIGHTS))
    world.run(on(0), on(2))
    count = world.rows("SELECT COUNT(*) FROM raw.search_console__row")
    stale = sorted(world.rows("SELECT * FROM ops.dirty_slice"))
    totals = world.collect(on(0), on(2))
    assert totals["received"] == totals["unchanged"] == count[0][0]
    assert world.rows("SELECT COUNT(*) FROM raw.search_console__row") == count
    assert sorted(world.rows("SELECT * FROM ops.dirty_slice")) == stale
    # Reports are made by another DAG, of what the first reading made stale.
    assert world.rows("SELECT DISTINCT model_name FROM ops.dirty_slice") == [("mart.rpt_site__market",)]


@one_engine
def test_a_quota_in_the_middle_of_a_day_keeps_nothing_of_half_a_day_and_the_next_try_goes_on(world: World) -> None:
    world.at(on(NIGHTS))
    a_day = 8  # four breakdowns, each until an answer has no row
    world.console.refusals.extend([None] * (2 + a_day + 3) + [(403, "quotaExceeded")])
    scope = world.scope(on(1), on(4))
    world.use()
    site_search.list_sites(scope)
    with pytest.raises(Retryable, match="quotaExceeded") as failed:
        site_search.collect(scope, "demo")
    assert failed.value.after == timedelta(minutes=15)
    days = world.rows("SELECT DISTINCT search_local_date FROM raw.search_console__row")
    assert days == [(on(0),)], "the first of them, whole"
    assert len(world.rows("SELECT DISTINCT breakdown FROM raw.search_console__row")) == 5
    with pytest.raises(Rejected, match=r"quotaExceeded"):
        site_search.verdict(scope)

    world.console.faults.skew = timedelta(minutes=15)
    world.console.requests.clear()
    site_search.collect(scope, "demo")
    asked = [body["startDate"] for body in world.console.requests if body["dimensions"] != ["DATE"]]
    assert list(dict.fromkeys(asked)) == [str(on(number)) for number in (1, 2, 3, 0)], "what was read comes last"
    site_search.build(scope)
    site_search.verdict(scope)
    assert world.rows(f"SELECT state FROM ops.run WHERE run_id = '{scope.run_id}'") == [("success",)]


@one_engine
def test_a_refused_day_keeps_no_other_back_and_fails_the_verdict(world: World) -> None:
    def broken(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if body["startDate"] == str(on(1)) and "PAGE" in body["dimensions"] and "rows" in answer:
            return {**answer, "rows": [{"keys": ["x"]}]}
        return answer

    world.at(on(NIGHTS))
    world.console.change = broken
    scope = world.scope(on(1), on(4))
    world.use()
    site_search.list_sites(scope)
    with pytest.raises(Rejected, match=rf"DAYS_REFUSED: search_demo: 1 refused\n  - ANSWER_UNEXPECTED: {on(1)}: "):
        site_search.collect(scope, "demo")
    days = world.rows("SELECT DISTINCT search_local_date FROM raw.search_console__row ORDER BY 1")
    assert days == [(on(number),) for number in (0, 2, 3)]
    with pytest.raises(Rejected, match=rf"search_demo search_day {on(1)}: ANSWER_UNEXPECTED"):
        site_search.verdict(scope, ["collect"])


@one_engine
def test_what_the_source_has_no_more_stays(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.at(on(NIGHTS))
    world.run(on(0), on(5))
    before = world.tables()
    del world.console.searches[on(2)]
    world.run(on(0), on(5))
    assert world.tables() == before
    assert f"search_demo: the source has no data any more of {on(2)}: the rows stay" in caplog.text
    world.at(on(600))
    world.console.searches.clear()
    world.console.requests.clear()
    assert world.collect(on(0), on(5))["days"] == 0
    asked = [body["startDate"] for body in world.console.requests]
    assert asked and min(asked) > str(on(5)), "older than 16 months is not asked for"


@one_engine
def test_days_that_are_still_counted_are_marked(world: World) -> None:
    world.configure(SITE + "  data_state: all\n")
    world.at(on(3))
    world.run(on(2), on(3))
    marked = "SELECT DISTINCT search_local_date, is_final FROM mart.fct_search_day ORDER BY 1"
    assert world.rows(marked) == [(on(0), True), (on(1), False), (on(2), False)]
    world.at(on(NIGHTS))
    world.run(on(9), on(10))
    assert {row[1] for row in world.rows(marked)} == {True}


@one_engine
def test_after_an_outage_the_next_night_asks_for_what_was_missed(world: World) -> None:
    world.console.searches = history(30)
    for number in (4, 5, 25):
        world.night(on(number))
    days = world.rows("SELECT DISTINCT search_local_date FROM mart.fct_search_day ORDER BY 1")
    last = on(26) - timedelta(days=1 + world.console.lag_days)
    first = on(5) - timedelta(days=7)
    assert [row[0] for row in days] == [day for day in map(on, range(30)) if first <= day <= last]


@one_engine
def test_a_fault_in_one_sites_file_disables_that_site_alone(world: World) -> None:
    world.configure(SITE.replace("connection:", "conection:"), "other")
    world.at(on(NIGHTS))
    world.use()
    scope = world.scope(on(0), on(1))
    assert site_search.list_sites(scope) == ["demo"]
    site_search.collect(scope, "demo")
    message = r"site disabled: sites/other.yml:3 search_console.conection: unknown key 'conection'; did you mean"
    with pytest.raises(Rejected, match=message):
        site_search.verdict(scope)
    with pytest.raises(Misconfigured, match="channels: other: is disabled by a fault in its file"):
        site_search.list_sites(replace(scope, channels=("other",)))
    with pytest.raises(Misconfigured, match="channels: demmo: no site of this name has search data; did you mean"):
        site_search.list_sites(replace(scope, channels=("demmo",)))


def test_a_dry_run_asks_and_changes_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world.at(on(NIGHTS))
    assert world.collect(on(0), on(2), dry_run=True)["days"] == 0
    assert f"search_demo: would ask for {on(-1)} to {on(2)}, {on(NIGHTS - 7)} to {on(NIGHTS)}" in caplog.text
    assert site_search.build(world.scope(on(0), on(2), dry_run=True)) == {}
    assert world.console.requests == []
    for table in ("ops.run", "ops.load", "raw.search_console__row", "ops.model"):
        assert world.rows(f"SELECT COUNT(*) FROM {table}") == [(0,)], table
