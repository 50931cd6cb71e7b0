"""Published files in a bucket: whoever follows the pointer finds one version, whole, at any moment."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3.s3.transfer
import duckdb
import pytest
from object_store import Answer, ObjectStore

from caravan.clients.storage import publish as publishing
from caravan.clients.storage.publish import Bucket
from caravan.clients.storage.s3 import open_client
from caravan.config.places import S3Place
from caravan.core.errors import Misconfigured, Rejected, Retryable
from caravan.reporting.publish import take

AT = datetime(2026, 11, 22, 12)


@pytest.fixture
def target(object_store: ObjectStore, bucket: str) -> Bucket:
    return Bucket(object_store.client, object_store.connection(), S3Place(bucket, "out"))


def put(target: Bucket, folder: Path, version: str, rows: str = "", **others: bytes) -> bool:
    """A version whose two decisive files hold `rows`, or the version's own name."""
    content = {"a.parquet": rows or version, "b.parquet": f"b{rows or version}", "marts.duckdb": version}
    files = {}
    for name, text in content.items():
        files[name] = folder / name
        files[name].write_bytes(text.encode())
    for name, more in others.items():
        files[name] = folder / name
        files[name].write_bytes(more)
    return target.put(files, ["a.parquet", "b.parquet"], version, AT)


def read(target: Bucket) -> tuple[str, dict[str, bytes]]:
    """What a reader finds who follows the pointer; checked against what it says."""
    pointer = target.pointer()
    assert pointer is not None
    found = {}
    for name, said in pointer["files"].items():
        key = target.place.key("versions", pointer["version"], name)
        found[name] = target.client.get_object(Bucket=target.place.bucket, Key=key)["Body"].read()
        assert (len(found[name]), hashlib.sha256(found[name]).hexdigest()) == (said["size"], said["sha256"])
    return pointer["version"], found


def versions(store: ObjectStore, bucket: str) -> list[str]:
    return sorted({key.split("/")[2] for key in store.keys(bucket) if key.startswith("out/versions/")})


def test_a_new_version_is_pointed_to_and_the_one_before_is_kept(
    target: Bucket, object_store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    assert target.pointer() is None
    kept = []
    for version in ("v1", "v2", "v3"):
        assert put(target, tmp_path, version)
        kept.append(versions(object_store, bucket))
        name = version.encode()
        assert read(target) == (version, {"a.parquet": name, "b.parquet": b"b" + name, "marts.duckdb": name})
    assert kept == [["v1"], ["v1", "v2"], ["v2", "v3"]]
    puts = [path for method, path, _ in object_store.requests if method == "PUT"]
    assert puts[-1] == f"/{bucket}/out/current.json", "the pointer comes last"


def test_unchanged_rows_are_not_put_again(
    target: Bucket, object_store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    assert put(target, tmp_path, "v1", rows="same")
    object_store.begin()
    assert not put(target, tmp_path, "v2", rows="same")
    assert [path for method, path, _ in object_store.requests if method == "PUT"] == [f"/{bucket}/out/current.json"]
    assert read(target)[0] == "v1"
    object_store.client.delete_object(Bucket=bucket, Key="out/versions/v1/b.parquet")
    assert put(target, tmp_path, "v3", rows="same"), "what somebody deleted is put again"
    assert read(target)[0] == "v3"


class Killed(BaseException):
    """As by SIGKILL: nothing catches it, nothing is tidied."""


@pytest.mark.parametrize("died_after", range(1, 8))
def test_killed_between_any_two_requests_the_pointer_names_a_whole_version(
    target: Bucket, object_store: ObjectStore, bucket: str, tmp_path: Path, died_after: int, monkeypatch: Any
) -> None:
    put(target, tmp_path, "v1")
    before = read(target)
    real, count = target.client._make_api_call, [0]

    def dying(*arguments: Any) -> Any:
        if count[0] == died_after:
            raise Killed
        count[0] += 1
        return real(*arguments)

    # In one thread, so that the requests have an order.
    serial = boto3.s3.transfer.TransferConfig(use_threads=False)
    monkeypatch.setattr(publishing, "_TRANSFER", serial)
    monkeypatch.setattr(target.client, "_make_api_call", dying)
    with pytest.raises(Killed):
        put(target, tmp_path, "v2")
    monkeypatch.setattr(target.client, "_make_api_call", real)
    version, found = read(target)
    pointed = died_after >= 6  # pointer read, 3 files, their listing, pointer put
    assert version == ("v2" if pointed else "v1")
    assert pointed or (version, found) == before
    assert put(target, tmp_path, "v3")
    assert read(target)[0] == "v3"
    assert versions(object_store, bucket) == [version, "v3"], "what the killed one left is gone"


def test_a_large_file_travels_in_parts_and_what_was_begun_is_ended(
    target: Bucket, object_store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    large = bytes(range(256)) * 4 * 1024 * 20  # 20 MiB
    begun = object_store.client.create_multipart_upload(Bucket=bucket, Key="out/versions/v0/marts.duckdb")
    part = {"Bucket": bucket, "Key": "out/versions/v0/marts.duckdb", "UploadId": begun["UploadId"]}
    object_store.client.upload_part(**part, PartNumber=1, Body=b"x")
    fail_once = [True]

    def fail(answer: Answer) -> None:
        if answer.method == "PUT" and "partNumber=2" in answer.query and fail_once:
            fail_once.clear()
            answer.status, answer.body = "503 Slow Down", b"<Error><Code>SlowDown</Code></Error>"

    object_store.faults.append(fail)
    put(target, tmp_path, "v1", **{"large.parquet": large})
    assert not fail_once, "a part has failed and was sent again"
    assert read(target)[1]["large.parquet"] == large
    assert object_store.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [("AccessDenied", "403 Forbidden", Misconfigured), ("InternalError", "500 Server Error", Retryable)],
)
def test_a_refused_file_changes_nothing(
    target: Bucket, object_store: ObjectStore, tmp_path: Path, code: str, status: str, kind: type[Exception]
) -> None:
    put(target, tmp_path, "v1")

    def refuse(answer: Answer) -> None:
        if answer.method == "PUT" and answer.path.endswith("b.parquet"):
            answer.status, answer.body = status, f"<Error><Code>{code}</Code></Error>".encode()

    object_store.faults.append(refuse)
    quick = open_client(object_store.connection(config_kwargs={"retries": {"total_max_attempts": 1}}))
    with pytest.raises(kind, match="versions/v2/b"):
        put(Bucket(quick, target.connection, target.place), tmp_path, "v2")
    assert read(target)[0] == "v1"


def test_a_file_that_is_not_there_after_all_is_not_pointed_to(
    target: Bucket, object_store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    put(target, tmp_path, "v1")

    def lose(answer: Answer) -> None:
        if answer.method == "PUT" and answer.path.endswith("v2/b.parquet"):
            object_store.forget(bucket, "out/versions/v2/b.parquet")

    object_store.faults.append(lose)
    with pytest.raises(Retryable, match="does not hold what was put there"):
        put(target, tmp_path, "v2")
    assert read(target)[0] == "v1"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version": 1, "files": {}}', b"<html>"])
def test_a_pointer_that_is_none_of_ours_is_left_alone(
    target: Bucket, object_store: ObjectStore, bucket: str, tmp_path: Path, content: bytes
) -> None:
    object_store.put(bucket, "out/current.json", content)
    with pytest.raises(Rejected, match="is none of ours") as caught:
        put(target, tmp_path, "v1")
    assert caught.value.code == "POINTER_BROKEN"
    assert object_store.keys(bucket) == ["out/current.json"]


def published(folder: Path, version: str, at: datetime, database_at: datetime | None = None) -> None:
    """A published folder as `reporting.publish` leaves it."""
    parquet = folder / ".versions" / version
    parquet.mkdir(parents=True)
    (folder / "marts.duckdb").unlink(missing_ok=True)
    with duckdb.connect(str(folder / "marts.duckdb")) as connection:
        connection.execute("CREATE TABLE published AS SELECT 'dim_date' AS table_name, $at AS published_at", {"at": at})
        connection.execute(f"COPY published TO '{parquet}/published.parquet' (FORMAT parquet)")
        connection.execute(f"COPY (SELECT '{version}' AS v) TO '{parquet}/dim_date.parquet' (FORMAT parquet)")
        connection.execute("UPDATE published SET published_at = $at", {"at": database_at or at})
    (folder / "parquet").unlink(missing_ok=True)
    (folder / "parquet").symlink_to(Path(".versions") / version)


def test_the_files_taken_are_of_one_version(tmp_path: Path) -> None:
    source, here = tmp_path / "published", tmp_path / "here"
    source.mkdir()
    here.mkdir()
    with pytest.raises(Rejected, match="nothing is published") as caught:
        take(source, here)
    assert caught.value.code == "NOT_PUBLISHED"
    published(source, "v1", AT)
    taken = take(source, here)
    assert sorted(taken) == ["dim_date.parquet", "marts.duckdb", "published.parquet"]
    first = taken["dim_date.parquet"].read_bytes()
    published(source, "v2", AT.replace(hour=13))
    assert taken["dim_date.parquet"].read_bytes() == first, "a later version does not reach what was taken"
    (tmp_path / "mixed").mkdir()
    published(source, "v3", AT, database_at=AT.replace(hour=14))
    with pytest.raises(Rejected, match="parts of two versions"):
        take(source, tmp_path / "mixed")


def test_the_step_says_what_it_did(
    object_store: ObjectStore, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from caravan.assembly import reporting
    from caravan.assembly.connections import using
    from caravan.config.types import Configuration, Project

    class Given:
        def get(self, conn_id: str) -> Any:
            return object_store.connection(conn_id)

    project = Project(published=f"s3://{bucket}/out")
    monkeypatch.setattr(
        reporting, "load", lambda folder: Configuration(project=project, markets={}, channels={}, hash="")
    )
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path))
    published(tmp_path / "published", "v1", AT)
    with using(Given()):
        assert reporting.upload() == f"s3://{bucket}/out has the new version"
        published(tmp_path / "published", "v1b", AT.replace(hour=13))
        (tmp_path / "published/.versions/v1b/dim_date.parquet").unlink()
        (tmp_path / "published/.versions/v1/dim_date.parquet").rename(
            tmp_path / "published/.versions/v1b/dim_date.parquet"
        )
        assert reporting.upload() == f"s3://{bucket}/out is up to date", "only the time of publishing differs"
        pointer = json.loads(object_store.client.get_object(Bucket=bucket, Key="out/current.json")["Body"].read())
    assert sorted(pointer["files"]) == ["dim_date.parquet", "marts.duckdb", "published.parquet"]
    assert pointer["checked_at"] > pointer["published_at"]
    assert list((tmp_path / "staging").iterdir()) == []
    project = Project()
    assert "no other place" in reporting.upload()


@pytest.mark.parametrize(("code", "kind"), [("AccessDenied", Misconfigured), ("InternalError", Retryable)])
def test_what_the_store_does_not_delete_is_told(
    target: Bucket, object_store: ObjectStore, tmp_path: Path, code: str, kind: type[Exception]
) -> None:
    def refuse(answer: Answer) -> None:
        if "delete" in answer.query:
            answer.body = f"<DeleteResult><Error><Key>k</Key><Code>{code}</Code></Error></DeleteResult>".encode()
            answer.headers["content-length"] = str(len(answer.body))

    for version in ("one", "two"):
        put(target, tmp_path, version)
    object_store.faults.append(refuse)
    with pytest.raises(kind, match="versions/one"):
        put(target, tmp_path, "three")
    assert read(target)[0] == "three"
