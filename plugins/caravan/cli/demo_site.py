"""The demo's web sites: two nights of crawls and some days of search, by the DAGs, compared with what is so."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from caravan.cli.run import RunResult
    from caravan.config.settings import Settings
    from caravan.demo.servers.web import Web
    from caravan.demo.site.shop import Offers
    from caravan.demo.truth import Truth
    from caravan.warehouse.port import Session

CRAWL_DAG_ID, SEARCH_DAG_ID = "site_crawl_nightly", "site_search_daily"
SHOP, HOSTS, JOURNAL = "kontor", "kontor_hosts", "journal"
STARTS = time(2, 15)
SEARCHED_BEFORE = timedelta(days=8)
"""So old is the first of the days of search: its numbers are final, and do not change any more."""
_CHANGES = ("new", "fixed", "gone", "still")

Run = Callable[..., "RunResult"]


@dataclass
class SiteNight:
    """`planted`, `found`: check and address. `changes`: issues by what became of them since the night before."""

    site: str
    number: int
    pages: int = 0
    planted: set[tuple[str, str]] = field(default_factory=set)
    found: set[tuple[str, str]] = field(default_factory=set)
    changes: Counter[str] = field(default_factory=Counter)


@dataclass
class Visited:
    """`searched`: day to clicks and impressions, as counted and as they are. `wrong`: what differs, in words."""

    nights: list[SiteNight] = field(default_factory=list)
    searched: dict[date, tuple[tuple[int, int], tuple[int, int]]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def visit(settings: Settings, truth: Truth, run: Run, tell: Callable[[str], None]) -> Visited:
    """Two nights after the last day of the world's sales, the second one of the shop alone, where everything changes;
    then the search data of some days that are over."""
    from caravan.assembly.clock import standing_at
    from caravan.demo.servers.web import serve_web

    found = Visited()
    # Hosts have other ports than those of an earlier demonstration: its crawls are of other sites.
    shutil.rmtree(settings.home / "site" / "crawls", ignore_errors=True)
    with serve_web(_offers(truth), settings.home / "certificates") as web:
        _configure(settings.config_dir, web)
        for number in (1, 2):
            night = web.begin(number)
            moment = _moment(settings, truth.last + timedelta(days=number))
            with standing_at(moment):
                sites = [] if number == 1 else [SHOP]
                result = run(CRAWL_DAG_ID, conf={"sites": sites}, downstream=number == 2)
            found.wrong += _failed(result)
            found.nights += _nights(settings, web, number, moment.date(), night.planted)
            asked = sum(each.pages for each in found.nights if each.number == number)
            tell(f"  {moment:%Y-%m-%d %H:%M} UTC: {asked:,} addresses asked for")
    found.wrong += [line for each in found.nights for line in _differences(each)]
    found.wrong += _wrong_changes(found.nights)
    _search(settings, truth, run, found)
    return found


def _moment(settings: Settings, day: date) -> datetime:
    """When a night's crawl begins: behind those of earlier demonstrations, since the last one of a day counts."""
    from caravan.assembly.warehouse import open_warehouse

    begins = datetime.combine(day, STARTS)
    with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
        if not session.columns("raw.crawl__crawl"):
            return begins
        ((ended,),) = session.rows(
            "SELECT MAX(ended_at) FROM raw.crawl__crawl WHERE crawl_date = CAST($day AS DATE)", {"day": day}
        )
    return begins if ended is None else max(begins, ended + timedelta(minutes=1))


def _offers(truth: Truth) -> Offers:
    """What the warehouse knows of prices and stock, by the last word on each."""
    from caravan.demo.catalogue import CATALOGUE
    from caravan.demo.site.shop import Offer

    newest = sorted(truth.offers, key=lambda each: each.offer_local_date)
    return {
        (each.market_code, each.sku): Offer(each.price, CATALOGUE[each.channel_code].currency, each.availability)
        for each in newest
    }


def _configure(config_dir: Path, web: Web) -> None:
    folder = config_dir / "sites"
    folder.mkdir(exist_ok=True)
    for name, text in web.site_files().items():
        (folder / name).write_text(text, encoding="utf-8")


def _nights(settings: Settings, web: Web, number: int, day: date, planted: set[tuple[str, str]]) -> Iterator[SiteNight]:
    from caravan.assembly.warehouse import open_warehouse
    from caravan.demo.site import edges, journal

    of_sites = {SHOP: planted}
    if number == 1:
        of_sites |= {HOSTS: set(edges.PLANTED), JOURNAL: journal.found_by_checks()}
    with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
        for site, ought in of_sites.items():
            yield _night(session, web, SiteNight(site, number, planted=ought), day)


def _night(session: Session, web: Web, night: SiteNight, day: date) -> SiteNight:
    asked: Mapping[str, Any] = {"site": night.site, "day": day}
    where = "WHERE site_code = $site AND crawl_date = CAST($day AS DATE)"
    ((night.pages,),) = session.rows(f"SELECT COUNT(*) FROM mart.fct_page {where}", asked)
    for check, url, change in session.rows(f"SELECT check_id, url, change FROM mart.fct_site_issue {where}", asked):
        if change != "unverified":
            night.found.add((check, web.named(url)))
        night.changes[change] += 1
    ended = f"SELECT change, COUNT(*) FROM mart.fct_site_change {where} AND change IN ('fixed', 'gone') GROUP BY change"
    night.changes.update(dict(session.rows(ended, asked)))
    return night


def _differences(night: SiteNight) -> Iterator[str]:
    where = f"  {night.site}, night {night.number}"
    yield from (f"{where}: {check} was not found at {url}" for check, url in sorted(night.planted - night.found))
    yield from (f"{where}: {check} was invented at {url}" for check, url in sorted(night.found - night.planted))


def _wrong_changes(nights: Iterable[SiteNight]) -> Iterator[str]:
    from caravan.demo.site.planted import issue_changes

    first, second = (each for each in nights if each.site == SHOP)
    ought = Counter(change for change, _, _ in issue_changes(first.planted, second.planted))
    for change in _CHANGES:
        if second.changes[change] != ought[change]:
            yield f"  {SHOP}: {second.changes[change]} issues are {change}, not {ought[change]}"


def _failed(result: RunResult) -> list[str]:
    return [] if result else [f"  {result.dag_id} {result.state}: {dict(result.failures)}"]


def _search(settings: Settings, truth: Truth, run: Run, found: Visited) -> None:
    from caravan.cli.demo_world import connected
    from caravan.demo.servers.search_console import Console, serve_console
    from caravan.demo.site.searches import DAYS, searches
    from caravan.demo.site.shop import good_shop

    first = datetime.now(UTC).date() - SEARCHED_BEFORE
    by_day = searches(good_shop(_offers(truth)), first, truth.seed)
    with serve_console(Console(searches=dict(by_day))) as connection, connected([connection]):
        found.wrong += _failed(run(SEARCH_DAG_ID, first, first + timedelta(days=DAYS)))
    counted = _counted(settings, first)
    for day, looked in by_day.items():
        so = sum(each.clicked for each in looked), sum(each.times for each in looked)
        found.searched[day] = counted.get(day, (0, 0)), so
        if counted.get(day) != so:
            found.wrong.append(f"  {SEARCH_DAG_ID}: {day} has {counted.get(day)} clicks and impressions, not {so}")


def _counted(settings: Settings, first: date) -> dict[date, tuple[int, int]]:
    from caravan.assembly.warehouse import open_warehouse

    with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
        rows = session.rows(
            "SELECT search_local_date, SUM(click_count), SUM(impression_count) FROM mart.fct_search_query_day "
            "WHERE site_code = $site AND search_local_date >= CAST($first AS DATE) GROUP BY search_local_date",
            {"site": SHOP, "first": first},
        )
    return {day: (int(clicks), int(impressions)) for day, clicks, impressions in rows}


def sites_table(found: Visited) -> Table:
    """A row for each site and night."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("site", no_wrap=True)
    for title in ("night", "addresses", "planted", "found", *_CHANGES):
        table.add_column(title, justify="right")
    for each in found.nights:
        changes = [str(each.changes[name]) if each.number > 1 else "" for name in _CHANGES]
        cells = (each.number, each.pages, len(each.planted), len(each.found & each.planted))
        table.add_row(each.site, *map(str, cells), *changes)
    return table


def told(found: Visited) -> str:
    checks = {check for each in found.nights for check, _ in each.found}
    issues = sum(len(each.found) for each in found.nights)
    clicks, impressions = (sum(each[1][place] for each in found.searched.values()) for place in (0, 1))
    return (
        f"Web sites: all {issues} planted defects of two nights were found by {len(checks)} checks, and none was "
        f"invented; {len(found.searched)} days of search have their {clicks:,} clicks and {impressions:,} impressions"
    )
