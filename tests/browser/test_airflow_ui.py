"""What a person does in the morning: log in, run some days by the form, watch the run, read the report. And nothing is
wrong in the browser's console meanwhile, and nothing has to be scrolled sideways on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from conftest import Server
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

SALES, REPORTING = "sales_orders_daily", "reporting_marts_hourly"
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1440, "height": 900}
RUN_MS = 300_000


class Complaints:
    """Errors in the console of any page."""

    def __init__(self, context: BrowserContext) -> None:
        self.errors: list[str] = []
        context.on("console", self._note)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.location['url']}: {message.text}")


@pytest.fixture
def context(browser: Browser, server: Server) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport=DESK, base_url=server.url)
    context.set_default_timeout(60_000)
    yield context
    context.close()


def test_log_in_run_and_read(context: BrowserContext, server: Server) -> None:
    server.caravan("airflow", "dags", "unpause", REPORTING)
    page = context.new_page()
    log_in(page, server)
    complaints = Complaints(context)

    page.goto(f"/dags/{SALES}")
    page.get_by_role("button", name="Trigger Dag").click()
    form = page.get_by_role("dialog")
    for label in ("From", "To", "Channels", "Dry run"):
        expect(form.locator("label", has_text=label).first).to_be_visible()
    form.locator("#element_window_start").fill(f"{server.truth.first}")
    form.locator("#element_window_end").fill(f"{server.truth.last + timedelta(days=1)}")
    form.get_by_role("button", name="Trigger", exact=True).click()

    expect(page).to_have_url(re.compile(f"/dags/{SALES}/runs/manual__"), timeout=60_000)
    expect(page.get_by_test_id("header-card").get_by_test_id("state-badge")).to_have_text("Success", timeout=RUN_MS)
    page.get_by_role("tab", name="Evidence").or_(page.get_by_role("link", name="Evidence")).first.click()
    evidence = page.frame_locator("iframe")
    expect(evidence.get_by_role("heading", name=f"Run of {SALES}")).to_be_visible()
    expect(evidence.locator("body")).to_contain_text("checks passed")
    assert_no_sideways_scroll(page)

    wait_for_report(page)
    page.goto("/")
    page.get_by_role("link", name="Caravan").click()
    report = page.frame_locator("iframe")
    expect(report.get_by_role("heading", level=1)).to_be_visible()
    orders = sum(each.orders for each in server.truth.sales)
    assert orders > 100, "there is something to be counted"
    expect(report.locator("body")).to_contain_text(f"{orders:,}")
    assert_no_sideways_scroll(page)
    page.goto("/caravan/")
    assert_no_sideways_scroll(page)
    assert complaints.errors == []


def log_in(page: Page, server: Server) -> None:
    page.goto("/")
    page.locator("input[name=username]").fill("admin")
    page.locator("input[type=password]").fill(server.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_test_id("nav-dags-link")).to_be_visible()


def wait_for_report(page: Page) -> None:
    """The run's asset wakes the reporting DAG, which writes it."""
    for _ in range(RUN_MS // 2000):
        if page.context.request.get("/caravan/").ok:
            return
        page.wait_for_timeout(2000)
    raise AssertionError("no report was written")


def assert_no_sideways_scroll(page: Page) -> None:
    """On a phone, in every frame."""
    page.set_viewport_size(PHONE)
    widths = {frame.url: frame.evaluate("[document.documentElement.scrollWidth, innerWidth]") for frame in page.frames}
    assert all(content <= window for content, window in widths.values()), widths
    page.set_viewport_size(DESK)
