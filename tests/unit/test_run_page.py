"""The page of one run: its own record and counts of what it loaded and checked, never a row or what quotes one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from lake_template import migrated_lake

from caravan.reporting import formats, pages
from caravan.reporting.runs import Run, RunChecks, RunFinding, RunLoads, RunRefusals, read_run
from caravan.warehouse.evidence import insert_many
from caravan.warehouse.lake import Lake
from caravan.warehouse.port import Session

DAG, RUN = "sales_orders_daily", "scheduled__2026-03-10T00:00:00+00:00"
AT = datetime(2026, 3, 10, 3, 0)
DAY = date(2026, 3, 9)
PERSONAL = "jane.doe@example.com"


def load(channel: str, state: str, counts: tuple[int, ...] = (0, 0, 0, 0, 0), **given: Any) -> dict[str, Any]:
    names = ("received", "loaded", "unchanged", "duplicate", "quarantined")
    return {
        "run_id": RUN, "dag_id": DAG, "channel_code": channel, "entity": "order_line", "state": state,
        "delivery_name": f"{PERSONAL}.csv", "reason_code": None, "message": PERSONAL, "started_at": AT, "ended_at": AT,
        **given,
        **{f"{name}_count": count for name, count in zip(names, counts, strict=True)},
    }  # fmt: skip


def check(name: str, outcome: str, part: str | None, checked: int, failed: int | None, **given: Any) -> dict[str, Any]:
    return {
        "run_id": RUN, "dag_id": DAG, "model_name": "stg.a", "check_name": name, "kind": "distribution",
        "slice_date": DAY, "part_value": part, "outcome": outcome, "checked_count": checked, "failed_count": failed,
        "message": PERSONAL, "checked_at": AT + timedelta(minutes=5), **given,
    }  # fmt: skip


def fill(session: Session) -> None:
    run = {"window_start": datetime(2026, 3, 9), "window_end": datetime(2026, 3, 10), "code_revision": "0123abc",
           "config_hash": "c0ffee", "started_at": AT, "ended_at": AT + timedelta(seconds=252), "state": "failed",
           "message": "one <b>fault</b>\nwarning: another"}  # fmt: skip
    # Two DAGs may have runs of one name.
    insert_many(session, "ops.run", [{"dag_id": dag, "run_id": RUN, **run} for dag in (DAG, "other")])
    truncated = {"reason_code": "GZIP_TRUNCATED"}
    loads = [
        load("shop_de", "loaded", (10, 7, 1, 1, 1)),
        load("shop_de", "empty"),
        load("shop_de", "refused", **truncated),
        load("shop_de", "refused", **truncated),
        load("shop_fr", "loaded", (5, 4, 0, 0, 0)),  # a row is lost
        load("shop_gb", "missing"),
        load("shop_jp", "failed"),
        load("shop_us", "failed"),
        load("shop_us", "idle", ended_at=AT + timedelta(minutes=1)),  # read at the second try, nothing new
        load("shop_de", "loaded", (99, 99, 0, 0, 0), dag_id="other"),
        load("shop_de", "loaded", (99, 99, 0, 0, 0), run_id="other"),
    ]
    insert_many(session, "ops.load", loads)
    checks = [
        check("mean", "warn", "shop_de", 20, None),
        check("known", "warn", "shop_de", 20, 2),
        check("known", "warn", "shop_fr", 30, 3, slice_date=DAY - timedelta(days=1)),
        check("known", "pass", "shop_gb", 30, 0),
        check("share", "pass", "shop_gb", 0, None),  # too few rows
        check("range", "error", "shop_gb", 0, None),
        check("sum", "fail", "shop_gb", 8, 8),
        check("sum", "fail", "shop_us", 8, 8, checked_at=AT + timedelta(minutes=1)),  # made again since, and passed
        check("sum", "fail", "shop_us", 8, 8, kind="structure", checked_at=AT - timedelta(hours=1)),  # before a clear
        check("sum", "fail", "shop_us", 8, 8, dag_id="other"),
    ]
    insert_many(session, "ops.quality_result", checks)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with Lake(migrated_lake(tmp_path_factory.mktemp("run") / "lake")) as lake:
        with lake.write() as session:
            fill(session)
        with lake.read() as session:
            found = read_run(session, DAG, RUN)
            assert read_run(session, DAG, "none") is None
            assert read_run(session, "none", RUN) is None
    assert found is not None
    yield found


def test_a_run_is_counted_by_itself(run: Run) -> None:
    assert run.loads == (
        RunLoads("shop_de", "order_line", 2, 2, 0, 0, 10, 7, 1, 1, 1, 0),
        RunLoads("shop_fr", "order_line", 1, 0, 0, 0, 5, 4, 0, 0, 0, 1),
        RunLoads("shop_gb", "order_line", 0, 0, 1, 0, 0, 0, 0, 0, 0, 0),
        RunLoads("shop_jp", "order_line", 0, 0, 0, 1, 0, 0, 0, 0, 0, 0),
        RunLoads("shop_us", "order_line", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    )
    assert run.refusals == (RunRefusals("shop_de", "order_line", "GZIP_TRUNCATED", 2),)
    assert run.checks == (RunChecks("stg.a", passed=1, unjudged=1, warned=3, failed=1, broken=1),)
    assert run.findings == (
        RunFinding("stg.a", "sum", "fail", 1, DAY, DAY, 1, 8, 8),
        RunFinding("stg.a", "range", "error", 1, DAY, DAY, 1, 0, None),
        RunFinding("stg.a", "known", "warn", 2, DAY - timedelta(days=1), DAY, 2, 50, 5),
        RunFinding("stg.a", "mean", "warn", 1, DAY, DAY, 1, 20, None),
    )


def test_the_page_says_what_was_found(run: Run) -> None:
    page = pages.run_page(run)
    assert page.status == 200
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.html))  # a no-break space is white space too
    ended = "10 Mar 2026 03:04, after 4 min 12 s"
    marks = (
        "1 load does not add up",
        "2 refused",
        "no file",
        "could not be read",
        "GZIP_TRUNCATED",
        "not computed",
        "1 check passed",
    )
    for shown in ("Run of sales_orders_daily", RUN, "9 Mar 2026", ended, "0123abc", *marks):
        assert shown in text
    assert '<li class="bad">one &lt;b&gt;fault&lt;/b&gt;</li>' in page.html
    assert '<li class="warn">warning: another</li>' in page.html


def test_no_name_message_or_row_of_the_data_is_shown(run: Run) -> None:
    assert PERSONAL not in repr(run)
    assert PERSONAL not in pages.run_page(run).html


def test_a_run_without_window_loads_or_end_is_a_page_too(run: Run) -> None:
    bare = replace(run, window_start=None, window_end=None, ended_at=None, state="running", message=None,
                   code_revision=None, config_hash=None, loads=(), refusals=(), checks=(), findings=())  # fmt: skip
    html = pages.run_page(bare).html
    for shown in ("not yet", "whatever was stale", "read no new delivery", "built nothing that is checked"):
        assert shown in html
    assert "None" not in html and 'class="unknown"' not in html


def test_a_message_without_end_is_cut_and_says_so(run: Run) -> None:
    html = pages.run_page(replace(run, message="\n".join(f"fault {n}." for n in range(100)))).html
    assert "fault 39." in html and "fault 40." not in html
    assert "60 more lines" in html


@pytest.mark.parametrize(
    ("page", "status", "words"),
    [
        (pages.no_report, 404, "reporting_marts_hourly"),
        (lambda: pages.no_page("no.html"), 404, '<a href="./">'),
        (lambda: pages.no_page("a/b/no.html"), 404, '<a href="../../">'),
        (pages.no_warehouse, 503, "caravan doctor"),
        (lambda: pages.no_run("<i>", '"><script>'), 404, "&lt;i&gt;"),
    ],
)
def test_what_is_not_there_says_what_to_do_and_asks_nothing_of_the_outside(page, status, words) -> None:
    found = page()
    assert (found.status, words in found.html) == (status, True)
    assert not re.search(r"<script|https?://|src=|<link|<i>", found.html)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (252, "4 min 12 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert formats.duration(timedelta(seconds=seconds)).replace(formats.SPACE, " ") == text


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        (datetime(2026, 3, 9), datetime(2026, 3, 10), "9 Mar 2026"),
        (datetime(2026, 3, 1), datetime(2026, 3, 10), "1 Mar to 9 Mar 2026"),
        (datetime(2026, 3, 9, 6), datetime(2026, 3, 9, 7), "9 Mar 2026 06:00 to 9 Mar 2026 07:00"),
    ],
)
def test_a_window_of_whole_days_is_told_in_days(run: Run, start: datetime, end: datetime, text: str) -> None:
    assert f"<dd>{text}</dd>" in pages.run_page(replace(run, window_start=start, window_end=end)).html
