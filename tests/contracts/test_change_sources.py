"""What every service that is asked for its changes has to keep to, over real HTTP with its stand-in."""

from __future__ import annotations

import logging
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from change_sources import HASTY, LIMITS, SALES, STANDS, Sale, Service, Stand, WooStand, at, parsed, rows, seen, truth

from caravan.clients.http.limits import Limits
from caravan.core.connections import Connection
from caravan.core.errors import CaravanError, Misconfigured, Rejected, Retryable


@pytest.fixture(scope="module", params=STANDS, ids=lambda stand: stand.kind)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Stand, Connection]]:
    stand = request.param()
    with stand.serve() as connection:
        yield stand, connection


@pytest.fixture
def service(served: tuple[Stand, Connection], tmp_path: Path) -> Service:
    stand, connection = served
    stand.begin()
    return Service(stand, connection, tmp_path / "pull")


def check(service: Service) -> None:
    """What a stand-in that is not as documented must fail."""
    service.stand.put(*SALES)
    pull = service.pull()
    assert seen(pull) == truth(SALES)
    # At an odd second nothing changes: services differ in whether the very moment asked for is included.
    later = service.pull(at(600 + 51))
    assert seen(later) == truth([sale for sale in SALES if sale.updated > at(51)])


# What a pull finds


def test_everything_once(service, tmp_path):
    check(service)
    pull = service.pull()
    assert set(pull.files) == set(service.source().kind.entities)
    assert pull.name == "all changes"
    found = parsed(pull, tmp_path)
    assert (found.accepted_count, found.quarantined_count, found.duplicate_count) == (250, 0, 0)
    amounts = rows(found.accepted, "order_id, amount, updated_at, status, country_code, currency_code")
    assert amounts == sorted(
        (str(sale.order), Decimal(sale.price), sale.updated, "processing", "FR", "EUR") for sale in SALES
    )


def test_nothing_at_all(service, tmp_path):
    pull = service.pull()
    assert {file.record_count for file in pull.files.values()} == {0}
    assert parsed(pull, tmp_path).received_count == 0


def test_asks_from_the_overlap_before_since(service):
    service.stand.put(Sale(1, at(0)), Sale(2, at(601)), Sale(3, at(1200)))
    pull = service.pull(at(1200.9))
    assert pull.name == "changes since 2026-11-20T10:10:00Z"
    assert [order for order, *_ in seen(pull)] == ["2", "3"]


def test_equal_content_has_an_equal_hash(service, tmp_path):
    service.stand.put(*SALES)
    first = service.pull().files["order_line"].content_hash
    service.stand.put(*SALES[::-1])
    assert service.pull().files["order_line"].content_hash == first
    service.stand.put(Sale(7, at(400)))
    assert service.pull().files["order_line"].content_hash != first


def test_the_next_pull_begins_by_the_clock_of_the_service(service):
    service.stand.faults.skew = timedelta(hours=-3)
    pull = service.pull()
    ahead = datetime.now(UTC).replace(tzinfo=None) - pull.delivered_at
    assert timedelta(hours=3) - timedelta(seconds=2) <= ahead <= timedelta(hours=3, seconds=5)
    service.stand.put(Sale(1, service.stand.faults.now))
    assert [order for order, *_ in seen(service.pull(pull.delivered_at))] == ["1"]


def test_memory_does_not_grow_with_the_number_of_orders(service):
    def peak(count: int) -> int:
        service.stand.put(*(Sale(number, at(number)) for number in range(count)))
        service.pull()
        tracemalloc.start()
        try:
            assert service.pull().files["order_line"].record_count == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(150), peak(750)
    assert large < small * 1.5 + (1 << 20)


@pytest.mark.slow
def test_a_hundred_thousand_changes(service, tmp_path):
    service.stand.put(*(Sale(number, at(number // 4)) for number in range(100_000)))
    pull = service.pull(limits=Limits())
    assert len(set(seen(pull))) == 100_000
    assert parsed(pull, tmp_path).accepted_count == 100_000


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_the_nights_in_which_clocks_change(service, tmp_path, zone):
    if isinstance(service.stand, WooStand):
        service.stand.shop.zone = zone
    nights = [datetime(2026, 3, 8), datetime(2026, 3, 29), datetime(2026, 10, 25), datetime(2026, 11, 1)]
    hours = [night + timedelta(hours=hour, minutes=30) for night in nights for hour in range(-8, 12)]
    service.stand.put(*(Sale(number, hour, placed=hour) for number, hour in enumerate(hours, start=1)))
    found = parsed(service.pull(first_days=400), tmp_path, zone)
    local = [hour.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date() for hour in hours]
    expected = [(str(number), *each) for number, each in enumerate(zip(hours, hours, local, strict=True), start=1)]
    assert rows(found.accepted, "order_id, ordered_at, updated_at, order_local_date") == sorted(expected)


# Records that are not as documented


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": {"net": "1.00"}}, "NUMBER_INVALID"),
        ({"price": "1,00"}, "NUMBER_INVALID"),
        ({"price": "1.000001"}, "TOO_MANY_DECIMALS"),
        ({"placed": "yesterday"}, "TIMESTAMP_INVALID"),
        ({"line": "no object"}, "KEY_EMPTY"),
    ],
    ids=["object", "comma", "more decimals", "time", "line"],
)
def test_a_field_that_changes_its_type_is_quarantined(service, tmp_path, changes, reason):
    service.stand.put(*SALES[:150])
    service.stand.put_raw(SALES[99], **changes)
    found = parsed(service.pull(), tmp_path)
    assert (found.received_count, found.quarantined_count) == (150, 1)
    assert rows(found.quarantined, "reason_code") == [(reason,)]


# Services that fail


@pytest.mark.parametrize(
    ("faults", "pauses"),
    [
        (["down"] * 5, [0.5, 1, 2, 4, 8]),
        (["broken", "ok", "broken"], [0.5, 0.5]),
        (["busy"], [2]),
        (["busy_until"], [2]),
        (["cut", "cut"], [0.5, 1]),
        (["denied"], [0]),
        (["html"], [0.5]),
        (["error_body"], [0.5]),
        (["dripping"], [0.5]),
    ],
    ids=lambda value: "-".join(map(str, value)),
)
def test_failures_that_pass(service, faults, pauses):
    service.stand.put(*SALES)
    service.stand.faults.next(*faults)
    assert seen(service.pull(limits=HASTY if "dripping" in faults else LIMITS)) == truth(SALES)
    assert service.pauses == pauses


@pytest.mark.parametrize(
    ("fault", "error", "word", "requests"),
    [
        ("down", Retryable, "answered 500; tried 6 times", 6),
        ("broken", Retryable, "answered 502", 6),
        ("busy", Retryable, "answered 429", 6),
        ("cut", Retryable, "cut off", 6),
        ("dripping", Retryable, "was still sending after 0.2 s", 6),
        ("denied", Misconfigured, "its key, secret or rights are not accepted", 2),
        ("html", Rejected, "NOT_JSON", 2),
        ("html", Rejected, "'<!DOCTYPE html><title>Briefly unavailable", 2),
        ("error_body", Rejected, "ANSWER_UNEXPECTED", 2),
        ("endless", Rejected, "ANSWER_TOO_LARGE", 1),
        ("elsewhere", Misconfigured, "is redirected to other.invalid, which is not followed", 1),
    ],
)
def test_failures_that_do_not(service, caplog, fault, error, word, requests):
    service.stand.put(*SALES)
    service.stand.faults.always = fault
    limits = Limits(page_bytes=1 << 20, page_seconds=0.2 if fault == "dripping" else 20)
    with caplog.at_level(logging.DEBUG), pytest.raises(error) as failed:
        service.pull(limits=limits)
    assert word in str(failed.value)
    assert f"connection {service.connection.conn_id}" in str(failed.value)
    assert Counter(service.stand.faults.requests)[service.stand.first_path] == requests
    told = str(failed.value) + "".join(record.getMessage() for record in caplog.records if "caravan" in record.name)
    assert not [secret for secret in service.connection.secrets if secret in told]


def test_a_long_wait_is_left_to_whoever_asked_for_the_pull(service):
    service.stand.faults.always, service.stand.faults.wait_seconds = "busy", 900
    with pytest.raises(Retryable) as failed:
        service.pull()
    assert failed.value.after == timedelta(seconds=900)
    assert service.pauses == []


def test_a_pull_has_an_end(service):
    service.stand.faults.always = "down"
    hours = iter(range(1000))
    with pytest.raises(Retryable, match="the pull took more than"):
        service.pull(limits=Limits(pull_seconds=3.5), clock=lambda: next(hours))


def test_a_service_without_a_clock(service):
    service.stand.faults.always = "undated"
    with pytest.raises(Rejected, match="DATE_MISSING"):
        service.pull()


def test_no_answer_at_all(service):
    with pytest.raises(Retryable, match=r"does not answer at 127\.0\.0\.1:1: ConnectionError; tried 2 times"):
        service.using(host="http://127.0.0.1:1").pull(limits=Limits(attempts=2))


@pytest.mark.parametrize("host", ["http://shop.example", "http://10.0.0.7:8080", "ftp://shop.example", None])
def test_credentials_are_sent_encrypted_or_not_at_all(service, host):
    with pytest.raises(Misconfigured, match=f"connection {service.connection.conn_id}"):
        service.using(host=host).pull()


def test_credentials_that_are_missing(service):
    with pytest.raises(Misconfigured, match=f"connection {service.connection.conn_id}: needs"):
        service.using(login=None, password=None).pull()


def test_wrong_credentials(service):
    with pytest.raises(Misconfigured, match=r"are not accepted|are wrong or were revoked"):
        service.using(password="wrong-secret").pull()


# The suite itself


MUTANTS = [pytest.param(stand, name, id=f"{stand.kind}-{name}") for stand in STANDS for name in stand().mutants()]


@pytest.mark.parametrize(("served", "mutant"), MUTANTS, indirect=["served"])
def test_the_checks_find_a_service_that_is_not_as_documented(service, mutant):
    service.stand.mutants()[mutant]()
    with pytest.raises((AssertionError, CaravanError)):
        check(service)
