"""One shop is out for a night, through Airflow and over HTTP: the others publish, people know, the next night heals."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from bench.live import Mailbox
from contracts.change_sources import MarketStand, Sale, Stand, WooStand
from short_world import MONDAY, few_dates, use_rates, write_few_rates

from caravan import INCLUDE_DIR
from caravan.assembly import inboxes, services
from caravan.assembly.incidents import SWITCH
from caravan.assembly.warehouse import open_warehouse
from caravan.cli import run as runner
from caravan.clients.http.limits import Limits
from caravan.config.settings import Settings

CHANNELS = {
    "shop": "code: shop\nname: Shop\nkind: own\nsource: woocommerce\nconnection: shop_demo\nzone: UTC\n",
    "market": "code: market\nname: Market\nkind: marketplace\nsource: marketplace\nconnection: marketplace_demo\n"
    "zone: UTC\nsince: 2026-03-01\n",
}
FIRST = datetime.combine(MONDAY, datetime.min.time())
NIGHTS = 3
SALES_A_DAY = 20
"""A suite of expectations judges no fewer."""


def sold(night: int) -> list[Sale]:
    """Of the day before that night: placed, and paid two hours later."""
    day = FIRST + timedelta(days=night)
    return [
        Sale(night * SALES_A_DAY + number, day + timedelta(hours=12), day + timedelta(hours=10), price=f"{number}.25")
        for number in range(1, SALES_A_DAY + 1)
    ]


class World:
    def __init__(self, home: Path) -> None:
        self.settings = Settings.from_environment()
        self.mailbox = Mailbox()
        self.stands: dict[str, Stand] = {"shop": WooStand(), "market": MarketStand()}
        self.home = home

    def night(self, number: int) -> runner.RunResult:
        """The day's sales have come in; the run of the day, and whatever it wakes."""
        for stand in self.stands.values():
            stand.put(*sold(number))
            stand.faults.clock = lambda: FIRST + timedelta(days=number + 1, hours=3)
        day = (FIRST + timedelta(days=number)).date()
        window = {"window_start": f"{day}", "window_end": f"{day + timedelta(days=1)}"}
        return runner.execute(runner.load_dags(), "sales_orders_daily", window, downstream=True, say=lambda line: None)

    def subjects(self) -> list[str]:
        """Of the mails since this was asked last."""
        found = [subject.removeprefix("[caravan] ") for _, subject in self.mailbox.messages]
        self.mailbox.messages.clear()
        return found

    def published(self) -> Counter[tuple[str, int, Decimal]]:
        """Channel, night and gross, by what reports read."""
        with open_warehouse(self.settings, read_only=True) as warehouse, warehouse.read() as session:
            found = session.rows(
                "SELECT channel_code, order_local_date, SUM(gross_amount) FROM mart.rpt_sales__channel_day "
                "GROUP BY channel_code, order_local_date"
            )
        return Counter((channel, (day - MONDAY).days, gross) for channel, day, gross in found)

    def page(self, name: str) -> str:
        """Its text."""
        html = (self.settings.report_dir / name).read_text()
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.fixture
def world(
    airflow_database: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    config = tmp_path / "config"
    shutil.copytree(INCLUDE_DIR / "config", config, ignore=shutil.ignore_patterns("channels"))
    (config / "channels").mkdir()
    for code, text in CHANNELS.items():
        (config / "channels" / f"{code}.yml").write_text(text)
    target = "{name: mail, kind: smtp, connection: smtp_alerts, sender: a@example.com, to: [b@example.com]}"
    (config / "alerts.yml").write_text(f"targets: [{target}]\n")
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path))
    monkeypatch.setenv("CARAVAN_CONFIG", str(config))
    monkeypatch.delenv("CARAVAN_WAREHOUSE", raising=False)
    monkeypatch.delenv(SWITCH, raising=False)
    few_dates(monkeypatch)
    use_rates(monkeypatch, write_few_rates(tmp_path))
    monkeypatch.setattr(runner, "LONGEST_RETRY_DELAY", timedelta(0))
    quick = Limits(attempts=2, first_wait_seconds=0, pull_seconds=60)
    monkeypatch.setattr(inboxes, "open_source", partial(services.open_source, limits=quick))
    world = World(tmp_path)
    world.mailbox.start()
    plain = {"disable_ssl": "true", "disable_tls": "true"}
    mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": world.mailbox.port, "extra": plain}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_ALERTS", json.dumps(mail))
    with ExitStack() as stack:
        stack.callback(world.mailbox.stop)
        for stand in world.stands.values():
            each = stack.enter_context(stand.serve())
            given = {"conn_type": "http", "host": each.host, "login": each.login, "password": each.password}
            monkeypatch.setenv(f"AIRFLOW_CONN_{each.conn_id.upper()}", json.dumps({**given, "extra": dict(each.extra)}))
        yield world


def test_a_night_without_one_shop(world: World) -> None:
    gross = sum(Decimal(sale.price) for sale in sold(0))

    assert world.night(0)
    assert world.published() == Counter([("shop", 0, gross), ("market", 0, gross)])
    assert world.subjects() == []
    assert "Not collected:" not in world.page("index.html")

    world.stands["shop"].faults.always = "down"
    result = world.night(1)
    assert (result.state, sorted(result.failures)) == ("failed", ["collect [shop]", "verdict"])
    assert result.failures["collect [shop]"].startswith(
        "connection shop_demo: GET /wp-json/wc/v3/orders answered 500; tried 2 times"
    )
    assert "shop order: not read: connection shop_demo: GET" in result.failures["verdict"]
    assert [(each.dag_id, each.state) for each in result.downstream] == [("reporting_marts_hourly", "success")]
    assert world.published() == Counter([("shop", 0, gross), ("market", 0, gross), ("market", 1, gross)])
    assert world.subjects() == ["sales_orders_daily: collect [shop] failed"]
    told = "Not collected: \u2068Shop\u2069 (under an hour): not all could be read at the last try"
    assert told in world.page("index.html")
    assert "Shop not collected at the last try" in world.page("quality.html")

    world.stands["shop"].faults.always = "ok"
    assert world.night(2)
    assert world.published() == Counter((channel, night, gross) for channel in world.stands for night in range(NIGHTS))
    assert world.subjects() == ["over: sales_orders_daily: collect [shop] failed"]
    for page in ("index.html", "quality.html"):
        assert "not collected" not in world.page(page).lower()
