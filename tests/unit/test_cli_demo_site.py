"""The demo's judgement of web sites: what was planted was found, and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date

import pytest
from rich.console import Console

from caravan.cli.demo_site import SiteNight, Visited, _differences, _wrong_changes, sites_table, told
from caravan.demo.site import journal
from caravan.demo.site.planted import GONE, PLANTS, issue_changes, night
from caravan.demo.site.planting import differences
from caravan.demo.site.words import MARKETS

GOOD = {("title-missing", "/a/"), ("url-space", "/b%20c/")}
NIGHT = SiteNight("kontor", 1, 12, GOOD, GOOD)


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (GOOD, []),
        ({("url-space", "/b%20c/")}, ["  kontor, night 1: title-missing was not found at /a/"]),
        ({*GOOD, ("title-empty", "/a/")}, ["  kontor, night 1: title-empty was invented at /a/"]),
    ],
)
def test_every_difference_is_named(found: set[tuple[str, str]], lines: list[str]) -> None:
    assert list(_differences(replace(NIGHT, found=found))) == lines
    by_check: dict[str, set[str]] = {}
    for check, path in found:
        by_check.setdefault(check, set()).add(path)
    assert len(differences(by_check, GOOD)) == len(lines)


def test_changes_are_compared_with_those_of_the_world() -> None:
    nights = [SiteNight("kontor", number, planted=night(number, {}).planted) for number in (1, 2)]
    ought = Counter(change for change, _, _ in issue_changes(nights[0].planted, nights[1].planted))
    assert min(ought[change] for change in ("new", "fixed", "gone", "still")) >= 1
    nights[1].changes = ought
    assert list(_wrong_changes(nights)) == []
    nights[1].changes = ought | Counter(new=ought["new"] + 1)
    assert list(_wrong_changes(nights)) == [f"  kontor: {ought['new'] + 1} issues are new, not {ought['new']}"]


def test_table_and_sentence_say_what_was_planted_and_found() -> None:
    found = Visited([NIGHT], {date(2026, 11, 1): ((3, 40), (3, 40))})
    console = Console(width=200)
    with console.capture() as capture:
        console.print(sites_table(found))
    assert ["kontor", "1", "12", "2", "2"] in [line.split() for line in capture.get().splitlines()]
    assert "all 2 planted defects" in told(found) and "3 clicks and 40 impressions" in told(found)


def test_the_shop_speaks_five_languages_in_eight_markets() -> None:
    assert len(MARKETS) == 8 and len({market.language for market in MARKETS.values()}) == 5
    pages = night(1, {}).shop.pages.values()
    kinds = {(page.market.code, page.kind) for page in pages}
    assert {(code, kind) for code in MARKETS for kind in ("home", "range", "product", "service", "guide")} <= kinds
    assert len(pages) < 400


def test_what_goes_is_planted_in_the_first_night_alone() -> None:
    first, second = (night(number, {}).planted for number in (1, 2))
    assert first >= GONE and not GONE & second
    assert len({plant.path for plant in PLANTS if plant.market and not plant.on}) == len(
        [plant for plant in PLANTS if plant.market and not plant.on]
    )


def test_each_defect_of_the_journal_is_judged_once() -> None:
    judged = journal.judged()
    assert not judged["found"].keys() & judged["beyond"].keys()
    assert len(journal.found_by_checks()) > 80
