"""A marketplace in the shape of Amazon's Selling Partner API, over report rows held in memory.

What it does as documented: a refresh token for an access token that ends, reports that are created, polled and
downloaded (gzip) from an address of their own, at most 30 days in one, 429 with a quota.
"""

from __future__ import annotations

import gzip
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from fastapi import FastAPI, Request, Response

from caravan.core.connections import Connection
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.serving import serve

CLIENT, SECRET, REFRESH = "amzn1.application.demo", "demo-client-secret", "Atzr-demo-refresh-token"
COLUMNS = (
    "amazon-order-id",
    "merchant-order-id",
    "purchase-date",
    "last-updated-date",
    "order-status",
    "fulfillment-channel",
    "sales-channel",
    "order-channel",
    "ship-service-level",
    "product-name",
    "sku",
    "asin",
    "item-status",
    "quantity",
    "currency",
    "item-price",
    "item-tax",
    "shipping-price",
    "shipping-tax",
    "gift-wrap-price",
    "gift-wrap-tax",
    "item-promotion-discount",
    "ship-promotion-discount",
    "ship-city",
    "ship-state",
    "ship-postal-code",
    "ship-country",
    "promotion-ids",
    "is-business-order",
    "purchase-order-number",
    "price-designation",
)
Row = dict[str, str]
_LONGEST = timedelta(days=30)


@dataclass
class Market:
    """`rows`: by order, columns as documented. `change`: makes another file of the rows. `before_file`: is called with
    what was asked for, before its report is written.

    `outcomes`: of the next reports, in turn; DONE after those. never: it stays IN_PROGRESS. `polls`: how often a report
    is asked for before it has ended. `cut_files`: how many of the next downloads are cut off. `files_end`:
    whether the addresses of files are good no longer. `token_requests`: how
    many requests a token is good for.
    """

    rows: dict[str, list[Row]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    charset: str = "utf-8"
    change: Callable[[list[Row]], list[Row]] = lambda rows: rows
    before_file: Callable[[Mapping[str, Any]], None] = lambda asked: None
    columns: tuple[str, ...] = COLUMNS
    filter_works: bool = True
    outcomes: deque[Literal["DONE", "FATAL", "CANCELLED", "never"]] = field(default_factory=deque)
    polls: int = 1
    cut_files: int = 0
    files_end: bool = False
    token_requests: int = 1 << 30
    tokens: dict[str, int] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)

    def put(self, order: str, *rows: Row) -> None:
        self.rows[order] = list(rows)

    def file(self, asked: Mapping[str, Any]) -> bytes:
        """The report as it is downloaded, before compression."""
        self.before_file(asked)
        start, end = _moment(asked["dataStartTime"]), _moment(asked.get("dataEndTime"))
        if start and end and end - start > _LONGEST:
            return b"Date range exceeded. Report can be requested only upto 30 days"

        def within(row: Row) -> bool:
            moment = _moment(row["last-updated-date"])
            return not self.filter_works or bool(moment and start and start <= moment and (not end or moment < end))

        found = [row for rows in self.rows.values() for row in rows if within(row)]
        lines = ["\t".join(row.get(name, "") for name in COLUMNS) for row in self.change(found)]
        return "\r\n".join(["\t".join(self.columns), *lines, ""]).encode(self.charset, "replace")


@contextmanager
def serve_market(market: Market, conn_id: str = "marketplace_demo") -> Iterator[Connection]:
    """The connection to use."""
    with serve(application(market)) as url:
        yield account(url, conn_id)


def account(url: str, conn_id: str = "marketplace_demo") -> Connection:
    extra = {"refresh_token": REFRESH, "auth_url": f"{url}/auth/o2/token", "marketplace_ids": ["A1PA6795UKMFR9"]}
    return Connection(conn_id, "http", host=url, login=CLIENT, password=SECRET, extra=extra)


def application(market: Market) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def answer(request: Request, content: Callable[[], Any]) -> Response:
        market.faults.requests.append(f"{request.method} {request.url.path}")
        token = request.headers.get("x-amz-access-token", "")
        left = market.tokens.get(token, 0)
        market.tokens[token] = left - 1
        if left <= 0:
            refused = {"errors": [{"code": "Unauthorized", "details": "The access token you provided has expired."}]}
            return _json(refused, 403)
        fault = market.faults.take()
        return market.faults.answer(fault, json.dumps(content()).encode())

    def _json(content: Any, status: int = 200) -> Response:
        body = json.dumps(content)
        return Response(body, status, {"Date": market.faults.date()}, media_type="application/json")

    @app.post("/auth/o2/token")
    async def token(request: Request) -> Response:
        given = dict(part.split("=", 1) for part in (await request.body()).decode().split("&"))
        wanted = {"grant_type": "refresh_token", "refresh_token": REFRESH, "client_id": CLIENT, "client_secret": SECRET}
        if given != wanted:
            return _json({"error": "invalid_grant"}, 400)
        name = f"Atza-{len(market.tokens)}-demo-access-token"
        market.tokens[name] = market.token_requests
        return _json({"access_token": name, "token_type": "bearer", "expires_in": 3600})

    @app.post("/reports/2021-06-30/reports")
    async def create(request: Request) -> Response:
        asked = await request.json()

        def created() -> Any:
            name = f"{len(market.reports) + 50_001}"
            outcome = market.outcomes.popleft() if market.outcomes else "DONE"
            market.reports[name] = {"asked": asked, "polls": 0, "outcome": outcome}
            return {"reportId": name}

        return answer(request, created)

    @app.get("/reports/2021-06-30/reports")
    async def listed(request: Request) -> Response:
        if not request.query_params.get("reportTypes"):
            return _json({"errors": [{"code": "InvalidInput"}]}, 400)
        return answer(request, lambda: {"reports": [{"reportId": name} for name in list(market.reports)[-1:]]})

    @app.get("/reports/2021-06-30/reports/{name}")
    async def poll(request: Request, name: str) -> Response:
        report = market.reports[name]

        def status() -> Any:
            report["polls"] += 1
            ended = report["polls"] > market.polls and report["outcome"] != "never"
            shown = {"reportId": name, "processingStatus": report["outcome"] if ended else "IN_PROGRESS"}
            return shown | ({"reportDocumentId": f"doc.{name}"} if ended and report["outcome"] == "DONE" else {})

        return answer(request, status)

    @app.get("/reports/2021-06-30/documents/{document}")
    async def document(request: Request, document: str) -> Response:
        url = str(request.url_for("file", document=document))
        place = {"reportDocumentId": document, "url": url, "compressionAlgorithm": "GZIP"}
        return answer(request, lambda: place)

    @app.get("/files/{document}")
    async def file(request: Request, document: str) -> Response:
        if "x-amz-access-token" in request.headers or "Authorization" in request.headers:
            return Response("only one way of authentication", 400)
        if market.files_end:
            return Response("<Error><Code>AccessDenied</Code></Error>", 403)
        body = gzip.compress(market.file(market.reports[document.removeprefix("doc.")]["asked"]))
        if market.cut_files:
            market.cut_files -= 1
            body = body[: len(body) // 2]
        return Response(body, headers={"Content-Type": f"text/plain; charset={market.charset}"})

    return app


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=None) if text else None
