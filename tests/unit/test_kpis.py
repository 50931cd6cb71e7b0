"""The definitions of the report: each example, worked out by hand, is what the models and queries compute."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import report_world as world

from caravan import SQL_DIR
from caravan.config.kpis import FOLDER, Dictionary, ExampleOrder, load_kpis
from caravan.core.errors import Misconfigured
from caravan.core.window import slice_of
from caravan.reporting.ledger import open_ledger
from caravan.reporting.operations import Expected, Freshness, Load, read_operations
from caravan.reporting.sales import Sales, Sold, ratio
from caravan.warehouse.catalog import load_models
from caravan.warehouse.port import Session

AT = datetime(2026, 3, 21, 8, 15)
CHANNELS = {"DE": "shop_de", "GB": "shop_gb", "ZZ": "shop_de"}


@pytest.fixture(scope="module")
def dictionary() -> Dictionary:
    return load_kpis()


def base(amount: Decimal, order: ExampleOrder) -> Decimal | None:
    return None if order.rate is None else amount / order.rate


def both(order: ExampleOrder, **amounts: Decimal) -> dict[str, Any]:
    own = {f"{name}_amount": amount for name, amount in amounts.items()}
    return own | {f"{name}_amount_base": base(amount, order) for name, amount in amounts.items()}


def order_row(order: ExampleOrder) -> dict[str, Any]:
    channel = CHANNELS[order.market]
    return {
        "order_key": order.order, "channel_code": channel, "market_code": order.market, "country_code": order.market,
        "order_local_date": order.day, "customer_key": order.customer and f"{channel}/{order.customer}",
        "currency_code": order.currency, "base_currency_code": "EUR", "order_kind": "sale",
        "fx_status": "missing" if order.rate is None else "rate", "unit_count": order.units,
        **both(order, gross=order.gross, cancelled=order.cancelled, refunded=order.refunded, net=order.net),
    }  # fmt: skip


def line_rows(order: ExampleOrder) -> Iterator[dict[str, Any]]:
    """What was sold, and what of it was called off, as the models keep lines."""
    of_lines = ("order_key", "channel_code", "market_code", "order_local_date", "currency_code", "base_currency_code")
    row = order_row(order)
    shared = {name: row[name] for name in (*of_lines, "fx_status")}
    for kind, gross, cancelled in (("sale", order.gross, Decimal(0)), ("cancellation", Decimal(0), order.cancelled)):
        if gross or cancelled:
            amounts = both(order, gross=gross, cancelled=cancelled, net_before_refunds=gross - cancelled)
            product = {"sku": "CUP", "product_name": "Cup", "line_kind": kind, "quantity": order.units}
            yield {**shared, **product, **amounts}


def fill(session: Session, orders: tuple[ExampleOrder, ...]) -> None:
    catalog = load_models(SQL_DIR)
    world.create_models(session, catalog)
    lines = [line for order in orders for line in line_rows(order)]
    known = {model.name: {column.name for column in model.columns} for model in catalog.models}
    for table, rows in (("mart.fct_order", [order_row(order) for order in orders]), ("mart.fct_order_line", lines)):
        world.insert(session, table, [{k: v for k, v in row.items() if k in known[table]} for row in rows])
    days = [order.day for order in orders]
    for name in world.BUILT[2:]:  # without the names of markets and channels
        world.build(session, catalog, name, slice_of(min(days), "month") - timedelta(days=7), max(days) + timedelta(1))
    quarantine = {"channel_code": "shop_de", "entity": "order_line", "file_name": "a.csv", "quarantined_at": AT}
    reasons = ["COUNTRY_UNKNOWN", "COUNTRY_UNKNOWN", "FIELD_MISSING"]
    world.insert(session, "ops.quarantine", [{**quarantine, "reason_code": reason} for reason in reasons])
    check = {"model_name": "mart.fct_order", "kind": "structure"}
    results = [
        {**check, "check_name": f"c{number}", "outcome": outcome, "checked_count": 1, "checked_at": at}
        for at, first in ((AT - timedelta(days=1), "fail"), (AT, "pass"))
        for number, outcome in enumerate([first, "pass", "pass", "pass", "pass"])
    ]
    world.insert(session, "ops.quality_result", results)


class Computed:
    """What the report would show of the example's orders."""

    def __init__(self, session: Session) -> None:
        ledger = open_ledger(session)
        assert ledger is not None
        self.sales: Sales = ledger.sales(28)
        self.operations = read_operations(session, AT, Expected())

    @property
    def germany(self) -> Sold:
        (row,) = [row for row in self.sales.markets if row.code == "DE"]
        return row


@pytest.fixture(scope="module")
def computed(dictionary: Dictionary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computed]:
    assert dictionary.example is not None
    with world.open_lake(tmp_path_factory.mktemp("kpis") / "lake") as lake:
        with lake.write() as session:
            fill(session, dictionary.example.orders)
        with lake.read() as session:
            yield Computed(session)


def change(sales: Sales) -> Decimal:
    found = ratio(sales.latest.net_base, sales.before.net_base)
    assert found is not None
    return found - 1


def hours(_: Computed) -> int | None:
    return Freshness("c", "c", None, None, AT - datetime(2026, 3, 20, 6, 30), None).age_hours


SHOWN: dict[str, Callable[[Computed], Decimal | int | bool | None]] = {
    "sales.orders": lambda found: found.sales.latest.order_count,
    "sales.units": lambda found: found.germany.unit_count,
    "sales.gross": lambda found: found.germany.gross,
    "sales.cancelled": lambda found: found.germany.cancelled,
    "sales.refunded": lambda found: found.germany.refunded,
    "sales.net": lambda found: found.sales.latest.net_base,
    "sales.net_per_order": lambda found: found.sales.latest.aov_base,
    "sales.net_share": lambda found: ratio(found.germany.net_base, found.sales.latest.net_base),
    "sales.change": lambda found: change(found.sales),
    "sales.customers": lambda found: found.sales.latest.customer_count,
    "sales.new_customers": lambda found: found.sales.latest.new_customer_count,
    "sales.returning_customers": lambda found: found.sales.latest.returning_customer_count,
    "sales.product_net": lambda found: sum(product.net_base or 0 for product in found.sales.products),
    "quality.hours_since": hours,
    "quality.adds_up": lambda _: Load("c", "order", "f", "loaded", AT, AT, 100, 90, 5, 3, 2).reconciles,
    "quality.quarantined": lambda found: sum(row.row_count for row in found.operations.quarantine),
    "quality.checks": lambda found: len(found.operations.findings),
}


def test_every_definition_is_computed_and_every_figure_is_defined(dictionary: Dictionary) -> None:
    assert [kpi.id for kpi in dictionary.kpis] == list(SHOWN)


@pytest.mark.parametrize("kpi_id", SHOWN)
def test_the_example_is_what_the_report_computes(dictionary: Dictionary, computed: Computed, kpi_id: str) -> None:
    (kpi,) = [kpi for kpi in dictionary.kpis if kpi.id == kpi_id]
    assert SHOWN[kpi_id](computed) == kpi.example.value


def test_the_example_has_what_makes_figures_differ(computed: Computed) -> None:
    assert computed.sales.before.is_whole, "or there is no change to show"
    assert computed.sales.unrated_currencies == ("TWD",)
    assert computed.sales.product_weeks.last == date(2026, 3, 22)


def test_sources_are_tables(dictionary: Dictionary, tmp_path: Path) -> None:
    with world.open_lake(tmp_path / "lake") as lake:
        world.create_tables(lake)
        with lake.read() as session:
            for kpi in dictionary.kpis:
                assert all(session.columns(table) for table in kpi.sources), kpi.id


def test_a_ratio_is_never_added_up(dictionary: Dictionary) -> None:
    ratios = [kpi for kpi in dictionary.kpis if kpi.unit == "ratio"]
    assert ratios and all(kpi.additive == "no" for kpi in ratios)


@pytest.mark.parametrize(
    "change, said",
    [
        (("words: Pieces", "word: Pieces"), "unknown key 'word'"),
        (("additive: \"no\"", "additive: maybe"), "additive"),
        (("id: sales.units", "id: sales.orders"), "another KPI is called 'sales.orders' already"),
        (('value: "5"', "value: five"), "value"),
    ],
)  # fmt: skip
def test_a_fault_names_its_line(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    text = (FOLDER / "sales.yml").read_text(encoding="utf-8")
    assert change[0] in text
    (tmp_path / "sales.yml").write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(Misconfigured) as raised:
        load_kpis(tmp_path)
    assert said in str(raised.value)
    assert re.search(r"kpis/sales\.yml:\d+", str(raised.value))
