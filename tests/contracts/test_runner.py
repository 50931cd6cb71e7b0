"""The model runner: the same rows whatever way they were built, and the last good ones where a check fails."""

from __future__ import annotations

from decimal import Decimal

import pytest
from deliveries import Line, day
from engines import slow_on_lake, slow_on_standing_lake
from small_models import DIM, FCT, MODELS, RETURN, SQL, STG, TABLES, WEEK, Small, write_models

from caravan.core.errors import CaravanError
from caravan.core.window import DayRange
from caravan.warehouse import lake

DAYS = (1, 2, 3, 9, 10, 11, 16, 17)
"""Of three weeks; side by side, since every gap costs a statement."""
LINES = tuple(
    Line(f"o{number}", on, amount=str(10 + number), customer=f"c{number % 3}", channel=channel)
    for channel in ("shop", "other")
    for number, on in enumerate(DAYS)
)
ALL = DayRange(day(1), day(30))


@pytest.fixture
def small(place, tmp_path):
    return Small(place.open(), tmp_path)


@pytest.fixture(scope="module")
def filled_place(standing_place, tmp_path_factory):
    small = Small(standing_place.open(), tmp_path_factory.mktemp("filled"))
    for channel in ("shop", "other"):
        small.deliver(*(line for line in LINES if line.channel == channel), channel=channel)
    small.build()
    assert all(small.tables().values()), "every model has rows"
    assert small.ops("dirty_slice", "model_name") == []
    return standing_place


@pytest.fixture
def filled(filled_place, new_place, tmp_path):
    """Two channels, eight days in three weeks, built."""
    return Small(new_place.copy(filled_place).open(), tmp_path)


def from_scratch(small):
    """What the models hold when everything is computed again from raw."""
    with small.warehouse.write() as session:
        for table in TABLES:
            session.execute(f"DELETE FROM {table}")
        session.execute("DELETE FROM ops.model")
        session.execute("DELETE FROM ops.blocked_slice")
    small.build()
    return small.tables()


# Rebuilding


def test_rows_of_every_layer(small):
    small.deliver(
        Line("a", 1, "5"), Line("b", 3, "7"), Line("c", 8, "9", customer="c2"), Line("d", 8, "1", customer=None)
    )
    small.build()
    assert [row[1:4] for row in small.rows(FCT)] == [
        ("shop", day(1), "c1"), ("shop", day(3), "c1"), ("shop", day(8), "c2"), ("shop", day(8), None)
    ]  # fmt: skip
    assert small.rows(RETURN, "line_key", "first_local_date") == [("shop/b", day(1))]
    assert [(name, int(total)) for name, total in small.rows(DIM)] == [("c1", 12), ("c2", 9)]
    weeks = [(start, count, int(amount), int(best)) for start, _, count, amount, best in small.rows(WEEK)]
    assert weeks == [(day(1), 2, 12, 12), (day(8), 2, 10, 12)]
    assert small.ops("model", "model_name", "row_count", "first_slice", "last_slice") == sorted(
        [(STG, 4, day(1), day(8)), (FCT, 4, day(1), day(8)), (RETURN, 1, day(3), day(3)), (DIM, 2, None, None),
         (WEEK, 2, day(1), day(8))], key=str,
    )  # fmt: skip


WAYS = {
    "run twice": [ALL, ALL, None],
    "a wider window": [DayRange(day(5), day(7)), ALL],
    "a window inside": [ALL, DayRange(day(5), day(7))],
    "day by day": [DayRange(day(number), day(number + 1)) for number in (2, 9, 17)],
    "days without rows": [DayRange(day(100), day(110)), None],
}


@slow_on_standing_lake
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_rebuilding_ends_in_the_same_rows(filled, way):
    expected = filled.tables()
    for days in WAYS[way]:
        filled.build(days)
    assert filled.tables() == expected
    assert filled.ops("dirty_slice", "model_name", "slice_date") == []


def test_windows_over_fresh_rows_end_in_the_same_rows(small):
    """The function builds its own models, another job what stands on them."""
    small.deliver(*(line for line in LINES if line.channel == "shop"))
    for first in (15, 8, 1):
        small.build(DayRange(day(first), day(first + 7)), only=(STG, FCT))
    small.build(only=(DIM, WEEK))
    small.build()
    assert small.tables() == from_scratch(small)


CHANGES = {
    "changed": [
        LINES[1].but(amount="99"),
        LINES[3].but(day=20),  # into a week that had none
        LINES[5].but(day=LINES[2].day),
        LINES[0].but(customer="c9"),
    ],
    "new": [Line("early", 0, customer="c2"), Line("late", 28, customer="c0")],
}


@slow_on_standing_lake
@pytest.mark.parametrize("change", CHANGES)
def test_changed_rows_and_a_replay_of_the_first_window(filled, change):
    lines = CHANGES[change]
    filled.deliver(*lines)
    filled.build(DayRange(day(1), day(3)))
    built = filled.tables()
    assert filled.ops("dirty_slice", "model_name") == []
    found = {row[0]: row[1:] for row in filled.rows(FCT, "line_key", "order_local_date", "customer_id", "amount")}
    assert len(found) == 16 + (2 if change == "new" else 0)
    for line in lines:
        assert found[f"shop/{line.order}"] == (day(line.day), line.customer, Decimal(line.amount))
    assert built == from_scratch(filled)


def test_a_line_gone_from_a_complete_delivery_leaves_every_layer(filled):
    filled.deliver(*(line for line in LINES[1:8]), complete=True)
    filled.build()
    assert "shop/o0" not in {row[0] for row in filled.rows(FCT)}
    assert filled.tables() == from_scratch(filled)


@slow_on_standing_lake
def test_models_without_a_change_are_not_rebuilt(filled):
    assert filled.build() == {}
    filled.deliver(LINES[0])
    assert filled.build() == {}


@slow_on_standing_lake
def test_only_stale_slices_are_rebuilt_and_a_history_model_from_there_on(filled):
    filled.deliver(LINES[3].but(amount="50"))
    built = filled.build()
    days = {name: [str(r) for r in build.ranges or []] for name, build in built.items()}
    assert days[STG] == days[FCT] == [str(DayRange(day(9), day(10)))]
    assert days[RETURN] == [str(DayRange(day(9), day(12))), str(DayRange(day(16), day(18)))]
    assert built[DIM].ranges is None
    assert built[WEEK].ranges


@slow_on_lake
def test_a_history_model_is_stale_on_days_where_it_had_no_row_so_far(small):
    """The earlier order makes a later one a return, on a day that had none."""
    small.deliver(Line("late", 20))
    small.build()
    assert small.rows(RETURN) == []
    small.deliver(Line("early", 2))
    small.build()
    assert small.rows(RETURN, "line_key", "first_local_date") == [("shop/late", day(2))]


@slow_on_lake
def test_a_sliced_model_follows_one_without_slices(small):
    """A customer's total changes with an order of the second week: the first week shows the best total too."""
    small.deliver(Line("a", 1, "5"), Line("b", 8, "7"))
    small.build()
    small.deliver(Line("b", 8, "70"))
    small.build()
    assert [int(row[0]) for row in small.rows(WEEK, "best_total")] == [75, 75]


@slow_on_standing_lake
def test_what_pending_says_is_what_build_does(filled):
    from caravan.warehouse.runner import Runner

    runner = Runner(filled.warehouse, filled.catalog, filled.constants, "dag", "r")
    assert runner.pending(filled.catalog.models) == {}
    filled.deliver(LINES[3].but(amount="50"))
    range_text = str(DayRange(day(LINES[3].day), day(LINES[3].day + 1)))
    assert runner.pending(filled.catalog.models) == {STG: [range_text]}
    assert filled.build(only=(STG,))[STG].ranges == [DayRange(day(LINES[3].day), day(LINES[3].day + 1))]
    assert runner.pending(filled.catalog.models) == {FCT: [range_text]}


# Changed definitions


@slow_on_lake
def test_a_consumer_may_be_built_before_its_source_ever_was(small):
    assert small.build(only=(WEEK, DIM)) is not None
    small.deliver(*LINES[:8])
    small.build()
    assert small.tables() == from_scratch(small)


AMOUNT = 'amount: ["DECIMAL(18,4)", none]\n    checks:\n      - {name: amount_below'
assert MODELS.count(AMOUNT) == 1
DEFINITIONS = {
    "SQL": ({"fct_line": SQL["fct_line"].replace(", amount\n", ", amount + 1 AS amount\n")}, MODELS, "EUR"),
    "column list": (
        {"fct_line": SQL["fct_line"].replace(", amount\n", ", amount, 1 AS line_count\n")},
        MODELS.replace(AMOUNT, AMOUNT.replace("    checks", "      line_count: [INTEGER, none]\n    checks")),
        "EUR",
    ),
    "column type": ({}, MODELS.replace(AMOUNT, AMOUNT.replace("18,4", "18,6")), "EUR"),
    "constant": ({}, MODELS, "GBP"),
}


@slow_on_standing_lake
@pytest.mark.parametrize("kind", DEFINITIONS)
def test_a_changed_definition_rebuilds_every_slice(filled, kind):
    before = filled.rows(FCT)
    sql, models, currency = DEFINITIONS[kind]
    filled.catalog = write_models(filled.folder / "sql", models, **sql)
    filled.constants = {"base_currency": currency}
    built = filled.build()
    assert FCT in built
    assert len(filled.rows(FCT)) == len(before) == 16
    assert (filled.rows(FCT) == before) == (kind == "column type")
    with filled.warehouse.read() as session:
        declared = {column.name: column.type for column in filled.catalog[FCT].columns}
        assert session.columns(FCT) == declared
    assert filled.build() == {}


def test_a_new_shape_that_cannot_be_filled_leaves_the_old_table(filled):
    before, (sql, models, _) = filled.rows(FCT), DEFINITIONS["column list"]
    stray = sql["fct_line"].replace("order_local_date,", "DATE '2001-01-01' AS order_local_date,", 1)
    filled.catalog = write_models(filled.folder / "sql", models, fct_line=stray)
    with pytest.raises(CaravanError, match="outside the range"):
        filled.build()
    assert filled.rows(FCT) == before
    filled.catalog = write_models(filled.folder / "sql", models, **sql)
    filled.build()
    assert [row[:-1] for row in filled.rows(FCT)] == before


@pytest.mark.parametrize("adopted_rows", [0, 100_000])
def test_a_slice_that_is_blocked_keeps_its_rows_in_a_new_shape(filled, monkeypatch, adopted_rows):
    monkeypatch.setattr(lake, "ADOPTED_ROWS", adopted_rows)
    before, (sql, models, _) = filled.rows(FCT), DEFINITIONS["column list"]
    blocked = [row for row in before if row[2] == day(1)]
    assert 0 < len(blocked) < len(before)
    faulty = sql["fct_line"].replace(
        ", amount, 1", f", CASE WHEN order_local_date = DATE '{day(1)}' THEN 2000000 ELSE amount END AS amount, 1"
    )
    filled.catalog = write_models(filled.folder / "sql", models, fct_line=faulty)
    filled.build()
    assert filled.rows(FCT) == sorted((*row, None if row in blocked else 1) for row in before)


@slow_on_standing_lake
def test_a_definition_that_leaves_days_out_leaves_no_old_rows(filled):
    """The old rows' days are in no source of the new definition."""
    rates = """
SELECT currency_code AS line_key, 'shop' AS channel_code, rate_date AS order_local_date,
    currency_code AS customer_id, $base_currency AS base_currency_code, rate AS amount
FROM raw.fx__rate WHERE rate_date >= $slice_start AND rate_date < $slice_end
"""
    filled.catalog = write_models(filled.folder / "sql", fct_line=rates)
    filled.build()
    assert filled.rows(FCT) == []
    assert filled.rows(WEEK) == []


# Faults of models


@slow_on_standing_lake
def test_a_row_outside_the_range_asked_for_stops_the_build(filled):
    before = filled.tables()
    stray = SQL["fct_line"].replace(
        "channel_code, order_local_date,", "channel_code, order_local_date + INTERVAL '1' DAY AS order_local_date,"
    )
    stray = stray.replace("order_local_date + INTERVAL '1' DAY", "CAST(order_local_date + INTERVAL '1' DAY AS DATE)")
    filled.catalog = write_models(filled.folder / "sql", fct_line=stray)
    with pytest.raises(CaravanError, match=r"mart\.fct_line.*outside the range"):
        filled.build()
    assert filled.tables() == before
    filled.catalog = write_models(filled.folder / "sql")
    filled.build()
    assert filled.tables() == before


@slow_on_standing_lake
def test_a_row_without_a_slice_stops_the_build(filled):
    before = filled.tables()
    lost = SQL["fct_line"].replace(
        "channel_code, order_local_date,", "channel_code, CAST(NULL AS DATE) AS order_local_date,"
    )
    filled.catalog = write_models(filled.folder / "sql", fct_line=lost)
    with pytest.raises(CaravanError, match=r"mart\.fct_line"):
        filled.build()
    assert filled.tables() == before
