"""The page of one crawl's issues: bounded, inert, and no more certain than the crawl."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from markupsafe import escape

from caravan.config.site_checks import load_site_checks
from caravan.core.site_audit import AuditedCrawl, CheckResult, Ended, Issue, PageChange, Pages, Slow
from caravan.reporting import site_issues
from caravan.reporting.evidence import LONGEST, readable
from caravan.reporting.site_issues import ISSUES_OF_CHECK, link
from caravan.reporting.templates import filter_script, filter_source

AT = datetime(2026, 11, 20, 2, 15)
CATALOGUE = load_site_checks()
HOSTILE = "</title></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7 * 7 }}"


def evidence(*items: object, total: int | None = None) -> str:
    return json.dumps({"total": len(items) if total is None else total, "items": items})


def issue(check_id: str, url: str = "https://shop.example/a", **change: object) -> Issue:
    return Issue(check_id, url, "de", "new", AT, 1, evidence({"title": "A"}))._replace(**change)


def crawl(issues: dict[str, list[Issue]] | None = None, **change: object) -> AuditedCrawl:
    issues = issues or {}
    checks = [
        CheckResult(
            check.id,
            check.severity,
            check.category,
            "fired" if check.id in issues else "not_evaluated" if check.later else "passed",
            f"Not built yet: it waits for {check.later}." if check.later else None,
            10,
            len(issues.get(check.id, ())),
        )
        for check in CATALOGUE.checks
    ]
    made = AuditedCrawl("shop.example", AT, Pages(10, 9, 8, 2), 10, 10, None, None, checks, issues)
    return replace(made, **change)


def page(of: AuditedCrawl) -> str:
    return site_issues.render(of, CATALOGUE, AT, "issues.csv")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (None, ""),
        ("", ""),
        (evidence(), ""),
        (evidence({"status_code": 404, "link_count": 3, "is_in_sitemap": False}),
         "status code: 404, link: 3, in sitemap: no"),
        (evidence({"source_url": "https://a.test/", "reason": None, "words": ""}), "source: https://a.test/"),
        (evidence({"urls": ["/a", "/b"]}, {"share": 0.25}), "urls: /a, /b; share: 0.25"),
        (evidence({"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}, total=31), "n: 1; n: 2; n: 3; and 28 more"),
        (evidence({"title": "A"}, total=2), "title: A"),
        (evidence({"title": "two\n  lines"}), "title: two lines"),
        ("not json", "not json"),
        ('{"total": "many"}', '{"total": "many"}'),
        ("[1]", "[1]"),
    ],
)  # fmt: skip
def test_evidence_is_a_line_that_people_read(given, line):
    assert readable(given) == line


def test_a_line_has_an_end():
    assert len(readable(evidence(*[{"title": "x" * 5_000}] * 20))) < LONGEST + 20


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://shop.example/a?b=1&c", "https://shop.example/a?b=1&c"),
        ("http://shop.example/", "http://shop.example/"),
        ("javascript:alert(1)", None),
        ("JAVASCRIPT:alert(1)", None),
        ("data:text/html,x", None),
        ("//evil.example/", None),
        ("https://shop.example/" + "x" * 1000, None),
    ],
)
def test_only_addresses_of_the_web_are_linked(url, target):
    assert link(url) == target


def test_hostile_texts_stay_texts():
    check_id = "title-duplicate"
    text = page(
        crawl(
            {
                check_id: [
                    issue(check_id, f"https://shop.example/{HOSTILE}", market_code=HOSTILE),
                    issue(check_id, "javascript:alert(3)", evidence=evidence({"title": HOSTILE})),
                ]
            },
            name=HOSTILE,
            ended=[Ended("h1-missing", HOSTILE, HOSTILE, "fixed")],
            page_changes=[PageChange("moved", HOSTILE, HOSTILE, 301, "javascript:alert(4)")],
            page_change_counts={"moved": 1},
            slowest=[Slow(HOSTILE, 1, 2)],
        )
    )
    assert re.findall(r"<script>(.*?)</script>", text, re.S) == [filter_script()]
    assert "<img" not in text
    assert "<title>Site audit of &lt;/title&gt;" in text and "{{ 7 * 7 }}" in text
    tags = _Tags()
    tags.feed(text)
    for tag, attrs in tags.seen:
        assert not [name for name in attrs if name.startswith("on")]
        if tag == "a":
            assert (attrs["href"] or "").startswith(("#", "issues.csv", "https://shop.example/"))
    assert text.count("&lt;script&gt;alert(1)") >= 6


def test_the_filter_says_what_it_does_not_search():
    listed = [issue("title-missing"), issue("title-missing", "https://shop.example/b")]
    checks = [CheckResult("title-missing", "error", "metadata", "fired", None, 1_000, open) for open in (2, 1_002)]
    texts = [page(crawl({"title-missing": listed}, checks=[each])) for each in checks]
    assert ["not searched: " in text for text in texts] == [False, True]
    assert 'not searched: 1,000 more in <a href="issues.csv">issues.csv</a>' in texts[1]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_a_page_is_bounded_whatever_the_site_and_says_how_much_more_there_is():
    url = "https://shop.example/" + "&" * 2_000
    many = {
        check.id: [
            issue(
                check.id, f"{url}{number}", evidence=evidence({"title": "<" * 5_000}), market_code=f"{number:03d}" * 300
            )
            for number in range(ISSUES_OF_CHECK)
        ]
        for check in CATALOGUE.checks
    }
    of = crawl(
        many,
        ended=[Ended("h1-missing", url, "de", "fixed")] * site_issues.ENDED_SHOWN,
        page_changes=[PageChange("moved", url, "de", 301, url)] * site_issues.PAGES_SHOWN * 4,
        page_change_counts={"moved": 9_000},
        change_counts={"fixed": 300},
        slowest=[Slow(url, 1, 2)] * site_issues.SLOWEST_SHOWN,
    )
    text = page(of)
    assert len(text.encode()) < 2_000_000
    parts = {check_id: text.split(f'id="{check_id}"')[1].split("</details>")[0] for check_id in many}
    shown = {check_id: part.count("data-issue ") for check_id, part in parts.items()}
    assert min(shown.values()) >= 1, "a check with long addresses takes nothing from the others"
    told = {check_id: part.count(f"{ISSUES_OF_CHECK - shown[check_id]} more in") for check_id, part in parts.items()}
    assert told == dict.fromkeys(many, 1)
    assert "of 300." in text and re.search(r"The first \d+, by kind", text)


def test_short_issues_are_listed_up_to_their_limit():
    check_id = "title-missing"
    issues = [issue(check_id, f"https://shop.example/{number}") for number in range(ISSUES_OF_CHECK)]
    of = crawl({check_id: issues})
    checks = [replace(check, open_count=1_234) if check.check_id == check_id else check for check in of.checks]
    text = page(replace(of, checks=checks))
    assert text.count("data-issue ") == ISSUES_OF_CHECK
    assert '1,034 more in <a href="issues.csv">' in text


@pytest.mark.parametrize(
    ("reason", "said", "unsaid"),
    [
        (None, ["None: every check that could be evaluated passed", "75.0\N{NO-BREAK SPACE}%"],
         ["The crawl is not complete."]),
        ("seconds of shop.example", ["The crawl is not complete.", "seconds of shop.example", "None among"],
         ["every check that could be evaluated passed", "75.0"]),
    ],
)  # fmt: skip
def test_half_a_crawl_never_says_that_there_is_nothing(reason, said, unsaid):
    text = page(crawl(incomplete_reason=reason))
    assert [words for words in said if words not in text] == []
    assert [words for words in unsaid if words in text] == []
    assert (">0</dd>" in text) == (reason is None), "nothing found is not nothing there"
    assert "<script>" not in text


def test_the_policy_of_the_page_lets_its_one_script_run_and_nothing_else():
    text = page(crawl({"title-missing": [issue("title-missing")]}))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src {filter_source()}"
    assert not re.findall(r'(?:src|href)="(?!#|issues\.csv|https://shop\.example/)', text)


def test_the_form_offers_what_there_is_to_choose():
    text = page(
        crawl(
            {
                "title-missing": [issue("title-missing"), issue("title-missing", market_code="fr", change="still")],
                "url-underscore": [issue("url-underscore", market_code="")],
            }
        )
    )
    options = {
        name: re.findall(r"<option>(.*?)</option>", found)
        for name, found in re.findall(r'<select name="(\w+)">(.*?)</select>', text)
    }
    assert options == {
        "severity": ["error", "notice"],
        "category": ["metadata", "url"],
        "market": ["de", "fr"],
        "change": ["new", "still"],
    }


def test_why_and_how_to_mend_it_stand_with_the_issues():
    check = CATALOGUE["title-missing"]
    text = page(crawl({check.id: [issue(check.id)]}))
    for words in (check.title, check.why, check.fix):
        assert str(escape(words)) in text


@pytest.mark.parametrize(
    ("pages", "complete", "health"),
    [
        (Pages(10, 9, 8, 2), True, Decimal("0.75")),
        (Pages(10, 9, 8, 0), True, Decimal(1)),
        (Pages(10, 9, 8, 2), False, None),
        (Pages(3, 0, 0, 0), True, None),
    ],
)
def test_health_is_the_published_share_and_unknown_for_half_a_crawl(pages, complete, health):
    assert crawl(pages=pages, incomplete_reason=None if complete else "a budget").health == health
