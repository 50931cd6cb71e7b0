"""Whatever arrives in whatever order, broken, mended, read again: what stands is what the newest files say."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sales_world import CHANNEL, HEADER, MONDAY, World, line

from caravan.assembly import sales
from caravan.core.errors import Rejected
from caravan.core.scope import RunScope
from caravan.core.window import Window

ORDERS = ("a", "b", "c", "d")
RULE = """
    rules:
      - {name: test, when: {sku: {matches: ^TEST}}, quarantine: a test}
"""
SCOPE = RunScope("run", "sales_orders_daily", Window.of_days(MONDAY, MONDAY + timedelta(days=1)))


@dataclass(frozen=True)
class Row:
    order: str
    price: int
    state: str
    """good; faulty: its price is no number; ruled: a rule sets it aside."""

    def text(self) -> str:
        whole = line(self.order, 0, "x" if self.state == "faulty" else str(self.price))
        return whole.replace("sku-1", "TEST") if self.state == "ruled" else whole


ROWS = st.lists(
    st.builds(Row, st.sampled_from(ORDERS), st.integers(1, 9), st.sampled_from(["good", "good", "faulty", "ruled"])),
    min_size=1,
    max_size=4,
    unique_by=lambda row: row.order,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrives"), ROWS),
        st.tuples(st.just("arrives broken"), ROWS),
        st.tuples(st.just("is mended"), st.integers(0, 9)),
        st.tuples(st.just("all is read again"), st.none()),
    ),
    min_size=3,
    max_size=7,
)


@dataclass
class File:
    path: Path
    rows: list[Row]
    moment: int
    is_broken: bool

    def write(self) -> None:
        content = HEADER + "".join(row.text() for row in self.rows)
        self.path.write_text("broken\n1\n" if self.is_broken else content)
        os.utime(self.path, (self.moment, self.moment))


def expected(complete: bool, read: list[tuple[File, bool]]) -> dict[str, int]:
    """`read`: the files in the order in which they were read, and whether again. An older complete one says nothing
    any more."""
    stands: dict[str, tuple[int, int]] = {}
    """Order to the time since which it is so, and the price."""
    newest = -1
    for file, again in read:
        if complete and file.moment < newest:
            continue
        newest = max(newest, file.moment)
        before = dict(stands)
        if complete:
            stands.clear()
        for row in file.rows:
            known = before.get(row.order)
            if known and (known[0] > file.moment or (known[1] == row.price and row.state == "good")):
                stands[row.order] = known
            elif row.state == "good":
                stands[row.order] = (file.moment, row.price)
            elif known and not (row.state == "ruled" and complete and again):
                stands[row.order] = known
    return {order: price for order, (_, price) in stands.items()}


def good(*prices: int) -> list[Row]:
    return [Row(order, price, "good") for order, price in zip(ORDERS, prices, strict=False)]


@pytest.fixture(scope="module")
def numbers() -> Any:
    return count()


@pytest.mark.parametrize("delivery", ["changes", "complete"])
@settings(
    max_examples=2,
    database=None,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(steps=STEPS)
@example(steps=[("arrives", good(1, 2, 3)), ("arrives", [Row("a", 5, "good"), Row("b", 6, "faulty")])])
@example(steps=[("arrives", good(1, 2)), ("arrives", [Row("a", 5, "ruled")]), ("all is read again", None)])
@example(steps=[("arrives broken", good(1)), ("arrives", good(2)), ("arrives", good(1)), ("is mended", 0)])
def test_what_stands_is_what_the_newest_files_say(
    steps: list[tuple[str, Any]],
    delivery: str,
    numbers: Any,
    new_place: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick_rates: None,
) -> None:
    world = World(tmp_path / str(next(numbers)), new_place("postgresql"), monkeypatch)
    text = CHANNEL.replace("delivery: changes", f"delivery: {delivery}\nmax_deleted_share: 1")
    (world.home / "config" / "channels" / "shop.yml").write_text(text + RULE)
    world.use()
    sales.list_channels(SCOPE)
    files: list[File] = []
    read: list[tuple[File, bool]] = []
    for kind, what in steps:
        if kind.startswith("arrives"):
            number = len(files)
            files.append(File(world.folder / f"{number}.csv", what, 1_770_000_000 + number, kind != "arrives"))
            files[-1].write()
        elif kind == "is mended" and files:
            files[what % len(files)].is_broken = False
            files[what % len(files)].write()
        reload = kind == "all is read again"
        try:
            sales.collect(SCOPE, "shop", reload=reload)
        except Rejected:
            assert any(file.is_broken for file in files)
        sound = [file for file in files if not file.is_broken]
        for file in sound[-1:] if reload and delivery == "complete" else sound:
            # Of changes each content is read once, unless all is read again.
            seen = [other for other, _ in read]
            known = [other.rows for other in seen] if delivery == "changes" else []
            if reload or (file not in seen and file.rows not in known):
                read.append((file, reload))
    sales.stage(SCOPE)
    found = world.rows("SELECT order_id, unit_price FROM stg.file_drop__order_line")
    assert {order: int(price) for order, price in found} == expected(delivery == "complete", read)
    assert len(found) == len({order for order, _ in found})
