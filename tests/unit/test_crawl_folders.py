"""Folders of crawls: which ones may go, and which the next crawl needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from caravan.clients.crawl.contents import LEDGER, PREVIOUS, RECORD
from caravan.clients.crawl.folders import prune, set_aside, unfinished
from caravan.clients.crawl.runs import Record
from caravan.core.crawl import Certificate

COMPLETE = Certificate(10, 10, 0.95)
RECORDED = Record("same", "1", ("https://shop.test/",), datetime(2026, 3, 1), datetime(2026, 3, 1), {}, COMPLETE)
HALF = replace(RECORDED, certificate=Certificate(10, 2, 0.95))
OTHER = replace(RECORDED, configuration_hash="other")
BEGUN = replace(HALF, ended_at=None)


def crawled(root: Path, *records: Record, ledgers: tuple[int, ...] = ()) -> None:
    """The first is the oldest, of day 1."""
    for day, record in enumerate(records, start=1):
        folder = root / f"202603{day:02}T020000Z"
        folder.mkdir(parents=True)
        (folder / RECORD).write_text(record.as_json())
        if day in ledgers:
            (folder / LEDGER).write_text("")


@pytest.mark.parametrize(
    ("records", "ledgers", "left"),
    [
        ([RECORDED] * 5, (5,), [4, 5]),
        ([RECORDED] * 2, (2,), [1, 2]),
        ([RECORDED, RECORDED, HALF, HALF, HALF], (5,), [2, 4, 5]),
        ([RECORDED, OTHER, OTHER, OTHER], (4,), [3, 4]),
        ([RECORDED, RECORDED, RECORDED, OTHER, BEGUN], (3,), [3, 4, 5]),
        ([HALF, HALF, HALF], (1,), [1, 2, 3]),
        ([], (), []),
    ],
    ids=["the oldest go", "too few", "to compare with", "another configuration", "a ledger", "never complete", "none"],
)
def test_what_the_next_crawl_needs_stays(tmp_path, records, ledgers, left):
    crawled(tmp_path, *records, ledgers=ledgers)
    removed = prune(tmp_path, 2)
    assert sorted(int(path.name[6:8]) for path in tmp_path.iterdir()) == left
    assert len(removed) == len(records) - len(left)


def test_where_there_is_no_folder_nothing_goes(tmp_path):
    assert prune(tmp_path / "none", 2) == []


@pytest.mark.parametrize("record", [RECORDED, HALF], ids=["complete", "not complete"])
def test_what_no_crawl_wrote_is_left_alone(tmp_path, record):
    for folder in (tmp_path, tmp_path / PREVIOUS):
        (folder / "notes").mkdir(parents=True)
        (folder / "notes/todo.txt").write_text("call the agency")
        (folder / "page").mkdir()
        (folder / RECORD).write_text(record.as_json())
        (folder / "issue.tmp").write_text("half of what an audit writes")
    assert set_aside(tmp_path, "same") == tmp_path / PREVIOUS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", PREVIOUS]
    assert [(folder / "notes/todo.txt").exists() for folder in (tmp_path, tmp_path / PREVIOUS)] == [True, True]


@pytest.mark.parametrize(
    ("newest", "now", "goes_on"),
    [
        (BEGUN, datetime(2026, 3, 2, 2), True),
        (BEGUN, datetime(2026, 3, 3), False),
        (RECORDED, datetime(2026, 3, 1, 2), False),
        (replace(BEGUN, configuration_hash="other"), datetime(2026, 3, 1, 2), False),
    ],
    ids=["the night after", "pages of another time", "through", "another configuration"],
)
def test_a_crawl_that_was_stopped_goes_on_while_it_is_young(tmp_path, newest, now, goes_on):
    crawled(tmp_path, newest)
    assert unfinished(tmp_path, "same", now) == (tmp_path / "20260301T020000Z" if goes_on else None)
