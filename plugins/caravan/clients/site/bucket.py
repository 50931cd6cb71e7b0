"""A site in an S3 bucket. Every put is conditional, so that two workers never write over each other unseen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from caravan.clients.site.store import Conflict, Stored, check_path, hash_of
from caravan.clients.storage.s3 import open_client, typed_errors
from caravan.config.places import S3Place
from caravan.core.connections import Connection
from caravan.core.errors import Retryable

_CACHE = {"text/html": "max-age=60", "image/": "max-age=31536000, immutable"}
"""By the begin of the content's type. An image's name holds its hash; all else keeps its name when it changes."""
_CACHE_OTHERS = "max-age=300"
_GONE = ("NoSuchKey", "404", "NotFound")
_CHANGED = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey")
"""The last one: what a put was to replace has been deleted."""


class BucketStore:
    """`prefix`: without slashes at its ends; empty for the bucket's root. A request is tried once.

    A version is an ETag. A store that ignores `If-Match` and `If-None-Match` keeps whoever came last.
    """

    def __init__(self, connection: Connection, bucket: str, prefix: str = "") -> None:
        self.connection = connection
        self.place = S3Place(bucket, prefix)
        self.name = str(self.place)
        self._client = open_client(_tried_once(connection))

    def put(self, path: str, content: bytes, content_type: str, seen: str | None) -> bool:
        if seen == _plain_etag(content):
            return False
        condition: Mapping[str, str] = {"IfMatch": seen} if seen else {"IfNoneMatch": "*"}
        with self._asking(path):
            answer = self._client.put_object(
                **self._key(path),
                **condition,
                Body=content,
                ContentType=content_type,
                CacheControl=next(
                    (how for begin, how in _CACHE.items() if content_type.startswith(begin)), _CACHE_OTHERS
                ),
                Metadata={"sha256": hash_of(content)},
            )
        if not answer.get("ETag"):
            raise Retryable(
                f"{self.name}/{path}: the answer to the put names no ETag; nobody knows whether it is there"
            )
        return True

    def get(self, path: str) -> bytes | None:
        with self._asking(path):
            try:
                content: bytes = self._client.get_object(**self._key(path))["Body"].read()
            except ClientError as error:
                if _code(error) in _GONE:
                    return None
                raise
        return content

    def head(self, path: str) -> Stored | None:
        with self._asking(path):
            try:
                answer = self._client.head_object(**self._key(path))
            except ClientError as error:
                if _code(error) in _GONE:
                    return None
                raise
        sha256 = answer.get("Metadata", {}).get("sha256")
        if not sha256:  # put by somebody else
            content = self.get(path)
            sha256 = None if content is None else hash_of(content)
        return Stored(_etag(answer), sha256) if sha256 else None

    def delete(self, path: str) -> None:
        with self._asking(path):
            self._client.delete_object(**self._key(path))

    def list(self, folder: str = "") -> dict[str, str]:
        start = self.place.key(check_path(folder) if folder else "", "")
        prefix = f"{start}/" if start else ""
        root = f"{self.place.prefix}/" if self.place.prefix else ""
        found = {}
        token: str | None = None
        while True:
            more = {"ContinuationToken": token} if token else {}
            with self._asking(folder):
                answer = self._client.list_objects_v2(Bucket=self.place.bucket, Prefix=prefix, **more)
            for stored in answer.get("Contents", ()):
                path = stored["Key"].removeprefix(root)
                if not any(part.startswith(".") or not part for part in path.split("/")):
                    found[path] = _etag(stored)
            next_token = answer.get("NextContinuationToken")
            if "IsTruncated" not in answer or (answer["IsTruncated"] and next_token in (None, token)):
                # A page of a listing that is missing would look like pages that were never published.
                raise Retryable(f"{self.name}/{folder}: the store's answer is no listing")
            if not answer["IsTruncated"]:
                return found
            token = next_token

    def _key(self, path: str) -> dict[str, str]:
        return {"Bucket": self.place.bucket, "Key": self.place.key(check_path(path))}

    @contextmanager
    def _asking(self, path: str) -> Iterator[None]:
        what = f"{self.name}/{path}"
        with typed_errors(self.connection, what):
            try:
                yield
            except ClientError as error:
                if _code(error) in _CHANGED:
                    raise Conflict(f"{what} was changed by another worker") from None
                raise


def _tried_once(connection: Connection) -> Connection:
    """With botocore's own tries a lost answer would be a second put, of which nobody was told."""
    given = connection.extra.get("config_kwargs", {})
    if not isinstance(given, dict):
        return connection  # open_client says what is wrong with it
    once = {**given, "retries": {"total_max_attempts": 1}}
    return replace(connection, extra={**connection.extra, "config_kwargs": once})


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _etag(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ETag", "")).strip('"')


def _plain_etag(content: bytes) -> str:
    """Of an object that was put in one request and is not encrypted with a key of its own (AWS: Object ETag)."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
