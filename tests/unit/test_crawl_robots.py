"""robots.txt: what each answer means, and what its rules allow."""

from __future__ import annotations

from datetime import datetime

import pytest

from caravan.clients.crawl.robots import read_robots
from caravan.clients.crawl.tables import TABLES
from caravan.core.crawl import Answer, Ask, Limits

AT = datetime(2026, 11, 22)
ORIGIN = "https://shop.example"
AGENT = "Caravan/1.0 (+https://example.com/)"


class Site:
    """Answers from a table of addresses; cuts bodies as a fetcher does."""

    def __init__(self, **answers) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def fetch(self, ask: Ask, limit: int) -> Answer:
        self.asked.append(ask.url)
        given = self.answers.get(ask.url.removeprefix(ORIGIN), {"status": 404})
        body = given.get("body", b"")
        return Answer(
            ask,
            AT,
            given.get("status", None if "reason" in given else 200),
            given.get("reason"),
            headers=[("location", given["to"])] if "to" in given else [],
            body=body[:limit],
            body_reason=given.get("body_reason") or ("size" if len(body) > limit else None),
        )

    def close(self) -> None: ...


def _read(given=None, **answers):
    return read_robots(ORIGIN, Site(**{"/robots.txt": given or {}, **answers}), AGENT, Limits())


@pytest.mark.parametrize(
    ("given", "outcome", "reason", "allowed"),
    [
        ({"body": b""}, "read", None, True),
        ({"body": b"User-agent: *\nDisallow: /"}, "read", None, False),
        ({"body": b"<!doctype html><title>Shop</title>"}, "read", None, True),
        ({"body": b"\xef\xbb\xbfUser-agent: *\nDisallow: /"}, "read", None, False),
        ({"body": "User-agent: *\nDisallow: /".encode("utf-16")}, "read", None, False),
        ({"body": b"User-agent: *\r\nDisallow: /\r\n"}, "read", None, False),
        ({"body": b"User-agent: *\rDisallow: /\r"}, "read", None, False),
        ({"status": 404}, "none", "status_404", True),
        ({"status": 410}, "none", "status_410", True),
        ({"status": 401}, "none", "status_401", True),
        ({"status": 403, "body": b"User-agent: *\nDisallow: /"}, "none", "status_403", True),
        ({"status": 429}, "unavailable", "status_429", False),
        ({"status": 500}, "unavailable", "status_500", False),
        ({"status": 503, "body": b"User-agent: *\nAllow: /"}, "unavailable", "status_503", False),
        ({"reason": "timeout"}, "unavailable", "timeout", False),
        ({"reason": "dns"}, "unavailable", "dns", False),
        ({"reason": "refused_address"}, "unavailable", "refused_address", False),
        ({"body": b"User-agent: *\nAll", "body_reason": "broken"}, "unavailable", "broken", False),
        ({"body_reason": "encoding"}, "unavailable", "encoding", False),
        ({"status": 301}, "none", "redirect_invalid", True),
        ({"status": 301, "to": "mailto:x"}, "none", "redirect_invalid", True),
        ({"status": 302, "to": "/robots.txt"}, "none", "redirects", True),
    ],
)
def test_what_an_answer_means(given, outcome, reason, allowed):
    robots = _read(given)
    assert (robots.outcome, robots.reason) == (outcome, reason)
    assert robots.allows(f"{ORIGIN}/page") is allowed
    assert len(robots.row()) == len(TABLES["robots"])
    assert dict(zip(TABLES["robots"].names, robots.row(), strict=True))["host"] == "shop.example"


@pytest.mark.parametrize(("hops", "outcome"), [(1, "read"), (5, "read"), (6, "none")])
def test_redirects_are_followed_five_times(hops, outcome):
    answers = {f"/{place}": {"status": 301, "to": f"/{place + 1}"} for place in range(1, hops)}
    answers[f"/{hops}"] = {"body": b"User-agent: *\nDisallow: /"}
    robots = _read({"status": 308, "to": "/1#top"}, **answers)
    assert robots.outcome == outcome
    assert robots.host == "shop.example"


def test_a_redirect_to_another_host_counts_for_this_one():
    other = "https://www.shop.example/robots.txt"
    robots = _read({"status": 301, "to": other}, **{other: {"body": b"User-agent: *\nDisallow: /a"}})
    assert (robots.url, robots.host) == (other, "shop.example")
    assert not robots.allows(f"{ORIGIN}/a")


RULES = b"""
User-agent: *
Disallow: /

User-agent: caravan
User-agent: Others
Disallow: /cart
Disallow: /*.pdf$
Disallow: /search?
Allow: /cart/help
Disallow: /a%3cd
Disallow: /caf\xc3\xa9
Crawl-delay: 2.5

User-agent: caravanserai
Disallow: /inn
"""


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", True),
        ("/cart", False),
        ("/cartoon", False),
        ("/Cart", True),
        ("/cart/help", True),
        ("/cart/help/me", True),
        ("/cart/hel", False),
        ("/x/y.pdf", False),
        ("/x/y.pdf?download", True),
        ("/search?q=1", False),
        ("/search", True),
        ("/a%3Cd.html", False),
        ("/caf%C3%A9", False),
        ("/inn", True),
        ("/robots.txt", True),
    ],
)
def test_the_longest_rule_of_the_own_group(path, allowed):
    assert _read({"body": RULES}).allows(ORIGIN + path) is allowed


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ("User-agent: *\nCrawl-delay: 10", 10.0),
        ("User-agent: *\nCrawl-delay: 0.5\nDisallow: /x", 0.5),
        ("User-agent: other\nCrawl-delay: 10", None),
        ("User-agent: *\nCrawl-delay: 10\n\nUser-agent: caravan\nDisallow: /x", None),
        ("User-agent: *\nCrawl-delay: soon", None),
        ("User-agent: *\nCrawl-delay: inf", None),
        ("User-agent: *\nCrawl-delay: -1", None),
    ],
)
def test_crawl_delay(lines, seconds):
    assert _read({"body": lines.encode()}).crawl_delay_s == seconds


def test_sitemaps():
    body = b"""Sitemap: https://shop.example/a.xml
sitemap: /b,c d.xml
User-agent: *
Disallow: /x
SITEMAP: https://other.example/c.xml
Sitemap: https://shop.example/a.xml
Sitemap: http://[
Sitemap:
"""
    assert _read({"body": body}).sitemaps == [
        "https://shop.example/a.xml",
        "https://shop.example/b,c%20d.xml",
        "https://other.example/c.xml",
    ]


def test_five_megabytes_are_read_as_far_as_the_limit():
    line = b"Disallow: /private/%07d\n"
    body = b"User-agent: *\n" + b"".join(line % place for place in range(220_000)) + b"Disallow: /\n"
    assert len(body) > 5 << 20
    robots = _read({"body": body})
    assert (robots.outcome, robots.is_truncated) == ("read", True)
    assert robots.content is not None and robots.content.endswith("\n")
    assert Limits().robots_bytes - len(line) <= len(robots.content) <= Limits().robots_bytes
    assert not robots.allows(f"{ORIGIN}/private/0000001")
    assert robots.allows(f"{ORIGIN}/private/0219999")
    assert robots.allows(f"{ORIGIN}/"), "a line that is cut in the middle means something else"


def test_no_line_is_cut_where_everything_was_read():
    robots = _read({"body": b"User-agent: *\nDisallow: /x\0"})
    assert not robots.is_truncated
    assert robots.content == "User-agent: *\nDisallow: /x\ufffd"
