"""Charts as inline SVG: no script, no font, no address. Colours are the page's own variables."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

from markupsafe import Markup

from caravan.reporting import formats

FULL, WIDE, NARROW = 1060, 540, 340
"""Widths in CSS pixels of a chart on a screen and on a phone; scaled down, text would be unreadable."""
_ROW_HEIGHT = 40
_TEXT, _SMALL = 13, 12
_AMOUNT, _DATE = 36, 48
"""Widths that an amount above a column and a date below one need."""
_Say = Callable[[Decimal], str]


@dataclass(frozen=True)
class Bar:
    """`value` None is unknown: named, without a bar."""

    label: str
    value: Decimal | None
    text: str


def bars(rows: Sequence[Bar], title: str, description: str) -> Markup:
    """Horizontal bars in the order given, drawn for a wide and for a narrow column."""
    with _unchecked():
        drawn = [(_bars(rows, width), css_class) for width, css_class in ((WIDE, "wide"), (NARROW, "narrow"))]
        return Markup("").join(_svg(chart, title, description, css_class) for chart, css_class in drawn)


@dataclass(frozen=True)
class Stack:
    """A bar of parts, each a colour and a value."""

    label: str
    parts: Sequence[tuple[str, Decimal]]
    text: str


def stacks(rows: Sequence[Stack], title: str, description: str) -> Markup:
    """Horizontal bars of parts, in the order given, drawn for a wide and for a narrow column."""
    with _unchecked():
        drawn = [(_stacks(rows, width), css_class) for width, css_class in ((WIDE, "wide"), (NARROW, "narrow"))]
        return Markup("").join(_svg(chart, title, description, css_class) for chart, css_class in drawn)


def columns(
    slices: Sequence[date],
    points: Mapping[date, Decimal | None],
    currency: str,
    title: str,
    description: str,
    is_alone: bool = False,
) -> Markup:
    """One series over time, a column for each slice; an absent or unknown one has no column.

    `is_alone`: drawn for the width of the page too.
    """
    limit = partial(formats.short_money, currency=currency)
    return _series(slices, points, (limit, formats.short), title, description, is_alone)


def shares(slices: Sequence[date], points: Mapping[date, Decimal], title: str, description: str) -> Markup:
    """One series of shares over time, drawn for the width of the page."""
    return _series(slices, points, (formats.share, _percent), title, description, is_alone=True)


def _percent(share: Decimal) -> str:
    """Above a column, where the sign is said elsewhere."""
    return formats.count(round(100 * share, 1))


def _series(
    slices: Sequence[date],
    points: Mapping[date, Decimal | None],
    says: tuple[_Say, _Say],
    title: str,
    description: str,
    is_alone: bool,
) -> Markup:
    sizes = ((FULL, "full"), (NARROW, "series narrow")) if is_alone else ((NARROW, "series"),)
    with _unchecked():
        drawn = [(_columns(slices, points, says, width), css_class) for width, css_class in sizes]
        return Markup("").join(_svg(chart, title, description, css_class) for chart, css_class in drawn)


def _altair() -> Any:
    import altair  # 1 CPU second: only when something is drawn

    return altair


def _unchecked() -> AbstractContextManager[None]:
    """Checking each part against the schema takes longer than drawing it: a test does so instead."""
    from altair.utils import schemapi

    return schemapi.debug_mode(False)


def _bars(rows: Sequence[Bar], width: int) -> Any:
    alt = _altair()
    known = [float(row.value) for row in rows if row.value is not None]
    values = [
        {"at": at, "label": row.label, "value": None if row.value is None else float(row.value), "text": row.text}
        for at, row in enumerate(rows)
    ]
    # Channels as objects throughout: made from plain values they take altair ten times as long.
    base = alt.Chart(alt.InlineData(values=values)).encode(y=alt.Y("at:O", axis=None))
    scale = alt.Scale(domain=[min([0.0, *known]), max([0.0, *known]) or 1.0], nice=False)
    track = (
        base.transform_filter("datum.value !== null")
        .mark_bar(size=6, yOffset=9, color="var(--track)")
        .encode(x=alt.XValue(0), x2=alt.X2Value(width))
    )
    bar = base.mark_bar(size=6, yOffset=9, color="var(--accent)").encode(x=alt.X("value:Q", axis=None, scale=scale))
    # The bar's own amount stands at the right edge: a column of figures that can be compared.
    words = partial(base.mark_text, yOffset=-6, fontSize=_TEXT, baseline="middle")
    label = words(align="left", color="var(--ink)", limit=width - 90).encode(x=alt.XValue(0), text=alt.Text("label:N"))
    amount = words(align="right", color="var(--ink)").encode(x=alt.XValue(width), text=alt.Text("text:N"))
    return alt.layer(track, bar, label, amount).properties(width=width, height=alt.Step(_ROW_HEIGHT))


def _stacks(rows: Sequence[Stack], width: int) -> Any:
    alt = _altair()
    parts = []
    for at, row in enumerate(rows):
        begin = 0.0
        for colour, value in row.parts:
            if value:
                parts.append({"at": at, "from": begin, "to": begin + float(value), "colour": colour})
            begin += float(value)
    words = [{"at": at, "label": row.label, "text": row.text} for at, row in enumerate(rows)]
    longest = max((float(sum(value for _, value in row.parts)) for row in rows), default=0.0)
    scale = alt.Scale(domain=[0.0, longest or 1.0], nice=False)
    y = alt.Y("at:O", axis=None)
    bar = (
        alt.Chart(alt.InlineData(values=parts))
        .mark_bar(size=6, yOffset=9)
        .encode(
            y=y, x=alt.X("from:Q", axis=None, scale=scale), x2=alt.X2("to:Q"), color=alt.Color("colour:N", scale=None)
        )
    )
    base = alt.Chart(alt.InlineData(values=words)).encode(y=y)
    track = base.mark_bar(size=6, yOffset=9, color="var(--track)").encode(x=alt.XValue(0), x2=alt.X2Value(width))
    said = partial(base.mark_text, yOffset=-6, fontSize=_TEXT, baseline="middle")
    label = said(align="left", color="var(--ink)").encode(x=alt.XValue(0), text=alt.Text("label:N"))
    amount = said(align="right", color="var(--ink-2)").encode(x=alt.XValue(width), text=alt.Text("text:N"))
    return alt.layer(track, bar, label, amount).properties(width=width, height=alt.Step(_ROW_HEIGHT))


def _columns(slices: Sequence[date], points: Mapping[date, Decimal | None], says: tuple[_Say, _Say], width: int) -> Any:
    """`says`: how the lines and how the columns tell their values."""
    alt = _altair()
    say_limit, say = says
    known = {day: float(value) for day, value in points.items() if value is not None}
    values: list[dict[str, Any]] = [{"day": day.isoformat(), "value": value} for day, value in sorted(known.items())]
    low, high = min([0.0, *known.values()]), max([0.0, *known.values()])
    # Above each column its amount where there is room; otherwise a line marks the highest and one the lowest.
    is_labelled = len(slices) * _AMOUNT <= width
    limits = [
        {"value": limit, "text": say_limit(Decimal(str(limit)))} for limit in (low, high) if limit and not is_labelled
    ]
    for each in values:
        each["text"] = say(Decimal(str(each["value"])))
    # Dates inside the range: the ones at the ends would be cut off.
    parts = len(slices) if len(slices) * _DATE <= width else width // _DATE // 2 + 1
    marked = sorted({slices[(2 * part + 1) * len(slices) // (2 * parts)] for part in range(parts)})
    is_long = (slices[-1] - slices[0]).days > 180
    dates = {day.isoformat(): formats.month(day) if is_long else formats.short_day(day) for day in marked}
    x = alt.X(
        "day:O",
        scale=alt.Scale(domain=[day.isoformat() for day in slices], paddingInner=0.25, paddingOuter=0.1),
        axis=alt.Axis(values=list(dates), labelExpr=f"({json.dumps(dates)})[datum.value]", title=None, labelAngle=0),
    )
    y = alt.Y("value:Q", axis=None, scale=alt.Scale(domain=[low, high if high > low else 1.0], nice=False))
    limit_lines = alt.Chart(alt.InlineData(values=limits)).encode(y=y)
    drawn = alt.Chart(alt.InlineData(values=values)).encode(x=x, y=y)
    amounts = drawn.mark_text(baseline="bottom", dy=-3, fontSize=_SMALL - 1, color="var(--ink-2)").encode(
        text=alt.Text("text:N")
    )
    return alt.layer(
        limit_lines.mark_rule(color="var(--line)"),
        drawn.mark_bar(color="var(--accent)"),
        *([amounts] if is_labelled else []),
        alt.Chart(alt.InlineData(values=[{"value": 0}])).mark_rule(color="var(--axis)").encode(y=y),
        # Above its line and inside the plot: at the left an axis would take a tenth of a phone's width.
        limit_lines.mark_text(align="left", baseline="bottom", dy=-3, fontSize=_SMALL, color="var(--ink-2)").encode(
            x=alt.XValue(0), text=alt.Text("text:N")
        ),
    ).properties(
        width=width,
        height=140,
        padding={"top": 0, "bottom": 4, "left": 0, "right": 0},
        autosize=alt.AutoSizeParams(type="fit", contains="padding"),
    )


_CONFIG: dict[str, Any] = {
    "aria": False,  # the figure as a whole is named; its table holds the numbers
    "background": "transparent",
    "padding": 0,
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "grid": False,
        "labelColor": "var(--ink-2)",
        "labelFontSize": _SMALL,
        "labelPadding": 6,
    },
}


def _svg(chart: Any, title: str, description: str, css_class: str) -> Markup:
    spec = {**chart.to_dict(validate=False), "config": _CONFIG}
    drawn = _draw(json.dumps(spec))
    head = re.match(r'<svg [^>]*viewBox="([^"]+)"[^>]*>', drawn)
    if head is None:
        raise ValueError(f"the chart '{title}' came back as something else than SVG: {drawn[:80]}")
    body = re.sub(r' font-family="[^"]*"', "", drawn[head.end() :])
    named = f"<title>{html.escape(title)}</title><desc>{html.escape(description)}</desc>"
    return Markup(f'<svg class="{css_class}" viewBox="{head[1]}" role="img">{named}{body}')


@lru_cache(maxsize=256)
def _draw(spec: str) -> str:
    """Where data are few, the longer ranges of days show the same chart."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))
