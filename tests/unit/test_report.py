"""The figures of the report are what the orders say, and what is missing from them is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import report_world as world

from caravan.reporting.ledger import read_sales
from caravan.reporting.notices import notices
from caravan.reporting.operations import Expected, Load, Operations, read_operations
from caravan.reporting.sales import Sales, Totals, by_name, ratio
from caravan.warehouse.lake import Lake

NOW = world.NOW.replace(tzinfo=None)
LATEST = (date(2026, 10, 24), date(2026, 11, 20))
BEFORE = (date(2026, 9, 26), date(2026, 10, 23))


@pytest.fixture(scope="module")
def orders() -> list[world.Order]:
    found = world.make_orders()
    assert len(found) > 5000
    return found


@pytest.fixture(scope="module")
def lake(orders: list[world.Order], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with world.open_lake(tmp_path_factory.mktemp("report") / "lake") as opened:
        world.fill(opened, orders)
        yield opened


@pytest.fixture(scope="module")
def sales(lake: Lake) -> Sales:
    with lake.read() as session:
        found = read_sales(session)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def operations(lake: Lake) -> Operations:
    with lake.read() as session:
        return read_operations(session, NOW, world.EXPECTED)


def within(orders: list[world.Order], span: tuple[date, date]) -> list[world.Order]:
    return [order for order in orders if span[0] <= order.day <= span[1]]


def base_sum(orders: list[world.Order]) -> Decimal:
    return sum((order.net_base for order in orders if order.net_base is not None), Decimal(0))


# Figures: the same orders, counted in Python.


@pytest.mark.parametrize("name, span", [("latest", LATEST), ("before", BEFORE)])
def test_headline_is_what_the_orders_say(
    sales: Sales, orders: list[world.Order], name: str, span: tuple[date, date]
) -> None:
    totals: Totals = getattr(sales, name)
    chosen = within(orders, span)
    sold = [order for order in chosen if order.kind == "sale"]
    rated = [order for order in sold if order.net_base is not None]
    known = {(order.channel, order.customer) for order in sold if order.customer}
    earlier = {(o.channel, o.customer) for o in orders if o.kind == "sale" and o.day < span[0]}

    assert (totals.period.first, totals.period.last) == span
    assert totals.order_count == len(sold)
    assert totals.base_order_count == len(rated) < len(sold)
    assert totals.net_base == base_sum(chosen)
    assert totals.aov_base == base_sum(chosen) / len(rated)
    assert totals.unknown_customer_order_count == len([order for order in sold if order.customer is None]) > 0
    assert (totals.customer_count, totals.new_customer_count) == (len(known), len(known - earlier))


def test_customers_are_not_summed_over_days(lake: Lake, sales: Sales) -> None:
    with lake.read() as session:
        added = session.row(
            "SELECT SUM(customer_count) FROM mart.rpt_sales__channel_day WHERE order_local_date >= $day",
            {"day": LATEST[0]},
        )[0]
    assert sales.latest.customer_count is not None
    assert sales.latest.customer_count < added


def test_markets_hold_every_order_once(sales: Sales, orders: list[world.Order]) -> None:
    chosen = within(orders, LATEST)
    assert sum(row.order_count for row in sales.markets) == sales.latest.order_count
    assert sum((row.net_base or 0) for row in sales.markets) == sales.latest.net_base
    for row in sales.markets:
        mine = [o for o in chosen if (o.market, o.currency) == (row.code, row.currency_code)]
        assert row.net == sum(order.net for order in mine)
    amounts = [amount for _, amount in by_name(sales.markets) if amount is not None]
    assert amounts == sorted(amounts, reverse=True)
    assert "Other countries (ZZ)" in dict(by_name(sales.markets))
    assert sales.quiet_markets == ("Italy",)


def test_an_amount_without_a_rate_is_unknown(sales: Sales) -> None:
    (unrated,) = [row for row in sales.markets if row.currency_code == "TWD"]
    assert unrated.net is not None and unrated.aov is not None
    assert (unrated.net_base, unrated.aov_base, unrated.base_order_count) == (None, None, 0)
    assert sales.unrated_currencies == ("TWD",)


def test_channels_hold_every_order_once(sales: Sales, orders: list[world.Order]) -> None:
    chosen = within(orders, LATEST)
    assert sum(row.order_count for row in sales.channels) == sales.latest.order_count
    assert sum((row.net_base or 0) for row in sales.channels) == sales.latest.net_base
    for row in sales.channels:
        mine = [o for o in chosen if (o.channel, o.currency) == (row.code, row.currency_code)]
        assert row.net == sum(order.net for order in mine)


def test_channels_are_drawn_day_by_day(sales: Sales, orders: list[world.Order]) -> None:
    assert sales.grain == "day"
    assert sales.slices == tuple(LATEST[0] + timedelta(days=offset) for offset in range(28))
    assert {series.channel_code for series in sales.series} == set(world.CHANNELS)
    for series in sales.series:
        mine = [order for order in within(orders, LATEST) if order.channel == series.channel_code]
        assert series.net_base == base_sum(mine)
        assert series.order_count == len([order for order in mine if order.kind == "sale"])
        assert set(series.points) == {order.day for order in mine}
    (stopped,) = [series for series in sales.series if series.channel_code == "market_se"]
    assert world.LAST_DAY not in stopped.points  # absent, not zero


@pytest.mark.parametrize("days", [7, 28, 90, 365])
def test_every_range_and_market_is_what_the_orders_say(lake: Lake, orders: list[world.Order], days: int) -> None:
    first = world.LAST_DAY - timedelta(days=days - 1)
    with lake.read() as session:
        everywhere = read_sales(session, days)
        by_market = {code: read_sales(session, days, code) for code in world.MARKETS}
    assert everywhere is not None
    assert everywhere.latest.is_whole == (first >= world.FIRST_DAY)
    for code, sales in by_market.items():
        assert sales is not None
        mine = [o for o in within(orders, (first, world.LAST_DAY)) if o.market == code]
        sold = [order for order in mine if order.kind == "sale"]
        known = {(order.channel, order.customer) for order in sold if order.customer}
        assert sales.latest.order_count == (len(sold) if mine else None)
        assert sales.latest.net_base == (base_sum(mine) if mine else None)
        assert sales.latest.customer_count == len(known)
        assert {row.code for row in sales.markets} == ({code} if mine else set())
        assert {row.code for row in sales.channels} == {order.channel for order in mine}
    assert sum(s.latest.order_count or 0 for s in by_market.values() if s) == everywhere.latest.order_count


def test_products_of_one_market_are_its_own(lake: Lake, orders: list[world.Order]) -> None:
    with lake.read() as session:
        sales = read_sales(session, 28, "JP")
    assert sales is not None
    weeks = sales.product_weeks
    assert (weeks.first, weeks.last) == (date(2026, 10, 19), date(2026, 11, 15))
    mine = [order for order in within(orders, (weeks.first, weeks.last)) if order.market == "JP"]
    assert sum(product.net_base or 0 for product in sales.products) == base_sum(mine) > 0
    assert {product.channels for product in sales.products} == {"Marketplace JP"}


def test_best_products_are_of_whole_weeks(lake: Lake, orders: list[world.Order]) -> None:
    with lake.read() as session:
        sales = read_sales(session, 7)
    assert sales is not None
    assert sales.product_weeks.first == date(2026, 11, 9)  # the week of the 16th is not over on Friday the 20th
    week = within(orders, (date(2026, 11, 9), date(2026, 11, 15)))
    found = {product.sku: product.net_base for product in sales.products}
    assert set(found) == set(world.PRODUCTS)
    for sku, net in found.items():
        lines = [replace(order, lines=(line,)) for order in week for line in order.lines if line.sku == sku]
        assert net == base_sum(lines)
    assert list(found.values()) == sorted(found.values(), key=lambda net: -(net or 0))


def test_a_long_history_is_drawn_in_whole_weeks(tmp_path: Path) -> None:
    first = date(2025, 6, 4)  # a Wednesday
    days = [first + timedelta(days=offset) for offset in range(500)]
    lines = (world.Line("MUG-01", 1, Decimal(10)),)
    orders = [world.Order(f"{day}", day, "shop_de", "DE", "EUR", "C1", "sale", lines) for day in days]
    with world.open_lake(tmp_path / "lake") as lake:
        world.fill(lake, orders, first)
        with lake.read() as session:
            sales = read_sales(session, 365)
    assert sales is not None
    assert (sales.grain, len(sales.slices)) == ("week", 51)  # of 365 days that begin and end on a Friday
    assert all(day.weekday() == 0 for day in sales.slices)
    (series,) = sales.series
    assert set(series.points.values()) == {Decimal(70)}
    assert tuple(series.points) == sales.slices
    assert series.net_base == Decimal(3650)  # days outside whole weeks are in the sum
    assert sales.slices[-1] + timedelta(days=6) <= days[-1] < sales.slices[-1] + timedelta(days=13)


@pytest.mark.parametrize(
    "part, whole, expected",
    [(10, 4, Decimal("2.5")), (None, 4, None), (10, None, None), (10, 0, None), (0, 4, Decimal(0)), (1, -1, None)],
)
def test_ratio(part: int | None, whole: int | None, expected: Decimal | None) -> None:
    assert ratio(part, whole) == expected


def test_two_base_currencies_are_never_summed(lake: Lake, sales: Sales) -> None:
    """Slices built before the base currency was changed count as unknown until they are rebuilt."""
    day = {"day": BEFORE[1]}
    with pytest.raises(RuntimeError, match="roll back"), lake.write() as session:
        session.execute(
            "UPDATE mart.rpt_sales__channel_day SET base_currency_code = 'USD' WHERE order_local_date <= $day", day
        )
        found = read_sales(session)
        assert found is not None
        assert (found.before.net_base, found.before.aov_base) == (None, None)
        assert found.before.order_count == sales.before.order_count
        assert found.latest.net_base == sales.latest.net_base
        raise RuntimeError("roll back")


# What can be trusted.


def test_freshness(operations: Operations) -> None:
    found = {row.channel_code: row for row in operations.freshness}
    assert set(found) == set(world.CHANNELS)
    assert [row.channel_code for row in operations.stale] == ["market_se"]
    stale = found["market_se"]
    assert (stale.last_order_day, stale.age_hours, stale.last_look) == (date(2026, 11, 16), 99, "missing")
    us = found["shop_us"]
    assert (us.last_look, us.age_hours) == ("read", 3)  # the refused ones do not count


def test_a_channel_that_is_switched_off_is_never_stale(lake: Lake) -> None:
    on = {code: limit for code, limit in world.EXPECTED.stale_after.items() if code != "market_se"}
    with lake.read() as session:
        limits = {**on, "shop_new": timedelta(hours=48), "shop_us": timedelta(hours=2)}
        operations = read_operations(session, NOW, Expected(limits))
    assert [row.channel_code for row in operations.stale] == ["shop_us", "shop_new"]
    assert [row.age_hours for row in operations.stale] == [3, None]


def test_a_channel_that_could_not_be_read_is_marked_until_it_can(lake: Lake) -> None:
    def look(state: str, hours: float, code: str = "shop_us") -> None:
        at = NOW - timedelta(hours=hours)
        given = {"reason_code": "LATE", "message": "not in time"} if state == "refused" else {}
        world.insert(session, "ops.load", [world.load(code, None, state, at, **given)])

    def found() -> tuple[list[str], list[tuple[str, str]]]:
        operations = read_operations(session, NOW, world.EXPECTED)
        (refused,) = [row.attempt_count for row in operations.refused if row.delivery_name is None] or [0]
        return [row.channel_code for row in operations.unread], [
            (notice.kind, notice.text) for notice in notices(None, operations) if notice.head == "Not collected:"
        ] + [("refused", "")] * refused

    with pytest.raises(RuntimeError, match="roll back"), lake.write() as session:
        assert found() == ([], [])
        look("failed", 1.9)
        channels, ((kind, text),) = found()
        assert (channels, kind) == (["shop_us"], "bad")
        assert text.startswith("\u2068Own shop US\u2069 (3 h): not all could be read")
        look("idle", 1.5)
        assert found() == ([], [])
        look("refused", 1)
        assert found() == ([], [("refused", "")]), "all there was to read"
        world.insert(session, "ops.load", [world.load("shop_us", "changes since", "empty", NOW - timedelta(hours=0.5))])
        assert found() == ([], []), "read since"
        raise RuntimeError("roll back")


def test_a_channel_whose_file_has_a_fault_is_not_switched_off(lake: Lake) -> None:
    with lake.read() as session:
        faulty = Expected(world.EXPECTED.stale_after, frozenset({"shop_us", "market_se"}))
        operations = read_operations(session, NOW, faulty)
    assert [row.channel_code for row in operations.unread] == ["market_se", "shop_us"]
    assert [row.channel_code for row in operations.stale] == ["market_se"]
    (text,) = [notice.text for notice in notices(None, operations) if notice.head == "Not collected:"]
    assert "\u2068Own shop US\u2069 (3 h): the channel's file has a fault" in text


def test_loads_reconcile(operations: Operations) -> None:
    assert len(operations.loads) == 15
    assert all(load.reconciles for load in operations.loads)
    totals = operations.load_totals
    assert totals is not None
    assert (totals.load_count, totals.unreconciled_count) == (17, 0)
    assert totals.received == totals.loaded + totals.unchanged + totals.duplicate + totals.quarantined > 0


@pytest.mark.parametrize(
    "counts, expected", [((9, 4, 3, 1, 1), True), ((9, 4, 3, 1, 0), False), ((None, 4, 3, 1, 1), None)]
)
def test_a_load_that_lost_rows_is_seen(counts: tuple[int | None, ...], expected: bool | None) -> None:
    assert Load("c", "order", "f", "loaded", NOW, NOW, *counts).reconciles is expected


def test_a_refused_delivery_is_shown_until_it_is_read(operations: Operations) -> None:
    (refused,) = operations.refused
    assert (refused.delivery_name, refused.reason_code, refused.attempt_count) == (
        "shop_us_extra.csv.gz",
        "GZIP_TRUNCATED",
        3,
    )


def test_quarantine_counts_rows_and_names_one(operations: Operations) -> None:
    found = [
        (row.channel, row.reason_code, row.row_count, f"{row.file_name}:{row.row_number}", row.field_name)
        for row in operations.quarantine
    ]
    assert found == [
        ("Own shop DE", "UNKNOWN_COUNTRY", 14, "orders_2026-11-20.csv.gz:7", "country"),
        ("Own shop UK", "NOT_A_NUMBER", 3, "sales_20.csv:7", "unit_price"),
        ("Marketplace JP", "FROM_THE_FUTURE", 1, "jp_1120.csv:7", "ordered_at"),
    ]


def test_quality_shows_the_newest_run_of_each_check(operations: Operations) -> None:
    found = [(row.check_name, row.part, row.outcome, row.slice_count, row.failed_count) for row in operations.findings]
    assert found == [
        ("amount_known", "Marketplace PL", "fail", 1, 4),
        ("mean_price", "Own shop UK", "error", 1, None),
        ("customer_known", "Own shop DE", "warn", 3, 6),
    ]
    assert (operations.passed_count, operations.unjudged_count) == (3, 1)
    assert operations.waiting_slice_count == 1


def test_a_blocked_slice_is_shown_for_as_long_as_it_stands(operations: Operations) -> None:
    """One that only waits to be judged is not."""
    (blocked,) = operations.blocked
    assert (blocked.part, blocked.model_count, blocked.slice_count) == ("Marketplace PL", 3, 2)
    assert (blocked.first_slice, blocked.last_slice) == (date(2026, 11, 16), date(2026, 11, 18))
    assert blocked.reason == "amount_known: 4 of 31 rows"
    assert blocked.since == NOW - timedelta(hours=50)


def test_what_is_missing_is_said_worst_first(sales: Sales, operations: Operations) -> None:
    found = [(notice.kind, notice.head) for notice in notices(sales, operations)]
    unrated = (sales.latest.order_count or 0) - (sales.latest.base_order_count or 0)
    assert found == [
        ("bad", "1 delivery was refused"),
        ("bad", "Held back:"),
        ("bad", "2 checks failed"),
        ("warn", "Stale:"),
        ("warn", f"{unrated} orders have no exchange rate"),
        ("info", "3 checks warned:"),
        ("info", f"{sales.latest.unknown_customer_order_count} orders carry no customer number"),
        ("info", "18 rows are in quarantine"),
        ("info", "1 slice waits to be rebuilt;"),
    ]


def test_a_name_from_right_to_left_turns_nothing_round(operations: Operations) -> None:
    name = "شريك الخليج"
    stale = replace(operations.stale[0], name=name)
    (notice,) = [n for n in notices(None, replace(operations, freshness=(stale,))) if n.head == "Stale:"]
    assert f"\u2068{name}\u2069 (99 h)" in notice.text


def test_nothing_missing_is_said_too(sales: Sales, operations: Operations) -> None:
    whole = replace(sales.latest, base_order_count=sales.latest.order_count, unknown_customer_order_count=0)
    clean = replace(operations, freshness=(), refused=(), quarantine=(), findings=(), blocked=(), waiting_slice_count=0)
    (only,) = notices(replace(sales, latest=whole), clean)
    assert (only.kind, only.head) == ("good", "Nothing is known to be missing.")
    assert "no check failed when it last ran" in only.text
    (only,) = notices(replace(sales, latest=whole), replace(clean, passed_count=0))
    assert "no check has run yet" in only.text
