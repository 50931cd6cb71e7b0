"""What the audit makes of checks: three outcomes, and a broken one stops no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest

from caravan.config.site_checks import Check
from caravan.core.errors import Rejected
from caravan.functions.site.audit import audit, issue_sql


class Told:
    """Facts that say what a test wants: rows of views, and what a check finds or raises."""

    inputs = frozenset(["price"])

    def __init__(self, counts: Mapping[str, int], found: Mapping[str, tuple[int, int, int] | Rejected]) -> None:
        self.counts, self.found = counts, found
        self.asked: list[Mapping[str, object]] = []

    def count(self, rows: str) -> int:
        return self.counts[rows.removeprefix("(SELECT * FROM ").split()[0]]

    def columns(self, sql: str, parameters: Mapping[str, object]) -> Sequence[str]:
        return ["page_key", "source_url"]

    def record(self, sql: str, parameters: Mapping[str, object]) -> tuple[int, int, int]:
        self.asked.append(parameters)
        found = next(found for name, found in self.found.items() if f"FROM {name}" in sql)
        if isinstance(found, Rejected):
            raise found
        return found


def check(id: str, **given: object) -> Check:
    known = {"category": "url", "severity": "error", "title": "T", "why": "W", "fix": "F", "over": "html_page"}
    return Check.model_validate(known | {"id": id} | given)


@pytest.mark.parametrize(
    ("given", "outcome", "reason", "counts"),
    [
        ({"sql": "SELECT 1 FROM two"}, "fired", None, (7, 2, 5)),
        ({"sql": "SELECT 1 FROM none"}, "passed", None, (7, 0, 0)),
        (
            {"sql": "SELECT 1 FROM two", "over": "structured_page"},
            "not_evaluated",
            "There was nothing to judge: the crawl found no page with structured data.",
            (0, 0, 0),
        ),
        ({"sql": "SELECT 1 FROM two", "needs": ["price"]}, "fired", None, (7, 2, 5)),
        (
            {"sql": "SELECT 1 FROM two", "needs": ["price", "stock"]},
            "not_evaluated",
            "Without the warehouse's availability by market and sku this cannot be judged.",
            (None, 0, 0),
        ),
        (
            {"sql": "SELECT 1 FROM two", "needs": ["stock", "dictionary", "crux"]},
            "not_evaluated",
            "Without the warehouse's availability by market and sku, a spelling dictionary of the page's language and "
            "the Chrome UX Report by page and form factor this cannot be judged.",
            (None, 0, 0),
        ),
        ({"later": "a dictionary"}, "not_evaluated", "Not built yet: it waits for a dictionary.", (None, 0, 0)),
        ({"sql": "SELECT 1 FROM broken"}, "not_evaluated", "The check is broken: no such column", (None, 0, 0)),
    ],
)
def test_outcomes(given, outcome, reason, counts):
    facts = Told(
        {"html_page": 7, "structured_page": 0},
        {"two": (2, 5, 0), "none": (0, 0, 0), "broken": Rejected("QUERY_FAILED", "no such column")},
    )
    (verdict,) = audit(facts, [check("some-check", **given)])
    assert (verdict.outcome, verdict.reason) == (outcome, reason)
    assert (verdict.judged_count, verdict.issue_count, verdict.affected_count) == counts
    assert verdict.was_asked == (verdict.judged_count is not None)


def test_a_broken_check_is_told_loudly_and_stops_no_other(caplog):
    facts = Told({"html_page": 7}, {"broken": Rejected("QUERY_FAILED", "no such column"), "two": (2, 5, 0)})
    broken, sound = audit(
        facts, [check("broken-one", sql="SELECT 1 FROM broken"), check("sound-one", sql="SELECT 1 FROM two")]
    )
    assert (broken.outcome, broken.is_broken) == ("not_evaluated", True)
    assert (sound.outcome, sound.is_broken) == ("fired", False)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "broken-one" in record.message


@pytest.mark.parametrize(
    ("pages", "outcome", "judged"), [(7, "passed", 4), (3, "not_evaluated", 0)], ids=["some are known", "none is"]
)
def test_what_cannot_be_told_tonight_was_not_judged(pages, outcome, judged):
    facts = Told({"html_page": pages}, {"doubt": (0, 0, 3)})
    (verdict,) = audit(facts, [check("some-check", sql="SELECT 1 FROM doubt")])
    assert (verdict.outcome, verdict.judged_count, verdict.was_asked) == (outcome, judged, True)


def test_limits_are_handed_over_as_numbers():
    facts = Told({"html_page": 7}, {"two": (0, 0, 0)})
    limits = {"words": Decimal(200), "share": Decimal("0.5")}
    audit(facts, [check("some-check", sql="SELECT 1 FROM two WHERE $words < $share", limits=limits)])
    assert facts.asked == [{"words": 200, "share": 0.5}]
    assert [type(limit) for limit in facts.asked[0].values()] == [int, float]


def test_rows_that_say_no_place_are_refused():
    with pytest.raises(Rejected, match="neither page_key nor url, but title"):
        issue_sql(check("some-check", sql="SELECT title FROM html_page"), ["title"])
