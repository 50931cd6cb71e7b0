"""What the demo's shop and marketplace know, its history, and the truth about both, counted another way."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from caravan import INCLUDE_DIR
from caravan.cli.demo_world import CHANNELS, HISTORY_DAYS, World, write_config
from caravan.config.loader import check
from caravan.config.types import Configuration
from caravan.demo.answers import marketplace_rows, woocommerce_order, woocommerce_refunds
from caravan.demo.orders import DEFAULT_END, generate, ledgers
from caravan.demo.services import FLAWS, Entry, Ledger
from caravan.demo.truth import SalesTruth, Truth, as_json

SEED = 7


@pytest.fixture(scope="module")
def configuration() -> Configuration:
    return World.by_itself().configuration


@pytest.fixture(scope="module")
def known(configuration: Configuration) -> dict[str, Ledger]:
    return ledgers(configuration, SEED)


@pytest.fixture(scope="module")
def truth(configuration: Configuration) -> Truth:
    return generate(None, configuration, SEED)


def test_the_demos_channels_have_no_fault_and_stand_beside_the_projects(tmp_path: Path) -> None:
    merged = write_config(INCLUDE_DIR / "config", tmp_path / "config")
    assert check(merged) == []
    own = {path.name for path in (INCLUDE_DIR / "config" / "channels").glob("*.yml")}
    demos = {path.name for path in CHANNELS.glob("*.yml")}
    assert {"webshop_se.yml", "marketplace_au.yml"} <= demos
    assert {path.name for path in (merged / "channels").glob("*.yml")} == own | demos
    assert not own & demos
    (merged / "channels" / "mine.yml").write_text("code: mine")
    write_config(INCLUDE_DIR / "config", merged)
    assert not (merged / "channels" / "mine.yml").exists()
    assert write_config(merged, merged) == merged


def written(known: Ledger) -> bytes:
    if known.shop.code == "marketplace_au":
        return json.dumps([marketplace_rows(each) for each in known.entries]).encode()
    return json.dumps([[woocommerce_order(each), woocommerce_refunds(each)] for each in known.entries]).encode()


@pytest.mark.parametrize("code", ["webshop_se", "marketplace_au"])
def test_same_seed_same_bytes(configuration: Configuration, known: dict[str, Ledger], code: str) -> None:
    assert written(ledgers(configuration, SEED)[code]) == written(known[code])
    assert written(ledgers(configuration, SEED + 1)[code]) != written(known[code])


def shown(known: Ledger) -> list[Entry]:
    """As the service has them in the end."""
    by_order = {each.order.order_id: each for each in (*known.entries, known.correction)}
    assert len(by_order) == len(known.entries) > 500
    return [each for each in by_order.values() if not each.flaw]


def sales_of(truth: Truth, code: str) -> dict[date, SalesTruth]:
    found = {each.order_local_date: each for each in truth.sales if each.channel_code == code}
    assert len(found) == 21
    return found


def test_swedish_totals_read_by_hand(known: dict[str, Ledger], truth: Truth) -> None:
    orders = [woocommerce_order(each) for each in shown(known["webshop_se"])]
    totals: defaultdict[date, dict[str, Any]] = defaultdict(lambda: defaultdict(Decimal))
    first: dict[int, date] = {}
    for order in sorted(orders, key=lambda each: each["date_created"]):
        day = date.fromisoformat(order["date_created"][:10])
        goods = sum(Decimal(item["total"]) for item in order["line_items"])
        totals[day]["gross"] += goods
        totals[day]["orders"] += 1
        totals[day]["charge"] += sum(Decimal(item["total"]) for item in order["shipping_lines"])
        if order["status"] == "cancelled":
            totals[day]["cancelled"] += goods
        else:
            totals[day]["units"] += sum(item["quantity"] for item in order["line_items"])
        if order["customer_id"] and order["customer_id"] not in first:
            first[order["customer_id"]] = day
            totals[day]["new_customers"] += 1
    for day, each in sales_of(truth, "webshop_se").items():
        for name in ("orders", "units", "gross", "cancelled", "charge", "new_customers"):
            assert getattr(each, name) == totals[day][name], (day, name)


def test_swedish_refunds_read_by_hand(known: dict[str, Ledger], truth: Truth) -> None:
    """Of lines without their tax, of nothing in particular as stated, postage apart."""
    refunded: defaultdict[date, Decimal] = defaultdict(Decimal)
    postage, sums = Decimal(0), 0
    for each in shown(known["webshop_se"]):
        day = date.fromisoformat(woocommerce_order(each)["date_created"][:10])
        for refund in woocommerce_refunds(each):
            items = [*refund["line_items"], *refund["shipping_lines"]]
            assert not items or Decimal(refund["amount"]) == -sum(
                Decimal(item["total"]) + Decimal(item["total_tax"]) for item in items
            )
            refunded[day] -= sum(Decimal(item["total"]) for item in refund["line_items"])
            postage -= sum(Decimal(item["total"]) for item in refund["shipping_lines"])
            if not items:
                sums += 1
                refunded[day] += Decimal(refund["amount"])
    assert sums == 1
    assert postage > 0
    assert {day: each.refunded for day, each in sales_of(truth, "webshop_se").items() if each.refunded} == refunded
    charges = [each for each in truth.refunds if each.net_status == "charge"]
    assert [(each.channel_code, each.amount) for each in charges] == [("webshop_se", postage)]


def test_australian_totals_read_by_hand(known: dict[str, Ledger], truth: Truth) -> None:
    sydney = ZoneInfo("Australia/Sydney")
    gross: defaultdict[date, Decimal] = defaultdict(Decimal)
    cancelled: defaultdict[date, Decimal] = defaultdict(Decimal)
    for each in shown(known["marketplace_au"]):
        for row in marketplace_rows(each):
            day = datetime.fromisoformat(row["purchase-date"]).astimezone(sydney).date()
            amount = Decimal(row["item-price"]) - Decimal(row["item-promotion-discount"] or 0)
            gross[day] += amount
            cancelled[day] += amount if row["order-status"] == "Cancelled" else 0
    for day, sale in sales_of(truth, "marketplace_au").items():
        assert (sale.gross, sale.cancelled, sale.new_customers) == (gross[day], cancelled[day], 0)
    assert sum(cancelled.values()) > 0


def test_what_is_planted_in_services(truth: Truth) -> None:
    for code, flaws in FLAWS.items():
        deliveries = truth.of_channel(code)
        assert {each.name for each in deliveries} == {
            "all changes" if code == "webshop_se" else "changes since 2026-06-30T23:50:00Z"
        }
        planted = sum(sum(each.quarantined.values()) for each in deliveries)
        assert planted == sum(len(flaw.reasons) for flaw in flaws)
        assert all(each.duplicate for each in deliveries if each.entity != "refund"), (
            "an order changes while it is read"
        )
    assert truth.asked == ("webshop_se", "marketplace_au")


def test_nothing_is_known_before_it_happened(known: dict[str, Ledger]) -> None:
    for each in known.values():
        now = each.clock.replace(tzinfo=UTC)
        assert now.date() == DEFAULT_END + timedelta(days=1)
        assert max(entry.order.updated for entry in (*each.entries, each.correction)) < now
        assert max((refund.moment for entry in each.entries for refund in entry.refunds), default=now) <= now


@pytest.fixture(scope="module")
def long(configuration: Configuration, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    home = tmp_path_factory.mktemp("long")
    return home, generate(home, configuration, SEED, history=HISTORY_DAYS, scale=0.5)


@pytest.mark.slow
def test_the_same_world_in_another_place_byte_for_byte(
    long: tuple[Path, Truth], configuration: Configuration, tmp_path: Path
) -> None:
    home, found = long
    assert generate(tmp_path, configuration, SEED, history=HISTORY_DAYS, scale=0.5) == found
    names = sorted(path.relative_to(home) for path in home.rglob("*") if path.is_file())
    assert len(names) > 190
    assert names == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert [name for name in names if (home / name).read_bytes() != (tmp_path / name).read_bytes()] == []


def test_120_days_with_those_before_in_one_export(long: tuple[Path, Truth], truth: Truth) -> None:
    home, found = long
    assert (found.last - found.first).days + 1 == 120
    per_day: defaultdict[str, set[date]] = defaultdict(set)
    for sale in found.sales:
        per_day[sale.channel_code].add(sale.order_local_date)
    assert len(per_day.pop("fair_de")) == 4
    few = [len(per_day.pop(code)) for code in ("wholesale_gb", "import_cn")]
    assert min(few) > 90, "at half of few orders a day some days have none"
    assert min(len(days) for days in per_day.values()) >= 119, "one channel has a day without orders"
    quotes = ("RULE_QUOTE", "RULE_DECLINED")
    planted = [{name: n for name, n in each.quarantined().items() if name not in quotes} for each in (found, truth)]
    assert planted[0] == planted[1], "what is planted is planted in the last three weeks"
    histories = {each.name for each in found.deliveries} - {each.name for each in truth.deliveries}
    assert len(histories) == 12
    assert len(found.deliveries) == len(truth.deliveries) + len(histories)
    assert histories <= {path.name for path in (home / "incoming").rglob("*")}


def test_a_history_is_written_like_its_channels_other_files(long: tuple[Path, Truth]) -> None:
    home, found = long
    (delivery,) = (each for each in found.deliveries if each.name == "ventes_historique.txt")
    text = (home / "incoming" / "shop_fr" / delivery.name).read_bytes().decode("utf-16")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t"))
    assert delivery.received == delivery.loaded == len(rows) > 2000
    days = {datetime.strptime(row["Date"], "%d/%m/%Y %H:%M").date() for row in rows}
    assert (min(days), max(days), len(days)) == (found.first, found.last - timedelta(days=21), HISTORY_DAYS)


def test_customers_of_the_history_are_not_new_again(long: tuple[Path, Truth], configuration: Configuration) -> None:
    known = ledgers(configuration, SEED, history=HISTORY_DAYS, scale=0.5)["webshop_se"]
    orders = [woocommerce_order(each) for each in known.entries if not each.flaw]
    border = (DEFAULT_END - timedelta(days=21)).isoformat()
    before = {each["customer_id"] for each in orders if each["date_created"][:10] <= border} - {0}
    after = {each["customer_id"] for each in orders if each["date_created"][:10] > border} - {0}
    assert before & after
    sales = [each for each in long[1].sales if each.channel_code == "webshop_se"]
    assert sum(each.new_customers for each in sales) == len(before | after)
    assert sum(each.new_customers for each in sales if each.order_local_date.isoformat() > border) == len(
        after - before
    )


def test_scale_multiplies_orders(configuration: Configuration, truth: Truth) -> None:
    many = generate(None, configuration, SEED, scale=3)
    for code in {each.channel_code for each in truth.sales}:
        before = sum(each.orders for each in truth.sales if each.channel_code == code)
        assert 2.5 < sum(each.orders for each in many.sales if each.channel_code == code) / before < 3.2, code


def test_a_truth_is_the_same_text_every_time(configuration: Configuration, truth: Truth) -> None:
    assert as_json(generate(None, configuration, SEED)) == as_json(truth)
