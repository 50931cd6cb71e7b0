"""What a site's file may say under `search_console`: whose search data are collected, and how late they come."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from caravan.config.document import Document, files_in, read
from caravan.config.frozen import Frozen
from caravan.config.places import CONN_ID
from caravan.config.validation import validate
from caravan.core.errors import Fault, in_order

FOLDER = "sites"
KEY = "search_console"
_DOMAIN = re.compile(r"sc-domain:[a-z0-9-]+(\.[a-z0-9-]+)+")


def _property(text: str) -> str:
    """As Search Console writes it; ValueError for anything else."""
    if _DOMAIN.fullmatch(text):
        return text
    parts = urlsplit(text)
    if parts.scheme in ("http", "https") and parts.hostname and parts.path.endswith("/") and not parts.query:
        return text
    raise ValueError(
        f"'{text}' is no property of Search Console: sc-domain:example.com, or https://example.com/ with its slash"
    )


class SearchConsoleSource(Frozen):
    """A property of Google Search Console."""

    property_url: Annotated[str, AfterValidator(_property)]
    connection: Annotated[str, Field(pattern=CONN_ID)]
    data_state: Literal["final", "all"] = "final"
    """all: days that Google is still counting as well; their rows are marked `is_final: false`."""
    settle_days: Annotated[int, Field(ge=0, le=30)] = 3
    """How long after its end a day may have no numbers yet: Google publishes them after 2 to 3 days."""
    restate_days: Annotated[int, Field(ge=0, le=30)] = 4
    """So many days more is a day asked for again each night: published numbers still change for 3 to 4 days."""
    enabled: bool = True


class _SearchPart(Frozen):
    """What is read here of a site's file."""

    enabled: bool = True
    search_console: SearchConsoleSource


@dataclass(frozen=True)
class SearchSites:
    """Sources by site, of those that are switched on and free of faults, and every fault of the others."""

    sources: dict[str, SearchConsoleSource]
    faults: tuple[Fault, ...]


def load_search_sites(config_dir: Path) -> SearchSites:
    """Of every file in `sites` that has the key; of its other keys only `enabled` is looked at. No folder: none."""
    sources: dict[str, SearchConsoleSource] = {}
    faults: list[Fault] = []
    for path in files_in(config_dir / FOLDER):
        document, found = read(path, f"{FOLDER}/{path.name}")
        if document is not None and KEY in document.data:
            part, more = _read_part(document)
            found += more
            if part is not None and not found and part.enabled and part.search_console.enabled:
                sources[path.stem] = part.search_console
        faults += [Fault(each.where, each.message, path.stem) for each in found]
    return SearchSites(sources, tuple(in_order(faults)))


def _read_part(document: Document) -> tuple[_SearchPart | None, list[Fault]]:
    data: dict[str, Any] = {name: document.data[name] for name in _SearchPart.model_fields if name in document.data}
    return validate(document, _SearchPart, data)
