"""Pages that nobody meant to write, and those that somebody did."""

from __future__ import annotations

import json
import random
import time

import pytest
from extract_case import LIMITS, SCOPE, answer_of, marks, page, read, rows

from caravan.clients.crawl.extract import Extractor
from caravan.clients.crawl.structured import MOST_CHARACTERS, MOST_NODES, read_block
from caravan.clients.crawl.tables import TABLES

JSON_LD = '<script type="application/ld+json">{}</script>'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"@type": "Product", "offers": [{"@type": ["Offer", "https://schema.org/Thing"]}]}', [
            ("$", ["Product"]), ("$.offers[0]", ["Offer", "Thing"])]),
        ('[{"@type": "schema:A"}, {"@type": "http://schema.org/B"}]', [("$[0]", ["A"]), ("$[1]", ["B"])]),
        ('{"@context": {"x": {}}, "@graph": [{"@type": "A", "b": {"c": 1}}]}', [
            ("$.@graph[0]", ["A"]), ("$.@graph[0].b", [])]),
        ('{"@type": "A", "b": {"@id": "#x"}, "c": {"@value": "d"}}', [("$", ["A"])]),
        ("[]", []),
    ],
)  # fmt: skip
def test_structured_data_node_by_node(text, expected):
    found = rows(read(JSON_LD.format(text)), "structured")
    assert [(row["path"], row["types"]) for row in found] == expected
    assert [row["node"] for row in found] == list(range(len(expected)))
    assert all(isinstance(json.loads(row["content"]), dict) for row in found)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "line 1 column 2: Expecting property name enclosed in double quotes"),
        ("", "line 1 column 1: Expecting value"),
        ('{"a": NaN}', "NaN is no JSON"),
        ('{"a": 1e999}', "1e999 is no JSON"),
        ('"text"', "neither an object nor a list"),
        ("[" * 100_000, "nested too deeply to be read"),
        (" " * (MOST_CHARACTERS + 1), f"{MOST_CHARACTERS + 1} characters of {MOST_CHARACTERS}"),
        ('{"a": ' + "9" * 5000 + "}", "Exceeds the limit (4300 digits) for integer string conversion"),
    ],
)
def test_blocks_that_are_no_json(text, error):
    first, second = rows(read(JSON_LD.format(text) + JSON_LD.format('{"@type": "A"}')), "structured")
    assert first["error"].startswith(error) and first["types"] is None and first["block"] == 0
    assert (second["types"], second["block"], second["error"]) == (["A"], 1, None)


def test_large_and_deep_blocks_stay_small():
    many = read_block(json.dumps([{"@type": "A"}] * (MOST_NODES + 5)))
    assert len(many.rows) == MOST_NODES + 1 and many.rows[-1][-1] == f"more than {MOST_NODES} nodes"
    deep = read_block('{"a":' * 500 + "1" + "}" * 500)
    assert len(deep.rows) == 9


def test_halves_of_characters_fit_in_files():
    (row,) = rows(read(JSON_LD.format('{"@type": "A\\ud800", "name": "\\ud83d\\ude00 \\udfff"}')), "structured")
    assert row["types"] == ["A?"] and json.loads(row["content"])["name"] == "\U0001f600 ?"


@pytest.mark.parametrize(
    "body",
    [b"", b"\x00", b"\xff\xfe", b"<", b"<title>\x00\xff\xed\xa0\x80</title>", b"<p>&#xD800;&#0;\xed\xa0\x80",
     b"\xef\xbb\xbf<p>x",
     b"<html lang>", b"<a href>", b"<img alt>", b"<a", b"<meta name content>", b"<h1 id><form action><base href>",
     b"<link rel=canonical href><link rel=alternate hreflang>", b"<frameset><frame src=x>",
     b"<base href='//['><a href=x>",
     b"<svg><a href=x><title>y</svg><table><a href=x><td>y", b"<template><a href=x></template>"],
)  # fmt: skip
def test_odd_bodies_are_rows(body):
    found = read(body)
    for table in found.rows:
        rows(found, table)
    assert page(found)["outcome"] == "fetched"


def test_bytes_of_another_charset_are_told():
    found = page(read(b"<title>caf\xe9</title>", headers=(("content-type", "text/html; charset=utf-8"),)))
    assert (found["title"], found["has_replaced_bytes"]) == ("caf\ufffd", True)


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 200_000 + "x",
        "<p>" + "".join(f"<b a{at}>" for at in range(5_000)) + "<p>x" * 5_000,
        "<b><p>" * 100_000,
    ],
)
def test_pages_that_would_kill_their_reader_are_cut(html):
    began = time.process_time()
    found = read("<title>x</title>" + html)
    assert time.process_time() - began < 20
    assert page(found)["title"] == "x" and page(found)["is_truncated"] is True
    assert [name for name, _, _ in marks(found)] == ["nesting-cut"]


@pytest.mark.parametrize("html", ["<li>x" * 5_000, "<tr><td>x" * 5_000, "<div>x</div>" * 5_000, "<p>x<br>" * 5_000])
def test_long_pages_of_any_style_are_read_whole(html):
    assert page(read(html))["is_truncated"] is False


SEED_PAGE = (
    """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shoes &amp; more</title>
<base href="/en/"><link rel="canonical" href="https://shop.test/en/a"><link rel="alternate" hreflang="de" href="/de/a">
<meta name="description" content="All about shoes"><meta name="robots" content="noindex, max-snippet:0">
<meta http-equiv="refresh" content="5; url='/b'"><script type="application/ld+json">{"@context": "https://schema.org",
"@type": "Product", "offers": [{"@type": "Offer", "price": "19.99", "availability": "InStock"}]}</script></head>
<body><header><nav><ul><li><a href="/x" rel="nofollow">X</a></li></ul></nav></header><main><h1 id="a">Shoes</h1>
<p>Made <b>by hand</b> in a village by the sea. <img src="a.png" srcset="b.png 2x" alt="A" width="1" height="1">
Only 19,99 \u20ac {{ name }}, in stock.</p><pre>{{ code }}</pre><form action="http://b.test/" method="post"><input
name="q"><select><option>1</option></select></form><table><tr><td>1</td></tr></table><svg><title>s</title></svg>
<iframe src="//b.test/f"></iframe><h2>\u9774\u3068\u9769</h2><noscript><p>n</p></noscript></main></body></html>"""
).encode()


def test_pages_broken_at_random_are_rows():
    """1,500 of them: bytes lost, doubled, exchanged, and pieces of the page in other places."""
    chance = random.Random(20260301)
    extractor = Extractor(SCOPE, LIMITS)
    pieces = [SEED_PAGE[at : at + 25] for at in range(0, len(SEED_PAGE), 25)]
    told = set()
    for _ in range(1_500):
        body = bytearray(SEED_PAGE)
        for _ in range(chance.randint(1, 30)):
            at = chance.randrange(len(body))
            how = chance.randrange(4)
            if how == 0:
                del body[at : at + chance.randint(1, 40)]
            elif how == 1:
                body[at:at] = chance.choice(pieces) * chance.randint(1, 3)
            elif how == 2:
                body[at] = chance.randrange(256)
            else:
                body[at:at] = chance.choice((b"<", b">", b'"', b"\x00", b"\xed\xa0\x80", b"&#xd800;", b"</", b"<!--"))
        found = extractor.extract(answer_of(bytes(body)))
        for table, each in found.rows.items():
            assert all(len(row) == len(TABLES[table]) for row in each)
            rows(found, table)
            told.add(table)
    assert told >= {
        "page",
        "link",
        "canonical",
        "hreflang",
        "structured",
        "heading",
        "meta",
        "passage",
        "mark",
        "image",
    }
