"""The report of two years of 8 markets: seconds to build all pages, and what each weighs.

    python tests/bench/report_build.py [--orders-per-day 40] [--channels-per-market 2]

Writes rows of the marts and of what runs leave behind into a new lake (not part of the time), then renders twice:
the first time counts, with the import of what draws; the second says what the drawings alone cost.
Fails under the floor: more than 60 seconds, or a page of more than 500 kB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from caravan import SQL_DIR
from caravan.reporting import charts
from caravan.reporting.operations import Expected
from caravan.reporting.report import render
from caravan.warehouse.catalog import load_models
from caravan.warehouse.lake import Lake
from caravan.warehouse.migrations import migrate
from caravan.warehouse.port import Session

FLOOR_S, GOAL_S = 60.0, 20.0
FLOOR_KB, GOAL_KB = 500, 300
LAST_DAY, DAYS = date(2026, 10, 30), 730
MARKETS = ("DE", "FR", "GB", "US", "JP", "CN", "BR", "AE", "ZZ")
PRODUCTS = 200
DIMENSIONS = {
    "mart.dim_market": "SELECT market_code, 'Market ' || market_code AS name FROM markets",
    "mart.dim_channel": "SELECT DISTINCT channel_code, 'Shop ' || channel_code AS name FROM channels",
}


def fill(session: Session, orders_per_day: int, channels_per_market: int) -> dict[str, int]:
    """Rows by table. Orders are spread over markets, channels and days; amounts differ by day and channel."""
    for model in load_models(SQL_DIR).models:
        session.execute(f"CREATE TABLE {model.name} ({', '.join(f'{c.name} {c.type}' for c in model.columns)})")
    first = LAST_DAY - timedelta(days=DAYS - 1)
    parts = f"""
        WITH markets AS (SELECT UNNEST({list(MARKETS)}) AS market_code),
        channels AS (
            SELECT market_code, 'shop_' || LOWER(market_code) || '_' || n AS channel_code
            FROM markets, range({channels_per_market}) AS r(n)
        ),
        days AS (SELECT CAST(DATE '{first}' + CAST(d AS INTEGER) AS DATE) AS day, d FROM range({DAYS}) AS r(d))
    """
    order = f"""
        market_code || channel_code || d || '/' || n AS order_key, channel_code, market_code,
        day AS order_local_date, 'EUR' AS currency_code, 'EUR' AS base_currency_code, 'sale' AS order_kind,
        'rate' AS fx_status, 'C' || (d * 31 + n * 7) % {orders_per_day * 200} || channel_code AS customer_key
        FROM channels, days, range({orders_per_day}) AS r(n)
    """
    amounts = "20 + HASH(channel_code || d) % 40"
    rows = {
        **{table: f"{parts} {sql}" for table, sql in DIMENSIONS.items()},
        "mart.fct_order": f"{parts} SELECT {order}",
        "mart.dim_customer": "SELECT customer_key, MIN(order_local_date) AS first_order_local_date "
        "FROM mart.fct_order GROUP BY customer_key",
        "mart.rpt_sales__channel_day": f"""{parts}
            SELECT day AS order_local_date, channel_code, market_code, 'EUR' AS currency_code,
                'EUR' AS base_currency_code, {orders_per_day} AS order_count, {orders_per_day} AS base_order_count,
                {orders_per_day * 2} AS unit_count, {orders_per_day} * ({amounts}) AS gross_amount,
                0 AS cancelled_amount, 0 AS refunded_amount, {orders_per_day} * ({amounts}) AS net_amount,
                {orders_per_day} * ({amounts}) AS net_amount_base, 0 AS unknown_customer_order_count
            FROM channels, days""",
        "mart.rpt_sales__product_week": f"""{parts}
            SELECT CAST(DATE_TRUNC('week', day) AS DATE) AS week_start_date, channel_code, market_code,
                'SKU-' || p AS sku, 'A product with a name of some length, number ' || p AS product_name,
                'EUR' AS currency_code, 'EUR' AS base_currency_code, 5 AS order_count, 7 AS unit_count,
                HASH(channel_code || day || p) % 900 AS net_before_refunds_amount_base
            FROM channels, days, range({PRODUCTS}) AS r(p) WHERE ISODOW(day) = 1""",
        "ops.run": f"""{parts}
            SELECT 'run' || d AS run_id, dag_id, 'success' AS state, day + INTERVAL '1' DAY AS started_at,
                day + INTERVAL '25' HOUR AS ended_at
            FROM days, UNNEST(['sales_orders_daily', 'reporting_marts_hourly']) AS u(dag_id)""",
        "ops.load": f"""{parts}
            SELECT channel_code || d AS load_id, 'run' || d AS run_id, 'sales_orders_daily' AS dag_id, channel_code,
                'order_line' AS entity, channel_code || day || '.csv' AS delivery_name, 'loaded' AS state,
                100 AS received_count, 90 AS loaded_count, 5 AS unchanged_count, 3 AS duplicate_count,
                2 AS quarantined_count, day + INTERVAL '24' HOUR AS started_at, day + INTERVAL '25' HOUR AS ended_at
            FROM channels, days""",
        "ops.quarantine": f"""{parts}
            SELECT channel_code || d AS load_id, channel_code, 'order_line' AS entity,
                channel_code || day || '.csv' AS file_name, n AS row_number,
                ['NUMBER_INVALID', 'COUNTRY_UNKNOWN', 'FIELD_MISSING'][1 + d % 3] AS reason_code,
                'country' AS field_name, CAST(day + INTERVAL '25' HOUR AS TIMESTAMP) AS quarantined_at
            FROM channels, days, range(2) AS r(n)""",
        "ops.quality_result": f"""{parts}
            SELECT 'run' || d AS run_id, 'stg.file_drop__order_line' AS model_name, 'customer_known' AS check_name,
                'structure' AS kind, day AS slice_date, channel_code AS part_value, 'warn' AS outcome,
                100 AS checked_count, 2 AS failed_count, TIMESTAMP '2026-10-31 01:00:00' AS checked_at
            FROM channels, days""",
        "ops.model": "SELECT UNNEST(['mart.rpt_sales__channel_day', 'mart.rpt_sales__product_week']) AS model_name, "
        "TIMESTAMP '2026-10-31 01:00:00' AS built_at",
    }
    for table, sql in rows.items():
        session.execute(f"INSERT INTO {table} BY NAME {sql}")
    return {table: session.row(f"SELECT COUNT(*) FROM {table}")[0] for table in rows}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders-per-day", type=int, default=40, help="of each channel")
    parser.add_argument("--channels-per-market", type=int, default=2)
    given = parser.parse_args()
    now = datetime(2026, 10, 31, 6, 0, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder, Lake(Path(folder) / "lake") as lake:
        migrate(lake)
        with lake.write() as session:
            counts = fill(session, given.orders_per_day, given.channels_per_market)
        seconds, busy = [], []
        for _ in range(2):
            with lake.read() as session:
                start, cpu = time.perf_counter(), time.process_time()
                first_page = render(session, Path(folder) / "report", now, expected=Expected())
            seconds.append(time.perf_counter() - start)
            busy.append(time.process_time() - cpu)
        pages = {path: path.stat().st_size / 1000 for path in first_page.resolve().parent.rglob("*.html")}
    drawn = charts._draw.cache_info()
    largest = max(pages, key=lambda path: pages[path])
    print(f"rows: {', '.join(f'{count:,} {table}' for table, count in counts.items() if count > 1000)}")
    print(
        f"{len(pages)} pages, {drawn.misses} drawings: {seconds[0]:.1f} s (goal {GOAL_S:g} s), {busy[0]:.1f} s of CPU"
    )
    print(f"  once more, drawings from memory: {seconds[1]:.1f} s, {busy[1]:.1f} s of CPU")
    print(f"largest page {largest.name}: {pages[largest]:.0f} kB (goal {GOAL_KB} kB)")
    print(
        f"  all pages: {sum(pages.values()) / 1000:.1f} MB, the median {sorted(pages.values())[len(pages) // 2]:.0f} kB"
    )
    return int(seconds[0] > FLOOR_S or pages[largest] > FLOOR_KB)


if __name__ == "__main__":
    sys.exit(main())
