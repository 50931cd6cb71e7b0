"""Of a shop alone: pages that shift, redirects, refunds. The rest is in test_change_sources.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from change_sources import SALES, START, Sale, Service, WooStand, at, parsed, records, rows, seen, truth

from caravan.core.connections import Connection
from caravan.core.errors import Rejected


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[WooStand, Connection]]:
    stand = WooStand()
    with stand.serve() as connection:
        yield stand, connection


@pytest.fixture
def service(served: tuple[WooStand, Connection], tmp_path: Path) -> Service:
    stand, connection = served
    stand.begin()
    return Service(stand, connection, tmp_path / "pull")


class Changing:
    """Orders that change at one moment of a pull."""

    def __init__(self, service: Service, at_page: int, orders: list[int]) -> None:
        self.at_page, self.orders, self.shop = at_page, orders, service.stand.shop
        self.shop.before_page = self

    def __call__(self, page: int) -> None:
        if page == self.at_page:
            for order in self.orders:
                self.shop.touch(order, at(5000 + order), status="completed")


@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.parametrize("page", [2, 3, 4])
def test_an_order_that_changes_during_the_pull_is_not_lost(service, tmp_path, bulk, page):
    sales = [Sale(number, START if bulk else at(number)) for number in range(1, 351)]
    service.stand.put(*sales)
    changed = [1, 50, 150, 250, 349]
    Changing(service, page, changed)
    found = parsed(service.pull(), tmp_path)
    statuses = dict(rows(found.accepted, "order_id, status"))
    assert statuses == {str(sale.order): "completed" if sale.order in changed else "processing" for sale in sales}


def test_a_redirect_within_the_shop_is_followed_but_not_for_ever(service):
    service.stand.put(*SALES)
    service.stand.faults.next("moved", "ok", "moved", "moved")
    assert seen(service.pull()) == truth(SALES)
    service.stand.faults.always = "moved"
    with pytest.raises(Rejected, match="REDIRECTED_FOR_EVER"):
        service.pull()


def test_refunds_come_with_their_orders(service):
    service.stand.put(Sale(1, at(1)), Sale(2, at(2)), Sale(3, at(3)))
    for number in (1, 3):
        service.stand.shop.touch(
            number, at(10 + number), refunds=[{"id": number + 100, "reason": "", "total": "-3.57"}]
        )
    times = service.stand.shop.times("created", at(11))
    service.stand.shop.refunds = {1: [{"id": n, "amount": f"{n}.50", "reason": "", **times} for n in (101, 102)]}
    found = {
        (record["refund_id"], record["order_id"], record["amount"], record["refunded_at"])
        for record in records(service.pull(), "refund")
    }
    assert found == {
        ("101", "1", "101.50", "2026-11-20T10:00:11Z"),
        ("102", "1", "102.50", "2026-11-20T10:00:11Z"),
    }
    assert service.stand.faults.requests.count("GET /wp-json/wc/v3/orders/2/refunds") == 0


def test_an_answer_that_is_no_list_of_orders_is_quarantined_by_the_record(service, tmp_path):
    service.stand.put(*SALES[:20])
    service.stand.shop.change = lambda page: [*page, "text", None, {"no": "id"}] if page else page
    pull = service.pull()
    assert len(seen(pull)) == 20 + 3, "an object without lines is a broken line for each of its lists"
    assert parsed(pull, tmp_path).quarantined_count == 3
    assert pull.files["order"].record_count == 20 + 3
