"""Which addresses a crawl may go to, and how often a name is looked up."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time

import pytest

from caravan.clients.crawl.addresses import Addresses, RefusedAddress, UnknownHost, refusal


@pytest.mark.parametrize(
    ("address", "wrong", "inside"),
    [
        ("93.184.215.14", None, None),
        ("2606:2800:21f:cb07::1", None, None),
        ("172.15.255.255", None, None),
        ("172.32.0.0", None, None),
        ("100.63.255.255", None, None),
        ("100.128.0.0", None, None),
        ("127.0.0.1", "loopback", None),
        ("127.255.255.255", "loopback", None),
        ("::1", "loopback", None),
        ("10.1.2.3", "private", None),
        ("172.16.0.1", "private", None),
        ("172.31.255.255", "private", None),
        ("192.168.1.1", "private", None),
        ("fd00::1", "private", None),
        ("fec0::1", "private", None),
        ("169.254.169.254", "link-local", None),
        ("fe80::1", "link-local", None),
        ("100.64.0.1", "of a carrier's own network", None),
        ("0.0.0.0", "unspecified", "unspecified"),
        ("0.1.2.3", "unspecified", "unspecified"),
        ("::", "unspecified", "unspecified"),
        ("224.0.0.1", "multicast", "multicast"),
        ("ff02::1", "multicast", "multicast"),
        ("255.255.255.255", "reserved", "reserved"),
        ("240.0.0.1", "reserved", "reserved"),
        ("192.0.0.8", "reserved", "reserved"),
        ("192.88.99.1", "reserved", "reserved"),
        ("192.0.2.1", "for documentation", "for documentation"),
        ("203.0.113.9", "for documentation", "for documentation"),
        ("2001:db8::1", "for documentation", "for documentation"),
        ("198.18.0.1", "for measurements", "for measurements"),
        ("2001::1", "reserved", "reserved"),
        ("4000::1", "reserved", "reserved"),
        ("::ffff:127.0.0.1", "IPv4 in IPv6", "IPv4 in IPv6"),
        ("::ffff:93.184.215.14", "IPv4 in IPv6", "IPv4 in IPv6"),
        ("::7f00:1", "IPv4 in IPv6", "IPv4 in IPv6"),
        ("2002:7f00:1::", "IPv4 in IPv6", "IPv4 in IPv6"),
        ("64:ff9b:1::7f00:1", "IPv4 in IPv6", "IPv4 in IPv6"),
        ("64:ff9b::5db8:d70e", None, None),
        ("64:ff9b::7f00:1", "loopback", None),
        ("64:ff9b::a9fe:a9fe", "link-local", None),
        ("64:ff9b::e000:1", "multicast", "multicast"),
    ],
)
def test_where_a_crawl_may_go(address, wrong, inside):
    assert refusal(ipaddress.ip_address(address), private_addresses=False) == wrong
    assert refusal(ipaddress.ip_address(address), private_addresses=True) == inside


class Names:
    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host):
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("host", "answer", "expected"),
    [
        ("shop.example", ["93.184.215.14"], ["93.184.215.14"]),
        ("shop.example", ["2606:2800::1", "93.184.215.14"], ["2606:2800::1", "93.184.215.14"]),
        ("93.184.215.14", ["never"], ["93.184.215.14"]),
        ("[2606:2800::1]", ["never"], ["2606:2800::1"]),
        ("shop.example", ["93.184.215.14", "10.0.0.1"], RefusedAddress),
        ("shop.example", ["10.0.0.1", "93.184.215.14"], RefusedAddress),
        ("127.0.0.1", [], RefusedAddress),
        ("[::1]", [], RefusedAddress),
        ("::1", [], RefusedAddress),
        ("shop.example", [], UnknownHost),
        ("shop.example", ["fe80::1%eth0"], RefusedAddress),
        ("shop.example", ["nonsense"], UnknownHost),
        ("shop.example", UnicodeError("label too long"), UnknownHost),
        ("shop.example", socket.gaierror(socket.EAI_NONAME, "unknown"), UnknownHost),
    ],
)
def test_every_address_of_an_answer_is_checked(host, answer, expected):
    addresses = Addresses(lookup=Names(answer))
    for _ in range(2):
        if isinstance(expected, list):
            assert addresses.of(host) == expected
        else:
            with pytest.raises(expected):
                addresses.of(host)


@pytest.mark.parametrize(
    ("first", "asked"),
    [
        (["93.184.215.14"], 1),
        (["10.0.0.1"], 1),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), 1),
        (socket.gaierror(socket.EAI_AGAIN, "no answer"), 2),
    ],
)
def test_what_is_known_is_not_looked_up_again(first, asked):
    now = [1000.0]
    names = Names(first, ["93.184.215.14"], ["10.0.0.1"])
    addresses = Addresses(lookup=names, clock=lambda: now[0])
    for _ in range(2):
        try:
            addresses.of("shop.example")
        except OSError:
            continue
    assert names.asked == asked
    now[0] += 301
    names.answers = [["10.0.0.1"]]
    with pytest.raises(RefusedAddress, match=r"shop\.example leads to 10\.0\.0\.1, which is private"):
        addresses.of("shop.example")


def test_threads_that_ask_at_once_are_told_one_answer():
    def slow(host):
        asked.append(host)
        time.sleep(0.05)
        return ["93.184.215.14"]

    asked: list[str] = []
    found: list[list[str]] = []
    addresses = Addresses(lookup=slow)
    threads = [threading.Thread(target=lambda: found.append(addresses.of("shop.example"))) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (asked, found) == (["shop.example"], [["93.184.215.14"]] * 8)


class SlowServers:
    """Name servers that answer when they are let."""

    def __init__(self):
        self.asked: list[str] = []
        self.let = threading.Event()

    def __call__(self, host):
        self.asked.append(host)
        assert self.let.wait(30)
        return ["93.184.215.14"]


def answered_at_last(addresses, host):
    for _ in range(200):
        try:
            return addresses.of(host)
        except UnknownHost:
            time.sleep(0.01)
    raise AssertionError("never")


def test_nobody_waits_longer_for_a_slow_name_server_than_told():
    servers = SlowServers()
    addresses = Addresses(lookup=servers)
    began = time.monotonic()
    with pytest.raises(UnknownHost, match=r"shop\.example: the name servers did not answer in 0\.1 s") as raised:
        addresses.of("shop.example", 0.1)
    assert raised.value.may_pass
    assert 0.1 <= time.monotonic() - began < 5
    began = time.monotonic()
    for _ in range(100):  # as long as that look-up is under way they are refused at once, and it is the only one
        with pytest.raises(UnknownHost):
            addresses.of("shop.example", 0.1)
    assert time.monotonic() - began < 5
    assert servers.asked == ["shop.example"]
    servers.let.set()
    assert answered_at_last(addresses, "shop.example") == ["93.184.215.14"]
    assert servers.asked == ["shop.example"], "the answer that came late counts"


def test_look_ups_that_nobody_waits_for_are_so_many_and_no_more():
    servers = SlowServers()
    addresses = Addresses(lookup=servers)
    before = threading.active_count()
    for number in range(40):
        with pytest.raises(UnknownHost):
            addresses.of(f"{number}.example", 0.01)
    assert len(servers.asked) == threading.active_count() - before == 16
    assert addresses.of("93.184.215.14") == ["93.184.215.14"], "an address needs no name server"
    servers.let.set()
    assert answered_at_last(addresses, "39.example") == ["93.184.215.14"]
