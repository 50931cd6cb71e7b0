"""Where a page leads: rows of links, and addresses to ask."""

from __future__ import annotations

import time

import pytest
from extract_case import SCOPE, URL, marks, page, read, rows

from caravan.core.crawl import Limits, Scope

ALL = Scope(hosts=frozenset(("shop.test",)), prefixes=("/de",), check_external=True)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<a href=b.html>B</a>", ("a", [], "https://shop.test/de/b.html", None, "B", True, False, None)),
        ("<a href='#x'>B</a>", ("a", [], URL, "x", "B", True, False, None)),
        ("<a href=' /c?q=a b '>B</a>", ("a", [], "https://shop.test/c?q=a%20b", None, "B", True, False, None)),
        ("<a href=//b.test rel='NoFollow  ugc'>B</a>",
         ("a", ["nofollow", "ugc"], "https://b.test/", None, "B", False, True, None)),
        ("<a href=/><h3>A</h3><p>b</p></a>", ("a", [], "https://shop.test/", None, "A b", True, False, None)),
        ("<a href=/ aria-label=Home title=x><img alt=y></a>",
         ("a", [], "https://shop.test/", None, "Home", True, False, None)),
        ("<a href=/ title=x><img alt=y></a>", ("a", [], "https://shop.test/", None, "y", True, False, None)),
        ("<a href=/ title=x><svg><title>q</title></svg></a>",
         ("a", [], "https://shop.test/", None, "x", True, False, None)),
        ("<a href=/></a>", ("a", [], "https://shop.test/", None, None, True, False, None)),
        ("<map><area href=/a alt=Nord></map>", ("area", [], "https://shop.test/a", None, "Nord", True, False, None)),
        ("<iframe src=/f title=F>x</iframe>", ("iframe", [], "https://shop.test/f", None, "F", True, False, None)),
        ("<a href='http://['>B</a>",
         ("a", [], None, None, "B", None, False, "http://[: invalid: no IPv6 address: ''")),
        ("<a href='file:///C:/x'>B</a>", ("a", [], None, None, "B", None, False, "file:///C:/x: scheme: file")),
    ],
)  # fmt: skip
def test_links(html, expected):
    (row,) = [row for row in rows(read(html), "link") if row["tag"] != "img"]
    names = ("tag", "rel", "target_url", "fragment", "text", "is_internal", "is_nofollow", "problem")
    assert tuple(row[name] for name in names) == expected
    assert (row["target_key"] is None) == (row["target_url"] is None)


@pytest.mark.parametrize("href", ["mailto:a@b.test", "tel:+49", "javascript:void(0)", "data:text/html,x"])
def test_what_is_not_of_the_web_is_no_link(href):
    assert rows(read(f"<a href='{href}'>x</a>"), "link") == []


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<a href=/de/a></a><a href=/de/a#x></a>", [("page", "https://shop.test/de/a")]),
        (f"<a href={URL}></a><a href='#top'></a>", []),
        ("<a href=/fr></a><a href=//b.test></a>", [("external", "https://b.test/"), ("external", "https://shop.test/fr")]),
        ("<link rel=next href=/de/2><link rel=canonical href=/de/c>",
         [("page", "https://shop.test/de/2"), ("page", "https://shop.test/de/c")]),
        ("<link rel=stylesheet href=/s.css><script src=/s.js></script><img src=/i.png>",
         [("resource", "https://shop.test/i.png"), ("resource", "https://shop.test/s.css"),
          ("resource", "https://shop.test/s.js")]),
        ("<link rel=alternate type=application/rss+xml href=/feed>", [("resource", "https://shop.test/feed")]),
        ("<script src=//cdn.test/s.js></script>", [("external", "https://cdn.test/s.js")]),
        ("<iframe src=/de/f></iframe>", [("page", "https://shop.test/de/f")]),
        ("<meta http-equiv=refresh content='0;/de/r'>", [("page", "https://shop.test/de/r")]),
        ("<link rel=preconnect href=//cdn.test><form action=/de/order></form><video src=/de/v.mp4></video>", []),
        ("<img srcset='/1.png 1x, /2.png 2x'>", []),
    ],
)  # fmt: skip
def test_addresses_to_ask(html, expected):
    assert sorted((each.kind, each.url) for each in read(html, scope=ALL).found) == expected


def test_other_sites_are_asked_only_where_the_scope_says_so():
    assert read("<a href=//b.test></a><img src=//b.test/i.png>", scope=SCOPE).found == ()


def test_the_base_element_counts_wherever_it_stands():
    html = "<a href=a>A</a><base href='/fr/x'><base href=/it/><a href='#y'>B</a>"
    assert [row["target_url"] for row in rows(read(html), "link")] == [
        "https://shop.test/fr/a", "https://shop.test/fr/x"]  # fmt: skip
    (row,) = rows(read("<base href='data:x'><a href=a>A</a>"), "link")
    assert row["target_url"] == "https://shop.test/de/a"


def test_queries_are_in_the_charset_of_the_page():
    html = "<meta charset=iso-8859-1><a href='/s?q=\u00fc'>x</a>".encode("latin-1")
    (row,) = rows(read(html, headers=(("content-type", "text/html"),)), "link")
    assert row["target_url"] == "https://shop.test/s?q=%FC"


def test_links_beyond_the_limit_are_counted():
    found = read("<a href=/1>1</a><img src=/2><a href=/3>3</a><a href=/4>4</a>", limits=Limits(links_of_page=2))
    assert [row["target_url"] for row in rows(found, "link")] == ["https://shop.test/1", "https://shop.test/2"]
    assert marks(found) == [("links-dropped", None, 2)]
    assert len(found.found) == 2


@pytest.mark.slow
def test_a_million_links_take_seconds():
    body = "".join(f"<a href=/{at}>x</a>" for at in range(1_000_000))
    began = time.process_time()
    found = read(body)
    assert time.process_time() - began < 30  # some 4 on an idle machine
    assert len(found.rows["link"]) == Limits().links_of_page == len(found.found)
    assert marks(found) == [("links-dropped", None, 1_000_000 - Limits().links_of_page)]
    assert page(found)["element_count"] == 1_000_003


def test_addresses_written_with_characters_beyond_ascii():
    scope = Scope(hosts=frozenset(("shop.test", "xn--mller-kva.test")))
    body = (
        '<link rel=canonical href="/größe"><a href=" /café?q=1 ">a</a><a href="/café?q=1">b</a><map><area href="?q=Öl">'
        '<a href="//müller.test/">c</a><a href="https://MÜLLER.test/ä#ö">d</a><a href="#ö">e</a><a href="/%C3%A9">h</a>'
        '<a href="https://other.test/é">f</a><a href="mailto:é@shop.test">g</a><img src="/é.jpg">'
    )
    found = [(value, count) for name, value, count in marks(read(body, scope=scope)) if name == "raw-address"]
    assert found == [("/größe", 1), ("/café?q=1", 2), ("?q=Öl", 1), ("https://MÜLLER.test/ä#ö", 1)]
