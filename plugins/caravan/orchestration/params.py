"""The trigger form of a window DAG, and the scope that a run's form or interval asks for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from airflow.sdk import Param

from caravan.core.errors import Fault, Misconfigured
from caravan.core.scope import RunScope
from caravan.core.window import Window, to_utc_naive

_MOMENT = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?$"


def window_params() -> dict[str, Param]:
    """`window_start`, `window_end`, `channels`, `dry_run`. Titles are short: a phone breaks longer ones."""
    moment: dict[str, Any] = {"type": ["null", "string"], "pattern": _MOMENT}
    return {
        "window_start": Param(
            None, "A date (midnight UTC) or a date-time. Empty: the run's own interval.", title="From", **moment
        ),
        "window_end": Param(None, "Exclusive: 2011-01-01 is the end of 2010.", title="To", **moment),
        "channels": Param(
            [],
            "Channel codes, one a line. Empty: all. The first task refuses unknown ones.",
            title="Channels",
            type="array",
            items={"type": "string"},
        ),
        "dry_run": Param(False, "Say what would be done and change nothing.", title="Dry run", type="boolean"),
    }


def scope_from_context(context: Mapping[str, Any]) -> RunScope:
    """What this run is asked to do: the form's window when given, else the run's data interval.

    Never `logical_date` or `ds`: manual, asset and partition runs may have none. Raises Misconfigured.
    """
    params, run = context["params"], context["dag_run"]
    return RunScope(
        run_id=run.run_id,
        dag_id=run.dag_id,
        window=_window(params, context),
        channels=tuple(dict.fromkeys(params.get("channels") or ())),
        dry_run=bool(params.get("dry_run")),
    )


def _window(params: Mapping[str, Any], context: Mapping[str, Any]) -> Window:
    start, end = params.get("window_start"), params.get("window_end")
    if bool(start) != bool(end):
        missing = "window_end" if start else "window_start"
        raise Misconfigured([Fault(missing, "missing; give both window_start and window_end, or neither")])
    if start and end:
        first, last = _moment("window_start", start), _moment("window_end", end)
    else:
        interval = context.get("data_interval_start"), context.get("data_interval_end")
        if interval[0] is None or interval[1] is None:
            raise Misconfigured(
                [Fault("window_start", "this run has no data interval; trigger it with window_start and window_end")]
            )
        first, last = to_utc_naive(interval[0]), to_utc_naive(interval[1])
    if last <= first:
        raise Misconfigured([Fault("window_end", f"{last} is not after window_start {first}; the end is exclusive")])
    return Window(first, last)


def _moment(name: str, text: str) -> datetime:
    try:
        return to_utc_naive(datetime.fromisoformat(text))
    except ValueError:
        example = f"{date(2010, 12, 1)} or 2010-12-01T00:00:00Z"
        raise Misconfigured([Fault(name, f"'{text}' is neither a date nor a date-time like {example}")]) from None
