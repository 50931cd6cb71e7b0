"""Pages that are rendered when somebody asks for them, beside the report that is written by its DAG."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from caravan.reporting import formats, templates
from caravan.reporting.runs import Run

MESSAGES_SHOWN = 40
_MARKS = {"success": "good", "failed": "bad"}


@dataclass(frozen=True)
class Page:
    status: int
    """Of HTTP."""
    html: str


def run_page(run: Run) -> Page:
    """One run's evidence."""
    return _page(200, "run.html.j2", **run_values(run))


def run_values(run: Run) -> dict[str, Any]:
    """What the template of a run's evidence is filled with."""
    messages = (run.message or "").splitlines()
    return {
        "run": run,
        "mark_kind": _MARKS.get(run.state, ""),
        "window": _window(run.window_start, run.window_end),
        "duration": None if run.ended_at is None else formats.duration(run.ended_at - run.started_at),
        "messages": [(_kind(line, run.state), line) for line in messages[:MESSAGES_SHOWN]],
        "more_count": max(0, len(messages) - MESSAGES_SHOWN),
        "span": formats.days,
    }


def no_run(dag_id: str, run_id: str) -> Page:
    return _page(404, "no_run.html.j2", dag_id=dag_id, run_id=run_id)


def no_report() -> Page:
    return _page(404, "no_report.html.j2")


def no_page(path: str) -> Page:
    """`path`: what was asked for, below the report's folder; links are relative, wherever that is served."""
    return _page(404, "no_page.html.j2", first_page="../" * path.count("/") or "./")


def no_warehouse() -> Page:
    return _page(503, "no_warehouse.html.j2")


def _page(status: int, template: str, **values: Any) -> Page:
    return Page(status, templates.environment().get_template(template).render(**values))


def _window(start: datetime | None, end: datetime | None) -> str | None:
    """Whole days as days, anything else to the minute."""
    if start is None or end is None:
        return None
    if start.time() == end.time() == time.min:
        return formats.days(start.date(), (end - timedelta(days=1)).date())
    return f"{formats.moment(start)} to {formats.moment(end)}"


def _kind(line: str, state: str) -> str:
    """Lines of a run's message are faults, unless they say that they only warn."""
    if line.startswith("warning: "):
        return "warn"
    return _MARKS.get(state, "")
