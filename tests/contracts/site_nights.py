"""Nights of an own site over real HTTP: each step of site_crawl_nightly as its DAG calls it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from crawl_world import Reply, Site
from places import Place

from caravan import INCLUDE_DIR
from caravan.assembly import reporting, site, site_announcing, site_crawl, warehouse

DAG, REPORTING = "site_crawl_nightly", "reporting_marts_hourly"
NIGHT = datetime(2026, 3, 2, 2, 15)


class World:
    """`pages`: path to answer. `./night` is a day later than the one before, however long it took."""

    def __init__(self, home: Path, place: Place, served: Site, pages: dict[str, Reply], patch: Any) -> None:
        self.home, self.place, self.served, self.pages = home, place, served, pages
        self.now, self.number = NIGHT, 0
        (home / "config" / "sites").mkdir(parents=True)
        for name in ("project.yml", "markets", "privacy", "parties.yml", "methods.yml"):
            (home / "config" / name).symlink_to(INCLUDE_DIR / "config" / name)
        (home / "config" / "channels").mkdir()
        self.configure()
        url = f"lake://{place.root}" if place.engine == "lake" else place.dsn
        patch.setenv("CARAVAN_HOME", str(home))
        patch.setenv("CARAVAN_CONFIG", str(home / "config"))
        patch.setenv("CARAVAN_WAREHOUSE", url)
        patch.setenv("CARAVAN_RUN", "1")
        for module in (site, site_crawl, site_announcing, warehouse, reporting):
            patch.setattr(module, "utc_now", lambda: self.now, raising=False)

    def configure(self, more: str = "", code: str = "shop") -> None:
        (self.home / "config" / "sites" / f"{code}.yml").write_text(
            f"code: {code}\nname: The shop\nstart_urls: ['{self.served.url}/']\nprivate_addresses: true\n"
            "limits: {requests_per_second: 500}\n"
            "markets: [{market: DE, locale: de-DE, prefix: /de/}, {market: FR, locale: fr-FR, prefix: /fr/}]\n" + more
        )

    def step(self, name: str, *given: Any) -> Any:
        return getattr(site_crawl, name)(*given)

    def crawl(self) -> str:
        self.number += 1
        run = f"run-{self.number}"
        for code in self.step("list_sites", run, DAG):
            self.step("crawl", code)
        return run

    def night(self) -> str:
        run = self.crawl()
        self.step("audit", "shop", run)
        self.step("load", "shop", run, DAG)
        self.step("build", run, DAG)
        self.step("verdict", run, DAG)
        reporting.drain(run, REPORTING)
        self.now += timedelta(days=1)
        return run

    def rows(self, sql: str) -> list[Any]:
        with self.place.open() as opened, opened.read() as session:
            return session.rows(sql)

    def changes(self, night: int) -> set[tuple[str, str, str]]:
        day = (NIGHT + timedelta(days=night)).date()
        rows = self.rows(
            f"SELECT check_id, change, url FROM mart.fct_site_change WHERE crawl_date = CAST('{day}' AS DATE)"
        )
        return {(check, change, url.removeprefix(self.served.url)) for check, change, url in rows}
