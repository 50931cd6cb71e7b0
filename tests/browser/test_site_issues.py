"""The report of a crawl as people use it: filtered, by keyboard, on a phone, in the dark, and without its script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from caravan.config.site_checks import load_site_checks
from caravan.core.site_audit import AuditedCrawl, CheckResult, Issue, Pages, Slow
from caravan.reporting import site_issues

AT = datetime(2026, 11, 20, 2, 15)
LONG = "https://shop.example/" + "very-long-name-without-a-break" * 8
SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}


def issue(check_id: str, path: str, market: str, change: str | None = "still") -> Issue:
    evidence = f'{{"total":1,"items":[{{"title":"About {path}"}}]}}'
    return Issue(check_id, f"https://shop.example/{path}", market, change, AT, 1, evidence)


ISSUES = {
    "title-missing": [issue("title-missing", "cups", "de", "new"), issue("title-missing", "mugs", "fr")],
    "url-underscore": [issue("url-underscore", "old_cups", "de"), issue("url-underscore", LONG, "fr", "unverified")],
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    catalogue = load_site_checks()
    checks = [
        CheckResult(each.id, each.severity, each.category, "fired", None, 9, len(ISSUES[each.id]))
        for each in catalogue.checks
        if each.id in ISSUES
    ]
    crawl = AuditedCrawl("shop.example", AT, Pages(9, 9, 9, 2), 9, 9, None, None, checks, ISSUES)
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    text = site_issues.render(replace(crawl, slowest=[Slow(LONG, 10, 20)]), catalogue, AT, "issues.csv")
    path.write_text(text, encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def page(browser: Browser, report: str) -> Iterator[Page]:
    opened = browser.new_page(viewport=SIZES["desk"])
    errors: list[str] = []
    opened.on("console", lambda message: errors.append(message.text))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(report)
    yield opened
    opened.close()
    assert errors == [], "its own policy lets its script run"


@pytest.mark.parametrize(
    ("choices", "told", "checks"),
    [
        ({}, "4 listed", ["title-missing", "url-underscore"]),
        ({"severity": "error"}, "2 of 4 listed", ["title-missing"]),
        ({"category": "url"}, "2 of 4 listed", ["url-underscore"]),
        ({"market": "fr"}, "2 of 4 listed", ["title-missing", "url-underscore"]),
        ({"change": "new"}, "1 of 4 listed", ["title-missing"]),
        ({"severity": "notice", "market": "de"}, "1 of 4 listed", ["url-underscore"]),
        ({"severity": "notice", "change": "new"}, "0 of 4 listed", []),
        ({"text": "CUPS"}, "2 of 4 listed", ["title-missing", "url-underscore"]),
        ({"text": "cups underscore"}, "1 of 4 listed", ["url-underscore"]),
        ({"text": "about mugs"}, "1 of 4 listed", ["title-missing"]),
    ],
)
def test_the_form_shows_what_was_asked_for(page: Page, choices: dict[str, str], told: str, checks: list[str]) -> None:
    for name, value in choices.items():
        field = page.locator(f"[name={name}]")
        field.fill(value) if name == "text" else field.select_option(value)
    expect(page.locator("#filter-told")).to_have_text(told)
    shown = page.locator("details[data-check]:visible")
    assert [each.get_attribute("id") for each in shown.all()] == checks
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#filter-told")).to_have_text("4 listed")


def test_words_open_the_checks_in_which_they_are_found(page: Page) -> None:
    expect(page.get_by_text("shop.example/mugs")).to_be_hidden()
    page.get_by_label("Text").fill("mugs")
    expect(page.get_by_role("link", name="shop.example/mugs")).to_be_visible()
    expect(page.get_by_role("link", name="shop.example/cups")).to_be_hidden()


def test_the_keyboard_reaches_everything_and_shows_where_it_is(page: Page) -> None:
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "() => { const at = document.activeElement;"
                " return [at.name || at.textContent.trim(), getComputedStyle(at).outlineStyle]; }"
            )
        )
    names = [name for name, _ in reached]
    assert names[0] == "Skip to the content"
    assert [name for name in names if name in ("text", "severity", "category", "market", "change")] == [
        "text", "severity", "category", "market", "change",
    ]  # fmt: skip
    assert "none" not in [outline for _, outline in reached]
    page.locator("#title-missing summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="shop.example/cups").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_scrolled_sideways(browser: Browser, report: str, size: str, scheme: str) -> None:
    page = browser.new_page(viewport=SIZES[size], color_scheme="dark" if scheme == "dark" else "light")
    page.goto(report)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1], widths
    page.close()


def test_without_the_script_it_is_a_list_of_all(browser: Browser, report: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report)
    expect(page.locator("#filter")).to_be_hidden()
    page.locator("#title-missing summary").click()
    expect(page.get_by_role("link", name="shop.example/mugs")).to_be_visible()
    context.close()
