"""A small set of models with one of each kind, in a folder of its own that a test may change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deliveries import LINES, Line, deliver
from places import table_rows

from caravan.core.window import DayRange
from caravan.warehouse.catalog import Catalog, load_models
from caravan.warehouse.port import Warehouse
from caravan.warehouse.raw import Appended
from caravan.warehouse.runner import Build, Runner

MODELS = """
models:
  stg.file_drop__order_line:
    description: Newest version of every line.
    grain: line
    key: [row_key]
    slice: {column: order_local_date}
    part: channel_code
    columns:
      row_key: [UUID, none]
      channel_code: [VARCHAR, none]
      order_local_date: [DATE, none]
      order_id: [VARCHAR, none]
      customer_id: [VARCHAR, none]
      amount: ["DECIMAL(18,4)", none]
    checks:
      - {name: amount_not_negative, holds: amount >= 0, severity: fail}
      - {name: customer_known, holds: customer_id IS NOT NULL, severity: warn}
  mart.fct_line:
    description: Lines by the key that the shop gave them.
    grain: line
    key: [line_key]
    slice: {column: order_local_date}
    part: channel_code
    columns:
      line_key: [VARCHAR, none]
      channel_code: [VARCHAR, none]
      order_local_date: [DATE, none]
      customer_id: [VARCHAR, none]
      base_currency_code: [VARCHAR, none]
      amount: ["DECIMAL(18,4)", none]
    checks:
      - {name: amount_below_million, holds: amount < 1000000, severity: fail}
  int.small__return:
    description: History model. Lines of customers who bought on an earlier day; a day without such has no row.
    grain: line
    key: [line_key]
    slice: {column: order_local_date}
    part: channel_code
    depends_on: history
    columns:
      line_key: [VARCHAR, none]
      channel_code: [VARCHAR, none]
      order_local_date: [DATE, none]
      first_local_date: [DATE, none]
  mart.dim_customer:
    description: Without slices.
    grain: customer
    key: [customer_id]
    columns:
      customer_id: [VARCHAR, none]
      total_amount: ["DECIMAL(18,4)", none]
    checks:
      - {name: total_below_limit, holds: total_amount < 500000, severity: fail}
  mart.rpt_small__week:
    description: By week, without a part; reads a model without slices.
    grain: week and channel
    key: [week_start_date, channel_code]
    slice: {column: week_start_date, grain: week}
    columns:
      week_start_date: [DATE, none]
      channel_code: [VARCHAR, none]
      line_count: [BIGINT, none]
      amount: ["DECIMAL(18,4)", none]
      best_total: ["DECIMAL(18,4)", none]
    checks:
      - {name: week_below_limit, holds: amount < 300000, severity: fail}
"""
SLICE = "order_local_date >= $slice_start AND {0}order_local_date < $slice_end"
SQL = {
    "stg_file_drop__order_line": """
WITH superseded AS (
    SELECT row_key, MAX(version) AS version FROM raw.file_drop__order_line
    WHERE order_local_date >= $slice_start AND order_local_date < $slice_end GROUP BY row_key
)
SELECT r.row_key, r.channel_code, r.order_local_date, r.order_id, r.customer_id, r.amount
FROM raw.file_drop__order_line AS r INNER JOIN superseded AS s ON r.row_key = s.row_key AND r.version = s.version
WHERE r.order_local_date >= $slice_start AND r.order_local_date < $slice_end AND r.change = 'row'
""",
    "fct_line": """
SELECT channel_code || '/' || order_id AS line_key, channel_code, order_local_date, customer_id,
    $base_currency AS base_currency_code, amount
FROM stg.file_drop__order_line
WHERE order_local_date >= $slice_start AND order_local_date < $slice_end
""",
    "int_small__return": """
WITH ranked AS (
    SELECT f.line_key, f.channel_code, f.order_local_date,
        MIN(f.order_local_date) OVER (PARTITION BY f.customer_id) AS first_local_date
    FROM mart.fct_line AS f WHERE f.order_local_date < $slice_end AND f.customer_id IS NOT NULL
)
SELECT line_key, channel_code, order_local_date, first_local_date FROM ranked
WHERE order_local_date >= $slice_start AND first_local_date < order_local_date
""",
    "dim_customer": """
SELECT customer_id, SUM(amount) AS total_amount FROM mart.fct_line WHERE customer_id IS NOT NULL GROUP BY customer_id
""",
    "rpt_small__week": """
WITH best AS (SELECT MAX(total_amount) AS best_total FROM mart.dim_customer)
SELECT CAST(DATE_TRUNC('week', CAST(f.order_local_date AS TIMESTAMP)) AS DATE) AS week_start_date, f.channel_code,
    COUNT(*) AS line_count, SUM(f.amount) AS amount, MIN(b.best_total) AS best_total
FROM mart.fct_line AS f CROSS JOIN best AS b
WHERE f.order_local_date >= $slice_start AND f.order_local_date < $slice_end
GROUP BY 1, 2
""",
}
STG, FCT, RETURN, DIM, WEEK = (
    "stg.file_drop__order_line", "mart.fct_line", "int.small__return", "mart.dim_customer", "mart.rpt_small__week"
)  # fmt: skip
TABLES = (STG, FCT, RETURN, DIM, WEEK)


def write_models(folder: Path, models: str = MODELS, **sql: str) -> Catalog:
    """The catalog of the small models; texts given by file name replace theirs."""
    place = folder / "small"
    place.mkdir(parents=True, exist_ok=True)
    (place / "_models.yml").write_text(models)
    for name, text in {**SQL, **sql}.items():
        (place / f"{name}.sql").write_text(text)
    return load_models(folder)


class Small:
    """One database with the small models: deliver lines, build, look."""

    def __init__(self, warehouse: Warehouse, folder: Path, catalog: Catalog | None = None) -> None:
        self.warehouse = warehouse
        self.folder = folder
        self.catalog = catalog or write_models(folder / "sql")
        self.constants = {"base_currency": "EUR"}
        self.run_id = "run"
        self.models: Sequence[str] = TABLES
        """What `build` builds where it is not told."""

    def deliver(self, *lines: Line, **options: object) -> Appended:
        return deliver(self.warehouse, self.catalog, self.folder, lines, LINES, **options)

    def build(self, days: DayRange | None = None, only: Sequence[str] = ()) -> dict[str, Build]:
        runner = Runner(self.warehouse, self.catalog, self.constants, "dag", self.run_id)
        chosen = [model for model in self.catalog.models if model.name in (only or self.models)]
        return {build.model: build for build in runner.build(chosen, days)}

    def tables(self) -> dict[str, list]:
        return {table: table_rows(self.warehouse, table) for table in TABLES}

    def rows(self, table: str, *columns: str) -> list:
        return table_rows(self.warehouse, table, columns or ("*",))

    def ops(self, table: str, *columns: str) -> list:
        return table_rows(self.warehouse, f"ops.{table}", columns)
