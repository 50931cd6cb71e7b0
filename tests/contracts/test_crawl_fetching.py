"""What a crawl makes of servers that do as they like; each test has its own, on loopback."""

from __future__ import annotations

import gzip
import logging
import random
import socket
import time
import zlib

import pytest
from hostile_server import HASTY, LIMIT, ONCE, cut, dripping, said, silent

from caravan.clients.crawl.pace import Pace
from caravan.clients.crawl.robots import read_robots
from caravan.core.crawl import Ask, Limits

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


def test_a_page(hostile, fetch):
    hostile.answers["/"] = said("200 OK", b"Hello", "Content-Type: text/html", "ETag: W/\"a\"", "X-Robots-Tag: noindex",
                               "X-Robots-Tag: nofollow")  # fmt: skip
    answer = fetch()
    assert (answer.status_code, answer.reason, answer.body, answer.body_reason) == (200, None, b"Hello", None)
    assert (answer.wire_bytes, answer.attempt_count, answer.retry_after_s) == (5, 1, None)
    assert answer.header("etag") == 'W/"a"'
    assert [value for name, value in answer.headers if name == "x-robots-tag"] == ["noindex", "nofollow"]
    assert answer.ttfb_ms is not None and answer.total_ms is not None and 0 <= answer.ttfb_ms <= answer.total_ms
    head = hostile.requests[0]
    assert head.startswith("GET / HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{hostile.port}\r\n" in head
    assert "User-Agent: Caravan\r\n" in head and "Accept-Encoding: gzip, deflate\r\n" in head


# Time


@pytest.mark.parametrize(
    ("talk", "status", "reason", "body_reason"),
    [
        (silent, None, "timeout", None),
        (dripping(b"", b"H"), None, "timeout", None),
        (dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), None, "timeout", None),
        (dripping(b"HTTP/1.1 200 OK\r\nX: ", b"y"), None, "timeout", None),
        (dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), None, "timeout", None),
        (dripping(HEAD + b"\r\n", b"x"), 200, None, "timeout"),
        (dripping(HEAD + b"Content-Length: 5000\r\n\r\nabc", b"x"), 200, None, "timeout"),
        (dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), 200, None, "timeout"),
        (dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"), 200, None, "timeout"),
    ],
)
def test_one_time_for_all_of_an_answer(hostile, fetcher_of, talk, status, reason, body_reason):
    hostile.answers["/"] = talk
    began = time.monotonic()
    answer = fetcher_of(HASTY).fetch(Ask(f"{hostile.url}/"), LIMIT)
    assert 0.4 < time.monotonic() - began < 5
    assert (answer.status_code, answer.reason, answer.body_reason) == (status, reason, body_reason)
    assert answer.detail


def test_the_next_answer_has_its_own_time(hostile, fetcher_of):
    hostile.answers = {"/slow": dripping(HEAD + b"\r\n", b"x"), "/": said(body=b"quick")}
    fetcher = fetcher_of(Limits(answer_seconds=1.5, attempts=1))
    assert fetcher.fetch(Ask(f"{hostile.url}/slow"), LIMIT).body_reason == "timeout"
    assert fetcher.fetch(Ask(f"{hostile.url}/"), LIMIT).body == b"quick"


# Size


def _endless(made, hostile):
    made.sendall(HEAD + b"\r\n")
    while True:
        made.sendall(b"x" * 10_000)


def test_an_endless_body_is_cut(hostile, fetch):
    hostile.answers["/"] = _endless
    answer = fetch()
    assert (len(answer.body), answer.body_reason, answer.wire_bytes) == (LIMIT, "size", LIMIT + 1)


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1])
def test_the_limit_to_the_byte(hostile, fetch, size):
    hostile.answers["/"] = said(body=b"x" * size)
    answer = fetch()
    assert (len(answer.body), answer.body_reason) == (min(size, LIMIT), "size" if size > LIMIT else None)
    hostile.answers["/zipped"] = said("200 OK", gzip.compress(b"x" * size), "Content-Encoding: gzip")
    answer = fetch("/zipped")
    assert (len(answer.body), answer.body_reason) == (min(size, LIMIT), "size" if size > LIMIT else None)


def test_a_bomb_unpacks_as_far_as_the_limit(hostile, fetch):
    """100 KB that would be 100 MB."""
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(100)) + packer.flush()
    hostile.answers["/"] = said("200 OK", bomb, "Content-Encoding: gzip")
    answer = fetch(limit=200_000)
    assert (len(answer.body), answer.body_reason) == (200_000, "size")
    assert answer.wire_bytes == len(bomb)
    hostile.answers["/twice"] = said("200 OK", gzip.compress(bomb), "Content-Encoding: gzip, gzip")
    assert fetch("/twice").body_reason == "size"


def test_what_is_too_long_as_sent(hostile, fetch):
    hostile.answers["/"] = said(
        "200 OK", gzip.compress(random.Random(1).randbytes(LIMIT * 2)), "Content-Encoding: gzip"
    )
    answer = fetch()
    assert answer.body_reason == "size"
    assert LIMIT * 0.9 < len(answer.body) <= LIMIT


def test_packed_pages(hostile, fetch):
    page = b"<title>Shoes</title>" * 100
    hostile.answers = {
        "/gzip": said("200 OK", gzip.compress(page), "Content-Encoding: gzip"),
        "/deflate": said("200 OK", zlib.compress(page), "Content-Encoding: Deflate"),
        "/not": said("200 OK", page, "Content-Encoding: gzip"),
        "/other": said("200 OK", page, "Content-Encoding: br"),
        "/half": said("200 OK", gzip.compress(page)[:30], "Content-Encoding: gzip"),
    }
    assert fetch("/gzip").body == fetch("/deflate").body == page
    assert fetch("/gzip").wire_bytes == len(gzip.compress(page))
    for target in ("/not", "/other", "/half"):
        assert (fetch(target).status_code, fetch(target).body_reason) == (200, "encoding")


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"X-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: y\r\n" % place for place in range(500)) + b"\r\n",
        b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
def test_headers_beyond_measure(hostile, fetch, head):
    hostile.answers["/"] = head
    answer = fetch()
    assert (answer.status_code, answer.reason) == (None, "broken")
    assert len(answer.detail) <= 300


# What breaks


@pytest.mark.parametrize(
    ("talk", "status", "reason", "body_reason", "body"),
    [
        (cut(b""), None, "broken", None, b""),
        (cut(b"HTTP/1.1 20"), None, "broken", None, b""),
        (cut(b"SSH-2.0-OpenSSH_9.2\r\n"), None, "broken", None, b""),
        (cut(b"HTTP/1.1 abc\r\n\r\n"), None, "broken", None, b""),
        (cut(HEAD + b"Content-Length: 10\r\n\r\nHel"), 200, None, "broken", b"Hel"),
        (said(body=b"Hello")[:-5].replace(b"5", b"3") + b"Hel", 200, None, None, b"Hel"),
        (cut(HEAD + b"Content-Length: -1\r\n\r\nHello"), 200, None, None, b"Hello"),
        (cut(HEAD + b"Content-Length: five\r\n\r\nHello"), 200, None, None, b"Hello"),
        (cut(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n"), 200, None, "broken", b"Hello"),
        (cut(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nHello\r\nzz\r\n"), 200, None, "broken", b"Hello"),
        (cut(HEAD + b"Transfer-Encoding: chunked\r\n\r\n50\r\nHello"), 200, None, "broken", b"Hello"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n", 200, None, None, b"Hello"),
        (cut(HEAD + b"\r\nHello"), 200, None, None, b"Hello"),
        (cut(b"HTTP/1.0 200\r\n\r\nHello"), 200, None, None, b"Hello"),
    ],
)
def test_what_breaks_off(hostile, fetch, talk, status, reason, body_reason, body):
    hostile.answers["/"] = talk
    answer = fetch()
    assert (answer.status_code, answer.reason, answer.body_reason) == (status, reason, body_reason)
    assert answer.body == body


def test_lengths_that_contradict_each_other(hostile, fetch):
    hostile.answers["/"] = HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nHello"
    answer = fetch()
    assert answer.reason == "broken" and "Content-Length" in answer.detail


def test_nobody_listens(fetcher_of):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    answer = fetcher_of().fetch(Ask(f"http://127.0.0.1:{port}/"), LIMIT)
    assert (answer.status_code, answer.reason) == (None, "connect")
    assert "refused" in answer.detail


@pytest.mark.parametrize(
    "line", [b"no header at all", b"with space: x", b": nameless", b"over\r\n\ttwo lines", b"S\xc3\xb6: x", b"From x"]
)
def test_a_line_that_is_no_header_is_left_out(hostile, fetch, caplog, line):
    head = HEAD + line + b"\r\nSet-Cookie: id=secret\r\nContent-Length: 5\r\n\r\nHello"
    hostile.answers["/"] = b"HTTP/1.1 103 Early Hints\r\n" + line + b"\r\n\r\n" + head
    with caplog.at_level(logging.DEBUG):
        answer = fetch()
    assert (answer.status_code, answer.body, answer.body_reason) == (200, b"Hello", None)
    assert [name for name, _ in answer.headers] == ["content-type", "set-cookie", "content-length"]
    assert "secret" not in caplog.text


def test_nothing_but_lines_that_are_no_headers(hostile, fetch):
    hostile.answers["/"] = HEAD + b"x\r\n" * 1000 + b"\r\n"
    assert fetch().reason == "broken"


def test_what_urllib3_would_write_down(hostile, fetch, caplog):
    hostile.answers["/"] = b"HTTP/1.1 200 OK\r\n  secret\r\nContent-Length: 5\r\n\r\nHello"
    with caplog.at_level(logging.DEBUG):
        assert fetch().body == b"Hello"
    assert "secret" not in caplog.text


# Attempts


@pytest.mark.parametrize(
    ("answers", "status", "attempts", "pauses"),
    [
        ([said("200 OK")], 200, 1, []),
        ([said("404 Not Found")], 404, 1, []),
        ([said("500 Oh"), said("200 OK")], 200, 2, [0.5]),
        ([said("502 Oh")], 502, 3, [0.5, 1.0]),
        ([said("503 Oh")], 503, 3, [0.5, 1.0]),
        ([said("501 Never")], 501, 1, []),
        ([said("429 Slowly")], 429, 1, []),
        ([said("503 Oh", b"", "Retry-After: 120")], 503, 1, []),
        ([cut(b""), said("200 OK")], 200, 2, [0.5]),
        ([cut(b"")], None, 3, [0.5, 1.0]),
        ([cut(HEAD + b"Content-Length: 10\r\n\r\nHel"), said("200 OK")], 200, 2, [0.5]),
        ([said("200 OK", b"x", "Content-Encoding: gzip")], 200, 1, []),
    ],
)
def test_what_is_tried_again(hostile, fetcher_of, answers, status, attempts, pauses):
    hostile.answers["/"] = answers
    fetcher = fetcher_of(Limits())
    answer = fetcher.fetch(Ask(f"{hostile.url}/"), LIMIT)
    assert (answer.status_code, answer.attempt_count, fetcher.pauses) == (status, attempts, pauses)
    assert len(hostile.requests) == attempts


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        ("429 Slowly", ["Retry-After: 120"], 120.0),
        ("503 Later", ["Retry-After: 0"], 0.0),
        (
            "503 Later",
            ["Date: Sun, 22 Nov 2026 10:00:00 GMT", "Retry-After: Sun, 22 Nov 2026 10:01:30 GMT"],
            90.0,
        ),
        ("429 Slowly", ["Retry-After: soon"], None),
        ("200 OK", ["Retry-After: 120"], None),
    ],
)
def test_when_to_come_back(hostile, fetch, status, headers, seconds):
    hostile.answers["/"] = said(status, b"", *headers)
    assert fetch().retry_after_s == seconds


def test_the_pace_is_told_and_says_when(hostile, fetcher_of):
    hostile.answers["/"] = [said("503 Oh"), cut(b""), said("200 OK")]
    limits = Limits(requests_per_second=1.0)
    pace = Pace(limits, clock=lambda: 1000.0)
    pace.reserve(f"127.0.0.1:{hostile.port}")
    fetcher = fetcher_of(limits, pace=pace)
    assert fetcher.fetch(Ask(f"{hostile.url}/"), LIMIT).status_code == 200
    assert fetcher.pauses == [1.0, 3.0], "one second each at first, then at half the rate"


def test_nobody_waits_longer_than_for_an_answer(hostile, fetcher_of):
    hostile.answers["/"] = said("500 Oh")
    limits = Limits(answer_seconds=2, requests_per_second=0.1)
    pace = Pace(limits, clock=lambda: 1000.0)
    pace.reserve(f"127.0.0.1:{hostile.port}")
    fetcher = fetcher_of(limits, pace=pace)
    answer = fetcher.fetch(Ask(f"{hostile.url}/"), LIMIT)
    assert (answer.status_code, answer.attempt_count, fetcher.pauses) == (500, 1, [])


# robots.txt, over the wire


@pytest.mark.parametrize(
    ("answers", "outcome", "reason", "allowed"),
    [
        ({"/robots.txt": said(body=b"\xef\xbb\xbfUser-agent: *\nDisallow: /a")}, "read", None, False),
        ({"/robots.txt": said(body=b"User-agent: *\nDisallow: /a\n" + b"#" * (5 << 20))}, "read", None, False),
        ({"/robots.txt": said("503 Oh")}, "unavailable", "status_503", False),
        ({"/robots.txt": said("404 Not Found")}, "none", "status_404", True),
        ({"/robots.txt": silent}, "unavailable", "timeout", False),
        ({"/robots.txt": said("301 There", b"", "Location: /robots.txt")}, "none", "redirects", True),
        (
            {
                "/robots.txt": said("301 There", b"", "Location: /there"),
                "/there": said(body=b"User-agent: *\nDisallow: /a"),
            },
            "read",
            None,
            False,
        ),
        (
            {"/robots.txt": said("302 In", b"", "Location: http://192.0.2.1/robots.txt")},
            "unavailable",
            "refused_address",
            False,
        ),
    ],
)
def test_robots(hostile, fetcher_of, answers, outcome, reason, allowed):
    hostile.answers = answers
    fetcher = fetcher_of(HASTY if reason == "timeout" else ONCE)
    robots = read_robots(hostile.url, fetcher, "Caravan", Limits())
    assert (robots.outcome, robots.reason, robots.allows(f"{hostile.url}/a")) == (outcome, reason, allowed)
    assert robots.host == f"127.0.0.1:{hostile.port}"
