"""Models that read another by key, on any day: which of their slices become stale, on both engines."""

from __future__ import annotations

import pytest
from deliveries import ORDERS, Line, day, deliver
from engines import slow_on_lake
from places import table_rows
from small_models import SQL as SMALL_SQL

from caravan.core.window import DayRange
from caravan.warehouse.catalog import load_models
from caravan.warehouse.runner import Runner

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
      currency_code: [VARCHAR, none]
  stg.file_drop__order:
    description: What was given back, here told as headers.
    grain: order
    key: [row_key]
    slice: {column: order_local_date}
    part: channel_code
    columns:
      row_key: [UUID, none]
      channel_code: [VARCHAR, none]
      order_local_date: [DATE, none]
      order_id: [VARCHAR, none]
      total_amount: ["DECIMAL(18,4)", none]
      currency_code: [VARCHAR, none]
    checks:
      - {name: amount_is_positive, holds: total_amount > 0, severity: fail}
  mart.fct_line:
    description: Lines with what was given back for their order.
    grain: line
    key: [row_key]
    slice: {column: order_local_date}
    part: channel_code
    by_key: {stg.file_drop__order: order_id}
    columns:
      row_key: [UUID, none]
      channel_code: [VARCHAR, none]
      order_local_date: [DATE, none]
      order_id: [VARCHAR, none]
      net_amount: ["DECIMAL(18,4)", none]
      currency_code: [VARCHAR, none]
    checks:
      - {name: net_below_limit, holds: net_amount < 1000, severity: fail}
  int.small__later:
    description: A history model that reads by key.
    grain: line
    key: [row_key]
    slice: {column: order_local_date}
    part: channel_code
    depends_on: history
    by_key: {stg.file_drop__order: order_id}
    columns:
      row_key: [UUID, none]
      channel_code: [VARCHAR, none]
      order_local_date: [DATE, none]
      order_id: [VARCHAR, none]
      refund_count: [BIGINT, none]
"""
GIVEN_BACK = """
back AS (
    SELECT o.order_id, SUM(o.total_amount) AS amount, COUNT(*) AS refund_count FROM stg.file_drop__order AS o
    WHERE o.order_id IN (SELECT l.order_id FROM lines AS l) GROUP BY o.order_id
)
"""
SQL = {
    "stg_file_drop__order_line": SMALL_SQL["stg_file_drop__order_line"].replace(
        "r.amount\n", "r.amount, r.currency_code\n"
    ),
    "stg_file_drop__order": SMALL_SQL["stg_file_drop__order_line"]
    .replace("raw.file_drop__order_line", "raw.file_drop__order")
    .replace("r.customer_id, r.amount\n", "r.total_amount, r.currency_code\n"),
    "fct_line": f"""
WITH lines AS (
    SELECT * FROM stg.file_drop__order_line
    WHERE order_local_date >= $slice_start AND order_local_date < $slice_end
), {GIVEN_BACK}
SELECT l.row_key, l.channel_code, l.order_local_date, l.order_id,
    CAST(l.amount - COALESCE(b.amount, 0) AS DECIMAL(18, 4)) AS net_amount, l.currency_code
FROM lines AS l LEFT JOIN back AS b ON l.order_id = b.order_id
""",
    "int_small__later": f"""
WITH lines AS (SELECT * FROM stg.file_drop__order_line WHERE order_local_date < $slice_end), {GIVEN_BACK}
SELECT l.row_key, l.channel_code, l.order_local_date, l.order_id, COALESCE(b.refund_count, 0) AS refund_count
FROM lines AS l LEFT JOIN back AS b ON l.order_id = b.order_id WHERE l.order_local_date >= $slice_start
""",
}
LINES_STG, BACK, FCT, LATER = "stg.file_drop__order_line", "stg.file_drop__order", "mart.fct_line", "int.small__later"
SOLD = [Line("a", 1), Line("b", 2), Line("c", 3), Line("d", 4)]


class Shop:
    """Lines sold, 10 each, and what is given back for them; each delivery is complete."""

    def __init__(self, warehouse, folder, models=MODELS):
        self.warehouse, self.folder = warehouse, folder
        place = folder / "sql" / "small"
        place.mkdir(parents=True)
        (place / "_models.yml").write_text(models)
        for name, text in SQL.items():
            (place / f"{name}.sql").write_text(text)
        self.catalog = load_models(folder / "sql")

    def sell(self, *lines):
        deliver(self.warehouse, self.catalog, self.folder, lines, complete=True)

    def give_back(self, **days):
        """Order to day, or to day and amount."""
        rows = [
            Line(order, given[0], given[1], line=None)
            for order, told in days.items()
            for given in [told if isinstance(told, tuple) else (told, "3")]
        ]
        deliver(self.warehouse, self.catalog, self.folder, rows, ORDERS, complete=True)

    def build(self, days=None, only=(LINES_STG, BACK, FCT, LATER)):
        runner = Runner(self.warehouse, self.catalog, {}, "dag", "run")
        return runner.build([model for model in self.catalog.models if model.name in only], days)

    def stale(self, table=FCT):
        marks = table_rows(self.warehouse, "ops.dirty_slice", ("model_name", "slice_date"))
        return [when.toordinal() - day(0).toordinal() for model, when in marks if model == table]

    def net(self):
        return {order: int(net) for order, net in table_rows(self.warehouse, FCT, ("order_id", "net_amount"))}


@pytest.fixture
def shop(warehouse, tmp_path):
    shop = Shop(warehouse, tmp_path)
    shop.sell(*SOLD)
    shop.build()
    return shop


def test_the_days_that_hold_the_keys_are_stale_and_not_the_sources_own(shop):
    shop.give_back(b=30, d=31)
    shop.build(only=(BACK,))
    assert shop.stale() == [2, 4]
    assert shop.stale(LATER) == [2, 3, 4], "a history model from the first one on"
    shop.build()
    assert shop.net() == {"a": 10, "b": 7, "c": 10, "d": 7}
    assert (shop.stale(), shop.stale(LATER)) == ([], [])


@slow_on_lake
def test_rows_that_only_come_again_make_nothing_stale(shop):
    shop.give_back(b=30, d=31)
    shop.build()
    shop.build(DayRange(day(30), day(32)), only=(BACK,))
    assert shop.stale() == []
    shop.give_back(b=30, d=(31, "4"))
    shop.build(DayRange(day(30), day(32)), only=(BACK,))
    assert shop.stale() == [4], "b is given back as before"


@slow_on_lake
@pytest.mark.parametrize(
    ("then", "stale", "net"),
    [
        ({"b": 33}, [2], {"b": 7}),  # on another day
        ({"b": (30, "4")}, [2], {"b": 6}),
        ({"c": 30}, [2, 3], {"c": 7}),  # for another order
        ({}, [2], {}),
        ({"b": 30, "unheard_of": 30}, [], {"b": 7}),
    ],
)
def test_keys_before_and_after(shop, then, stale, net):
    shop.give_back(b=30)
    shop.build()
    shop.give_back(**then)
    shop.build(only=(BACK,))
    assert shop.stale() == stale
    shop.build()
    assert shop.net() == {"a": 10, "b": 10, "c": 10, "d": 10} | net


@slow_on_lake
def test_what_comes_before_its_key_is_read_when_the_key_comes(shop):
    shop.give_back(e=3)
    shop.build()
    shop.sell(*SOLD, Line("e", 8))
    shop.build()
    assert shop.net()["e"] == 7
    shop.sell(*SOLD, Line("e", 9))
    shop.build()
    assert shop.net()["e"] == 7, "on another day"


@slow_on_lake
def test_a_model_that_passes_on_changes_makes_nothing_else_stale(warehouse, tmp_path):
    told = "    key: [row_key]\n"
    assert MODELS.count(told) == 4
    shop = Shop(warehouse, tmp_path, MODELS.replace(told, told + "    passes_on: changes\n"))
    shop.sell(*SOLD)
    shop.build()
    shop.build(DayRange(day(1), day(5)), only=(LINES_STG,))
    assert (shop.stale(), shop.stale(LATER)) == ([], []), "rebuilt, and as it was"
    shop.sell(SOLD[0], SOLD[1].but(amount="12"), *SOLD[3:], Line("e", 5))
    shop.build(DayRange(day(1), day(5)), only=(LINES_STG,))
    assert shop.stale() == [2, 3, 5], "changed, gone, new"
    shop.build()
    assert shop.net() == {"a": 10, "b": 12, "d": 10, "e": 10}


@slow_on_lake
def test_a_blocked_day_is_made_good_when_it_is_free(shop):
    shop.sell(SOLD[0], SOLD[1].but(amount="5000"), *SOLD[2:])
    shop.give_back(b=30)
    shop.build()
    assert shop.net()["b"] == 10, "blocked: the last good rows"
    shop.sell(*SOLD)
    shop.build()
    assert shop.net()["b"] == 7


def test_a_blocked_source_keeps_back_neither_that_day_nor_its_keys(shop):
    shop.give_back(b=4)
    shop.build()
    shop.give_back(b=(4, "-1"))
    shop.sell(*SOLD[:3], SOLD[3].but(amount="12"))
    shop.build()
    blocked = table_rows(shop.warehouse, "ops.blocked_slice", ("model_name", "slice_date"))
    assert blocked == [(BACK, day(4))]
    assert shop.net() == {"a": 10, "b": 7, "c": 10, "d": 12}, "day 4 is d's, and nothing is wrong with it"
    shop.give_back(b=(4, "2"))
    shop.build()
    assert shop.net()["b"] == 8
