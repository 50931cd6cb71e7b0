"""Places in object stores, as configuration writes them: `s3://bucket/prefix`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

S3_DEFAULT = "s3_default"
"""The connection of a place that names none."""
CONN_ID = r"^[a-z][a-z0-9_]{0,199}$"

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):/+")
_BUCKET = re.compile(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
_FORM = "write s3://bucket/prefix"


@dataclass(frozen=True)
class S3Place:
    """`prefix`: without slashes at its ends; empty for the bucket's root."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def key(self, *names: str) -> str:
        return "/".join(part for part in (self.prefix, *names) if part)

    def path(self, store: str) -> Path:
        """The place as a path that no file of this machine has. `store`: whose bucket it is."""
        return Path("s3:", store.replace("/", "|"), self.bucket, self.prefix)


def is_url(text: str) -> bool:
    return bool(_SCHEME.match(text))


def s3_place(text: str) -> S3Place:
    """Raises ValueError, in words for the person who wrote it."""
    if not text.startswith("s3://"):
        raise ValueError(f"'{_without_login(text)}' is no place that Caravan reads; {_FORM}, or the path of a folder")
    bucket, _, prefix = text.removeprefix("s3://").partition("/")
    if "@" in bucket:
        raise ValueError(f"keys have no place in a URL; {_FORM} and put them into the connection")
    if not _BUCKET.match(bucket) or ".." in bucket:
        raise ValueError(f"'{bucket}' is no name of a bucket (3 to 63 of a-z, 0-9, dot and dash); {_FORM}")
    prefix = prefix.removesuffix("/")
    if prefix and any(part in ("", ".", "..") for part in prefix.split("/")):
        raise ValueError(
            f"'{prefix}' has an empty part, `.` or `..`; in a bucket they are taken as they stand; {_FORM}"
        )
    if wrong := sorted(set(prefix) & set("*?[]\\#")):
        raise ValueError(f"'{prefix}' has {' '.join(wrong)}; patterns belong into `files`; {_FORM}")
    return S3Place(bucket, prefix)


def place_problem(text: str) -> str | None:
    """Why the text names no place in a bucket; None if it does."""
    try:
        s3_place(text)
    except ValueError as error:
        return str(error)
    return None


def _without_login(url: str) -> str:
    return re.sub(r"//[^/]*@", "//", url)
