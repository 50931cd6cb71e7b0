"""The services of the demo behind one free port of this machine, with a way to make them fail.

Each has a folder of its own, as a shop below a path of a host has: http://127.0.0.1:34567/webshop_se. Beside it
`POST /<code>/world/faults` takes `{"fault": "down", "count": 3}`, from whoever has the login and password of the
service's connection.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from fastapi import FastAPI, Request, Response

from caravan.config.services import ServiceChannel
from caravan.core.connections import Connection
from caravan.demo.answers import marketplace_rows, woocommerce_order, woocommerce_refunds
from caravan.demo.fault_names import FAULTS, MOST_FAULTS
from caravan.demo.servers import marketplace, woocommerce
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.serving import serve
from caravan.demo.services import Entry, Ledger

_SKEW = timedelta(minutes=7)
"""The marketplace's clock is ahead of the shop's."""


@contextmanager
def serve_world(
    ledgers: Mapping[str, Ledger], channels: Mapping[str, ServiceChannel], port: int = 0, *, troubled: bool = True
) -> Iterator[dict[str, Connection]]:
    """The connections to use, by channel. `port`: a free one unless given. OSError when it is taken.

    `troubled`: with the faults of the demo's night; else they fail when told to, and not before.
    """
    root = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    builders = {"webshop_se": _shop, "marketplace_au": _market}
    accounts: dict[str, Connection] = {}
    for code, known in ledgers.items():
        app, faults, account = builders[code](known, troubled)
        accounts[code] = account
        _let_fail(app, faults, account)
        root.mount(f"/{code}", app)
    with serve(root, port) as url:
        yield {code: _at(account, channels[code].connection, f"{url}/{code}") for code, account in accounts.items()}


def _shop(known: Ledger, troubled: bool) -> tuple[FastAPI, Faults, Connection]:
    """An order changes when its page has been read. Troubled, it refuses the key once, is busy once, fails once."""
    shop = woocommerce.Shop(known.shop.zone)
    shop.faults.clock = lambda: known.clock
    shop.faults.wait_seconds = 1
    if troubled:
        shop.faults.next("denied", "ok", "busy", "ok", "down")
    shop.put(*(woocommerce_order(entry) for entry in known.entries))
    shop.refunds = {int(each.order.order_id): woocommerce_refunds(each) for each in known.entries if each.refunds}

    correction, was_read = woocommerce_order(known.correction), False

    def correct(page: list[Any]) -> list[Any]:
        """With the page after its own: before, that one may not have arrived. An order alone is a trial."""
        nonlocal was_read
        is_there = any(order["id"] == correction["id"] for order in page)
        if was_read and not is_there and len(page) > 1:
            shop.put(correction)
        was_read = was_read or (is_there and len(page) > 1)
        return page

    shop.change = correct
    return woocommerce.application(shop), shop.faults, woocommerce.account("")


def _market(known: Ledger, troubled: bool) -> tuple[FastAPI, Faults, Connection]:
    """Its clock is ahead, an order changes between two reports. Troubled, its token ends and it is busy once."""
    market = marketplace.Market(polls=0)
    market.faults.clock = lambda: known.clock
    market.faults.skew = _SKEW
    market.faults.wait_seconds = 1
    if troubled:
        market.token_requests = 7
        market.faults.next("ok", "busy")

    def put(entry: Entry) -> None:
        market.put(entry.order.order_id, *marketplace_rows(entry))

    def before_file(asked: Mapping[str, Any]) -> None:
        changed = known.correction.order.updated.replace(tzinfo=None).isoformat()
        if changed < asked.get("dataEndTime", "9999"):
            put(known.correction)

    for entry in known.entries:
        put(entry)
    market.before_file = before_file
    return marketplace.application(market), market.faults, marketplace.account("")


def _let_fail(app: FastAPI, faults: Faults, account: Connection) -> None:
    expected = "Basic " + base64.b64encode(f"{account.login}:{account.password}".encode()).decode()

    @app.post("/world/faults")
    async def plan(request: Request) -> Response:
        if request.headers.get("Authorization") != expected:
            return _told({"message": "not the login and password of this service's connection"}, 401)
        try:
            asked = json.loads(await request.body())
            fault, count = asked["fault"], asked.get("count", 1)
        except (ValueError, KeyError, TypeError, AttributeError):
            return _told({"message": 'send {"fault": "down", "count": 3}'}, 400)
        if fault not in FAULTS:
            return _told({"message": f"no fault '{fault}'; there are {', '.join(FAULTS)}"}, 400)
        if isinstance(count, bool) or not (isinstance(count, int) and 1 <= count <= MOST_FAULTS):
            return _told({"message": f"count {count} is not 1 to {MOST_FAULTS}"}, 400)
        faults.plan.clear()
        if fault != "ok":
            faults.next(*[fault] * count)
        return _told({"planned": len(faults.plan)})


def _told(content: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")


def _at(account: Connection, conn_id: str, url: str) -> Connection:
    """The account below an address."""
    extra = dict(account.extra)
    if "auth_url" in extra:
        extra["auth_url"] = f"{url}{extra['auth_url']}"
    return Connection(conn_id, "http", host=url, login=account.login, password=account.password, extra=extra)
