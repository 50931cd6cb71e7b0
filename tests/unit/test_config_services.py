"""Channels that ask a shop or a marketplace: what may be said of them, and what is known without."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from market_case import market_text

from caravan import INCLUDE_DIR
from caravan.clients.marketplace.market import Marketplace
from caravan.clients.marketplace.records import row_records
from caravan.clients.woocommerce.records import order_records, refund_records
from caravan.clients.woocommerce.shop import WooCommerce
from caravan.config.loader import check, load
from caravan.config.services import MarketplaceChannel, ServiceChannel, ShopChannel
from caravan.config.types import Configuration
from caravan.demo.servers.marketplace import COLUMNS

# Line numbers in the tests below count in this text.
SHOP = """\
code: web
name: Web
kind: own
source: woocommerce
connection: shop_web
zone: Europe/Oslo
entities:
  order_line:
    constants: {country: NO}
    values: {status: {on-hold: pending}}
    rules:
      - {name: cancelled, when: {status: {equals: cancelled}}, kind: cancellation}
"""
MARKET = """\
code: market
name: Market
kind: marketplace
source: marketplace
connection: marketplace_eu
zone: UTC
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    (folder / "markets").mkdir(parents=True)
    (folder / "channels").mkdir()
    shutil.copytree(INCLUDE_DIR / "config" / "privacy", folder / "privacy")
    (folder / "project.yml").write_text("base_currency: EUR\n")
    (folder / "markets" / "no.yml").write_text(market_text())
    (folder / "markets" / "zz.yml").write_text(market_text("ZZ", currency="EUR", zone="UTC"))
    write(folder, web=SHOP, market=MARKET)
    return folder


def write(config: Path, **channels: str) -> None:
    for name, text in channels.items():
        (config / "channels" / f"{name}.yml").write_text(text)


def shop_of(configuration: Configuration) -> ServiceChannel:
    channel = configuration.channels["web"]
    assert isinstance(channel, ServiceChannel)
    return channel


def test_what_is_known_of_a_service_needs_no_word(config: Path) -> None:
    assert check(config) == []
    channels = load(config).channels
    shop, market = channels["web"], channels["market"]
    assert isinstance(shop, ShopChannel) and isinstance(market, MarketplaceChannel)
    assert (shop.delivery, shop.format.type, shop.overlap_minutes) == ("changes", "ndjson", 10)
    assert (set(shop.entities), set(market.entities)) == ({"order", "order_line", "refund"}, {"order_line"})
    lines = shop.entities["order_line"]
    assert [rule.name for rule in lines.rules] == ["charge", "cancelled"], "postage is a charge whatever its status"
    assert lines.columns["unit_price"] == "unit_price" and lines.constants == {"country": "NO"}
    assert [rule.name for rule in market.entities["order_line"].rules] == ["charge"]
    assert not shop.entities["order"].rules
    assert [rule.name for rule in shop.entities["refund"].rules] == ["charge"], "postage that was given back too"


def test_the_fields_are_those_that_the_clients_write() -> None:
    order = json.loads(
        (Path(__file__).parents[1] / "fixtures" / "woocommerce" / "order.json").read_text(), parse_int=str
    )
    written = {entity: set() for entity in ("order", "order_line", "refund")}
    refund = {"id": "7", "amount": "1.00", "line_items": [{"id": "8", "total": "-1.00"}]}
    for entity, record in (*order_records(order), *refund_records(order, refund)):
        written[entity] |= record.keys()
    attribution = {"utm_source", "utm_medium", "utm_campaign", "referrer_url"}
    assert {name: set(fields) for name, fields in ShopChannel.gives.items()} == {
        name: fields if name == "refund" else fields | attribution for name, fields in written.items()
    }
    cells = ["1" for _ in COLUMNS]
    (goods, *charges) = [record for _, record in row_records(COLUMNS, cells, 1)]
    assert charges
    assert set(MarketplaceChannel.gives["order_line"]) == goods.keys()
    for kind, channel in ((WooCommerce(), ShopChannel), (Marketplace(("A",)), MarketplaceChannel)):
        assert set(channel.gives) <= set(kind.entities)


@pytest.mark.parametrize(
    ("given", "begin"), [("", None), ("since: 2026-07-01\n", datetime(2026, 6, 30, 22))], ids=["all", "a day"]
)
def test_since_is_a_day_of_the_channels_zone(config: Path, given: str, begin: datetime | None) -> None:
    write(config, web=SHOP + given)
    assert shop_of(load(config)).begin == begin


FAULTS = [
    ("source: woocommerce", "source: woocomerce", "4 source", "'woocomerce' is no source; did you mean 'woocommerce'?"),
    ("connection: shop_web\n", "", "1 connection", "is required"),
    ("connection: shop_web", "conection: shop_web", "5 conection", "did you mean 'connection'?"),
    ("name: Web", "name: Web\nfolder: incoming/web", "3 folder", "deliver files; of source woocommerce it is known"),
    ("name: Web", "name: Web\nformat: {type: csv}", "3 format", "is for channels that deliver files"),
    ("name: Web", "name: Web\ndelivery: complete", "3 delivery", "is for channels that deliver files"),
    ("name: Web", "name: Web\nsettle_seconds: 5", "3 settle_seconds", "is for channels that deliver files"),
    ("name: Web", "name: Web\nsince: yesterday", "3 since", "'yesterday' is no day"),
    ("name: Web", "name: Web\noverlap_minutes: -1", "3 overlap_minutes", "greater than or equal to 0"),
    ("name: Web", "name: Web\noverlap: 1", "3 overlap", "did you mean 'overlap_minutes'?"),
    ("name: Web", "name: Web\nmarketplace_ids: [A]", "3 marketplace_ids", "unknown key 'marketplace_ids'"),
    ("    rules:", "    files: '*'\n    rules:", "11 entities.order_line.files", "is for channels that deliver files"),
    ("    rules:", "    columns: {sku: s}\n    rules:", "11 entities.order_line.columns", "remove it"),
    ("    rules:", "    key: none\n    rules:", "11 entities.order_line.key", "is for channels that deliver files"),
    ("status: {on-hold", "state: {on-hold", "10 entities.order_line.values.state", "is no field of order_line"),
    ("{country: NO}", "{country: NX}", "9 entities.order_line.constants.country", "no ISO 3166-1 code"),
    ("name: cancelled", "name: charge", "12 entities.order_line.rules[0].name", "another rule is called 'charge'"),
    ("{status: {equals", "{stats: {equals", "12 entities.order_line.rules[0].when.stats", "is no field"),
    ("{status: {equals", "{click_id: {equals", "12 entities.order_line.rules[0].when.click_id", "is never set"),
    ("zone: Europe/Oslo", "zone: Oslo", "6 zone", "no IANA time zone"),
    ("code: web", "code: wep", "1 code", "differs from the file's name"),
]


@pytest.mark.parametrize(("old", "new", "where", "message"), FAULTS)
def test_a_fault_disables_the_channel_alone(config: Path, old: str, new: str, where: str, message: str) -> None:
    assert old in SHOP
    write(config, web=SHOP.replace(old, new, 1))
    loaded = load(config)
    assert set(loaded.channels) == {"market"}
    assert [
        fault for fault in loaded.faults if fault.where == f"channels/web.yml:{where}" and message in fault.message
    ], "\n".join(map(str, loaded.faults))


def test_all_that_is_said_of_files_comes_in_one_report(config: Path) -> None:
    given = "folder: in\nformat: {type: csv}\nentities:\n  order_line: {files: '*', columns: {sku: a}}\nzoned: UTC\n"
    write(config, market=MARKET.replace("zone: UTC\n", given))
    assert [fault.where.removeprefix("channels/market.yml:") for fault in load(config).faults] == [
        "1 zone",
        "6 folder",
        "7 format",
        "9 entities.order_line.columns",
        "9 entities.order_line.files",
        "10 zoned",
    ]


def test_an_entity_that_the_service_does_not_have(config: Path) -> None:
    write(config, market=f"{MARKET}entities: {{order: {{}}}}\n")
    (fault,) = load(config).faults
    assert str(fault) == (
        "channels/market.yml:7 entities.order: source marketplace has no entity 'order'; did you mean 'order_line'?"
    )


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("", "", True),
        ("marketplace_ids: [A, B]\n", "", True),
        ("marketplace_ids: [A, B]\n", "marketplace_ids: [B, C]\n", True),
        ("marketplace_ids: [A]\n", "marketplace_ids: [B]\n", False),
        ("", "enabled: false\n", False),
        ("", "connection: marketplace_us\n", False),
    ],
)
def test_two_channels_do_not_ask_one_account_for_the_same(config: Path, one: str, other: str, clash: bool) -> None:
    second = MARKET.replace("code: market", "code: second")
    if "connection" in other:
        second = second.replace("connection: marketplace_eu\n", "")
    write(config, market=MARKET + one, second=second + other)
    faults = [str(fault) for fault in load(config).faults]
    told = "'marketplace_eu' is asked by market too; one order would count twice"
    assert len(faults) == (2 if clash else 0), faults
    assert not clash or f"channels/second.yml:5 connection: {told}" in faults
    assert set(load(config).channels) == ({"web"} if clash else {"web", "market", "second"})
