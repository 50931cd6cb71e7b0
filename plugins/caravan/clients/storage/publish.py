"""Published files in a bucket: a reader that follows the pointer never sees a mix of two versions.

    current.json                     which version is whole: put last, by one request
    versions/<version>/<file>        never written again; the version before the current one is kept

`current.json`: {"version", "previous", "content", "published_at", "checked_at", "files": {name: {"size", "sha256"}}}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from caravan.clients.storage.objects import list_pages
from caravan.clients.storage.s3 import typed_errors
from caravan.config.places import S3Place
from caravan.core.connections import Connection
from caravan.core.errors import Rejected, Retryable

POINTER = "current.json"
VERSIONS = "versions"
PART_BYTES = 16 * 1024**2
"""From this size on a file travels in parts, each repeated by itself when it fails."""
_TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4)
_DELETED_AT_ONCE = 1000


@dataclass(frozen=True)
class StoredFile:
    size: int
    sha256: str


@dataclass(frozen=True)
class Bucket:
    """Where the files go. Only one process at a time may put into one place."""

    client: Any
    connection: Connection
    place: S3Place

    def put(self, files: Mapping[str, Path], decisive: Sequence[str], version: str, at: datetime) -> bool:
        """Make `files` (name to local file) the current version; False when nothing has changed.

        `decisive`: the names by whose content it is judged whether anything changed. `at`: UTC without zone.
        Raises as `typed_errors` says, and Rejected POINTER_BROKEN. Whenever it stops, the pointer names a whole
        version; what it leaves is removed by the next call.
        """
        stored = {name: StoredFile(path.stat().st_size, _sha256(path)) for name, path in sorted(files.items())}
        content = hashlib.sha256("\n".join(f"{name} {stored[name].sha256}" for name in decisive).encode()).hexdigest()
        pointer = self.pointer()
        if pointer and pointer["content"] == content and self._is_whole(pointer["version"], pointer["files"]):
            self._point({**pointer, "checked_at": at.isoformat()})
            self._clean(pointer)
            return False
        for name in stored:
            self._upload(files[name], version, name)
        told = {name: asdict(file) for name, file in stored.items()}
        if not self._is_whole(version, told):
            raise Retryable(f"{self._where(VERSIONS, version)} does not hold what was put there; nothing was published")
        new = {"version": version, "previous": pointer["version"] if pointer else None, "content": content}
        new |= {"published_at": at.isoformat(), "checked_at": at.isoformat(), "files": told}
        self._point(new)
        self._clean(new)
        return True

    def pointer(self) -> dict[str, Any] | None:
        """What current.json says; None while nothing has been published."""
        with typed_errors(self.connection, self._where(POINTER)):
            try:
                answer = self.client.get_object(Bucket=self.place.bucket, Key=self.place.key(POINTER))
            except self.client.exceptions.NoSuchKey:
                return None
            text = answer["Body"].read()
        try:
            found = json.loads(text)
            if not isinstance(found["version"], str) or not isinstance(found["files"], dict):
                raise TypeError
            return {"previous": None, "content": None, **found}
        except (ValueError, KeyError, TypeError):
            told = f"{self._where(POINTER)} is none of ours; move it away, or publish to another prefix"
            raise Rejected("POINTER_BROKEN", told) from None

    def _upload(self, path: Path, version: str, name: str) -> None:
        with typed_errors(self.connection, self._where(VERSIONS, version, name)), path.open("rb") as file:
            self.client.upload_fileobj(
                file, self.place.bucket, self.place.key(VERSIONS, version, name), Config=_TRANSFER
            )

    def _is_whole(self, version: str, files: Mapping[str, Mapping[str, Any]]) -> bool:
        prefix = self.place.key(VERSIONS, version) + "/"
        there = {
            stored.key.removeprefix(prefix): stored.size
            for page in list_pages(self.client, self.connection, self.place.bucket, prefix)
            for stored in page.objects
        }
        return there == {name: file["size"] for name, file in files.items()}

    def _point(self, pointer: Mapping[str, Any]) -> None:
        with typed_errors(self.connection, self._where(POINTER)):
            self.client.put_object(
                Bucket=self.place.bucket,
                Key=self.place.key(POINTER),
                Body=json.dumps(pointer, indent=1).encode(),
                ContentType="application/json",
                CacheControl="no-cache",
            )

    def _clean(self, pointer: Mapping[str, Any]) -> None:
        """Versions that the pointer does not name, and parts of files that a killed process began."""
        root = self.place.key(VERSIONS) + "/"
        kept = {f"{root}{pointer[name]}/" for name in ("version", "previous")}
        folders = [
            f for page in list_pages(self.client, self.connection, self.place.bucket, root) for f in page.folders
        ]
        for folder in sorted(set(folders) - kept):
            pages = list_pages(self.client, self.connection, self.place.bucket, folder)
            keys = [{"Key": stored.key} for page in pages for stored in page.objects]
            with typed_errors(self.connection, f"s3://{self.place.bucket}/{folder}"):
                for first in range(0, len(keys), _DELETED_AT_ONCE):
                    some = {"Objects": keys[first : first + _DELETED_AT_ONCE], "Quiet": True}
                    answer = self.client.delete_objects(Bucket=self.place.bucket, Delete=some)
                    if refused := answer.get("Errors"):
                        # Told inside an answer that is well; they would pile up, and nobody would know.
                        raise ClientError({"Error": refused[0]}, "DeleteObjects")
        with typed_errors(self.connection, self._where(VERSIONS)):
            begun = self.client.list_multipart_uploads(Bucket=self.place.bucket, Prefix=root).get("Uploads", ())
            for upload in begun:
                self.client.abort_multipart_upload(
                    Bucket=self.place.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )

    def _where(self, *names: str) -> str:
        return f"s3://{self.place.bucket}/{self.place.key(*names)}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
