"""What happens to slices when checks fail and when others write at the same time."""

from __future__ import annotations

import pytest
from deliveries import Line, day
from engines import slow_on_standing_lake
from small_models import DIM, FCT, MODELS, RETURN, SQL, STG, TABLES, WEEK, Small, write_models

from caravan.core.window import DayRange

GOOD = (
    Line("a", 1, "10"), Line("b", 1, "11", customer="c2"), Line("c", 2, "12"),
    Line("d", 1, "20", channel="other"), Line("e", 2, "21", channel="other"),
)  # fmt: skip


@pytest.fixture(scope="module")
def good_place(standing_place, tmp_path_factory):
    small = Small(standing_place.open(), tmp_path_factory.mktemp("good"))
    for channel in ("shop", "other"):
        small.deliver(*(line for line in GOOD if line.channel == channel), channel=channel)
    small.build()
    return standing_place


@pytest.fixture
def place(good_place, new_place):
    return new_place.copy(good_place)


@pytest.fixture
def small(place, tmp_path):
    small = Small(place.open(), tmp_path)
    small.run_id = "test"
    small.models = (STG, FCT, RETURN)
    return small


def amounts(small, table=FCT):
    """Order to whole amount."""
    key = {FCT: "line_key", STG: "order_id"}[table]
    return {key.split("/")[-1]: int(amount) for key, amount in small.rows(table, key, "amount")}


def blocks(small):
    return small.ops("blocked_slice", "model_name", "slice_date", "part_value", "cause_model")


def stale(small):
    """Marks of the models that these tests build."""
    return [mark for mark in small.ops("dirty_slice", "model_name", "slice_date") if mark[0] in (STG, FCT, RETURN)]


# Blocks


def test_a_failed_check_blocks_its_slice_and_part_until_a_good_delivery_frees_it(small):
    small.models = TABLES
    small.deliver(GOOD[0].but(amount="-1"), GOOD[2].but(amount="13"))
    small.deliver(GOOD[3].but(amount="22"), channel="other")
    small.build()
    # The bad day of the one channel keeps its last good rows, in every layer; all else is published.
    assert amounts(small, STG) == amounts(small) == {"a": 10, "b": 11, "c": 13, "d": 22, "e": 21}
    assert blocks(small) == [(model, day(1), "shop", STG) for model in (RETURN, FCT, STG)]
    failed = small.ops("quality_result", "run_id", "check_name", "slice_date", "part_value", "outcome", "failed_count")
    assert ("test", "amount_not_negative", day(1), "shop", "fail", 1) in failed
    assert stale(small) == []
    # The same again changes nothing; a new row for the blocked slice waits with it.
    small.build(DayRange(day(1), day(3)))
    small.deliver(Line("f", 1, "30"))
    small.build()
    assert amounts(small) == {"a": 10, "b": 11, "c": 13, "d": 22, "e": 21}
    # A good version frees it, with all that waited.
    small.deliver(GOOD[0].but(amount="14"))
    small.build()
    assert amounts(small, STG) == amounts(small) == {"a": 14, "b": 11, "c": 13, "d": 22, "e": 21, "f": 30}
    assert blocks(small) == []
    assert [int(row[0]) for row in small.rows(WEEK, "amount")] == [43, 68]


@slow_on_standing_lake
def test_a_block_higher_up_leaves_what_is_below_published(small):
    small.deliver(GOOD[0].but(amount="2000000"))
    small.build()
    assert amounts(small, STG)["a"] == 2_000_000
    assert amounts(small)["a"] == 10
    assert blocks(small) == [(model, day(1), "shop", FCT) for model in (RETURN, FCT)]
    small.deliver(GOOD[0].but(amount="14"))
    small.build()
    assert amounts(small)["a"] == 14
    assert blocks(small) == []


@slow_on_standing_lake
def test_a_warning_is_noted_and_blocks_nothing(small):
    small.deliver(GOOD[0].but(customer=None, amount="15"))
    small.build()
    assert amounts(small)["a"] == 15
    assert blocks(small) == []
    noted = small.ops("quality_result", "run_id", "check_name", "severity", "outcome", "failed_count", "checked_count")
    assert ("test", "customer_known", "warn", "warn", 1, 2) in noted


@slow_on_standing_lake
def test_a_failed_check_of_a_model_without_slices_keeps_all_its_rows(small):
    small.models = TABLES
    before = small.rows(DIM)
    small.deliver(GOOD[0].but(amount="600000"))
    small.build()
    assert amounts(small)["a"] == 600_000
    assert small.rows(DIM) == before
    small.deliver(GOOD[0].but(amount="16"))
    small.build()
    assert [int(total) for _, total in small.rows(DIM)] == [69, 11]


@slow_on_standing_lake
def test_a_failed_check_of_a_sliced_model_without_parts_keeps_the_slice(small):
    small.models = TABLES
    small.deliver(GOOD[2].but(day=9))
    small.build()
    small.deliver(GOOD[0].but(amount="400000"), GOOD[2].but(day=9, amount="19"))
    small.build()
    weeks = [
        (start, channel, int(amount))
        for start, channel, amount in small.rows(WEEK, "week_start_date", "channel_code", "amount")
    ]
    assert weeks == [(day(1), "other", 41), (day(1), "shop", 21), (day(8), "shop", 19)]
    small.deliver(GOOD[0].but(amount="17"))
    small.build()
    assert [int(row[0]) for row in small.rows(WEEK, "amount")] == [19, 28, 41]
    assert blocks(small) == []


# Keys

KEYS = {
    "twice in a slice": ([Line("x", 3, "1", line="1"), Line("x", 3, "2", line="2")], {(3, "shop")}),
    "in two slices side by side": (
        [Line("x", 3, "1", line="1"), Line("x", 4, "2", line="2")],
        {(3, "shop"), (4, "shop")},
    ),
    "in two slices far apart": ([Line("x", 3, "1", line="1"), Line("x", 9, "2", line="2")], {(3, "shop"), (9, "shop")}),
    "in a slice that is not built": ([Line("a", 9, "5", line="2")], {(9, "shop")}),
}  # fmt: skip


@slow_on_standing_lake
@pytest.mark.parametrize("case", KEYS)
def test_a_key_stands_once_in_the_whole_table(small, case):
    lines, expected = KEYS[case]
    bystander = Line("z", lines[-1].day, "3", channel="other")
    small.deliver(*lines)
    small.deliver(bystander, channel="other")
    small.build()
    keys = [row[0] for row in small.rows(FCT, "line_key")]
    assert sorted(keys) == ["other/d", "other/e", "other/z", "shop/a", "shop/b", "shop/c"]
    assert {
        (when.toordinal() - day(0).toordinal(), part) for model, when, part, _ in blocks(small) if model == FCT
    } == expected


@slow_on_standing_lake
def test_a_key_that_leaves_the_other_slice_lets_this_one_through(small):
    small.deliver(Line("a", 9, "5", line="2"))
    small.build()
    assert amounts(small)["a"] == 10
    # Nothing changes on day 9 itself: that day 1 gives the key up has to be enough.
    small.deliver(
        GOOD[0].but(order="a2", line="1", copy="renamed"), *GOOD[1:3], Line("a", 9, "5", line="2"), complete=True
    )
    small.build()
    small.build()
    assert amounts(small) == {"a": 5, "a2": 10, "b": 11, "c": 12, "d": 20, "e": 21}
    assert blocks(small) == []
    assert stale(small) == []


@slow_on_standing_lake
def test_a_row_that_leaves_a_blocked_slice_does_not_stand_twice(small):
    """Its old row is kept where it was; the new one has to wait for the block to end."""
    small.deliver(GOOD[0].but(day=3), GOOD[1].but(amount="-1"))
    small.build()
    keys = [row[0] for row in small.rows(FCT, "line_key")]
    assert len(keys) == len(set(keys))
    assert amounts(small)["a"] == 10
    small.deliver(GOOD[1])
    small.build()
    assert small.rows(FCT, "line_key", "order_local_date")[-3:] == [
        ("shop/a", day(3)), ("shop/b", day(1)), ("shop/c", day(2))
    ]  # fmt: skip
    assert blocks(small) == []
    assert stale(small) == []


# Others at work


class Once:
    """Does something the first time a writer is about to take the lock."""

    def __init__(self, phase="before_lock"):
        self.phase = phase
        self.act = None

    def __call__(self, phase):
        if phase == self.phase and self.act:
            act, self.act = self.act, None
            act()


@pytest.fixture
def raced(place, tmp_path):
    """A builder that lets another process act between its computing and its writing."""
    once = Once()
    builder, other = Small(place.open(observer=once), tmp_path), Small(place.open(), tmp_path)
    builder.models = other.models = (STG, FCT, RETURN)
    return builder, other, once


def test_a_source_that_changes_between_computing_and_writing_is_seen(raced):
    builder, other, once = raced
    other.deliver(GOOD[0].but(amount="30"))
    once.act = lambda: other.deliver(GOOD[0].but(amount="31"), GOOD[2].but(amount="32"))
    built = builder.build(only=(STG,))
    assert once.act is None
    assert built[STG].recomputed
    assert amounts(builder, STG)["a"] == 31
    # Day 2 was not part of this build: its mark is still there.
    assert stale(builder) == [(FCT, day(1)), (STG, day(2))]
    builder.build()
    assert amounts(builder) == {"a": 31, "b": 11, "c": 32, "d": 20, "e": 21}


@slow_on_standing_lake
def test_a_source_that_stays_is_not_computed_twice(raced):
    builder, other, once = raced
    other.deliver(GOOD[0].but(amount="30"))
    once.act = lambda: other.build(DayRange(day(1), day(3)), only=(FCT,))
    assert not builder.build(only=(STG,))[STG].recomputed


@slow_on_standing_lake
def test_marks_made_during_a_build_are_not_lost(raced):
    """Another process stages a new version while this one builds the facts of the same day and a later one."""
    builder, other, once = raced
    builder.deliver(GOOD[0].but(amount="30"))
    builder.build(only=(STG,))

    def act():
        other.deliver(GOOD[1].but(amount="33"), Line("g", 8, "34"))
        other.build(only=(STG,))

    once.act = act
    assert builder.build(only=(FCT,))[FCT].recomputed
    assert amounts(builder)["b"] == 33
    assert stale(builder)[0] == (RETURN, day(1))
    assert (FCT, day(8)) in stale(builder)
    builder.build()
    assert amounts(builder) == {"a": 30, "b": 33, "c": 12, "d": 20, "e": 21, "g": 34}
    assert stale(builder) == []


@slow_on_standing_lake
def test_a_block_laid_during_a_build_holds(raced):
    builder, other, once = raced
    builder.deliver(GOOD[0].but(amount="30"))
    builder.build(only=(STG,))

    def act():
        other.deliver(GOOD[1].but(amount="-5"))
        other.build(only=(STG,))

    once.act = act
    builder.build()
    assert amounts(builder, STG) == {"a": 30, "b": 11, "c": 12, "d": 20, "e": 21}
    assert amounts(builder) == {"a": 10, "b": 11, "c": 12, "d": 20, "e": 21}


def test_two_builders_of_one_slice_leave_its_rows_once(raced):
    builder, other, once = raced
    builder.deliver(GOOD[0].but(amount="30"), Line("g", 8, "34"))
    once.act = lambda: other.build()
    builder.build(DayRange(day(1), day(9)))
    assert amounts(builder) == {"a": 30, "b": 11, "c": 12, "d": 20, "e": 21, "g": 34}
    assert len(builder.rows(FCT)) == 6


@slow_on_standing_lake
def test_two_builders_of_a_new_definition_leave_its_rows_once(raced):
    builder, other, once = raced
    changed = SQL["fct_line"].replace(", amount\n", ", amount + 1 AS amount\n")
    builder.catalog = other.catalog = write_models(builder.folder / "sql", MODELS, fct_line=changed)
    once.act = lambda: other.build()
    builder.build()
    assert amounts(builder) == {"a": 11, "b": 12, "c": 13, "d": 21, "e": 22}
    assert builder.build() == {}


@pytest.mark.parametrize("phase", ["before_lock", "in_transaction", "after_commit"])
def test_a_build_that_dies_is_made_good_by_the_next(place, tmp_path, phase):
    class Died(BaseException):
        pass

    def die():
        raise Died

    once = Once(phase)
    dying, next_one = Small(place.open(observer=once), tmp_path), Small(place.open(), tmp_path)
    next_one.deliver(GOOD[0].but(amount="30"))
    for table in TABLES:
        once.act = die
        with pytest.raises(Died):
            dying.build(only=(table,))
        next_one.build(only=(table,))
    next_one.build()
    assert amounts(next_one) == {"a": 30, "b": 11, "c": 12, "d": 20, "e": 21}
    assert next_one.ops("dirty_slice", "model_name") == []
    assert [int(row[0]) for row in next_one.rows(WEEK, "amount")] == [41, 53]


# Tables that nobody fills


def test_a_model_that_nobody_fills_is_left_alone_until_something_comes(new_place, engine, tmp_path):
    small = Small(new_place(engine).open(), tmp_path)
    small.models = (STG, FCT, RETURN)
    week = DayRange(day(1), day(8))

    def written():
        return dict(small.ops("table_version", "table_name", "MAX(version) OVER (PARTITION BY table_name)"))

    small.build(week)
    first = written()
    assert {STG, FCT, RETURN} <= first.keys()
    assert [build.row_count for build in small.build(week).values()] == [0, 0, 0]
    assert written() == first
    small.deliver(GOOD[0])
    small.build(week)
    assert amounts(small) == {"a": 10}
    small.deliver(complete=True)
    small.build(week)
    assert amounts(small) == {}
    emptied = written()
    small.build(week)
    assert written() == emptied
    fewer = MODELS.replace("      customer_id: [VARCHAR, none]\n", "", 1)
    small.catalog = write_models(
        tmp_path / "sql",
        fewer.replace("customer_known, holds: customer_id", "order_known, holds: order_id"),
        stg_file_drop__order_line=SQL["stg_file_drop__order_line"].replace("r.customer_id, ", ""),
        fct_line=SQL["fct_line"].replace("customer_id", "CAST(NULL AS VARCHAR) AS customer_id"),
    )
    small.build(week)
    assert written()[STG] > emptied[STG], "a new definition is built, with its columns"
    with small.warehouse.read() as session:
        assert "customer_id" not in session.columns(STG)
