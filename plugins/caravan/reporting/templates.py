"""The templates of include/templates/report, and how values become text in them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from caravan import TEMPLATES_DIR, __version__
from caravan.reporting import formats

FOLDER = TEMPLATES_DIR / "report"


def filter_script() -> str:
    """The one script that pages have: it hides issues that nobody asked for."""
    return (FOLDER / "filter.js").read_text(encoding="utf-8")


def filter_source() -> str:
    """That script, and no other, as a Content-Security-Policy names it."""
    digest = hashlib.sha256(filter_script().encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def environment() -> Environment:
    """Everything is escaped; a name that is not given is an error; None prints as "unknown"."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    plain: dict[str, Callable[..., str]] = {
        "money": formats.money, "whole_money": formats.whole_money, "count": formats.count, "share": formats.share,
        "day": formats.day, "weekday": formats.weekday, "moment": formats.moment,
        "position": formats.position,
    }  # fmt: skip
    made.filters |= {name: marking_unknown(function) for name, function in plain.items()}
    made.globals |= {
        "counted": formats.counted,
        "style": Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        "caravan_version": __version__,
        "filter_script": Markup(filter_script()),
        "filter_source": Markup(filter_source()),
    }
    return made


def marking_unknown(function: Callable[..., str]) -> Callable[..., str]:
    def filtered(*arguments: Any) -> str:
        text = function(*arguments)
        return Markup('<span class="unknown">unknown</span>') if text == formats.UNKNOWN else text

    return filtered
