"""The demo's fair, business customers and imports: their files through Caravan's reader, and by hand."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from caravan.cli.demo_world import World
from caravan.clients.file_drop.parse import parse
from caravan.clients.file_drop.parsed import Delivery, Parsed
from caravan.config.types import Configuration
from caravan.demo.catalogue import TRADE
from caravan.demo.orders import generate
from caravan.demo.price_lists import OPENING
from caravan.demo.trade import CASE, FAIR_DAYS
from caravan.demo.truth import DeliveryTruth, Truth

CODES = ("fair_de", "wholesale_gb", "import_cn")


@pytest.fixture(scope="module")
def configuration() -> Configuration:
    every = World.by_itself().configuration
    return every.model_copy(update={"channels": {code: every.channels[code] for code in CODES}})


@pytest.fixture(scope="module")
def demo(configuration: Configuration, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    home = tmp_path_factory.mktemp("home")
    return home, generate(home, configuration, seed=7, history=20)


def rows_of(home: Path, delivery: DeliveryTruth, encoding: str, delimiter: str) -> list[dict[str, Any]]:
    text = (home / "incoming" / delivery.channel_code / delivery.name).read_bytes().decode(encoding)
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def read(home: Path, delivery: DeliveryTruth, configuration: Configuration, folder: Path) -> Parsed:
    channel = configuration.channels[delivery.channel_code]
    path = home / "incoming" / delivery.channel_code / delivery.name
    status = path.stat()
    given = Delivery(channel.code, delivery.entity, path, "0" * 64, status.st_size, status.st_mtime_ns)
    return parse(given, channel, configuration, folder, datetime(2026, 12, 31))


def of_entity(truth: Truth, code: str, entity: str = "order_line") -> list[DeliveryTruth]:
    return [each for each in truth.of_channel(code) if each.entity == entity]


def columns(paths: tuple[Path, ...], names: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        asked = f"SELECT {names} FROM read_parquet($paths)"
        return connection.execute(asked, {"paths": [str(path) for path in paths]}).fetchall() if paths else []


@pytest.fixture(scope="module")
def parsed(
    demo: tuple[Path, Truth], configuration: Configuration, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Parsed]:
    home, truth = demo
    folder = tmp_path_factory.mktemp("parsed")
    return {each.name: read(home, each, configuration, folder / each.name) for each in truth.deliveries}


def test_the_reader_finds_in_each_file_what_is_in_it(demo: tuple[Path, Truth], parsed: dict[str, Parsed]) -> None:
    deliveries = demo[1].deliveries
    assert Counter(each.channel_code for each in deliveries) == {"fair_de": 1, "wholesale_gb": 8, "import_cn": 12}
    for each in deliveries:
        found = parsed[each.name]
        assert found.received_count == each.received > 0
        assert found.accepted_count == each.loaded + each.unchanged, each.name
        reasons = Counter(reason for (reason,) in columns(found.quarantined, "reason_code"))
        assert reasons == each.quarantined, each.name


def test_amounts_by_kind_are_those_of_the_truth(demo: tuple[Path, Truth], parsed: dict[str, Parsed]) -> None:
    """Across deliveries the newest row counts; none of these has two versions that differ."""
    found: defaultdict[tuple[str, date, str], Decimal] = defaultdict(Decimal)
    rows = {
        (code, order, line): (day, kind, amount)
        for delivery in demo[1].deliveries
        if delivery.entity == "order_line"
        for file in [parsed[delivery.name]]
        for code, order, line, day, kind, amount in columns(
            file.accepted, "channel_code, order_id, line_id, order_local_date, line_kind, amount"
        )
    }
    for (code, _, _), (day, kind, amount) in rows.items():
        found[code, day, kind] += amount
    assert len(demo[1].sales) > 40 + 20
    for sale in demo[1].sales:
        of_day = {kind: found[sale.channel_code, sale.order_local_date, kind] for kind in ("sale", "cancellation")}
        assert (sale.net, sale.cancelled) == (of_day["sale"], of_day["cancellation"]), sale
        assert sale.charge == found[sale.channel_code, sale.order_local_date, "charge"]


def test_a_fairs_till_in_latin_1_and_the_same_file_again(demo: tuple[Path, Truth]) -> None:
    home, truth = demo
    (delivery,) = truth.of_channel("fair_de")
    content = (home / "incoming" / "fair_de" / delivery.name).read_bytes()
    assert "Stück".encode("iso-8859-1") in content
    with pytest.raises(UnicodeDecodeError):
        content.decode()
    copy = home / "incoming" / "fair_de" / delivery.name.replace(".csv", "_kopie.csv")
    assert copy.read_bytes() == content
    assert copy.name not in {each.name for each in truth.deliveries}, "nobody reads it"
    days = {sale.order_local_date for sale in truth.sales if sale.channel_code == "fair_de"}
    assert len(days) == len(FAIR_DAYS)
    euros = [row for row in rows_of(home, delivery, "iso-8859-1", ";") if row["Währung"] == "EUR"]
    taken = sum(Decimal(row["Preis"].replace(",", ".")) * int(row["Stück"]) for row in euros if row["Preis"] != "frei")
    assert sum(sale.net for sale in truth.sales if sale.channel_code == "fair_de") == taken
    cards = {row["Kundenkarte"] for row in euros if row["Preis"] != "frei"} - {""}
    assert sum(sale.new_customers for sale in truth.sales if sale.channel_code == "fair_de") == len(cards) > 10
    share = sum(1 for row in euros if row["Kundenkarte"]) / len(euros)
    assert 0.2 < share < 0.6, "most buyers have no card; with none at all the check customers_mostly_known blocks a day"


def documents(demo: tuple[Path, Truth]) -> Iterator[dict[str, Any]]:
    """In the order in which they came."""
    for delivery in of_entity(demo[1], "wholesale_gb"):
        yield from rows_of(demo[0], delivery, "utf-8", ",")


def test_a_quote_counts_on_the_day_it_is_accepted_and_never_before(demo: tuple[Path, Truth]) -> None:
    states: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in documents(demo):
        if row["Position"] == "1":
            states[row["Document"]].append((row["State"], row["Dated"]))
    roads = Counter(tuple(state for state, _ in states[document]) for document in states)
    assert roads["Quote", "Accepted"] > 2, "in a later file than the quote"
    assert roads["Quote",] > 2, "still open"
    assert roads["Quote", "Declined"] + roads["Declined",] > 2
    accepted: defaultdict[date, set[str]] = defaultdict(set)
    for document, known in states.items():
        state, dated = known[-1]
        if state in ("Accepted", "Withdrawn"):
            accepted[date.fromisoformat(dated[:10])].add(document)
    sales = {each.order_local_date: each.orders for each in demo[1].sales if each.channel_code == "wholesale_gb"}
    assert sales == {day: len(found) for day, found in accepted.items()}


def test_imports_come_late_and_again(demo: tuple[Path, Truth], parsed: dict[str, Parsed]) -> None:
    home, truth = demo
    history, *weeks = of_entity(truth, "import_cn")
    assert (history.name, history.unchanged) == ("declared_history.tsv", 0)
    assert [each.unchanged for each in weeks] == [5, 5, 5]
    late = [row["paid_at"][:10] for row in rows_of(home, weeks[0], "utf-8", "\t")]
    assert min(late) <= (truth.last.replace(day=9)).isoformat(), "an order of before the first week"
    flows = {flow for each in of_entity(truth, "import_cn") for flow in columns(parsed[each.name].accepted, "flow")}
    assert flows == {("import",)}


def told(demo: tuple[Path, Truth], entity: str, key: str) -> dict[str, dict[str, str]]:
    """Rows of import_cn's files by the number in this column, each as it was told last, without what is quarantined."""
    rows = [row for each in of_entity(demo[1], "import_cn", entity) for row in rows_of(demo[0], each, "utf-8", "\t")]
    return {row[key]: row for row in rows if row.get("金额") != "见附件" and row.get("发货时间") != ""}


def declared(demo: tuple[Path, Truth]) -> tuple[dict[str, Decimal], dict[str, datetime]]:
    """What each order costs in all, and when it was paid."""
    lines = {
        (row["declaration"], row["item_no"]): row
        for each in of_entity(demo[1], "import_cn")
        for row in rows_of(demo[0], each, "utf-8", "\t")
    }
    amounts: defaultdict[str, Decimal] = defaultdict(Decimal)
    for (order, _), row in lines.items():
        amounts[order] += Decimal(row["dutiable_value"]) * int(row["qty"])
    return amounts, {order: datetime.fromisoformat(row["paid_at"]) for (order, _), row in lines.items()}


def test_each_declared_order_is_paid_once_and_some_payments_are_odd(demo: tuple[Path, Truth]) -> None:
    amounts, paid_at = declared(demo)
    payments = told(demo, "payment", "交易号").values()
    good = [row for row in payments if row["交易状态"] == "支付成功" and row["商户订单号"] in amounts]
    assert Counter(row["商户订单号"] for row in good) == dict.fromkeys(amounts, 1)
    for row in good:
        order = row["商户订单号"]
        assert (Decimal(row["金额"]), datetime.fromisoformat(row["交易时间"])) == (amounts[order], paid_at[order])
    odd = [row for row in payments if row not in good]
    assert sorted((row["交易状态"], row["商户订单号"] in amounts, row["商户订单号"] == "") for row in odd) == [
        ("拒付退回", True, False),
        ("支付失败", True, False),
        ("支付成功", False, False),
        ("支付成功", False, True),
    ]
    by_state = {row["交易状态"]: row for row in odd if row["商户订单号"] in amounts}
    failed, taken_back = by_state["支付失败"], by_state["拒付退回"]
    assert datetime.fromisoformat(failed["交易时间"]) < paid_at[failed["商户订单号"]]
    assert (datetime.fromisoformat(taken_back["交易时间"]) - paid_at[taken_back["商户订单号"]]).days >= 12
    assert Decimal(taken_back["金额"]) == amounts[taken_back["商户订单号"]]
    assert sum(each.received for each in demo[1].payments) == sum(amounts.values()) + 88 + 168 - Decimal(
        taken_back["金额"]
    )


def test_a_waybill_comes_when_it_has_left_and_again_when_it_was_delivered(demo: tuple[Path, Truth]) -> None:
    amounts, paid_at = declared(demo)
    waybills = told(demo, "shipment", "运单号")
    for row in waybills.values():
        left = datetime.fromisoformat(row["发货时间"])
        assert row["订单号"] == "PT999999" or timedelta(days=1) <= left - paid_at[row["订单号"]] <= timedelta(days=3)
        assert not row["签收时间"] or datetime.fromisoformat(row["签收时间"]) > left
    carried = {row["订单号"] for row in waybills.values()}
    assert {order for order, paid in paid_at.items() if paid.date() < demo[1].last - timedelta(days=3)} <= carried
    assert not paid_at.keys() <= carried, "the youngest orders have not left"
    assert Counter(row["订单号"] in amounts for row in waybills.values())[False] == 1
    assert Counter(row["承运商"] for row in waybills.values())["极兔速递"] == 1
    received = sum(each.received for each in of_entity(demo[1], "import_cn", "shipment"))
    again = received - len(waybills) - 1
    assert len(waybills) > again > 30, "on its way in one file, delivered in a later one"
    there = sum(1 for row in waybills.values() if row["签收时间"])
    truth = demo[1].shipments
    assert (sum(each.shipments for each in truth), sum(each.delivered for each in truth)) == (len(waybills), there)
    assert Counter({each.party_code: each.shipments for each in truth if each.party_code == "unknown"}) == {
        "unknown": 1
    }
    assert sum(each.freight for each in truth) == sum(Decimal(row["运费"]) for row in waybills.values())


def test_the_reader_makes_payments_and_shipments_what_they_are(
    demo: tuple[Path, Truth], parsed: dict[str, Parsed]
) -> None:
    def read_all(entity: str, names: str) -> list[tuple[Any, ...]]:
        """In the last version of each; its number comes first."""
        files = [parsed[each.name].accepted for each in of_entity(demo[1], "import_cn", entity)]
        return list({row[0]: row[1:] for file in files for row in columns(file, names)}.values())

    payments: defaultdict[tuple[Any, ...], list[Decimal]] = defaultdict(list)
    for *key, amount, party, currency in read_all(
        "payment", "payment_id, payment_local_date, payment_kind, order_id, amount, party, currency_code"
    ):
        payments[key[0], key[1], _link(key[2])].append(amount)
        assert (party, currency) == ("alipay", "CNY")
    assert {
        (each.payment_local_date, each.payment_kind, each.link_status): (each.payments, each.amount)
        for each in demo[1].payments
    } == {key: (len(amounts), sum(amounts)) for key, amounts in payments.items()}
    parties = {"sf_express": "sf_express", "极兔速递": "unknown"}
    shipments: defaultdict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for day, kind, order, party, arrived, *figures in read_all(
        "shipment",
        "shipment_id, shipment_local_date, shipment_kind, order_id, party, delivered_at, piece_count, weight_kg, "
        "freight_amount",
    ):
        shipments[day, kind, _link(order), parties[party]].append((arrived is not None, *figures))
    assert {
        (each.shipment_local_date, each.shipment_kind, each.link_status, each.party_code): (
            *(each.shipments, each.delivered, each.pieces, each.weight_kg, each.freight),
        )
        for each in demo[1].shipments
    } == {key: (len(rows), *map(sum, zip(*rows, strict=True))) for key, rows in shipments.items()}


def _link(order_id: str | None) -> str:
    return {None: "order_not_named", "PT999999": "order_unknown"}.get(order_id, "linked")


def test_the_price_list_has_what_was_sold_less_than_the_week_before(
    demo: tuple[Path, Truth], parsed: dict[str, Parsed]
) -> None:
    opening = OPENING * TRADE["wholesale_gb"].orders_a_day * CASE
    sold: defaultdict[str, Counter[date]] = defaultdict(Counter)
    for row in documents(demo):
        if row["State"] == "Accepted":
            sold[row["Item"]][date.fromisoformat(row["Dated"][:10])] += int(row["Qty"])
    lists: defaultdict[str, list[tuple[date, int, str]]] = defaultdict(list)
    for each in of_entity(demo[1], "wholesale_gb", "offer"):
        for row in rows_of(demo[0], each, "utf-8", ","):
            lists[row["Item"]].append((date.fromisoformat(row["As of"][:10]), int(row["Pieces"]), row["State"]))
    assert len(lists) == len(TRADE["wholesale_gb"].products)
    ran_low = 0
    for sku, told in lists.items():
        assert [day for day, _, _ in told] == [demo[1].last - timedelta(days=7 * back) for back in range(5, -1, -1)]
        for day, there, state in told:
            left = opening - sum(count for when, count in sold[sku].items() if when <= day)
            came, owed = divmod(there - left, opening)
            assert came >= 0, (sku, day)
            assert there == 0 if state == "Back order" else there > 0 and owed == 0
            ran_low += came
    assert ran_low > 5, "the maker delivered"
    found = columns(
        tuple(path for each in of_entity(demo[1], "wholesale_gb", "offer") for path in parsed[each.name].accepted),
        "market_code, country_code, sku, offer_local_date, price, cost_amount, stock_count, availability, channel_code",
    )
    ought = [tuple(vars(each).values()) for each in demo[1].offers]
    assert sorted((row[-1], *row[:-1]) for row in found) == ought
    assert len(ought) == 6 * 6 - 1, "the price of one is a remark"
    prices = {product.sku: product.price for product in TRADE["wholesale_gb"].products}
    assert {offer.sku: offer.price for offer in demo[1].offers} == prices
