"""What a client of Search Console has to keep to, over real HTTP with a stand-in that the API's own document judges."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from search_world import DAY, PAGES, Service, at, begun, counted, searches, truth

from caravan.clients.http.limits import Limits
from caravan.core.connections import Connection
from caravan.core.errors import CaravanError, Misconfigured, Rejected, Retryable
from caravan.core.search import Measures, ended_at, local_date
from caravan.demo.servers.search_console import Console, Search, serve_console

SEARCHES = searches()
DOCUMENT = json.loads(
    resources.files("googleapiclient").joinpath("discovery_cache/documents/searchconsole.v1.json").read_text("utf-8")
)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Console, Connection]]:
    console = Console()
    with serve_console(console) as connection:
        yield console, connection


@pytest.fixture
def service(served: tuple[Console, Connection], tmp_path: Path) -> Service:
    return begun(*served, tmp_path)


def check(service: Service) -> None:
    """What a stand-in that is not as documented must fail."""
    service.console.put(DAY, *SEARCHES)
    service.console.put(DAY + timedelta(days=1), *searches(seed=2, count=20))
    service.console.page_most = 17
    found, duplicates = service.day()
    assert counted(found) == truth(SEARCHES)
    assert duplicates == 0
    later = service.days(DAY, 3)
    assert {day: total.measures for day, total in later.items()} == {
        DAY: Measures(*truth(SEARCHES)["day"][()]),
        DAY + timedelta(days=1): Measures(*truth(searches(seed=2, count=20))["day"][()]),
    }


# What a day holds


def test_a_day_is_whole_however_it_is_cut_into_pages(service):
    check(service)
    expected = truth(SEARCHES)
    assert len(expected["query"]) > 40 and len(expected["page"]) > 40, "more than one page of each"
    assert all(row["site_code"] == "demo" and row["search_local_date"] == DAY for row in service.day()[0])
    assert sum(each[1] for each in expected["query"].values()) < expected["day"][()][1], "rare queries are left out"


@pytest.mark.parametrize("page_size", [1, 5, 25_000])
def test_the_size_of_pages_changes_nothing(service, page_size):
    service.console.put(DAY, *SEARCHES[:12])
    assert counted(service.day(page_size=page_size)[0]) == truth(SEARCHES[:12])


def test_what_is_beyond_the_most_rows_of_a_day_is_not_there_and_the_totals_are(service):
    service.console.put(DAY, *SEARCHES)
    service.console.day_most = 16
    found = counted(service.day()[0])
    expected = truth(SEARCHES)
    assert found["day"] == expected["day"]
    assert found["country_device"] == expected["country_device"]
    assert len(found["query"]) == len(found["page"]) == 16
    assert found["page"].items() <= expected["page"].items()


def test_a_day_of_rare_queries_alone_has_no_query(service):
    service.console.put(DAY, *(search for search in SEARCHES if search.is_rare))
    found = counted(service.day()[0])
    assert found.keys() == {"day", "country_device", "country_device_by_page", "page"}


@pytest.mark.parametrize("dimension", ["PAGE", "COUNTRY"])
def test_a_day_with_impressions_and_without_a_page_or_a_country_is_none(service, dimension):
    def emptied(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "rows": []} if body["dimensions"][0] == dimension else answer

    service.console.put(DAY, *SEARCHES)
    service.console.change = emptied
    with pytest.raises(Rejected, match=r"ANSWER_INCOMPLETE: .* sent no row of .* for 2026-11-10, which"):
        service.day()


def test_rows_that_change_places_between_two_pages_are_counted_once(service):
    service.console.put(DAY, *SEARCHES)
    kept: list[dict[str, Any]] = []

    def unstable(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if body["dimensions"] == ["PAGE", "COUNTRY", "DEVICE"] and answer.get("rows"):
            kept.append(answer["rows"][-1])
            if len(kept) == 2:
                return {**answer, "rows": [kept[0], *answer["rows"][1:]]}
        return answer

    service.console.change = unstable
    found, duplicates = service.day(page_size=20)
    assert duplicates == 1
    assert len(counted(found)["page"]) == len(truth(SEARCHES)["page"]) - 1


def test_equal_days_have_an_equal_hash(service):
    def content_hash(**settings: Any) -> str:
        with service.open(**settings) as client:
            total = service.days()[DAY]
            with client.day(DAY, total, datetime(2026, 11, 20)) as found:
                return found.content_hash

    service.console.put(DAY, *SEARCHES)
    first = content_hash()
    service.console.restate(DAY, *reversed(SEARCHES))
    assert content_hash(page_size=7) == first
    service.console.put(DAY, SEARCHES[0])
    assert content_hash() != first


def test_positions_are_kept_as_their_sum(service):
    service.console.put(
        DAY, Search("tea", "deu", "MOBILE", {PAGES[0]: 3}, 19), Search("tea", "deu", "MOBILE", {PAGES[0]: 7}, 3)
    )
    assert counted(service.day()[0])["query"] == {("DE", "DE", "mobile", "tea"): (0, 22, 3 * 19 + 7 * 3)}


# Days that come late


def test_the_newest_days_are_not_there_yet_or_not_final(service):
    for offset in range(4):
        service.console.put(DAY + timedelta(days=offset), SEARCHES[0])
    at(service.console, DAY + timedelta(days=3))
    days = [DAY + timedelta(days=offset) for offset in range(4)]
    assert [(day, total.is_final) for day, total in service.days(DAY, 4).items()] == [(days[0], True)]
    with_fresh = service.days(DAY, 4, data_state="all")
    assert [(day, with_fresh[day].is_final) for day in sorted(with_fresh)] == [
        *((day, day == days[0]) for day in days),
    ]


def test_a_day_without_data_is_none_with_zeros(service):
    service.console.put(DAY, SEARCHES[0])
    assert list(service.days(DAY - timedelta(days=2), 5)) == [DAY]
    assert service.days(DAY - timedelta(days=2), 1) == {}


def test_a_day_ends_at_midnight_in_california():
    assert ended_at(date(2026, 11, 1)) == datetime(2026, 11, 2, 8)
    assert ended_at(date(2026, 7, 1)) == datetime(2026, 7, 2, 7)
    assert local_date(datetime(2026, 7, 2, 6, 59)) == date(2026, 7, 1)
    assert local_date(datetime(2026, 11, 2, 8)) == date(2026, 11, 2)


# The API's own document


def schema(name: str) -> dict[str, Any]:
    """A schema of the document as JSON Schema, in which no property is unknown."""

    def converted(node: Any) -> Any:
        if isinstance(node, list):
            return [converted(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return {"$ref": f"#/$defs/{node['$ref']}"}
        found = {key: converted(value) for key, value in node.items() if key not in ("id", "description", "format")}
        return {**found, "additionalProperties": False} if node.get("type") == "object" else found

    return {"$ref": f"#/$defs/{name}", "$defs": {key: converted(each) for key, each in DOCUMENT["schemas"].items()}}


REQUEST, ANSWER = (Draft202012Validator(schema(f"SearchAnalyticsQuery{each}")) for each in ("Request", "Response"))


def test_requests_and_answers_are_as_the_document_says(service):
    check(service)
    service.day(data_state="all")
    at(service.console, DAY + timedelta(days=1))
    service.days(DAY, 2, data_state="all")
    assert len(service.console.requests) > 30
    assert any("metadata" in answer for answer in service.console.answers)
    for body in service.console.requests:
        assert not list(REQUEST.iter_errors(body)), body
    for answer in service.console.answers:
        assert not list(ANSWER.iter_errors(answer)), answer
    assert DOCUMENT["resources"]["searchanalytics"]["methods"]["query"]["httpMethod"] == "POST"


@pytest.mark.parametrize(
    "wrong",
    [
        {"startDate": "2026-11-10", "endDate": "2026-11-10", "dimensions": ["query"]},
        {"startDate": "2026-11-10", "endDate": "2026-11-10", "row_limit": 5},
        {"startDate": "2026-11-10", "endDate": "2026-11-10", "rowLimit": "5"},
    ],
)
def test_the_document_finds_a_wrong_request(wrong):
    assert list(REQUEST.iter_errors(wrong))


def test_each_request_asks_for_one_day_and_one_breakdown_and_never_for_page_and_query(service):
    service.console.put(DAY, *SEARCHES)
    service.day()
    asked = Counter(tuple(body["dimensions"]) for body in service.console.requests)
    assert asked == {
        ("DATE",): 2,
        ("COUNTRY", "DEVICE"): 4,
        ("QUERY", "COUNTRY", "DEVICE"): 2,
        ("PAGE", "COUNTRY", "DEVICE"): 2,
    }, "each until an answer has no row"
    assert {(body["startDate"], body["endDate"]) for body in service.console.requests} == {(str(DAY), str(DAY))}
    assert {(body["rowLimit"], body["type"]) for body in service.console.requests} == {(25_000, "WEB")}


def test_both_spellings_of_how_it_was_counted(service):
    service.console.put(DAY, *SEARCHES)
    service.console.camel = True
    assert counted(service.day()[0]) == truth(SEARCHES)


# Quotas and failures


@pytest.mark.parametrize(
    ("refusals", "pauses"),
    [
        ([(429, "rateLimitExceeded")], [0.5]),
        ([(403, "userRateLimitExceeded"), None, (403, "rateLimitExceeded")], [0.5, 0.5]),
        ([(500, "backendError"), (503, "backendError")], [0.5, 1]),
        ([(401, "authError")], [0]),
    ],
    ids=["a minute's quota", "as 403", "servers", "token"],
)
def test_refusals_that_pass(service, refusals, pauses):
    service.console.put(DAY, *SEARCHES)
    service.console.refusals.extend(refusals)
    assert counted(service.day()[0]) == truth(SEARCHES)
    assert service.pauses == pauses


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize("reason", ["quotaExceeded", "dailyLimitExceeded"])
def test_a_load_quota_is_left_alone_for_a_quarter_of_an_hour(service, status, reason):
    service.console.put(DAY, *SEARCHES)
    service.console.refusals.extend([None, None, None, (status, reason)])
    with pytest.raises(Retryable, match=rf"answered {status} \({reason}\) and asks to wait 900 s") as failed:
        service.day()
    assert failed.value.after == timedelta(minutes=15)
    assert service.pauses == []
    assert not list(service.folder.iterdir()), "nothing is kept of half a day"


@pytest.mark.parametrize(
    ("refusal", "error", "word", "times"),
    [
        (
            (403, "forbidden"),
            Misconfigured,
            r"answered 403 \(forbidden\): its key, secret or rights are not accepted",
            2,
        ),
        ((400, "invalidParameter"), Rejected, r"REQUEST_REFUSED: .* answered 400 \(invalidParameter\)", 1),
        ((404, "notFound"), Rejected, "NOT_FOUND", 1),
        ((500, "backendError"), Retryable, r"answered 500; tried 4 times", 4),
        ((429, "rateLimitExceeded"), Retryable, r"answered 429 \(rateLimitExceeded\); tried 4 times", 4),
    ],
)
def test_refusals_that_do_not_pass(service, caplog, refusal, error, word, times):
    service.console.put(DAY, *SEARCHES)
    service.console.refusals.extend([refusal] * 10)
    with caplog.at_level(logging.DEBUG, "caravan"), pytest.raises(error, match=word) as failed:
        service.day()
    assert len(service.console.faults.requests) == times
    assert f"connection {service.connection.conn_id}" in str(failed.value)
    told = str(failed.value) + "".join(record.getMessage() for record in caplog.records if "caravan" in record.name)
    assert not [secret for secret in service.connection.secrets if len(secret) > 20 and secret in told]


@pytest.mark.parametrize(
    ("fault", "error", "word"),
    [
        ("html", Rejected, "NOT_JSON"),
        ("error_body", Rejected, "ANSWER_UNEXPECTED"),
        ("endless", Rejected, "ANSWER_TOO_LARGE"),
        ("dripping", Retryable, "was still sending"),
        ("cut", Retryable, "cut off"),
        ("lost", Retryable, "does not answer"),
        ("elsewhere", Misconfigured, "is redirected to other.invalid, which is not followed"),
    ],
)
def test_answers_that_are_none(service, fault, error, word):
    service.console.put(DAY, *SEARCHES)
    service.console.faults.always = fault
    limits = Limits(attempts=2, page_bytes=1 << 20, page_seconds=1 if fault == "dripping" else 20, first_wait_seconds=0)
    with pytest.raises(error, match=word):
        service.day(limits=limits)


# The suite itself


def renamed(old: str, new: str) -> Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]:
    def change(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        rows = [{new if name == old else name: value for name, value in row.items()} for row in answer.get("rows", [])]
        return {new if name == old else name: value for name, value in {**answer, "rows": rows}.items()}

    return change


def of_rows(change: Callable[[dict[str, Any], list[Any]], list[Any]]) -> Callable[..., dict[str, Any]]:
    return lambda body, answer: {**answer, "rows": change(body, answer.get("rows", []))}


MUTANTS: dict[str, Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]] = {
    **{f"{name} renamed": renamed(name, f"{name}s") for name in ("keys", "clicks", "impressions", "position", "rows")},
    "how it was counted renamed": renamed("responseAggregationType", "aggregation"),
    "counted otherwise": lambda body, answer: {**answer, "responseAggregationType": "BY_NEWS_SHOWCASE_PANEL"},
    "error with 200": lambda body, answer: {"error": {"code": 500, "message": "Internal error"}},
    "a row left out": of_rows(lambda body, rows: rows[:-1]),
    "clicks as words": of_rows(lambda body, rows: [{**row, "clicks": "many"} for row in rows]),
    "impressions of a half": of_rows(
        lambda body, rows: [{**row, "impressions": row["impressions"] / 2} for row in rows]
    ),
    "positions from 0": of_rows(lambda body, rows: [{**row, "position": row["position"] - 1} for row in rows]),
    "keys in another order": of_rows(lambda body, rows: [{**row, "keys": row.get("keys", [])[::-1]} for row in rows]),
    "no rows": of_rows(lambda body, rows: []),
    "days of another year": of_rows(
        lambda body, rows: [{**row, "keys": ["2020-01-01"]} if body["dimensions"] == ["DATE"] else row for row in rows]
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_checks_find_a_service_that_is_not_as_documented(service, mutant):
    service.console.change = MUTANTS[mutant]
    with pytest.raises((AssertionError, KeyError, CaravanError)):
        check(service)


def test_the_checks_find_a_page_that_is_repeated(service, monkeypatch):
    as_it_should = service.console.answer
    monkeypatch.setattr(service.console, "answer", lambda body: as_it_should({**body, "startRow": 0}))
    with pytest.raises(Rejected, match=r"ANSWER_UNEXPECTED|PAGE_REPEATED"):
        check(service)
    monkeypatch.setattr(
        service.console,
        "answer",
        lambda body: as_it_should({**body, "startRow": 0} if "PAGE" in body["dimensions"] else body),
    )
    with pytest.raises(Rejected, match="PAGE_REPEATED"):
        service.day()
