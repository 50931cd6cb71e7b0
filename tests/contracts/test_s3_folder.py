"""Deliveries in a bucket: known by content, downloaded once, whole or not at all."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from object_store import Answer, ObjectStore

from caravan.clients.file_drop.deliveries import Claim, Listing
from caravan.clients.file_drop.s3_folder import S3Folder
from caravan.clients.file_drop.seen import Seen
from caravan.clients.storage.s3 import open_client, store_of
from caravan.config.places import S3Place
from caravan.config.types import FileChannel
from caravan.core.errors import Misconfigured, Rejected, Retryable

FolderOf = Callable[..., S3Folder]


def channel(files: str = "*.csv", settle_seconds: int = 60) -> FileChannel:
    return FileChannel.model_validate(
        {
            "code": "shop", "name": "Shop", "kind": "own", "folder": "s3://x/y", "delivery": "changes", "zone": "UTC",
            "settle_seconds": settle_seconds, "format": {"type": "csv"},
            "entities": {"order_line": {"files": files, "columns": {"sku": "sku"}}},
        }
    )  # fmt: skip


@pytest.fixture
def folder_of(object_store: ObjectStore, bucket: str, tmp_path: Path) -> FolderOf:
    """A folder of the bucket; each with scratch space of its own, as in another run, and the same memory."""
    made: list[S3Folder] = []

    def make(prefix: str = "in", seen: Seen | None = None, **options: Any) -> S3Folder:
        connection = object_store.connection()
        copies = tmp_path / f"copies{len(made)}"
        made.append(
            S3Folder(
                connection, S3Place(bucket, prefix), object_store.client, copies,
                seen or Seen(tmp_path / "seen.sqlite"), pause=lambda seconds: None, **options,
            )
        )  # fmt: skip
        return made[-1]

    return make


def names(listing: Listing) -> list[str]:
    return [delivery.name for delivery in listing.deliveries]


def test_a_known_object_is_not_downloaded_again(folder_of: FolderOf, object_store: ObjectStore, bucket: str) -> None:
    object_store.put(bucket, "in/a.csv", b"one")
    first, second = folder_of(), folder_of()
    (delivery,) = first.listing(channel(), "order_line", []).deliveries
    assert delivery.content_hash == hashlib.sha256(b"one").hexdigest()
    first.fetch(delivery)
    assert delivery.path.read_bytes() == b"one"
    assert object_store.downloads() == [f"/{bucket}/in/a.csv"], "one download serves hash and reading"
    first.release(delivery)
    assert not delivery.path.exists()

    (again,) = second.listing(channel(), "order_line", []).deliveries
    assert (again.content_hash, again.delivered_at) == (delivery.content_hash, delivery.delivered_at)
    assert len(object_store.downloads()) == 1
    second.fetch(again)  # to be read again, after its channel was corrected
    assert again.path.read_bytes() == b"one"

    object_store.put(bucket, "in/a.csv", b"two", age_seconds=3000)
    (changed,) = folder_of().listing(channel(), "order_line", []).deliveries
    assert changed.content_hash == hashlib.sha256(b"two").hexdigest()


def test_what_is_remembered_may_be_lost_or_broken(
    folder_of: FolderOf, object_store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    object_store.put(bucket, "in/a.csv", b"one")
    assert names(folder_of().listing(channel(), "order_line", [])) == ["a.csv"]
    (tmp_path / "seen.sqlite").write_bytes(b"this is no database, but it is longer than its header of 16 bytes" * 9)
    assert names(folder_of().listing(channel(), "order_line", [])) == ["a.csv"]
    assert names(folder_of().listing(channel(), "order_line", [])) == ["a.csv"]
    assert len(object_store.downloads()) == 2
    broken = bytearray((tmp_path / "seen.sqlite").read_bytes())
    broken[4096:] = b"\xff" * (len(broken) - 4096)
    (tmp_path / "seen.sqlite").write_bytes(broken)
    assert Seen(tmp_path / "seen.sqlite", read_only=True).hash_of("any") is None
    assert (tmp_path / "seen.sqlite").read_bytes() == broken, "who only looks removes nothing"
    for _ in range(2):
        assert names(folder_of().listing(channel(), "order_line", [])) == ["a.csv"]
    assert len(object_store.downloads()) == 3
    with closing(sqlite3.connect(tmp_path / "seen.sqlite")) as busy:
        busy.execute("DROP TABLE seen")
        busy.execute("CREATE TABLE seen (another TEXT)")
    Seen(tmp_path / "seen.sqlite").remember("any", "hash")
    (tmp_path / "file").write_bytes(b"")
    Seen(tmp_path / "file" / "seen.sqlite").remember("any", "hash")  # no folder can be made there
    looks_only = Seen(tmp_path / "dry.sqlite", read_only=True)
    assert names(folder_of(seen=looks_only).listing(channel(), "order_line", [])) == ["a.csv"]
    assert not (tmp_path / "dry.sqlite").exists()


def test_a_copy_of_another_content_than_remembered_is_not_read(
    folder_of: FolderOf, object_store: ObjectStore, bucket: str
) -> None:
    class Wrong(Seen):
        def hash_of(self, identity: str) -> str:
            return "0" * 64

    object_store.put(bucket, "in/a.csv", b"one")
    folder = folder_of(seen=Wrong(Path("unused")))
    (delivery,) = folder.listing(channel(), "order_line", []).deliveries
    with pytest.raises(Rejected, match="has another content than it had"):
        folder.fetch(delivery)
    assert not delivery.path.exists()


def test_copies_beyond_the_limit_are_downloaded_when_they_are_read(
    folder_of: FolderOf, object_store: ObjectStore, bucket: str
) -> None:
    for name in ("a", "b", "c"):
        object_store.put(bucket, f"in/{name}.csv", name.encode() * 10)
    folder = folder_of(keep_bytes=15)
    deliveries = folder.listing(channel(), "order_line", []).deliveries
    assert [delivery.path.exists() for delivery in deliveries] == [True, False, False]
    for delivery in deliveries:
        folder.fetch(delivery)
        assert delivery.path.read_bytes() == delivery.name[:1].encode() * 10
        assert delivery.path.stat().st_mtime_ns == delivery.modified_ns
        folder.release(delivery)
    assert len(object_store.downloads()) == 5


def test_pages_and_prefixes(folder_of: FolderOf, object_store: ObjectStore, bucket: str) -> None:
    object_store.page_size = 3
    for number in range(7):
        object_store.put(bucket, f"in/{number:04}.csv", b"x" if number % 2 else b"")
    for key in ("in/", "inner/z.csv", "in/deep/z.csv", "z.csv", "in/a//b.csv", "in/deep/"):
        object_store.put(bucket, key, b"no")
    found = names(folder_of().listing(channel("000?.csv"), "order_line", []))
    assert sorted(found) == [f"{number:04}.csv" for number in range(7)]
    assert len([1 for _, path, _ in object_store.requests if path == f"/{bucket}"]) == 4, "7 files, 3 others"
    assert names(folder_of("").listing(channel("*/*.csv"), "order_line", []))[-1:] == ["z.csv"]
    assert names(folder_of("in").listing(channel("deep/*"), "order_line", [])) == ["z.csv"]


def test_an_object_that_two_channels_claim_is_refused(
    folder_of: FolderOf, object_store: ObjectStore, bucket: str
) -> None:
    object_store.put(bucket, "in/sub/a.csv", b"one")
    folder = folder_of("in")
    store = object_store.url.removeprefix("http://")
    rivals = [
        (Claim("rival", "order", S3Place(bucket, "in/sub").path(store), "a*"), True),
        (Claim("rival", "order", S3Place(bucket, "").path(store), "*/sub/*.csv"), True),
        (Claim("rival", "order", S3Place(bucket, "in").path(store), "a*"), False),
        (Claim("rival", "order", S3Place(bucket, "in/sub").path("aws"), "a*"), False),
        (Claim("rival", "order", Path("/", bucket, "in/sub"), "a*"), False),
    ]
    for rival, is_refused in rivals:
        listing = folder.listing(channel("sub/*"), "order_line", [rival])
        assert names(listing) == ["a.csv"]
        assert [error.code for error in listing.refused.values()] == ["FILE_CLAIMED_TWICE"] * is_refused, rival


def test_archived_objects_and_impossible_names_hide_nothing(
    folder_of: FolderOf, object_store: ObjectStore, bucket: str
) -> None:
    object_store.put(bucket, "in/a.csv", b"one")
    object_store.put(bucket, f"in/{'ü' * 130}.csv", b"long")
    object_store.client.put_object(Bucket=bucket, Key="in/old.csv", Body=b"old", StorageClass="GLACIER")
    listing = folder_of().listing(channel(settle_seconds=0), "order_line", [])
    assert names(listing) == ["a.csv"]
    said = " ".join(skipped.message for skipped in listing.skipped)
    assert [skipped.code for skipped in listing.skipped] == ["FILE_UNREADABLE"] * 2
    assert "old.csv is archived (GLACIER)" in said and "is no name that a file here can have" in said


def only_objects(fault: Callable[[Answer], None], times: int = 1) -> Callable[[Answer], None]:
    """The fault, in the first answers that hold an object."""
    left = [times]

    def apply(answer: Answer) -> None:
        if answer.method == "GET" and answer.path.endswith(".csv") and left[0] > 0:
            left[0] -= 1
            fault(answer)

    return apply


def cut(answer: Answer) -> None:
    answer.body = answer.body[: len(answer.body) // 2]


def begin_anew(answer: Answer) -> None:
    """A store that does not know ranges."""
    answer.status, answer.body = "200 OK", CONTENT
    answer.headers.pop("content-range", None)
    answer.headers["content-length"] = str(len(CONTENT))


def flip(answer: Answer) -> None:
    answer.body = answer.body[:-1] + bytes([answer.body[-1] ^ 1 + len(FLIPPED)])
    FLIPPED.append(1)
    for name in [name for name in answer.headers if name.startswith("x-amz-checksum")]:
        del answer.headers[name]


FLIPPED: list[int] = []
CONTENT = bytes(range(256)) * 5000


@pytest.mark.parametrize("times", [1, 3])
def test_a_broken_download_goes_on_where_it_broke(
    folder_of: FolderOf, object_store: ObjectStore, bucket: str, times: int
) -> None:
    object_store.put(bucket, "in/a.csv", CONTENT)
    object_store.faults.append(only_objects(cut, times))
    (delivery,) = folder_of().listing(channel(), "order_line", []).deliveries
    assert delivery.content_hash == hashlib.sha256(CONTENT).hexdigest()
    half = len(CONTENT) // 2
    ranges = [asked for method, path, asked in object_store.requests if path.endswith(".csv")]
    assert ranges[:2] == ["", f"bytes={half}-"] and len(ranges) == times + 1


def test_a_store_without_ranges_is_read_from_the_start_again(
    folder_of: FolderOf, object_store: ObjectStore, bucket: str
) -> None:
    object_store.put(bucket, "in/a.csv", CONTENT)
    object_store.faults += [only_objects(begin_anew, 99), only_objects(cut)]
    (delivery,) = folder_of().listing(channel(), "order_line", []).deliveries
    assert delivery.path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fault", "words"), [(cut, "bytes in the listing"), (flip, "arrives damaged")], ids=["cut", "flip"]
)
def test_bytes_that_never_arrive_right_are_no_delivery(
    folder_of: FolderOf, object_store: ObjectStore, bucket: str, fault: Any, words: str, tmp_path: Path
) -> None:
    object_store.put(bucket, "in/a.csv", CONTENT)
    object_store.faults.append(only_objects(fault, 99))
    with pytest.raises(Retryable, match=words):
        folder_of().listing(channel(), "order_line", [])
    object_store.faults.clear()
    (delivery,) = folder_of().listing(channel(), "order_line", []).deliveries
    assert delivery.content_hash == hashlib.sha256(CONTENT).hexdigest(), "nothing wrong was remembered"


def test_an_object_replaced_while_it_is_read_waits_for_the_next_run(
    folder_of: FolderOf, object_store: ObjectStore, bucket: str
) -> None:
    object_store.put(bucket, "in/a.csv", CONTENT)

    def replace(answer: Answer) -> None:
        cut(answer)
        object_store.put(bucket, "in/a.csv", b"another content")

    object_store.faults.append(only_objects(replace))
    listing = folder_of().listing(channel(), "order_line", [])
    assert not listing.deliveries
    assert [(each.code, each.message) for each in listing.skipped] == [
        ("FILE_NOT_SETTLED", "a.csv changed while it was read")
    ]
    object_store.faults.clear()
    folder = folder_of()
    (delivery,) = folder.listing(channel(), "order_line", []).deliveries
    folder.release(delivery)
    object_store.put(bucket, "in/a.csv", b"and again another")
    with pytest.raises(Rejected) as caught:
        folder.fetch(delivery)
    assert caught.value.code == "FILE_CHANGED"


def fail_listing(status: str, code: str, times: int, page: int = 2) -> Callable[[Answer], None]:
    seen = [0]

    def apply(answer: Answer) -> None:
        if not answer.is_listing:
            return
        seen[0] += 1
        if page <= seen[0] < page + times:
            answer.status = status
            answer.body = f"<Error><Code>{code}</Code><Message>sec/ret+key</Message></Error>".encode()
            answer.headers["content-length"] = str(len(answer.body))

    return apply


def drop(text: bytes, by: bytes = b"") -> Callable[[Answer], None]:
    def apply(answer: Answer) -> None:
        if answer.is_listing:
            assert text in answer.body
            answer.body = answer.body.replace(text, by)
            answer.headers["content-length"] = str(len(answer.body))

    return apply


@pytest.fixture
def two_pages(object_store: ObjectStore, bucket: str) -> None:
    object_store.page_size = 2
    for number in range(3):
        object_store.put(bucket, f"in/{number}.txt", b"")
    object_store.put(bucket, "in/9999.csv", b"on the second page")


@pytest.mark.usefixtures("two_pages")
def test_a_page_that_fails_once_is_asked_for_again(folder_of: FolderOf, object_store: ObjectStore) -> None:
    object_store.faults.append(fail_listing("500 Internal Server Error", "InternalError", times=1))
    assert names(folder_of().listing(channel(), "order_line", [])) == ["9999.csv"]


@pytest.mark.usefixtures("two_pages")
@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (fail_listing("503 Slow Down", "SlowDown", 99), Retryable, "the store answers SlowDown"),
        (fail_listing("403 Forbidden", "AccessDenied", 99), Misconfigured, "needs s3:ListBucket"),
        (fail_listing("404 Not Found", "NoSuchBucket", 99), Misconfigured, "there is no such bucket"),
        (fail_listing("403 Forbidden", "InvalidAccessKeyId", 99), Misconfigured, "does not know the connection"),
        (fail_listing("400 Bad Request", "Whatever", 99), Misconfigured, r"Whatever: \*\*\*"),
        (fail_listing("200 OK", "InternalError", 99), Retryable, "the store answers InternalError"),
        (drop(b"<IsTruncated>true</IsTruncated>"), Retryable, "breaks off"),
        (drop(b"NextContinuationToken", b"NextToken"), Retryable, "breaks off"),
        (drop(b"ETag", b"Etag"), Retryable, "lacks 'ETag'"),
        (drop(b"</ListBucketResult>", b"</Li"), Retryable, "s3://test-"),
    ],
    ids=[str(n) for n in range(10)],
)  # fmt: skip
def test_a_listing_is_whole_or_an_error(
    folder_of: FolderOf, object_store: ObjectStore, fault: Any, kind: type[Exception], words: str
) -> None:
    folder = folder_of()
    folder.client = open_client(object_store.connection(config_kwargs={"retries": {"total_max_attempts": 1}}))
    object_store.faults.append(fault)
    with pytest.raises(kind, match=words) as caught:
        folder.listing(channel(), "order_line", [])
    assert "sec/ret" not in str(caught.value)
    if "SlowDown" in words:
        assert caught.value.after == timedelta(minutes=5)


def test_no_bucket_is_no_empty_one(folder_of: FolderOf, object_store: ObjectStore) -> None:
    folder = folder_of()
    assert folder.listing(channel(), "order_line", []).deliveries == ()
    folder.place = S3Place("no-such-bucket", "")
    with pytest.raises(Misconfigured, match="NoSuchBucket: there is no such bucket"):
        folder.listing(channel(), "order_line", [])


def test_nobody_answers(folder_of: FolderOf, object_store: ObjectStore) -> None:
    folder = folder_of()
    nowhere = object_store.connection(
        endpoint_url="http://127.0.0.1:9", config_kwargs={"retries": {"total_max_attempts": 1}}
    )
    folder.client = open_client(nowhere)
    with pytest.raises(Retryable, match="by connection s3_default: Could not connect"):
        folder.listing(channel(), "order_line", [])


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"endpoint": "x"}, "extra 'endpoint' is not supported; did you mean 'endpoint_url'?"),
        ({"role_arn": "x"}, "a role goes into a profile"),
        ({"endpoint_url": "no url"}, "Invalid endpoint: no url"),
        ({"config_kwargs": {"s3": {"addressing_style": "sideways"}}}, "sideways"),
        ({"profile_name": "not-there"}, "not-there"),
        ({"config_kwargs": "text"}, "'config_kwargs' has to be an object {...}, not str"),
        ({"config_kwargs": None}, "'config_kwargs' has to be an object"),
        ({"config_kwargs": {"s3": "path"}}, "'s3' has to be an object"),
        ({"config_kwargs": {"retries": "x"}}, "'retries' has to be an object"),
        ({"service_config": "x"}, "'service_config' has to be an object"),
        ({"service_config": {"s3": None}}, "'s3' has to be an object"),
    ],
)
def test_a_connection_that_makes_no_client(object_store: ObjectStore, extra: dict[str, Any], words: str) -> None:
    with pytest.raises(Misconfigured, match="connection s3_default") as caught:
        open_client(object_store.connection(**extra))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "store"),
    [
        ({"endpoint_url": "https://s3.eu-central-1.amazonaws.com/"}, "aws"),
        ({"endpoint_url": "https://S3.amazonaws.com"}, "aws"),
        ({"service_config": {"s3": {"endpoint_url": "https://s3-eu-west-1.amazonaws.com:443"}}}, "aws"),
        ({"endpoint_url": "https://s3.amazonaws.com.example.org"}, "s3.amazonaws.com.example.org"),
        ({"endpoint_url": None}, "aws"),
    ],
)
def test_one_store_has_one_name(object_store: ObjectStore, extra: dict[str, Any], store: str) -> None:
    assert store_of(object_store.connection(**extra)) == store
