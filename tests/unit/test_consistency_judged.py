"""What an outlet shows against what was handed over, aspect by aspect; and what is looked at when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from caravan.clients.site.consistency import prices_in
from caravan.core.consistency import Appearance
from caravan.core.outbox import Intention, Key, Message, State
from caravan.functions.release.consistency import Last, compare, due, mutual, newest, with_mutual

NOW = datetime(2026, 11, 25, 12)
HOUR = timedelta(hours=1)
EN, DE = "https://www.example.com/en/a/", "https://www.example.com/de/a/"
POTS = "https://www.example.com/pots"
PAGE = Appearance(
    True, "revision 1, c0ffee", "Autumn  teapots", frozenset({"19 €"}), (POTS,), "en", EN, {"en": EN, "de": DE}
)


def outcomes(expected: Appearance, found: Appearance, answer: int | None = 200) -> dict[str, tuple[str, str]]:
    return {each.aspect: (each.outcome, each.detail) for each in compare(expected, found, lambda url: answer)}


def test_the_same_page_differs_in_nothing():
    found = outcomes(PAGE, replace(PAGE, text="Autumn teapots", links=("https://www.example.com/", POTS)))
    assert list(found) == ["presence", "version", "text", "price", "links", "hreflang", "language"]
    assert {outcome for outcome, _ in found.values()} == {"same"}


@pytest.mark.parametrize(
    ("change", "aspect", "said"),
    [
        ({"is_there": False}, "presence", "is not there"),
        ({"version": "revision 2, c0ffee"}, "version", "shows another version"),
        ({"version": None}, "version", "shows another version"),
        ({"text": "Winter teapots"}, "text", "lacks its title: Autumn  teapots"),
        ({"prices": frozenset({"29 €", "19 €"})}, "price", "shows 19 €, 29 €; approved was 19 €"),
        ({"prices": frozenset()}, "price", "shows none; approved was 19 €"),
        ({"links": ()}, "links", f"lacks {POTS}"),
        ({"alternates": {"en": EN}}, "hreflang", f"lacks de: {DE}"),
        ({"alternates": {"en": EN, "de": DE, "fr": "x"}}, "hreflang", "has besides fr: x"),
        ({"locale": "fr"}, "language", "is in fr, not in en"),
    ],
)
def test_what_differs_is_said_and_nothing_else(change: dict[str, Any], aspect: str, said: str):
    found = outcomes(PAGE, replace(PAGE, **change))
    assert found[aspect] == ("differs", said)
    assert {name for name, (outcome, _) in found.items() if outcome != "same"} == {aspect}


@pytest.mark.parametrize(
    ("answer", "outcome", "said"),
    [
        (200, "same", ""),
        (301, "same", ""),
        (404, "differs", f"{POTS} answers 404"),
        (503, "differs", f"{POTS} answers 503"),
        (None, "unanswered", f"no answer: {POTS}"),
    ],
)
def test_links_have_to_answer(answer, outcome, said):
    assert outcomes(PAGE, PAGE, answer)["links"] == (outcome, said)


@pytest.mark.parametrize(("is_there", "outcome"), [(True, "differs"), (False, "same")])
def test_of_what_was_withdrawn_only_that_counts(is_there, outcome):
    found = outcomes(Appearance(False), replace(PAGE, is_there=is_there))
    assert [(name, each) for name, (each, _) in found.items()] == [("presence", outcome)]


def test_what_an_outlet_does_not_say_is_not_evaluated():
    found = outcomes(PAGE, replace(PAGE, text=None, prices=None, alternates=None, locale=None))
    silent = {"text", "price", "hreflang", "language"}
    assert {name for name, (outcome, _) in found.items() if outcome == "not_evaluated"} == silent


def test_languages_have_to_name_each_other():
    de = replace(PAGE, url=DE, locale="de", alternates={"de": DE, "en": EN, "x-default": EN})
    assert list(mutual([PAGE, de])) == []
    assert list(mutual([PAGE])) == [], "of one that was not read nobody knows"
    assert list(mutual([PAGE, replace(de, alternates={"de": DE})])) == [(EN, "names de, which does not name it")]
    assert list(mutual([PAGE, Appearance(False, url=DE)])) == [(EN, "names de, which is not there")]
    checks = with_mutual(compare(PAGE, PAGE, lambda url: 200), ["names de, which is not there"])
    assert {each.aspect: each.detail for each in checks if each.outcome == "differs"} == {
        "hreflang": "names de, which is not there"
    }


def message(
    target: str = "en", revision: int = 1, state: State = "accepted", outlet: str = "site", left: timedelta = HOUR
) -> Message:
    key = Key("release", "autumn", revision, outlet, target)
    return Message(Intention(key, NOW - left, NOW + HOUR, "c"), state, 1, NOW - left, changed_at=NOW - left)


def test_only_the_newest_revision_is_held_to_anything_and_only_when_it_is_known():
    pages = [message(), message(revision=2), message("de", 1), message("de", 2, "unknown"), message(outlet="blog")]
    assert [each.key for each in newest(pages)] == [message(revision=2).key, message(outlet="blog").key]


@pytest.mark.parametrize(
    ("last", "is_due"),
    [
        (None, True),
        (Last(NOW - HOUR, "same"), False),
        (Last(NOW - HOUR, "not_evaluated"), False),
        (Last(NOW - HOUR, "differs"), True),
        (Last(NOW - HOUR, "unanswered"), True),
        (Last(NOW - 13 * HOUR, "same"), True),
    ],
)
def test_once_a_day_and_each_hour_while_something_is_wrong(last, is_due):
    pages = [message(), message("de")]
    seen = {pages[0].message_id: last} if last else {}
    seen |= {pages[1].message_id: Last(NOW - HOUR, "same")}
    assert due(pages, seen, NOW) == (pages if is_due else []), "all languages of a release together"


def test_what_has_just_left_is_not_looked_at_yet():
    assert due([message(left=timedelta(minutes=4))], {}, NOW) == []
    assert due([message(left=timedelta(minutes=5))], {}, NOW) != []


def test_where_no_amount_is_seen_nothing_is_called_the_same():
    none = replace(PAGE, prices=frozenset())
    assert outcomes(none, none)["price"] == ("not_evaluated", "no amount with a currency is there to compare")


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ("from 1.299,00 € to 19 EUR", ("1.299,00 €", "19 EUR")),
        ("السعر 19.99 درهم فقط", ("19.99 درهم",)),
        ("nur 5 Euro, statt 7 euros", ("5 Euro", "7 euros")),
        ("nu 99,- kr eller 99:- idag", ("99,- kr", "99:-")),
        ("Rs. 500 and Rs 1,50,000", ("Rs. 500", "Rs 1,50,000")),
        ("\uff11\uff10\uff10\uff10\u5186\u3067\u3059", ("1000\u5186",)),
        ("\u0661\u0669 \u062f\u0631\u0647\u0645", ("\u0661\u0669 \u062f\u0631\u0647\u0645",)),
        ("19 €, again 19 €", ("19 €",)),
        ("on 24 December 2026 at 9:30, pages 5-7, you were 5:-)", ()),
        ("Europe 2026, kroner", ()),
    ],
)
def test_amounts_are_seen_as_shops_write_them(shown: str, found: tuple[str, ...]) -> None:
    assert prices_in(shown) == found
