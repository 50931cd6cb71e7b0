"""The state of a crawl: what waits, what was asked, and that a commit is all or nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from caravan import PROJECT_ROOT
from caravan.clients.crawl.frontier import LAST_RUN, SITEMAP, Frontier, Seed, Step
from caravan.clients.crawl.room import told_when_full
from caravan.core.errors import CaravanError, Retryable

ORIGIN = "https://example.com"


def seed(key: int, url: str = "", kind: str = "page", depth: int = 0, expected: int = 0, origin: str = ORIGIN) -> Seed:
    return Seed(key, url or f"{origin}/{key}", kind, depth, origin, expected)  # type: ignore[arg-type]


def commit(frontier: Frontier, step: Step, part: int = 1) -> None:
    frontier.commit(step, lambda: part)


@pytest.fixture
def frontier(tmp_path: Path) -> Frontier:
    return Frontier(tmp_path / "frontier.sqlite", "hash")


def test_generations_in_the_order_of_keys(frontier: Frontier) -> None:
    commit(frontier, Step(found=[seed(9), seed(3), seed(5, depth=1), seed(7, origin="https://b.example")]))
    assert frontier.generation() == 0
    assert frontier.waiting_origins(0) == ["https://b.example", ORIGIN]
    assert [each.key for each in frontier.take(0, ORIGIN, -1, 10)] == [3, 9]
    assert [each.key for each in frontier.take(0, ORIGIN, 3, 10)] == [9]
    assert [each.key for each in frontier.take(0, ORIGIN, -1, 1)] == [3]
    commit(frontier, Step(done=[(3, "fetched"), (9, "failed"), (7, "skipped")], skipped={"trap": 1}))
    assert (frontier.generation(), frontier.last_generation()) == (1, 1)
    assert frontier.counts() == {"fetched": 1, "failed": 1, "skipped": 1, "waiting": 1}
    assert (frontier.waiting_count(), frontier.skipped()) == (1, {"trap": 1})
    commit(frontier, Step(done=[(5, "blocked")]))
    assert frontier.generation() is None


A, B = "https://example.com/?a=1&b=2", "https://example.com/?b=2&a=1"

# (found first, found then, the address to be asked, its kind)
AGAIN: list[tuple[Seed, Seed, str, str]] = [
    (seed(1, B), seed(1, A), A, "page"),
    (seed(1, A), seed(1, B), A, "page"),
    (seed(1, A, kind="resource"), seed(1, B, kind="page"), A, "page"),
    (seed(1, A, kind="page"), seed(1, A, kind="resource"), A, "page"),
    (seed(1, A, kind="resource"), seed(1, A, kind="page", depth=1), A, "resource"),
    (seed(1, B), seed(1, A, depth=1), B, "page"),
]


@pytest.mark.parametrize("case", AGAIN)
def test_an_address_that_is_found_again(frontier: Frontier, case: tuple[Seed, Seed, str, str]) -> None:
    first, then, url, kind = case
    for each in (first, then):
        commit(frontier, Step(found=[each]))
    [address] = frontier.take(0, ORIGIN, -1, 9)
    assert (address.url, address.kind, address.depth) == (url, kind, 0)


def test_which_page_was_read_first_does_not_matter(tmp_path: Path) -> None:
    found = [seed(1, f"https://example.com/{each}", kind) for each in "cab" for kind in ("resource", "page")]
    asked = set()
    for name, order in (("a", found), ("b", found[::-1]), ("c", found[3:] + found[:3])):
        frontier = Frontier(tmp_path / name, "hash")
        for each in order:
            commit(frontier, Step(found=[each]))
        asked |= set(frontier.take(0, ORIGIN, -1, 9))
    assert [(each.url, each.kind) for each in asked] == [("https://example.com/a", "page")]


def test_what_was_asked_is_not_asked_again(frontier: Frontier) -> None:
    commit(frontier, Step(found=[seed(1)]))
    commit(frontier, Step(done=[(1, "fetched")], found=[seed(1, depth=1, expected=LAST_RUN)]))
    assert frontier.generation() is None
    assert frontier.coverage() == (1, 1)


@pytest.mark.parametrize(
    ("expected", "outcome", "coverage"),
    [
        (0, "fetched", (0, 0)),
        (SITEMAP, "fetched", (1, 1)),
        (SITEMAP, "not_modified", (1, 1)),
        (SITEMAP, "failed", (1, 0)),
        (SITEMAP, "skipped", (1, 0)),
        (SITEMAP, "blocked", (0, 0)),
        (LAST_RUN, "blocked", (1, 0)),
        (SITEMAP | LAST_RUN, "blocked", (1, 0)),
    ],
)
def test_coverage(frontier: Frontier, expected: int, outcome: str, coverage: tuple[int, int]) -> None:
    commit(frontier, Step(found=[seed(1, expected=expected)]))
    commit(frontier, Step(done=[(1, outcome)]))  # type: ignore[list-item]
    assert frontier.coverage() == coverage


def test_a_commit_is_all_or_nothing(tmp_path: Path, frontier: Frontier) -> None:
    commit(frontier, Step(found=[seed(1)]), part=1)

    def found() -> object:
        yield seed(2, origin="https://new.example")
        raise KeyboardInterrupt

    step = Step(done=[(1, "fetched")], found=found(), patterns={7: 1}, meta={"sown": "yes"})  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        commit(frontier, step, part=2)
    frontier.close()
    again = Frontier(tmp_path / "frontier.sqlite", "hash")
    assert (again.part, again.meta("sown"), again.counts(), again.asked_of([7])) == (1, None, {"waiting": 1}, {})
    commit(again, Step(found=[seed(2, origin="https://new.example")]), part=2)
    assert again.waiting_origins(0) == [ORIGIN, "https://new.example"]


def test_what_is_remembered(tmp_path: Path, frontier: Frontier) -> None:
    commit(frontier, Step(found=[seed(1)], patterns={7: 2, 8: 1}, origins={ORIGIN: {"a": 1}}, meta={"sown": "yes"}), 4)
    commit(frontier, Step(patterns={7: 3}, origins={ORIGIN: {"a": 2}}), 5)
    frontier.close()
    again = Frontier(tmp_path / "frontier.sqlite", "hash")
    assert (again.part, again.meta("sown"), again.origins()) == (5, "yes", {ORIGIN: {"a": 2}})
    assert again.asked_of([7, 8, 9]) == {7: 5, 8: 1}


def test_of_another_configuration(tmp_path: Path, frontier: Frontier) -> None:
    frontier.close()
    with pytest.raises(CaravanError, match="was begun there with another configuration"):
        Frontier(tmp_path / "frontier.sqlite", "other")


def test_what_is_no_frontier(tmp_path: Path) -> None:
    (tmp_path / "frontier.sqlite").write_bytes(b"something else entirely" * 100)
    with pytest.raises(CaravanError, match="is no state of a crawl"):
        Frontier(tmp_path / "frontier.sqlite", "hash")


PEAK = """
import resource, sys
from pathlib import Path
from caravan.clients.crawl.frontier import Frontier, Seed, Step
from caravan.core.urls import key_of
frontier = Frontier(Path(sys.argv[1]), "hash")
count = int(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
urls = (f"https://example.com/some/folder/page-{each}.html" for each in range(count))
frontier.commit(Step(found=(Seed(key_of(url), url, "page", 0, "https://example.com") for url in urls)), lambda: 1)
after, taken = -1, 0
while addresses := frontier.take(0, "https://example.com", after, 500):
    frontier.commit(Step(done=[(each.key, "fetched") for each in addresses]), lambda: 1)
    after, taken = addresses[-1].key, taken + len(addresses)
print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("count", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_addresses(tmp_path: Path, count: int) -> None:
    told = subprocess.run(
        [sys.executable, "-P", "-c", PEAK, str(tmp_path / "frontier.sqlite"), str(count)],
        env={"PYTHONPATH": str(PROJECT_ROOT / "plugins")},
        capture_output=True,
        check=True,
    )
    taken, kilobytes = map(int, told.stdout.split())
    assert taken == count
    assert kilobytes < 64 << 10


def test_a_full_disk_is_known_by_what_sqlite_says(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x")) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("PRAGMA max_page_count = 2")
        with pytest.raises(Retryable, match="no room left"), told_when_full(tmp_path):
            connection.execute("INSERT INTO t VALUES (?)", ["x" * 100_000])
        with pytest.raises(sqlite3.OperationalError, match="no such table"), told_when_full(tmp_path):
            connection.execute("INSERT INTO u VALUES (1)")
