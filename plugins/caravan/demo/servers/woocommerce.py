"""A shop as WooCommerce's REST API v3 shows it, over orders held in memory.

What it does as the real one: basic authentication, `modified_after` (later than, by whole seconds) and
`dates_are_gmt`, `orderby=modified`, `page` and `per_page` up to 100, X-WP-Total and X-WP-TotalPages,
an order's refunds.
"""

from __future__ import annotations

import base64
import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request, Response

from caravan.core.connections import Connection
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.serving import serve

KEY, SECRET = "ck_0123456789abcdef", "cs_fedcba9876543210"
Order = dict[str, Any]


@dataclass
class Shop:
    """`orders`: as the API documents them, by id. `refunds`: of an order, by its id. `zone`: of the times without _gmt.

    `before_page`: is called with the number of each request for orders, from 1 on. `change`: makes another answer of a
    page. `pages_work`: False for a shop that always sends the first page.
    """

    zone: str = "UTC"
    orders: dict[int, Order] = field(default_factory=dict)
    refunds: dict[int, list[Order]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    before_page: Callable[[int], None] = lambda number: None
    change: Callable[[list[Any]], Any] = lambda page: page
    pages_work: bool = True
    filter_works: bool = True
    _in_order: list[tuple[str, int]] = field(default_factory=list)
    _asked: int = 0

    def put(self, *orders: Order) -> None:
        """New or changed."""
        self.orders |= {order["id"]: order for order in orders}
        self._in_order = []

    def touch(self, number: int, modified: datetime, **changes: Any) -> None:
        """Change an order. `modified`: UTC without zone."""
        self.put({**self.orders[number], **changes, **self.times("modified", modified)})

    def times(self, name: str, moment: datetime) -> dict[str, str]:
        """Both fields of a time. `moment`: UTC without zone."""
        local = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        return {f"date_{name}": local.isoformat(), f"date_{name}_gmt": moment.isoformat()}

    def listed(self, params: Mapping[str, str]) -> tuple[list[Order], int]:
        """A page, and how many there are on all."""
        self._asked += 1
        self.before_page(self._asked)
        if not self._in_order:
            self._in_order = sorted((order["date_modified_gmt"], number) for number, order in self.orders.items())
        after = params.get("modified_after") if self.filter_works else None
        if after and params.get("dates_are_gmt") != "true":
            local = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(self.zone))
            after = local.astimezone(UTC).replace(tzinfo=None).isoformat()
        first = bisect_right(self._in_order, (after, 1 << 62)) if after else 0
        size, page = int(params.get("per_page", "10")), int(params.get("page", "1")) if self.pages_work else 1
        begin = first + (page - 1) * size
        return [self.orders[number] for _, number in self._in_order[begin : begin + size]], len(self._in_order) - first


@contextmanager
def serve_shop(shop: Shop, conn_id: str = "shop_demo") -> Iterator[Connection]:
    """The connection to use."""
    with serve(application(shop)) as url:
        yield account(url, conn_id)


def account(url: str, conn_id: str = "shop_demo") -> Connection:
    return Connection(conn_id, "http", host=url, login=KEY, password=SECRET)


def application(shop: Shop) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    expected = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()

    def answer(request: Request, content: Callable[[], Any]) -> Response:
        shop.faults.requests.append(f"{request.method} {request.url.path}")
        fault = shop.faults.take()
        if request.headers.get("Authorization") != expected:
            fault = "denied"
        body = b"[]" if fault == "denied" else json.dumps(content()).encode()
        return shop.faults.answer(fault, body)

    @app.get("/wp-json/wc/v3/orders")
    async def orders(request: Request) -> Response:
        params = request.query_params
        if not 1 <= int(params.get("per_page", "10")) <= 100 or params.get("orderby") != "modified":
            return Response('{"code": "rest_invalid_param"}', 400, media_type="application/json")
        page: list[Order] = []
        total = 0

        def listed() -> Any:
            nonlocal page, total
            page, total = shop.listed(params)
            return shop.change(page)

        response = answer(request, listed)
        pages = -(-total // int(params.get("per_page", "10")))
        response.headers.update({"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)})
        return response

    @app.get("/wp-json/wc/v3/orders/{number}/refunds")
    async def refunds(request: Request, number: int) -> Response:
        if number not in shop.orders:
            return Response('{"code": "woocommerce_rest_invalid_order_id"}', 404, media_type="application/json")
        return answer(request, lambda: shop.refunds.get(number, []))

    return app
