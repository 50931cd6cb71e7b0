"""Folders of crawls: which ones may go, and which the next crawl needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from caravan.clients.crawl.contents import PREVIOUS, RECORD, REPORT
from caravan.clients.crawl.folders import comparable, crawls, newest_complete, prune, set_aside, unaudited, unfinished
from caravan.clients.crawl.runs import NOTHING, Record
from caravan.core.crawl import Certificate

COMPLETE = Certificate(10, 10, 0.95)
RECORDED = Record("same", "1", ("https://shop.test/",), datetime(2026, 3, 1), datetime(2026, 3, 1), {}, COMPLETE)
HALF = replace(RECORDED, certificate=Certificate(10, 2, 0.95))
OTHER = replace(RECORDED, configuration_hash="other")
BEGUN = replace(HALF, ended_at=None)


def crawled(root: Path, *records: Record, audited: tuple[int, ...] = ()) -> None:
    """The first is the oldest, of day 1."""
    for day, record in enumerate(records, start=1):
        folder = root / f"202603{day:02}T020000Z"
        folder.mkdir(parents=True)
        (folder / RECORD).write_text(record.as_json())
        if day in audited:
            (folder / REPORT).write_text("")


@pytest.mark.parametrize(
    ("records", "audited", "left"),
    [
        ([RECORDED] * 5, (5,), [4, 5]),
        ([RECORDED] * 2, (2,), [1, 2]),
        ([RECORDED, RECORDED, HALF, HALF, HALF], (5,), [2, 4, 5]),
        ([RECORDED, OTHER, OTHER, OTHER], (4,), [3, 4]),
        ([RECORDED, RECORDED, RECORDED, OTHER, BEGUN], (3,), [3, 4, 5]),
        ([HALF, HALF, HALF], (1,), [1, 2, 3]),
        ([RECORDED] * 5, (1, 2), [2, 4, 5]),
        ([], (), []),
    ],
    ids=[
        *("the oldest go", "too few", "to compare with", "another configuration", "what is known", "never complete"),
        *("audits that died", "none"),
    ],
)
def test_what_the_next_crawl_needs_stays(tmp_path, records, audited, left):
    crawled(tmp_path, *records, audited=audited)
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


@pytest.mark.parametrize(
    ("newest", "audited", "now", "waits"),
    [
        (RECORDED, (), datetime(2026, 3, 2, 2), True),
        (HALF, (), datetime(2026, 3, 2, 2), True),
        (RECORDED, (1,), datetime(2026, 3, 2, 2), False),
        (RECORDED, (), datetime(2026, 3, 3), False),
        (OTHER, (), datetime(2026, 3, 1, 2), False),
        (BEGUN, (), datetime(2026, 3, 1, 2), False),
        (replace(HALF, certificate=Certificate(0, 0, 0.95, stopped=NOTHING)), (), datetime(2026, 3, 1, 2), False),
    ],
    ids=["waits", "not complete", "audited", "of another time", "another configuration", "not through", "nothing read"],
)
def test_a_crawl_whose_audit_died_is_audited_while_it_is_young(tmp_path, newest, audited, now, waits):
    crawled(tmp_path, newest, audited=audited)
    assert unaudited(tmp_path, "same", now) == ((tmp_path / "20260301T020000Z", newest) if waits else None)


def test_only_what_was_told_is_compared_with(tmp_path):
    crawled(tmp_path, RECORDED, RECORDED, HALF, OTHER, RECORDED, audited=(1, 2, 3, 4))
    assert comparable(crawls(tmp_path), "same") == tmp_path / "20260302T020000Z"
    assert newest_complete(tmp_path, "same") == tmp_path / "20260305T020000Z", "its pages need not be sent again"
