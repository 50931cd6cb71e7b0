"""A WooCommerce shop, asked for the orders that changed: REST API v3, WooCommerce 5.8 or newer.

Needs a key with the right to read (WooCommerce, Settings, Advanced, REST API). The connection's host is the shop's
address with https, its login the consumer key (`ck_...`), its password the consumer secret (`cs_...`).

`GET /wp-json/wc/v3/orders` with `modified_after` and `dates_are_gmt` (woocommerce/woocommerce pull request 30585),
and `GET /wp-json/wc/v3/orders/<id>/refunds` of orders that have any: a refund changes its order's `date_modified_gmt`.

Not seen: orders in the bin (`status=any` leaves them out; they keep the status they had), orders or refunds deleted for
good, and a line that is taken out of an order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from requests.auth import HTTPBasicAuth

from caravan.clients.http.caller import Caller
from caravan.clients.http.keyset import Key, walk
from caravan.clients.http.limits import USUAL, Limits
from caravan.clients.http.source import HttpSource, Record
from caravan.clients.woocommerce.records import order_records, refund_records
from caravan.core.connections import Connection
from caravan.core.errors import Rejected
from caravan.core.pulls import OVERLAP

ORDERS = "/wp-json/wc/v3/orders"
PAGE_SIZE = 100
"""The most that WordPress gives."""


@dataclass(frozen=True)
class KeyAndSecret:
    """Basic authentication, for which WooCommerce wants https."""

    connection: Connection

    def __post_init__(self) -> None:
        if not (self.connection.login and self.connection.password):
            message = "needs the consumer key as login and the consumer secret as password"
            raise self.connection.misconfigured(message)

    def sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        HTTPBasicAuth(self.connection.login or "", self.connection.password or "")(request)
        return request

    def renew(self) -> None:
        """They do not change; some hosts' firewalls refuse a request once and take the next."""


@dataclass(frozen=True)
class WooCommerce:
    """A `Kind`: orders, their lines, and refunds."""

    page_size: int = PAGE_SIZE

    @property
    def entities(self) -> tuple[str, ...]:
        return ("order", "order_line", "refund")

    def changes(self, caller: Caller, since: datetime | None, folder: Path) -> Iterator[Record]:
        def ask(after: datetime | None, page: int) -> Sequence[object]:
            params = {"orderby": "modified", "order": "asc", "status": "any", "per_page": self.page_size, "page": page}
            if after is not None:
                params |= {"modified_after": f"{after:%Y-%m-%dT%H:%M:%S}", "dates_are_gmt": "true"}
            orders: list[object] = caller.get(ORDERS, params, shape=list)
            return orders

        where = f"connection {caller.connection.conn_id}: GET {ORDERS}"
        for order in walk(ask, version_of, since, where):
            yield from order_records(order)
            if isinstance(order, dict) and order.get("refunds"):
                yield from _refunds(caller, order)

    def probe(self, caller: Caller) -> str:
        params = {"orderby": "modified", "order": "desc", "status": "any", "per_page": 1, "page": 1}
        return "lets us read orders" if caller.get(ORDERS, params, shape=list) else "lets us read orders; has none yet"


def open_shop(
    connection: Connection, limits: Limits = USUAL, overlap: timedelta = OVERLAP, **caller: Callable[..., Any]
) -> HttpSource:
    """`caller`: pause, random and clock of `Caller`. Raises Misconfigured."""
    credentials = KeyAndSecret(connection)
    return HttpSource(WooCommerce(), lambda: Caller(connection, credentials, limits, **caller), overlap)


def version_of(order: object) -> Key:
    """What tells one version of an order from another; of what is no order, its content."""
    if isinstance(order, dict) and isinstance(order.get("id"), str):
        return order["id"], _gmt(order.get("date_modified_gmt"))
    return hashlib.sha256(json.dumps(order, sort_keys=True).encode()).hexdigest(), None


def _gmt(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=None) if moment and not moment.utcoffset() else None


def _refunds(caller: Caller, order: Mapping[str, Any]) -> Iterator[Record]:
    """Each once. An order that was deleted since it was listed has none."""
    number = order.get("id")
    if not (isinstance(number, str) and number.isascii() and number.isdigit()):
        return
    page, seen = 1, set[str]()
    while True:
        try:
            params = {"per_page": PAGE_SIZE, "page": page}
            refunds = caller.get(f"{ORDERS}/{number}/refunds", params, shape=list)
        except Rejected as error:
            if error.code == "NOT_FOUND":
                return
            raise
        new = [(key, refund) for refund in refunds if (key := version_of(refund)[0]) not in seen]
        for _, refund in new:
            yield from refund_records(order, refund)
        seen |= {key for key, _ in new}
        if len(refunds) < PAGE_SIZE or not new:
            return
        page += 1
