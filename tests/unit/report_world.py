"""A small warehouse for reports: orders of 8 markets and ZZ over 60 days, and what went wrong with them.

The marts are built by the models of include/sql; the tests count the same orders in Python.
"""

from __future__ import annotations

import itertools
import random
import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from lake_template import migrated_lake

from caravan import SQL_DIR
from caravan.core.window import slice_of
from caravan.reporting.operations import Expected
from caravan.warehouse.catalog import Catalog, load_models
from caravan.warehouse.lake import Lake
from caravan.warehouse.port import Session, Warehouse

LAST_DAY = date(2026, 11, 20)
DAYS = 60
FIRST_DAY = LAST_DAY - timedelta(days=DAYS - 1)
NOW = datetime(2026, 11, 21, 6, 10, tzinfo=UTC)

MARKETS = {
    "DE": ("Germany", "EUR"), "FR": ("France", "EUR"), "GB": ("United Kingdom", "GBP"), "SE": ("Sweden", "SEK"),
    "PL": ("Poland", "PLN"), "JP": ("Japan", "JPY"), "US": ("United States", "USD"), "CN": ("China", "CNY"),
    "IT": ("Italy", "EUR"), "ZZ": ("Other countries", "EUR"),
}  # fmt: skip
"""Nothing is sold to IT. ZZ orders come in TWD, for which the ECB publishes no rate, and CHF."""
RATES = {"EUR": "1", "GBP": "0.87", "SEK": "11.42", "PLN": "4.25", "JPY": "171.3", "USD": "1.12", "CNY": "8.04",
         "CHF": "0.94", "TWD": None}  # fmt: skip
CHANNELS = {
    "shop_de": ("Own shop DE", ("DE", "ZZ"), 26), "shop_fr": ("Own shop FR", ("FR",), 14),
    "shop_gb": ("Own shop UK", ("GB",), 17), "market_se": ("Nordic marketplace", ("SE",), 8),
    "market_pl": ("Marketplace PL", ("PL",), 11), "market_jp": ("Marketplace JP", ("JP",), 9),
    "shop_us": ("Own shop US", ("US", "ZZ"), 21), "partner_cn": ("Partner Shanghai", ("CN",), 6),
}  # fmt: skip
EXPECTED = Expected(dict.fromkeys(CHANNELS, timedelta(hours=48)))
PRODUCTS = {
    "MUG-01": ("Stoneware mug, white", "14.50"), "MUG-02": ("Stoneware mug, cobalt blue", "14.50"),
    "TEA-11": ("Green tea, first flush, 100 g", "19.90"), "POT-03": ("Cast iron teapot 0.8 l", "64.00"),
    "BOX-07": ("Gift box with two cups and <script>alert(1)</script>", "39.00"), "TRY-05": ("Bamboo tray", "22.00"),
    "CUP-21": ("Travel cup", "24.90"), "LIN-09": ("Linen cloth, set of three", "17.00"),
}  # fmt: skip


BUILT = (
    "mart.dim_market", "mart.dim_channel", "mart.dim_customer", "int.sales__customer_order",
    "mart.rpt_sales__channel_day", "mart.rpt_sales__product_week", "mart.rpt_sales__market_month",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    sku: str
    quantity: int
    price: Decimal


@dataclass(frozen=True)
class Order:
    order_id: str
    day: date
    channel: str
    market: str
    currency: str
    customer: str | None
    kind: str
    lines: tuple[Line, ...]

    @property
    def net(self) -> Decimal:
        return sum((line.quantity * line.price for line in self.lines), Decimal(0))

    @property
    def net_base(self) -> Decimal | None:
        """Line by line, as the marts convert."""
        rate = RATES[self.currency]
        if rate is None:
            return None
        cent = Decimal("0.0001")
        return sum(((line.quantity * line.price / Decimal(rate)).quantize(cent) for line in self.lines), Decimal(0))


def make_orders(seed: int = 7) -> list[Order]:
    chance = random.Random(seed)
    orders = []
    for offset in range(DAYS):
        day = FIRST_DAY + timedelta(days=offset)
        for channel, (_, markets, mean) in CHANNELS.items():
            if channel == "market_se" and offset > DAYS - 5:
                continue  # stopped delivering
            weekend = 1.35 if day.weekday() >= 5 else 1.0
            growth = 1 + offset / 200
            for number in range(max(1, round(chance.gauss(mean * weekend * growth, mean / 6)))):
                market = markets[-1] if len(markets) > 1 and chance.random() < 0.06 else markets[0]
                currency = chance.choice(("CHF", "TWD")) if market == "ZZ" else MARKETS[market][1]
                kind = "cancellation" if chance.random() < 0.04 else "sale"
                sign = -1 if kind == "cancellation" else 1
                rate = Decimal(RATES[currency] or "36")
                skus = chance.sample(sorted(PRODUCTS), chance.choice((1, 1, 1, 2, 3)))
                lines = tuple(
                    Line(
                        sku,
                        sign * chance.choice((1, 1, 2)),
                        (Decimal(PRODUCTS[sku][1]) * rate).quantize(Decimal("0.01")),
                    )
                    for sku in skus
                )
                customer = None if chance.random() < 0.03 else f"C{chance.randrange(mean * 40):05d}"
                number_text = f"{day:%y%m%d}-{number:03d}"
                orders.append(Order(number_text, day, channel, market, currency, customer, kind, lines))
    return orders


def open_lake(root: Path) -> Lake:
    """A migrated lake without any model's table."""
    return Lake(migrated_lake(root))


def create_models(session: Session, catalog: Catalog) -> None:
    for model in catalog.models:
        columns = ", ".join(f"{column.name} {column.type}" for column in model.columns)
        session.execute(f"CREATE TABLE {model.name} ({columns})")


def insert(session: Session, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows into a table through Parquet; columns not named stay NULL."""
    found = pyarrow.Table.from_pylist([_plain(row) for row in rows])
    types = session.columns(table)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pyarrow.parquet.write_table(found, path)
        relation = session.stage_parquet([path], {name: types[name] for name in found.column_names})
        values = ", ".join(f"CAST({name} AS {types[name]})" for name in found.column_names)
        session.execute(f"INSERT INTO {table} ({', '.join(found.column_names)}) SELECT {values} FROM {relation} AS r")


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Decimal | uuid.UUID) else value for name, value in row.items()}


def build(session: Session, catalog: Catalog, name: str, first: date, end: date) -> None:
    """Fill a model from its own SQL, as the runner does for one range of slices."""
    model = catalog[name]
    params = {"slice_start": first, "slice_end": end, "base_currency": "EUR"}
    used = {key: value for key, value in params.items() if f"${key}" in model.sql}
    session.execute(f"INSERT INTO {name} {model.sql}", used)


def create_tables(warehouse: Warehouse) -> None:
    with warehouse.write() as session:
        create_models(session, load_models(SQL_DIR))


def fill(warehouse: Warehouse, orders: Sequence[Order], first: date = FIRST_DAY) -> None:
    catalog = load_models(SQL_DIR)
    with warehouse.write() as session:
        create_models(session, catalog)
        insert(session, "stg.config__market", _markets())
        insert(session, "stg.config__channel", _channels())
        insert(session, "mart.fct_order_line", itertools.chain.from_iterable(_lines(order) for order in orders))
        insert(session, "mart.fct_order", (_order(order) for order in orders))
        end = max(order.day for order in orders) + timedelta(days=1)
        for name in BUILT:
            build(session, catalog, name, slice_of(first, "month") - timedelta(days=7), end)
        _fill_operations(session, NOW.replace(tzinfo=None))


def _markets() -> list[dict[str, Any]]:
    return [
        {"market_code": code, "name": name, "country_code": code, "currency_code": currency, "zone": "UTC"}
        for code, (name, currency) in MARKETS.items()
    ]


def _channels() -> list[dict[str, Any]]:
    return [
        {"channel_code": code, "name": name, "kind": "own", "source": "file_drop", "delivery": "changes",
         "market_code": None, "reporting_zone": "UTC"}
        for code, (name, _, _) in CHANNELS.items()
    ]  # fmt: skip


def _shared(order: Order) -> dict[str, Any]:
    return {
        "order_key": f"{order.channel}/{order.order_id}",
        "channel_code": order.channel,
        "market_code": order.market,
        "country_code": order.market,
        "order_local_date": order.day,
        "ordered_at": datetime.combine(order.day, time(12)),
        "customer_key": order.customer and f"{order.channel}/{order.customer}",
        "currency_code": order.currency,
        "base_currency_code": "EUR",
        "fx_status": "missing" if order.net_base is None else "rate",
    }


def _lines(order: Order) -> Iterable[dict[str, Any]]:
    for number, line in enumerate(order.lines):
        net = line.quantity * line.price
        base = Order("", order.day, "", "", order.currency, None, "", (line,)).net_base
        yield {
            **_shared(order),
            "order_line_key": uuid.uuid5(uuid.NAMESPACE_OID, f"{order.channel}/{order.order_id}/{number}"),
            "sku": line.sku,
            "product_name": PRODUCTS[line.sku][0],
            "line_kind": order.kind,
            "quantity": line.quantity,
            "gross_amount": max(net, Decimal(0)),
            "cancelled_amount": max(-net, Decimal(0)),
            "net_before_refunds_amount": net,
            "net_before_refunds_amount_base": base,
        }


def _order(order: Order) -> dict[str, Any]:
    base = order.net_base
    return {
        **_shared(order),
        "order_id": order.order_id,
        "customer_id": order.customer,
        "order_kind": order.kind,
        "unit_count": sum(line.quantity for line in order.lines) if order.kind == "sale" else 0,
        "gross_amount": max(order.net, Decimal(0)),
        "cancelled_amount": max(-order.net, Decimal(0)),
        "refunded_amount": 0,
        "net_amount": order.net,
        "charge_amount": 0,
        "adjustment_amount": 0,
        "total_amount": order.net,
        "gross_amount_base": None if base is None else max(base, Decimal(0)),
        "cancelled_amount_base": None if base is None else max(-base, Decimal(0)),
        "refunded_amount_base": None if base is None else 0,
        "net_amount_base": base,
        "total_amount_base": base,
    }


PERSONAL = ("jane.doe@example.com", "Jane Doe", "+49 30 1234567")
"""Planted in raw rows and quarantine messages: none of it may reach the report."""


def _fill_operations(session: Session, now: datetime) -> None:
    insert(session, "ops.run", _runs(now))
    built = now - timedelta(minutes=30)
    insert(session, "ops.model", [{"model_name": name, "definition_hash": "x", "built_at": built} for name in BUILT])
    insert(session, "ops.load", _loads(now))
    insert(
        session,
        "ops.quarantine",
        [
            {"load_id": f"q{number}", "channel_code": channel, "entity": "order_line", "file_name": file,
             "row_number": number, "field_name": field, "reason_code": reason,
             "message": f"'{PERSONAL[0]}' is no {field}", "raw_row": str(PERSONAL),
             "quarantined_at": now - timedelta(hours=3, minutes=number)}
            for channel, file, field, reason, rows in (
                ("shop_de", "orders_2026-11-20.csv.gz", "country", "UNKNOWN_COUNTRY", 14),
                ("shop_gb", "sales_20.csv", "unit_price", "NOT_A_NUMBER", 3),
                ("market_jp", "jp_1120.csv", "ordered_at", "FROM_THE_FUTURE", 1),
            )
            for number in range(7, 7 + rows)
        ],
    )  # fmt: skip
    insert(session, "ops.quality_result", _results(now))
    insert(
        session,
        "ops.blocked_slice",
        [
            {"model_name": model, "slice_date": LAST_DAY - timedelta(days=days_ago), "part_value": part,
             "cause_model": "stg.file_drop__order_line", "cause_kind": kind, "reason": reason, "run_id": "r2",
             "blocked_at": now - timedelta(hours=hours)}
            for model in ("stg.file_drop__order_line", "mart.fct_order_line", "mart.fct_order")
            for days_ago, part, kind, reason, hours in (
                (2, "market_pl", "structure", "amount_known: 4 of 31 rows", 2),
                (4, "market_pl", "distribution", "mean_price: 3.10 is below 5", 50),
                (1, "shop_us", "unvalidated", "not judged yet", 2),
            )
        ],
    )  # fmt: skip
    insert(
        session,
        "ops.dirty_slice",
        [
            {
                "model_name": "mart.rpt_sales__channel_day",
                "slice_date": LAST_DAY,
                "reason": "late rows",
                "marked_at": now,
            }
        ],
    )


def _runs(now: datetime) -> list[dict[str, Any]]:
    """The run that read the files, the one that built the marts, and one since that had nothing to build."""
    return [
        {"dag_id": dag, "run_id": run, "state": state, "code_revision": "0123abc", "config_hash": "c0ffee",
         "started_at": now - timedelta(minutes=minutes), "ended_at": now - timedelta(minutes=minutes - 5)}
        for dag, run, state, minutes in (
            ("sales_orders_daily", "r2", "failed", 190),
            ("reporting_marts_hourly", "marts__2026-11-21T05:35:00+00:00", "success", 35),
            ("reporting_marts_hourly", "marts__2026-11-21T06:05:00+00:00", "success", 5),
        )
    ]  # fmt: skip


def load(channel: str, name: str | None, state: str, at: datetime, **counts: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "load_id": f"{channel}/{name}/{at}", "dag_id": "sales_orders_daily", "run_id": "r2",
        "channel_code": channel, "entity": "order_line",
        "table_name": "raw.file_drop__order_line", "delivery_name": name, "content_hash": name, "state": state,
        "reason_code": None, "message": None, "received_count": 0, "loaded_count": 0, "unchanged_count": 0,
        "duplicate_count": 0, "quarantined_count": 0, "started_at": at, "ended_at": at + timedelta(seconds=4),
    }  # fmt: skip
    return {**row, **counts}


def _loads(now: datetime) -> list[dict[str, Any]]:
    loads = []
    for number, (channel, (_, _, mean)) in enumerate(CHANNELS.items()):
        for days_ago in (1, 0):
            at = now - timedelta(days=days_ago, hours=3, minutes=number)
            if channel == "market_se":
                at -= timedelta(days=4)
            bad = {"shop_de": 14, "shop_gb": 3, "market_jp": 1}.get(channel, 0) * (1 - days_ago)
            counts = {"loaded_count": mean * 31, "unchanged_count": 5, "duplicate_count": mean // 4}
            counts |= {"quarantined_count": bad}
            name = f"{channel}_{at:%Y-%m-%d}.csv.gz"
            loads.append(load(channel, name, "loaded", at, received_count=sum(counts.values()), **counts))
    loads.append(load("market_se", None, "missing", now - timedelta(hours=3)))
    cut = {"reason_code": "GZIP_TRUNCATED", "message": "the file ends inside its last block: ask for it again"}
    for hours in (50, 26, 2):  # tried by every run while it lies there
        loads.append(load("shop_us", "shop_us_extra.csv.gz", "refused", now - timedelta(hours=hours), **cut))
    # Refused first, then delivered whole under the same name: settled.
    loads.append(load("shop_fr", "shop_fr_late.csv.gz", "refused", now - timedelta(hours=40), **cut))
    loads.append(
        load("shop_fr", "shop_fr_late.csv.gz", "loaded", now - timedelta(hours=20), received_count=9, loaded_count=9)
    )
    rates = {"entity": "fx_rate", "received_count": 240_000, "loaded_count": 240_000}  # no channel's
    loads.append(load("rates_bundled", "eurofxref-hist.zip", "loaded", now - timedelta(days=9), **rates))
    return loads


def _results(now: datetime) -> list[dict[str, Any]]:
    """As the model runner and the expectations write them: a check that holds for all slices leaves one row."""

    def result(
        kind: str,
        check: str,
        part: str | None,
        days_ago: int | None,
        outcome: str,
        checked: int,
        failed: int | None,
        hours: int = 2,
    ) -> dict[str, Any]:
        return {
            "run_id": f"r{50 - hours}", "model_name": "stg.file_drop__order_line", "check_name": check,
            "kind": kind, "severity": "fail" if outcome == "fail" else "warn",
            "slice_date": None if days_ago is None else LAST_DAY - timedelta(days=days_ago), "part_value": part,
            "outcome": outcome, "checked_count": checked, "failed_count": failed, "message": PERSONAL[1],
            "checked_at": now - timedelta(hours=hours),
        }  # fmt: skip

    return [
        result("structure", "amount_known", "market_pl", 2, "fail", 31, 4),
        *(result("structure", "customer_known", "shop_de", day, "warn", 40, 2) for day in range(3)),
        result("structure", "key_unique", None, None, "pass", 0, 0),
        result("distribution", "mean_price", "shop_gb", 1, "error", 17, None),
        result("distribution", "mean_price", "shop_fr", 1, "pass", 14, None),
        result("distribution", "mean_price", "partner_cn", 1, "pass", 0, 0),
        # Broken yesterday, right today.
        result("structure", "price_is_not_zero", "shop_fr", 5, "warn", 20, 1, hours=26),
        result("structure", "price_is_not_zero", None, None, "pass", 160, 0),
    ]
