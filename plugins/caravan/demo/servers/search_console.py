"""Search Console as its API searchconsole v1 shows it, over searches held in memory.

What it does as documented: a token for a service account's or a user's key, totals counted by property or by page,
rows with the most clicks first and those with as many in no order of their own, pages of at most 25,000 rows and no
more than 50,000 in all, days that appear late and change after that, no row for a query that too few people made, and
refusals for quotas. Days are of the Pacific time zone.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request, Response
from google.auth import jwt

from caravan.core.connections import Connection
from caravan.core.search import local_date
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.serving import serve

PROPERTY = "sc-domain:demo.example"
ACCOUNT = "caravan@demo.iam.gserviceaccount.com"
USER = {"client_id": "demo-client", "client_secret": "demo-client-secret", "refresh_token": "1//demo-refresh-token"}
_MOST_ROWS_A_PAGE = 25_000
_AUDIENCE = "https://oauth2.googleapis.com/token"
"""What google-auth signs, wherever the token is fetched."""
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True)
class Search:
    """So many searches alike. `shown`: our pages in the result, by URL, with their places from 1; `clicked`: how many
    of the searches led to a click on the first of them. `counted_after`: how old the day is, in days, when Google
    counts them. `is_rare`: too few people made it for its query to be named."""

    query: str
    country: str
    device: str
    shown: Mapping[str, int]
    times: int = 1
    clicked: int = 0
    counted_after: int = 0
    is_rare: bool = False


Counts = list[int]
"""Clicks, impressions, sum of positions."""


@dataclass
class Console:
    """`searches`: by day. `faults.clock`: its clock. `lag_days`: how old a day is when it is final; until then it is
    there for whoever asks for all data. `page_most`: rows in an answer, however many are asked for.

    `refusals`: status and reason of the next queries, in turn; None lets one pass. `change`: makes another answer of
    the one to a body. `requests`, `answers`: bodies, for whoever checks them.
    """

    searches: dict[date, list[Search]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    lag_days: int = 2
    page_most: int = _MOST_ROWS_A_PAGE
    day_most: int = 50_000
    refusals: deque[tuple[int, str] | None] = field(default_factory=deque)
    change: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] = lambda body, answer: answer
    camel: bool = False
    """Whether an answer says byPage, as some of Google's examples do, where the document has BY_PAGE."""
    properties: tuple[str, ...] = (PROPERTY,)
    requests: list[dict[str, Any]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def put(self, day: date, *searches: Search) -> None:
        self.searches.setdefault(day, []).extend(searches)

    def restate(self, day: date, *searches: Search) -> None:
        self.searches[day] = list(searches)

    def age(self, day: date) -> int:
        """Days since it ended; below 0 while it lasts."""
        return (local_date(self.faults.now) - day).days - 1

    def counted(self, day: date, data_state: str) -> list[Search]:
        """Those of a day that have been counted so far."""
        age = self.age(day)
        if age < (self.lag_days if data_state == "FINAL" else -1):
            return []
        return [search for search in self.searches.get(day, ()) if search.counted_after <= max(age, 0)]

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        names = body.get("dimensions", [])
        first, last = date.fromisoformat(body["startDate"]), date.fromisoformat(body["endDate"])
        state = body.get("dataState", "FINAL")
        by_page = body.get("aggregationType", "AUTO") == "BY_PAGE" or "PAGE" in names
        days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
        found: dict[tuple[str, ...], Counts] = {}
        for day in days:
            for search in self.counted(day, state):
                for keys, counts in _counted(search, day, names, by_page):
                    sums = found.setdefault(keys, [0, 0, 0])
                    sums[:] = [one + other for one, other in zip(sums, counts, strict=True)]
        rows = sorted(found.items(), key=lambda each: (-each[1][0], _scrambled(each[0])))[: self.day_most]
        start, limit = body.get("startRow", 0), min(body.get("rowLimit", 1000), self.page_most)
        counted = "BY_PAGE" if by_page else "BY_PROPERTY"
        answer: dict[str, Any] = {
            "responseAggregationType": {"BY_PAGE": "byPage", "BY_PROPERTY": "byProperty"}[counted]
            if self.camel
            else counted
        }
        if page := [_row(keys, counts) for keys, counts in rows[start : start + limit]]:
            answer["rows"] = page
        unfinished = [str(day) for day in days if self.age(day) < self.lag_days]
        if state == "ALL" and "DATE" in names and unfinished:
            answer["metadata"] = {"firstIncompleteDate": unfinished[0]}
        return answer


def _counted(
    search: Search, day: date, names: Sequence[str], by_page: bool
) -> Iterator[tuple[tuple[str, ...], Counts]]:
    """By property a result counts once, with our topmost place; by page each page in it counts."""
    if search.is_rare and "QUERY" in names:
        return
    pages = list(search.shown.items())
    if not by_page:
        pages = [("", min(search.shown.values()))]
    for number, (page, position) in enumerate(pages):
        of = {"DATE": str(day), "QUERY": search.query, "PAGE": page, "COUNTRY": search.country, "DEVICE": search.device}
        counts = [search.clicked if number == 0 else 0, search.times, position * search.times]
        yield tuple(of[name] for name in names), counts


def _scrambled(keys: tuple[str, ...]) -> str:
    return hashlib.md5(repr(keys).encode(), usedforsecurity=False).hexdigest()


def _row(keys: tuple[str, ...], counts: Counts) -> dict[str, Any]:
    clicks, impressions, positions = counts
    row: dict[str, Any] = {"keys": list(keys)} if keys else {}
    return {
        **row,
        "clicks": clicks,
        "impressions": impressions,
        "ctr": clicks / impressions,
        "position": positions / impressions,
    }


@contextmanager
def serve_console(
    console: Console, conn_id: str = "search_console_demo", *, as_user: bool = False
) -> Iterator[Connection]:
    """The connection to use: with the key of a service account, or of a user."""
    with serve(application(console)) as url:
        yield account(url, conn_id, as_user=as_user)


def account(url: str, conn_id: str = "search_console_demo", *, as_user: bool = False) -> Connection:
    key: dict[str, str] = {"token_uri": f"{url}/token"}
    if as_user:
        key |= {"type": "authorized_user", **USER}
    else:
        key |= {"type": "service_account", "client_email": ACCOUNT, "private_key": _keys()[0], "private_key_id": "demo"}
    return Connection(conn_id, "google_cloud_platform", host=url, extra={"keyfile_dict": key})


@cache
def _keys() -> tuple[str, str]:
    """A private key and its public one, PEM: made anew in each process, so that none lies in a file."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def application(console: Console) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def told(content: Any, status: int = 200) -> Response:
        body = json.dumps(content)
        return Response(body, status, {"Date": console.faults.date()}, media_type="application/json; charset=UTF-8")

    def refused(status: int, reason: str) -> Response:
        error = {
            "code": status,
            "message": reason,
            "errors": [{"message": reason, "domain": "global", "reason": reason}],
        }
        return told({"error": error}, status)

    def not_allowed(request: Request, site: str) -> Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in console.tokens:
            return refused(401, "authError")
        return None if site in console.properties else refused(403, "forbidden")

    @app.post("/token")
    async def token(request: Request) -> Response:
        given = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if not _is_known(given):
            return told({"error": "invalid_grant", "error_description": "Token has been expired or revoked."}, 400)
        name = f"ya29.demo-{len(console.tokens)}"
        console.tokens.add(name)
        return told({"access_token": name, "token_type": "Bearer", "expires_in": 3600})

    @app.post("/webmasters/v3/sites/{site:path}/searchAnalytics/query")
    async def query(request: Request, site: str) -> Response:
        console.faults.requests.append("query")
        if wrong := not_allowed(request, site):
            return wrong
        refusal = console.refusals.popleft() if console.refusals else None
        if refusal:
            return refused(*refusal)
        body = await request.json()
        console.requests.append(body)
        if not 1 <= body.get("rowLimit", 1000) <= _MOST_ROWS_A_PAGE:
            return refused(400, "invalidParameter")
        answer = console.change(body, console.answer(body))
        console.answers.append(answer)
        return console.faults.answer(console.faults.take(), json.dumps(answer).encode())

    @app.get("/webmasters/v3/sites/{site:path}")
    async def known(request: Request, site: str) -> Response:
        found = {"siteUrl": site, "permissionLevel": "SITE_RESTRICTED_USER"}
        return not_allowed(request, site) or told(found)

    @app.get("/webmasters/v3/sites")
    async def listed(request: Request) -> Response:
        entries = [{"siteUrl": site, "permissionLevel": "SITE_RESTRICTED_USER"} for site in console.properties]
        return not_allowed(request, PROPERTY) or told({"siteEntry": entries} if entries else {})

    return app


def _is_known(given: Mapping[str, str]) -> bool:
    if given.get("grant_type") == "refresh_token":
        return {name: given.get(name) for name in USER} == USER
    if given.get("grant_type") != _JWT_GRANT:
        return False
    try:
        claims = jwt.decode(  # type: ignore[no-untyped-call]
            given.get("assertion", ""), certs={"demo": _keys()[1]}, audience=_AUDIENCE
        )
    except ValueError:
        return False
    return bool(claims["iss"] == ACCOUNT)
