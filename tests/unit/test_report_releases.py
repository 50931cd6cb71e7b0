"""What left and what is to leave: pages say what became of messages, and to nobody whose they were."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import report_world as world

from caravan import SQL_DIR
from caravan.core.outbox import SUPERSEDED, Traffic
from caravan.reporting.outgoing import Released
from caravan.reporting.report import render
from caravan.warehouse.catalog import load_models
from caravan.warehouse.lake import Lake

PROMISED = datetime(2026, 11, 20, 9, 30)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def message(number: int, state: str, late: timedelta | None = None, **change: Any) -> dict[str, Any]:
    row = {
        "message_id": f"{number:032x}", "function": "release", "object_id": "autumn", "revision": 1, "outlet": "letter",
        "market_code": "DE", "locale": "de-DE", "content_hash": "c", "state": state, "attempt": 1,
        "planned_for": PROMISED, "not_after": PROMISED + HOUR, "due_at": PROMISED, "changed_at": PROMISED + HOUR,
        "planned_at": PROMISED - HOUR, "changed_seq": number, "reason": None, "purpose": None,
        "handed_over_at": None if late is None else PROMISED + late,
    }  # fmt: skip
    row |= change
    return row | {"planned_date": row["planned_for"].date()}


MESSAGES = [
    message(1, "accepted", 2 * SECOND),
    message(2, "accepted", 60 * SECOND, market_code="GB"),
    message(3, "accepted", 3605 * SECOND, outlet="site"),
    message(4, "missed"),
    message(5, "skipped"),
    message(6, "rejected", SECOND),
    message(7, "operator", SECOND),
    message(8, "operator", SECOND, changed_at=PROMISED + 2 * HOUR),
    message(9, "accepted", 0 * SECOND, object_id="<winter>", planned_for=PROMISED - 24 * HOUR, handed_over_at=PROMISED),
    message(10, "planned", object_id="spring", revision=12, planned_for=PROMISED + 240 * HOUR),
    message(
        12,
        "accepted",
        SECOND,
        object_id="price",
        planned_for=PROMISED - HOUR,
        handed_over_at=PROMISED - HOUR,
        purpose="news",
    ),
    *(
        message(13 + number, "cancelled", object_id="price", planned_for=PROMISED - HOUR, **of)
        for number, of in enumerate(
            (
                {"market_code": "AE", "reason": SUPERSEDED, "purpose": "news"},
                {"market_code": "GB", "reason": SUPERSEDED},  # a page: the newer revision has it
                {"market_code": "FR", "reason": "taken off its list", "purpose": "news"},
            )
        )
    ),
    message(11, "operator", SECOND, function="service", outlet="desk", object_id="ticket-7"),
]


LOOKED = PROMISED + 2 * HOUR


def look(page: int, aspect: str, outcome: str = "same", detail: str | None = None, **change: Any) -> dict[str, Any]:
    row = {
        "message_id": f"{page:032x}", "release_id": "autumn", "revision": 1, "outlet": "site", "market_code": "DE",
        "locale": "de-DE", "aspect": aspect, "outcome": outcome, "detail": detail, "checked_at": LOOKED,
    }  # fmt: skip
    row |= change
    return row | {"check_date": row["checked_at"].date()}


LOOKS = [
    look(20, "presence"),
    look(20, "price", "differs", "shows 29 €; approved was <19 €>"),
    look(20, "language", "not_evaluated", "the outlet does not say"),
    look(21, "presence", outlet="blog"),
    look(21, "links", "differs", "that was an hour ago", outlet="blog", checked_at=LOOKED - HOUR),
    look(22, "presence", "unanswered", "toots answers 503", outlet="toots", locale="en-GB"),
    look(23, "presence", "not_evaluated", "cannot be read back", outlet="hub", locale=None),
    look(24, "presence", "differs", "older than what came after", outlet="sky", revision=1),
    look(25, "presence", outlet="sky", revision=2),
    look(26, "presence", "differs", "a week ago", release_id="<winter>", checked_at=LOOKED - 50 * HOUR),
]


def entry(release_id: str, days: float, markets: str = "DE", **change: Any) -> list[dict[str, Any]]:
    """A row for each market, so many days after the report is written."""
    planned = world.NOW.replace(tzinfo=None) + timedelta(days=days)
    return [
        {
            "release_id": release_id, "revision": 1, "market_code": market, "title": f"On {release_id}",
            "kind": "news", "audience": "public", "action": "publish", "owner": "Maria", "standing": "planned",
            "zone": "UTC", "planned_at": planned, "local_at": planned, "local_date": planned.date(),
            "outlets": "site letter" if market == "DE" else "site", "is_gone": False,
        } | change
        for market in markets.split()
    ]  # fmt: skip


CALENDAR = [
    *entry("spring", 10, "DE GB", revision=12, standing="in_review"),
    *entry("summer", 1, "DE GB FR"),
    *entry("summer", 1.25, "US"),
    *entry("tea", 3, standing="in_review", owner=None, outlets=""),
    *entry("cups", 3, standing="draft", action="withdraw", title="<b>Cups</b>"),
    *entry("autumn", -1, "GB DE"),
    *entry("<winter>", -2),
    *entry("forgotten", -3, standing="in_review", is_gone=True),
    *entry("price", -2.5, "DE GB FR"),
    *entry("price", -2.75, "AE"),
    *entry("long ago", -61),
]
TRAFFIC = [
    Traffic("letter", 3, 2, 0, 1, 2, 1, PROMISED),
    Traffic("off", 0, 0, 1, 0, 1, 0, PROMISED),
    Traffic("posts", 1, 0, 0, 0, 0, 0, None),
    Traffic("press", 0, 0, 0, 2, 0, 0, PROMISED),
    Traffic("shop", 0, 0, 0, 2, 0, 1, PROMISED),
    Traffic("site", 0, 0, 0, 0, 0, 0, PROMISED),
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with world.open_lake(tmp_path_factory.mktemp("report") / "lake") as opened:
        yield opened


def pages(lake: Lake, folder: Path, traffic: Sequence[Traffic] = ()) -> dict[str, str]:
    with lake.read() as session:
        first = render(session, folder, world.NOW, expected=world.EXPECTED, outlets=traffic)
    names = ("releases.html", "calendar.html", "quality.html", "index.html", "products.html")
    return {name: (first.parent / name).read_text() for name in names}


@pytest.fixture(scope="module")
def empty(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return pages(lake, tmp_path_factory.mktemp("empty"))


@pytest.fixture(scope="module")
def site(empty: dict[str, str], lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    catalog = load_models(SQL_DIR)
    with lake.write() as session:
        world.create_models(session, catalog)
        world.insert(session, "ops.outbox", MESSAGES)
        world.insert(session, "ops.release_check", LOOKS)
        world.insert(session, "mart.dim_release", CALENDAR)
        for name in (
            "mart.fct_delivery",
            "mart.fct_release",
            "mart.rpt_release__on_time",
            "mart.rpt_release__consistency",
        ):
            world.build(
                session, catalog, name, PROMISED.date() - timedelta(days=1), PROMISED.date() + timedelta(days=20)
            )
    return pages(lake, tmp_path_factory.mktemp("site"), TRAFFIC)


def rows(page: str, section: str) -> list[list[str]]:
    """The cells of a section's table, as text."""
    (found,) = re.findall(rf'<section id="{section}".*?</section>', page, re.DOTALL)
    table = found.split("<tbody>")[1]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in table.split("</tr>")[:-1]]
    return [[" ".join(re.sub(r"<[^>]+>", "", cell).replace("\xa0", " ").split()) for cell in row] for row in cells]


def test_before_anything_is_planned_it_says_so(empty):
    assert "Nothing has been planned yet" in empty["releases.html"]
    assert "<table" not in empty["releases.html"]
    assert "Nothing has been planned to be sent." in empty["quality.html"]
    assert '<a href="releases.html">Releases</a>' in empty["index.html"]
    assert '<a href="calendar.html">Calendar</a>' in empty["index.html"]
    assert "No release is planned." in empty["calendar.html"]
    assert 'id="outbox"' not in empty["index.html"], "where there is no outbox nothing is said of one"


def test_releases_with_their_counts_the_latest_first(site):
    assert rows(site["releases.html"], "releases") == [
        ["spring rev. 12", "on its way", "–", "1", "0", "1", *"00000", "–", "30 Nov 2026 09:30", "not yet"],
        ["autumn rev. 1", "decision needed", "66.7 % n = 6", "8", "3", "0", "2", "1", "1", "1", "0", "1 h 0 min",
         "20 Nov 2026 09:30", "20 Nov 2026 10:30"],
        ["price rev. 1", "mail taken back", "100.0 % n = 1", "4", "1", *"00000", "3", "0 s", "20 Nov 2026 08:30",
         "20 Nov 2026 08:30"],
        ["&lt;winter&gt; rev. 1", "sent", "0.0 % n = 1", "1", "1", *"000000", "24 h 0 min", "19 Nov 2026 09:30",
         "20 Nov 2026 09:30"],
    ]  # fmt: skip


def test_what_waits_for_a_decision_by_outlet_of_every_function(site):
    assert rows(site["releases.html"], "decisions") == [
        ["letter", "release", "2", "20 Nov 2026 10:30"],
        ["desk", "service", "1", "20 Nov 2026 10:30"],
    ]


def test_what_differs_from_what_was_handed_over_comes_first_and_only_of_the_last_look(site):
    assert rows(site["releases.html"], "consistency") == [
        ["autumn rev. 1", "site", "de-DE", "price", "differs", "shows 29 €; approved was &lt;19 €&gt;",
         "20 Nov 2026 11:30"],
        ["autumn rev. 1", "toots", "en-GB", "presence", "no answer", "toots answers 503", "20 Nov 2026 11:30"],
    ]  # fmt: skip
    (found,) = re.findall(r'<section id="consistency".*?</section>', site["releases.html"], re.DOTALL)
    assert "5 pages and posts of the last days, last looked at 20 Nov 2026 11:30 UTC:" in found
    assert "1 differ, 1 without an answer, 2 as handed over, 1 that cannot be read back." in found


def test_states_are_counted_on_both_pages(site):
    counts = "5 accepted, 3 cancelled, 3 waiting for a decision, 1 missed, 1 planned, 1 rejected, 1 skipped."
    assert f"15 messages: {counts}" in site["releases.html"]
    assert counts in site["quality.html"]
    assert "15 messages, last change 20 Nov 2026 11:30 UTC" in site["quality.html"]


def test_no_message_is_named(site):
    assert not [row for row in MESSAGES if row["message_id"] in "".join(site.values())]


def agenda(page: str, section: str) -> list[tuple[str, list[list[str]]]]:
    """Days, each with what its entries say: time, title, where, state."""
    (found,) = re.findall(rf'<section id="{section}".*?</section>', page, re.DOTALL)
    days = []
    for day in found.split("<h3>")[1:]:
        entries = [re.findall(r"<p[^>]*>(.*?)</p>", each, re.DOTALL) for each in day.split("<li>")[1:]]
        texts = [[" ".join(re.sub(r"<[^>]+>", "", part).split()) for part in entry] for entry in entries if entry]
        days.append((re.sub(r"<[^>]+>", "", day.split("</h3>")[0]), texts))
    return days


def test_the_calendar_shows_coming_releases_by_the_day_of_their_markets(site):
    assert agenda(site["calendar.html"], "coming") == [
        ("Sun, 22 Nov 2026", [
            ["06:10", "On summer", "DE FR GB · site, letter · summer rev. 1, news · Maria", "approved"],
            ["12:10", "On summer", "US · site · summer rev. 1, news · Maria", "approved"],
        ]),
        ("Tue, 24 Nov 2026", [
            ["06:10", "&lt;b&gt;Cups&lt;/b&gt; withdrawal", "DE · site, letter · cups rev. 1, news · Maria",
             "has faults"],
            ["06:10", "On tea", "DE · no outlet · tea rev. 1, news", "not approved"],
        ]),
        ("Tue, 1 Dec 2026", [
            ["06:10", "On spring", "DE GB · site, letter · spring rev. 12, news · Maria", "changed since its approval"],
        ]),
    ]  # fmt: skip


def test_the_calendar_shows_what_became_of_past_ones_the_latest_first(site):
    shown = [(day, entry[1], entry[3]) for day, entries in agenda(site["calendar.html"], "past") for entry in entries]
    assert shown == [
        ("Fri, 20 Nov 2026", "On autumn", "decision needed"),
        ("Thu, 19 Nov 2026", "On &lt;winter&gt;", "sent"),
        ("Wed, 18 Nov 2026", "On price", "sent"),
        ("Wed, 18 Nov 2026", "On price", "mail taken back"),
        ("Wed, 18 Nov 2026", "On forgotten", "not sent"),
    ]


def test_the_first_page_says_how_each_outlet_does(site):
    last = "20 Nov 2026 09:30"
    assert rows(site["index.html"], "outbox") == [
        ["letter", "decision needed", "3", "2", "0", "1", "2", "1", last],
        ["off", "not being sent", "0", "0", "1", "0", "1", "0", last],
        ["posts", "on its way", "1", *"00000", "never"],
        ["press", "some unknown", "0", "0", "0", "2", "0", "0", last],
        ["shop", "some missed", "0", "0", "0", "2", "0", "1", last],
        ["site", "nothing waits", *"000000", last],
    ]
    assert 'Next: <b dir="auto">On summer</b>, 22 Nov 2026 06:10 UTC' in site["index.html"]
    assert 'href="calendar.html">Editorial calendar</a>' in site["index.html"]
    assert 'id="outbox"' not in site["products.html"]


@pytest.mark.parametrize(
    ("counts", "standing"),
    [
        ({"accepted": 1}, "sent"),
        ({"accepted": 1, "rejected": 999}, "refused"),
        ({"accepted": 1, "rejected": 1, "planned": 1}, "refused"),
        ({"rejected": 1, "unknown": 1}, "unknown"),
        ({"accepted": 1, "cancelled": 1}, "sent"),
        ({"accepted": 1, "superseded": 1}, "taken_back"),
        ({"rejected": 1, "superseded": 1}, "refused"),
    ],
)
def test_what_is_said_of_a_release_is_the_worst(counts: dict[str, int], standing: str) -> None:
    names = ("message", "planned", "accepted", "unknown", "missed", "skipped", "rejected", "cancelled", "undecided")
    counted = {f"{name}_count": counts.get(name, 0) for name in (*names, "superseded")}
    timed = {"due_count": None, "on_time_count": None, "most_late_seconds": None}
    released = Released("autumn", 1, first_promised_at=PROMISED, last_handed_over_at=None, **counted, **timed)
    assert released.standing == standing
