"""Which files are read, and which are left for later."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
from pathlib import Path

import duckdb
import pytest
from file_drop_case import CONFIGURATION, LINE, LINE_FIELDS, NOW, channel, csv_text, deliver

from caravan.clients.file_drop import parse as parse_module
from caravan.clients.file_drop.deliveries import list_deliveries
from caravan.clients.file_drop.parse import parse
from caravan.core.errors import Rejected, Retryable

SECOND = 1_000_000_000
NOW_NS = 1_700_000_000 * SECOND


def put(folder: Path, name: str, age_seconds: float = 3600, content: bytes = b"x") -> Path:
    path = folder / name
    path.write_bytes(content)
    when = NOW_NS - int(age_seconds * SECOND)
    os.utime(path, ns=(when, when))
    return path


def test_settled_files_come_oldest_first_and_then_by_name(tmp_path: Path) -> None:
    put(tmp_path, "orders_b.csv", age_seconds=100)
    put(tmp_path, "orders_a.csv", age_seconds=100)
    put(tmp_path, "orders_z.csv", age_seconds=200, content=b"older")
    put(tmp_path, "returns.csv")
    listing = list_deliveries(channel(files="orders_*.csv"), "order_line", tmp_path, NOW_NS)
    assert [delivery.name for delivery in listing.deliveries] == ["orders_z.csv", "orders_a.csv", "orders_b.csv"]
    assert not listing.skipped
    first = listing.deliveries[0]
    assert (first.channel_code, first.entity, first.size) == ("shop", "order_line", 5)
    assert first.content_hash == hashlib.sha256(b"older").hexdigest()
    assert first.modified_ns == NOW_NS - 200 * SECOND


@pytest.mark.parametrize(
    ("name", "age_seconds", "code", "words"),
    [
        ("orders_1.csv", 59, "FILE_NOT_SETTLED", "changed 59 s ago"),
        ("orders_1.csv", -30, "FILE_NOT_SETTLED", "30 s in the future"),
        ("orders_1.csv.part", 3600, "FILE_TEMPORARY", "still being written"),
        ("orders_1.csv.tmp", 3600, "FILE_TEMPORARY", "still being written"),
        ("orders_1.csv.filepart", 3600, "FILE_TEMPORARY", "still being written"),
        ("orders_1.csv.crdownload", 3600, "FILE_TEMPORARY", "still being written"),
        (".orders_1.csv", 3600, "FILE_TEMPORARY", "still being written"),
        (".orders_1.csv.Xa81bZ", 3600, "FILE_TEMPORARY", "still being written"),
    ],
)
def test_unfinished_files_are_skipped_with_the_reason(
    tmp_path: Path, name: str, age_seconds: float, code: str, words: str
) -> None:
    put(tmp_path, name, age_seconds)
    put(tmp_path, "orders_2.csv", age_seconds=60)
    listing = list_deliveries(channel(files="orders_*.csv"), "order_line", tmp_path, NOW_NS)
    assert [delivery.name for delivery in listing.deliveries] == ["orders_2.csv"]
    assert [(skipped.path.name, skipped.code) for skipped in listing.skipped] == [(name, code)]
    assert words in listing.skipped[0].message


@pytest.mark.parametrize("pattern", ["*", "*.csv*"])
def test_a_wide_pattern_does_not_catch_temporary_names(tmp_path: Path, pattern: str) -> None:
    put(tmp_path, "a.csv.part")
    put(tmp_path, ".b.csv")
    (tmp_path / "c.csv").mkdir()
    listing = list_deliveries(channel(files=pattern), "order_line", tmp_path, NOW_NS)
    assert listing.deliveries == ()
    assert {skipped.path.name for skipped in listing.skipped} == {"a.csv.part", ".b.csv"}


def test_nothing_delivered_and_no_folder_are_different_answers(tmp_path: Path) -> None:
    listing = list_deliveries(channel(files="*.csv"), "order_line", tmp_path, NOW_NS)
    assert (listing.deliveries, listing.skipped) == ((), ())
    with pytest.raises(Rejected, match="there is no folder") as caught:
        list_deliveries(channel(files="*.csv"), "order_line", tmp_path / "lost", NOW_NS)
    assert caught.value.code == "FOLDER_MISSING"


def good_file(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(csv_text([LINE_FIELDS, LINE]))
    return path


@pytest.mark.parametrize("change", ["grown", "touched", "removed"])
def test_a_file_changed_since_it_was_listed_loads_nothing(tmp_path: Path, change: str) -> None:
    path, of = good_file(tmp_path), channel()
    delivery = deliver(path, of)
    if change == "grown":
        path.write_text(path.read_text() + ",".join(LINE))
        os.utime(path, ns=(delivery.modified_ns, delivery.modified_ns))
    elif change == "touched":
        os.utime(path, ns=(0, delivery.modified_ns + 1))
    else:
        path.unlink()
    with pytest.raises(Rejected) as caught:
        parse(delivery, of, CONFIGURATION, tmp_path / "work", NOW)
    assert caught.value.code == "FILE_CHANGED"


def test_a_file_changed_while_it_is_read_loads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, of = good_file(tmp_path), channel()
    delivery = deliver(path, of)
    settle = parse_module.settle

    def settle_late(*arguments: object) -> object:
        path.write_text("half of another fi")
        return settle(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(parse_module, "settle", settle_late)
    with pytest.raises(Rejected) as caught:
        parse(delivery, of, CONFIGURATION, tmp_path / "work", NOW)
    assert caught.value.code == "FILE_CHANGED"
    assert [each for each in (tmp_path / "work").rglob("*") if each.is_file()] == []


def test_truncated_gzip_loads_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    rows = [(f"A{number}", *LINE[1:]) for number in range(20_000)]
    whole = gzip.compress(csv_text([LINE_FIELDS, *rows]).encode())
    path, of = tmp_path / "orders.csv", channel()
    for cut in (len(whole) // 2, len(whole) - 4, 5):
        path.write_bytes(whole[:cut])
        with pytest.raises(Rejected) as caught:
            parse(deliver(path, of), of, CONFIGURATION, tmp_path / "work", NOW)
        assert caught.value.code == "GZIP_TRUNCATED", cut
        assert list((tmp_path / "work").iterdir()) == []
    path.write_bytes(whole[:200] + b"\xff\x00\xff" + whole[203:])
    with pytest.raises(Rejected) as caught:
        parse(deliver(path, of), of, CONFIGURATION, tmp_path / "work", NOW)
    assert caught.value.code == "GZIP_BROKEN"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        duckdb.IOException('IO Error: Could not write all bytes to file "x": No space left on device'),
    ],
)
def test_a_full_disk_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    path, of = good_file(tmp_path), channel()

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(parse_module, "_copy", fail)
    with pytest.raises(Retryable, match="no room left"):
        parse(deliver(path, of), of, CONFIGURATION, tmp_path / "work", NOW)
    assert list((tmp_path / "work").iterdir()) == []
