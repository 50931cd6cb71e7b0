"""Every model of include/sql gives the same rows on the lake and on PostgreSQL."""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from crawled import load_crawl
from deliveries import LINES, OBSERVED, OFFERS, ORDERS, PAYMENTS, REFUNDS, SHIPMENTS, Line, batch_of, day
from places import table_rows
from search_world import day_batch, searches
from sent import Sent

from caravan import INCLUDE_DIR, SQL_DIR
from caravan.clients.fx.ecb import write_rates
from caravan.config.calendars import business_calendar
from caravan.config.loader import load
from caravan.core.release import SentLink
from caravan.core.window import DayRange
from caravan.functions.markets.calendar import market_days, market_row
from caravan.functions.release.calendar import KEY as RELEASE_KEY
from caravan.functions.release.links import KEY as LINK_KEY
from caravan.functions.release.links import link_rows
from caravan.functions.sales.orders import reference_rows
from caravan.warehouse import lake as lake_module
from caravan.warehouse.catalog import load_models
from caravan.warehouse.port import Row, Warehouse
from caravan.warehouse.raw import Batch, append, compare
from caravan.warehouse.raw_tables import RAW, SOURCES, RawTable
from caravan.warehouse.runner import Runner
from caravan.warehouse.runner import fill as fill_in
from caravan.warehouse.store import Store

DAYS = 20
CONSTANTS = {"base_currency": "EUR", "fx_max_carry_days": "7", "fx_max_source_difference": "0.01"}
# channel: market, country, currency, whether it delivers headers
CHANNELS = {
    "shop": ("DE", "DE", "EUR", True),
    "shop_us": ("US", "US", "USD", False),
    "market_jp": ("JP", "JP", "JPY", False),
    "partner": ("ZZ", "IS", "ISK", True),
    "exotic": ("ZZ", "XX", "XTS", False),
}
"""The last one's currency has no rate."""


def lines_of(channel: str, chance: random.Random) -> list[Line]:
    market, country, currency, _ = CHANNELS[channel]
    lines = []
    for number in range(200):
        on, customer = chance.randint(1, DAYS), chance.choice([None, *(f"c{i}" for i in range(40))])
        for line in range(chance.randint(1, 6)):
            kind = chance.choice(["sale"] * 8 + ["cancellation", "cancellation", "charge", "adjustment"])
            quantity = chance.randint(1, 12)
            # Some amounts end below a cent.
            amount = chance.choice([chance.randint(1, 9_999_999) / 10_000, 0.0, 1234.5, chance.randint(1, 4_000) / 10])
            taken_back = kind == "cancellation" and chance.random() < 0.7
            sign = -1 if taken_back or kind == "adjustment" else 1
            lines.append(
                Line(
                    f"{channel}-{number}", on, f"{sign * amount:.4f}", line=str(line), channel=channel,
                    customer=customer, sku=chance.choice(["ä", "Z", "a", "_", "東", *(f"s{i}" for i in range(30))]),
                    market=market, country=country if chance.random() < 0.9 else "SE", currency=currency, kind=kind,
                    quantity=str(sign * quantity), status=chance.choice([None, "", "paid", "Refunded"]),
                )
            )  # fmt: skip
    return lines


def headers_of(lines: list[Line]) -> list[Line]:
    """Headers for most of the orders, and for some that have no lines."""
    firsts = {line.order: line for line in reversed(lines)}
    found = [
        line.but(line=None, sku="", kind="sale", quantity="1") for order, line in firsts.items() if hash_of(order) % 4
    ]
    return [*found, *(line.but(order=f"{line.order}-empty") for line in found[:5])]


def refunds_of(lines: list[Line], chance: random.Random) -> list[Line]:
    """For one order in three, some of unknown orders, some in another currency; by line or whole, on any day."""
    found = []
    for number, line in enumerate(line for line in lines if line.kind == "sale" and chance.random() < 0.1):
        order = "unheard-of" if number % 11 == 3 else line.order
        found.append(
            line.but(
                order=order, line=line.line if number % 2 else None, amount=f"{chance.randint(1, 90_000) / 10_000:.4f}",
                day=chance.randint(1, DAYS + 10), currency="SEK" if number % 13 == 5 else line.currency,
                copy=f"r{number}",
            )
        )  # fmt: skip
    return found


def documents_of(lines: list[Line], chance: random.Random) -> list[Line]:
    """Payments or shipments of some orders, of some party or another, in their currency or another."""
    parties = ["paypal", "dhl", "Mule", None]
    return [
        line.but(
            copy=f"d{number}", day=chance.randint(1, DAYS + 10), party=parties[number % 4], sku=f"s{number}",
            order="unheard-of" if number % 11 == 3 else line.order, kind=chance.choice(["sale", "cancellation"]),
            currency="SEK" if number % 13 == 5 else line.currency, amount=f"{chance.randint(1, 90_000) / 10_000:.4f}",
        )
        for number, line in enumerate(line for line in lines if chance.random() < 0.1)
    ]  # fmt: skip


def offers_of(lines: list[Line], chance: random.Random) -> list[Line]:
    """What some products cost on some days, some of them several times a day."""
    return [line.but(copy=f"o{number}", hour=chance.randint(0, 23)) for number, line in enumerate(lines[:150])]


def hash_of(text: str) -> int:
    return sum(map(ord, text))


def second_wave(lines: list[Line], chance: random.Random) -> list[Line]:
    """The same channel later: lines gone, changed, moved to another day, and new ones."""
    kept = [line for line in lines if chance.random() > 0.03]
    changed = [line.but(amount="17.1250") if chance.random() < 0.05 else line for line in kept]
    moved = {line.order: chance.randint(1, DAYS + 5) for line in changed if chance.random() < 0.01}
    return [line.but(day=moved.get(line.order, line.day)) for line in changed] + [
        Line(f"{line.order}-late", DAYS + 3, channel=line.channel, market=line.market, currency=line.currency)
        for line in {line.order: line for line in lines[:60]}.values()
    ]


def all_batches(folder: Path) -> list[Batch]:
    chance = random.Random(20)
    first = {channel: lines_of(channel, chance) for channel in CHANNELS}
    second = {channel: second_wave(lines, chance) for channel, lines in first.items()}
    batches: list[Batch] = []

    def add(rows: list[Line], table: RawTable, channel: str) -> None:
        load_id = f"{folder.name}{len(batches):02d}"
        batches.append(batch_of(folder, rows, table, channel, complete=True, stamped=True, load_id=load_id))

    given = random.Random(21)
    for wave in (first, second):
        for channel, lines in wave.items():
            add(refunds_of(lines, given), REFUNDS, channel)
            add(documents_of(lines, given), PAYMENTS, channel)
            add(documents_of(lines, given), SHIPMENTS, channel)
            add(offers_of(lines, given), OFFERS, channel)
            add(lines, LINES, channel)
            if CHANNELS[channel][3]:
                add(headers_of(lines), ORDERS, channel)
    return batches


def rates(folder: Path) -> Batch:
    """ECB's rates of the days around."""
    table = pq.read_table(write_rates(folder / "all.parquet").path)
    near = pc.and_(
        pc.greater_equal(table["rate_date"], day(1) - timedelta(days=10)),
        pc.less_equal(table["rate_date"], day(DAYS + 10)),
    )
    table = table.filter(near)
    assert len(table) > 500
    pq.write_table(table, folder / "near.parquet")
    return Batch(RAW["raw.fx__rate"], [folder / "near.parquet"], len(table), "rates", OBSERVED)


def searches_of(folder: Path, wave: int) -> list[Batch]:
    """Some days; in the second wave one of them is restated, and one is new."""
    numbers = (2, 3, 25) if wave == 1 else (3, 4)
    return [
        day_batch(folder, day(n), searches(seed=n * wave, count=40), f"search-{wave}-{n}", OBSERVED) for n in numbers
    ]


def releases_of(*markets: str, standing: str = "planned") -> list[dict[str, object]]:
    """The first one's time has passed, the others' not."""
    names = ("title", "kind", "audience", "action", "zone", "outlets")
    return [
        dict.fromkeys(names, "Grüße")
        | {"release_id": "autumn", "revision": 1, "market_code": market, "owner": None, "standing": standing}
        | dict.fromkeys(("planned_at", "local_at"), datetime(2026, 2 if market == "DE" else 4, 1, 23, 30))
        for market in markets
    ]


def put(warehouse: Warehouse, catalog, batch: Batch) -> None:
    with warehouse.read() as session:
        comparison = compare(session, batch)
    with warehouse.write() as session:
        append(session, catalog, batch, comparison)
    warehouse.forget_staged()


def fill(warehouse: Warehouse, fx: Batch, batches: list[Batch], sent: Sent, folder: Path) -> None:
    """Deliver and build in two waves: a first build, then what the changes make stale and a window over it."""
    catalog = load_models(SQL_DIR)
    store = Store(warehouse, catalog, "dag", CONSTANTS, "revision", lambda: datetime(2026, 3, 1))
    configuration = load(INCLUDE_DIR / "config")
    shipped = configuration.markets
    markets = [
        market_row(shipped[code], date(2026, 3, 1)) | {"currency_code": "EUR", "zone": "UTC", "calendar_version": "1"}
        for code in ("DE", "US", "JP", "ZZ")
    ]
    clock_change = business_calendar(shipped["US"], date(2026, 3, 10), date(2026, 3, 6))
    channels = [
        {"channel_code": code, "name": code, "kind": "own", "source": "file_drop", "delivery": "complete",
         "market_code": None, "reporting_zone": "UTC"}
        for code in CHANNELS
    ]  # fmt: skip
    store.put_reference("raw.config__market", markets, ("market_code",), "run")
    days = list(market_days(shipped["US"], clock_change, "1"))
    store.put_reference("raw.config__market_date", days, ("market_code", "local_date"), "run")
    store.put_reference("raw.config__channel", channels, ("channel_code",), "run")
    for table in ("raw.config__party", "raw.config__method"):
        store.put_reference(table, *reference_rows(configuration)[table], "run")
    ended = [{"currency_code": "HRK", "ended_date": "2023-01-01", "successor_code": "EUR"}]
    store.put_reference("raw.config__ended_currency", ended, ("currency_code",), "run")
    put(warehouse, catalog, fx)
    half = len(batches) // 2
    places = ((1, "site", ""), (2, "letter", "?utm_source=ä&utm_campaign=autumn"))
    links = [
        SentLink(
            "autumn", 1, "c0ffee", outlet, "de-DE", outlet, place, f"https://a.example/{tags}", "https://a.example/"
        )
        for place, outlet, tags in places
    ]
    store.put_reference("raw.release__link", link_rows(links), LINK_KEY, "run")
    batches[half:half] = searches_of(folder, 1)
    half += 3
    batches += searches_of(folder, 2)
    for wave, days in ((batches[:half], None), (batches[half:], DayRange(day(1), day(5)))):
        releases = releases_of("DE", "US", "JP") if days is None else releases_of("US", "ZZ", standing="over")
        store.put_reference("raw.config__release", releases, RELEASE_KEY, "run", is_complete=True)
        for batch in wave:
            put(warehouse, catalog, batch)
        sent.plan_and_send(warehouse, catalog)
        # A night, and after it another crawl of its day beside the next night.
        for hours in (26,) if days is None else (33, 50):
            load_crawl(warehouse, catalog, folder, datetime.combine(day(1), time()) + timedelta(hours=hours))
        Runner(warehouse, catalog, CONSTANTS, "dag", "run").build(catalog.models, days)


@pytest.fixture(scope="module")
def both(lakes, servers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("agree")
    places = lakes.migrated(folder / "lake"), servers.migrated()
    with pytest.MonkeyPatch.context() as patch:
        # As with many rows: a lake makes the larger files part of its tables as they are.
        patch.setattr(lake_module, "ADOPTED_ROWS", 200)
        for place in places:
            # Files of its own for each engine, under the same names.
            (deliveries := folder / place.engine / "load").mkdir(parents=True)
            fill(place.open(), rates(deliveries), all_batches(deliveries), Sent(folder / place.engine), deliveries)
        assert list((folder / "lake" / "files").rglob("adopted-*.parquet")), "no file was adopted"
    yield tuple(place.open() for place in places)
    for place in places:
        place.close()


TABLES = [model.name for model in load_models(SQL_DIR).models]
READ_TABLES = sorted(SOURCES)


def differences(both: tuple[Warehouse, Warehouse], table: str) -> list[tuple[str, Row]]:
    """Rows that one engine has and the other has not."""
    rows = [table_rows(warehouse, table) for warehouse in both]
    assert rows[0] and rows[1], f"{table} has no rows to compare"
    if rows[0] == rows[1]:
        return []
    lake, server = map(set, rows)
    return [("lake", row) for row in rows[0] if row not in server] + [
        ("postgresql", row) for row in rows[1] if row not in lake
    ] or [("lake", rows[0][0])]


@pytest.mark.parametrize("table", [*READ_TABLES, *TABLES])
def test_both_engines_have_the_same_rows(both, table):
    found = differences(both, table)
    assert not found, f"{len(found)} rows of {table} differ, such as {found[:4]}"


@pytest.mark.parametrize(
    "table", ["ops.model", "ops.quality_result", "ops.table_version", "ops.blocked_slice", "ops.dirty_slice"]
)
def test_both_engines_note_the_same(both, table):
    columns = {
        "ops.model": ["model_name", "definition_hash", "row_count", "first_slice", "last_slice"],
        "ops.quality_result": [
            "model_name",
            "check_name",
            "slice_date",
            "part_value",
            "outcome",
            "failed_count",
            "message",
        ],
        "ops.table_version": ["table_name", "MAX(version) OVER (PARTITION BY table_name)"],
    }.get(table, ["*"])
    lake, server = (set(table_rows(warehouse, table, columns)) for warehouse in both)
    assert lake == server
    assert (not lake) == (table in ("ops.blocked_slice", "ops.dirty_slice"))


def test_the_data_is_worth_comparing(both):
    """A few thousand lines, every kind of rate, every kind of order, every channel, three weeks."""
    lake = both[0]
    with lake.read() as session:
        assert session.row("SELECT COUNT(*), COUNT(DISTINCT channel_code) FROM mart.fct_order_line") > (3000, 4)
        statuses = {row[0] for row in session.rows("SELECT DISTINCT fx_status FROM mart.fct_order")}
        assert statuses == {"same", "exact", "carried", "missing"}
        kinds = {row[0] for row in session.rows("SELECT DISTINCT order_kind FROM mart.fct_order")}
        assert kinds == {"sale", "cancellation", "other"}
        assert session.row("SELECT COUNT(DISTINCT week_start_date) FROM mart.rpt_sales__product_week")[0] >= 3
        late = session.rows("SELECT DISTINCT is_late FROM mart.fct_delivery")
        assert {row[0] for row in late} == {True, False, None}
        moved = session.row("SELECT COUNT(*) FROM raw.file_drop__order_line WHERE change = 'moved'")[0]
        deleted = session.row("SELECT COUNT(*) FROM raw.file_drop__order_line WHERE change = 'deleted'")[0]
        assert moved > 10 and deleted > 10


def test_refunds_are_taken_off_once_and_a_new_build_says_the_same(both):
    for warehouse in both:
        with warehouse.read() as session:
            statuses = session.rows("SELECT net_status, COUNT(*) FROM mart.fct_refund GROUP BY 1 ORDER BY 1")
            assert [status for status, count in statuses if count > 5] == [
                *("counted", "currency_differs", "nothing_left", "order_unknown")
            ]
            taken_off = {
                session.row(f"SELECT SUM({column}) FROM {table}")[0]
                for table, column in (
                    ("mart.fct_refund", "CASE WHEN net_status = 'counted' THEN amount END"),
                    ("mart.fct_order", "refunded_amount"),
                    ("mart.rpt_sales__channel_day", "refunded_amount"),
                    ("mart.rpt_sales__market_month", "gross_amount - cancelled_amount - net_amount"),
                )
            }
            # What the changes of the second wave made stale is all that differs from building every day again.
            catalog = load_models(SQL_DIR)
            bounds = {"slice_start": date(2026, 1, 1), "slice_end": date(2026, 6, 1)}
            for name, columns in (
                ("mart.fct_order", "order_key, order_local_date, refunded_amount, net_amount_base"),
                ("mart.fct_refund", "refund_key, net_status, market_code, order_local_date, amount_base"),
            ):
                anew = session.rows(f"SELECT {columns} FROM ({fill_in(catalog[name].sql, CONSTANTS | bounds)}) AS q")
                assert sorted(anew, key=repr) == sorted(session.rows(f"SELECT {columns} FROM {name}"), key=repr)
        assert len(taken_off) == 1


def test_amounts_reconcile_across_layers(both):
    for warehouse in both:
        with warehouse.read() as session:
            totals = {
                session.row(f"SELECT SUM({column}) FROM {table}")[0]
                for table, column in (
                    ("stg.file_drop__order_line", "amount"),
                    ("mart.fct_order_line", "amount"),
                    ("mart.fct_order", "total_amount"),
                    ("mart.rpt_sales__channel_day", "total_amount"),
                    ("mart.rpt_sales__market_month", "total_amount"),
                )
            }
        assert len(totals) == 1


PLANTED = (
    ("mart.fct_order_line", "amount_base = amount_base + CAST(0.0001 AS DECIMAL(18,4))", "order_line_key"),
    ("mart.rpt_sales__channel_day", "customer_count = customer_count + 1", "order_local_date"),
    ("mart.dim_date", "iso_weekday = 8", "date"),
)


@pytest.mark.parametrize(("table", "change", "key"), PLANTED, ids=lambda value: str(value).split()[0])
def test_a_planted_difference_goes_red(both, table, change, key):
    class RollBack(Exception):
        pass

    # Inside one transaction that is never committed: the other tests see nothing of it.
    before = table_rows(both[1], table)
    with pytest.raises(RollBack), both[1].write() as session:
        one = session.row(
            f"SELECT MIN(CAST({key} AS VARCHAR)) FROM {table} WHERE {change.split(' = ')[0]} IS NOT NULL"
        )[0]
        session.execute(f"UPDATE {table} SET {change} WHERE CAST({key} AS VARCHAR) = $one", {"one": one})

        class Within:
            def read(self):
                from contextlib import nullcontext

                return nullcontext(session)

        found = differences((both[0], Within()), table)
        assert {engine for engine, _ in found} == {"lake", "postgresql"}
        raise RollBack
    assert table_rows(both[1], table) == before
