"""Which files the demo's shops deliver, on which day, and what is wrong in them: planted, so that it is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from caravan.core.entities import EntityName
from caravan.demo.campaigns import running
from caravan.demo.catalogue import SHOPS, Product, Shop
from caravan.demo.dialects import DIALECTS, REFUNDS, Record, Shape
from caravan.demo.documents import Document, written
from caravan.demo.refunds import given_back
from caravan.demo.world import DIRECT, Crowd, Line, Order, Refund

WEEK = 7


@dataclass(frozen=True)
class Defect:
    """A row that has to be refused: an order of its own, with `column` overwritten or the row misshapen."""

    day: int
    """Counted from the first day, 0."""
    reason: str
    column: str = ""
    value: Any = None
    shape: Shape = "whole"
    count: int = 1


DEFECTS: Mapping[str, tuple[Defect, ...]] = {
    "shop_de": (
        Defect(2, "COUNTRY_UNKNOWN", "Lieferland", "Atlantis", count=2),
        Defect(9, "NUMBER_INVALID", "Einzelpreis", "12,9O"),
    ),
    "shop_fr": (
        Defect(4, "FIELDS_TOO_FEW", shape="short", count=2),
        Defect(5, "FIELDS_TOO_MANY", shape="long"),
        Defect(6, "NUMBER_INVALID", "Quantité", "deux", count=2),
    ),
    "shop_gb": (
        Defect(3, "KEY_EMPTY", "Order", ""),
        Defect(10, "FIELD_MISSING", "SKU", ""),
    ),
    "shop_us": (
        Defect(5, "JSON_INVALID", shape="cut", count=2),
        Defect(7, "CURRENCY_UNKNOWN", "order.currency", "USDT", count=2),
        Defect(8, "ORDER_IN_FUTURE", "order.placed_at", "2099-01-01T12:00:00Z"),
    ),
    "marketplace_jp": (
        Defect(3, "NUMBER_INVALID", "単価", "1,98O"),
        Defect(6, "FIELD_MISSING", "商品番号", "", count=2),
    ),
    "marketplace_cn": (
        Defect(2, "TIMESTAMP_INVALID", "下单时间", "2026-02-30 10:00:00"),
        Defect(11, "ORDER_IN_FUTURE", "下单时间", "2099-01-01 12:00:00"),
    ),
    "shop_br": (
        Defect(1, "COUNTRY_UNKNOWN", "País", "Nárnia"),
        Defect(8, "NUMBER_INVALID", "Preço unitário", "a combinar"),
    ),
    "partner_ae": (
        Defect(3, "FIELD_MISSING", "item_code", None, count=2),
        Defect(4, "CURRENCY_UNKNOWN", "currency", "DHS"),
        Defect(5, "RULE_TEST_ITEM", "item_code", "TEST-1", count=2),
    ),
}

REPEATED: Mapping[str, tuple[int, int]] = {
    "shop_fr": (3, 3),
    "marketplace_jp": (4, 4),
    "partner_ae": (2, 5),
}
"""Day, and how many of its first rows are there twice."""

TRUNCATED_DAY = 10
"""shop_gb: the file of lines broke off in transfer; it comes again, whole, the day after."""
EMPTY_DAY = 12
"""shop_br: a file without rows, on a day without orders."""
FEWEST_DAYS = 14
"""Everything planted has happened by then."""


@dataclass(frozen=True)
class Row:
    """One row of a file: a line of an order, its header, a refund of it, or a document beside it (see `document_row`).

    `reason`: why it has to be quarantined.
    """

    order: Order
    line: Line
    reason: str | None = None
    change: Mapping[str, Any] = field(default_factory=dict)
    shape: Shape = "whole"
    refund: Refund | None = None
    document: Document | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Of a refund or a document, within its channel; else that of its line."""
        if self.document is not None:
            return (self.document.key,)
        if self.refund is not None:
            return self.refund.refund_id, self.refund.line_number
        return self.order.order_id, self.line.number


@dataclass(frozen=True)
class File:
    """One delivery. `delivered`: when it was written, UTC. `is_copy`: of a file before, so that nobody reads it."""

    channel_code: str
    entity: EntityName
    name: str
    delivered: datetime
    rows: tuple[Row, ...]
    is_truncated: bool = False
    is_copy: bool = False

    def content(self) -> bytes:
        if self.entity not in ("order", "order_line"):
            return self._beside_orders()
        dialect = DIALECTS[self.channel_code, self.entity]
        records = [(dict(dialect.record(row.order, row.line)) | dict(row.change), row.shape) for row in self.rows]
        content = dialect.file(records)
        return content[: len(content) * 6 // 10] if self.is_truncated else content

    def _beside_orders(self) -> bytes:
        """In a file of the same kind as those of lines."""
        records = [(dict(self._record(row)) | dict(row.change), row.shape) for row in self.rows]
        return DIALECTS[self.channel_code, "order_line"].encode(tuple(records[0][0]), records)

    def _record(self, row: Row) -> Record:
        if row.document is not None:
            return written(row.document)
        assert row.refund is not None
        return REFUNDS[self.channel_code](row.order, row.refund)


def scaled(shop: Shop, scale: float) -> Shop:
    """With so many times the orders."""
    return replace(shop, orders_a_day=round(shop.orders_a_day * scale))


def plan(code: str, seed: int, days: Sequence[date], past: Sequence[date] = (), scale: float = 1) -> list[File]:
    """All files of one channel, in the order of their delivery.

    `past`: days before, whose orders come at once, as when a channel is taken on.
    """
    campaigns = running(code, (*past, *days), scale)
    crowd = Crowd(scaled(SHOPS[code], scale), Random(f"{seed}/{code}"), campaigns)
    earlier = [order for of_day in crowd.orders(past).values() for order in of_day]
    if code == "shop_br":
        orders = crowd.orders([day for day in days if day != days[EMPTY_DAY]]) | {days[EMPTY_DAY]: []}
        for day in days[6::WEEK]:
            orders[day].append(crowd.correction(day))
    else:
        orders = crowd.orders(days)
    if code == "marketplace_cn":
        _close_some(crowd, orders, days)
    if code == "shop_us":
        _move_one(orders, days)
    bad = {day: _bad_rows(crowd, code, index, day) for index, day in enumerate(days)}
    if code == "shop_de":
        return _exports(code, "bestellungen_{:%Y-%m-%d}.csv", earlier, orders, bad, days)
    if code == "partner_ae":
        return _exports(code, "sales_{:%Y%m%d}.parquet", earlier, orders, bad, days)
    files = _history(code, earlier, days[0])
    files += [file for day in days for file in _daily(code, day, orders[day], bad[day], days)]
    if code == "shop_fr":
        files += _refund_files(crowd, orders, days)
    return files


_NAMES: Mapping[str, str] = {
    "shop_fr": "ventes_{:%Y%m%d}.txt",
    "shop_gb": "lines_{:%Y%m%d}.csv.gz",
    "shop_us": "{:%Y-%m-%d}.ndjson",
    "marketplace_jp": "受注_{:%Y%m%d}.csv",
    "marketplace_cn": "订单_{:%Y%m%d}.csv",
    "shop_br": "pedidos_{:%Y%m%d}.csv",
}

_HISTORIES: Mapping[str, tuple[tuple[EntityName, str], ...]] = {
    "shop_fr": (("order_line", "ventes_historique.txt"),),
    "shop_gb": (("order_line", "lines_history.csv.gz"), ("order", "orders_history.csv.gz")),
    "shop_us": (("order_line", "history.ndjson"),),
    "marketplace_jp": (("order_line", "受注_過去分.csv"),),
    "marketplace_cn": (("order_line", "订单_历史.csv"),),
    "shop_br": (("order_line", "pedidos_historico.csv"),),
}
"""The one export of everything before, by channels that deliver what is new."""


def _history(code: str, orders: Sequence[Order], taken_on: date) -> list[File]:
    delivered = datetime.combine(taken_on, time(5), UTC)
    rows: Mapping[EntityName, list[Row]] = {
        "order_line": rows_of(orders),
        "order": [Row(order, order.lines[0]) for order in orders],
    }
    return [File(code, entity, name, delivered, tuple(rows[entity])) for entity, name in _HISTORIES[code] if orders]


def _daily(code: str, day: date, orders: Sequence[Order], bad: Sequence[Row], days: Sequence[date]) -> list[File]:
    rows = rows_of(orders)
    repeated_day, count = REPEATED.get(code, (0, 0))
    repeated = rows[:count] if day == days[repeated_day] else []
    lines = File(code, "order_line", _NAMES[code].format(day), morning_after(day), (*rows, *bad, *repeated))
    if code != "shop_gb":
        return [lines]
    headers = tuple(Row(order, order.lines[0]) for order in orders)
    files = [File(code, "order", f"orders_{day:%Y%m%d}.csv.gz", morning_after(day), headers)]
    if day != days[TRUNCATED_DAY]:
        return [lines, *files]
    again = replace(lines, name=f"lines_{day:%Y%m%d}_again.csv.gz", delivered=lines.delivered + timedelta(days=1))
    return [replace(lines, is_truncated=True), *files, again]


def _refund_files(crowd: Crowd, orders: Mapping[date, Sequence[Order]], days: Sequence[date]) -> list[File]:
    rows: dict[date, list[Row]] = {}
    for each in given_back(orders, days, unknown=crowd.order(days[0])):
        row = Row(each.order, each.order.lines[0], each.reason, dict(each.change), refund=each.refund)
        rows.setdefault(each.day, []).append(row)
    return [
        File("shop_fr", "refund", f"remboursements_{day:%Y%m%d}.txt", morning_after(day), tuple(rows[day]))
        for day in sorted(rows)
    ]


def _exports(
    code: str,
    name: str,
    earlier: Sequence[Order],
    orders: Mapping[date, Sequence[Order]],
    bad: Mapping[date, Sequence[Row]],
    days: Sequence[date],
) -> list[File]:
    """A full export at the end of each week, and at the end: all orders so far, as they are by then.

    From the second on one order has gone, and in shop_de another one has moved by three days.
    """
    ends = [*days[WEEK - 1 : -1 : WEEK], days[-1]]
    gone, moved = orders[days[1]][0].order_id, orders[days[2]][0].order_id
    files = []
    for number, end in enumerate(ends):
        rows = rows_of([_aged(order, end) if code == "shop_de" else order for order in earlier])
        for day in days:
            if day > end:
                break
            current = [order for order in orders[day] if number == 0 or order.order_id != gone]
            if code == "shop_de":
                current = [_aged(order, end) for order in current]
                if number > 0:
                    current = [_moved(each) if each.order_id == moved else each for each in current]
            new_rows = rows_of(current)
            repeated_day, count = REPEATED.get(code, (0, 0))
            repeated = new_rows[:count] if day == days[repeated_day] else []
            rows += [*new_rows, *bad[day], *repeated]
        files.append(File(code, "order_line", name.format(end), morning_after(end), tuple(rows)))
    return files


def rows_of(orders: Sequence[Order]) -> list[Row]:
    return [Row(order, line) for order in orders for line in order.lines]


def document_row(document: Document, reason: str | None = None, change: Mapping[str, Any] | None = None) -> Row:
    """A document names its order itself: the row's own has its moment, and nothing else."""
    line = Line(1, Product("", "", Decimal(0)), 0)
    order = Order("", document.moment, document.moment, "", "", None, DIRECT, (line,))
    return Row(order, line, reason, change or {}, document=document)


def _bad_rows(crowd: Crowd, code: str, index: int, day: date) -> list[Row]:
    rows = []
    for defect in DEFECTS[code]:
        for _ in range(defect.count if defect.day == index else 0):
            order = crowd.order(day)
            change = {defect.column: defect.value} if defect.column else {}
            rows.append(Row(order, order.lines[0], defect.reason, change, defect.shape))
    return rows


def _aged(order: Order, end: date) -> Order:
    """shop_de sends an order on the third day."""
    shipped = order.placed + timedelta(days=2)
    if order.status == "paid" and shipped.date() <= end:
        return replace(order, status="shipped", updated=shipped)
    return order


def _moved(order: Order) -> Order:
    """Corrected by hand: three days later, one piece more of the first article."""
    first = replace(order.lines[0], quantity=order.lines[0].quantity + 1)
    placed = order.placed + timedelta(days=3)
    return replace(order, placed=placed, updated=placed + timedelta(days=5), lines=(first, *order.lines[1:]))


def _move_one(orders: dict[date, list[Order]], days: Sequence[date]) -> None:
    """shop_us delivers an order of the fourth day again on the ninth, with the date of the sixth."""
    order = orders[days[3]][0]
    changed = replace(order, placed=order.placed + timedelta(days=2), updated=order.placed + timedelta(days=5))
    orders[days[8]].append(changed)


def _close_some(crowd: Crowd, orders: dict[date, list[Order]], days: Sequence[date]) -> None:
    """marketplace_cn delivers every tenth paid order again three days on: completed, or closed."""
    for day, later in zip(days, days[3:], strict=False):
        paid = [order for order in orders[day] if order.status == "paid" and order.updated == order.placed]
        for order in paid[::10]:
            status = "cancelled" if crowd.rng.random() < 0.4 else "completed"
            orders[later].append(replace(order, status=status, updated=order.placed + timedelta(days=3)))


def morning_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(5), UTC)


def weeks(name: str, days: Sequence[date], past: Sequence[date]) -> Iterator[tuple[str, date, date]]:
    """Names and days of files: one of everything before, then one a week."""
    if past:
        yield name.format("history"), past[0], past[-1]
    ends = [*days[WEEK - 1 : -1 : WEEK], days[-1]]
    for first, last in zip([days[0], *(end + timedelta(days=1) for end in ends)], ends, strict=False):
        yield name.format(f"{last:%Y%m%d}"), first, last
