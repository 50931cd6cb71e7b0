"""From a run's form or interval to its scope; what Airflow does with our errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowTaskTimeout, ParamValidationError

from caravan.core.errors import Fault, Misconfigured, Rejected, Retryable
from caravan.core.scope import RunScope
from caravan.core.window import Window
from caravan.orchestration.errors import RetryByError
from caravan.orchestration.params import scope_from_context, window_params

DAY = {"data_interval_start": datetime(2026, 3, 9, tzinfo=UTC), "data_interval_end": datetime(2026, 3, 10, tzinfo=UTC)}


def window(start: str, end: str) -> Window:
    return Window(datetime.fromisoformat(start), datetime.fromisoformat(end))


def context(params: dict, interval: dict | None = None) -> dict:
    form = {name: param.value for name, param in window_params().items()}
    run = SimpleNamespace(run_id="manual__1", dag_id="sales_orders_daily")
    return {"params": {**form, **params}, "dag_run": run, **(interval or {})}


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2010-12-01", "2011-12-10", window("2010-12-01", "2011-12-10")),
        ("2026-03-01T06:30", "2026-03-01T07:30", window("2026-03-01T06:30", "2026-03-01T07:30")),
        ("2026-03-01T00:00:00Z", "2026-03-02", window("2026-03-01", "2026-03-02")),
        ("2026-03-01T00:00:00+01:00", "2026-03-02", window("2026-02-28T23:00", "2026-03-02")),
    ],
)
def test_the_form_decides_the_window(start, end, expected):
    scope = scope_from_context(context({"window_start": start, "window_end": end}, DAY))
    assert scope == RunScope("manual__1", "sales_orders_daily", expected)


@pytest.mark.parametrize(
    "interval",
    [
        DAY,
        {name: moment.astimezone(timezone(timedelta(hours=5))) for name, moment in DAY.items()},
        {**DAY, "logical_date": datetime(1999, 1, 1, tzinfo=UTC), "ds": "1999-01-01"},
    ],
)
def test_an_empty_form_means_the_interval_in_utc_and_never_the_logical_date(interval):
    assert scope_from_context(context({}, interval)).window == window("2026-03-09", "2026-03-10")


def test_channels_keep_their_order_once_each_and_dry_run_passes():
    scope = scope_from_context(context({"channels": ["b", "a", "b"], "dry_run": True}, DAY))
    assert (scope.channels, scope.dry_run) == (("b", "a"), True)


@pytest.mark.parametrize(
    ("params", "interval", "message"),
    [
        ({"window_start": "2026-03-01"}, DAY, "window_end: missing; give both"),
        ({"window_end": "2026-03-01"}, DAY, "window_start: missing; give both"),
        ({"window_start": "2026-03-02", "window_end": "2026-03-02"}, DAY, "is not after window_start"),
        ({"window_start": "2026-02-30", "window_end": "2026-03-02"}, DAY, "window_start: '2026-02-30' is neither"),
        ({}, {}, "has no data interval; trigger it with window_start and window_end"),
        ({}, {"logical_date": datetime(2026, 3, 1, tzinfo=UTC)}, "has no data interval"),
        ({}, dict.fromkeys(DAY, DAY["data_interval_end"]), "is not after window_start"),
    ],
)
def test_a_window_that_cannot_be_told_is_refused(params, interval, message):
    with pytest.raises(Misconfigured, match=message):
        scope_from_context(context(params, interval))


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("window_start", None, True),
        ("window_start", "2026-03-01", True),
        ("window_start", "2026-03-01T06:30:00.000Z", True),
        ("window_start", "01.03.2026", False),
        ("window_start", 20260301, False),
        ("channels", ["a", "b"], True),
        ("channels", "a", False),
        ("dry_run", True, True),
        ("dry_run", "yes", False),
    ],
)
def test_the_form_refuses_what_it_cannot_use(name, value, accepted):
    param = window_params()[name]
    if accepted:
        assert param.resolve(value) == value
    else:
        with pytest.raises(ParamValidationError):
            param.resolve(value)


@pytest.mark.parametrize(
    ("error", "action", "delay"),
    [
        (Rejected("GZIP_TRUNCATED", "x.csv.gz"), RetryAction.FAIL, None),
        (Misconfigured([Fault("x.yml", "unknown key")]), RetryAction.FAIL, None),
        (Retryable("locked"), RetryAction.DEFAULT, None),
        (Retryable("locked", timedelta(seconds=1)), RetryAction.RETRY, timedelta(minutes=2)),
        (Retryable("too many requests", timedelta(hours=1)), RetryAction.RETRY, timedelta(hours=1)),
        (ZeroDivisionError(), RetryAction.DEFAULT, None),
        (TimeoutError("the socket"), RetryAction.DEFAULT, None),
        (AirflowTaskTimeout(), RetryAction.DEFAULT, None),
    ],
)
def test_only_what_may_pass_is_tried_again(error, action, delay):
    decision = RetryByError(timedelta(minutes=2)).evaluate(error, try_number=1, max_tries=3)
    assert (decision.action, decision.retry_delay) == (action, delay)
