"""What answers of services are worth, and where requests may go."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from caravan.clients.http.address import is_private, origin, root_url
from caravan.clients.http.answers import Doubtful, Passing, read_json, retry_after
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured

NOW = "Fri, 20 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": " 120 "}, 120),
        ({"Retry-After": "Fri, 20 Nov 2026 10:01:30 GMT", "Date": NOW}, 90),
        ({"Retry-After": "Fri, 20 Nov 2026 09:00:00 GMT", "Date": NOW}, 0),
        ({"Retry-After": "Fri, 20 Nov 2026 10:01:30 GMT"}, None),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT", "Date": NOW}, 999_999_999),
        ({"Retry-After": "soon", "Date": NOW}, None),
        ({"Retry-After": "-5", "Date": NOW}, None),
        ({"Retry-After": "1.5", "Date": NOW}, None),
        ({"Retry-After": "99999999999999999999"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after(SimpleNamespace(headers=headers)) == seconds


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"[]", []),
        (b"\xef\xbb\xbf [1, 2.50, -0, 1e400, NaN] ", ["1", "2.50", "-0", "1e400", "NaN"]),
        (
            b'[123456789012345678901234567890, "\\ud800", null, true]',
            ["123456789012345678901234567890", "\ud800", None, 1],
        ),
        (b"[" + b"9" * 5000 + b"]", ["9" * 5000]),
    ],
)
def test_numbers_stay_the_text_they_are(body, content):
    assert read_json(body, list, "test") == content


@pytest.mark.parametrize(
    ("body", "shape", "needs", "error", "word"),
    [
        (b"", list, (), Passing, "empty answer"),
        (b" \n", list, (), Passing, "empty answer"),
        (b'[{"id": 1}, {"id"', list, (), Passing, "cut off"),
        (b"[1,]", list, (), Passing, "broken"),
        (b"<html>\x1b[31m", list, (), Doubtful, r"NOT_JSON: test sent no JSON; it begins with '<html>\\x1b[31m'"),
        (b"null", list, (), Doubtful, "NOT_JSON"),
        (b"\xff\xfe[", list, (), Doubtful, "no UTF-8 text, which begins with '\\xff\\xfe['"),
        (b"[" * 200_000, list, (), Doubtful, "nested too deeply"),
        (b'{"code": "no_route"}', list, (), Doubtful, "should send a JSON list and sent an object (no_route)"),
        (b'{"code": "a b@c"}', list, (), Doubtful, "sent an object"),
        (b"[]", dict, (), Doubtful, "should send a JSON object and sent a list"),
        (
            b'{"errors": [{"code": "Quota"}]}',
            dict,
            ("id",),
            Doubtful,
            "should send id and sent an object without (Quota)",
        ),
        (b'{"id": ""}', dict, ("id",), Doubtful, "without"),
    ],
)
def test_what_is_no_answer(body, shape, needs, error, word):
    with pytest.raises(error) as failed:
        read_json(body, shape, "test", needs)
    assert word.replace("\\\\", "\\") in str(failed.value)
    assert len(str(failed.value)) < 300


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://shop.example", True),
        ("http://127.0.0.1:80", True),
        ("http://127.7.7.7", True),
        ("http://[::1]:80", True),
        ("http://localhost", True),
        ("http://shop.example", False),
        ("http://127.0.0.1.shop.example", False),
        ("http://localhost.example", False),
        ("http://0.0.0.0", False),
        ("ftp://127.0.0.1", False),
        ("", False),
    ],
)
def test_who_may_be_sent_secrets(url, private):
    assert is_private(url) is private


@pytest.mark.parametrize(
    ("host", "schema", "port", "root"),
    [
        ("shop.example", None, None, "https://shop.example"),
        ("https://shop.example/", None, None, "https://shop.example"),
        ("https://shop.example/blog/?a=1", None, None, "https://shop.example/blog"),
        ("localhost", "http", 8080, "http://localhost:8080"),
    ],
)
def test_the_root_of_a_service(host, schema, port, root):
    assert root_url(Connection("c", "http", host=host, schema=schema, port=port)) == root


def test_a_service_in_the_clear_is_refused():
    with pytest.raises(Misconfigured, match="connection c: sends its secrets in the clear"):
        root_url(Connection("c", "http", host="http://shop.example"))


def test_origins_are_compared_with_their_ports():
    assert origin("https://shop.example/a") == origin("https://shop.example:443/b")
    assert origin("https://shop.example") != origin("http://shop.example")
    assert origin("https://shop.example") != origin("https://shop.example:8443")
