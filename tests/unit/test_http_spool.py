"""Records on their way to `parse`: what is written, and what their hash depends on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from caravan.clients.http.spool import Spool
from caravan.core.pulls import PulledFile

A, B = {"id": "1", "name": "ü\u2028\ud800"}, ["no", None, {"order": True}]


def spool(folder: Path, *records: object) -> PulledFile:
    target = Spool(folder / "order.ndjson")
    for record in records:
        target.write(record)
    return target.finish()


def test_records_are_lines_as_they_came(tmp_path):
    file = spool(tmp_path, A, B, None, "text\n")
    lines = file.path.read_bytes().split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == [A, B, None, "text\n"]
    assert (file.record_count, lines[-1]) == (4, b"")


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ([A, B], [B, A], True),
        ([A, B, A], [A, A, B], True),
        ([{"a": "1", "b": "2"}], [{"b": "2", "a": "1"}], True),
        ([A], [A, A], False),
        ([A, A, B], [A, B, B], False),
        ([A], [B], False),
        ([], [None], False),
    ],
)
def test_the_hash_is_of_the_records_not_of_their_order(tmp_path, one, other, equal):
    assert (spool(tmp_path, *one).content_hash == spool(tmp_path, *other).content_hash) is equal
