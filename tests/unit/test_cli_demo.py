"""The demo's judgement: exactly what was planted, no more and no less."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from caravan.cli import demo
from caravan.cli.demo import demo_settings, demo_state
from caravan.cli.demo_verdict import (
    Found,
    counted_sales,
    differences,
    loads_table,
    sales_table,
    summary,
    true_sales,
    unexpected_failures,
    wrong_figures,
)
from caravan.core.errors import CaravanError
from caravan.demo.truth import DeliveryTruth, OfferTruth, PaymentTruth, RefundTruth, SalesTruth, ShipmentTruth, Truth

LINES = DeliveryTruth("shop_de", "order_line", "lines.csv", 10, 6, 1, 1, {"NUMBER_INVALID": 2}, 3, 1)
BROKEN = DeliveryTruth("shop_gb", "order_line", "cut.csv.gz", 0, 0, 0, 0, {}, 0, 0, "GZIP_TRUNCATED")
TRUTH = Truth(1, date(2026, 10, 1), date(2026, 10, 2), (LINES, BROKEN), ())

NOON = datetime(2026, 11, 1, 12)
LOADED = Found("shop_de", "order_line", "lines.csv", NOON, None, (("NUMBER_INVALID", 2),), 10, 6, 1, 1, 2, 3, 1)
REFUSED = Found("shop_gb", "order_line", "cut.csv.gz", NOON, "GZIP_TRUNCATED", (), 0, 0, 0, 0, 0, 0, 0)


def test_what_was_planted_has_no_difference() -> None:
    assert differences(TRUTH, [REFUSED, LOADED]) == []


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ([LOADED], "shop_gb order_line cut.csv.gz: was not collected"),
        ([LOADED, REFUSED, replace(LOADED, name="other.csv")], "shop_de order_line other.csv: is no file of the demo"),
        ([replace(LOADED, loaded=5, unchanged=2), REFUSED], "loaded 5 instead of 6"),
        ([replace(LOADED, deleted=0), REFUSED], "deleted 0 instead of 3"),
        ([replace(LOADED, moved=0), REFUSED], "moved 0 instead of 1"),
        ([replace(LOADED, reasons=(("KEY_EMPTY", 2),)), REFUSED], "'KEY_EMPTY': 2"),
        ([LOADED, replace(REFUSED, refused=None)], "refused None instead of GZIP_TRUNCATED"),
        ([replace(LOADED, refused="HEADER"), REFUSED], "refused HEADER instead of None"),
    ],
)
def test_every_deviation_is_named(found: list[Found], line: str) -> None:
    assert [each for each in differences(TRUTH, found) if line in each]


EMPTY = Found("webshop_se", "order", "changes since", NOON, None, (), 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("answer", "is_known"),
    [
        (EMPTY, True),
        (replace(EMPTY, received=3, unchanged=3), True),
        (replace(EMPTY, received=1, loaded=1), False),
        (replace(EMPTY, received=1, quarantined=1), False),
        (replace(EMPTY, refused="DATE_MISSING"), False),
        (replace(EMPTY, channel_code="shop_de"), False),
    ],
)
def test_a_service_that_is_asked_again_may_say_nothing_new(answer: Found, is_known: bool) -> None:
    lines = differences(replace(TRUTH, asked=("webshop_se",)), [LOADED, REFUSED, answer])
    assert lines == ([] if is_known else [f"  {answer.channel_code} order changes since: is no file of the demo"])


SOLD = SalesTruth("shop_fr", "FR", "EUR", date(2026, 10, 1), 2, *map(Decimal, (3, 50, 10, 5, 35, 0, 0)), 1)
GIVEN = RefundTruth("shop_fr", date(2026, 10, 9), "counted", 1, Decimal(5))


class Marts:
    """A session that knows the five tables."""

    def __init__(self, sales: list[tuple[Any, ...]], refunds: list[tuple[Any, ...]], **others: Any) -> None:
        documents: dict[str, list[Any]] = {"fct_payment": [], "fct_shipment": [], "fct_offer_day": []}
        self.tables = {"rpt_sales__channel_day": sales, "fct_refund": refunds} | documents | others

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return next(rows for table, rows in self.tables.items() if f"mart.{table}" in sql)


DAY = ("shop_fr", date(2026, 10, 1), "FR", 2, Decimal("3.0000"), 50, 10, 5, Decimal("35.0000"), 1)
BACK = ("shop_fr", date(2026, 10, 9), "counted", 1, Decimal("5.0000"))


@pytest.mark.parametrize(
    ("sales", "refunds", "lines"),
    [
        ([DAY], [BACK], []),
        ([(*DAY[:-3], 0, 40, 2)], [BACK], [
            "  sales of shop_fr 2026-10-01 FR: 2 3.0000 50 10 0 40 2 instead of 2 3 50 10 5 35 1",
        ]),
        ([], [BACK], ["  sales of shop_fr 2026-10-01 FR: nothing instead of 2 3 50 10 5 35 1"]),
        ([DAY], [(*BACK[:2], "order_unknown", 1, 5)], [
            "  refunds of shop_fr 2026-10-09 counted: nothing instead of 1 5",
            "  refunds of shop_fr 2026-10-09 order_unknown: 1 5 instead of nothing",
        ]),
    ],
)  # fmt: skip
def test_every_figure_is_compared(sales: list[Any], refunds: list[Any], lines: list[str]) -> None:
    truth = replace(TRUTH, sales=(SOLD,), refunds=(GIVEN,))
    assert wrong_figures(truth, Marts(sales, refunds)) == lines


PAID = PaymentTruth("cn", date(2026, 10, 1), "chargeback", "linked", 1, Decimal(9), Decimal(-9))
SENT = ShipmentTruth("cn", date(2026, 10, 2), "outbound", "linked", "sf_express", 2, 1, 3, Decimal("1.2"), Decimal(30))
PRICED = OfferTruth("gb", "GB", "GB", "T-1", date(2026, 10, 3), Decimal("4.05"), Decimal("2.51"), 60, "in_stock")
PAYMENT = ("cn", date(2026, 10, 1), "chargeback", "linked", 1, Decimal("9.0000"), Decimal("-9.0000"))
SHIPMENT = ("cn", date(2026, 10, 2), "outbound", "linked", "sf_express", 2, 1, Decimal("3.0000"), Decimal("1.2000"), 30)
OFFER = (
    "gb",
    "GB",
    "GB",
    "T-1",
    date(2026, 10, 3),
    Decimal("4.0500"),
    Decimal("2.5100"),
    Decimal("60.0000"),
    "in_stock",
)


@pytest.mark.parametrize(
    ("table", "rows", "lines"),
    [
        ("fct_payment", [PAYMENT], []),
        ("fct_payment", [(*PAYMENT[:-1], 9)], [
            "  payments of cn 2026-10-01 chargeback linked: 1 9.0000 9 instead of 1 9 -9",
        ]),
        ("fct_payment", [(*PAYMENT[:2], "capture", *PAYMENT[3:])], [
            "  payments of cn 2026-10-01 capture linked: 1 9.0000 -9.0000 instead of nothing",
            "  payments of cn 2026-10-01 chargeback linked: nothing instead of 1 9 -9",
        ]),
        ("fct_shipment", [(*SHIPMENT[:6], 2, *SHIPMENT[7:])], [
            "  shipments of cn 2026-10-02 outbound linked sf_express: "
            "2 2 3.0000 1.2000 30 instead of 2 1 3 1.2 30",
        ]),
        ("fct_shipment", [], [
            "  shipments of cn 2026-10-02 outbound linked sf_express: nothing instead of 2 1 3 1.2 30",
        ]),
        ("fct_offer_day", [(*OFFER[:-2], 59, "in_stock")], [
            "  offers of gb GB GB T-1 2026-10-03: 4.0500 2.5100 59 in_stock instead of 4.05 2.51 60 in_stock",
        ]),
    ],
)  # fmt: skip
def test_every_document_is_compared(table: str, rows: list[Any], lines: list[str]) -> None:
    truth = replace(TRUTH, payments=(PAID,), shipments=(SENT,), offers=(PRICED,))
    found = {"fct_payment": [PAYMENT], "fct_shipment": [SHIPMENT], "fct_offer_day": [OFFER]} | {table: rows}
    assert wrong_figures(truth, Marts([], [], **found)) == lines


@dataclass(frozen=True)
class Run:
    failures: dict[str, str]
    not_run: tuple[str, ...] = ()
    downstream: tuple[Any, ...] = ()
    dag_id: str = "x"
    state: str = "success"

    def __bool__(self) -> bool:
        return self.state == "success"


GOOD = Run({"collect [shop_gb]": "cut", "verdict": "names it"}, downstream=(Run({}),))


@pytest.mark.parametrize(
    ("run", "line"),
    [
        (GOOD, None),
        (replace(GOOD, failures={}), "verdict did not fail"),
        (replace(GOOD, failures=GOOD.failures | {"build": "no room"}), "build failed: no room"),
        (replace(GOOD, not_run=("build",)), "build did not run"),
        (replace(GOOD, downstream=()), "no DAG followed"),
        (replace(GOOD, downstream=(Run({"report": "broke"}, state="failed"),)), "x failed: {'report': 'broke'}"),
    ],
)
def test_only_the_planted_failure_is_expected(run: Run, line: str | None) -> None:
    lines = unexpected_failures(TRUTH, run)
    assert bool(lines) == (line is not None)
    assert line is None or line in "\n".join(lines)


def test_table_sums_rows_by_channel() -> None:
    out = Console(width=120, record=True, file=StringIO())
    out.print(loads_table([LOADED, replace(LOADED, name="more.csv", loaded=1_000_000), REFUSED]))
    text = [line.split() for line in out.export_text().splitlines()]
    assert ["shop_de", "20", "1,000,006", "2", "2", "4", "0"] in text
    assert ["shop_gb", "0", "0", "0", "0", "0", "1"] in text
    assert ["all", "20", "1,000,006", "2", "2", "4", "1"] in text


def test_the_table_shows_what_was_counted_above_what_is_so() -> None:
    ought = true_sales(replace(TRUTH, sales=(SOLD, replace(SOLD, order_local_date=date(2026, 10, 2)))))
    counted = counted_sales(Marts([DAY, ("shop_de", *DAY[1:])], []))
    out = Console(width=80, record=True, file=StringIO())
    out.print(sales_table(counted, ought))
    text = [line.split() for line in out.export_text().splitlines()]
    assert ["channel", "orders", "units", "gross", "refunded", "net", "new"] in text
    assert ["shop_fr", "2", "3", "50", "5", "35", "1"] in text
    assert ["truth", "4", "6", "100", "10", "70", "2"] in text
    assert ["truth", "-", "-", "-", "-", "-", "-"] in text, "of shop_de, which sold nothing"


def test_summary_explains_the_planted_failure_and_an_idle_run() -> None:
    assert "cut.csv.gz of shop_gb was planted broken (GZIP_TRUNCATED)" in "\n".join(summary(TRUTH, 1))
    assert "2 rows in quarantine (NUMBER_INVALID 2)" in "\n".join(summary(TRUTH, 1))
    told = summary(replace(TRUTH, payments=(PAID,), shipments=(SENT,), offers=(PRICED,)), 1)
    assert "So are all 1 payments, 2 shipments and 1 prices with stock." in told
    assert not [line for line in summary(TRUTH, 1) if "Nothing new" in line]
    assert [line for line in summary(TRUTH, 0) if "Nothing new was loaded" in line]


@pytest.mark.parametrize(
    ("option", "variable", "expected"),
    [
        (None, None, lambda tmp, root: root / ".caravan/demo"),
        (None, "a", lambda tmp, root: tmp / "a"),
        ("b", "a", lambda tmp, root: tmp / "b"),
    ],
)
def test_home_and_a_lake_of_its_own(
    option: str | None,
    variable: str | None,
    expected: Callable[[Path, Path], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CARAVAN_HOME", raising=False)
    monkeypatch.setenv("CARAVAN_WAREHOUSE", "postgresql://production/caravan")
    if variable:
        monkeypatch.setenv("CARAVAN_HOME", str(tmp_path / variable))
    settings = demo_settings(tmp_path / option if option else None)
    home = expected(tmp_path, demo.PROJECT_ROOT)
    assert (settings.home, settings.warehouse) == (home, f"lake://{home}/lake")


def test_the_state_that_a_demo_left_has_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path))
    monkeypatch.delenv("CARAVAN_CONFIG", raising=False)
    assert demo_state() == demo_settings()
    (tmp_path / "config").mkdir()
    assert demo_state() == replace(demo_settings(), config_dir=tmp_path / "config")


def test_a_warehouse_that_is_not_the_demos_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARAVAN_ALERTS", "on")
    (tmp_path / "lake").mkdir()
    with pytest.raises(CaravanError, match="not the demo's"):
        demo.run_demo(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["lake"]
    assert os.environ["CARAVAN_ALERTS"] == "on"
