"""A release as its readers will see it, in files that show themselves: no file asks for another, or for the network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from caravan import TEMPLATES_DIR
from caravan.config.outlets import OutletAccount
from caravan.core.errors import Fault
from caravan.core.release import Content
from caravan.functions.release.content import Revision
from caravan.functions.release.locales import Edition, editions, untranslated_share
from caravan.functions.release.markup import refusals

PAGES = ("site", "wordpress")
"""Kinds of outlet that show a page; all others show words."""
_SILENT = ("websub", "indexnow")
"""Kinds that say where something is, not what."""


@dataclass(frozen=True)
class Sheet:
    """One file of the preview. `path`: below the folder, with `/`."""

    path: str
    outlet: OutletAccount
    content: Content

    @property
    def is_page(self) -> bool:
        return self.outlet.kind in PAGES


@dataclass(frozen=True)
class Row:
    """A line of the index: what a market reads in one language, and when."""

    edition: Edition
    due_at: datetime


def preview(revision: Revision, faults: Sequence[Fault], pictures: Mapping[str, bytes]) -> dict[str, str]:
    """HTML by path: an index, and a file for each language and outlet. `faults`: shown on top of the index.
    `pictures`: by the name under which they are published.

    A text with what no outlet may get has no files; the index says why.
    """
    release, known = revision.release, revision.known
    found = editions(release, known.markets)
    sheets = _sheets(revision)
    files = {sheet.path: _render(_template(sheet), sheet=sheet, **_shown(sheet.content, pictures)) for sheet in sheets}
    rows = [Row(each, release.when.instant(known.markets[each.market_code].zone)) for each in found]
    files["index.html"] = _render(
        "index.html.j2",
        release=release,
        rows=rows,
        sheets=sheets,
        faults=faults,
        share=untranslated_share(found),
        locale=release.source_locale,
    )
    return files


def _sheets(revision: Revision) -> list[Sheet]:
    """Markets that read one text in one outlet see the same: the first stands for all."""
    refused = [locale for locale, body in revision.release.bodies.items() if refusals(body)]
    found: dict[str, Sheet] = {}
    for outlet, content in revision.contents(without=refused):
        path = f"{content.locale}/{outlet.code}.html"
        if outlet.kind not in _SILENT:
            found.setdefault(path, Sheet(path, outlet, content))
    return [found[path] for path in sorted(found)]


def _template(sheet: Sheet) -> str:
    return "page.html.j2" if sheet.is_page else "message.html.j2"


def _shown(content: Content, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    """The body with its images inside: it was cleaned when it was made."""
    html = content.html
    for image in content.images:
        data = base64.b64encode(pictures[image.name]).decode()
        html = html.replace(f'src="{content.images_at}{image.name}"', f'src="data:{image.media_type};base64,{data}"')
    return {"content": content, "html": Markup(html)}


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    folder = TEMPLATES_DIR / "release"
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals["style"] = Markup((folder / "preview.css").read_text(encoding="utf-8"))
    return made
