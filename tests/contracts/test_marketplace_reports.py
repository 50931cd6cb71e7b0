"""Of a marketplace alone: tokens and reports. The rest is in test_change_sources.py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from change_sources import SALES, START, MarketStand, Sale, Service, records, seen, truth

from caravan.clients.marketplace.report import Patience
from caravan.core.connections import Connection
from caravan.core.errors import Rejected, Retryable


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[MarketStand, Connection]]:
    stand = MarketStand()
    with stand.serve() as connection:
        yield stand, connection


@pytest.fixture
def service(served: tuple[MarketStand, Connection], tmp_path: Path) -> Service:
    stand, connection = served
    stand.begin()
    return Service(stand, connection, tmp_path / "pull")


def created(service: Service) -> int:
    return service.stand.faults.requests.count(service.stand.first_path)


def test_a_token_that_ends_is_renewed(service):
    service.stand.put(*SALES)
    service.stand.market.polls = 6
    service.stand.market.token_requests = 3
    assert seen(service.pull()) == truth(SALES)
    assert len(service.stand.market.tokens) == 3


def test_a_report_that_is_never_ready(service):
    service.stand.market.outcomes.append("never")
    with pytest.raises(Retryable, match="report 50001 is still 'IN_PROGRESS' after 60 s"):
        service.pull(patience=Patience(poll_seconds=20, report_seconds=60))
    assert service.pauses == [20] * 4


@pytest.mark.parametrize(
    ("outcomes", "found", "reports"),
    [([], 250, 1), (["CANCELLED"], 250, 2), (["CANCELLED", "CANCELLED"], 0, 2)],
    ids=["done", "cancelled once", "cancelled: no data"],
)
def test_reports_that_are_cancelled(service, outcomes, found, reports):
    service.stand.put(*SALES)
    service.stand.market.outcomes.extend(outcomes)
    assert (len(seen(service.pull())), created(service)) == (found, reports)


def test_a_report_that_fails_is_asked_for_again_later(service):
    service.stand.market.outcomes.append("FATAL")
    with pytest.raises(Retryable, match="report 50001 failed"):
        service.pull()


def test_a_file_that_is_cut_off_is_downloaded_again(service):
    service.stand.put(*SALES)
    service.stand.market.cut_files = 2
    assert seen(service.pull()) == truth(SALES)
    service.stand.market.cut_files = 99
    with pytest.raises(Retryable, match="downloaded 3 times"):
        service.pull()


def test_an_address_that_is_good_no_longer_says_nothing_about_the_credentials(service):
    service.stand.market.files_end = True
    with pytest.raises(Retryable, match="it is good no longer"):
        service.pull()


def test_a_long_time_is_several_reports(service):
    sales = [Sale(day, START - timedelta(days=day)) for day in range(100)]
    service.stand.put(*sales)
    assert seen(service.pull(START - timedelta(days=95))) == truth(sales[:96])
    assert created(service) == 4


@pytest.mark.parametrize("charset", ["utf-8", "cp1252", "iso-8859-1"])
def test_a_report_in_the_encoding_it_is_declared_in(service, charset):
    service.stand.put(*SALES[:3])
    service.stand.market.charset = charset
    assert {record["product_name"] for record in records(service.pull())} == {'Tasse ü "blue"'}


def test_a_file_that_is_no_report(service):
    service.stand.market.columns = ("Date range exceeded. Report can be requested only upto 30 days",)
    with pytest.raises(Rejected, match=r"REPORT_UNEXPECTED: report 50001 has no column .* begins with 'Date range"):
        service.pull()


def test_nothing_is_left_beside_the_records(service):
    service.stand.put(*SALES)
    service.pull()
    assert [path.name for path in service.folder.iterdir()] == ["order_line.ndjson"]
