"""What a site's file may say under `announce`: whom its changed pages are told to, and where its sitemaps are put."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from caravan.config.document import Document, files_in, read
from caravan.config.frozen import Frozen
from caravan.config.outlets import CODE, FOLDER, WebPlace
from caravan.core.errors import Fault, nearest
from caravan.core.urls import BadUrl, resolve

_SITEMAP = re.compile(r"https?://[^?#]*/[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.xml")


_Place = tuple[str, str, str]
"""Folder, bucket, prefix."""


def _sitemap_address(text: str) -> str:
    try:
        url = resolve("", text)
    except BadUrl:
        url = ""
    if url != text or not _SITEMAP.fullmatch(url):
        raise ValueError(f"'{text}' is no address of a sitemap (like https://www.example.com/sitemap.xml)")
    return url


class SitemapFile(WebPlace):
    """One sitemap, and the place that the web server serves it from under `url`. It lists the pages below the folder of
    that: search engines believe it of no others (sitemaps.org, location)."""

    url: Annotated[str, AfterValidator(_sitemap_address)]

    @property
    def base_url(self) -> str:
        """With a slash at its end."""
        return self.url.rpartition("/")[0] + "/"

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


class Announcement(Frozen):
    """What follows a complete crawl. `outlet`: of kind indexnow; it is told which pages have changed."""

    outlet: Annotated[str, Field(pattern=CODE)] | None = None
    most_per_day: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Addresses that the outlet is told of the site in a UTC day. Whatever is beyond is left to the sitemap."""
    sitemaps: tuple[SitemapFile, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Announcement:
        if self.outlet is None and not self.sitemaps:
            raise ValueError("give `outlet`, `sitemaps` or both")
        if len(self.files(Path())) < len(self.sitemaps):
            raise ValueError("two of its `sitemaps` are one file")
        return self

    def files(self, home: Path) -> set[tuple[_Place, str]]:
        """`home`: what relative folders lie in."""
        return {(_place(home, each.folder, each.bucket, each.prefix), each.name) for each in self.sitemaps}


def outlet_faults(document: Document, config_dir: Path, home: Path) -> Iterator[Fault]:
    """Of what a site's file says of outlets, as far as their own files can be read."""
    if not document.mapping("announce"):
        return
    paths = {path.stem: path for path in files_in(config_dir / FOLDER)}
    read_ = {code: read(path, f"{FOLDER}/{path.name}")[0] for code, path in paths.items()}
    known = {code: each for code, each in read_.items() if each is not None}
    named = document.text("announce", "outlet")
    engines = {code for code, each in known.items() if each.text("kind") == "indexnow"}
    if named is not None and named not in engines and (named in known or named not in paths):
        message = f"there is no outlet '{named}' of kind indexnow{nearest(named, engines)}"
        yield document.fault(("announce", "outlet"), message)
    taken = {_place(home, *map(each.text, ("folder", "bucket", "prefix"))): code for code, each in known.items()}
    given = document.value("announce", "sitemaps")
    for index, _ in enumerate(given if isinstance(given, list) else ()):
        parts = (document.text("announce", "sitemaps", index, key) for key in ("folder", "bucket", "prefix"))
        place = _place(home, *parts)
        if any(place) and place in taken:
            message = f"the outlet {taken[place]} keeps its own sitemaps there; give it another folder or prefix"
            yield document.fault(("announce", "sitemaps", index), message)


def sharing(announcements: Mapping[str, Announcement], home: Path) -> Iterator[tuple[str, str]]:
    """Of sites, by code, those that would write a sitemap of one before them, each with the other's code."""
    taken: dict[tuple[_Place, str], str] = {}
    for site, each in sorted(announcements.items()):
        others = {taken.setdefault(file, site) for file in each.files(home)} - {site}
        yield from ((site, other) for other in sorted(others)[:1])


def _place(home: Path, folder: str | None, bucket: str | None, prefix: str | None) -> _Place:
    return (os.path.realpath(home / folder) if folder else "", bucket or "", (prefix or "").strip("/"))
