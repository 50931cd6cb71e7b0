"""Pages that are refused, or elsewhere for a night: they stand as they were, and a site of them is not compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq
import pytest
from fixture_site import ORIGIN
from paper_nights import (
    CHECKS,
    FOUND,
    GOOD,
    HOME,
    LEAVES,
    REFUSED,
    WHOLE,
    Of,
    links,
    of_hub,
)

from caravan.clients.crawl.runs import AWAY, LITTLE


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_to_who_could_read_it_before_is_told_the_same_night(
    nights: Of, refused: Mapping[str, Any]
) -> None:
    several = nights("title-missing", "response-4xx", "link-broken-internal")
    site = {**LEAVES, "/": links(*LEAVES, "/b"), "/b": {"html": "<!doctype html><p>text</p>"}}
    of_itself = ("response-4xx", "/b"), ("link-broken-internal", "/b")
    several.night(site)
    for change in ("new", "still"):
        assert several.night({**site, "/b": refused}).certificate.is_complete
        told = {("title-missing", "/b"): ("open", "unverified"), **dict.fromkeys(of_itself, ("open", change))}
        assert several.issues() == told
        rows = pq.read_table(several.folder / "page", filters=[("url", "=", f"{ORIGIN}/b")]).to_pylist()
        assert [(row["status_code"], row["kept_status_code"]) for row in rows] == [(refused["status"], 200)]
    several.night(site)
    assert several.issues() == {("title-missing", "/b"): ("open", "still"), **dict.fromkeys(of_itself, ("fixed",) * 2)}


@pytest.mark.parametrize("status", [400, 404, 405, 410, 418])
def test_another_4xx_is_an_answer_of_the_page(nights: Of, status: int) -> None:
    several = nights(*CHECKS)
    several.night(WHOLE)
    several.night({**WHOLE, "/b": {"status": status}})
    assert of_hub(several)["index-noindex", "/n"] == "fixed"
    rows = pq.read_table(several.folder / "page", filters=[("url", "=", f"{ORIGIN}/b")]).to_pylist()
    assert [(row["status_code"], row["kept_status_code"]) for row in rows] == [(status, None)]


def test_what_was_never_to_be_read_stands_for_nothing(nights: Of) -> None:
    several = nights("response-4xx", "title-missing")
    site = {**LEAVES, "/": links(*LEAVES, "/b"), "/b": REFUSED["403"]}
    for change in (None, "still"):
        several.night(site)
        assert several.issues() == {("response-4xx", "/b"): ("open", change)}
        rows = pq.read_table(several.folder / "page", filters=[("url", "=", f"{ORIGIN}/b")]).to_pylist()
        assert [(row["status_code"], row["kept_status_code"]) for row in rows] == [(403, None)]


def test_a_site_that_shows_little_to_anybody_can_be_compared(nights: Of) -> None:
    several = nights("response-4xx")
    members = {f"/account/{number}": REFUSED["401"] for number in range(60)}
    for _ in range(2):
        assert several.night({**LEAVES, "/": links(*LEAVES, *members), **members}).certificate.is_complete
    assert set(several.issues().values()) == {("open", "still")}


def test_a_night_in_which_most_is_refused_ends_nothing_and_is_no_night_to_compare_with(nights: Of) -> None:
    several = nights(*CHECKS)
    several.night(WHOLE)
    baseline = several.folder
    record = several.night({**WHOLE, **dict.fromkeys(WHOLE, REFUSED["403"]), "/": HOME})
    assert (record.certificate.stopped, record.certificate.is_complete) == (LITTLE, False)
    assert several.before.crawl == baseline
    assert several.changed("fixed", "gone") == set()
    several.night(WHOLE)
    assert of_hub(several) == dict.fromkeys(FOUND, "still")


def sent(to: str, status: int = 302) -> dict[str, Any]:
    return {"status": status, "headers": {"Location": to}}


THERE = [path for path in WHOLE if path not in ("/r", "/m")]


@pytest.mark.parametrize("status", [302, 303, 307])
@pytest.mark.parametrize("to", ["/away", "/away?from={path}"])
def test_a_site_that_is_elsewhere_for_a_night_ends_nothing(nights: Of, status: int, to: str) -> None:
    several = nights(*CHECKS)
    several.night(WHOLE)
    baseline = several.folder
    away = {path: sent(to.format(path=path), status) for path in THERE}
    places = dict.fromkeys((to.format(path=path) for path in THERE), GOOD)
    for _ in range(2):
        record = several.night({**WHOLE, **places, **away})
        assert (record.certificate.stopped, record.certificate.is_complete) == (AWAY, False)
        assert several.before.crawl == baseline and several.changed("fixed", "gone") == set()
    several.night(WHOLE)
    assert of_hub(several) == dict.fromkeys(FOUND, "still")


@pytest.mark.parametrize(
    ("tonight", "stopped"),
    [
        ({path: sent("/away") for path in list(LEAVES)[:17]}, None),
        ({path: sent("/away") for path in list(LEAVES)[:18]}, AWAY),
        ({path: sent("/away") for path in list(LEAVES)[:17]} | {"/m": sent("/away"), "/r": sent("/away")}, None),
        ({path: sent(f"/moved{path}") for path in LEAVES}, None),
        ({path: sent("/de" if int(path[6:]) % 2 else "/en") for path in LEAVES}, AWAY),
        ({path: sent("/away", 301) for path in LEAVES}, None),
        ({path: sent("/away", 308) for path in LEAVES}, None),
        ({"/": links("/b", *LEAVES, *(f"/new/{number}" for number in range(60)))}, None),
    ],
    ids=["half", "more", "not 200 before", "page by page", "by market", "for good", "for good, 308", "new ones"],
)
def test_when_a_site_is_elsewhere(nights: Of, tonight: Mapping[str, Any], stopped: str | None) -> None:
    several = nights("response-4xx")
    several.night(WHOLE)  # of which 35 answer 200
    places = dict.fromkeys(["/away", "/de", "/en", *(f"/moved{path}" for path in LEAVES)], GOOD)
    new = {f"/new/{number}": sent("/away") for number in range(60)}
    assert several.night({**WHOLE, **places, **new, **tonight}).certificate.stopped == stopped
