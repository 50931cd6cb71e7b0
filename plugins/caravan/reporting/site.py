"""The pages of the report: one snapshot of the warehouse, each page for itself and linked to the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property, partial
from typing import Any

from caravan.config.kpis import Dictionary
from caravan.config.site_checks import load_site_checks
from caravan.config.types import OTHER_MARKET
from caravan.core.outbox import Traffic
from caravan.reporting import agenda, drawings, formats, links, pages, site_issues, templates
from caravan.reporting.ledger import TOP_PRODUCTS, Ledger, open_ledger
from caravan.reporting.makers import RunKey, read_makers
from caravan.reporting.notices import notices, span
from caravan.reporting.operations import Blocked, Expected, Finding, Operations, read_operations
from caravan.reporting.outgoing import MISSED_FOR, STANDINGS, Outlet, read_outgoing
from caravan.reporting.quarantine import FILES_SHOWN
from caravan.reporting.runs import Run, read_run
from caravan.reporting.sales import CHANNEL_DAY, PRODUCT_WEEK, RANGES, Period, Sales, ratio
from caravan.reporting.site_health import CSV_ROWS, csv_text, read_sites
from caravan.reporting.tables import Reader
from caravan.warehouse.port import Session

GRAVE = ("bad", "warn")
"""Notices that stand on every page of figures; the first page has all."""


@dataclass(frozen=True)
class Link:
    text: str
    target: str
    is_current: bool = False
    is_above: bool = False
    """Whether the current page is one of its section."""


@dataclass(frozen=True)
class Kind:
    """Pages of figures, one for each range of days."""

    template: str
    address: Callable[[int], str]
    """Of all markets."""
    anchor: str = ""
    """The part of a market's page that shows the same of it."""
    has_all_notices: bool = False


OVERVIEW = Kind("index.html.j2", links.overview, has_all_notices=True)
PRODUCTS = Kind("products.html.j2", links.products, "#products")
MARKET = Kind("market.html.j2", links.overview)


def build(
    session: Session,
    now: datetime,
    title: str,
    expected: Expected,
    dictionary: Dictionary,
    outlets: Sequence[Traffic] = (),
) -> dict[str, str]:
    """The text of each page by its path. `now`: UTC without zone."""
    return _Site(session, now, title, expected, dictionary, outlets).all_pages()


class _Site:
    def __init__(
        self,
        session: Session,
        now: datetime,
        title: str,
        expected: Expected,
        dictionary: Dictionary,
        outlets: Sequence[Traffic],
    ) -> None:
        self.session = session
        self.now = now
        self.title = title
        self.dictionary = dictionary
        self.ledger: Ledger | None = open_ledger(session)
        self.operations: Operations = read_operations(session, now, expected)
        self.outgoing = read_outgoing(Reader(session))
        self.outlets = [Outlet(each) for each in outlets]
        self.agenda = agenda.read_agenda(Reader(session), now, self.outgoing.standings, self.outgoing.superseded)
        self.sites = read_sites(Reader(session))
        self.makers = read_makers(Reader(session), (CHANNEL_DAY, PRODUCT_WEEK))
        self.environment = templates.environment()
        self.environment.filters["days"] = templates.marking_unknown(_days)

    def all_pages(self) -> dict[str, str]:
        made = {**self.sales_pages(), **self.fixed_pages(), **self.site_pages()}
        for key, run in self.runs.items():
            path = links.run(*key)
            made[path] = self.page(path, "run.html.j2", layout="site.html.j2", as_of=self.now, **pages.run_values(run))
        return made

    def sales_pages(self) -> dict[str, str]:
        if self.ledger is None:
            return {path: self.page(path, "nothing.html.j2") for path in (links.overview(), links.products())}
        made = {}
        for days in RANGES:
            everywhere = self.ledger.sales(days)
            made[links.overview(days)] = self.figures(OVERVIEW, everywhere)
            made[links.products(days)] = self.figures(PRODUCTS, everywhere)
            for code in self.ledger.market_names:
                made[links.market(code, days)] = self.figures(MARKET, self.ledger.sales(days, code))
        return made

    def fixed_pages(self) -> dict[str, str]:
        return {
            links.QUALITY: self.page(links.QUALITY, "quality.html.j2"),
            links.QUARANTINE: self.page(
                links.QUARANTINE,
                "quarantine.html.j2",
                drawing=drawings.reasons(self.operations.quarantine),
                files_shown=FILES_SHOWN,
            ),
            links.RELEASES: self.page(
                links.RELEASES, "releases.html.j2", duration=formats.duration, standings=STANDINGS
            ),
            links.CALENDAR: self.page(
                links.CALENDAR, "calendar.html.j2", past_days=agenda.PAST.days, shown=agenda.SHOWN
            ),
            links.DEFINITIONS: self.page(links.DEFINITIONS, "definitions.html.j2", dictionary=self.dictionary),
        }

    def site_pages(self) -> dict[str, str]:
        made = {links.SITES: self.page(links.SITES, "sites.html.j2")}
        if self.sites:
            catalogue = load_site_checks()
            for each in self.sites:
                path, rows = links.site(each.code), links.issues(each.code)
                found = site_issues.values(each.crawl, catalogue, rows)
                made[path] = self.page(path, "site_crawl.html.j2", site=each, csv_rows=CSV_ROWS, **found)
                if each.crawl.with_issues:
                    made[rows] = csv_text(Reader(self.session), each, catalogue)
        return made

    def figures(self, kind: Kind, sales: Sales) -> str:
        address = partial(links.market, sales.market_code) if sales.market_code else kind.address
        found = notices(sales, self.operations)
        return self.page(
            address(sales.days),
            kind.template,
            sales=sales,
            days=sales.days,
            market=sales.market_code and self.market_names[sales.market_code],
            notices=[notice for notice in found if kind.has_all_notices or notice.kind in GRAVE],
            draw=drawings.Drawings(sales),
            comparison=_comparison(sales),
            ratio=ratio,
            weeks=_weeks(sales),
            products_shown=TOP_PRODUCTS,
            all_markets=kind.address,
            ranges=[Link(f"{days} days", address(days), days == sales.days) for days in RANGES],
            markets=self.market_links(sales, kind.anchor),
        )

    def page(self, path: str, template: str, **values: Any) -> str:
        sales: Sales | None = values.get("sales")
        common: dict[str, Any] = {
            "site_title": self.title,
            "now": self.now,
            "last_day": self.ledger and self.ledger.last_day,
            "ops": self.operations,
            "outgoing": self.outgoing,
            "agenda": self.agenda,
            "outlets": self.outlets,
            "sites": self.sites,
            "missed_days": MISSED_FOR.days,
            "makers": self.makers,
            "links": links,
            "nav": self.navigation(path, *([sales.days] if sales else [])),
            "to": partial(links.relative, path),
            "run_page": lambda key: links.run(*key) if key in self.runs else None,
            "first_table": CHANNEL_DAY,
            "product_table": PRODUCT_WEEK,
        }
        return self.environment.get_template(template).render(**common, **values)

    def navigation(self, path: str, *days: int) -> list[Link]:
        entries = [
            ("Overview", links.overview(*days)),
            ("Products", links.products(*days)),
            ("Freshness and quality", links.QUALITY),
            ("Quarantine", links.QUARANTINE),
            ("Releases", links.RELEASES),
            ("Calendar", links.CALENDAR),
            ("Sites", links.SITES),
            ("Definitions", links.DEFINITIONS),
        ]
        return [Link(text, target, target == path, target == links.section(path)) for text, target in entries]

    def market_links(self, sales: Sales, anchor: str) -> list[Link]:
        names = sorted(self.market_names.items(), key=lambda item: (item[0] == OTHER_MARKET, item[1]))
        return [Link(name, links.market(code, sales.days) + anchor, code == sales.market_code) for code, name in names]

    @property
    def market_names(self) -> dict[str, str]:
        return self.ledger.market_names if self.ledger else {}

    @cached_property
    def runs(self) -> dict[RunKey, Run]:
        """Those that made what the pages show, as far as they are on record."""
        keys = [maker.run for maker in self.makers.values()]
        keys += [row.run for row in self.operations.freshness]
        keys += [row.run for row in self.operations.loads]
        keys += [row.run for row in self.operations.quarantine]
        found = {key: read_run(self.session, *key) for key in dict.fromkeys(keys) if key}
        return {key: run for key, run in found.items() if run}


def _comparison(sales: Sales) -> Callable[[Decimal | int | None, Decimal | int | None, str], str]:
    def compare(latest: Decimal | int | None, before: Decimal | int | None, shown: str) -> str:
        """The change against as many days before, where both are known and whole."""
        if not sales.before.is_whole:
            return ""
        if sales.before.order_count is None:
            return "before: none recorded"
        if latest is None or before is None or before <= 0:
            return f"before: {shown}"
        return f"{formats.change(Decimal(latest) / Decimal(before) - 1)}, before: {shown}"

    return compare


def _days(item: Period | Blocked | Finding) -> str:
    return formats.days(item.first, item.last) if isinstance(item, Period) else span(item)


def _weeks(sales: Sales) -> str:
    weeks = RANGES[sales.days]
    return f"{'Week' if weeks == 1 else f'{weeks} whole weeks'}, {_days(sales.product_weeks)}"
