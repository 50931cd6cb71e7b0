"""The complete Online Retail data set through the partner channel that online_retail.yml configures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from caravan import INCLUDE_DIR
from caravan.assembly import reporting, sales
from caravan.assembly.warehouse import open_warehouse
from caravan.config.settings import Settings
from caravan.core.scope import RunScope
from caravan.core.window import Window
from caravan.warehouse.port import Session

pytestmark = pytest.mark.real

CHANNEL = Path(__file__).parent / "online_retail" / "online_retail.yml"
YEAR = Window.of_days(date(2010, 12, 1), date(2011, 12, 11))
LINES = "stg.file_drop__order_line"


def configure(home: Path, source: Path, *, duplicate_rows: str = "keep") -> None:
    """A project of one channel with the shipped markets, and its one delivery."""
    config = home / "config"
    shutil.copytree(INCLUDE_DIR / "config", config, ignore=shutil.ignore_patterns("channels"))
    (config / "channels").mkdir()
    text = CHANNEL.read_text().replace("duplicate_rows: keep", f"duplicate_rows: {duplicate_rows}")
    (config / "channels" / CHANNEL.name).write_text(text)
    folder = home / "incoming" / "online_retail"
    folder.mkdir(parents=True)
    shutil.copyfile(source, folder / source.name)


@pytest.fixture(scope="module")
def source(real_data: Path) -> Path:
    return real_data / "online_retail.parquet"


@pytest.fixture(scope="module")
def counts(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Collect, stage, build and drain the year; the environment points at the result for the module."""
    home = tmp_path_factory.mktemp("retail")
    configure(home, source)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CARAVAN_HOME", str(home))
        environment.setenv("CARAVAN_CONFIG", str(home / "config"))
        environment.delenv("CARAVAN_WAREHOUSE", raising=False)
        scope = RunScope("real", "sales_orders_daily", YEAR)
        assert sales.list_channels(scope) == ["online_retail"]
        collected = sales.collect(scope, "online_retail")
        sales.stage(scope)
        sales.validate(scope)
        sales.build(scope)
        reporting.drain("real-marts", "reporting_marts_hourly")
        yield collected


@pytest.fixture(scope="module")
def session(counts: dict[str, int]) -> Iterator[Session]:
    with open_warehouse(Settings.from_environment(), read_only=True) as warehouse, warehouse.read() as session:
        yield session


@pytest.fixture(scope="module")
def original(source: Path) -> duckdb.DuckDBPyConnection:
    """The delivered file itself, read by plain SQL: the other side of every comparison."""
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE lines AS SELECT *, CAST(Quantity AS DECIMAL(18,0)) * CAST(UnitPrice AS DECIMAL(18,4)) AS amount "
        f"FROM read_parquet('{source}')"
    )
    return connection


def test_every_row_is_accounted_for(counts: dict[str, int]) -> None:
    assert counts["received"] == 541_909
    assert counts["received"] == sum(counts[word] for word in ("loaded", "unchanged", "duplicate", "quarantined"))
    assert (counts["loaded"], counts["duplicate"], counts["quarantined"]) == (541_909, 0, 0)


@pytest.mark.parametrize("table", [LINES, "mart.fct_order_line"])
def test_lines_and_their_sum_equal_the_source(session: Session, table: str) -> None:
    assert session.row(f"SELECT COUNT(*), SUM(amount) FROM {table}") == (541_909, Decimal("9747747.9340"))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("order_id LIKE 'C%'", 9_288),
        ("order_id NOT LIKE 'C%' AND quantity < 0", 1_336),
        ("order_id IN ('A563185', 'A563186') AND line_kind = 'adjustment'", 2),
        ("NOT regexp_matches(sku, '^[0-9]{5}')", 2_995),
        ("unit_price = 0", 2_515),
        ("unit_price <= 0", 2_517),
        ("customer_id IS NULL", 135_080),
        ("country_code = 'ZZ' AND country_name = 'European Community'", 61),
        ("country_code = 'ZZ' AND country_name = 'Unspecified'", 446),
    ],
)
def test_odd_rows_are_kept_and_can_be_counted(session: Session, condition: str, expected: int) -> None:
    assert session.row(f"SELECT COUNT(*) FROM {LINES} WHERE {condition}") == (expected,)


def test_rules_are_counted_as_the_source_says(session: Session, original: duckdb.DuckDBPyConnection) -> None:
    expected = dict(
        original.execute("""
            SELECT CASE WHEN InvoiceNo LIKE 'A%' THEN 'bad_debt'
                        WHEN StockCode IN ('POST', 'DOT', 'C2') THEN 'postage'
                        WHEN StockCode IN ('AMAZONFEE', 'BANK CHARGES', 'CRUK') THEN 'fee'
                        WHEN StockCode = 'D' THEN 'discount'
                        WHEN StockCode IN ('M', 'm', 'S') THEN 'manual'
                        WHEN InvoiceNo NOT LIKE 'C%' AND Quantity < 0 THEN 'stock_correction'
                        WHEN InvoiceNo LIKE 'C%' THEN 'cancellation'
                        WHEN UnitPrice = 0 THEN 'no_price'
                        WHEN NOT regexp_matches(StockCode, '^[0-9]{5}') THEN 'other_code' END AS rule, COUNT(*)
            FROM lines GROUP BY 1 HAVING rule IS NOT NULL""").fetchall()
    )
    assert len(expected) == 9
    assert dict(session.rows("SELECT rule_name, row_count FROM ops.load_rule")) == expected


def test_totals_per_country_name_and_month(session: Session, original: duckdb.DuckDBPyConnection) -> None:
    query = (
        "SELECT {country}, CAST(date_trunc('month', {day}) AS DATE), COUNT(*), SUM(amount) FROM {table} "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    )
    expected = original.execute(query.format(country="Country", day="InvoiceDate", table="lines")).fetchall()
    assert len({row[0] for row in expected}) == 38
    assert len(expected) > 300
    query = query.format(country="country_name", day="order_local_date", table="mart.fct_order_line")
    assert session.rows(query) == expected


def test_orders_are_whole(session: Session) -> None:
    """25,900 invoices; the 43 with two timestamps are one order each, on one day."""
    assert session.row("SELECT COUNT(*), COUNT(DISTINCT order_key), SUM(line_count) FROM mart.fct_order") == (
        25_900,
        25_900,
        541_909,
    )
    two_times = session.row(
        f"SELECT COUNT(*) FROM (SELECT order_id FROM {LINES} GROUP BY order_id "
        "HAVING COUNT(DISTINCT ordered_at) > 1 AND COUNT(DISTINCT order_local_date) = 1) AS q"
    )
    assert two_times == (43,)


def test_customers_in_two_countries_are_one_customer(session: Session) -> None:
    assert session.row("SELECT COUNT(*), COUNT(*) FILTER (WHERE country_count = 2) FROM mart.dim_customer") == (
        4_372,
        8,
    )


def test_reports_add_up_to_the_lines(session: Session) -> None:
    total = session.row("SELECT SUM(total_amount) FROM mart.fct_order")
    assert total == (Decimal("9747747.9340"),)
    assert session.row("SELECT SUM(total_amount) FROM mart.rpt_sales__channel_day") == total
    assert session.row("SELECT SUM(total_amount) FROM mart.rpt_sales__market_month") == total
    net = session.row(
        "SELECT SUM(net_before_refunds_amount) FROM mart.fct_order_line WHERE line_kind IN ('sale', 'cancellation')"
    )
    assert session.row("SELECT SUM(net_before_refunds_amount) FROM mart.rpt_sales__product_week") == net


def test_every_day_has_a_rate(session: Session) -> None:
    """GBP into EUR: ECB publishes on working days only, the others carry the last rate."""
    found = dict(session.rows("SELECT fx_status, COUNT(*) FROM mart.fct_order_line GROUP BY 1"))
    assert set(found) == {"exact", "carried"}
    assert session.row("SELECT COUNT(*) FROM mart.fct_order_line WHERE amount_base IS NULL") == (0,)


def test_a_changed_order_stands_after_a_replay_of_its_first_window(
    counts: dict[str, int], original: duckdb.DuckDBPyConnection
) -> None:
    """Order 536365 is delivered again: ten weeks later, one more of each. Its 7 lines leave one day for the other."""
    settings = Settings.from_environment()
    target = settings.home / "incoming" / "online_retail" / "online_retail_2.parquet"
    original.execute(
        "COPY (SELECT * EXCLUDE (amount) REPLACE ("
        "  CASE WHEN InvoiceNo = '536365' THEN Quantity + 1 ELSE Quantity END AS Quantity, "
        "  CASE WHEN InvoiceNo = '536365' THEN InvoiceDate + INTERVAL 70 DAY ELSE InvoiceDate END AS InvoiceDate) "
        f"FROM lines) TO '{target}' (FORMAT parquet)"
    )
    changed = RunScope("real-changed", "sales_orders_daily", Window.of_days(date(2011, 12, 11), date(2011, 12, 12)))
    collected = sales.collect(changed, "online_retail")
    assert (collected["received"], collected["loaded"], collected["deleted"]) == (541_909, 7, 7)
    first_window = RunScope("real-replay", "sales_orders_daily", Window.of_days(date(2010, 12, 1), date(2010, 12, 2)))
    for scope in (changed, first_window):
        assert sales.collect(scope, "online_retail")["received"] == 0, "a delivery is read once"
        sales.stage(scope)
        sales.validate(scope)
        sales.build(scope)
    reporting.drain("real-changed-marts", "reporting_marts_hourly")

    old_day, new_day = date(2010, 12, 1), date(2011, 2, 9)
    with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
        for table in ("mart.fct_order_line", "mart.rpt_sales__channel_day"):
            measure = "amount" if table.endswith("line") else "total_amount"
            for day in (old_day, new_day):
                expected = original.execute(
                    "SELECT SUM(CASE WHEN InvoiceNo = '536365' THEN amount + CAST(UnitPrice AS DECIMAL(18,4)) "
                    "ELSE amount END) FROM lines WHERE CAST(CASE WHEN InvoiceNo = '536365' "
                    "THEN InvoiceDate + INTERVAL 70 DAY ELSE InvoiceDate END AS DATE) = $1",
                    [day],
                ).fetchall()[0]
                found = session.row(f"SELECT SUM({measure}) FROM {table} WHERE order_local_date = $day", {"day": day})
                assert found == expected, f"{table} {day}"
        found = session.rows(
            "SELECT order_local_date, line_count FROM mart.fct_order WHERE order_key = 'online_retail/536365'"
        )
        assert found == [(new_day, 7)]


def test_dropping_repeated_lines_is_a_matter_of_configuration(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path, source, duplicate_rows="drop")
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path))
    monkeypatch.setenv("CARAVAN_CONFIG", str(tmp_path / "config"))
    scope = RunScope("real-drop", "sales_orders_daily", YEAR)
    sales.list_channels(scope)
    collected = sales.collect(scope, "online_retail")
    assert (collected["received"], collected["loaded"], collected["duplicate"]) == (541_909, 536_641, 5_268)
    sales.stage(scope)
    with open_warehouse(Settings.from_environment(), read_only=True) as warehouse, warehouse.read() as session:
        assert session.row(f"SELECT SUM(amount) FROM {LINES}") == (Decimal("9747747.9340") - Decimal("21740.9800"),)
