"""Whatever is delivered and built in whatever order: the facts end as those of the newest versions."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

import pytest
from deliveries import Line, day
from engines import slow_on_lake
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from small_models import FCT, STG, TABLES, Small

from caravan.core.window import DayRange

ORDERS = st.sampled_from([f"o{number}" for number in range(6)])
LINES = st.builds(
    lambda order, on, amount, customer: Line(order, on, str(amount), customer=customer),
    ORDERS,
    st.integers(1, 16),
    st.integers(1, 3),
    st.sampled_from(["c1", "c2", None]),
)
DELIVERIES = st.lists(LINES, min_size=1, max_size=5, unique_by=lambda line: line.order)
WINDOWS = st.none() | st.builds(
    lambda first, days: DayRange(day(first), day(first + days)), st.integers(1, 16), st.integers(1, 9)
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("changes"), DELIVERIES),
        st.tuples(st.just("complete"), DELIVERIES),
        st.tuples(st.just("again"), st.integers(0, 9)),
        st.tuples(st.just("build"), WINDOWS),
        st.tuples(st.just("stage"), WINDOWS),
    ),
    min_size=4,
    max_size=9,
)


@pytest.fixture(scope="module")
def numbers():
    return count()


@slow_on_lake
@settings(
    max_examples=3,
    database=None,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(steps=STEPS)
def test_any_sequence_of_deliveries_and_builds(steps, numbers, new_place, engine, tmp_path):
    folder = tmp_path / str(next(numbers))
    folder.mkdir()
    small = Small(new_place(engine).open(), folder)
    newest: dict[str, Line] = {}
    delivered: list[tuple[str, list[Line]]] = []
    for kind, what in steps:
        if kind in ("build", "stage"):
            small.build(what, only=TABLES if kind == "build" else (STG,))
            continue
        if kind == "again":
            # A file that was read before comes once more, as its newest state.
            kind, what = delivered[what % len(delivered)] if delivered else ("changes", [])
        if kind == "complete":
            newest = {}
        newest |= {line.order: line for line in what}
        small.deliver(*what, complete=kind == "complete")
        delivered.append((kind, what))
    small.build()
    found = {(key, on, customer, amount) for key, _, on, customer, _, amount in small.rows(FCT)}
    expected = {(f"shop/{line.order}", day(line.day), line.customer, Decimal(line.amount)) for line in newest.values()}
    assert found == expected
    assert len(small.rows(FCT)) == len(expected)
    built = small.tables()
    with small.warehouse.write() as session:
        for table in (*TABLES, "ops.model", "ops.dirty_slice"):
            session.execute(f"DELETE FROM {table}")
    small.build()
    assert small.tables() == built
