"""Three more channels of files: a fair's till, business customers with quotes, imports. What they deliver, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from random import Random

from caravan.demo import papers, price_lists
from caravan.demo.catalogue import TRADE
from caravan.demo.deliveries import File, Row, morning_after, rows_of, scaled, weeks
from caravan.demo.world import Crowd, Order

FAIR_DAYS = (9, 10, 11, 12)
"""Counted from the first of the days on which something is planted."""
CARDS = 0.4
"""Of the fair's buyers so many have a card: of the others a till knows nothing."""
LATE = 2
"""Of an import week's orders, so many come with the next one."""
AGAIN = 5
"""So many rows of an import week come again, unchanged, with the next one."""
CASE = 12
"""Pieces in a case: business customers buy no less."""
OPEN = {"quote": "RULE_QUOTE", "declined": "RULE_DECLINED"}
"""States of what is no order, and why it is refused."""

Plan = Callable[[Crowd, Sequence[date], Sequence[date]], list[File]]


def plan(code: str, seed: int, days: Sequence[date], past: Sequence[date] = (), scale: float = 1) -> list[File]:
    """All files of one channel, each entity's in the order of their delivery. `past`: days before, in one file."""
    files = _PLANS[code](Crowd(scaled(TRADE[code], scale), Random(f"{seed}/{code}")), days, past)
    if code == papers.CODE:
        files += papers.plan(files, seed, days, past)
    if code == price_lists.CODE:
        files += price_lists.plan(files, days, past, scaled(TRADE[code], scale), CASE)
    return files


def _fair(crowd: Crowd, days: Sequence[date], past: Sequence[date]) -> list[File]:
    """One file for the whole fair, and the same again under another name. Few buyers show a customer's card."""
    fair = [days[index] for index in FAIR_DAYS]
    sold = [order for of_day in crowd.orders(fair).values() for order in of_day]
    orders = [
        replace(order, status="paid", customer_id=order.customer_id if crowd.rng.random() < CARDS else None)
        for order in sold
    ]
    rows = rows_of(orders)
    for reason, change in (
        ("NUMBER_INVALID", {"Preis": "frei"}),
        ("RULE_FOREIGN_CASH", {"Währung": "CHF"}),
        ("RULE_FOREIGN_CASH", {"Währung": "USD"}),
    ):
        order = crowd.order(fair[-1])
        rows.append(Row(order, order.lines[0], reason, change))
    till = File("fair_de", "order_line", f"messe_koeln_{fair[0]:%Y}.csv", morning_after(fair[-1]), tuple(rows))
    later = till.delivered + timedelta(days=1)
    return [till, replace(till, name=f"messe_koeln_{fair[0]:%Y}_kopie.csv", delivered=later, is_copy=True)]


def _wholesale(crowd: Crowd, days: Sequence[date], past: Sequence[date]) -> list[File]:
    """Each document in the last state it had in the week; of everything before, the orders."""
    orders = [order for of_day in crowd.orders([*past, *days]).values() for order in of_day]
    documents = [list(_states(_in_cases(order), crowd.rng)) for order in orders]
    files = []
    for name, first, last in weeks("documents_{}.csv", days, past):
        states = [[each for each in document if first <= each.updated.date() <= last] for document in documents]
        changed = sorted((each[-1] for each in states if each), key=lambda order: order.order_id)
        if last < days[0]:
            changed = [order for order in changed if order.status not in OPEN]
        rows = [Row(order, line, OPEN.get(order.status)) for order in changed for line in order.lines]
        files.append(File("wholesale_gb", "order_line", name, morning_after(last), tuple(rows)))
    return files


def _states(order: Order, rng: Random) -> Iterator[Order]:
    """Most are ordered at once; of the quotes most are accepted within days, some are declined, some stay open."""
    draw, wait = rng.random(), timedelta(days=rng.randrange(2, 9))
    if draw < 0.6:
        yield order
        return
    yield replace(order, status="quote")
    later = order.placed + wait
    if draw < 0.85:
        yield replace(order, placed=later, updated=later)
    elif draw < 0.93:
        yield replace(order, status="declined", placed=later, updated=later)


def _in_cases(order: Order) -> Order:
    lines = (replace(line, quantity=line.quantity * CASE) if line.role == "goods" else line for line in order.lines)
    return replace(order, lines=tuple(lines))


def _imports(crowd: Crowd, days: Sequence[date], past: Sequence[date]) -> list[File]:
    """Each week's orders but the last, which come with the next week's, and some rows of the week before again."""
    by_day = crowd.orders([*past, *days])
    files, late, again = [], list[Order](), list[Row]()
    for name, first, last in weeks("declared_{}.tsv", days, past):
        week = [order for day, of_day in by_day.items() if first <= day <= last for order in of_day]
        orders = [*late, *(replace(order, status="paid") for order in week)]  # what is not paid is not declared
        held = LATE if last != days[-1] else 0
        orders, late = orders[: len(orders) - held], orders[len(orders) - held :]
        rows = rows_of(orders)
        files.append(File("import_cn", "order_line", name, morning_after(last), (*again, *rows)))
        again = rows[:AGAIN]
    return files


_PLANS: Mapping[str, Plan] = {"fair_de": _fair, "wholesale_gb": _wholesale, "import_cn": _imports}
