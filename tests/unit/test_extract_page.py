"""What a page says of itself: HTML to columns and rows."""

from __future__ import annotations

import pytest
from extract_case import URL, answer_of, marks, page, read, rows

from caravan.clients.crawl.extract import Extractor
from caravan.clients.crawl.marks import MARKS
from caravan.core.crawl import Limits, Scope
from caravan.core.urls import key_of

HEAD = "<!doctype html><html lang=de-CH><head>{}</head><body><h1>Schuhe</h1></body></html>"


def own(path: str) -> str:
    return f"https://shop.test{path}"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("<title> A\n  B </title>", {"title": "A B", "title_count": 1, "title_pixels": 32, "title_language": None}),
        ("<title>A</title><title>B</title>", {"title": "A", "title_count": 2}),
        ("<title></title>", {"title": "", "title_count": 1}),
        ("", {"title": None, "title_count": 0, "description": None, "description_count": 0, "robots_html": []}),
        ("<meta name=Description content=' x  y '>", {"description": "x y", "description_count": 1}),
        ("<meta name=description content=>", {"description": "", "description_count": 1}),
        ("<meta name=robots content='NoIndex, max-snippet : 0'>", {"robots_html": ["noindex", "max-snippet:0"]}),
        (
            "<meta name=robots content=noindex><meta name=googlebot content='index,nofollow'>",
            {"robots_html": ["noindex", "googlebot: index", "googlebot: nofollow"]},
        ),
        ("<meta name=viewport content='width=device-width'>", {"viewport": "width=device-width"}),
        (
            "<meta http-equiv=Refresh content=\"5; URL='/neu'\">",
            {"refresh_seconds": 5, "refresh_url": own("/neu")},
        ),
        ("<meta http-equiv=refresh content=5>", {"refresh_seconds": None, "refresh_url": None}),
        ("<meta property=article:published_time content=2026-01-02>", {"published_on": "2026-01-02"}),
        (
            '<script type=application/ld+json>{"@type":"Article","datePublished":"2026-01-03"}</script>',
            {"published_on": "2026-01-03"},
        ),
    ],
)
def test_head(head, expected):
    found = page(read(HEAD.format(head)))
    assert {name: found[name] for name in expected} == expected


def test_a_page_of_its_own_address():
    found = page(read(HEAD.format("<title>x</title>")))
    assert found["page_key"] == key_of(URL)
    assert (found["url"], found["host"], found["kind"], found["outcome"]) == (URL, "shop.test", "page", "fetched")
    assert (found["is_html"], found["charset"], found["charset_source"]) == (True, "utf-8", "header")
    assert (found["language_code"], found["h1"], found["h1_count"], found["element_count"]) == ("de-CH", "Schuhe", 1, 5)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        # The parser leaves head at the first element that head may not have; all after it stands in body.
        (
            "<head><div></div><link rel=canonical href=/a></head>",
            [("canonical-outside-head", "/a", 1)],
        ),
        ("<head></head><body><link rel=alternate hreflang=de-CH href=/a>", [("hreflang-outside-head", "de-CH", 1)]),
        (
            "<head><p></p><title>x</title><meta name=robots content=noindex><meta name=description content=x>",
            [
                ("meta-outside-head", "description", 1),
                ("meta-outside-head", "robots", 1),
                ("meta-outside-head", "title", 1),
            ],
        ),
        # Scripts run where pages are rendered, so that noscript is text and ends no head.
        ("<head><noscript><img src=/p.gif></noscript><link rel=canonical href=/a></head>", []),
        ("<svg><title>x</title></svg>", []),
        ("<p id=a><p id=b><p id=a><a id=a></a>", [("duplicate-id", "a", 3)]),
        ("<p id='a&amp;b'><p\nID = \"a&amp;b\">", [("duplicate-id", "a&b", 2)]),
        ("<h2><a id=a />A</h2><p>B<p>C", []),
        ("<h2><a id=a />A</h2><p>B<p id=a>C", [("duplicate-id", "a", 2)]),
        ("<p>Lorem ipsum dolor. <i>lorem ipsum</i>", [("lorem-ipsum", None, 2)]),
        ("<p>Lorem <pre>lorem ipsum</pre>", []),
        ("<p>Hello {{ user.name }}, {{ user.name }}", [("placeholder", "{{ user.name }}", 2)]),
        ("<p>Hello <code>{{ user.name }}</code>", []),
        ("<p>Only ${price}</p><p>[[cart]]", [("placeholder", "${price}", 1), ("placeholder", "[[cart]]", 1)]),
        ("<p>Hello %s, %1$s", [("placeholder", "%1$s", 1), ("placeholder", "%s", 1)]),
        ("<p>20%sale 100% 5 %", []),
        ("<li>product.title.label</li>", [("placeholder", "product.title.label", 1)]),
        ("<button>cart.add_to_cart</button>", [("placeholder", "cart.add_to_cart", 1)]),
        ("<li>www.shop.test</li><li>docs.shop.com</li><li>see product.title.label</li><li>3.1.4", []),
        ("<form action=http://other.test/x method=POST></form>", [
            ("form-insecure-action", "http://other.test/x", 1),
            ("form-on-page", "post http://other.test/x", 1),
        ]),
        ("<form></form>", [("form-on-page", f"get {URL}", 1)]),
        ("<p>19,99 € <b>$5</b>", [("visible-price", "$5", 1), ("visible-price", "19,99 €", 1)]),
        ("<html lang=de><p>5 € <p>Nicht auf Lager", [("visible-availability", "out_of_stock", 1),
                                                   ("visible-price", "5 €", 1)]),
        ("<html lang=en><p>In stock", []),
    ],
)  # fmt: skip
def test_marks(html, expected):
    found = marks(read(html))
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert {name for name, _, _ in found} <= set(MARKS)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<link rel=canonical href=/a>", [("html", "/a", own("/a"), True, True)]),
        ("<link rel='Canonical' href='https://b.test/'><link rel=canonical href='x:y'>", [
            ("html", "https://b.test/", "https://b.test/", False, True), ("html", "x:y", None, None, True)]),
        ("<p><link rel=canonical href=''>", [("html", "", URL, True, False)]),
    ],
)  # fmt: skip
def test_canonicals(html, expected):
    found = rows(read(html), "canonical")
    assert [(r["source"], r["href"], r["target_url"], r["is_internal"], r["is_in_head"]) for r in found] == expected


def test_links_of_headers():
    said = (
        ("link", '<https://shop.test/a,b>; rel="canonical", </fr>; rel=alternate; hreflang="fr-FR"'),
        ("link", '</style.css>; rel=preload; as=style, <//x'),
        ("x-robots-tag", "noindex, googlebot: nofollow, nosnippet"),
        ("x-robots-tag", "max-image-preview: large"),
        ("set-cookie", "session=secret"),
    )  # fmt: skip
    found = read(HEAD.format("<base href=/elsewhere/>"), headers=said)
    assert [(r["source"], r["target_url"]) for r in rows(found, "canonical")] == [("header", own("/a,b"))]
    assert [(r["source"], r["code"], r["target_url"]) for r in rows(found, "hreflang")] == [
        ("header", "fr-FR", own("/fr"))
    ]
    assert page(found)["robots_http"] == [
        "noindex", "googlebot: nofollow", "googlebot: nosnippet", "max-image-preview:large"]  # fmt: skip
    assert ("set-cookie", None) in [(r["name"], r["value"]) for r in rows(found, "header")]
    assert {each.url for each in found.found} == {own("/a,b"), own("/fr")}


def test_hreflang_as_written():
    html = "<link rel=alternate hreflang='EN_uk' href=en><link rel=alternate hreflang=x-default href=/>"
    found = [(r["code"], r["href"], r["target_url"], r["is_in_head"]) for r in rows(read(html), "hreflang")]
    assert found == [("EN_uk", "en", own("/de/en"), True), ("x-default", "/", own("/"), True)]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<h1>A<br>B</h1><h3> C </h3>", [(1, "A B"), (3, "C")]),
        ("<h1><img alt='Die Marke'></h1><h2></h2>", [(1, "Die Marke"), (2, "")]),
        ("<h2>a <b>b</b>c<script>x</script>", [(2, "a bc")]),
    ],
)
def test_headings(html, expected):
    assert [(r["level"], r["text"]) for r in rows(read(html), "heading")] == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("src=a.png alt='' width=1 height=2", (own("/de/a.png"), "", True)),
        ("src=a.png alt", (own("/de/a.png"), "", False)),
        ("src=a.png width=1", (own("/de/a.png"), None, False)),
        ("src=data:image/gif;base64,R0 alt=x", (None, "x", False)),
        ("alt=x", (None, "x", False)),
    ],
)
def test_images(attributes, expected):
    (row,) = rows(read(f"<img {attributes}>"), "image")
    assert (row["target_url"], row["alt"], row["has_size"]) == expected


def test_fragments_may_lead_to_ids_and_names():
    assert page(read("<p id=b><a name=a></a><p id=b><p id=''>"))["ids"] == ["b", "a"]


def test_rows_beyond_the_limit_are_counted():
    found = read("<p id=a><p id=b><a name=c></a><h2>1</h2><h2>2</h2><h2>3</h2>", limits=Limits(links_of_page=2))
    assert page(found)["ids"] == ["a", "b"] and len(rows(found, "heading")) == 2
    assert sorted(marks(found)) == [("rows-dropped", "heading", 1), ("rows-dropped", "ids", 1)]


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (200, (("content-type", "application/pdf"),), b"%PDF-1.7", {"is_html": False, "outcome": "fetched"}),
        (200, (("content-type", "text/plain"),), b"<html><title>x", {"is_html": False, "sniffed_type": "text/html"}),
        (200, (("content-type", ""),), b"<html><title>x", {"is_html": True, "media_type": None, "title": "x"}),
        (200, (), b"", {"is_html": None, "element_count": None, "body_bytes": 0}),
        (304, (), b"", {"outcome": "not_modified", "is_html": None}),
        (404, (), b"<title>Weg</title><p>Nichts", {"is_html": True, "title": "Weg", "outcome": "fetched"}),
        (301, (("location", "../neu?utm_source=x"),), b"<title>x", {
            "location_url": own("/neu?utm_source=x"), "location_key": key_of(own("/neu")),
            "location_is_internal": True, "is_html": None}),
        (302, (("location", "https://b.test/caf\u00c3\u00a9"),), b"", {
            "location_url": "https://b.test/caf%C3%A9", "location_is_internal": False}),
        (302, (("location", "http://["),), b"", {"location_url": None, "location_key": None}),
    ],
)  # fmt: skip
def test_answers(status, headers, body, expected):
    found = page(read(body, status=status, headers=headers))
    assert {name: found[name] for name in expected} == expected


def test_an_error_page_leads_nowhere():
    found = read("<a href=/a>x</a><h1>x</h1>", status=404)
    assert found.found == () and set(found.rows) == {"page", "header"}
    assert page(found)["h1"] == "x" and page(found)["text_hash"] == key_of("x x")


def test_no_answer_is_a_row_with_the_reason():
    found = Extractor(Scope(frozenset(("shop.test",))), Limits()).extract(
        answer_of(status=None, headers=(("content-type", ""),), reason="timeout"), depth=3
    )
    row = page(found)
    assert (row["outcome"], row["reason"], row["depth"], row["status_code"]) == ("failed", "timeout", 3, None)
    assert set(found.rows) == {"page"} and found.found == ()
    assert page(read(status=None, reason="refused_address"))["outcome"] == "refused"


def test_a_cut_body_is_marked():
    row = page(read("<title>x</title><p>caf\u00e9".encode()[:-1], body_reason="size"))
    assert (row["is_truncated"], row["reason"]) == (True, "size")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({}, "empty"),
        ({"body_reason": "encoding"}, "encoding"),
        ({"body": "x"}, None),
        ({"status": 204}, None),
        ({"status": 404}, None),
        ({"kind": "resource"}, None),
        ({"status": 301}, "no_location"),
        ({"status": 302, "headers": (("location", ""),)}, "no_location"),
        ({"status": 302, "headers": (("location", "javascript:void(0)"),)}, "no_location"),
        ({"status": 302, "headers": (("location", "file:///etc/hosts"),)}, "no_location"),
        ({"status": 302, "headers": (("location", "http://[bad/"),)}, "no_location"),
        ({"status": 302, "headers": (("location", "tel:+4912345"),)}, None),
        ({"status": 302, "headers": (("location", "/" + "x" * 3_000),)}, None),
        ({"status": 302, "headers": (("location", "/b"),)}, None),
    ],
)
def test_why_an_answer_is_no_page(answer, reason):
    assert page(read(**answer))["reason"] == reason


@pytest.mark.parametrize("kind", ["resource", "external"])
def test_what_is_no_page_is_not_read(kind):
    found = read("<title>x</title><a href=/a>", kind=kind)
    assert set(found.rows) == {"page", "header"} and found.found == () and page(found)["is_html"] is None
