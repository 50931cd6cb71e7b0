"""The audit of one crawl as a page: what is wrong, why it matters, how to mend it, what became of it since.

The page is bounded whatever the site: a list is cut where a browser would suffer, and says how much more there is.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from markupsafe import Markup, escape

from caravan.config.site_checks import CATEGORIES, SEVERITIES, Catalogue, Check
from caravan.core.site_audit import AuditedCrawl, CheckResult, Issue
from caravan.reporting import charts, formats, templates
from caravan.reporting.evidence import readable

ISSUES_OF_CHECK = 200
ENDED_SHOWN = 200
PAGES_SHOWN = 100
"""Of each kind of change."""
SLOWEST_SHOWN = 10
ISSUE_BYTES, LIST_BYTES = 1_100_000, 250_000
"""For all issues of a page together, and for each other list: with everything else it stays below 2 MB."""
_LONGEST_URL = 300
_LONGEST_MARKET = 35
"""Characters that tags of languages have: without configured markets it is what pages call their language."""
_ROW_BYTES = 260
"""Markup round an issue's address and evidence."""
CHANGES = ("new", "regressed", "still", "unverified")
MARKS = {"error": "bad", "warning": "warn", "notice": ""}
CHANGE_MARKS = {"new": "bad", "regressed": "bad", "unverified": "warn"}
_Item = TypeVar("_Item")
COLOURS = {"error": "var(--bad)", "warning": "var(--warn-line)", "notice": "var(--axis)"}


@dataclass(frozen=True)
class Row:
    """An issue as it is shown. `href`: None where the address is not http(s), or longer than a page should have."""

    issue: Issue
    url: str
    href: str | None
    market: str
    evidence: str


@dataclass(frozen=True)
class Group:
    """A check with its open issues. `rows`: those that are shown."""

    result: CheckResult
    title: str
    why: str
    fix: str
    rows: Sequence[Row]

    @property
    def more_count(self) -> int:
        return self.result.open_count - len(self.rows)


def render(crawl: AuditedCrawl, catalogue: Catalogue, now: datetime, csv: str) -> str:
    """One file that asks nothing of the outside. `now`: UTC. `csv`: where all issues are, relative to the page."""
    return templates.environment().get_template("crawl.html.j2").render(now=now, **values(crawl, catalogue, csv))


def values(crawl: AuditedCrawl, catalogue: Catalogue, csv: str | None) -> dict[str, Any]:
    """What the templates of a crawl's issues are filled with."""
    crawl = _bounded(crawl)
    known = {check.id: check for check in catalogue.checks}
    groups = _groups(crawl, known)
    shown = [row for group in groups for row in group.rows]
    return {
        "crawl": crawl,
        "csv": csv,
        "groups": groups,
        "unlisted_count": sum(group.more_count for group in groups),
        "chart": categories(crawl),
        "options": {
            "severity": [each for each in SEVERITIES if crawl.severities[each]],
            "category": [each for each in CATEGORIES if any(group.result.category == each for group in groups)],
            "market": sorted({row.market for row in shown if row.market}),
            "change": [each for each in CHANGES if any(row.issue.change == each for row in shown)],
        },
        "title_of": lambda check_id: known[check_id].title if check_id in known else check_id,
        "unevaluated": _by_reason(crawl.of("not_evaluated")),
        "marks": MARKS,
        "change_marks": CHANGE_MARKS,
        "cut": cut,
        "link": link,
    }


def categories(crawl: AuditedCrawl) -> Markup | None:
    """Open issues by category, each bar by severity; None where there is none."""
    counts: Counter[tuple[str, str]] = Counter()
    for check in crawl.checks:
        counts[check.category, check.severity] += check.open_count
    rows = [
        charts.Stack(category, [(COLOURS[each], Decimal(counts[category, each])) for each in SEVERITIES], text)
        for category in CATEGORIES
        if (text := _in_words({each: counts[category, each] for each in SEVERITIES}))
    ]
    described = "; ".join(f"{row.label}: {row.text}" for row in rows)
    return charts.stacks(rows, "Open issues by category and severity", described) if rows else None


def cut(url: str) -> str:
    """An address that is no longer than a page should show."""
    return url if len(url) <= _LONGEST_URL else f"{url[: _LONGEST_URL - 1]}…"


def link(url: str) -> str | None:
    """Where an address may lead from a page of ours: pages can name `javascript:` and worse."""
    return url if url.startswith(("http://", "https://")) and len(url) <= 2 * _LONGEST_URL else None


def _in_words(counts: Mapping[str, int]) -> str:
    """12 errors, 1 warning."""
    return ", ".join(formats.counted(count, severity) for severity, count in counts.items() if count)


def _groups(crawl: AuditedCrawl, known: Mapping[str, Check]) -> list[Group]:
    results = crawl.with_issues
    rows = _within_budget([crawl.issues.get(result.check_id, ()) for result in results])
    return [_group(result, known.get(result.check_id), shown) for result, shown in zip(results, rows, strict=True)]


def _group(result: CheckResult, check: Check | None, rows: Sequence[Row]) -> Group:
    # A crawl in the warehouse may be of a catalogue that had other checks.
    if check is None:
        return Group(result, result.check_id, "", "", rows)
    return Group(result, check.title, check.why, check.fix, rows)


def _row(issue: Issue) -> Row:
    return Row(issue, cut(issue.url), link(issue.url), issue.market_code[:_LONGEST_MARKET], readable(issue.evidence))


def _within_budget(lists: Sequence[Sequence[Issue]]) -> list[list[Row]]:
    """As many of each check as fit, in turns: a check with long addresses takes nothing from the others."""
    taken: list[list[Row]] = [[] for _ in lists]
    left = ISSUE_BYTES
    for turn in range(ISSUES_OF_CHECK):
        for at, issues in enumerate(lists):
            if turn < len(issues):
                row = _row(issues[turn])
                # The market may be offered as a choice, too.
                left -= _weight(row.url, row.href, row.evidence, *[row.market] * 3)
                if left < 0:
                    return taken
                taken[at].append(row)
    return taken


def _weight(*texts: str | None) -> int:
    """Bytes of the markup that shows them, about."""
    return _ROW_BYTES + sum(len(str(escape(text)).encode()) for text in texts if text)


def _bounded(crawl: AuditedCrawl) -> AuditedCrawl:
    """With no more of each list than a page should have."""
    ended = [each._replace(market_code=each.market_code[:_LONGEST_MARKET]) for each in crawl.ended]
    changes = [each._replace(market_code=each.market_code[:_LONGEST_MARKET]) for each in crawl.page_changes]
    return replace(
        crawl,
        ended=_first(ended, [_weight(cut(each.url), link(each.url)) for each in ended]),
        page_changes=_first(
            changes,
            [
                _weight(cut(each.url), link(each.url), cut(each.other_url or ""), link(each.other_url or ""))
                for each in changes
            ],
        ),
    )


def _first(items: Sequence[_Item], weights: Sequence[int]) -> list[_Item]:
    """As many as fit."""
    sums = itertools.accumulate(weights)
    return [item for item, weight in zip(items, sums, strict=True) if weight <= LIST_BYTES]


def _by_reason(results: Iterable[CheckResult]) -> list[tuple[str, list[str]]]:
    """Why checks were not evaluated, and which, the most frequent reason first."""
    found: dict[str, list[str]] = {}
    for result in results:
        found.setdefault(result.reason or "no reason is recorded", []).append(result.check_id)
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
