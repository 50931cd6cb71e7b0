"""The price list with stock that wholesale_gb writes each week: what there is less what was really sold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from caravan.demo.catalogue import TRADE, Product, Shop
from caravan.demo.deliveries import WEEK, File, document_row, morning_after, weeks
from caravan.demo.documents import Offer

CODE = "wholesale_gb"
OPENING, LOW = 8, 3
"""Cases of each article on the first morning for each order of a usual day, and how many are so few that as many are
ordered from the maker as were there then."""
LEAD_DAYS = 4
"""So long the maker takes. What is sold beyond the stock waits for it."""
UNREADABLE_WEEK, UNREADABLE = 1, 2
"""In the second of the weeks on which something is planted, the third article's price is a remark."""
_COST = Decimal("0.62")
"""Of the price, so much is what the maker takes."""
_CENT = Decimal("0.01")


def plan(files: Sequence[File], days: Sequence[date], past: Sequence[date], shop: Shop, case: int) -> list[File]:
    """A list of each week's last evening; those of the weeks before in one file. `files`: of what was sold. `case`: so
    many pieces are in one."""
    opening, low = OPENING * shop.orders_a_day * case, LOW * shop.orders_a_day * case
    sold = _sold(files)
    stock = {product: _evenings(sold.get(product.sku, {}), [*past, *days], opening, low) for product in shop.products}
    lists = list[File]()
    for name, first, last in weeks("pricelist_{}.csv", days, past):
        evenings = past[(len(past) - 1) % WEEK :: WEEK] if last < days[0] else [last]
        rows = [
            document_row(_offer(product, day, stock[product][day])) for day in evenings for product in shop.products
        ]
        if first == days[UNREADABLE_WEEK * WEEK]:
            rows[UNREADABLE] = replace(rows[UNREADABLE], reason="NUMBER_INVALID", change={"Net price": "on request"})
        lists.append(File(CODE, "offer", name, morning_after(last), tuple(rows)))
    return lists


def _sold(files: Sequence[File]) -> dict[str, Counter[date]]:
    """Pieces sold and not called off, by article and local day."""
    zone = ZoneInfo(TRADE[CODE].zone)
    rows = {(row.order.order_id, row.line.number): row for file in files for row in file.rows if not row.reason}
    sold: dict[str, Counter[date]] = {}
    for row in rows.values():
        if row.order.kind(row.line) == "sale":
            sold.setdefault(row.line.product.sku, Counter())[row.order.local_date(zone)] += row.line.quantity
    return sold


def _evenings(sold: Mapping[date, int], days: Sequence[date], opening: int, low: int) -> dict[date, int]:
    """How many there are at the end of each day; below 0, so many are owed to buyers."""
    there, coming, found = opening, dict[date, int](), dict[date, int]()
    for day in days:
        there += coming.pop(day, 0) - sold.get(day, 0)
        if there < low and not coming:
            coming[day + timedelta(days=LEAD_DAYS)] = opening
        found[day] = there
    return found


def _offer(product: Product, day: date, there: int) -> Offer:
    evening = datetime.combine(day, time(18), ZoneInfo(TRADE[CODE].zone)).astimezone(UTC)
    cost = (product.price * _COST).quantize(_CENT, ROUND_HALF_UP)
    return Offer(product, evening, cost, max(there, 0), "in_stock" if there > 0 else "backorder")
