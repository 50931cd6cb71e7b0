"""What is read and what is left for later: the same answers from a folder of this machine and from a bucket."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from object_store import ObjectStore

from caravan.clients.file_drop.deliveries import Claim, Folder, Listing, LocalFolder
from caravan.clients.file_drop.s3_folder import S3Folder
from caravan.clients.file_drop.seen import Seen
from caravan.config.places import S3Place
from caravan.config.types import FileChannel


class LocalPlace:
    def __init__(self, root: Path) -> None:
        self.folder: Folder = LocalFolder(root)

    def put(self, name: str, age_seconds: float = 3600, content: bytes = b"x") -> None:
        path = self.folder.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        when = time.time() - age_seconds
        os.utime(path, (when, when))


class BucketPlace:
    def __init__(self, store: ObjectStore, bucket: str, scratch: Path) -> None:
        self._put: Callable[..., None] = lambda name, *given: store.put(bucket, f"in/{name}", *given)
        seen = Seen(scratch / "seen.sqlite")
        self.folder: Folder = S3Folder(
            store.connection(), S3Place(bucket, "in"), store.client, scratch, seen, pause=lambda seconds: None
        )

    def put(self, name: str, age_seconds: float = 3600, content: bytes = b"x") -> None:
        self._put(name, content, age_seconds)


@pytest.fixture(params=["local", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> LocalPlace | BucketPlace:
    if request.param == "local":
        (tmp_path / "in").mkdir()
        return LocalPlace(tmp_path / "in")
    return BucketPlace(request.getfixturevalue("object_store"), request.getfixturevalue("bucket"), tmp_path)


def listed(place: LocalPlace | BucketPlace, files: str = "orders_*.csv", claims: Sequence[Claim] = ()) -> Listing:
    given: dict[str, Any] = {"code": "shop", "name": "Shop", "kind": "own", "folder": "in", "delivery": "changes"}
    entities = {"order_line": {"files": files, "columns": {"sku": "sku"}}}
    channel = FileChannel.model_validate({**given, "zone": "UTC", "format": {"type": "csv"}, "entities": entities})
    return place.folder.listing(channel, "order_line", claims)


def names(listing: Listing) -> list[str]:
    return [delivery.name for delivery in listing.deliveries]


def test_files_that_nobody_reads_are_told_in_one_word(place: LocalPlace | BucketPlace) -> None:
    for name in (
        "orders_2.CSV",
        "bestillinger_3.csv",
        "orders_4.csv.bak",
        ".hidden",
        "other_5.csv",
        "done/orders_1.csv",
    ):
        place.put(name)
    own, header = (Claim("shop", entity, place.folder.root, "orders_*.csv") for entity in ("order_line", "order"))
    other = Claim("other", "order_line", place.folder.root, "other_*.csv")
    (told,) = listed(place, claims=[own, other]).skipped
    assert (told.code, told.path.name) == ("FILE_UNMATCHED", "bestillinger_3.csv")
    assert "matches no pattern (orders_*.csv), nor do 2 other files beside it; correct `files`" in told.message
    assert not listed(place, claims=[own, header, other]).skipped, "the channel's first entity tells it"


def test_settled_files_come_oldest_first_and_then_by_name(place: LocalPlace | BucketPlace) -> None:
    for name, age, content in (
        ("orders_b.csv", 100, b"b"),
        ("orders_c.csv", 400, b"c"),
        ("orders_z.csv", 9000, b"older"),
        ("returns.csv", 100, b""),
        ("orders_empty.csv", 200, b""),
    ):
        place.put(name, age, content)
    listing = listed(place)
    assert names(listing) == ["orders_z.csv", "orders_c.csv", "orders_empty.csv", "orders_b.csv"]
    assert [(each.code, each.path.name) for each in listing.skipped] == [("FILE_UNMATCHED", "returns.csv")]
    first = listing.deliveries[0]
    assert (first.channel_code, first.entity, first.size) == ("shop", "order_line", 5)
    assert first.content_hash == hashlib.sha256(b"older").hexdigest()
    assert abs(time.time() - 9000 - first.modified_ns / 1e9) < 60
    place.folder.fetch(first)
    assert first.path.read_bytes() == b"older"
    place.folder.release(first)


UNFINISHED = [
    ("orders_1.csv", 20, "FILE_NOT_SETTLED", "it is read after 60 s"),
    ("orders_1.csv", -300, "FILE_NOT_SETTLED", "s in the future"),
    *(
        (name, 3600, "FILE_TEMPORARY", "still being written")
        for name in (
            *("orders_1.csv.part", "orders_1.csv.tmp", "orders_1.csv.filepart", "orders_1.csv.crdownload"),
            *(".orders_1.csv", ".orders_1.csv.Xa81bZ"),
        )
    ),
]


@pytest.mark.parametrize(("name", "age_seconds", "code", "words"), UNFINISHED)
def test_unfinished_files_are_skipped_with_the_reason(
    place: LocalPlace | BucketPlace, name: str, age_seconds: float, code: str, words: str
) -> None:
    place.put(name, age_seconds)
    place.put("orders_2.csv", 90)
    listing = listed(place)
    assert names(listing) == ["orders_2.csv"]
    (skipped,) = listing.skipped
    assert (str(skipped.path.relative_to(place.folder.root)), skipped.code) == (name, code)
    assert words in skipped.message


@pytest.mark.parametrize("pattern", ["*", "*.csv*"])
def test_a_wide_pattern_does_not_catch_temporary_names(place: LocalPlace | BucketPlace, pattern: str) -> None:
    place.put("a.csv.part")
    place.put(".b.csv")
    listing = listed(place, pattern)
    assert listing.deliveries == ()
    assert sorted((skipped.path.name, skipped.code) for skipped in listing.skipped) == [
        (".b.csv", "FILE_TEMPORARY"),
        ("a.csv.part", "FILE_TEMPORARY"),
    ]


def test_patterns_match_level_by_level(place: LocalPlace | BucketPlace) -> None:
    for name in ("a.csv", "b.csv", "2026/c.csv", "2027/d.csv", "2026/01/e.csv", "f.txt", "g.csv/h.csv"):
        place.put(name)
    for pattern, found in (
        ("a.csv", ["a.csv"]),
        ("./*.csv", ["a.csv", "b.csv"]),
        ("202*/*.csv", ["c.csv", "d.csv"]),
        ("2026/*.csv", ["c.csv"]),
        ("202[6-7]/?.csv", ["c.csv", "d.csv"]),
        ("*/*/*.csv", ["e.csv"]),
    ):
        assert sorted(names(listed(place, pattern))) == found, pattern
    folder, beside = listed(place, "*.csv").skipped
    assert (beside.path.name, beside.code) == ("f.txt", "FILE_UNMATCHED")
    assert (folder.path.name, folder.code) == ("g.csv", "FILE_UNREADABLE")
    assert "is a folder" in folder.message


def test_nothing_delivered_is_an_empty_answer(place: LocalPlace | BucketPlace) -> None:
    listing = listed(place)
    assert (listing.deliveries, listing.skipped) == ((), ())
