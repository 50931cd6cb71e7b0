"""Sitemaps: every form that search engines take, and everything that can be wrong with one."""

from __future__ import annotations

import gzip
import subprocess
import sys
from datetime import datetime

import pytest

from caravan import PROJECT_ROOT
from caravan.clients.crawl.sitemaps import Entry, Sitemap, read_w3c
from caravan.core.crawl import Answer, Ask

DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'
URLSET = (
    b'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml"'
    b' xmlns:news="http://www.google.com/schemas/sitemap-news/0.9"'
    b' xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">'
)
LIMIT = 1 << 20


def urlset(inside: bytes) -> bytes:
    return DECLARATION + URLSET + inside + b"</urlset>"


def read(body: bytes, limit: int = LIMIT, body_reason: str | None = None) -> tuple[Sitemap, list[Entry]]:
    ask = Ask("https://example.com/sitemap.xml")
    sitemap = Sitemap(Answer(ask, datetime(2026, 1, 1), 200, body=body, body_reason=body_reason), limit)
    return sitemap, list(sitemap)


ONE = b"<url><loc>https://example.com/a</loc></url>"
A, B = "https://example.com/a", "https://example.com/b"
PARAMETERS = "https://example.com/?a=1&b=2"
CHILD = b"<sitemap><loc>https://example.com/a</loc></sitemap>"
IMAGE = b"<image:image><image:loc>https://example.com/i.png</image:loc></image:image>"
HEAD = DECLARATION + URLSET
LATIN = (
    DECLARATION.replace(b"UTF-8", b"ISO-8859-1") + URLSET + b"<url><loc>https://example.com/\xe4</loc></url></urlset>"
)
UTF_16 = urlset(ONE).decode().replace("UTF-8", "UTF-16").encode("utf-16")
INDEX = urlset(CHILD).replace(b"urlset", b"sitemapindex")
OLD = DECLARATION + b'<urlset xmlns="http://www.google.com/schemas/sitemap/0.84">' + ONE + b"</urlset>"
BOMB = b"<!DOCTYPE x [" + b"".join(
    b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10 if n else b"aaaaaaaaaa") for n in range(9)
)
ENTITY = b"<url><loc>https://example.com/&j;</loc></url></urlset>"
FILE = b'<!DOCTYPE x [<!ENTITY j SYSTEM "file:///etc/hostname">]>'
ELSEWHERE = b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">'

# (what, body, kind, reason, addresses)
FORMS: list[tuple[str, bytes, str | None, str | None, list[str]]] = [
    ("xml", urlset(ONE), "urlset", None, [A]),
    ("no declaration", urlset(ONE).removeprefix(DECLARATION), "urlset", None, [A]),
    ("byte order mark", b"\xef\xbb\xbf" + urlset(ONE), "urlset", None, [A]),
    ("white space", urlset(ONE.replace(b"https", b"\n  https")), "urlset", None, [A]),
    ("escaped", urlset(ONE.replace(b"/a<", b"/?a=1&amp;b=2<")), "urlset", None, [PARAMETERS]),
    ("character data", urlset(ONE.replace(b"/a<", b"/<![CDATA[?a=1&b=2]]><")), "urlset", None, [PARAMETERS]),
    ("utf-16", UTF_16, "urlset", None, [A]),
    ("latin-1", LATIN, "urlset", None, ["https://example.com/ä"]),
    ("gzip", gzip.compress(urlset(ONE)), "urlset", None, [A]),
    ("gzip of two", gzip.compress(HEAD) + gzip.compress(ONE + b"</urlset>"), "urlset", None, [A]),
    ("gzip, padded", gzip.compress(urlset(ONE)) + bytes(512), "urlset", None, [A]),
    ("text", b"https://example.com/a\r\nhttps://example.com/b\n\n", "text", None, [A, B]),
    ("text with a mark", b"\xef\xbb\xbfhttps://example.com/a", "text", None, [A]),
    ("gzipped text", gzip.compress(b"https://example.com/a\n"), "text", None, [A]),
    ("image", urlset(ONE.replace(b"</url>", IMAGE + b"</url>")), "urlset", None, [A]),
    ("index", INDEX, "index", None, [A]),
    ("nothing in it", urlset(b""), "urlset", None, []),
    ("no namespace", DECLARATION + b"<urlset>" + ONE + b"</urlset>", "urlset", "wrong_namespace", [A]),
    ("an old namespace", OLD, "urlset", "wrong_namespace", [A]),
    ("cut off", urlset(ONE * 2)[:-40], "urlset", "not_well_formed", [A]),
    ("an ampersand", urlset(ONE + b"<url><loc>https://example.com/?a&b</loc></url>"), "urlset", "not_well_formed", [A]),
    ("a page", b"<!doctype html><html><body>Not found</body></html>", None, "not_a_sitemap", []),
    ("a feed", DECLARATION + b'<rss version="2.0"><channel/></rss>', None, "not_a_sitemap", []),
    ("words", b"Not found", None, "not_well_formed", []),
    ("empty", b"", None, "not_well_formed", []),
    ("entities", DECLARATION + BOMB + b"]>" + URLSET + ENTITY, None, "document_type", []),
    ("a file of ours", DECLARATION + FILE + URLSET + ENTITY, None, "document_type", []),
    ("a document type elsewhere", DECLARATION + ELSEWHERE + URLSET + ONE + b"</urlset>", "urlset", "document_type", []),
    ("gzip of very many", gzip.compress(urlset(ONE)) + gzip.compress(b"") * 20_000, "urlset", "broken_gzip", [A]),
    ("gzip, cut off", gzip.compress(urlset(ONE))[:-12], "urlset", "broken_gzip", [A]),
    ("no gzip", b"\x1f\x8bgarbage", None, "broken_gzip", []),
]


@pytest.mark.parametrize("form", FORMS, ids=[form[0] for form in FORMS])
def test_forms(form: tuple[str, bytes, str | None, str | None, list[str]]) -> None:
    _, body, kind, reason, urls = form
    sitemap, entries = read(body)
    assert (sitemap.kind, sitemap.reason, [entry.loc for entry in entries]) == (kind, reason, urls)
    assert sitemap.count == len(urls)


def test_what_stands_beside_an_address() -> None:
    _, entries = read(
        urlset(
            b"<url><loc>https://example.com/a</loc><lastmod>2026-01-02</lastmod>"
            b'<xhtml:link rel="alternate" hreflang="de" href="https://example.com/de/a"/>'
            b'<xhtml:link rel="alternate" hreflang="x-default" href="https://example.com/a"/>'
            b"<news:news><news:publication_date>2026-01-01T10:00:00+01:00</news:publication_date></news:news></url>"
            + ONE
        )
    )
    alternates = [("de", "https://example.com/de/a"), ("x-default", "https://example.com/a")]
    assert entries == [
        Entry("https://example.com/a", "2026-01-02", "2026-01-01T10:00:00+01:00", alternates),
        Entry("https://example.com/a"),
    ]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_what_is_over_the_limit_is_left_out_and_what_is_under_it_kept(pack: object) -> None:
    body = urlset(ONE * 1_000)
    sitemap, entries = read(pack(body), limit=len(body) // 2)  # type: ignore[operator]
    assert (sitemap.reason, sitemap.byte_count) == ("too_large", len(body) // 2)
    assert 490 < len(entries) < 500


def test_a_body_that_was_cut_while_it_came_is_too_large() -> None:
    sitemap, entries = read(urlset(ONE * 10)[:-60], body_reason="size")
    assert sitemap.reason == "too_large" and len(entries) == 8


PEAK = """
import gzip, resource, sys
from datetime import datetime
from caravan.clients.crawl.sitemaps import Sitemap
from caravan.core.crawl import Answer, Ask
body = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sitemap = Sitemap(Answer(Ask("https://example.com/"), datetime(2026, 1, 1), 200, body=body), 50 << 20)
count = sum(1 for _ in sitemap)
print(count, sitemap.byte_count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
BOMBS = {
    "much from little": urlset(b" " * 60_000_000),
    "elements that say nothing": urlset(b"<x/>" * 2_000_000),
    "one long text": urlset(b"<url><loc>" + b"a" * 40_000_000 + b"</loc></url>"),
    "alternates without end": urlset(b"<url>" + b'<xhtml:link hreflang="de" href="/"/>' * 300_000 + b"</url>"),
    "addresses without end": urlset(ONE * 150_000),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_bombs_take_no_memory(bomb: bytes) -> None:
    told = subprocess.run(
        [sys.executable, "-P", "-c", PEAK],
        input=gzip.compress(bomb, 1),
        capture_output=True,
        env={"PYTHONPATH": str(PROJECT_ROOT / "plugins")},
        check=True,
    )
    count, size, kilobytes = map(int, told.stdout.split())
    assert size <= 50 << 20 and count in (0, 1, 150_000)
    assert kilobytes < 24 << 10


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026", datetime(2026, 1, 1)),
        ("2026-03", datetime(2026, 3, 1)),
        ("2026-03-04", datetime(2026, 3, 4)),
        ("2026-03-04T05:06Z", datetime(2026, 3, 4, 5, 6)),
        ("2026-03-04T05:06+02:00", datetime(2026, 3, 4, 3, 6)),
        ("2026-03-04T23:30:10-0130", datetime(2026, 3, 5, 1, 0, 10)),
        ("2026-03-04T05:06:07.123456789Z", datetime(2026, 3, 4, 5, 6, 7, 123456)),
        ("2026-03-04T05:06:07", datetime(2026, 3, 4, 5, 6, 7)),
        (" 2026-03-04 ", datetime(2026, 3, 4)),
        ("2026-02-30", None),
        ("2026-3-4", None),
        ("2026-03-04 05:06:07", None),
        ("04.03.2026", None),
        ("0001-01-01T00:00+14:00", None),
        ("٢٠٢٦", None),
        ("", None),
        (None, None),
    ],
)
def test_moments(text: str | None, moment: datetime | None) -> None:
    assert read_w3c(text) == moment
