"""Google Search Console, asked day by day: `searchanalytics.query` of the API searchconsole v1.

The address and the form of a request come from the discovery document that google-api-python-client ships, so nothing
is fetched to build one. It is sent by our own caller: the library's transport knows no limit of size or time, and takes
another list of certificates than every other client here.

A day is asked five times, each for one breakdown, which is how Google wants it (Getting your performance data,
developers.google.com/webmaster-tools/v1/how-tos/all-your-data): queries over one day with few dimensions cost little of
the quota. Page and query are never asked for together: that is the dearest of queries, and loses the most rows.

What comes is not everything: at most 50,000 rows a day, those with the most clicks, and no row for a query that too few
people made. The totals come without page and query, and lack nothing: what the rows lack is the difference.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

import httplib2
from googleapiclient.discovery import build

from caravan.clients.http.address import root_url
from caravan.clients.http.caller import Caller
from caravan.clients.http.limits import USUAL, Limits
from caravan.clients.search.answers import Row, read_row, require_success
from caravan.clients.search.credentials import GoogleKey
from caravan.clients.search.rows import SEARCH_TYPE, RowFile
from caravan.core.connections import Connection
from caravan.core.errors import Rejected
from caravan.core.search import Breakdown, DayTotal, SearchDay
from caravan.core.window import DayRange

ROOT = "https://searchconsole.googleapis.com"
PAGE_SIZE = 25_000
"""The most rows that one answer holds."""
KINDS = ("google_cloud_platform", "http", "https")
"""The types that the connection may have."""

Aggregation = Literal["AUTO", "BY_PROPERTY", "BY_PAGE"]


@dataclass(frozen=True)
class Question:
    """`dimensions`: in the order in which a row's keys come. `counted`: as what the answer says it is counted."""

    breakdown: Breakdown
    dimensions: tuple[str, ...]
    asked: Aggregation
    counted: Aggregation


QUESTIONS = (
    Question("country_device", ("country", "device"), "BY_PROPERTY", "BY_PROPERTY"),
    Question("country_device_by_page", ("country", "device"), "BY_PAGE", "BY_PAGE"),
    Question("query", ("query", "country", "device"), "BY_PROPERTY", "BY_PROPERTY"),
    # With pages only AUTO may be asked for, and means BY_PAGE.
    Question("page", ("page", "country", "device"), "AUTO", "BY_PAGE"),
)
_BY_DAY = Question("day", ("date",), "BY_PROPERTY", "BY_PROPERTY")


@dataclass(frozen=True)
class SearchConsole:
    """A `SearchSource`. `markets`: by country (alpha-2), the code of its market. `folder`: scratch space."""

    site: str
    property_url: str
    data_state: Literal["final", "all"]
    markets: Mapping[str, str]
    folder: Path
    caller: Caller
    page_size: int = PAGE_SIZE

    def days(self, span: DayRange) -> Mapping[date, DayTotal]:
        """One query, which also says from which day on Google is still counting."""
        found: dict[date, DayTotal] = {}
        for answer, rows in self._pages(_BY_DAY, span.first, span.end - timedelta(days=1)):
            unfinished = self._first_incomplete(answer)
            for row in rows:
                day = self._day(row.keys[0])
                if day in found or not span.first <= day < span.end:
                    raise Rejected("ANSWER_UNEXPECTED", f"{self._where} sent the day {day} out of turn")
                found[day] = DayTotal(row.measures, unfinished is None or day < unfinished)
        return found

    @contextmanager
    def day(self, day: date, total: DayTotal, asked_at: datetime) -> Iterator[SearchDay]:
        path = self.folder / f"{self.site}-{day}.parquet"
        try:
            with closing(RowFile(path, self.site, self.property_url, day, self.markets)) as file:
                file.write("day", [({}, total.measures)], total.is_final)
                duplicates = sum(self._take(question, day, total, file) for question in QUESTIONS)
                content_hash = file.finish()
            yield SearchDay(day, content_hash, asked_at, (path,), file.row_count, duplicates)
        finally:
            with suppress(FileNotFoundError):  # a lake makes a large file part of its table as it is
                os.unlink(path)

    def _take(self, question: Question, day: date, total: DayTotal, file: RowFile) -> int:
        """Write all rows of one breakdown; how many came twice. Only of queries there may be none: all may be rare."""
        seen: set[tuple[str, ...]] = set()
        duplicates = 0
        for _, rows in self._pages(question, day, day):
            new = {row.keys: row for row in reversed(rows) if row.keys not in seen}
            if not new:
                message = f"{self._where} sent one page of {question.breakdown} twice; the day would not end"
                raise Rejected("PAGE_REPEATED", message)
            duplicates += len(rows) - len(new)
            seen |= new.keys()
            named = [(dict(zip(question.dimensions, row.keys, strict=True)), row.measures) for row in new.values()]
            file.write(question.breakdown, named)
        if not seen and total.measures.impressions and question.breakdown != "query":
            message = f"{self._where} sent no row of {question.breakdown} for {day}, which has impressions"
            raise Rejected("ANSWER_INCOMPLETE", message)
        return duplicates

    def _pages(self, question: Question, first: date, last: date) -> Iterator[tuple[Mapping[str, Any], Sequence[Row]]]:
        """Until an answer has no row: a page may be shorter than asked for and not be the last."""
        start = 0
        while True:
            answer = self._query(question, first, last, start)
            given = answer.get("rows", [])
            if not isinstance(given, list):
                raise Rejected("ANSWER_UNEXPECTED", f"{self._where} sent rows that are no list")
            if not given:
                return
            yield answer, [read_row(row, len(question.dimensions), self._where) for row in given]
            start += len(given)

    def _query(self, question: Question, first: date, last: date, start: int) -> Mapping[str, Any]:
        body = {
            "startDate": str(first),
            "endDate": str(last),
            "dimensions": [name.upper() for name in question.dimensions],
            "aggregationType": question.asked,
            "type": SEARCH_TYPE.upper(),
            "dataState": self.data_state.upper(),
            "rowLimit": self.page_size,
            "startRow": start,
        }
        request = _service().searchanalytics().query(siteUrl=self.property_url, body=body)
        path = request.uri.removeprefix(ROOT)
        answer: Mapping[str, Any] = self.caller.post(path, json.loads(request.body), needs=("responseAggregationType",))
        counted = answer["responseAggregationType"]
        # The document has BY_PAGE, some of Google's examples byPage.
        if counted.replace("_", "").lower() != question.counted.replace("_", "").lower():
            message = f"{self._where} counted {counted[:20]!a} where {question.counted} was asked for"
            raise Rejected("ANSWER_UNEXPECTED", message)
        return answer

    def _first_incomplete(self, answer: Mapping[str, Any]) -> date | None:
        """The first day that Google is still counting; told only where such days were asked for."""
        metadata = answer.get("metadata") or {}
        given = metadata.get("firstIncompleteDate") if isinstance(metadata, Mapping) else None
        return None if given is None else self._day(given)

    def _day(self, given: object) -> date:
        try:
            return date.fromisoformat(str(given))
        except ValueError:
            raise Rejected("ANSWER_UNEXPECTED", f"{self._where} sent {str(given)[:20]!a} for a day") from None

    def probe(self) -> str:
        """What a small question showed. Raises as `day`."""
        request = _service().sites().get(siteUrl=self.property_url)
        answer = self.caller.get(request.uri.removeprefix(ROOT), needs=("siteUrl", "permissionLevel"))
        return f"lets us read {self.property_url} ({answer['permissionLevel'][:40]})"

    @property
    def _where(self) -> str:
        return f"connection {self.caller.connection.conn_id}: {self.property_url}"


@contextmanager
def open_search_console(
    connection: Connection,
    site: str,
    property_url: str,
    markets: Mapping[str, str],
    folder: Path,
    *,
    data_state: Literal["final", "all"] = "final",
    limits: Limits = USUAL,
    page_size: int = PAGE_SIZE,
    **caller: Callable[..., Any],
) -> Iterator[SearchConsole]:
    """Asks nothing yet. The connection's host stands in for Google's. `caller`: pause, random and clock of `Caller`.

    Raises Misconfigured.
    """
    if connection.kind not in KINDS:
        raise connection.misconfigured(f"is of the type '{connection.kind}'; Search Console needs `{KINDS[0]}`")
    at_root = replace(connection, host=connection.host or ROOT)
    root_url(at_root)  # before the key is read: it travels encrypted or not at all
    with closing(Caller(at_root, GoogleKey(connection), limits, judge=require_success, **caller)) as opened:
        yield SearchConsole(site, property_url, data_state, markets, folder, opened, page_size)


def try_properties(connection: Connection, properties: Sequence[str], limits: Limits) -> str:
    """Asks what we may read of each, or which there are; what was seen. Raises as `SearchConsole.day`."""
    with open_search_console(connection, "", "", {}, Path(), limits=limits) as console:
        if properties:
            return "; ".join(replace(console, property_url=each).probe() for each in properties)
        answer = console.caller.get(_service().sites().list().uri.removeprefix(ROOT))
        return f"is let in, to {len(answer.get('siteEntry', []))} properties"


@cache
def _service() -> Any:
    """The API as the shipped document describes it: it writes requests and sends none."""
    # An Http object keeps the library from looking for a key of its own on this machine.
    return build(
        "searchconsole",
        "v1",
        http=httplib2.Http(),
        static_discovery=True,
        cache_discovery=False,
        client_options={"api_endpoint": f"{ROOT}/"},
    )
