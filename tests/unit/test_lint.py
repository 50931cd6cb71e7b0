"""Every rule of the model lint: one snippet that breaks it, one that does not."""

# ruff: noqa: E501 (the tables read as rows)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from caravan import SQL_DIR
from caravan.warehouse.lint import check_models
from caravan.warehouse.portable import condition_faults, parse_query, query_findings

RULES = [
    # rule, what breaks it, what the finding says, what is right instead
    ("parses", "SELECT a FROM (SELECT", "does not parse", "SELECT a FROM (SELECT a FROM t) AS q"),
    ("one statement", "SELECT a FROM t;\nSELECT a FROM t", "2: holds", "SELECT a FROM t;"),
    ("a select", "CREATE TABLE x AS SELECT 1 AS a", "holds CREATE", "SELECT a FROM t UNION ALL SELECT a FROM u"),
    ("nothing", "-- nothing", "holds nothing", "SELECT a FROM t -- something"),
    ("translates", "SELECT ANY_VALUE(a IGNORE NULLS) AS a FROM t", "PostgreSQL", "SELECT MIN(a) AS a FROM t"),
    ("round", "SELECT ROUND(a, 2) AS a FROM t", "ROUND(x, n)", "SELECT CAST(a AS DECIMAL(18, 2)) AS a, ROUND(b) AS b FROM t"),
    ("group by all", "SELECT a FROM t\nGROUP BY ALL", "2: GROUP BY ALL", "SELECT a FROM t GROUP BY a"),
    ("order by all", "SELECT a FROM t\nORDER BY ALL", "2: ORDER BY ALL", "SELECT a FROM t ORDER BY a"),
    ("except", "SELECT b FROM (SELECT * EXCLUDE (a) FROM t) AS q", "* EXCEPT", "SELECT b FROM (SELECT * FROM t) AS q"),
    ("replace", "SELECT b FROM (SELECT * REPLACE (1 AS b) FROM t)", "* EXCEPT", "SELECT b FROM (SELECT t.* FROM t) AS q"),
    ("star", "SELECT * FROM t", "* in the outermost", "WITH q AS (SELECT * FROM t) SELECT a FROM q"),
    ("star of one", "SELECT t.* FROM t", "* in the outermost", "SELECT COUNT(*) AS n FROM t"),
    ("star in a branch", "SELECT a FROM t UNION ALL SELECT * FROM u", "* in the outermost", "SELECT a FROM t"),
    ("from alone", "FROM t", "* in the outermost", "SELECT a FROM t"),
    ("columns", "SELECT COLUMNS('a.*') FROM t", "COLUMNS", "SELECT a FROM t"),
    ("hash", "SELECT HASH(a) AS h FROM t", "HASH()", "SELECT MD5(a) AS h FROM t"),
    ("unknown function", "SELECT LIST_ZIP(a, b) AS z FROM t", "LIST_ZIP()", "SELECT COALESCE(a, b) AS z FROM t"),
    ("try_cast", "SELECT TRY_CAST(a AS INTEGER) AS a FROM t", "TRY_CAST", "SELECT CAST(a AS INTEGER) AS a FROM t"),
    ("distinct on", "SELECT DISTINCT ON (a) a, b FROM t", "DISTINCT ON", "SELECT DISTINCT a, b FROM t"),
    (
        "distinct on with qualify",
        "SELECT DISTINCT ON (a) a FROM t QUALIFY ROW_NUMBER() OVER (ORDER BY b) = 1",
        "DISTINCT ON",
        "SELECT a FROM t QUALIFY ROW_NUMBER() OVER (ORDER BY b) = 1",
    ),
    ("division", "SELECT a / b AS c FROM t", "without DOUBLE", "SELECT CAST(a AS DOUBLE) / b AS c FROM t"),
    ("division by", "SELECT a / NULLIF(b, 0) AS c FROM t", "DOUBLE", "SELECT a / NULLIF(CAST(b AS DOUBLE), 0) AS c FROM t"),
    (
        "rounding a float",
        "SELECT CAST(CAST(a AS DOUBLE) / b AS DECIMAL(18, 4)) AS c FROM t",
        "rounds halves differently",
        "SELECT CAST(CAST(CAST(a AS DOUBLE) / b AS DECIMAL(28, 8)) AS DECIMAL(18, 4)) AS c, CAST(d AS DECIMAL(18, 4)) AS d FROM t",
    ),
    ("whole division", "SELECT a // b AS c FROM t", "// of decimals", "SELECT (2 * CAST(a AS HUGEINT) + b) // (2 * b) AS c FROM t"),
    ("modulo", "SELECT a % b AS c FROM t", "% or MOD", "SELECT a - b AS c FROM t"),
    ("average", "SELECT AVG(a) AS a FROM t", "AVG", "SELECT CAST(SUM(a) AS DOUBLE) / COUNT(*) AS a FROM t"),
    ("float sum", "SELECT SUM(CAST(a AS DOUBLE) * b) AS a FROM t", "sum of floats", "SELECT SUM(a * b) AS a FROM t"),
    (
        "date_trunc of a date",
        "SELECT DATE_TRUNC('week', o.order_local_date) AS w FROM t AS o",
        "DATE_TRUNC of a DATE",
        "SELECT DATE_TRUNC('week', CAST(o.order_local_date AS TIMESTAMP)) AS w FROM t AS o",
    ),
    (
        "date_trunc of a cast",
        "SELECT DATE_TRUNC('month', CAST(a AS DATE)) AS m FROM t",
        "DATE_TRUNC of a DATE",
        "SELECT DATE_TRUNC('month', ordered_at) AS m FROM t",
    ),
    ("like", "SELECT a FROM t WHERE a LIKE 'C%'", "use starts_with", "SELECT a FROM t WHERE STARTS_WITH(a, 'C')"),
    ("ilike", "SELECT a FROM t WHERE a ILIKE b || 'x'", "computed pattern", "SELECT a FROM t WHERE LOWER(a) = 'c'"),
    ("now", "SELECT NOW() AS a FROM t", "NOW() differs", "SELECT $slice_end AS a FROM t"),
    ("current_date", "SELECT a FROM t\nWHERE d = CURRENT_DATE", "2: CURRENT_DATE", "SELECT a FROM t WHERE d < $slice_end"),
    ("today", "SELECT TODAY() AS d FROM t", "CURRENT_DATE differs", "SELECT d FROM t"),
    ("current_timestamp", "SELECT CURRENT_TIMESTAMP AS d FROM t", "CURRENT_TIMESTAMP differs", "SELECT d FROM t"),
    ("random", "SELECT RANDOM() AS d FROM t", "RANDOM() differs", "SELECT d FROM t"),
    ("uuid", "SELECT UUID() AS d FROM t", "UUID() differs", "SELECT CAST(d AS UUID) AS d FROM t"),
    ("sample", "SELECT a FROM t USING SAMPLE 10", "SAMPLE differs", "SELECT a FROM t"),
    ("first", "SELECT FIRST(a) AS a FROM t", "FIRST takes any row", "SELECT MIN(a) AS a FROM t"),
    ("arg_max", "SELECT ARG_MAX(a, b) AS a FROM t", "ARG_MAX takes any row", "SELECT MAX(a) AS a FROM t"),
    ("ranking", "SELECT ROW_NUMBER() OVER () AS n FROM t", "without ORDER BY", "SELECT ROW_NUMBER() OVER (ORDER BY a) AS n FROM t"),
    (
        "first value",
        "SELECT FIRST_VALUE(a) OVER (PARTITION BY b) AS f FROM t",
        "without ORDER BY",
        "SELECT MIN(a) OVER (PARTITION BY b) AS f FROM t",
    ),
    (
        "list",
        "SELECT STRING_AGG(a, ',') AS a FROM t",
        "without ORDER BY comes in any order",
        "SELECT STRING_AGG(a, ',' ORDER BY a) AS a FROM t",
    ),
    ("limit", "SELECT a FROM t LIMIT 3", "LIMIT or OFFSET", "SELECT a FROM t ORDER BY a LIMIT 3"),
    ("limit inside", "SELECT a FROM (SELECT a FROM t LIMIT 3) AS q ORDER BY a", "LIMIT", "SELECT a FROM t ORDER BY a"),
    ("interval number", "SELECT a - INTERVAL 7 DAY AS a FROM t", "INTERVAL '28' DAY", "SELECT a - INTERVAL '7' DAY AS a FROM t"),
    ("interval text", "SELECT a - INTERVAL '7 days' AS a FROM t", "INTERVAL '28' DAY", "SELECT a - INTERVAL '1' MONTH AS a FROM t"),
    ("interval plural", "SELECT a - INTERVAL '7' DAYS AS a FROM t", "singular", "SELECT a - INTERVAL '12' HOUR AS a FROM t"),
    ("timestamptz", "SELECT CAST(a AS TIMESTAMPTZ) AS a FROM t", "time with zone", "SELECT CAST(a AS TIMESTAMP) AS a FROM t"),
    ("at time zone", "SELECT a AT TIME ZONE 'UTC' AS a FROM t", "AT TIME ZONE", "SELECT a FROM t"),
    ("short cast", "SELECT a::DATE AS a FROM t", "`::`", "SELECT CAST(a AS DATE) AS a FROM t"),
    ("typed literal", "SELECT DATE '2026-01-01' AS a FROM t", "CAST('...' AS DATE)", "SELECT CAST('2026-01-01' AS DATE) AS a FROM t"),
    (
        "parameters",
        "SELECT a FROM t WHERE b >= $slice_strt",
        "unknown parameter $slice_strt; did you mean 'slice_start'?",
        "SELECT a FROM t WHERE b >= $slice_start AND b < $slice_end AND c = $base_currency",
    ),
    ("positional parameter", "SELECT a FROM t WHERE b = ?", "without a name", "SELECT a FROM t WHERE b = $base_currency"),
    ("asof", "SELECT a FROM t ASOF JOIN u ON t.x >= u.x", "ASOF JOIN", "SELECT a FROM t LEFT JOIN u ON t.x = u.x"),
]  # fmt: skip


def told(sql: str) -> list[str]:
    tree, found = parse_query(sql)
    found = found if tree is None else query_findings(sql, tree)
    return [f"{finding.line}: {finding.message}" for finding in found]


@pytest.mark.parametrize(("rule", "bad", "message", "good"), RULES, ids=[rule[0] for rule in RULES])
def test_portable_sql(rule: str, bad: str, message: str, good: str) -> None:
    assert any(message in finding for finding in told(bad)), told(bad)
    assert told(good) == []


def test_lines_are_counted_in_real_files() -> None:
    checked = 0
    for path in sorted(SQL_DIR.glob("*/*.sql")):
        sql = path.read_text(encoding="utf-8").rstrip()
        if path.parent.name != "migrations" and sql[-1].isalpha():
            last = sql.count("\n") + 2
            broken = f"{sql}\nORDER BY ROUND(1, 2)"
            assert f"{last}: ROUND(x, n)" in told(broken)[-1], path
            assert told(f"{sql}\n)(")[0].startswith(f"{last}: does not parse"), path
            checked += 1
    assert checked > 5


ORDERS = "SELECT ROW_NUMBER() OVER (PARTITION BY o.shop ORDER BY {}) AS n FROM mart.o AS o"
TIES = [
    # query, what its ORDER BY lacks: mart.o has the key shop, order_id; mart.d the key day
    (ORDERS.format("o.amount"), "order_id"),
    (ORDERS.format("o.amount, o.order_id"), None),
    (ORDERS.format("o.order_id DESC").replace("ROW_NUMBER", "RANK"), None),
    ("SELECT LAG(b) OVER (ORDER BY month) AS n FROM mart.d", "day"),
    ("SELECT LAG(b) OVER (ORDER BY day) AS n FROM mart.d", None),
    ("SELECT LAG(b) OVER (ORDER BY month) AS n FROM mart.unknown", None),
    ("SELECT a, ROW_NUMBER() OVER (ORDER BY SUM(b)) AS n FROM mart.d GROUP BY a", "a"),
    ("SELECT a, ROW_NUMBER() OVER (ORDER BY SUM(b), a) AS n FROM mart.d GROUP BY a", None),
    ("WITH q AS (SELECT DISTINCT a, b FROM mart.d) SELECT ROW_NUMBER() OVER (ORDER BY a) AS n FROM q", "b"),
    ("WITH q AS (SELECT DISTINCT a, b FROM mart.d) SELECT ROW_NUMBER() OVER (ORDER BY a, b) AS n FROM q", None),
    ("WITH q AS (SELECT * FROM mart.o) SELECT ROW_NUMBER() OVER (PARTITION BY shop ORDER BY a) AS n FROM q", "order_id"),
    # a group elsewhere in the file says nothing about these rows
    ("WITH g AS (SELECT shop FROM mart.o GROUP BY shop) " + ORDERS.format("o.amount") + " WHERE o.shop > 'a'", "order_id"),
    # a join on the whole key adds no rows, another one does
    (ORDERS.format("o.order_id") + " LEFT JOIN mart.d AS d ON o.day = d.day", None),
    (ORDERS.format("o.order_id") + " INNER JOIN mart.d AS d ON d.day <= o.day", "day"),
    (ORDERS.format("o.order_id, d.day") + " INNER JOIN mart.d AS d ON d.day <= o.day", None),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "lacks"), TIES)
def test_a_key_decides_ties(sql: str, lacks: str | None) -> None:
    tree, _ = parse_query(sql)
    assert tree is not None
    keys = {"mart.o": ("shop", "order_id"), "mart.d": ("day",)}
    found = [finding.message for finding in query_findings(sql, tree, keys)]
    assert found == ([f"a ranking may have ties: add the rest of a key to its ORDER BY ({lacks})"] if lacks else [])


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("amount IS NOT NULL", None),
        ("line_kind <> 'sale' OR quantity >= 0", None),
        ("amont > 0", "unknown column 'amont'; did you mean 'amount'?"),
        ("amount >", "does not parse"),
        ("amount > (SELECT 1)", "no query"),
        ("SUM(amount) > 0", "no query, aggregate or window"),
        ("line_kind LIKE 'a%'", "starts_with"),
        ("amount / quantity > 1", "without DOUBLE"),
        ("amount > $slice_start", "takes no parameters"),
    ],
)
def test_conditions_on_one_row(condition: str, message: str | None) -> None:
    found = condition_faults(condition, ["amount", "quantity", "line_kind"])
    assert found == [] if message is None else any(message in fault for fault in found), found


# --- declarations and SQL together ------------------------------------------------------------------

MODELS = """\
models:
  stg.file_drop__order:
    description: Orders.
    grain: order
    key: [row_key]
    slice: {column: order_local_date}
    part: channel_code
    columns:
      row_key: [UUID, none]
      channel_code: [VARCHAR, none]
      order_local_date: [DATE, none]
      currency_code: [VARCHAR, none]
      total_amount: ["DECIMAL(18,4)", none]
    checks:
      - {name: total_known, holds: total_amount IS NOT NULL, severity: fail}

  int.sales__customer_order:
    description: Every order with all before it.
    grain: order
    key: [row_key]
    slice: {column: order_local_date}
    depends_on: history
    columns:
      row_key: [UUID, none]
      order_local_date: [DATE, none]

  mart.rpt_sales__channel_week:
    description: Sales by week.
    grain: week and channel
    key: [week_start_date, channel_code]
    slice: {column: week_start_date, grain: week}
    look_back_days: {stg.fx__rate: 7}
    columns:
      week_start_date: [DATE, none]
      channel_code: [VARCHAR, none]
      currency_code: [VARCHAR, none]
      total_amount: ["DECIMAL(18,4)", none]
      order_count: [BIGINT, none]

  stg.fx__rate:
    description: Rates.
    grain: day and currency
    key: [rate_date, currency_code]
    slice: {column: rate_date}
    columns:
      rate_date: [DATE, none]
      currency_code: [VARCHAR, none]
      rate: ["DECIMAL(18,6)", none]
"""
FILES = {
    "_models.yml": MODELS,
    "stg_file_drop__order.sql": """\
SELECT row_key, channel_code, order_local_date, currency_code, total_amount
FROM raw.file_drop__order
WHERE order_local_date >= $slice_start AND order_local_date < $slice_end AND change = 'row'
""",
    "int_sales__customer_order.sql": """\
WITH earlier AS (
    SELECT o.row_key, o.order_local_date
    FROM stg.file_drop__order AS o
    WHERE o.order_local_date < $slice_end
)

SELECT row_key, order_local_date
FROM earlier
WHERE order_local_date >= $slice_start
""",
    "rpt_sales__channel_week.sql": """\
SELECT
    CAST(DATE_TRUNC('week', CAST(o.order_local_date AS TIMESTAMP)) AS DATE) AS week_start_date,
    o.channel_code,
    MIN(o.currency_code) AS currency_code,
    SUM(o.total_amount) AS total_amount,
    COUNT(*) AS order_count
FROM stg.file_drop__order AS o
LEFT JOIN stg.fx__rate AS r
    ON
        o.currency_code = r.currency_code
        AND r.rate_date >= $slice_start - INTERVAL '7' DAY AND r.rate_date < $slice_end
WHERE o.order_local_date >= $slice_start AND o.order_local_date < $slice_end
GROUP BY CAST(DATE_TRUNC('week', CAST(o.order_local_date AS TIMESTAMP)) AS DATE), o.channel_code
""",
    "stg_fx__rate.sql": """\
SELECT rate_date, currency_code, rate
FROM raw.fx__rate
WHERE rate_date >= $slice_start AND rate_date < $slice_end
""",
}
YML, STG, INT, RPT = list(FILES)[:4]
Write = Callable[[dict[str, str]], list[str]]


@pytest.fixture
def faults_of(tmp_path: Path) -> Write:
    def write(files: dict[str, str]) -> list[str]:
        (tmp_path / "sales").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "sales" / name).write_text(text, encoding="utf-8")
        return [str(fault) for fault in check_models(tmp_path)]

    return write


def test_the_models_of_the_project_have_no_fault() -> None:
    assert len(list(SQL_DIR.glob("*/_models.yml"))) >= 2
    assert check_models(SQL_DIR) == []


def test_good_models_have_no_fault(faults_of: Write) -> None:
    assert faults_of(FILES) == []


BREAKS = [
    # file, what is replaced, by what, the fault
    (YML, "models:\n", "modls:\n", "sales/_models.yml:1 modls: unknown key; did you mean 'models'?"),
    (YML, "models:\n", "models: {\n", "sales/_models.yml:3: is no valid YAML"),
    (YML, "    grain: order\n    key: [row_key]\n    slice: {column: order_local_date}\n    part",
     "    key: [row_key]\n    slice: {column: order_local_date}\n    part",
     "sales/_models.yml:2 models.stg.file_drop__order: needs grain"),
    (YML, "    part:", "    parts:", "sales/_models.yml:7 models.stg.file_drop__order.parts: unknown key; did you mean 'part'?"),
    (YML, "part: channel_code", "part: shop_code", ".part: there is no column 'shop_code'"),
    (YML, "channel_code: [VARCHAR, none]", "channel_code: VARCHAR", "_models.yml:10 models.stg.file_drop__order.columns.channel_code: must be [TYPE, personal-data class]"),
    (YML, "channel_code: [VARCHAR, none]", "channel_code: [VARCHAR]", "must be [TYPE, personal-data class], the class one of none, pseudonym"),
    (YML, "channel_code: [VARCHAR, none]", "channel_code: [VARCHAR, pseudonim]", "'pseudonim' is no personal-data class; did you mean 'pseudonym'?"),
    (YML, "channel_code: [VARCHAR, none]", "channel_code: [TEXT, none]", "'TEXT' is no type of the portable set"),
    (YML, "channel_code: [VARCHAR, none]", "channel_code: [BIGINT, none]", "a column of this name is VARCHAR, and this is BIGINT"),
    (YML, "total_amount: [\"DECIMAL(18,4)\", none]", "total_amount: [DOUBLE, none]", "money is DECIMAL(18,4), and this is DOUBLE"),
    (YML, "order_local_date: [DATE, none]", "order_local_date: [TIMESTAMP, none]", "a column of this name is DATE"),
    (YML, "row_key: [UUID, none]", "row_key: [DATE, none]", "a DATE is named date or *_date"),
    (YML, "row_key: [UUID, none]", "rowKey: [UUID, none]", "a column's name is lower case letters, digits and _"),
    (YML, "      currency_code: [VARCHAR, none]\n      total", "      total", "money without its currency: total_amount needs the column currency_code"),
    (YML, "key: [row_key]", "key: [row_kye]", ".key: there is no column 'row_kye'; did you mean 'row_key'?"),
    (YML, "key: [row_key]", "key: row_key", "needs key: a list of columns"),
    (YML, "slice: {column: order_local_date}", "slice: {column: order_date}", ".slice.column: there is no column 'order_date'"),
    (YML, "slice: {column: order_local_date}", "slice: {column: row_key}", "slices are days, weeks or months of a DATE, and row_key is UUID"),
    (YML, "grain: week}", "grain: year}", "'year' is none of day, week, month"),
    (YML, "depends_on: history", "depends_on: past", "'past' is neither window nor history"),
    (YML, "look_back_days: {stg.fx__rate: 7}", "look_back_days: {stg.fx__rate: week}", "'week' is no number of days from 1"),
    (YML, "look_back_days: {stg.fx__rate: 7}", "look_back_days: {stg.fx__rates: 7}", "look_back_days names stg.fx__rates, which the SQL does not read"),
    (YML, "look_back_days: {stg.fx__rate: 7}", "look_back_days: {stg.fx__rate: 3}", "rpt_sales__channel_week.sql:8: reads 7 days of stg.fx__rate before its slices, and _models.yml says look_back_days 3"),
    (YML, "total_amount IS NOT NULL", "total_amunt IS NOT NULL", "_models.yml:15 models.stg.file_drop__order.checks[0].holds: unknown column 'total_amunt'; did you mean 'total_amount'?"),
    (YML, "severity: fail", "severity: failed", "'failed' is neither fail nor warn"),
    (YML, ", severity: fail", "", "must have exactly name, holds and severity"),
    (YML, "mart.rpt_sales__channel_week", "mart.sales_week", "a model of sales is named stg.<source>__<entity>, int.sales__<step>"),
    (YML, "mart.rpt_sales__channel_week", "mart.rpt_loyalty__channel_week", "a model of sales is named"),
    (YML, "int.sales__customer_order", "int.sales__customer", "there is no file int_sales__customer.sql beside _models.yml"),
    (YML, "int.sales__customer_order", "int.sales__customer", "sales/int_sales__customer_order.sql:1: no model of _models.yml has this file"),
    (STG, "FROM raw.file_drop__order\n", "FROM raw.file_drop__ordr\n", "stg_file_drop__order.sql:2: reads 'raw.file_drop__ordr', which no model makes; did you mean 'raw.file_drop__order'?"),
    (STG, "currency_code, total_amount", "currency_code, total_amount AS amount", "gives 'amount', which _models.yml does not declare; did you mean 'total_amount'?"),
    (STG, "currency_code, total_amount", "currency_code", "does not give 'total_amount', which _models.yml declares"),
    (STG, "currency_code, total_amount", "total_amount, currency_code", "column 4 is 'total_amount', and _models.yml declares 'currency_code' there"),
    (STG, "currency_code, total_amount", "currency_code, CAST(total_amount AS DOUBLE) AS total_amount", "'total_amount' is money and comes as a float"),
    (STG, "currency_code, total_amount", "*", "* in the outermost SELECT"),
    (STG, "order_local_date >= $slice_start AND ", "", "stg_file_drop__order.sql:1: has slices and does not use $slice_start"),
    (STG, "order_local_date >= $slice_start AND ", "", "stg_file_drop__order.sql:2: reads raw.file_drop__order before its slices: add order_local_date >= $slice_start"),
    (STG, "order_local_date >= $slice_start AND ", "(order_local_date >= $slice_start OR TRUE) AND ", "before its slices"),
    (STG, " AND order_local_date < $slice_end", " AND order_local_date <= $slice_end", "beyond its slices: add order_local_date < $slice_end"),
    (STG, "SELECT row_key", "SELECT ROUND(1, 2) + row_key AS row_key", "stg_file_drop__order.sql:1: ROUND(x, n)"),
    (INT, "    WHERE o.order_local_date < $slice_end\n", "", "int_sales__customer_order.sql:3: reads stg.file_drop__order beyond its slices"),
    (RPT, "r.rate_date >= $slice_start - INTERVAL '7' DAY AND ", "", "rpt_sales__channel_week.sql:8: reads stg.fx__rate before its slices: add rate_date >= $slice_start - INTERVAL '7' DAY"),
    (RPT, " - INTERVAL '7' DAY", "", "reads 0 days of stg.fx__rate before its slices, and _models.yml says look_back_days 7"),
    (STG, "FROM raw.file_drop__order\n", "FROM mart.rpt_sales__channel_week\n", "read each other in a circle"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "message"), BREAKS)
def test_models_and_files_agree(faults_of: Write, file: str, old: str, new: str, message: str) -> None:
    assert old in FILES[file]
    faults = faults_of(FILES | {file: FILES[file].replace(old, new, 1)})
    assert any(message in fault for fault in faults), "\n".join(faults)


KEYED = FILES | {
    YML: MODELS
    + """\

  mart.fct_order:
    description: Orders with what their customers paid, on any day.
    grain: order
    key: [row_key]
    slice: {column: order_local_date}
    by_key: {stg.file_drop__order: row_key}
    columns:
      row_key: [UUID, none]
      order_local_date: [DATE, none]
""",
    "fct_order.sql": """\
SELECT c.row_key, c.order_local_date
FROM int.sales__customer_order AS c
WHERE
    c.order_local_date >= $slice_start AND c.order_local_date < $slice_end
    AND c.row_key IN (
        SELECT o.row_key
        FROM stg.file_drop__order AS o
        WHERE o.row_key IN (
            SELECT i.row_key
            FROM int.sales__customer_order AS i
            WHERE i.order_local_date >= $slice_start AND i.order_local_date < $slice_end
        )
    )
""",
}
BY_KEY = "by_key: {stg.file_drop__order: row_key}"
FCT = "fct_order.sql"
BREAKS_BY_KEY = [
    (YML, BY_KEY, "by_key: [stg.file_drop__order]", ".by_key: must look like {int.sales__refund: order_key}"),
    (YML, BY_KEY, "by_key: {stg.file_drop__order: row_kye}", ".by_key.stg.file_drop__order: there is no column 'row_kye'; did you mean 'row_key'?"),
    (YML, BY_KEY, "by_key: {stg.file_drop__order: order_key}\n    columns:\n      order_key: [VARCHAR, none]", "has no column 'order_key'"),
    (YML, BY_KEY, "by_key: {stg.fx__rate: row_key}", ".by_key.stg.fx__rate: the SQL does not read it"),
    (YML, BY_KEY, "by_key: {raw.file_drop__order: row_key}", ".by_key.raw.file_drop__order: the SQL does not read it"),
    (YML, BY_KEY, BY_KEY + "\n    look_back_days: {stg.file_drop__order: 3}", "is in look_back_days too; a source is read by key or by day"),
    (YML, "    slice: {column: order_local_date}\n    by_key", "    by_key", "a model without slices is built whole; by_key says which slices are stale"),
    (YML, BY_KEY, BY_KEY + "\n    passes_on: nothing", ".passes_on: 'nothing' is neither slices nor changes"),
    (YML, "    slice: {column: order_local_date}\n    by_key", "    passes_on: changes\n    by_key", ".passes_on: a model without slices is rebuilt when it changes"),
    (YML, "    slice: {column: order_local_date}\n    part: channel_code\n", "", "has no slices: a change of it makes every slice stale as it is"),
    (YML, "      row_key: [UUID, none]\n      order_local_date: [DATE, none]\n", "      row_key: [VARCHAR, none]\n      order_local_date: [DATE, none]\n", "its row_key is"),
    (YML, f"    {BY_KEY}\n", "", "reads stg.file_drop__order before its slices"),
    (FCT, "FROM stg.file_drop__order AS o", "FROM raw.file_drop__order AS o", "the SQL does not read it"),
    (FCT, "WHERE o.row_key IN (", "WHERE o.channel_code IN (", "fct_order.sql:7: reads stg.file_drop__order by row_key and leaves open which: add row_key IN (SELECT ...)"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "message"), BREAKS_BY_KEY)
def test_what_is_read_by_key(faults_of: Write, file: str, old: str, new: str, message: str) -> None:
    assert old in KEYED[file]
    if "row_key: [UUID" in old:  # of the last model
        head, _, tail = KEYED[file].rpartition(old)
        changed = head + new + tail
    else:
        changed = KEYED[file].replace(old, new, 1)
    assert faults_of(KEYED) == []
    faults = faults_of(KEYED | {file: changed})
    assert any(message in fault for fault in faults), "\n".join(faults)


def test_a_model_without_slices_uses_none(faults_of: Write) -> None:
    models = MODELS.replace("    slice: {column: rate_date}\n", "").replace(
        "    look_back_days: {stg.fx__rate: 7}\n", ""
    )
    assert faults_of(FILES | {YML: models}) == [
        "sales/stg_fx__rate.sql:1: uses $slice_end, and _models.yml gives the model no slice",
        "sales/stg_fx__rate.sql:1: uses $slice_start, and _models.yml gives the model no slice",
    ]


def test_one_model_stands_in_one_place(faults_of: Write, tmp_path: Path) -> None:
    (tmp_path / "loyalty").mkdir()
    (tmp_path / "loyalty" / "_models.yml").write_text(MODELS.split("  int.sales__")[0], encoding="utf-8")
    (tmp_path / "loyalty" / "stg_file_drop__order.sql").write_text(FILES[STG], encoding="utf-8")
    (fault,) = faults_of(FILES)
    assert "sales/_models.yml:2 models.stg.file_drop__order: is declared already in loyalty/_models.yml" in fault


def test_all_faults_come_in_one_report(faults_of: Write) -> None:
    broken = {YML: MODELS.replace("BIGINT", "INT"), STG: "SELECT 1 FROM (", INT: "SELECT * FROM raw.unknown__table"}
    files = {fault.split(":")[0] for fault in faults_of(FILES | broken)}
    assert files == {"sales/_models.yml", "sales/stg_file_drop__order.sql", "sales/int_sales__customer_order.sql"}


def test_an_empty_folder_is_a_fault(tmp_path: Path) -> None:
    (fault,) = check_models(tmp_path)
    assert "no _models.yml found" in str(fault)
