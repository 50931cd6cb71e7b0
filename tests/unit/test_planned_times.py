"""For when what a release says is planned: a page for its first market, a trial from its approval to the very end."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from release_case import revision_of, write_releases

from caravan.core.release import PayloadKey
from caravan.functions.release.planning import SEED, publications, seeds
from caravan.functions.release.recipients import Recipient

DAY = datetime(2026, 11, 25)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_releases(tmp_path)
    return tmp_path


def payload_key(market: str, locale: str, outlet: str = "site") -> PayloadKey:
    return PayloadKey("spring", 1, outlet, market, locale, "c0ffee")


def test_a_page_is_there_when_the_first_of_its_markets_is_to_have_it(config):
    keys = [payload_key(*of) for of in (("DE", "de"), ("BR", "en"), ("AE", "en"), ("AE", "ar"), ("US", "en"))]
    planned = {each.key.target: each for each in publications(revision_of(config), {key: {} for key in keys})}
    assert {locale: (each.planned_for, each.market_code) for locale, each in planned.items()} == {
        "de": (DAY.replace(hour=8, minute=30), "DE"),
        "en": (DAY.replace(hour=5, minute=30), "AE"),
        "ar": (DAY.replace(hour=5, minute=30), "AE"),
    }
    assert {each.not_after - each.planned_for for each in planned.values()} == {timedelta(hours=4)}


def test_a_trial_is_planned_from_its_approval_until_nobody_can_get_the_release_any_more(config):
    release, people = revision_of(config).release, [Recipient("qa@example.com", 2, None, None, None, False, None)]
    keys = [payload_key(market, locale, "letters") for market, locale in (("AE", "ar"), ("AE", "en"), ("BR", "en"))]
    found = list(seeds(release, keys, "letters", people, ["first_name"], DAY - timedelta(days=3)))
    assert [each.key.target for each in found] == [f"{SEED} {locale} qa@example.com" for locale in ("ar", "en")]
    # 09:30 where the day ends last on earth, and four hours more.
    assert {(each.planned_for, each.not_after) for each in found} == {
        (DAY - timedelta(days=3), DAY + timedelta(days=1, hours=1, minutes=30))
    }
    assert [each.payload["variables"] for each in found] == [{"first_name": "first_name"}] * 2
