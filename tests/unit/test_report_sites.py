"""Pages of own web sites in the report: what broke, what was mended, how each market does."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import report_world as world
import site_world

from caravan.reporting.report import render
from caravan.reporting.templates import filter_script, filter_source
from caravan.warehouse.lake import Lake

Pages = dict[str, str]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with world.open_lake(tmp_path_factory.mktemp("report") / "lake") as opened:
        site_world.fill(opened)
        yield opened


@pytest.fixture(scope="module")
def pages(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return written(lake, tmp_path_factory.mktemp("pages"))


def written(lake: Lake, folder: Path) -> Pages:
    with lake.read() as session:
        first = render(session, folder, world.NOW, expected=world.EXPECTED)
    return {path.name: path.read_text(encoding="utf-8") for path in first.parent.iterdir() if path.is_file()}


def test_each_site_has_a_page_and_its_issues_as_rows(pages):
    assert {name for name in pages if name.startswith("site")} == {
        "site.html", "site_shop.html", "site_shop.csv", "site_wiki.html",
    }  # fmt: skip


def test_the_navigation_tells_that_a_site_is_one_of_the_sites(pages):
    assert '<a href="site.html" aria-current="true">Sites</a>' in pages["site_shop.html"]


def test_without_a_crawl_nothing_is_said_of_sites_but_how_to_begin(tmp_path):
    with world.open_lake(tmp_path / "lake") as lake:
        found = written(lake, tmp_path / "pages")
    assert {name for name in found if name.startswith("site")} == {"site.html"}
    assert "No site has been crawled yet" in found["site.html"]
    assert "Web sites" not in found["index.html"]


@pytest.mark.parametrize("page", ["index.html", "site.html"])
def test_the_first_page_and_the_list_say_how_each_site_does(pages, page):
    rows = re.findall(r"<tr><th scope=\"row\" class=\"stick\"><a href=\"(site_\w+\.html)\">.*?</tr>", pages[page], re.S)
    assert rows == ["site_shop.html", "site_wiki.html"]
    assert "96.0\N{NO-BREAK SPACE}%" in pages[page]
    assert ">complete<" in pages[page] and ">not complete<" in pages[page]
    assert re.findall(r">(\d+ days? ago)<", pages[page]) == ["3 days ago"], "the other was crawled last night"


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("site_shop.html", "398 of 400 expected addresses seen"),
        ("site_shop.html", "1 new, 0 back, 2 over"),
        ("site_shop.html", "(400 − 16) / 400"),
        ("site_shop.html", '30 more in <a href="site_shop.csv">site_shop.csv</a>'),
        ("site_shop.html", "gone, nothing left to judge"),
        ("site_shop.html", "1 moved, 1 removed"),
        ("site_shop.html", "no Chrome UX Report by page and form factor"),
        ("site_shop.html", "Left so for now"),
        ("site_shop.html", "Healthy pages of shop by day"),
        ("site_wiki.html", "The crawl is not complete."),
        ("site_wiki.html", "None among the pages that were seen."),
        ("site_wiki.html", "No comparison:"),
    ],
)
def test_the_page_says(pages, page, words):
    assert words in pages[page]


def test_a_market_without_judged_pages_has_no_health(pages):
    rows = re.findall(
        r'<tr><th scope="row" class="stick">(\w+|no market)</th><td class="num">(.*?)</td>',
        pages["site_shop.html"].partition('id="site-search"')[0],
    )
    assert [code for code, _ in rows] == ["DE", "JP", "no market"]
    assert ["unknown" in health for _, health in rows] == [False, False, True]


def test_how_each_market_is_found_in_search(pages):
    section = pages["site_shop.html"].partition('<section id="site-search"')[2].partition("</section>")[0]
    assert "week from 9 Nov 2026" in section
    rows = [re.sub(r"<[^>]*>", " ", row).split() for row in re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)[1:]]
    assert rows == [
        ["DE", "12,345", "678", "5.5", "%", "7.4"],
        ["JP", "0", "0", "unknown", "unknown", "no", "impressions"],
        ["no", "market", "4", "2", "50.0", "%", "1.0"],
    ]
    assert "<p>No search data of the weeks before.</p>" in pages["site_wiki.html"]


def test_what_the_pages_of_an_issue_sell_is_told(pages):
    page = pages["site_shop.html"]
    assert page.count("its pages sold €1,234 in 28 days</p>") == 1, "of one check it is known of one page"
    assert page.count("its pages sold €20 in 28 days, what is on several of them counted on each</p>") == 1
    assert page.count("sells €1,234") == 1


def test_suppressed_issues_are_told_by_reason_and_counted_nowhere_else(pages):
    page = pages["site_shop.html"]
    assert "printed on boxes" in page and "/old_0" not in page
    assert "maria@" not in page + pages["site_shop.csv"]
    rows = list(csv.DictReader(io.StringIO(pages["site_shop.csv"])))
    assert sum(row["is_suppressed"] == "True" for row in rows) == 3


def test_rows_come_the_worst_first_and_no_cell_is_a_formula(pages):
    rows = list(csv.DictReader(io.StringIO(pages["site_shop.csv"])))
    assert len(rows) == 2 + site_world.MANY + 1 + 3
    severities = [row["severity"] for row in rows]
    assert list(dict.fromkeys(severities)) == ["error", "warning", "notice"]
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    assert "'=cmd|' /C calc'!A0" in {row["url"] for row in rows}


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.mark.parametrize("page", ["index.html", "site.html", "site_shop.html", "site_wiki.html"])
def test_what_a_page_wrote_stays_text(pages, page):
    text = pages[page]
    assert site_world.MARKUP not in text
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert scripts == ([filter_script()] if page == "site_shop.html" else []), "nothing to filter, nothing that runs"
    tags = _Tags()
    tags.feed(text)
    hrefs = [attrs["href"] or "" for tag, attrs in tags.seen if tag == "a"]
    assert not [href for href in hrefs if href.lower().startswith(("javascript:", "data:"))]
    assert not [attrs for _, attrs in tags.seen if any(name.startswith("on") for name in attrs)]


def test_markup_of_pages_is_shown_as_it_was_written(pages):
    shown = site_world.MARKUP.replace("<", "&lt;").replace(">", "&gt;")
    assert pages["site_shop.html"].count(shown) >= 3, "an address, a heading, a reason"
    assert shown in pages["site_wiki.html"]
    assert ">javascript:alert(4)<" in pages["site_shop.html"], "it is told, and leads nowhere"


def test_only_pages_of_a_site_may_run_anything_and_only_the_filter(pages):
    policies = {name: re.findall(r'Content-Security-Policy" content="([^"]+)"', text) for name, text in pages.items()}
    for name, found in policies.items():
        if name.endswith(".html"):
            assert len(found) == 1
            assert (f"script-src {filter_source()}" in found[0]) == name.startswith("site_"), name
