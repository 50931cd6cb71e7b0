"""Stand-ins of every kind of service behind one face, for the suite of change sources."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import duckdb

from caravan.clients.file_drop.parse import parse
from caravan.clients.file_drop.parsed import Delivery, Parsed
from caravan.clients.http.limits import Limits
from caravan.clients.http.source import HttpSource
from caravan.clients.marketplace.market import open_marketplace
from caravan.clients.marketplace.report import Patience
from caravan.clients.woocommerce.shop import open_shop
from caravan.config.types import Configuration, FileChannel, Project
from caravan.core.connections import Connection
from caravan.core.entities import ORDER_LINE
from caravan.core.pulls import Pull
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.marketplace import Market, serve_market
from caravan.demo.servers.woocommerce import Shop, serve_shop

START = datetime(2026, 11, 20, 10)
LIMITS = Limits(attempts=6, page_bytes=4 << 20, page_seconds=20, silence_seconds=10, pull_seconds=60)
HASTY = replace(LIMITS, page_seconds=2)
"""For services that take for ever; others may be slow on a machine that has much to do."""
ORDER = json.loads((Path(__file__).parents[1] / "fixtures" / "woocommerce" / "order.json").read_text())


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Sale:
    """An order of one piece of goods. Times: UTC without zone."""

    order: int
    updated: datetime
    placed: datetime = START
    status: str = "processing"
    price: str = "12.50"

    @property
    def seen(self) -> tuple[str, str, str, str]:
        """What has to be in the record of its line."""
        return str(self.order), self.updated.isoformat(), self.status, self.price


SALES = [Sale(number, at(number // 3 * 2), price=f"{number}.25") for number in range(1, 251)]


class Stand(Protocol):
    """One kind's stand-in."""

    kind: str
    faults: Faults
    first_path: str
    """Of the request with which reading begins."""

    def begin(self) -> None:
        """As new, while it is served: a server takes most of a second to come and go."""
        ...

    def put(self, *sales: Sale) -> None: ...
    def put_raw(self, sale: Sale, **changes: Any) -> None:
        """With fields that are not as documented, by our names: price, placed, line, order."""
        ...

    def serve(self) -> Any: ...
    def open(self, connection: Connection, **settings: Any) -> HttpSource: ...
    def mutants(self) -> dict[str, Callable[[], None]]: ...


@dataclass
class WooStand:
    zone: str = "Europe/Berlin"
    shop: Shop = field(default_factory=lambda: Shop("Europe/Berlin"))
    kind: str = "woocommerce"
    first_path: str = "GET /wp-json/wc/v3/orders"

    def begin(self) -> None:
        self.zone = "Europe/Berlin"
        vars(self.shop).update(vars(Shop(self.zone)))

    @property
    def faults(self) -> Faults:
        return self.shop.faults

    def put(self, *sales: Sale) -> None:
        self.shop.put(*(self._order(sale) for sale in sales))

    def put_raw(self, sale: Sale, **changes: Any) -> None:
        order = self._order(sale)
        (item,) = order["line_items"]
        if "price" in changes:
            item |= {"subtotal": changes["price"], "total": changes["price"]}
        if "line" in changes:
            order["line_items"] = [changes["line"]]
        if "placed" in changes:
            order |= {"date_created": changes["placed"], "date_created_gmt": changes["placed"]}
        self.shop.put(order)

    def _order(self, sale: Sale) -> dict[str, Any]:
        item = {**ORDER["line_items"][0], "quantity": 1, "subtotal": sale.price, "total": sale.price}
        return {
            **ORDER,
            "id": sale.order,
            "status": sale.status,
            **self.shop.times("created", sale.placed),
            **self.shop.times("modified", sale.updated),
            "line_items": [{**item, "id": sale.order * 10}],
            "shipping_lines": [],
            "fee_lines": [],
            "coupon_lines": [],
            "refunds": [],
        }

    @contextmanager
    def serve(self) -> Iterator[Connection]:
        with serve_shop(self.shop) as connection:
            yield connection

    def open(self, connection: Connection, *, first_days: int = 0, **settings: Any) -> HttpSource:
        return open_shop(connection, **settings)

    def mutants(self) -> dict[str, Callable[[], None]]:
        def renamed(old: str, new: str, within: str | None = None) -> Callable[[], None]:
            def change(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
                def rename(record: dict[str, Any]) -> dict[str, Any]:
                    return {new if name == old else name: value for name, value in record.items()}

                if within:
                    return [{**order, within: [rename(item) for item in order[within]]} for order in page]
                return [rename(order) for order in page]

            return lambda: setattr(self.shop, "change", change)

        return {
            "id renamed": renamed("id", "order_id"),
            "time renamed": renamed("date_modified_gmt", "modified_gmt"),
            "status renamed": renamed("status", "state"),
            "lines renamed": renamed("line_items", "items"),
            "total renamed": renamed("total", "sum", "line_items"),
            "page repeated": lambda: setattr(self.shop, "pages_work", False),
            "filter ignored": lambda: setattr(self.shop, "filter_works", False),
            "error with 200": lambda: setattr(self.faults, "always", "error_body"),
            "an order left out": lambda: setattr(self.shop, "change", lambda page: page[:-1]),
            "amounts rounded": lambda: setattr(self.shop, "change", _rounded),
        }


def _rounded(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def rounded(item: dict[str, Any]) -> dict[str, Any]:
        return {**item, "subtotal": str(round(float(item["subtotal"]))), "total": str(round(float(item["total"])))}

    return [{**order, "line_items": [rounded(item) for item in order["line_items"]]} for order in page]


@dataclass
class MarketStand:
    market: Market = field(default_factory=lambda: Market(polls=0))
    kind: str = "marketplace"
    first_path: str = "POST /reports/2021-06-30/reports"

    @property
    def faults(self) -> Faults:
        return self.market.faults

    def begin(self) -> None:
        vars(self.market).update(vars(Market(polls=0)))

    def put(self, *sales: Sale) -> None:
        for sale in sales:
            self.market.put(str(sale.order), self._row(sale))

    def put_raw(self, sale: Sale, **changes: Any) -> None:
        row = self._row(sale)
        if "price" in changes:
            row["item-price"] = str(changes["price"])
        if "placed" in changes:
            row["purchase-date"] = changes["placed"]
        if "line" in changes:
            row["sku"] = "one\ttoo many"
        self.market.put(str(sale.order), row)

    def _row(self, sale: Sale) -> dict[str, str]:
        return {
            "amazon-order-id": str(sale.order),
            "purchase-date": f"{sale.placed.isoformat()}+00:00",
            "last-updated-date": f"{sale.updated.isoformat()}+00:00",
            "order-status": sale.status.capitalize(),
            "product-name": 'Tasse ü "blue"',
            "sku": "MUG",
            "quantity": "1",
            "currency": "EUR",
            "item-price": sale.price,
            "item-tax": "0.50",
            "ship-country": "FR",
        }

    @contextmanager
    def serve(self) -> Iterator[Connection]:
        with serve_market(self.market) as connection:
            yield connection

    def open(self, connection: Connection, *, first_days: int = 30, **settings: Any) -> HttpSource:
        settings = {"patience": Patience(poll_seconds=0), "now": lambda: at(3600), **settings}
        return open_marketplace(connection, first_days=first_days, **settings)

    def mutants(self) -> dict[str, Callable[[], None]]:
        def renamed(old: str) -> Callable[[], None]:
            columns = tuple(f"new-{name}" if name == old else name for name in self.market.columns)
            return lambda: setattr(self.market, "columns", columns)

        def changed(change: Callable[[list[Any]], list[Any]]) -> Callable[[], None]:
            return lambda: setattr(self.market, "change", change)

        return {
            "id renamed": renamed("amazon-order-id"),
            "time renamed": renamed("last-updated-date"),
            "status renamed": renamed("order-status"),
            "price renamed": renamed("item-price"),
            "rows repeated": changed(lambda rows: rows + rows),
            "filter ignored": lambda: setattr(self.market, "filter_works", False),
            "error with 200": lambda: setattr(self.faults, "always", "error_body"),
            "an order left out": changed(lambda rows: rows[:-1]),
            "no orders": changed(lambda rows: []),
            "amounts rounded": changed(lambda rows: [{**row, "item-price": row["item-price"][:-3]} for row in rows]),
        }


STANDS: tuple[type, ...] = (WooStand, MarketStand)


@dataclass
class Service:
    """A running stand-in and a client of it. `pauses`: what the client waited, in seconds."""

    stand: Any
    connection: Connection
    folder: Path
    pauses: list[float] = field(default_factory=list)

    def source(self, limits: Limits = LIMITS, **settings: Any) -> HttpSource:
        quick = {"pause": self.pauses.append, "random": lambda: 0.5}
        return self.stand.open(self.connection, limits=limits, **{**quick, **settings})

    def pull(self, since: datetime | None = None, **settings: Any) -> Pull:
        self.folder.mkdir(exist_ok=True)
        return self.source(**settings).pull(since, self.folder)

    def using(self, **changes: Any) -> Service:
        return replace(self, connection=replace(self.connection, **changes))


def records(pull: Pull, entity: str = "order_line") -> list[Any]:
    with pull.files[entity].path.open() as file:
        found = [json.loads(line) for line in file]
    assert len(found) == pull.files[entity].record_count
    return found


def seen(pull: Pull) -> list[tuple[str, str, str, str]]:
    """What the records of lines say, in the words of `Sale.seen`."""
    return sorted(
        (
            str(record.get("order_id")),
            str(record.get("updated_at")).removesuffix("Z").removesuffix("+00:00"),
            str(record.get("status")).lower(),
            _price(record.get("unit_price")),
        )
        for record in records(pull)
    )


def _price(value: Any) -> str:
    try:
        return f"{Decimal(value):.2f}"
    except (ArithmeticError, TypeError, ValueError):
        return str(value)


def truth(sales: list[Sale]) -> list[tuple[str, str, str, str]]:
    return sorted(sale.seen for sale in sales)


def parsed(pull: Pull, tmp_path: Path, zone: str = "UTC") -> Parsed:
    """Through the same code as a delivered file."""
    fields = {name: name for name in ORDER_LINE.field_names if name != "flow"}
    settings = {"code": "shop", "name": "Shop", "kind": "own", "folder": "in", "delivery": "changes", "zone": zone}
    channel = FileChannel.model_validate(
        {
            **settings,
            "business_zone": zone,
            "format": {"type": "ndjson"},
            "entities": {"order_line": {"files": "*", "columns": fields}},
        }
    )
    file = pull.files["order_line"]
    status = file.path.stat()
    delivery = Delivery("shop", "order_line", file.path, file.content_hash, status.st_size, status.st_mtime_ns)
    configuration = Configuration(project=Project(), markets={}, channels={}, hash="test")
    found = parse(delivery, channel, configuration, tmp_path / "work", datetime(2026, 12, 31))
    assert found.received_count == file.record_count
    assert found.received_count == found.accepted_count + found.duplicate_count + found.quarantined_count
    return found


def rows(paths: tuple[Path, ...], columns: str) -> list[tuple]:
    if not paths:
        return []
    with duckdb.connect() as connection:
        files = [str(path) for path in paths]
        return sorted(connection.execute(f"SELECT {columns} FROM read_parquet($files)", {"files": files}).fetchall())
