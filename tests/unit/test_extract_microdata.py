"""Microdata of pages as rows of `structured`: values and nesting as the HTML standard has them."""

from __future__ import annotations

import json
import time

import pytest
from extract_case import LIMITS, marks, page, read, rows

from caravan.clients.crawl.structured import MOST_NODES


def items(body: str) -> list[dict[str, object]]:
    return [json.loads(row["content"]) for row in rows(read(body), "structured") if row["path"] == "$"]


def valued(element: str) -> object:
    (item,) = items(f"<div itemscope>{element}</div>")
    return item["p"]


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("<b itemprop=p> a <i>b</i>\n c</b>", "a b c"),
        ("<meta itemprop=p content=' a '>", "a"),
        ("<meta itemprop=p>", ""),
        ("<img itemprop=p src='a.jpg' alt=b>", "https://shop.test/de/a.jpg"),
        ("<img itemprop=p>", ""),
        ("<video itemprop=p src='/v.mp4'></video>", "https://shop.test/v.mp4"),
        ("<iframe itemprop=p src='//x.test'></iframe>", "https://x.test/"),
        ("<a itemprop=p href='?a=1#b'>c</a>", "https://shop.test/de/seite.html?a=1#b"),
        ("<link itemprop=p href='https://schema.org/InStock'>", "https://schema.org/InStock"),
        ("<a itemprop=p href='mailto:us@shop.test'>c</a>", "mailto:us@shop.test"),
        ("<object itemprop=p data='a.swf'></object>", "https://shop.test/de/a.swf"),
        ("<data itemprop=p value=5>five</data>", "5"),
        ("<data itemprop=p>five</data>", ""),
        ("<meter itemprop=p value=0.5>half</meter>", "0.5"),
        ("<time itemprop=p datetime=2026-03-01>today</time>", "2026-03-01"),
        ("<time itemprop=p>2026-03-01</time>", "2026-03-01"),
        ("<span itemprop=p content=4.4>4,4</span>", "4.4"),
        ("<a itemprop=p href='/a' content=b>c</a>", "https://shop.test/a"),
        ("<b itemprop=p>1</b><p><b itemprop=p>2</b></p>", ["1", "2"]),
        ("<b itemprop='q p p https://schema.org/r'>1</b>", "1"),
        ("<b itemprop=p itemscope itemtype='https://schema.org/Brand'></b>", {"@type": ["https://schema.org/Brand"]}),
        ("<b itemprop=p itemscope itemid='/x'><i itemprop=q>1</i></b>", {"@id": "https://shop.test/x", "q": "1"}),
        ("<template><b itemprop=p>no</b></template><b itemprop=p>yes</b>", "yes"),
        (f"<b itemprop=p>{'a' * 5000}</b>", "a" * 4000),
    ],
)
def test_values(element, value):
    assert valued(element) == value


PRODUCT = """
<div ITEMSCOPE itemtype="https://schema.org/Product http://schema.org/Thing" itemref="more absent">
  <h1 itemprop="https://schema.org/name">Lamp</h1>
  <div itemprop="offers" itemscope itemtype="http://schema.org/Offer"><b itemprop="price" content="5">5 €</b></div>
  <div itemprop="offers" itemscope itemtype="http://schema.org/Offer"><b itemprop="price" content="6">6 €</b></div>
  <div itemscope itemtype="https://schema.org/Person"><i itemprop="name">Ann</i></div>
</div>
<p id="more"><i itemprop="sku">A1</i></p><p id="more"><i itemprop="sku">B1</i></p>
<time itemprop="datePublished" datetime="2026-03-01">of nothing</time>
<script type="application/ld+json">{"@type": "Article", "datePublished": "2026-01-02"}</script>
"""


def test_items_are_nodes_like_those_of_json_ld():
    found = [(row["block"], row["syntax"], row["path"], row["types"]) for row in rows(read(PRODUCT), "structured")]
    assert found == [
        (0, "json-ld", "$", ["Article"]),
        (1, "microdata", "$", ["Product", "Thing"]),
        (1, "microdata", "$.offers[0]", ["Offer"]),
        (1, "microdata", "$.offers[1]", ["Offer"]),
        (2, "microdata", "$", ["Person"]),
    ]
    product = items(PRODUCT)[1]
    assert (product["name"], product["sku"]) == ("Lamp", "A1"), "the first of an id counts, and the person has a name"


def test_the_date_of_an_article():
    body = (
        '<p itemscope itemtype="https://schema.org/Article"><time itemprop=datePublished datetime="2026-03-01">x</time>'
    )
    assert page(read(body))["published_on"] == "2026-03-01"


@pytest.mark.parametrize(
    "body",
    [
        "<div itemscope id=a itemref=a><b itemprop=p>1</b></div>",
        "<div itemscope itemref=b></div><p id=b itemprop=p itemscope itemref=b></p>",
        "<i itemscope itemref=b></i><p id=b itemprop=p itemscope itemref=c></p><p id=c itemprop=p itemscope itemref=b>",
    ],
)
def test_items_that_are_in_themselves_end(body):
    assert len(items(body)) == 1


@pytest.mark.parametrize(
    ("body", "dropped"),
    [
        ("<div itemscope>" + "<b itemprop=p itemscope>" * 300, None),
        ("<i id=a itemprop=p>" + "x" * 100_000 + "</i>" + "<b itemscope itemref=a></b>" * 5_000, "structured"),
        ("<div id=a>" + "<i itemprop=p>x</i>" * 5_000 + "</div>" + "<b itemscope itemref=a></b>" * 5_000, "structured"),
        ("<b itemscope><i itemprop=p>x</i></b>" * (LIMITS.links_of_page + 5), "structured"),
    ],
    ids=["nested", "long", "many", "items"],
)
def test_what_would_cost_too_much_is_left_out_and_told(body, dropped):
    began = time.process_time()
    extracted = read(body)
    assert time.process_time() - began < 10
    assert [value for name, value, _ in marks(extracted) if name == "rows-dropped"] == ([dropped] if dropped else [])


def test_a_node_too_many_is_told():
    body = f"<div itemscope>{'<b itemprop=p itemscope></b>' * (MOST_NODES + 5)}</div>"
    found = rows(read(body), "structured")
    assert (len(found), found[-1]["error"]) == (MOST_NODES + 1, f"more than {MOST_NODES} nodes")
