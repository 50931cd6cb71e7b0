"""Objects of a bucket: listed page by page, downloaded whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from caravan.clients.aws import BROKEN
from caravan.clients.storage.s3 import typed_errors
from caravan.core.connections import Connection
from caravan.core.errors import Retryable

RESUMPTIONS = 10
"""Times that one download is taken up again after its connection broke."""
CHUNK_BYTES = 1024 * 1024
_MD5 = re.compile(r'^"([0-9a-f]{32})"$')


@dataclass(frozen=True)
class StoredObject:
    """One object as it was listed. `modified`: UTC, with zone."""

    bucket: str
    key: str
    etag: str
    size: int
    modified: datetime
    storage_class: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def identity(self) -> str:
        """Another content has another one."""
        return "\n".join([self.key, self.etag, str(self.size), self.modified.isoformat()])

    @property
    def modified_ns(self) -> int:
        """Nanoseconds since 1970."""
        return (self.modified - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@dataclass(frozen=True)
class Page:
    """`folders`: common prefixes with their slash. `at`: the store's clock, ours where it tells none."""

    objects: Sequence[StoredObject]
    folders: Sequence[str]
    at: datetime


def list_pages(client: Any, connection: Connection, bucket: str, prefix: str) -> Iterator[Page]:
    """What lies directly below a prefix (empty, or with its slash). Raises as `typed_errors` says, also for an
    answer that is no listing: a page that is missing would look like files that were never delivered."""
    what = f"the list of s3://{bucket}/{prefix}"
    token: str | None = None
    while True:
        more = {"ContinuationToken": token} if token else {}
        with typed_errors(connection, what):
            answer = client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/", **more)
        next_token = answer.get("NextContinuationToken")
        if "IsTruncated" not in answer or (answer["IsTruncated"] and next_token in (None, token)):
            raise Retryable(f"{what} breaks off; is {connection.conn_id} a connection to S3?")
        yield _page(answer, bucket, what)
        if not answer["IsTruncated"]:
            return
        token = next_token


def download(
    client: Any, connection: Connection, stored: StoredObject, target: Path, pause: Callable[[float], None]
) -> str:
    """Write the object's bytes to `target`; their SHA-256, hex.

    A broken connection is taken up where it broke, on the same content only (If-Match). Raises Rejected
    FILE_CHANGED when the object is another one by now, Retryable when the bytes do not arrive, or arrive damaged,
    or the disk is full; else as `typed_errors` says.
    """
    try:
        _fill(client, connection, stored, target, pause)
        content_hash, md5 = _digests(target)
        known = _MD5.match(stored.etag)
        if known and known[1] != md5:
            # Damaged; or the ETag is no MD5, as in a store that encrypts. A second download tells the two apart.
            _fill(client, connection, stored, target, pause)
            if _digests(target)[0] != content_hash:
                raise Retryable(f"{stored} arrives damaged: its bytes differ from one download to the next")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise Retryable(f"no room left for {stored} below {target.parent}: free some disk, then run again") from error
    return content_hash


def _fill(
    client: Any, connection: Connection, stored: StoredObject, target: Path, pause: Callable[[float], None]
) -> None:
    with target.open("wb") as file:
        for attempt in range(RESUMPTIONS + 1):
            if attempt:
                pause(min(2.0 ** (attempt - 1), 30.0))
            done = file.tell()
            ranged = {"Range": f"bytes={done}-"} if done else {}
            with typed_errors(connection, str(stored)):
                answer = client.get_object(Bucket=stored.bucket, Key=stored.key, IfMatch=stored.etag, **ranged)
            if done and not str(answer.get("ContentRange", "")).startswith(f"bytes {done}-"):
                file.seek(0)  # the store began anew instead of going on
                file.truncate()
            with typed_errors(connection, str(stored)), contextlib.suppress(*BROKEN):
                for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                    file.write(chunk)
            if file.tell() >= stored.size:
                break
        if file.tell() != stored.size:
            raise Retryable(
                f"{stored} has {stored.size} bytes in the listing; {file.tell()} arrived, then it broke off"
            )


def _digests(path: Path) -> tuple[str, str]:
    """SHA-256 and MD5 of a file, hex."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            sha256.update(chunk)
            md5.update(chunk)
    return sha256.hexdigest(), md5.hexdigest()


def _page(answer: Any, bucket: str, what: str) -> Page:
    try:
        objects = [
            StoredObject(
                bucket, each["Key"], each["ETag"], each["Size"], each["LastModified"], each.get("StorageClass", "")
            )
            for each in answer.get("Contents", ())
        ]
        folders = [each["Prefix"] for each in answer.get("CommonPrefixes", ())]
    except KeyError as error:
        raise Retryable(f"{what} lacks {error} of an object; does the store speak S3?") from None
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    try:
        at = parsedate_to_datetime(date) if date else datetime.now(UTC)
    except ValueError:
        at = datetime.now(UTC)
    return Page(objects, folders, at)
