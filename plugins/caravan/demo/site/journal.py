"""A further site of the demo, `include/demo/journal`: written by somebody who had read none of the checks.

`planted.yml` says in plain words what is wrong with which page, `night2/planted.yml` what became of it; `judged.yml`
which check finds it, or why none does.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from caravan import INCLUDE_DIR
from caravan.demo.site.answers import STATIC, Reply, missing, packed, picture, tagged
from caravan.demo.site.pages import HTML, SECURITY

FOLDER = INCLUDE_DIR / "demo" / "journal"
_HEAVY = "/journal/assets/img/ash-glaze-original.png"
_HEAVY_BYTES = 3_900_000
"""Of an image that is not kept as a file."""


@dataclass
class Journal:
    """As a night has it."""

    night: int
    _redirects: Mapping[str, Mapping[str, Any]] = field(init=False)
    _headers: Mapping[str, Mapping[str, Any]] = field(init=False)
    _gone: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        folder = FOLDER / "night2" if self.night == 2 else FOLDER
        self._redirects = _read(folder / "redirects.yml")
        self._headers = _read(FOLDER / "headers.yml")
        removed = (FOLDER / "night2" / "removed.txt").read_text().split() if self.night == 2 else []
        self._gone = frozenset(removed)

    def __call__(self, path: str, origin: str) -> Reply:
        bare = unquote(path.partition("?")[0])
        if bare in self._redirects:
            redirect = self._redirects[bare]
            return Reply(redirect["status"], {"location": redirect["location"]})
        told = self._headers.get(bare, {})
        more = {name.lower(): value for name, value in told.get("headers", {}).items()}
        if told.get("status", 200) != 200:
            return Reply(told["status"], more, b"<!doctype html><title>Error</title>")
        if bare == _HEAVY:
            return Reply(200, {"content-type": "image/png", **STATIC}, picture(_HEAVY_BYTES))
        file = self._file(bare.lstrip("/"))
        if file is None:
            return missing()
        body = file.read_bytes()
        if file.suffix in (".png", ".css"):
            kind = mimetypes.types_map[file.suffix]
            return (
                packed(Reply(200, {"content-type": kind, **STATIC}, body))
                if file.suffix == ".css"
                else Reply(200, {"content-type": kind, **STATIC}, body)
            )
        body = body.replace(b"http://{host}", origin.encode())
        kind = {".html": HTML, ".xml": "application/xml; charset=utf-8"}.get(file.suffix, "text/plain; charset=utf-8")
        return packed(tagged(Reply(200, {"content-type": kind, "cache-control": "no-cache", **SECURITY, **more}, body)))

    def _file(self, path: str) -> Path | None:
        """The night's own, else that of the first."""
        name = f"{path}index.html" if path.endswith("/") or not path else path
        if name in self._gone or ".." in name:
            return None
        for folder in ("night2/pages", "pages") if self.night == 2 else ("pages",):
            if (FOLDER / folder / name).is_file():
                return FOLDER / folder / name
        return None


def judged() -> Mapping[str, Any]:
    """`found` and `second_night`: defect (kind and page) to addresses by check. `unmeant`: addresses by check.
    `beyond`: defect to what no check looks for."""
    told: Mapping[str, Any] = _read(FOLDER / "judged.yml")
    return told


def planted(night: int = 1) -> list[Mapping[str, Any]]:
    """As their author wrote them down; of the second night what has changed."""
    return list(_read((FOLDER / "night2" if night == 2 else FOLDER) / "planted.yml"))


def name_of(defect: Mapping[str, Any]) -> str:
    """As `judged` has it."""
    return f"{defect['kind']} {defect['page']}"


def found_by_checks() -> set[tuple[str, str]]:
    """What the first night ought to have: check and address."""
    told = judged()
    return found_of(told["found"]) | found_of({"": told["unmeant"]})


def found_of(defects: Mapping[str, Mapping[str, list[str]]]) -> set[tuple[str, str]]:
    """Check and address."""
    return {(check, url) for by_check in defects.values() for check, urls in by_check.items() for url in urls}


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
