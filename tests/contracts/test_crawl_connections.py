"""What a crawl says to servers, and where its connections go; each test has its own server, on loopback."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from hostile_server import HASTY, LIMIT, HostileServer, certificate, cut, dripping, said, tls_of

from caravan.clients.crawl.addresses import Addresses
from caravan.core.crawl import Ask, Limits

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


# Redirects, methods, headers


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_told_not_followed(hostile, fetch, code):
    hostile.answers = {
        "/": said(f"{code} There", b"Go there", "Location: /sch\xf6n,?q=%zz"),
        "/sch\xf6n": said(body=b"never"),
    }
    answer = fetch()
    assert (answer.status_code, answer.header("location")) == (code, "/schön,?q=%zz")
    assert len(hostile.requests) == 1


def test_the_endless_body_of_a_redirect(hostile, fetch):
    def talk(made, hostile):
        made.sendall(b"HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n")
        while True:
            made.sendall(b"x" * 10_000)

    hostile.answers["/"] = talk
    answer = fetch()
    assert (answer.status_code, answer.header("location"), answer.body_reason) == (302, "/there", "size")


@pytest.mark.parametrize(
    "target",
    ["/%c3%a9/%zz%", "/a,b;c='d'|[e]", "/?q=%7e&r=a,b+c%20d", "//a//b", "/a%2Fb/..%2f", "/?a=b?c&d=^{}`"],
)
def test_addresses_are_asked_for_as_they_were_published(hostile, fetch, target):
    hostile.answers["/"] = said()
    assert fetch(target).status_code == 200
    assert hostile.requests[0].split("\r\n")[0] == f"GET {target} HTTP/1.1"


def test_a_fragment_is_not_asked_for(hostile, fetch):
    hostile.answers["/"] = said()
    fetch("/a#b")
    assert hostile.requests[0].startswith("GET /a HTTP")


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mailto:x@example.com", "scheme"),
        ("/a", "relative"),
        ("http://", "no host"),
        ("http://name:password@127.0.0.1/", "credentials"),
        ("http://127.0.0.1:99999/", "no port"),
        ("", "relative"),
    ],
)
def test_what_is_no_address(fetcher_of, url, word):
    answer = fetcher_of().fetch(Ask(url), LIMIT)
    assert (answer.status_code, answer.reason) == (None, "bad_url")
    assert word in answer.detail


def test_conditions_and_languages(hostile, fetch):
    hostile.answers["/"] = b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"
    at = "Sun, 22 Nov 2026 10:00:00 GMT"
    answer = fetch(etag='W/"a\xe4"', last_modified=at, accept_language="de")
    assert (answer.status_code, answer.body, answer.wire_bytes) == (304, b"", 0)
    for line in ('If-None-Match: W/"a\xe4"', f"If-Modified-Since: {at}", "Accept-Language: de"):
        assert f"{line}\r\n" in hostile.requests[0]


@pytest.mark.parametrize("etag", ["a\r\nX-Other: b", "a\0", "\u30a8", ""])
def test_what_no_header_can_carry_is_left_out(hostile, fetch, etag):
    hostile.answers["/"] = said()
    assert fetch(etag=etag).status_code == 200
    assert "If-None-Match" not in hostile.requests[0] and "X-Other" not in hostile.requests[0]


def test_head(hostile, fetch):
    hostile.answers["/"] = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nContent-Encoding: gzip\r\n\r\n"
    answer = fetch(method="HEAD")
    assert (answer.status_code, answer.body, answer.body_reason) == (200, b"", None)
    assert answer.header("content-length") == "5000"
    assert fetch(method="HEAD").status_code == 200
    assert hostile.connections == 1


def test_cookies_are_neither_kept_nor_told(hostile, fetch):
    hostile.answers["/"] = said("200 OK", b"", "Set-Cookie: id=secret; Path=/")
    assert ("set-cookie", "") in fetch().headers
    fetch()
    assert "Cookie" not in hostile.requests[1]


def test_an_agent_of_ones_own(hostile, fetcher_of):
    hostile.answers["/"] = said()
    fetcher_of(agent="Caravan (+https://example.com/crawler)").fetch(Ask(f"{hostile.url}/"), LIMIT)
    assert "User-Agent: Caravan (+https://example.com/crawler)\r\n" in hostile.requests[0]


def test_no_proxy_of_the_environment(hostile, fetcher_of, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    hostile.answers["/"] = said(body=b"direct")
    assert fetcher_of().fetch(Ask(f"{hostile.url}/"), LIMIT).body == b"direct"


# Connections


def test_a_connection_is_used_again(hostile, fetch):
    hostile.answers["/"] = said(body=b"x" * 50_000)
    for place in range(5):
        assert fetch(f"/{place}").status_code == 200
    assert (len(hostile.requests), hostile.connections) == (5, 1)


def test_a_connection_that_ended_meanwhile(hostile, fetch):
    hostile.answers = {"/a": cut(said(body=b"a")), "/b": said(body=b"b")}
    assert fetch("/a").body == b"a"
    time.sleep(0.05)
    assert fetch("/b").body == b"b"
    assert hostile.connections == 2


def test_each_thread_has_its_own(hostile, fetcher_of):
    hostile.answers["/"] = said(body=b"x")
    fetcher = fetcher_of(Limits())
    bodies = []

    def ask():
        for _ in range(20):
            bodies.append(fetcher.fetch(Ask(f"{hostile.url}/"), LIMIT).body)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert bodies == [b"x"] * 160
    assert hostile.connections == 8


# Names and addresses


class Names:
    """A resolver that says what the test wants and counts how often it is asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    def __call__(self, host):
        self.asked.append(host)
        answer = self.answers[host.replace(".", "_")]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), 1),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), 3),
    ],
)
def test_no_such_name(fetcher_of, error, attempts):
    names = Names(shop_example=error)
    fetcher = fetcher_of(Limits(), Addresses(lookup=names))
    answer = fetcher.fetch(Ask("http://shop.example/"), LIMIT)
    assert (answer.status_code, answer.reason, answer.attempt_count) == (None, "dns", attempts)
    assert "shop.example" in answer.detail


def test_name_servers_that_do_not_answer_hold_nobody(fetcher_of):
    let = threading.Event()
    fetcher = fetcher_of(Limits(connect_seconds=0.2), Addresses(lookup=lambda host: [str(let.wait(30))]))
    began = time.monotonic()
    answer = fetcher.fetch(Ask("http://shop.example/"), LIMIT)
    let.set()
    assert time.monotonic() - began < 10
    assert (answer.status_code, answer.reason, answer.attempt_count) == (None, "dns", 3)
    assert answer.detail == "shop.example: the name servers did not answer in 0.2 s"


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["169.254.169.254"], ["93.184.215.14", "10.0.0.1"], ["::1"], ["::ffff:127.0.0.1"]]
)
def test_a_name_that_leads_inside(hostile, fetcher_of, addresses):
    fetcher = fetcher_of(Limits(), Addresses(lookup=Names(shop_example=addresses)))
    answer = fetcher.fetch(Ask(f"http://shop.example:{hostile.port}/"), LIMIT)
    assert (answer.status_code, answer.reason, answer.attempt_count) == (None, "refused_address", 1)
    assert addresses[-1] in answer.detail
    assert hostile.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:7f00:1]"])
def test_an_address_inside_without_a_name(hostile, fetcher_of, host):
    answer = fetcher_of(Limits(), Addresses()).fetch(Ask(f"http://{host}:{hostile.port}/"), LIMIT)
    assert answer.reason == "refused_address"
    assert hostile.connections == 0


def test_the_connection_goes_to_the_address_that_was_checked(hostile, fetcher_of):
    """A name that leads elsewhere when asked a second time is not asked a second time."""
    hostile.answers["/"] = cut(said(body=b"x"))
    names = Names(shop_example=["127.0.0.1"])
    fetcher = fetcher_of(Limits(), Addresses(private_addresses=True, lookup=names))
    for _ in range(3):
        assert fetcher.fetch(Ask(f"http://shop.example:{hostile.port}/"), LIMIT).body == b"x"
        time.sleep(0.02)
    assert names.asked == ["shop.example"]
    assert hostile.connections == 3
    assert all(f"Host: shop.example:{hostile.port}\r\n" in head for head in hostile.requests)


def test_the_next_address_is_tried_and_then_comes_first(hostile, fetcher_of):
    hostile.answers["/"] = said(body=b"x")
    addresses = Addresses(private_addresses=True, lookup=Names(shop_example=["::1", "127.0.0.1"]))
    fetcher = fetcher_of(Limits(), addresses)
    assert fetcher.fetch(Ask(f"http://shop.example:{hostile.port}/"), LIMIT).body == b"x"
    assert addresses.of("shop.example") == ["127.0.0.1", "::1"]
    addresses.prefer("shop.example", "192.168.0.1")
    assert addresses.of("shop.example") == ["127.0.0.1", "::1"], "only what was checked"


# TLS


@pytest.fixture
def secure(tmp_path):
    path, ends = certificate(tmp_path, "shop.example", "127.0.0.1")
    hostile = HostileServer(tls_of(path))
    hostile.answers["/"] = said(body=b"secret")
    yield hostile, path, ends
    hostile.close()


def test_a_certificate_that_nobody_vouches_for(secure, fetcher_of):
    hostile, _, _ = secure
    answer = fetcher_of(Limits()).fetch(Ask(f"{hostile.url}/"), LIMIT)
    assert (answer.status_code, answer.reason, answer.attempt_count) == (None, "tls", 1)
    assert answer.detail == "self-signed certificate"
    assert hostile.requests == []


def test_a_certificate_that_one_trusts(secure, fetcher_of):
    hostile, path, ends = secure
    names = Names(shop_example=["127.0.0.1"], other_example=["127.0.0.1"])
    fetcher = fetcher_of(Limits(), Addresses(private_addresses=True, lookup=names), authorities=str(path))
    host = f"shop.example:{hostile.port}"
    assert fetcher.fetch(Ask(f"https://{host}/"), LIMIT).body == b"secret"
    assert fetcher.certificates == {host: ends}
    assert f"Host: {host}\r\n" in hostile.requests[0]
    answer = fetcher.fetch(Ask(f"https://other.example:{hostile.port}/"), LIMIT)
    assert answer.reason == "tls"
    assert answer.detail == "Hostname mismatch, certificate is not valid for 'other.example'"


def test_time_over_tls(secure, fetcher_of):
    hostile, path, _ = secure
    hostile.answers["/"] = dripping(HEAD + b"\r\n", b"x")
    fetcher = fetcher_of(HASTY, authorities=str(path))
    began = time.monotonic()
    assert fetcher.fetch(Ask(f"{hostile.url}/"), LIMIT).body_reason == "timeout"
    assert time.monotonic() - began < 5


def test_tls_where_none_is_spoken(hostile, fetcher_of):
    answer = fetcher_of(HASTY).fetch(Ask(hostile.url.replace("http:", "https:") + "/"), LIMIT)
    assert answer.reason in ("tls", "connect", "timeout")
    assert answer.status_code is None
