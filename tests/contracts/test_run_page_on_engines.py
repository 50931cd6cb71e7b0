"""The page of a run reads the same from either engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from places import Place
from unit import test_run_page as world

from caravan.reporting.runs import read_run


@pytest.mark.slow
def test_a_run_is_the_same_on_both(new_place: Callable[..., Place]) -> None:
    found = {}
    for engine in ("lake", "postgresql"):
        with new_place(engine).open() as warehouse:
            with warehouse.write() as session:
                world.fill(session)
            with warehouse.read() as session:
                found[engine] = read_run(session, world.DAG, world.RUN)
    assert found["lake"] is not None and found["lake"].findings
    assert found["postgresql"] == found["lake"]
