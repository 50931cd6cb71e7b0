"""What is known of each page, kept beside it as `release.json`: lists are made of these and of nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

FILE = "release.json"
PAGE = "index.html"
X_DEFAULT = "x-default"
_TAG_YEAR = "2026"
"""RFC 4151 wants a date on which the name was ours. One for all: an entry's id must not move with its dates."""

_TEXTS = (
    "release_id",
    "kind",
    "market_code",
    "locale",
    "entry_id",
    "url",
    "title",
    "summary",
    "content_hash",
    "page_hash",
)


@dataclass(frozen=True)
class Entry:
    """One release in one language as it is published; a withdrawn one keeps neither title nor text.

    `entry_id`: of the feeds. `page_hash`: SHA-256 of `index.html`. `images`: names of the files beside the page.
    `image_url`: of the first one. Times: UTC without zone.
    """

    release_id: str
    revision: int
    kind: str
    market_code: str
    locale: str
    entry_id: str
    url: str
    title: str
    summary: str
    published_at: datetime
    updated_at: datetime
    content_hash: str
    page_hash: str
    direction: Literal["ltr", "rtl"] = "ltr"
    alternates: Mapping[str, str] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    image_url: str | None = None
    tags: tuple[str, ...] = ()
    author: str = ""
    is_withdrawn: bool = False

    @property
    def folder(self) -> str:
        return folder_of(self.locale, self.release_id)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        times = {"published_at": self.published_at.isoformat(), "updated_at": self.updated_at.isoformat()}
        return {**asdict(self), **times, "images": list(self.images), "tags": list(self.tags)}

    def to_bytes(self) -> bytes:
        return (json.dumps(self.to_dict(), ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def read_entry(content: bytes) -> Entry:
    """Raises ValueError for what is no entry."""
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("is no object")
    return entry_of(found)


def entry_of(found: Mapping[str, Any]) -> Entry:
    """From JSON; names that are not known are left out, so that an older version reads a newer one's files."""
    known = {name: found[name] for name in (each.name for each in fields(Entry)) if name in found}
    try:
        for name in _TEXTS:
            known[name].encode()  # also refuses half a character, which no file can hold
        known |= {name: datetime.fromisoformat(known[name]) for name in ("published_at", "updated_at")}
        known |= {name: tuple(known.get(name, ())) for name in ("images", "tags")}
        entry = Entry(**known)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"is no entry: {error}") from None
    if type(entry.revision) is not int or not isinstance(entry.alternates, dict):
        raise ValueError("is no entry: its revision is no number, or its alternates no object")
    return entry


def folder_of(locale: str, release_id: str) -> str:
    return f"{locale}/{release_id}"


def page_url(base_url: str, locale: str, release_id: str) -> str:
    """Where the site has a release in a language; for `Content.url` and `Content.alternates`."""
    return f"{base_url.rstrip('/')}/{folder_of(locale, release_id)}/"


def tag_uri(base_url: str, name: str) -> str:
    """RFC 4151; an id that is no address, and stays when addresses change."""
    return f"tag:{urlsplit(base_url).hostname},{_TAG_YEAR}:{name}"
