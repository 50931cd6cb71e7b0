"""Hosts that want to be asked more slowly, or later: what is waited for costs nothing, what was not read is not seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from crawl_world import Reply, Site, page, run, scope_of

from caravan.clients.crawl.crawl import Crawl
from caravan.clients.crawl.runs import Plan
from caravan.core.crawl import Limits


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each turn of the loop."""
    taken: list[int] = []
    turn = Crawl._turn

    def counted(self: Crawl, depth: int) -> None:
        taken.append(depth)
        turn(self, depth)

    monkeypatch.setattr(Crawl, "_turn", counted)
    return taken


def test_a_turn_that_is_waited_for_costs_no_processor(tmp_path: Path, turns: list[int]) -> None:
    def route(path: str) -> Reply | None:
        return page(path, ["/a", "/b", "/c"]) if path in ("/", "/a", "/b", "/c") else None

    with Site(route).serve() as site:
        run(tmp_path / "a", Plan((site.url + "/",), scope_of(site), Limits(requests_per_second=4)))
        assert site.paths() == ["/", "/a", "/b", "/c"]
    assert len(turns) < 100
