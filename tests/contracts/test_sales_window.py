"""The sales steps over a file channel, end to end on both engines: any order of runs ends in the same rows."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from engines import one_engine, slow_on_lake
from sales_world import CHANNEL, HEADER, MONDAY, World, line

from caravan.assembly import sales
from caravan.core.errors import Rejected
from caravan.core.scope import RunScope
from caravan.core.window import Window
from caravan.warehouse import lake
from caravan.warehouse import store as warehouse_store

FIRST = [line(f"a{day}", day, buyer=f"k{day % 2}") for day in range(3)]
CHANGED = [line("a1", 4, price="11.00", buyer="k1")]
"""Order a1 is of Friday now, and dearer."""
KEYLESS = CHANNEL.replace("line_id: line, ", "").replace('files: "*.csv"', 'files: "*.csv"\n    key: none')
"""For what the engines have no part in; the quicker of the two over a handful of rows."""


# A minute on the lake: there the real data's windows and the refunds' (test_refund_window.py) run in `make test`.
@slow_on_lake
def test_any_order_of_windows_ends_in_the_same_rows(
    world: World, new_place: Any, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deliver("first.csv", FIRST)
    for day in range(3):
        world.run(day, day + 1)
    by_day = world.tables()
    assert all(by_day[name] for name in ("mart.fct_order", "mart.rpt_sales__channel_day", "int.sales__customer_order"))
    world.run(1, 2)
    assert world.tables() == by_day, "run twice"
    world.run(-1, 6)
    assert world.tables() == by_day, "over a wider window"

    world.deliver("second.csv", CHANGED)
    world.run(4, 5)
    changed = world.tables()
    assert changed != by_day
    world.run(0, 2)
    assert world.tables() == changed, "a replay of the first window keeps the newer version"
    totals = dict(world.rows("SELECT order_local_date, total_amount FROM mart.rpt_sales__channel_day"))
    assert MONDAY + timedelta(days=1) not in totals
    assert totals[MONDAY + timedelta(days=4)] == 22

    at_once = World(tmp_path / "other", new_place(engine), monkeypatch)
    at_once.deliver("first.csv", FIRST)
    at_once.deliver("second.csv", CHANGED)
    at_once.run(0, 5)
    assert at_once.tables() == changed, "the same deliveries in one run of a new warehouse"


@one_engine
def test_a_missing_an_empty_and_a_broken_delivery_are_three_answers(world: World) -> None:
    def loads() -> list[Any]:
        return world.rows(
            "SELECT state, reason_code, received_count FROM ops.load WHERE channel_code = 'shop' ORDER BY started_at"
        )

    world.run(0, 1)
    assert loads() == [("missing", None, 0)]
    world.deliver("empty.csv", [])
    world.run(0, 1)
    assert loads()[1:] == [("empty", None, 0)]
    (world.folder / "other.csv").write_text("order;line\nx;1\n")
    with pytest.raises(
        Rejected, match=r"DELIVERIES_REFUSED: shop: 1 refused\n  - COLUMN_MISSING: shop order_line other.csv"
    ):
        world.run(0, 1)
    assert [load[:2] for load in loads()[2:]] == [("refused", "COLUMN_MISSING")]


@one_engine
def test_a_refused_delivery_keeps_no_other_back_and_fails_the_verdict(world: World) -> None:
    (world.folder / "a_broken.csv").write_text("no,such,columns\n1,2,3\n")
    world.deliver("b_good.csv", FIRST)
    with pytest.raises(Rejected):
        world.run(0, 6)
    assert world.rows("SELECT COUNT(*) FROM raw.file_drop__order_line") == [(3,)]
    scope = RunScope("run-1", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=6)))
    with pytest.raises(
        Rejected, match=r"RUN_INCOMPLETE: this failed:\n  - task collect.*\n  - shop order_line a_broken.csv"
    ):
        sales.verdict(scope, ["collect"])
    assert world.rows("SELECT state FROM ops.run WHERE run_id = 'run-1'") == [("failed",)]


@one_engine
def test_a_run_that_is_cleared_forgets_what_was_refused_before(world: World) -> None:
    (world.folder / "broken.csv").write_text("no,such,columns\n1,2,3\n")
    world.deliver("good.csv", FIRST)
    with pytest.raises(Rejected):
        world.run(0, 3)
    (world.folder / "broken.csv").unlink()
    scope = RunScope("run-1", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=3)))
    sales.collect(scope, "shop")
    sales.verdict(scope)
    assert world.rows("SELECT state FROM ops.run WHERE run_id = 'run-1'") == [("success",)]
    assert world.rows("SELECT state, delivery_name FROM ops.load WHERE run_id = 'run-1' ORDER BY 2")[0] == (
        "retried",
        "broken.csv",
    )


def fact_orders(world: World) -> list[str]:
    return [row[0] for row in world.rows("SELECT order_id FROM mart.fct_order ORDER BY 1")]


@pytest.fixture
def files_are_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with many rows: a lake makes a staged file part of its table, and it is gone from where it was."""
    monkeypatch.setattr(lake, "ADOPTED_ROWS", 0)


@slow_on_lake
def test_nothing_is_built_from_rows_that_nobody_has_judged_yet(
    world: World, files_are_taken_over: None, caplog: pytest.LogCaptureFixture
) -> None:
    world.deliver("first.csv", FIRST)
    world.run(0, 3)
    world.deliver("second.csv", [line("b1", 1)])
    one, other = (
        RunScope(name, "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=3)))
        for name in ("one", "other")
    )
    sales.collect(other, "shop")
    sales.stage(other)
    sales.build(one)
    assert fact_orders(world) == ["a0", "a1", "a2"], "staged by another run, which has not validated yet"
    assert "staged slices are not built from" in caplog.text
    sales.validate(other)
    sales.build(one)
    assert fact_orders(world) == ["a0", "a1", "a2", "b1"]
    assert world.rows("SELECT COUNT(*) FROM ops.blocked_slice") == [(0,)]


@one_engine
def test_a_slice_that_is_staged_anew_while_it_is_judged_is_judged_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deliver("first.csv", FIRST)
    world.run(0, 3)
    scope = RunScope("again", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=3)))
    judge = warehouse_store.expectations.validate
    counts = []

    def slow(session: Any, *args: Any) -> Any:
        counts.append(session.row("SELECT COUNT(*) FROM stg.file_drop__order_line")[0])
        results = judge(session, *args)
        if len(counts) == 1:
            world.deliver("second.csv", [line("b1", 1)])
            sales.collect(scope, "shop")
            sales.stage(scope)
        return results

    monkeypatch.setattr(warehouse_store.expectations, "validate", slow)
    sales.validate(scope)
    assert counts == [3, 4]
    assert world.rows("SELECT COUNT(*) FROM ops.blocked_slice") == [(0,)]


@one_engine
@pytest.mark.parametrize("delivery", ["changes", "complete"])
def test_rows_without_a_key_stand_once_when_another_column_is_mapped(world: World, delivery: str) -> None:
    channel = world.home / "config" / "channels" / "shop.yml"
    channel.write_text(KEYLESS.replace("delivery: changes", f"delivery: {delivery}"))
    world.deliver("first.csv", FIRST)
    world.run(0, 3)
    before = world.rows("SELECT order_key, quantity FROM mart.fct_order_line ORDER BY 1")
    channel.write_text(channel.read_text().replace("sku: sku,", "sku: sku, utm_source: buyer,"))
    scope = RunScope("reload", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=3)))
    assert sales.collect(scope, "shop", reload=True)["deleted"] == 3
    world.run(0, 3)
    assert world.rows("SELECT order_key, quantity FROM mart.fct_order_line ORDER BY 1") == before
    assert world.rows("SELECT COUNT(*) FROM mart.fct_order WHERE utm_source IS NOT NULL") == [(3,)]


@one_engine
def test_after_the_mapping_is_corrected_a_reload_brings_the_quarantined_rows(world: World) -> None:
    world.deliver("first.csv", [*FIRST[:2], line("odd", 1, money="KRONA")])
    world.run(0, 2)
    assert world.rows("SELECT reason_code, field_name, row_number FROM ops.quarantine") == [
        ("CURRENCY_UNKNOWN", "currency", 3)
    ]
    channel = world.home / "config" / "channels" / "shop.yml"
    channel.write_text(channel.read_text() + "    values: {currency: {KRONA: SEK}}\n")
    scope = RunScope("reload", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=1)))
    assert sales.collect(scope, "shop")["received"] == 0, "the same bytes are not read twice by themselves"
    counts = sales.collect(scope, "shop", reload=True)
    assert (counts["received"], counts["loaded"], counts["unchanged"], counts["quarantined"]) == (3, 1, 2, 0)
    assert world.rows("SELECT COUNT(*) FROM ops.quarantine") == [(0,)]


def prices(world: World) -> dict[str, int]:
    found = world.rows("SELECT order_id, unit_price FROM stg.file_drop__order_line ORDER BY 1")
    return {order: int(price) for order, price in found}


@one_engine
def test_an_older_delivery_that_is_mended_later_does_not_overwrite_a_newer_one(world: World) -> None:
    world.deliver("1.csv", [line("a", 0, "10")])
    whole = (world.folder / "1.csv").read_bytes()
    moment = (world.folder / "1.csv").stat().st_mtime
    (world.folder / "1.csv").write_text("broken\n1\n")
    world.deliver("2.csv", [line("a", 0, "20")])
    with pytest.raises(Rejected):
        world.run(0, 1)
    (world.folder / "1.csv").write_bytes(whole)
    os.utime(world.folder / "1.csv", (moment, moment))
    world.run(0, 1)
    assert prices(world) == {"a": 20}


@one_engine
def test_a_reload_that_stops_half_way_leaves_the_newest_rows(world: World) -> None:
    world.deliver("1.csv", [line("a", 0, "10"), line("b", 0, "10")])
    world.deliver("2.csv", [line("a", 0, "20")])
    world.run(0, 1)
    (world.folder / "2.csv").rename(world.home / "out of reach")
    scope = RunScope("reload", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=1)))
    sales.collect(scope, "shop", reload=True)
    sales.stage(scope)
    assert prices(world) == {"a": 20, "b": 10}


@one_engine
def test_a_complete_channel_is_what_its_newest_delivery_says(world: World) -> None:
    channel = world.home / "config" / "channels" / "shop.yml"
    channel.write_text(channel.read_text().replace("delivery: changes", "delivery: complete\nmax_deleted_share: 1"))
    first, second = [line("a", 0, "10"), line("b", 0, "10")], [line("a", 0, "20")]
    for name, content in (("1.csv", first), ("2.csv", second), ("3.csv", first)):
        world.deliver(name, content)
        world.run(0, 1)
    assert prices(world) == {"a": 10, "b": 10}, "it returned to what it was"
    world.deliver("0.csv", second)
    os.utime(world.folder / "0.csv", (1_760_000_000, 1_760_000_000))
    world.run(0, 1)
    assert prices(world) == {"a": 10, "b": 10}, "an older one came late"


@one_engine
def test_a_reload_of_a_complete_channel_reads_what_counts(world: World) -> None:
    channel = world.home / "config" / "channels" / "shop.yml"
    channel.write_text(channel.read_text().replace("delivery: changes", "delivery: complete"))
    world.deliver("2.csv", [line(f"a{number}", 0) for number in range(5)])
    world.run(0, 1)
    late = world.folder / "1.csv"
    late.write_text(HEADER + "".join(line(f"z{number}", 0) for number in range(5)))
    os.utime(late, (1_760_000_000, 1_760_000_000))
    scope = RunScope("reload", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=1)))
    counts = sales.collect(scope, "shop", reload=True)
    assert (counts["deliveries"], counts["unchanged"], counts["deleted"]) == (1, 5, 0)
    (world.folder / "2.csv").touch()
    assert sales.collect(scope, "shop")["deliveries"] == 0, "touched, and still the same"
    assert sales.collect(scope, "shop", reload=True)["deliveries"] == 1


@one_engine
def test_a_reload_without_keys_needs_every_file_that_was_read(world: World) -> None:
    channel = world.home / "config" / "channels" / "shop.yml"
    channel.write_text(
        CHANNEL.replace("line_id: line, ", "").replace('files: "*.csv"', 'files: "*.csv"\n    key: none')
    )
    world.deliver("1.csv", FIRST[:1])
    world.deliver("2.csv", FIRST)
    world.run(0, 3)
    (world.folder / "1.csv").unlink()
    scope = RunScope("reload", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=1)))
    with pytest.raises(Rejected, match=r"RELOAD_INCOMPLETE.*1\.csv"):
        sales.collect(scope, "shop", reload=True)


@one_engine
def test_a_repetition_under_another_name_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.deliver("1.csv", FIRST)
    world.run(0, 3)
    world.deliver("2.csv", FIRST)
    world.run(0, 3)
    assert "shop order_line: 2.csv repeats 1.csv and is not read" in caplog.text


def test_a_dry_run_changes_nothing(world: World) -> None:
    world.deliver("first.csv", FIRST)
    world.use()
    scope = RunScope("dry", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=6)), dry_run=True)
    assert sales.list_channels(scope) == ["shop"]
    assert sales.collect(scope, "shop")["deliveries"] == 1
    assert (sales.stage(scope), sales.validate(scope), sales.build(scope)) == ({}, {}, {})
    sales.verdict(scope)
    for table in ("ops.run", "ops.load", "raw.file_drop__order_line", "ops.model"):
        assert world.rows(f"SELECT COUNT(*) FROM {table}") == [(0,)], table
