"""The demo's order files and the truth about them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from caravan import INCLUDE_DIR
from caravan.clients.fx import ecb
from caravan.clients.fx.user_files import read_rates
from caravan.config.loader import load
from caravan.config.types import Configuration
from caravan.core.errors import CaravanError
from caravan.core.rates import KnownRate, Limits, judge
from caravan.demo.deliveries import DEFECTS, REPEATED, plan
from caravan.demo.orders import DEFAULT_END, generate
from caravan.demo.truth import DeliveryTruth, Truth, write_truth

# Of every file with its path: changes only with the generator itself or with pyarrow, never with Python.
DIGEST = "cd447b462e64d9fcb865da9e8400bbed17e52e0751f0bab0a5e70a2e3081fd85"


@pytest.fixture(scope="module")
def configuration() -> Configuration:
    return load(INCLUDE_DIR / "config")


@pytest.fixture(scope="module")
def demo(configuration: Configuration, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    home = tmp_path_factory.mktemp("home")
    return home, generate(home, configuration)


def files(home: Path) -> list[Path]:
    found = sorted(path for path in (home / "incoming").rglob("*") if path.is_file())
    assert len(found) > 100
    return found


def digest(home: Path, leave_out: str = "") -> str:
    total = hashlib.sha256()
    for path in files(home):
        if not leave_out or path.suffix != leave_out:
            total.update(path.relative_to(home).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def test_the_same_bytes_on_every_python(demo: tuple[Path, Truth]) -> None:
    assert digest(demo[0], leave_out=".parquet") == DIGEST


def test_again_writes_nothing(configuration: Configuration, tmp_path: Path) -> None:
    first = generate(tmp_path, configuration)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files(tmp_path)}
    bytes_before = digest(tmp_path)
    one = next(iter(before))
    one.unlink()
    assert generate(tmp_path, configuration) == first
    assert digest(tmp_path) == bytes_before
    after = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files(tmp_path)}
    assert {path for path in before if before[path] != after[path]} <= {one}


def test_a_file_that_differs_is_not_overwritten(configuration: Configuration, tmp_path: Path) -> None:
    generate(tmp_path, configuration)
    path = files(tmp_path)[3]
    path.write_bytes(b"mine")
    with pytest.raises(CaravanError, match="is there with another content"):
        generate(tmp_path, configuration)
    assert path.read_bytes() == b"mine"


def test_another_seed_gives_other_orders(
    configuration: Configuration, demo: tuple[Path, Truth], tmp_path: Path
) -> None:
    other = generate(tmp_path, configuration, seed=1)
    assert other.quarantined() == demo[1].quarantined()
    assert {sale.net for sale in other.sales} != {sale.net for sale in demo[1].sales}


@pytest.mark.parametrize(("end", "days"), [(date(2026, 10, 30), 14), (date(2025, 3, 31), 30)])
def test_other_days(configuration: Configuration, tmp_path: Path, end: date, days: int) -> None:
    truth = generate(tmp_path, configuration, end=end, days=days)
    assert (truth.first, truth.last) == (end - timedelta(days=days - 1), end)
    # Zones may put an order on the neighbouring date, and one order has been moved by days within the range.
    dates = {sale.order_local_date for sale in truth.sales}
    assert min(dates) >= truth.first - timedelta(days=1)
    assert max(dates) <= truth.last + timedelta(days=1)
    assert len(dates) >= days


def test_too_few_days_for_what_is_planted(configuration: Configuration, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 14 days"):
        generate(tmp_path, configuration, days=13)


def test_only_configured_channels(configuration: Configuration, tmp_path: Path) -> None:
    one = configuration.model_copy(update={"channels": {"shop_br": configuration.channels["shop_br"]}})
    truth = generate(tmp_path, one)
    assert {path.name for path in (tmp_path / "incoming").iterdir()} == {"shop_br"}
    assert {sale.channel_code for sale in truth.sales} == {"shop_br"}
    with pytest.raises(CaravanError, match="none of the demo's channels"):
        generate(tmp_path, configuration.model_copy(update={"channels": {}}))


def test_files_are_settled_and_nothing_temporary_is_left(demo: tuple[Path, Truth]) -> None:
    for path in files(demo[0]):
        assert path.stat().st_mtime < 1_793_500_000  # 2026-11-01
        assert not path.name.startswith(".")
    names = {delivery.name for delivery in (*demo[1].deliveries, *demo[1].rates)}
    assert names == {path.name for path in files(demo[0])}


def test_size(demo: tuple[Path, Truth]) -> None:
    received = sum(delivery.received for delivery in demo[1].deliveries)
    assert 10_000 <= received <= 20_000
    for channel in {delivery.channel_code for delivery in demo[1].deliveries}:
        assert sum(sale.gross for sale in demo[1].sales if sale.channel_code == channel) > 10_000


# Read back without Caravan's reader: another way to the same numbers.
READERS = {
    "shop_de": ("windows-1252", ";"),
    "shop_fr": ("utf-16", "\t"),
    "shop_gb": ("utf-8", ","),
    "marketplace_jp": ("shift_jis", ","),
    "marketplace_cn": ("gb18030", ","),
    "shop_br": ("utf-8-sig", ";"),
}


def rows_of(home: Path, delivery: DeliveryTruth) -> list[dict[str, Any]]:
    path = home / "incoming" / delivery.channel_code / delivery.name
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
        return rows
    if path.suffix == ".ndjson":
        return [{"line": line} for line in path.read_text(encoding="utf-8").splitlines()]
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    encoding, delimiter = READERS[delivery.channel_code]
    return list(csv.DictReader(io.StringIO(content.decode(encoding), newline=""), delimiter=delimiter))


def whole(truth: Truth) -> Iterator[DeliveryTruth]:
    found = [delivery for delivery in truth.deliveries if delivery.refused is None]
    assert len(found) > 100
    return iter(found)


def test_received_is_what_the_files_hold(demo: tuple[Path, Truth]) -> None:
    home, truth = demo
    for delivery in whole(truth):
        assert delivery.received == len(rows_of(home, delivery)), delivery.name


def test_received_adds_up(demo: tuple[Path, Truth]) -> None:
    for delivery in demo[1].deliveries:
        parts = delivery.loaded + delivery.unchanged + delivery.duplicate + sum(delivery.quarantined.values())
        assert delivery.received == parts, delivery.name
    assert sum(delivery.unchanged for delivery in demo[1].deliveries) > 1000


def test_planted_defects(demo: tuple[Path, Truth]) -> None:
    truth = demo[1]
    # A full export brings its defects again each time: shop_de and partner_ae deliver three of them.
    assert truth.quarantined() == {
        "COUNTRY_UNKNOWN": 2 * 3 + 1,
        "CURRENCY_UNKNOWN": 2 + 1 * 3,
        "FIELDS_TOO_FEW": 2,
        "FIELDS_TOO_MANY": 1,
        "FIELD_MISSING": 1 + 2 + 2 * 3,
        "JSON_INVALID": 2,
        "KEY_EMPTY": 1,
        "NUMBER_INVALID": 1 * 2 + 2 + 1 + 1,
        "ORDER_IN_FUTURE": 1 + 1,
        "RATE_SPIKE": 1,
        "RULE_TEST_ITEM": 2 * 3,
        "SIGN_UNEXPECTED": 1,
        "TIMESTAMP_INVALID": 1,
    }
    reasons = {defect.reason for defects in DEFECTS.values() for defect in defects}
    assert set(truth.quarantined()) == reasons | {"RATE_SPIKE", "SIGN_UNEXPECTED"}
    refused = [delivery for delivery in truth.deliveries if delivery.refused]
    assert [(each.channel_code, each.name, each.refused, each.received) for each in refused] == [
        ("shop_gb", "lines_20261020.csv.gz", "GZIP_TRUNCATED", 0)
    ]
    empty = [delivery for delivery in whole(truth) if delivery.received == 0]
    assert [(each.channel_code, each.name) for each in empty] == [("shop_br", "pedidos_20261022.csv")]
    duplicates = Counter({each.channel_code: 0 for each in truth.deliveries})
    for delivery in truth.deliveries:
        duplicates[delivery.channel_code] += delivery.duplicate
    assert +duplicates == {"shop_fr": REPEATED["shop_fr"][1], "marketplace_jp": REPEATED["marketplace_jp"][1]}
    assert {each.channel_code for each in truth.deliveries if each.deleted} == {"shop_de", "partner_ae"}
    assert {each.channel_code for each in truth.deliveries if each.moved} == {"shop_de", "shop_us"}


def test_the_rates_of_the_dirham_are_what_the_truth_says(demo: tuple[Path, Truth]) -> None:
    """Judged by what judges a person's files, against the ECB's dollar."""
    home, truth = demo
    since = truth.first - timedelta(days=20)
    dollars = [
        KnownRate("bundled", each.rate_date, each.currency, each.base, each.rate)
        for each in ecb.read_history(ecb._bundle(), since, "bundle").rates
        if each.currency == "USD"
    ]
    reading = read_rates((home / "incoming/rates/dirham.csv").read_bytes(), "dirham.csv")
    judged = judge(reading, "user", dollars, Limits(7, Decimal("0.2")), truth.last)
    (planted,) = truth.rates
    assert Counter(bad.reason_code for bad in judged.bad) == planted.quarantined
    assert (len(judged.accepted), len(reading.rates)) == (planted.loaded, planted.received)


def test_the_truncated_file_cannot_be_read_and_comes_again(demo: tuple[Path, Truth]) -> None:
    folder = demo[0] / "incoming" / "shop_gb"
    with pytest.raises(EOFError):
        gzip.decompress((folder / "lines_20261020.csv.gz").read_bytes())
    again = folder / "lines_20261020_again.csv.gz"
    assert gzip.decompress(again.read_bytes()).count(b"\r\n") > 50
    assert again.stat().st_mtime - (folder / "lines_20261020.csv.gz").stat().st_mtime == 86_400


def number(text: str, thousands: str = "", decimal: str = ".") -> Decimal:
    return Decimal(text.replace(thousands, "").replace(decimal, ".") if thousands else text)


def test_french_totals_read_by_hand(demo: tuple[Path, Truth]) -> None:
    home, truth = demo
    lines: dict[tuple[str, str], tuple[date, str, str, Decimal]] = {}
    for delivery in (each for each in truth.of_channel("shop_fr") if each.entity == "order_line"):
        for row in rows_of(home, delivery):
            if row["Magasin"] != "Lyon" or None in row or row["Quantité"] == "deux":
                continue
            amount = number(row["Prix unitaire"], " ", ",") * int(row["Quantité"]) - number(row["Remise"], " ", ",")
            day, month, year = row["Date"].split(" ")[0].split("/")
            lines[row["N° commande"], row["Ligne"]] = (
                date(int(year), int(month), int(day)),
                row["Référence"],
                row["État"],
                amount,
            )
    goods = [line for line in lines.values() if line[1] != "LIVRAISON"]
    gross: defaultdict[date, Decimal] = defaultdict(Decimal)
    cancelled: defaultdict[date, Decimal] = defaultdict(Decimal)
    for day_, _, state, amount in goods:
        gross[day_] += amount
        cancelled[day_] += amount if state == "Annulée" else Decimal(0)
    expected = [sale for sale in truth.sales if sale.channel_code == "shop_fr"]
    assert len(expected) == 21
    for sale in expected:
        assert (sale.gross, sale.cancelled) == (gross[sale.order_local_date], cancelled[sale.order_local_date])
        assert sale.net == sale.gross - sale.cancelled - sale.refunded
    assert sum(sale.cancelled for sale in expected) > 0
    assert sum(sale.charge for sale in expected) == Decimal("6.90") * (len(lines) - len(goods))


def test_french_refunds_read_by_hand(demo: tuple[Path, Truth]) -> None:
    home, truth = demo
    days: dict[str, date] = {}
    off: set[str] = set()
    given: list[tuple[date, str, Decimal]] = []
    for delivery in truth.of_channel("shop_fr"):
        for row in rows_of(home, delivery):
            day, month, year = (row["Date"] or "1/1/1").split(" ")[0].split("/")
            when, order = date(int(year), int(month), int(day)), row["N° commande"]
            if delivery.entity == "refund" and not row["Montant"].startswith("-"):
                given.append((when, order, number(row["Montant"], " ", ",")))
            elif delivery.entity == "order_line" and row["Magasin"] == "Lyon" and None not in row:
                days[order] = when
                off |= {order} if row["État"] == "Annulée" else set()
    refunded: defaultdict[date, Decimal] = defaultdict(Decimal)
    for _, order, amount in given:
        if order in days and order not in off:
            refunded[days[order]] += amount
    expected = [sale for sale in truth.sales if sale.channel_code == "shop_fr"]
    assert [sale.refunded for sale in expected] == [refunded[sale.order_local_date] for sale in expected]
    assert sum(each.refunds for each in truth.refunds) == len(given) > 20
    assert Counter({each.net_status: each.refunds for each in truth.refunds if each.net_status != "counted"}) == {
        "order_unknown": 1,
        "nothing_left": 1,
    }
    assert any(when - days[order] == timedelta(days=9) for when, order, _ in given if order in days)
    assert sum(sale.refunded for sale in truth.sales) == sum(sale.refunded for sale in expected) > 0


def test_emirati_totals_read_by_hand(demo: tuple[Path, Truth]) -> None:
    """A partner without keys: the last export is the truth, repetitions included."""
    home, truth = demo
    rows = [
        row
        for row in rows_of(home, truth.of_channel("partner_ae")[-1])
        if row["item_code"] and not row["item_code"].startswith("TEST") and row["currency"] == "AED"
    ]
    sales = [sale for sale in truth.sales if sale.channel_code == "partner_ae"]
    assert sum(sale.net + sale.charge for sale in sales) == sum(row["price"] * row["qty"] for row in rows)
    assert sum(sale.units for sale in sales) == sum(
        row["qty"] for row in rows if row["item_code"] != "DELIVERY" and row["qty"] > 0
    )
    assert (
        sum(sale.cancelled for sale in sales) == -sum(row["price"] * row["qty"] for row in rows if row["qty"] < 0) > 0
    )
    assert {sale.market_code for sale in sales} == {"AE", "ZZ"}
    repeated = Counter(tuple(row.items()) for row in rows)
    assert sum(count - 1 for count in repeated.values()) == REPEATED["partner_ae"][1]


def test_american_dates_are_those_of_new_york(demo: tuple[Path, Truth]) -> None:
    home, truth = demo
    lines = {}
    for delivery in truth.of_channel("shop_us"):
        for row in rows_of(home, delivery):
            if row["line"].endswith("}}}"):
                line = json.loads(row["line"])
                if line["order"]["currency"] == "USD" and not line["order"]["placed_at"].startswith("2099"):
                    lines[line["order"]["id"], line["item"]["position"]] = line
    night = [line for line in lines.values() if line["order"]["placed_at"][11:13] in ("00", "01", "02", "03")]
    assert len(night) > 100
    gross: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in lines.values():
        placed = line["order"]["placed_at"]
        day = date.fromisoformat(placed[:10]) - timedelta(days=int(placed[11:13]) < 4)  # New York in October: UTC-4
        item = line["item"]
        if item["quantity"] > 0 and item["sku"] != "SHIPPING":
            gross[day.isoformat()] += Decimal(item["price"]) * item["quantity"] - Decimal(item["discount"])
    expected: defaultdict[str, Decimal] = defaultdict(Decimal)
    for sale in truth.sales:
        if sale.channel_code == "shop_us":
            expected[sale.order_local_date.isoformat()] += sale.gross
    assert gross == expected
    assert len(expected) == 22


def test_plan_depends_on_the_channel_and_the_seed_alone() -> None:
    days = [DEFAULT_END - timedelta(days=back) for back in reversed(range(14))]
    assert plan("shop_fr", 7, days) == plan("shop_fr", 7, days)
    assert plan("shop_fr", 7, days) != plan("shop_fr", 8, days)


def test_write_truth(demo: tuple[Path, Truth], tmp_path: Path) -> None:
    write_truth(demo[1], tmp_path / "out" / "truth.json")
    written = json.loads((tmp_path / "out" / "truth.json").read_text(encoding="utf-8"))
    assert written["last"] == "2026-10-30"
    assert len(written["deliveries"]) == len(demo[1].deliveries)
    assert written["sales"][0]["gross"] == str(demo[1].sales[0].gross)
