"""The demo's fair, business customers and imports: their files through Caravan's reader, and by hand."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from caravan.cli.demo_world import World
from caravan.clients.file_drop.parse import parse
from caravan.clients.file_drop.parsed import Delivery, Parsed
from caravan.config.types import Configuration
from caravan.demo.orders import generate
from caravan.demo.trade import FAIR_DAYS
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
    assert Counter(each.channel_code for each in deliveries) == {"fair_de": 1, "wholesale_gb": 4, "import_cn": 4}
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
        for file in parsed.values()
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
    for delivery in demo[1].of_channel("wholesale_gb"):
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
    history, *weeks = truth.of_channel("import_cn")
    assert (history.name, history.unchanged) == ("declared_history.tsv", 0)
    assert [each.unchanged for each in weeks] == [5, 5, 5]
    late = [row["paid_at"][:10] for row in rows_of(home, weeks[0], "utf-8", "\t")]
    assert min(late) <= (truth.last.replace(day=9)).isoformat(), "an order of before the first week"
    flows = {flow for each in truth.of_channel("import_cn") for flow in columns(parsed[each.name].accepted, "flow")}
    assert flows == {("import",)}
