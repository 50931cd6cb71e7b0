"""A release as its readers will see it, in files that show themselves: no file asks for another, or for the network."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from caravan import TEMPLATES_DIR
from caravan.config.outlets import OutletAccount
from caravan.core.errors import Fault, Rejected
from caravan.core.release import Content, Shown
from caravan.functions.release.content import Revision
from caravan.functions.release.locales import Edition, editions, passed_over, untranslated_share
from caravan.functions.release.markup import refusals

Show = Callable[[OutletAccount, Content], Shown]
"""What readers of an outlet will see. Raises Rejected for what it can make nothing of."""


_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


@dataclass(frozen=True)
class Sheet:
    """One file of the preview. `path`: below the folder, with `/`. `shown`: with its images inside."""

    path: str
    outlet: OutletAccount
    content: Content
    shown: Shown


@dataclass(frozen=True)
class Row:
    """A line of the index: what a market reads in one language, and when."""

    edition: Edition
    due_at: datetime


def preview(revision: Revision, faults: Sequence[Fault], pictures: Mapping[str, bytes], show: Show) -> dict[str, str]:
    """HTML by path: an index, and a file for each language and outlet. `faults`: shown on top of the index.
    `pictures`: by the name under which they are published.

    A text with what no outlet may get has no files, nor one of which its outlet can make nothing; the index says why.
    """
    release, known = revision.release, revision.known
    found = editions(release, known.markets)
    sheets = _sheets(revision, pictures, show)
    files = {sheet.path: _render("sheet.html.j2", sheet=sheet, content=sheet.content) for sheet in sheets}
    rows = [Row(each, release.when.instant(known.markets[each.market_code].zone)) for each in found]
    files["index.html"] = _render(
        "index.html.j2",
        release=release,
        rows=rows,
        sheets=sheets,
        faults=faults,
        share=untranslated_share(found),
        notes=passed_over(release, known.markets),
        locale=release.source_locale,
    )
    return files


def _sheets(revision: Revision, pictures: Mapping[str, bytes], show: Show) -> list[Sheet]:
    """Markets that read one text in one outlet see the same: the first stands for all."""
    refused = [locale for locale, body in revision.release.bodies.items() if refusals(body)]
    found: dict[str, Sheet] = {}
    for outlet, content in revision.contents(without=refused):
        path = f"{content.locale}/{outlet.code}.html"
        if path not in found:
            with suppress(Rejected):
                found[path] = Sheet(path, outlet, content, _with_pictures(show(outlet, content), content, pictures))
    return [found[path] for path in sorted(found)]


def _with_pictures(shown: Shown, content: Content, pictures: Mapping[str, bytes]) -> Shown:
    """The images inside the HTML, wherever it looks for them. A page's own policy would keep them out; the preview's
    lets in nothing else."""
    if shown.html is None:
        return shown
    html = _POLICY.sub("", shown.html)
    for image in content.images:
        data = f"data:{image.media_type};base64,{base64.b64encode(pictures[image.name]).decode()}"
        html = re.sub(rf'(?<=\ssrc=")[^"]*{re.escape(image.name)}(?=")', data, html)  # base64 has no backslash
    return replace(shown, html=html)


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
