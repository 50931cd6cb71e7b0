"""The report says what the warehouse holds, says what is missing, and asks nothing of the outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
import report_world as world

from caravan import TEMPLATES_DIR
from caravan.reporting import formats
from caravan.reporting.operations import Load, Operations, read_operations
from caravan.reporting.report import notices, render
from caravan.reporting.sales import Sales, Totals, ratio, read_sales
from caravan.warehouse.lake import Lake

NOW = world.NOW.replace(tzinfo=None)
STALE_AFTER = timedelta(hours=48)
LATEST = (date(2026, 10, 22), date(2026, 11, 20))
BEFORE = (date(2026, 9, 22), date(2026, 10, 21))


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
        return read_operations(session, NOW, STALE_AFTER)


@pytest.fixture(scope="module")
def page(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> str:
    with lake.read() as session:
        path = render(session, tmp_path_factory.mktemp("page"), world.NOW, "Sales & <more>")
    return path.read_text(encoding="utf-8")


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
        mine = [o for o in chosen if (o.market, o.currency) == (row.market_code, row.currency_code)]
        assert row.net == sum(order.net for order in mine)
    amounts = [amount for _, amount in sales.by_market() if amount is not None]
    assert amounts == sorted(amounts, reverse=True)
    assert "Other countries (ZZ)" in dict(sales.by_market())
    assert sales.quiet_markets == ("Italy",)


def test_an_amount_without_a_rate_is_unknown(sales: Sales) -> None:
    (unrated,) = [row for row in sales.markets if row.currency_code == "TWD"]
    assert unrated.net is not None and unrated.aov is not None
    assert (unrated.net_base, unrated.aov_base, unrated.base_order_count) == (None, None, 0)
    assert sales.unrated_currencies == ("TWD",)


def test_channels_are_drawn_day_by_day(sales: Sales, orders: list[world.Order]) -> None:
    assert sales.grain == "day"
    assert sales.slices == tuple(BEFORE[0] + timedelta(days=offset) for offset in range(60))
    assert {channel.channel_code for channel in sales.channels} == set(world.CHANNELS)
    for channel in sales.channels:
        mine = [order for order in orders if order.channel == channel.channel_code]
        assert channel.net_base == base_sum(mine)
        assert set(channel.points) == {order.day for order in mine}
    (stopped,) = [channel for channel in sales.channels if channel.channel_code == "market_se"]
    assert world.LAST_DAY not in stopped.points  # absent, not zero


def test_best_products_are_of_the_latest_whole_week(sales: Sales, orders: list[world.Order]) -> None:
    assert sales.product_week == date(2026, 11, 9)  # the week of the 16th is not over on Friday the 20th
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
            sales = read_sales(session)
    assert sales is not None
    assert (sales.grain, len(sales.slices)) == ("week", 53)
    assert all(day.weekday() == 0 for day in sales.slices)
    (channel,) = sales.channels
    assert set(channel.points.values()) == {Decimal(70)}
    assert tuple(channel.points) == sales.slices
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
    assert (stale.last_order_day, stale.age_hours, stale.is_missing) == (date(2026, 11, 16), 99, True)
    assert not found["shop_us"].is_missing and found["shop_us"].age_hours == 3  # the refused ones do not count


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


# The page.


@pytest.mark.parametrize(
    ("outcomes", "blocks", "said", "unsaid"),
    [
        (["pass"], [], ["No check failed when it last ran, and no slice is held back."], ["Every check passed"]),
        (
            ["pass"],
            ["structure"],
            ["No check failed when it last ran.", "Held at the last good state"],
            ["no slice is"],
        ),
        (["pass"], ["unvalidated"], ["and no slice is held back"], ["Held at the last good state"]),
        (["warn"], [], ["warning"], ["No check failed"]),
        ([], [], ["No check has run yet."], ["No check failed"]),
    ],
)
def test_the_page_claims_no_more_than_the_newest_checks_know(
    tmp_path: Path, outcomes: list[str], blocks: list[str], said: list[str], unsaid: list[str]
) -> None:
    at = NOW - timedelta(hours=1)
    with world.open_lake(tmp_path / "lake") as lake:
        with lake.write() as session:
            for number, outcome in enumerate(outcomes):
                check = {"model_name": "mart.fct_order", "check_name": f"c{number}", "kind": "structure"}
                counts = {"outcome": outcome, "checked_count": 3, "failed_count": 0, "checked_at": at}
                world.insert(session, "ops.quality_result", [check | counts])
            for kind in blocks:
                block = {"model_name": "mart.fct_order", "slice_date": world.LAST_DAY, "part_value": "shop_de"}
                cause = {"cause_model": "stg.x", "cause_kind": kind, "reason": "r", "run_id": "r1", "blocked_at": at}
                world.insert(session, "ops.blocked_slice", [block | cause])
        with lake.read() as session:
            page = render(session, tmp_path, world.NOW).read_text(encoding="utf-8")
    assert [words for words in said if words not in page] == []
    assert [words for words in unsaid if words in page] == []


def test_the_page_asks_nothing_of_the_outside(page: str) -> None:
    assert "<svg" in page
    assert not re.search(r"(?i)https?:|//[a-z]|url\(|@import|<script|<link|<img|<iframe|javascript:", page)
    assert re.findall(r'(?:src|href)="([^"]*)"', page)
    assert not [target for target in re.findall(r'(?:src|href)="([^"]*)"', page) if not target.startswith("#")]
    assert "default-src 'none'" in page


def test_text_of_the_data_is_text(page: str) -> None:
    assert "Sales &amp; &lt;more&gt;" in page
    assert page.count("&lt;script&gt;alert(1)") >= 3  # in two drawings and a table
    assert "<script" not in page


def test_no_personal_data(page: str, lake: Lake) -> None:
    with lake.read() as session:
        raw = str(session.rows("SELECT raw_row, message FROM ops.quarantine"))
    for secret in world.PERSONAL:
        assert secret in raw
        assert secret not in page
    assert not re.search(r"shop_de/C\d", page)


class _Outline(HTMLParser):
    """Tags with attributes, and what is wrong with their nesting."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")


def outline(page: str) -> _Outline:
    parser = _Outline()
    parser.feed(page)
    parser.close()
    return parser


def test_the_page_is_well_formed_and_named(page: str) -> None:
    found = outline(page)
    assert (found.faults, found.open) == ([], [])
    tags = [tag for tag, _ in found.seen]
    assert dict(found.seen)["html"] == {"lang": "en"}
    assert tags.count("h1") == 1
    assert tags.count("table") == tags.count("caption") >= 7
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in found.seen if tag == "th")
    drawings = [attrs for tag, attrs in found.seen if tag == "svg"]
    assert len(drawings) == len(world.CHANNELS) + 4
    assert all(attrs["role"] == "img" for attrs in drawings)
    assert tags.count("desc") == len(drawings)
    ids = [attrs["id"] for _, attrs in found.seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = {attrs["href"] for _, attrs in found.seen if "href" in attrs}
    assert targets and targets <= {f"#{name}" for name in ids}


@pytest.mark.parametrize(
    "words",
    [
        "Orders up to 20 Nov 2026, written 21 Nov 2026 06:10 UTC",
        "22 Oct to 20 Nov 2026, compared with the 30 days before",
        "Other countries (ZZ)",
        '<td class="num"><span class="unknown">unknown</span></td>',
        "GZIP_TRUNCATED",
        "orders_2026-11-20.csv.gz:7",
        "No order recorded in these days: Italy.",
        "no file at the last look",
        "adds up",
    ],
)
def test_the_page_says(page: str, words: str) -> None:
    assert words in page


def test_figures_on_the_page_are_formatted(page: str, sales: Sales) -> None:
    assert f">{formats.whole_money(sales.latest.net_base, 'EUR')}<" in page
    assert f">{formats.money(sales.latest.aov_base, 'EUR')}<" in page
    assert f">{formats.count(sales.latest.customer_count)}<" in page
    (japan,) = [row for row in sales.markets if row.market_code == "JP"]
    assert f">¥{round(japan.net or 0):,}<" in page


def test_the_same_snapshot_makes_the_same_page(lake: Lake, page: str, tmp_path: Path) -> None:
    with lake.read() as session:
        again = render(session, tmp_path / "new" / "folder", world.NOW, "Sales & <more>")
    assert again == tmp_path / "new" / "folder" / "index.html"
    assert again.read_text(encoding="utf-8") == page


def test_a_failure_leaves_the_old_page(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "index.html"
    target.write_text("old", encoding="utf-8")
    monkeypatch.setattr("os.replace", _fail)
    with pytest.raises(OSError, match="no room"), lake.read() as session:
        render(session, tmp_path, world.NOW)
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def _fail(*_: object) -> None:
    raise OSError("no room")


@pytest.mark.parametrize("has_tables", [False, True])
def test_an_empty_warehouse_says_what_to_do(tmp_path: Path, has_tables: bool) -> None:
    with world.open_lake(tmp_path / "lake") as lake:
        if has_tables:
            world.create_tables(lake)
        with lake.read() as session:
            page = render(session, tmp_path, world.NOW).read_text(encoding="utf-8")
    assert "No order has reached the warehouse yet" in page
    assert "./caravan run sales_orders_daily" in page
    assert (outline(page).faults, outline(page).open) == ([], [])
    assert "<svg" not in page and "Nothing is missing" not in page


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(scheme: str) -> None:
    style = (TEMPLATES_DIR / "report" / "style.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block)) for block in style.split("@media")[:2])
    colours = dark if scheme == "dark" else light
    pairs = [("ink", "paper"), ("ink-2", "paper"), ("link", "paper"), ("ink-2", "panel")]
    for text, ground in [*pairs, *((kind, f"{kind}-bg") for kind in ("bad", "warn", "good"))]:
        dim, bright = sorted((luminance(colours[text]), luminance(colours[ground])))
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, f"{text} on {ground}"


# Formats.


@pytest.mark.parametrize(
    "function, arguments, expected",
    [
        (formats.money, (Decimal("1234.565"), "EUR"), "€1,234.56"),  # half to even
        (formats.money, (Decimal("-12.5"), "SEK"), "−SEK 12.50"),
        (formats.money, (Decimal("1234.5"), "JPY"), "¥1,234"),
        (formats.money, (Decimal(0), "EUR"), "€0.00"),
        (formats.money, (None, "EUR"), "unknown"),
        (formats.whole_money, (Decimal("51647.40"), "EUR"), "€51,647"),
        (formats.short_money, (Decimal(834), "EUR"), "€834"),
        (formats.short_money, (Decimal(3000), "EUR"), "€3.0K"),
        (formats.short_money, (Decimal(-1234567), "PLN"), "−PLN 1.2M"),
        (formats.count, (1234567,), "1,234,567"),
        (formats.count, (Decimal("1.5000"),), "1.5"),
        (formats.count, (0,), "0"),
        (formats.count, (None,), "unknown"),
        (formats.share, (Decimal("0.0421"),), "4.2 %"),
        (formats.change, (Decimal("0.0421"),), "+4.2 %"),
        (formats.change, (Decimal("-0.5"),), "−50.0 %"),
        (formats.day, (None,), "unknown"),
        (formats.days, (date(2026, 11, 3), date(2026, 11, 3)), "3 Nov 2026"),
        (formats.days, (date(2026, 11, 3), date(2026, 11, 9)), "3 Nov to 9 Nov 2026"),
        (formats.days, (date(2025, 12, 31), date(2026, 1, 2)), "31 Dec 2025 to 2 Jan 2026"),
        (formats.moment, (datetime(2026, 11, 3, 6, 10),), "3 Nov 2026 06:10"),
        (formats.counted, (1, "delivery", "deliveries"), "1 delivery"),
        (formats.counted, (2000, "order"), "2,000 orders"),
    ],
)
def test_formats(function: object, arguments: tuple[object, ...], expected: str) -> None:
    assert callable(function)
    assert function(*arguments).replace(formats.SPACE, " ") == expected
